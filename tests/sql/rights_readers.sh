# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# What a reader bound to a board or a school obtains when it tries, as a login of its own, not as a superuser who plays it; sourced
# by rights.sh, in its database. Each attempt goes into the table of docs/security.md with the rows it obtained.

login() { # login role, psql arguments
    local role=$1
    shift
    PGOPTIONS='-c client_min_messages=notice' psql -X -q -At -v ON_ERROR_STOP=1 -d "$(cluster_conninfo rights) user=$role" "$@" 2>&1
}
attempts=()
# An attempt as ann, reader of board B1 with school 1: what it obtains must be exactly this ("refused" for an error).
obtains() { # what, text of the attempt, statements...
    local want=$1 attempt=$2 got statements=()
    shift 2
    for statement in "$@"; do statements+=(-c "$statement"); done
    if got=$(login ann "${statements[@]}"); then :; elif [[ $got == *'permission denied'* || $got == *'must be '* || $got == *'row-level security'* || $got == *'does not exist'* ]]; then got=refused; fi
    attempts+=("$attempt"$'\t'"$got")
    if [ "$got" = "$want" ]; then pass; else fail "rights: $attempt: obtained $got, want $want"; fi
}

in_database rights -o /dev/null -c 'CREATE ROLE ann LOGIN' -c 'CREATE ROLE bob LOGIN' -c 'CREATE ROLE pat LOGIN' -c "
    UPDATE teldag_data.school_log SET board_id = 'B' || school_id" -c "SELECT teldag_data.grant_board('ann', 'B1'), teldag_data.grant_board('bob', 'B2'), teldag_data.grant_school('pat', '3')"
of_all=$(in_database rights -At -c 'SELECT count(DISTINCT school_id) FROM teldag.count')
if [ "$of_all" -ge 4 ]; then pass; else fail "rights: only $of_all schools to hide"; fi
schools="SELECT string_agg(DISTINCT school_id, ' ') FROM teldag_own"
obtains 1 'a board reader reads the counts' "$schools.count"
if [ "$(login bob -c "$schools.count")" = 2 ]; then pass; else fail 'rights: bob'; fi
if [ "$(login pat -c "$schools.count")" = 3 ]; then pass; else fail 'rights: pat'; fi
obtains 1 'the same through a prepared statement' "PREPARE q (text) AS SELECT school_id FROM teldag_own.school WHERE school_id <> \$1" "EXECUTE q ('0')"
obtains 0 'a board reader asks for a school of another board' "SELECT count(*) FROM teldag_own.count WHERE school_id = '2'"
obtains refused 'a board reader becomes the reader of another board' 'SET ROLE bob' "$schools.count"
obtains refused 'a board reader becomes the writer' 'SET ROLE teldag_writer' 'SELECT count(*) FROM teldag_data.count_state'
obtains refused 'a board reader becomes another by SET SESSION AUTHORIZATION' 'SET SESSION AUTHORIZATION bob' "$schools.count"
obtains 0 'a board reader drops to the group role' 'SET ROLE teldag_board_reader' 'SELECT count(*) FROM teldag_own.count'
obtains refused 'a board reader turns row security off' 'SET row_security = off' "$schools.count"
obtains 1 'a board reader sets settings of its own' "SET teldag.board_id = 'B2'" "SET search_path = pg_temp, teldag_own" "$schools.count"
obtains refused 'a board reader reads a table by its name' 'SELECT count(*) FROM teldag_data.count_state'
obtains refused 'a board reader asks for the schools of another reader' "SELECT teldag_data.own_schools('bob')"
obtains refused 'a board reader binds itself to another board' "INSERT INTO teldag_data.reader_scope (role, board_id) VALUES ('ann', 'B2')"
obtains refused 'a board reader reads all schools' "SELECT count(*) FROM teldag.count"
obtains refused 'a board reader reads registrations' 'SELECT count(*) FROM teldag.registration'
obtains 0 'a board reader looks for values in pg_stats' "SELECT count(*) FROM pg_stats WHERE schemaname LIKE 'teldag%'"
# A function of its own within the query, cheap, so that the planner would like to ask it first: of a view without barrier it would
# see every row.
obtains '1' 'a board reader lets a function of its own look at the rows' \
    "CREATE FUNCTION pg_temp.look(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS \$\$ BEGIN PERFORM set_config('ann.seen', current_setting('ann.seen', true) || ' ' || t, false); RETURN true; END \$\$" \
    "SELECT set_config('ann.seen', '', false) FROM (SELECT count(*) FROM (SELECT set_config('ann.seen', '', false)) x) y WHERE false" \
    "SET ann.seen = ''" \
    "DO \$\$ BEGIN PERFORM 1 FROM teldag_own.count WHERE pg_temp.look(school_id); PERFORM 1 FROM teldag_own.school WHERE pg_temp.look(school_id);
       PERFORM 1 FROM teldag_own.allocation WHERE pg_temp.look(school_id); PERFORM 1 FROM teldag_own.alert WHERE pg_temp.look(school_id); 
       PERFORM 1 FROM teldag_own.alert_log WHERE pg_temp.look(school_id); PERFORM 1 FROM teldag_own.oki WHERE pg_temp.look(school_id);
       PERFORM 1 FROM teldag_own.evaluation WHERE pg_temp.look(school_id); PERFORM 1 FROM teldag_own.working_budget WHERE pg_temp.look(school_id);
       PERFORM 1 FROM teldag_own.inspection WHERE pg_temp.look(school_id); PERFORM 1 FROM teldag_own.melding WHERE pg_temp.look(school_id); END \$\$" \
    "SELECT string_agg(DISTINCT s, ' ') FROM unnest(string_to_array(btrim(current_setting('ann.seen')), ' ')) AS s WHERE s <> ''"
obtains 0 'a board reader provokes an error that would quote another row' "SELECT count(*) FROM teldag_own.count WHERE school_id <> '1' AND school_id::date IS NULL"
obtains refused 'a board reader copies a table' 'COPY teldag_data.count_state TO STDOUT'
obtains refused 'a board reader makes a view of the owner its own' 'ALTER VIEW teldag_own.count SET (security_invoker = false)'
obtains refused 'a board reader makes a function run as the owner' 'CREATE FUNCTION teldag_own.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$'
# EXPLAIN ANALYZE says which nodes ran and how many rows each gave: it must not tell whether another school, or a school year
# that is not published yet, has a value. Every view, every column of a type that can be asked for.
plans() { # login, schema, known
    in_database rights -At -v schema="$2" -v known="$3" -f "$here/rights_plans.sql" >"$CLUSTER_DIR/plans.sql"
    login "$1" -f "$CLUSTER_DIR/plans.sql"
}
same_plans() { # login, schema, text of the attempt, where from, known...
    local who=$1 schema=$2 attempt=$3 where=$4 nothing known plan got=0
    shift 4
    nothing=$(plans "$who" "$schema" nothing) || true
    if [ "$(grep -c "^$schema\." <<<"$nothing")" -ge 40 ] && [[ $nothing != *ERROR* ]]; then pass; else fail "rights: plans of $schema: $nothing"; fi
    for known in "$@"; do
        if plan=$(diff <(echo "$nothing") <(plans "$who" "$schema" "$known")); then pass; else
            fail "rights: $schema: plans tell that a $known exists: $(head -20 <<<"$plan")"
            got=$((got + $(grep -c '^>' <<<"$plan")))
        fi
    done
    attempts+=("$attempt"$'\t'"$got"$'\t'"$where")
}
same_plans ann teldag_own 'EXPLAIN ANALYZE tells whether another school has a value' 'SQL login bound to board B1' school value
in_database rights -o /dev/null -c 'CREATE ROLE tim LOGIN IN ROLE teldag_public_reader' -c "UPDATE teldag_data.shard_progress SET today = '1995-01-01'"
same_plans tim teldag_public 'EXPLAIN ANALYZE tells what is not published' 'SQL login of teldag_public_reader' value

if answer=$("$(cluster_bin)/pg_dump" -d "$(cluster_conninfo rights) user=ann" -n teldag_own -n teldag_data -n teldag 2>&1); then
    fail 'rights: ann dumps'
elif [[ $answer == *'permission denied'* && $answer != *COPY* ]]; then
    pass
else
    fail "rights: pg_dump as ann: $answer"
fi
attempts+=($'a board reader runs pg_dump\trefused')
# The owner's dump: pg_dump turns row security off, which a forced policy refuses; with --enable-row-security it has every row.
in_database rights -o /dev/null -c 'CREATE ROLE holder' -c "DO \$\$ DECLARE t regclass; BEGIN
    FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO holder', t); END LOOP; END \$\$" -c 'GRANT USAGE ON SCHEMA teldag_data TO holder' \
    -c 'SELECT teldag_data.grant_roles()' -c 'ALTER ROLE holder LOGIN'
rows=$(in_database rights -At -c 'SELECT count(*) FROM teldag_data.count_state')
if "$(cluster_bin)/pg_dump" -d "$(cluster_conninfo rights) user=holder" -t teldag_data.count_state >/dev/null 2>&1; then fail 'rights: FORCE does not reach the owner'; else pass; fi
if [ "$("$(cluster_bin)/pg_dump" -d "$(cluster_conninfo rights) user=holder" -a --enable-row-security -t teldag_data.count_state | grep -c '^20[0-9][0-9]')" = "$rows" ]; then pass; else fail "rights: the owner's dump has not $rows rows"; fi
# A table whose policies were forgotten shows nothing, to the owner neither.
if [ "$(login holder -c 'BEGIN; DROP POLICY owner ON teldag_data.count_state; SELECT count(*) FROM teldag_data.count_state; ROLLBACK')" = 0 ]; then pass; else fail 'rights: without a policy the owner sees rows'; fi

printf '%s\n' "${attempts[@]}" | /usr/bin/python3 -c '
import sys
sys.path.insert(0, sys.argv[1] + "/tests/system")
sys.argv[0] = "rights_readers.sh"
from security_record import record
for line in sys.stdin:
    attempt, got, *where = line.rstrip("\n").split("\t")
    record(attempt, where[0] if where else "SQL login bound to board B1", {"refused": "refused", "0": "0 rows"}.get(got, "only rows of its own school"))
' "$top"
in_database rights -c 'REASSIGN OWNED BY holder TO postgres' -c 'DROP OWNED BY holder, ann, bob, pat, tim' -c 'DROP ROLE holder, ann, bob, pat, tim'
