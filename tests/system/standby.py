# SPDX-License-Identifier: MIT
"""A second PostgreSQL for a system test: a physical standby of a private cluster, or a copy of one (a backup) to restore."""
import os
import sys
import time

import flow
from harness import TOP, Cluster, wait_for


class Copy(Cluster):
    """pg_basebackup of a running cluster into a folder of its own, not started."""

    def __init__(self, source, *options):
        self.env = dict(source.env)
        script = """
            dir=$(mktemp -d "${TMPDIR:-/tmp}/teldag-pg.XXXXXX") && chmod 755 "$dir" && mkdir "$dir/socket"
            if [ "$(id -u)" = 0 ]; then chown -R "$(cluster_user)" "$dir"; fi
            cluster_as "$(cluster_bin)/pg_basebackup" -D "$dir/data" -d "host=%s/socket user=postgres application_name=standby" \\
                -X stream -c fast --no-sync %s >&2 || exit 1
            printf "unix_socket_directories = '%%s/socket'\\n" "$dir" >>"$dir/data/postgresql.conf"
            echo "$dir" """ % (source.dir, " ".join(options))
        self.dir = self.shell(script).strip().splitlines()[-1]
        self.conninfo = "host=%s/socket dbname=teldag user=postgres" % self.dir


class Standby(Copy):
    """Streams from source; with synchronous=True the source waits for it at every COMMIT."""

    def __init__(self, source, synchronous=True):
        super().__init__(source, "-R")
        self.up()
        if synchronous:
            source.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            source.sql("SELECT pg_reload_conf()")
            wait_for(lambda: source.sql("SELECT sync_state FROM pg_stat_replication") == [["sync"]], 20, "the standby is not synchronous")

    def promote(self):
        """Returns the moment the order was given, and the moment it was a primary."""
        asked = time.time()
        assert self.one("SELECT pg_promote(true, 60)") == "t"
        return asked, time.time()


def hosts(*folders, more="target_session_attrs=read-write"):
    """One connection string for several servers, in this order; a folder holds the socket."""
    return "host=%s dbname=teldag user=postgres %s" % (",".join(folders), more)


def socket_of(cluster):
    return cluster.dir + "/socket"


def lost_and_doubled(cluster, sent):
    """sent: stream to the number of lines it acknowledged. Counted over every log and dead letter, by epoch and sequence."""
    lost = doubled = 0
    for stream, count in sent.items():
        rows = cluster.sql("WITH p AS (%s) SELECT count(*), count(DISTINCT (epoch, seq)) FROM p JOIN teldag_data.stream s USING (stream_id)"
                           " WHERE s.name = '%s'" % (" UNION ALL ".join("SELECT stream_id, epoch, seq FROM teldag_data." + log
                                                                        for log in flow.LOGS), stream))
        stored, distinct = map(int, rows[0])
        lost += max(0, count - distinct)
        doubled += stored - distinct
    return lost, doubled


def note(fault, cluster, feeds, in_flight, seconds, injected=1):
    """A row for the table of docs/reliability.md, when the fault campaign runs this test ($FAULTS_OUT)."""
    if not os.environ.get("FAULTS_OUT"):
        return
    sys.path.insert(0, os.path.join(TOP, "tests/faults"))
    from record import record
    lost, doubled = lost_and_doubled(cluster, {f.stream: f.acked for f in feeds})
    record(fault, injected=injected, in_flight=in_flight, lost=lost, doubled=doubled, recovery_s=seconds)
