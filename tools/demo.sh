#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The whole path in one go, on a private PostgreSQL in a temporary folder: generated registrations that match published
# counts go in by teldag-feed, figures and alerts come out, and three things are checked: the OKI of every published school
# is the published one, a subscriber saw every alert once and in order, and `teldagctl verify` finds nothing. Exit code 0
# only when all hold. Needs no root, no configuration, no free port in particular; leaves nothing behind, also after Ctrl-C.
# With CURVE=1 in the environment every socket is encrypted, with keys and allow-lists made in the temporary folder.
# `tools/demo.sh --keep` waits for Enter before it cleans up, so that one can look around with psql and teldagctl.
set -Eeuo pipefail
export LC_ALL=C.UTF-8 PGCLIENTENCODING=UTF8

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case ${BUILD:-build} in
/*) bin=$BUILD ;;
*) bin=$top/${BUILD:-build} ;;
esac
csv=$top/conf/data/schools_2024.csv
today=2024-06-28      # months after the count of 2024-02-01, which funds 2024-2025; deadlines of the spring have passed
count_year=2023-2024
use_year=2024-2025
streams=(school.0 registration.0 inspection.0 huisonderwijs.0 aanhuis.0 melding.0)
world=(--pupils 60000 --schools 200 --seed 1 --counts "$csv" --corrections 10 --duplicates 2)
home=''
step=''      # the command we wait for
processes=() # servers in the order of their start
failures=()
feeder_keys=() # with CURVE=1: options, settings
server_key=''
daemon_keys=''

# shellcheck source=tests/system/cluster.sh
. "$top/tests/system/cluster.sh"

# ---- small tools ----

end_process() { # pid: asks, and after five seconds insists
    local i
    kill "$1" 2>/dev/null || return 0
    for ((i = 0; i < 100; i++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

clean_up() {
    local i
    trap '' INT TERM HUP PIPE
    [ -z "$step" ] || end_process "$step"
    for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
        end_process "${processes[i]}"
    done
    cluster_stop immediate >/dev/null 2>&1 || true
    [ -z "$home" ] || rm -rf "$home"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# Stops: what went wrong, what to do, and the end of each log.
give_up() {
    local log
    printf '\ndemo: %s\n      %s\n' "$1" "$2" >&2
    for log in ${home:+"$home"/*.log} ${CLUSTER_DIR:+"$CLUSTER_DIR"/server.log}; do
        [ -s "$log" ] || continue
        printf -- '---- end of %s\n' "${log##*/}" >&2
        tail -n 15 "$log" >&2
    done
    exit 1
}

# What nothing else caught. 141: nobody reads our output any more.
unforeseen() { # exit code, line
    [ "$BASH_SUBSHELL" = 0 ] && [ "$1" != 141 ] || exit "$1"
    give_up "line $2 of tools/demo.sh failed" 'The message above, or a log below, may say why.'
}
trap 'unforeseen "$?" "$LINENO"' ERR

# Runs a command so that a signal to this script need not wait for its end.
run() {
    local code=0
    "$@" <&0 & # without the redirection bash gives it /dev/null
    step=$!
    wait "$step" || code=$?
    step=''
    return "$code"
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

number() { # 1234567 -> 1,234,567
    sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"$1"
}

# Lines longer than the screen continue on the next, further in by the blanks given (six).
wrap() {
    awk -v width=98 -v further="${1-      }" '{
        line = $0
        match(line, /^ */)
        indent = substr(line, 1, RLENGTH) further
        while (length(line) > width) {
            for (at = width; at > length(indent) && substr(line, at, 1) != " "; at--)
                ;
            if (at <= length(indent))
                break
            print substr(line, 1, at - 1)
            line = indent substr(line, at + 1)
        }
        print line
    }'
}

heading() {
    section=$((${section:-0} + 1))
    printf '\n%s\n%d. %s\n%s\n' "$(printf '=%.0s' {1..98})" "$section" "$1" "$(printf '=%.0s' {1..98})"
}
say() { printf '%s\n' "$*" | wrap ''; }
check_failed() {
    failures+=("$1")
    say "FAILED: $1"
}

table() { cluster_psql -P border=0 -P footer=off -P pager=off -P null=- "$@"; }
value() { cluster_psql -At "$@"; }

# ---- the parts ----

look_for_needs() {
    local name
    for name in teldagd teldagctl teldag-feed; do
        [ -x "$bin/$name" ] || give_up "$bin/$name is not there" "Build it first: make"
    done
    for name in psql python3 awk; do
        command -v "$name" >/dev/null || give_up "$name is not installed" "Install what is missing: make deps"
    done
    cluster_bin >/dev/null || give_up 'there is no PostgreSQL server' 'Install what is missing: make deps'
}

start_database() {
    home=$(mktemp -d "${TMPDIR:-/tmp}/teldag-demo.XXXXXX") || give_up 'no temporary folder' 'Set TMPDIR to one that can be written.'
    cluster_start teldag >"$home/cluster.log" 2>&1 || give_up 'the private PostgreSQL does not start' 'The log below says why.'
}

# A pair for the daemon, the feeders and the subscriber; who may see what.
make_keys() {
    local name
    for name in daemon feeder control; do
        "$bin/teldagctl" keys generate --out "$home/$name.secret" >/dev/null || give_up 'no keys were made' 'See above.'
    done
    printf 'keys = ( { name = "daemon"; key = "%s"; streams = ("%s"); } );\n' "$(<"$home/daemon.secret.pub")" \
        "$(IFS=, && sed 's/,/", "/g' <<<"${streams[*]}")" >"$home/feeder.allow"
    printf 'keys = ( { name = "control"; key = "%s"; streams = ("alert.*"); } );\n' "$(<"$home/control.secret.pub")" >"$home/daemon.allow"
    chmod 644 "$home"/*.allow
    feeder_keys=(--curve "$home/feeder.secret" --allow "$home/feeder.allow")
    server_key=" server_key = \"$(<"$home/feeder.secret.pub")\";"
    daemon_keys="curve = { secret = \"$home/daemon.secret\"; allow = \"$home/daemon.allow\"; control = \"$home/control.secret\"; };"
}

configure() {
    local port
    local count=$((2 * ${#streams[@]} + 2)) i list=''
    mapfile -t port < <(python3 -c 'import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print("\n".join(str(s.getsockname()[1]) for s in sockets))' "$count")
    [ ${#port[@]} = "$count" ] || give_up 'no free ports on 127.0.0.1' 'Look which ports are in use: ss -ltn'
    feed_ports=("${port[@]:2}")
    [ "${CURVE:-0}" = 0 ] || make_keys
    for i in "${!streams[@]}"; do
        list="$list${list:+,}
  { name = \"${streams[i]}\"; subscribe = \"tcp://127.0.0.1:${feed_ports[2 * i]}\"; fetch = \"tcp://127.0.0.1:${feed_ports[2 * i + 1]}\";$server_key }"
    done
    ctl=("$bin/teldagctl" -c "$home/teldagd.conf") # no function: in the background the pid must be its own
    cat >"$home/teldagd.conf" <<CONF
database = "$(cluster_conninfo)";
rules = "$top/conf/rules";
control = "$home/control.sock";
metrics = "";
streams = ($list
);
alerts = { publish = "tcp://127.0.0.1:${port[0]}"; fetch = "tcp://127.0.0.1:${port[1]}"; };
$daemon_keys
CONF
    "${ctl[@]}" migrate >"$home/migrate.log" 2>&1 || give_up "\`teldagctl migrate\` failed" 'The log below says why.'
}

# What a registry does: its events into a journal on disk. Sets events to their number.
fill_journal() { # stream feeds
    run "$bin/teldag-feed" generate "${world[@]}" --feed "$2" >"$home/events" 2>"$home/generate.log" ||
        give_up "the events of $1 were not generated" 'The log below says why.'
    run "$bin/teldag-feed" append --stream "$1" --journal "$home/$1" <"$home/events" >"$home/acks" 2>"$home/append.log" ||
        give_up "the journal of $1 was not filled" "Is there room on the disk of $home?"
    events=$(sed -n '$s/^ack //p' "$home/acks")
    [ "$events" = "$(wc -l <"$home/events")" ] || give_up "$1 acknowledged $events events of $(wc -l <"$home/events")" 'The log below says why.'
    rm "$home/events" "$home/acks"
}

serve() { # stream, ports
    "$bin/teldag-feed" serve --stream "$1" --journal "$home/$1" --publish "tcp://127.0.0.1:$2" --fetch "tcp://127.0.0.1:$3" \
        "${feeder_keys[@]}" \
        </dev/null >"$home/serve-$1.out" 2>"$home/serve-$1.log" &
    processes+=($!)
}

alerts_received() { wc -l <"$home/alerts"; }

# The subscriber first, then the daemon: alerts are seen while the events go in.
ingest() {
    local started seen=0 now took i
    : >"$home/alerts"
    for i in "${!streams[@]}"; do serve "${streams[i]}" "${feed_ports[@]:2*i:2}"; done
    "${ctl[@]}" alerts --follow --after 0 >"$home/alerts" 2>"$home/follow.log" &
    follower=$!
    processes+=("$follower")
    started=$EPOCHREALTIME
    "$bin/teldagd" -c "$home/teldagd.conf" --today "$today" >"$home/teldagd.out" 2>"$home/teldagd.log" &
    daemon=$!
    processes+=("$daemon")
    "${ctl[@]}" wait --caught-up --timeout 90 >"$home/wait.log" 2>&1 &
    step=$!
    while kill -0 "$step" 2>/dev/null; do
        now=$(alerts_received)
        if [ "$now" != "$seen" ]; then
            say "  $(seconds_since "$started") s after the start of teldagd: $now alerts received"
            seen=$now
        fi
        kill -0 "$daemon" 2>/dev/null || give_up 'teldagd stopped' 'The log below says why.'
        sleep 0.1
    done
    wait "$step" || give_up 'the events were not ingested in 90 seconds' 'The logs below may say why; is the machine busy?'
    step=''
    took=$(seconds_since "$started")
    say "  $(number "$all_events") events committed $took s after the start of teldagd, which is" \
        "$(number "$(awk -v n="$all_events" -v s="$took" 'BEGIN { printf "%d", n / s }')") a second, start-up included."
}

load_published() {
    cluster_psql -v use_year="$use_year" -v count_year="$count_year" <<'SQL' || give_up 'the published counts were not loaded' "Is $csv as it was shipped?"
CREATE SCHEMA demo;
CREATE TABLE demo.published (school_id text PRIMARY KEY, name text, municipality text, postcode text, province text, network text,
    count_date date, pupils numeric, moeder numeric, toelage numeric, taal numeric, buurt numeric);
SQL
    cluster_psql -c "\\copy demo.published FROM '$csv' (FORMAT csv, HEADER)" || give_up "$csv was not loaded" 'Is it as it was shipped?'
    cluster_psql <<SQL || give_up 'the comparison was not prepared' 'This is a fault of the demo.'
-- A published count is the nearest multiple of 0.5 to share x pupils; null when the share is unpublished.
CREATE VIEW demo.count AS
SELECT school_id, name, pupils, round(2 * moeder * pupils) / 2 AS moeder, round(2 * toelage * pupils) / 2 AS toelage,
       round(2 * taal * pupils) / 2 AS taal, round(2 * buurt * pupils) / 2 AS buurt
FROM demo.published;
CREATE VIEW demo.oki AS
SELECT p.school_id, p.name, p.pupils, round((p.buurt + p.moeder + p.toelage + p.taal) / p.pupils, 4) AS published, o.oki AS computed,
       p.buurt AS published_buurt, o.buurt, o.opleiding_moeder, o.schooltoelage, o.thuistaal,
       num_nulls(p.moeder, p.toelage, p.taal, p.buurt) AS unpublished,
       coalesce(p.pupils = o.pupils AND coalesce(p.moeder = o.opleiding_moeder, o.pupils IS NOT NULL)
                AND coalesce(p.toelage = o.schooltoelage, o.pupils IS NOT NULL) AND coalesce(p.taal = o.thuistaal, o.pupils IS NOT NULL)
                AND coalesce(p.buurt = o.buurt, o.pupils IS NOT NULL)
                AND coalesce(round((p.buurt + p.moeder + p.toelage + p.taal) / p.pupils, 4) = o.oki, o.oki IS NOT NULL), false) AS same
FROM demo.count p LEFT JOIN teldag.oki o ON o.school_id = p.school_id AND o.school_year = '$count_year';

-- Stake: what would go, or has gone. Worst first: lost, gedoogjaar, near without gedoogjaar, near.
CREATE VIEW demo.threatened AS
SELECT a.school_id, s.name, a.stream, a."group", round(100 * a.share, 1) || '%' AS share, trim_scale(100 * a.threshold) || '%' AS needs,
       a.margin_pupils, a.margin_hours, CASE t.kind WHEN 'threshold.lost' THEN b.granted ELSE a.granted END AS stake,
       split_part(t.kind, '.', 2) || CASE WHEN t.kind = 'threshold.near' AND t.severity = 'critical' THEN '!' ELSE '' END AS status,
       p.school_id IS NOT NULL AS real,
       CASE t.kind WHEN 'threshold.lost' THEN 1 WHEN 'threshold.grace' THEN 2 ELSE CASE t.severity WHEN 'critical' THEN 3 ELSE 4 END END AS worst
FROM teldag.alert t
JOIN teldag.allocation a USING (school_year, school_id, stream, "group")
JOIN teldag.school s USING (school_id)
LEFT JOIN teldag.allocation b ON b.school_year = a.count_year AND b.school_id = a.school_id AND b.stream = a.stream AND b."group" = a."group"
LEFT JOIN demo.published p ON p.school_id = a.school_id
WHERE t.kind LIKE 'threshold.%' AND t.state = 'firing' AND t.school_year = '$use_year';
SQL
}

worst_first='worst, least(margin_pupils, margin_hours), stake DESC, school_id, "group"'

show_threatened() {
    heading "The most threatened schools in $use_year"
    say "A staffing stream needs a share of pupils on the indicators (needs) and a minimum of 6 hours. 'pupils' is how many such" \
        "pupils may leave before the share fails, 'hours' how many hours lie above the minimum: below zero it fails." \
        "'stake' is what the school would lose, or has lost, in hours a week." \
        "Status: lost = nothing any more; grace = a gedoogjaar, the last year; near! = the next failure costs the hours at once;" \
        "near = the next failure costs a gedoogjaar first."
    say "The names, pupils and indicator counts of these $real_schools schools are real (AgODi, $count_year, count of 2024-02-01). How their pupils" \
        "divide over graad1, okan and graad23, and the whole year before, is not published and GENERATED: no real school" \
        "is said here to lose anything."
    printf '\nReal schools, generated split over the groups (%s rows, at most 12 shown):\n' "$(value -c 'SELECT count(*) FROM demo.threatened WHERE real')"
    table -c "SELECT school_id AS school, left(name, 26) AS name, stream, \"group\", share, needs, margin_pupils AS pupils, margin_hours AS hours,
              stake, status FROM demo.threatened WHERE real ORDER BY $worst_first LIMIT 12"
    printf 'Generated schools (%s rows, at most 10 shown):\n' "$(value -c 'SELECT count(*) FROM demo.threatened WHERE NOT real')"
    table -c "SELECT name, stream, \"group\", share, needs, margin_pupils AS pupils, margin_hours AS hours, stake, status
              FROM demo.threatened WHERE NOT real ORDER BY $worst_first LIMIT 10"
}

show_explain() {
    local school group name
    IFS=$'\t' read -r school group name < <(value -F $'\t' -c "SELECT school_id, \"group\", name FROM demo.threatened
        ORDER BY worst = 2 DESC, real DESC, $worst_first LIMIT 1")
    heading "Why: teldagctl explain $school $use_year"
    say "Every step of the hours of one school ($name, group $group), with the rule, its source, and whether somebody" \
        "has checked that parameter against its source."
    printf '\n'
    "${ctl[@]}" explain "$school" "$use_year" >"$home/explain" || give_up "\`teldagctl explain $school $use_year\` failed" 'Its message stands above.'
    # A school has a part for each group; each begins with its name.
    awk -v want="group $group," '/^School / { head = $0; next } head != "" { show = index($0, want) > 0; if (show) print head; head = "" } show' \
        "$home/explain" | sed '/^Rules set/q' | wrap
}

# A school one pupil from its threshold loses what it can lose and one pupil more, while the subscriber listens.
show_live_change() {
    local school stream group leave before sent took i
    IFS='|' read -r school stream group leave < <(value -c "SELECT school_id, stream, \"group\", margin_pupils + 1 FROM demo.threatened
        WHERE status = 'near' AND NOT real AND \"group\" = 'aanbod' AND margin_pupils >= 0 ORDER BY margin_pupils, school_id LIMIT 1")
    [ -n "${school:-}" ] || give_up 'no school lies near the threshold of its aanbod' 'Generator and rules should give some: see conf/rules.'
    heading 'Live: one pupil too many leaves'
    value -v school="$school" -v leave="$leave" -v year="$count_year" >"$home/leave" <<'SQL' || give_up 'no pupils to leave' 'See above.'
WITH going AS (
    SELECT pupil FROM teldag.registration WHERE school_id = :'school' AND school_year = :'year' AND regular AND weight = 1
        AND "group" IN ('basisaanbod', 'type3') AND 'opleiding_moeder' = ANY (indicators) ORDER BY pupil LIMIT :leave
), event AS (
    SELECT 1 AS nth, 'registration.withdraw.v1' AS type, jsonb_build_object('school_id', :'school', 'school_year', :'year', 'pupil', pupil) AS data FROM going
    UNION ALL
    SELECT 2, 'registration.closed.v1', jsonb_build_object('school_id', :'school', 'school_year', :'year', 'pupils', count(*) - :leave)
    FROM teldag.registration WHERE school_id = :'school' AND school_year = :'year'
)
SELECT jsonb_build_object('specversion', '1.0', 'id', 'demo-' || row_number() OVER (ORDER BY nth, data), 'source', 'urn:teldag:demo',
                          'type', type, 'time', '2024-03-01T09:00:00Z', 'data', data) FROM event ORDER BY nth, data;
SQL
    say "$leave pupils on opleiding moeder leave school $school, which can miss $((leave - 1)) ($stream, group $group). The registry appends" \
        "$leave withdrawals and a new closing number to its journal, as it would on any day:"
    before=$(alerts_received)
    "$bin/teldag-feed" append --stream registration.0 --journal "$home/registration.0" <"$home/leave" >"$home/acks" 2>"$home/append.log" ||
        give_up 'the withdrawals were not journalled' 'The log below says why.'
    sent=$EPOCHREALTIME
    for ((i = 0; i < 1000; i++)); do
        ! tail -n "+$((before + 1))" "$home/alerts" | grep -q "firing threshold.grace: School $school " || break
        sleep 0.01
    done
    took=$(awk -v a="$sent" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", (b - a) * 1000 }')
    printf '\n'
    tail -n "+$((before + 1))" "$home/alerts" | wrap
    printf '\n'
    if [ "$i" -lt 1000 ]; then
        say "The subscriber had it within $took milliseconds of the acknowledgement of the registry's last event."
    else
        check_failed "no alert in ten seconds after $leave pupils left school $school"
    fi
}

show_alerts() {
    local i logged received
    logged=$(value -c 'SELECT count(*) FROM teldag.alert_log')
    for ((i = 0; i < 200; i++)); do # the last ones may be on their way
        [ "$(alerts_received)" -lt "$logged" ] || break
        kill -0 "$follower" 2>/dev/null || break
        sleep 0.05
    done
    received=$(alerts_received)
    heading 'The alert stream, as a subscriber received it'
    say "\`teldagctl alerts --follow\` was listening before the first event came. A line is a change: an alert that begins to fire" \
        'or is resolved, because corrections go on arriving after a count is closed. The first three and the last three:'
    printf '\n'
    { head -n 3 "$home/alerts" && echo '...' && tail -n 3 "$home/alerts"; } | wrap
    printf '\n'
    table -c "SELECT kind, severity, count(*) FILTER (WHERE state = 'firing') AS firing, count(*) FILTER (WHERE state = 'resolved') AS resolved
              FROM teldag.alert GROUP BY kind, severity ORDER BY kind, severity"
    if [ "$received" = "$logged" ] && [ "$received" -gt 0 ] && awk '$1 != NR { exit 1 }' "$home/alerts"; then
        say "$received received, $logged in alert_log: each once, in order, none missing."
    else
        check_failed "the subscriber received $received alerts, alert_log has $logged, or they are out of order"
    fi
}

# The step an operator takes once a year: reference rates; then one alert of each kind, as an inspector reads it.
show_kinds() {
    local kind missing
    heading 'One alert of each kind'
    run "${ctl[@]}" fix reference "$count_year" >"$home/fix.log" 2>&1 || check_failed "\`teldagctl fix reference $count_year\` failed"
    wrap <"$home/fix.log"
    printf '\n'
    value -c "SELECT DISTINCT ON (kind) kind || ' (' || severity || '): ' || summary FROM teldag.alert WHERE state = 'firing'
              ORDER BY kind, (summary LIKE '%not known%'), CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, school_id DESC" |
        while read -r kind; do wrap <<<"$kind"; done
    missing=$(value -c "SELECT string_agg(k, ' ') FROM unnest(ARRAY['threshold.near', 'threshold.grace', 'threshold.lost',
        'count.incomplete', 'registration.double', 'evaluation.first_negative', 'evaluation.followup_due', 'evaluation.second_negative',
        'erkenning.ongunstig', 'huisonderwijs.control_due', 'huisonderwijs.second_insufficient', 'melding.answer_overdue', 'risk.high'])
        AS u (k) WHERE k NOT IN (SELECT kind FROM teldag.alert WHERE state = 'firing')")
    printf '\n'
    if [ -z "$missing" ]; then
        say 'All thirteen kinds that can follow from data fire; stream.gap, stream.stale and dead_letter speak of the operation and need a fault.'
    else
        check_failed "no alert fires of: $missing"
    fi
}

show_oki() {
    local same all whole
    IFS='|' read -r same all whole < <(value -c 'SELECT count(*) FILTER (WHERE same), count(*), count(*) FILTER (WHERE unpublished = 0) FROM demo.oki')
    heading 'OKI beside the published figures'
    say "The OKI of a school (0 to 4) is its pupils on buurt, opleiding moeder, schooltoelage and thuistaal together, divided by its pupils." \
        "Column published: from the counts AgODi published; computed: as teldagd computed it from $(number "$registrations") registrations one by one." \
        "The highest, the lowest, half pupils, and what is unpublished:"
    printf '\n'
    table -c "SELECT school_id AS school, left(name, 25) AS name, pupils, coalesce(trim_scale(published_buurt)::text, 'unpublished') AS buurt,
                     opleiding_moeder AS moeder, schooltoelage AS toelage, thuistaal AS taal, coalesce(published::text, 'unpublished') AS published,
                     CASE WHEN unpublished > 0 THEN '-' ELSE computed::text END AS computed, CASE WHEN same THEN 'yes' ELSE 'NO' END AS same
              FROM (SELECT *, row_number() OVER (ORDER BY computed DESC, school_id) AS high, row_number() OVER (ORDER BY computed, school_id) AS low,
                           pupils <> trunc(pupils) AND row_number() OVER (ORDER BY pupils = trunc(pupils), school_id) <= 3 AS half FROM demo.oki) o
              WHERE NOT same OR unpublished > 0 OR high <= 5 OR low <= 4 OR half ORDER BY computed DESC, school_id"
    if [ "$same" = "$real_schools" ] && [ "$all" = "$real_schools" ]; then
        say "$same of $all schools agree in every published count; $whole of them have a published OKI and agree in it." \
            "Where a share is unpublished the other figures are compared."
    else
        check_failed "OKI: $same of $real_schools schools agree with the published counts"
    fi
}

show_difference() {
    local same all
    IFS='|' read -r same all < <(value -c "SELECT count(*) FILTER (WHERE difference = 0 AND known_status = computed_status), count(*)
        FROM teldag.allocation_difference WHERE computed_status IS NOT NULL")
    heading 'Official and computed'
    say 'The agency also says what it granted (entitlement.known); view allocation_difference puts the computed hours beside it.' \
        'Here these official figures are GENERATED too, about one in fifty of them an hour off, as if the agency had seen another count.'
    printf '\n'
    table -c "SELECT school_year, school_id AS school, stream, \"group\", known_hours AS official, computed_granted AS computed, difference
              FROM teldag.allocation_difference WHERE computed_status IS NOT NULL AND (difference <> 0 OR known_status <> computed_status)
              ORDER BY abs(difference) DESC, school_year, length(school_id), school_id, \"group\" LIMIT 5"
    say "$same of $all agree; $((all - same)) differ (five are shown)."
}

show_verify() {
    local code=0 started=$EPOCHREALTIME
    heading 'teldagctl verify'
    say 'Everything is computed a second time, in SQL and from the logs alone, and compared with what stands in the tables:'
    printf '\n'
    run "${ctl[@]}" verify >"$home/verify.out" 2>&1 || code=$?
    wrap <"$home/verify.out"
    [ "$code" = 0 ] || check_failed "verify: exit code $code"
    say "In $(seconds_since "$started") s."
}

keep_open() {
    printf '\nEverything still runs. Look around in another terminal, as the same user:\n'
    printf '  psql "%s"\n  %s -c %s status\nPress Enter to clean up. ' "$(cluster_conninfo)" "$bin/teldagctl" "$home/teldagd.conf"
    read -r _ || true
}

main() {
    local began=$EPOCHREALTIME started
    case ${1:-} in
    '' | --keep) ;;
    *)
        echo 'usage: tools/demo.sh [--keep]' >&2
        exit 64
        ;;
    esac
    look_for_needs
    real_schools=$(($(wc -l <"$csv") - 1))

    heading 'A database, and the registries with their journals'
    start_database
    configure
    say "A private PostgreSQL in $CLUSTER_DIR, schema made by \`teldagctl migrate\`: $(seconds_since "$began") s."
    started=$EPOCHREALTIME
    all_events=0
    for stream in "${streams[@]}"; do
        feeds=${stream%.*}
        [ "$feeds" != school ] || feeds=school,institution,entitlement
        fill_journal "$stream" "$feeds"
        all_events=$((all_events + events))
    done
    say "$(number "$all_events") events of school years 2022-2023 and 2023-2024 generated and journalled on disk: $(seconds_since "$started") s." \
        "One registration in ten is sent wrong first and corrected later; one event in fifty is sent twice." \
        "$real_schools schools have the real numbers of pupils and indicators of AgODi's count of 2024-02-01; 200 more (ids from 900001) are generated." \
        'Inspections, huisonderwijs, onderwijs aan huis and meldingen are generated for all of them, with one story of each kind of trouble.'

    heading 'Ingestion'
    [ "${CURVE:-0}" = 0 ] || say 'CURVE: every socket is encrypted, and each side lets in only the keys on its allow-list.'
    say "teldagd starts, on a clock that says $today; a subscriber already listens for alerts."
    ingest
    registrations=$(value -c 'SELECT count(*) FROM teldag.registration')
    load_published
    printf '\n'
    "${ctl[@]}" status >"$home/status" || say 'The daemon says it is degraded:'
    wrap <"$home/status"

    show_threatened
    show_explain
    show_live_change
    show_kinds
    show_alerts
    show_oki
    show_difference
    show_verify

    heading 'In the end'
    if [ ${#failures[@]} = 0 ]; then
        say "All checks hold: OKI equal for $real_schools of $real_schools schools, every alert received once, verify clean."
    else
        printf 'FAILED: %s\n' "${failures[@]}" | wrap
    fi
    say "The demo took $(seconds_since "$began") s."
    [ "${1:-}" != --keep ] || keep_open
    [ ${#failures[@]} = 0 ] || exit 1
}

main "$@"
