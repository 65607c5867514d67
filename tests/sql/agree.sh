#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The two computations agree: on random worlds (random.sql) the daemon's ledger, allocations and alerts (agree.c, linked with
# build/libteldag.a, which must have been made) must leave every check of sql/checks without a row, and count the same
# registrations that stand and do not fit. Prints the seeds. TEST_SEED=N runs that world; otherwise worlds 1 to WORLDS (10).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${BUILD:-$top/build}
# shellcheck source=tests/system/cluster.sh
. "$top/tests/system/cluster.sh"
CLUSTER_FSYNC=${CLUSTER_FSYNC:-off}
program=$(mktemp)
trap 'cluster_stop; rm -f "$program"' EXIT
trap 'exit 1' INT TERM HUP
# shellcheck disable=SC2046,SC2086
${CC:-gcc} -std=gnu11 -O1 -g -I"$top" -D_GNU_SOURCE ${SANITIZE:-} $(pkg-config --cflags libpq) -o "$program" "$here/agree.c" \
    "$build/libteldag.a" -lzmq -lpq -lconfig -lyajl -llmdb -lmicrohttpd -lsodium -lpthread -lm
cluster_start pattern
cluster_migrate pattern
cluster_psql -f "$here/fixture.sql" -f "$here/fixture_feeds.sql"

on_world() {
    PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -At -v ON_ERROR_STOP=1 -d "$(cluster_conninfo world)" "$@"
}
failed=0
passed=0
judge() { # what, rows
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s: %s\n' "$1" "$(head -3 <<<"$2")"
    fi
}
if [ -n "${TEST_SEED:-}" ]; then seeds=$TEST_SEED; else seeds=$(seq 1 "${WORLDS:-10}"); fi
for seed in $seeds; do
    psql -X -q -d "$(cluster_conninfo postgres)" -c 'CREATE DATABASE world TEMPLATE pattern'
    on_world -o /dev/null -v seed="$seed" -f "$here/random.sql"
    numbers=$("$program" "$(cluster_conninfo world)")
    for check in "$top"/sql/checks/*.sql; do
        judge "world $seed (TEST_SEED=$seed), $(basename "$check" .sql)" "$(on_world -f "$check")"
    done
    seen=$(on_world -F ' ' -c 'SELECT (SELECT count(*) FROM teldag.registration), (SELECT count(*) FROM teldag.unmatched WHERE stream LIKE $$registration.%$$)')
    judge "world $seed (TEST_SEED=$seed), registrations and unmatched" "$([ "$seen" = "$numbers" ] || echo "views $seen, ledger $numbers")"
    psql -X -q -d "$(cluster_conninfo postgres)" -c 'DROP DATABASE world'
done
echo "worlds: ${seeds//$'\n'/ }"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
