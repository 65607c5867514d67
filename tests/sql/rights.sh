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
    elif [[ $answer == *'permission denied'* ]]; then
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

for view in $(in_database rights -At -c "SELECT viewname FROM pg_views WHERE schemaname = 'teldag'"); do
    may teldag_reader "SELECT * FROM teldag.\"$view\""
done
for table in $(in_database rights -At -c "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'teldag_data'
                                        UNION SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname IN ('teldag_data', 'teldag_check')"); do
    may_not teldag_reader "SELECT FROM $table"
done
may_not teldag_reader 'SELECT teldag_data.ensure_year(2032::smallint)'
may_not teldag_reader 'DELETE FROM teldag.alert'
may_not teldag_reader 'CREATE VIEW teldag.x AS SELECT 1'
drop rights

# A database owner who may not create roles migrates all the same, and is told what to run.
psql -X -q -d "$(cluster_conninfo postgres)" -c 'CREATE ROLE plain LOGIN' -c 'CREATE DATABASE plain OWNER plain'
psql -X -q -d "$(cluster_conninfo postgres)" -c 'ALTER ROLE teldag_writer RENAME TO w' -c 'ALTER ROLE teldag_reader RENAME TO r'
answer=$(for file in "$top"/sql/migrations/*.sql; do
    psql -X -q -v ON_ERROR_STOP=1 -1 -d "$(cluster_conninfo plain) user=plain" -f "$file" 2>&1 || echo "stopped at $file"
done)
if [[ $answer == *'roles teldag_writer and teldag_reader were not made'* && $answer == *'SELECT teldag_data.grant_roles()'* && $answer != *stopped* ]]; then
    pass
else
    fail "rights: without CREATEROLE: $answer"
fi
psql -X -q -d "$(cluster_conninfo postgres)" -c 'ALTER ROLE w RENAME TO teldag_writer' -c 'ALTER ROLE r RENAME TO teldag_reader'
if answer=$(psql -X -q -v ON_ERROR_STOP=1 -d "$(cluster_conninfo plain) user=plain" -c 'SELECT teldag_data.grant_roles()' 2>&1); then pass; else fail "rights: grant_roles later: $answer"; fi
psql -X -q -d "$(cluster_conninfo postgres)" -c 'DROP DATABASE plain' -c 'DROP ROLE plain'
