#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# make check: all suites, the sanitizer ones with their own builds; one sum at the end.
set -u
cd "$(dirname "$0")/.." || exit 70
total=0
bad=0
started=$(date +%s)
run() { # BUILD, suites
    local build=$1 out
    shift
    out=$(mktemp)
    BUILD=$build tests/run.sh "$@" | tee "$out" | sed -u '$d'
    read -r passed _ failed _ < <(tail -1 "$out" | tr -d ,)
    rm -f "$out"
    total=$((total + passed))
    bad=$((bad + failed))
}
run build lint unit conf sim fuzz sql system bench
run build-fault faults
run build-san san
run build-tsan tsan
run build-cov coverage
printf 'all suites in %d s\n' "$(($(date +%s) - started))"
printf '%d passed, %d failed\n' "$total" "$bad"
[ "$bad" = 0 ] && [ "$total" != 0 ]
