#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Tests of the SQL: every file of tests/sql/cases in a database of its own (migrations + fixture.sql), on a private PostgreSQL.
# Then tests/sql/breaks: each check of sql/checks must be silent on a clean world and speak when the stored table is falsified.
# Prints what failed and "N passed, N failed"; exit 1 when anything failed. Arguments: case files to run instead of all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
export TELDAG_TOP=$top # for cases that read published data
# shellcheck source=tests/system/cluster.sh
. "$top/tests/system/cluster.sh"
CLUSTER_FSYNC=${CLUSTER_FSYNC:-off} # nothing here outlives a crash
trap cluster_stop EXIT
trap 'exit 1' INT TERM HUP
cluster_start pattern
cluster_migrate pattern
cluster_psql -f "$here/fixture.sql" -f "$here/fixture_feeds.sql"

passed=0
failed=0
in_database() { # name, psql arguments
    local name=$1
    shift
    PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -v ON_ERROR_STOP=1 -d "$(cluster_conninfo "$name")" "$@"
}
fresh() {
    psql -X -q -d "$(cluster_conninfo postgres)" -c "CREATE DATABASE \"$1\" TEMPLATE pattern"
}
drop() {
    psql -X -q -d "$(cluster_conninfo postgres)" -c "DROP DATABASE \"$1\""
}
pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$*"
}

run_case() { # file
    local name good bad
    name=$(basename "$1" .sql)
    fresh "$name"
    if ! in_database "$name" -o /dev/null -f "$1"; then
        fail "$name: stopped at an error"
    fi
    good=$(in_database "$name" -At -c 'SELECT count(*) FROM t.result WHERE got IS NOT DISTINCT FROM want')
    bad=$(in_database "$name" -At -c 'SELECT count(*) FROM t.result WHERE got IS DISTINCT FROM want')
    if [ "$good" = 0 ] && [ "$bad" = 0 ]; then
        fail "$name: expected nothing"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    in_database "$name" -At -c "SELECT format('FAILED $name: %s: got %s, want %s', what, got, want) FROM t.result
        WHERE got IS DISTINCT FROM want ORDER BY nth"
    drop "$name"
}

# A break: "-- check: NAME" lines in tests/sql/breaks.sql, each followed by the falsifying statements.
run_breaks() {
    local check rows statements
    fresh breaks
    in_database breaks -o /dev/null -f "$here/world.sql"
    for check in "$top"/sql/checks/*.sql; do
        rows=$(in_database breaks -At -f "$check")
        if [ -z "$rows" ]; then pass; else fail "$(basename "$check") speaks on a clean world: $rows"; fi
        if ! head -1 "$check" | grep -q '^-- '; then fail "$(basename "$check") does not say what it proves"; fi
        if ! grep -q "^-- check: $(basename "$check" .sql)\$" "$here/breaks.sql"; then fail "$(basename "$check") has no break"; fi
    done
    while IFS= read -r -d '' statements; do
        [ -n "$statements" ] || continue
        check=${statements%%$'\n'*}
        rows=$(printf 'BEGIN;\n%s\n\\i %s\nROLLBACK;\n' "${statements#*$'\n'}" "$top/sql/checks/$check.sql" | in_database breaks -At -f - || true)
        if [ -n "$rows" ]; then pass; else fail "$check is silent on: ${statements#*$'\n'}"; fi
    done < <(sed 's/^-- check: /\x00/' "$here/breaks.sql" | tail -c +1; printf '\0')
    drop breaks
}

# docs/sql.md names every view and column, with its type.
check_docs() {
    local line
    fresh docs
    while IFS= read -r line; do
        # shellcheck disable=SC2016
        if grep -qxF "$line" <(sed -n 's/^\(## [a-z_]*\)$/\1/p; s/^\(| `[a-z_]*` | [a-z0-9[]*\]* |\) .*/\1/p' "$top/docs/sql.md"); then
            pass
        else
            fail "docs/sql.md has no line: $line"
        fi
    done < <(in_database docs -At -c "
        SELECT '## ' || relname FROM pg_class WHERE relnamespace = 'teldag'::regnamespace AND relkind = 'v'
        UNION SELECT format('| \`%s\` | %s |', attname, 
            replace(replace(format_type(atttypid, NULL), 'timestamp with time zone', 'timestamptz'), 'double precision', 'float8'))
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'teldag'::regnamespace AND attnum > 0 AND relkind = 'v'")
    drop docs
}

if [ $# -gt 0 ]; then
    for file in "$@"; do run_case "$file"; done
else
    for file in "$here"/cases/*.sql; do run_case "$file"; done
    check_docs
    run_breaks
    # shellcheck source=tests/sql/rights.sh
    . "$here/rights.sh"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
