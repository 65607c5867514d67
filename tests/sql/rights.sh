# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# What the roles may and may not do; sourced by run.sh. The writer goes through the daemon's own kinds of statement, and COPY
# into a partition made a moment ago by ensure_year().

as() { # role, psql arguments
    local role=$1
    shift
    PGOPTIONS="-c client_min_messages=warning -c role=$role" psql -X -q -At -v ON_ERROR_STOP=1 -d "$(cluster_conninfo rights)" "$@" 2>&1
}
may() { # role, statement
    local answer
    if answer=$(as "$1" -c "$2"); then pass; else fail "rights: $1 may not: $2: $answer"; fi
}
may_not() {
    local answer
    if answer=$(as "$1" -c "$2"); then
        fail "rights: $1 may: $2"
    elif [[ $answer == *'permission denied'* || $answer == *'must be '* || $answer == *'cannot be'* || $answer == *'cannot delete'* ]]; then
        pass
    else
        fail "rights: $1: $2: $answer"
    fi
}

fresh rights
in_database rights -o /dev/null -f "$here/world.sql"
may teldag_writer "INSERT INTO teldag_data.stream (name) VALUES ('registration.7')"
may teldag_writer "INSERT INTO teldag_data.feed_progress (stream_id, shard) SELECT stream_id, 0 FROM teldag_data.stream WHERE name = 'registration.7'"
may teldag_writer "UPDATE teldag_data.feed_progress SET next_seq = 2"
may teldag_writer "UPDATE teldag_data.shard_progress SET batch = batch + 1"
may teldag_writer "INSERT INTO teldag_data.stream_epoch VALUES (1, 77, true)"
may teldag_writer "SELECT teldag_data.ensure_year(2031::smallint)"
may teldag_writer "SELECT teldag_data.ensure_year(2031::smallint)"
if printf '1\t1\t1\tu\t5\t2031\t00000000000000000000000000000001\tokan\tt\t2\t\\N\t\\N\t0\t\\N\t\\N\te\ts\t2024-01-01\t2024-01-01\t\\N\n' |
    as teldag_writer -c 'COPY teldag_data.registration_log FROM STDIN'; then pass; else fail 'rights: COPY into a new year'; fi
may teldag_writer "INSERT INTO teldag_data.entitlement_log VALUES (1, 1, 2, 'u', 5, 'x', 'y', 2031, 's', 1, 'e', 's', now(), now())"
may teldag_writer "SELECT count(*) FROM teldag_data.registration_log WHERE school_year = 2031"
may teldag_writer "INSERT INTO teldag_data.dead_letter VALUES (1, 1, 3, 'r', 'x', 'open', now())"
may teldag_writer "UPDATE teldag_data.dead_letter SET state = 'dropped', resolved_at = now() WHERE seq = 3"
may teldag_writer "INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES (0, 99, 'clock', '{}')"
may teldag_writer "INSERT INTO teldag_data.rules_set (hash, near_pupils, near_hours) VALUES ('h', 1, 1); INSERT INTO teldag_data.rule VALUES ('h', 2024, 'n', 'v', 's', true)"
for table in count_state count_closed allocation_state alert_state; do
    may teldag_writer "UPDATE teldag_data.$table SET school_id = school_id"
    may teldag_writer "DELETE FROM teldag_data.$table"
done
for check in "$top"/sql/checks/*.sql; do
    may teldag_writer "$(cat "$check")"
done
may teldag_writer 'SELECT * FROM teldag.registration; SELECT * FROM teldag.unmatched; SELECT * FROM teldag.schema_version'
may teldag_writer "INSERT INTO teldag_data.inspection_log (stream_id, epoch, seq, op, report_id, id, source, happened_at, recorded_at) VALUES (1, 1, 4, 'w', 'D', 'e', 's', now(), now())"
logs=$(in_database rights -At -c "SELECT relname FROM pg_class WHERE relnamespace = 'teldag_data'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname LIKE '%\_log'")
if [ "$(wc -w <<<"$logs")" -ge 15 ]; then pass; else fail "rights: logs are $logs"; fi
for log in $logs; do
    may teldag_writer "SELECT FROM teldag_data.$log"
    may_not teldag_writer "UPDATE teldag_data.$log SET seq = seq"
    may_not teldag_writer "DELETE FROM teldag_data.$log"
    may_not teldag_writer "TRUNCATE teldag_data.$log"
done
may_not teldag_writer 'DELETE FROM teldag_data.registration_log_2024'
may_not teldag_writer 'DELETE FROM teldag_data.dead_letter'
may_not teldag_writer "UPDATE teldag_data.dead_letter SET raw = ''"
may_not teldag_writer "UPDATE teldag_data.rule SET value = '9'"
may_not teldag_writer 'DELETE FROM teldag_data.shard_progress'
may_not teldag_writer "INSERT INTO teldag_data.schema_migration (version) VALUES ('9999_x')"
may_not teldag_writer 'CREATE TABLE teldag_data.x (i int)'
may_not teldag_writer 'SELECT teldag_data.grant_roles()'

# Object by object: what was decided on stands in rights.expected; what was not differs from it.
in_database rights -c 'CREATE ROLE nobody_in_particular'
# UPDATE_RIGHTS=1 writes the file anew; read the difference before committing it.
[ -z "${UPDATE_RIGHTS:-}" ] || in_database rights -At -f "$here/rights.sql" >"$here/rights.expected"
if answer=$(diff "$here/rights.expected" <(in_database rights -At -f "$here/rights.sql")); then pass; else fail "rights: not as decided (< decided, > found):
$answer"; fi
in_database rights -c 'CREATE VIEW teldag.undecided AS SELECT 1' -c 'GRANT SELECT ON teldag.undecided TO teldag_reader'
if diff -q "$here/rights.expected" <(in_database rights -At -f "$here/rights.sql") >/dev/null; then fail 'rights: a new view goes unseen'; else pass; fi
in_database rights -c 'SELECT teldag_data.grant_roles()' -o /dev/null
may_not teldag_reader 'SELECT * FROM teldag.undecided' # what no list names is taken away again
in_database rights -c 'DROP VIEW teldag.undecided'
if diff -q "$here/rights.expected" <(in_database rights -At -f "$here/rights.sql") >/dev/null; then pass; else fail 'rights: grant_roles() is not idempotent'; fi

# What a role is said to read it reads, with all that its views rest on; nothing else: rights_try.sql, a line an attempt.
in_database rights -o /dev/null -c 'CREATE TABLE t.expected (line text)' -c "\\copy t.expected FROM '$here/rights.expected' (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')"
while IFS='|' read -r role statement want got; do
    if [ "$want/$got" = may/done ] || [[ $want = 'may not' && ($got = *'permission denied'* || $got = *'must be '* || $got = *'cannot '*) ]]; then
        pass
    else
        fail "rights: $role $want: $statement: $got"
    fi
done < <(in_database rights -At -f "$here/rights_try.sql")
drop rights
fresh rights
in_database rights -o /dev/null -f "$here/world.sql"
# shellcheck source=tests/sql/rights_readers.sh
. "$here/rights_readers.sh"
drop rights

# A database owner who may not create roles migrates all the same, and is told what to run.
roles='teldag_writer teldag_reader teldag_inspection_reader teldag_board_reader teldag_school_reader teldag_public_reader'
psql -X -q -d "$(cluster_conninfo postgres)" -c 'CREATE ROLE plain LOGIN' -c 'CREATE DATABASE plain OWNER plain'
for role in $roles; do psql -X -q -d "$(cluster_conninfo postgres)" -c "ALTER ROLE $role RENAME TO aside_$role"; done
answer=$(for file in "$top"/sql/migrations/*.sql; do
    psql -X -q -v ON_ERROR_STOP=1 -1 -d "$(cluster_conninfo plain) user=plain" -f "$file" 2>&1 || echo "stopped at $file"
done)
if [[ $answer == *'roles teldag_writer and teldag_reader were not made'* && $answer == *'role teldag_board_reader was not made'* && $answer == *'SELECT teldag_data.grant_roles()'* && $answer != *stopped* ]]; then
    pass
else
    fail "rights: without CREATEROLE: $answer"
fi
# The owner itself is not shut out by the forced policies.
if answer=$(psql -X -q -At -v ON_ERROR_STOP=1 -d "$(cluster_conninfo plain) user=plain" -c "INSERT INTO teldag_data.count_closed VALUES (2024, 1, true, 1, 1)" -c 'SELECT count(*) FROM teldag_data.count_closed' 2>&1) && [ "$answer" = 1 ]; then pass; else fail "rights: the owner: $answer"; fi
for role in $roles; do psql -X -q -d "$(cluster_conninfo postgres)" -c "ALTER ROLE aside_$role RENAME TO $role"; done
if answer=$(psql -X -q -v ON_ERROR_STOP=1 -d "$(cluster_conninfo plain) user=plain" -c 'SELECT teldag_data.grant_roles()' 2>&1); then pass; else fail "rights: grant_roles later: $answer"; fi
if answer=$(diff "$here/rights.expected" <(psql -X -q -At -d "$(cluster_conninfo plain) user=plain" -f "$here/rights.sql") | grep -v '_log_20[0-9][0-9]:$' | grep '^[<>]'); then fail "rights: of another owner: $answer"; else pass; fi
psql -X -q -d "$(cluster_conninfo postgres)" -c 'DROP DATABASE plain' -c 'DROP ROLE plain, nobody_in_particular'
