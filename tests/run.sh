#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs suites of tests and adds up their counts: tests/run.sh SUITE... with BUILD naming the folder of the binaries.
#   unit sim fuzz conf sql system san tsan bench lint faults campaign
# Each test's output goes to BUILD/log; a failure prints its log. Two tests run at a time (TEST_JOBS). The last line is
# "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 70
BUILD=${BUILD:-build}
export BUILD
jobs=${TEST_JOBS:-2}
python=/usr/bin/python3 # Debian's, which has python3-zmq
logs=$BUILD/log
mkdir -p "$logs"
results=$(mktemp -d)
template=''
trap 'rm -rf "$results" "$template"' EXIT
case " $* " in *" sql "* | *" system "* | *" san "* | *" bench "* | *" faults "* | *" campaign "*)
    template=$(mktemp -d)
    chmod 755 "$template"
    # shellcheck source=tests/system/cluster.sh
    . tests/system/cluster.sh
    if cluster_template "$template"; then export CLUSTER_TEMPLATE=$template; fi
    ;;
esac

# One test: its name and its command. Writes "passed failed seconds" to $results/NAME.
run_one() {
    local name=$1 started passed failed code
    shift
    started=$(date +%s)
    "$@" >"$logs/$name.log" 2>&1 </dev/null
    code=$?
    # What the runners print: "N passed, N failed", or cmocka's "[  PASSED  ] N test(s)."
    read -r passed failed < <(awk '
        /^([a-z]+: )?[0-9]+ passed, [0-9]+ failed/ { sub(/^[a-z]+: /, ""); p = $1; f = $3; plain = 1 }
        /\[  PASSED  \] [0-9]+ test/ { if (!plain) p += $4 }
        /\[  FAILED  \] [0-9]+ test/ { if (!plain) f += $4 }
        END { print p + 0, f + 0 }' "$logs/$name.log")
    if [ "$code" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    if [ "$code" = 0 ] && [ "$((passed + failed))" = 0 ]; then passed=1; fi
    echo "$passed $failed $(($(date +%s) - started))" >"$results/$name"
    if [ "$failed" != 0 ]; then
        printf 'FAIL %-34s %s passed, %s failed, exit %s; %s:\n' "$name" "$passed" "$failed" "$code" "$logs/$name.log"
        tail -60 "$logs/$name.log" | sed 's/^/    /'
    else
        printf 'ok   %-34s %4s passed  %4s s\n' "$name" "$passed" "$(($(date +%s) - started))"
    fi
}

# Starts a test, with at most $jobs at a time.
start() {
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    run_one "$@" &
}

suite_unit() {
    local t
    for t in tests/unit/test_*.c; do
        t=$(basename "$t" .c)
        start "$t${1:-}" "$BUILD/tests/$t"
    done
    wait
}

suite_sim() {
    local t
    for t in tests/sim/sim_*.c; do
        t=$(basename "$t" .c)
        start "$t${1:-}" "$BUILD/tests/$t"
    done
    if [ -z "${1:-}" ]; then start planted tests/sim/planted.sh; fi
    wait
}

# The corpus of every fuzz target, without libFuzzer.
suite_fuzz() {
    local t
    for t in tests/fuzz/fuzz_*.c; do
        t=$(basename "$t" .c)
        start "$t${1:-}" "$BUILD/tests/$t" "tests/fuzz/corpus/${t#fuzz_}"
    done
    wait
}

suite_conf() {
    start conf tests/conf/run.sh "$BUILD"
    wait
}

suite_sql() {
    start sql tests/sql/run.sh
    wait
}

suite_system() {
    local t
    rm -f build/security/test_*.jsonl # what attempts obtained is written anew; that of the suite sql stands
    start sql-agree tests/sql/agree.sh
    start generate "$python" tests/system/generate.py "$BUILD/teldag-feed"
    start feed "$python" tests/system/feed.py "$BUILD/teldag-feed"
    for t in tests/system/test_*.py; do
        start "$(basename "$t" .py)" "$python" "$t"
    done
    wait
    start security-table "$python" tests/system/security_table.py --print
    wait
}

# ASan + UBSan: every unit test, the simulator on fewer seeds, and the system tests that kill and feed bad input.
suite_san() {
    local t
    export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export TEST_SLOW=4 SIM_SEEDS=150 TEST_RUNS=20000 FEED_ROUNDS=8 CRASH_ROUNDS=3
    suite_unit -san
    suite_sim -san
    suite_fuzz -san
    start feed-san "$python" tests/system/feed.py "$BUILD/teldag-feed"
    for t in test_path test_bad_input test_crash test_follow; do
        [ -e "tests/system/$t.py" ] && start "$t-san" "$python" "tests/system/$t.py"
    done
    wait
}

# ThreadSanitizer on the hand-over between our own threads.
suite_tsan() {
    export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp halt_on_error=1 exitcode=99"
    start test_inbox-tsan "$BUILD/tests/test_inbox"
    wait
}

# Every branch of the parts named in tests/coverage/run.py is taken, or named with a reason.
suite_coverage() {
    start coverage "$python" tests/coverage/run.py --no-table
    wait
}

suite_bench() {
    start bench-smoke env BENCH_EVENTS=100000 "$python" tests/bench/run.py
    wait
}

# The programs with failpoints (BUILD=build-fault): each point reached and crashed at once, a seeded mixture of other faults.
suite_faults() {
    local t
    export FAULTS_OUT=$logs/faults FAULT_FORM=short
    rm -rf "$FAULTS_OUT"
    for t in tests/faults/test_*.py; do
        start "fault-$(basename "$t" .py)" "$python" "$t"
    done
    for t in tests/faults/fault_*.py; do
        start "$(basename "$t" .py | tr _ -)" env BUILD=build timeout -k 10 600 "$python" "$t"
    done
    wait
}

# make check-faults: the same for longer, and every script tests/faults/fault_*.py, each within its time; then the table of
# docs/reliability.md from what they recorded. LONG=1: a million events and a thousand kills.
suite_campaign() {
    local t form=medium bound=1200
    export FAULTS_OUT=${FAULTS_OUT:-build/faults}
    rm -rf "$FAULTS_OUT"
    if [ -n "${LONG:-}" ]; then
        form=long bound=7200
        export FAULTS_LONG=1
    fi
    for t in tests/faults/test_*.py; do
        start "campaign-$(basename "$t" .py)" env BUILD=build-fault FAULT_FORM=$form timeout -k 10 $bound "$python" "$t"
    done
    for t in tests/faults/fault_*.py; do
        [ -e "$t" ] && start "campaign-$(basename "$t" .py)" env BUILD=build FAULT_FORM=$form timeout -k 10 600 "$python" "$t"
    done
    wait
    start campaign-table "$python" tests/faults/table.py
    wait
}

suite_lint() {
    start lint tests/lint.sh
    wait
}

for suite in "$@"; do
    "suite_$suite"
done
cat "$results"/* 2>/dev/null | awk '{ p += $1; f += $2 } END { printf "%d passed, %d failed\n", p, f; exit f > 0 || p == 0 }'
