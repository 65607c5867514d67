#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs inside the virtual machine of tests/boot/run.sh, as root, with systemd as process 1.
set -u
passed=0
failed=0
check() { # text, command
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok   $text"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$text" "$out"
    fi
}
not() { ! "$@"; }
within() { # seconds, command: true in time
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not within the time: $*"; systemctl --no-pager -l status teldagd | tail -25; return 1; }
        sleep 0.2
    done
}
pid_of() { systemctl show -P MainPID "$1"; }
strike() { # signal: at the daemon, which must be there
    local pid
    pid=$(pid_of teldagd)
    [ "$pid" -gt 1 ] && kill "-$1" "$pid" && echo "$pid"
}
is_healthy() { teldagctl status; }
another_pid() { local now; now=$(pid_of teldagd); [ "$now" != 0 ] && [ "$now" != "$1" ] && is_healthy; }
psql_postgres() { (cd / && runuser -u postgres -- psql -X -q -A -t "$@"); }
status_of() { grep "^$2:" "/proc/$(pid_of "$1")/status" | awk '{ print $2 }'; }

echo 'guest: begin'
# 1. What README tells an administrator to do, with a password over TCP so that the credential is needed.
systemd-sysusers && systemd-tmpfiles --create
systemctl start postgresql
psql_postgres -c "CREATE ROLE teldagd LOGIN PASSWORD 'in-the-credential'" -c 'CREATE ROLE teldag_writer NOLOGIN' \
    -c 'CREATE ROLE teldag_reader NOLOGIN' -c 'CREATE DATABASE teldag OWNER teldagd'
cat >/etc/teldagd/teldagd.conf <<'CONF'
database = "host=127.0.0.1 dbname=teldag user=teldagd";
rules = "/etc/teldagd/rules";
control = "/run/teldagd/control.sock";
streams = ( { name = "school.0"; subscribe = "tcp://127.0.0.1:5601"; fetch = "tcp://127.0.0.1:5602"; } );
alerts = { publish = "tcp://127.0.0.1:5701"; fetch = "tcp://127.0.0.1:5702"; };
CONF
mkdir -p /etc/credstore
chmod 700 /etc/credstore
(umask 077 && echo '*:*:*:teldagd:in-the-credential' >/etc/credstore/teldagd.pgpass)
check 'a pseudonym key is made' teldag-feed pseudonym-key --year 2025-2026 --out /etc/credstore/teldagd.pseudonym.key
printf 'PUBLISH=tcp://127.0.0.1:5601\nFETCH=tcp://127.0.0.1:5602\n' >/etc/teldagd/feed-school.0.env
check 'the schema is made' env PGPASSFILE=/etc/credstore/teldagd.pgpass teldagctl migrate

# 2. It starts: under its sandbox, its user, its limits, with its password.
check 'teldagd starts' systemctl start teldagd
check 'teldag-feed@school.0 starts' systemctl start teldag-feed@school.0
check 'the daemon has its database' within 60 is_healthy
[ "$failed" = 0 ] || journalctl -b --no-pager -o cat | tail -80
check 'it runs as its own user' test "$(ps -o user= -p "$(pid_of teldagd)")" = teldagd
check 'no new privileges' test "$(status_of teldagd NoNewPrivs)" = 1
check 'no capability' test "$(status_of teldagd CapBnd)" = 0000000000000000
check 'system calls are filtered' test "$(status_of teldagd Seccomp)" = 2
check 'so are the feeder'"'"'s' test "$(status_of teldag-feed@school.0 Seccomp)" = 2
check 'no core dump' grep -q 'Max core file size *0 *0' "/proc/$(pid_of teldagd)/limits"
check 'descriptors enough' grep -q 'Max open files *65536' "/proc/$(pid_of teldagd)/limits"
check 'the credential is there' test -s /run/credentials/teldagd.service/pgpass
check 'and no other user reads it' not runuser -u nobody -- cat /run/credentials/teldagd.service/pgpass
check 'nor the feeder' not runuser -u teldag-feed -- cat /run/credentials/teldagd.service/pgpass
check 'the journal is the feeder'"'"'s alone' test "$(stat -c '%U %a' /var/lib/teldag-feed/school.0)" = 'teldag-feed 700'
check 'and no pseudonym key is given to who serves it' not test -e /run/credentials/teldag-feed@school.0.service/pseudonym.key

# 3. It works: an event through all of it.
event='{"specversion":"1.0","id":"1","source":"urn:boot","type":"school.upsert.v1","time":"2025-01-01T00:00:00Z","data":{"school_id":"7","name":"Zeven","level":"bao","network":"vrij","province":null,"municipality":null,"brussels":false,"board_id":null,"closed_on":null,"successor_id":null}}'
append() { echo "${event//\"7\"/\"$1\"}" | runuser -u teldag-feed -- teldag-feed append --stream school.0 --journal /var/lib/teldag-feed/school.0; }
check 'an event is taken' append 7
check 'and arrives' teldagctl wait --caught-up --timeout 30
check 'in the database' test "$(psql_postgres -d teldag -c 'SELECT count(*) FROM teldag.school')" = 1
check 'verify is clean' env PGPASSFILE=/etc/credstore/teldagd.pgpass teldagctl verify

# 4. Who may do what over the control socket, where the daemon lives in a user namespace of its own.
usermod -a -G teldagd nobody
check 'a member of the group asks' runuser -u nobody -G teldagd -- teldagctl status
check 'and orders nothing' not runuser -u nobody -G teldagd -- teldagctl stream pause school.0
check 'its own user orders' runuser -u teldagd -- teldagctl stream pause school.0
check 'root orders' teldagctl stream resume school.0
check 'others do not connect' not runuser -u games -- teldagctl status

# 5. It comes back, and when it must not, it does not.
check 'reload is answered' systemctl reload teldagd
before=$(strike KILL)
check 'after kill -9 it is back' within 60 another_pid "$before"
append 8 >/dev/null
check 'and goes on' teldagctl wait --caught-up --timeout 30
mkdir -p /etc/systemd/system/teldagd.service.d
printf '[Service]\nWatchdogSec=10\n' >/etc/systemd/system/teldagd.service.d/fast.conf
systemctl daemon-reload
systemctl restart teldagd
before=$(pid_of teldagd)
check 'a healthy daemon feeds the watchdog' sh -c "sleep 15; test $before = \$(systemctl show -P MainPID teldagd)"
before=$(strike STOP)
check 'a frozen one is ended and comes back' within 90 another_pid "$before"
echo 'strems = ();' >>/etc/teldagd/teldagd.conf
check 'a wrong configuration fails the reload' not systemctl reload teldagd
check 'and leaves the daemon as it was' systemctl is-active teldagd
systemctl restart teldagd
sleep 5
check 'a start with it fails with 78' test "$(systemctl show -P ExecMainStatus teldagd)" = 78
check 'once' test "$(systemctl show -P NRestarts teldagd)" = 0
sed -i '/strems/d' /etc/teldagd/teldagd.conf
systemctl reset-failed teldagd
check 'mended it starts' systemctl start teldagd
systemctl kill -s KILL postgresql@15-main
append 9 >/dev/null
systemctl restart postgresql
check 'PostgreSQL killed: it goes on' within 60 teldagctl wait --caught-up --timeout 2
check 'nothing was lost' test "$(psql_postgres -d teldag -c 'SELECT count(*) FROM teldag.school')" = 3
check 'stops in time' systemctl stop teldagd teldag-feed@school.0
check 'cleanly' test "$(systemctl show -P Result teldagd)" = success
check 'no system call was refused' not journalctl -b -k --grep 'audit: type=1326' -q
for unit in teldagd.service teldag-feed@school.0.service; do
    check "exposure of $unit, as it ran" systemd-analyze security --threshold=11 "$unit"
    systemd-analyze security "$unit" | tail -1
done
[ "$failed" = 0 ] || journalctl -b -u teldagd -u teldag-feed@school.0 --no-pager | tail -60
echo "$passed passed, $failed failed"
