#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Patroni set-up that docs/reliability.md describes, as plain processes on loopback: three nodes and an etcd. The leader is
killed under load, and later the lead is switched over: nothing lost, nothing twice, the alert epoch kept. Prints
the gaps. Needs the Debian packages patroni and etcd-server: make check-patroni."""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import flow  # noqa: E402
from flow import Follower, Producer, wait_for  # noqa: E402
from harness import Cluster, World, free_ports, main  # noqa: E402
from record import record  # noqa: E402
from standby import lost_and_doubled  # noqa: E402

NODES = 3  # with two, strict synchronous mode waits until the lost one is back
CONF = """
scope: teldag
name: {name}
restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}
etcd3: {{host: '127.0.0.1:{etcd}'}}
bootstrap:
  dcs:
    ttl: 10
    loop_wait: 2
    retry_timeout: 3
    synchronous_mode: true
    synchronous_mode_strict: true
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      parameters: {{synchronous_commit: 'on', wal_log_hints: 'on', track_commit_timestamp: 'on', max_connections: 40}}
  initdb: [encoding: UTF8, locale: C.UTF-8]
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {home}/{name}
  bin_dir: {bin}
  pgpass: {home}/{name}.pgpass
  authentication: {{superuser: {{username: postgres, password: none}}, replication: {{username: postgres, password: none}}}}
  parameters: {{unix_socket_directories: '{home}', logging_collector: 'off'}}
"""


class Patroni(Cluster):
    """Looks like a cluster: questions go to whoever leads."""

    def __init__(self):
        self.env = dict(os.environ)
        self.home = self.shell("""
            dir=$(mktemp -d "${TMPDIR:-/tmp}/teldag-patroni.XXXXXX") && chmod 755 "$dir"
            if [ "$(id -u)" = 0 ]; then chown "$(cluster_user)" "$dir"; fi
            echo "$dir" """).strip()
        self.bin = self.shell("cluster_bin").strip()
        client, peer, *ports = free_ports(2 + 2 * NODES)
        self.ports, self.rest = ports[:NODES], ports[NODES:]
        self.conninfo = ("host=%s port=%s dbname=teldag user=postgres target_session_attrs=read-write"
                         % (",".join(["127.0.0.1"] * NODES), ",".join(map(str, self.ports))))
        for i in range(NODES):
            with open(self.home + "/n%d.yml" % i, "w") as out:
                out.write(CONF.format(name="n%d" % i, rest=self.rest[i], etcd=client, port=self.ports[i], home=self.home, bin=self.bin))
        self.processes = {"etcd": self.spawn(
            "etcd", "/usr/bin/etcd", "--data-dir", self.home + "/etcd", "--listen-client-urls", "http://127.0.0.1:%d" % client,
            "--advertise-client-urls", "http://127.0.0.1:%d" % client, "--listen-peer-urls", "http://127.0.0.1:%d" % peer,
            "--initial-advertise-peer-urls", "http://127.0.0.1:%d" % peer, "--initial-cluster", "default=http://127.0.0.1:%d" % peer)}
        time.sleep(1)
        self.start(0)
        wait_for(lambda: self.leader() == 0, 60, "no leader: see " + self.home)
        for i in range(1, NODES):
            self.start(i)
        wait_for(lambda: self.standbys() == NODES - 1, 60, "no synchronous standby")
        self.sql("CREATE DATABASE teldag", self.conninfo.replace("dbname=teldag", "dbname=postgres"))

    def spawn(self, name, *argv):
        with open("%s/%s.log" % (self.home, name), "ab") as log:
            script = ". tests/system/cluster.sh; cluster_as %s & echo $!; wait" % " ".join("'%s'" % a for a in argv)
            shell = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            pid = int(shell.stdout.readline())
            threading.Thread(target=lambda: [log_line for log_line in shell.stdout], daemon=True).start()
        return shell, pid

    def start(self, i):
        self.processes[i] = self.spawn("n%d" % i, "/usr/bin/patroni", self.home + "/n%d.yml" % i)

    def ask(self, i, path="/patroni", **post):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.rest[i], path), json.dumps(post).encode() if post else None,
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20 if post else 2) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError:
            return ""

    def leader(self):
        for i in range(NODES):
            state = json.loads(self.ask(i) or "{}")
            if state.get("role") in ("master", "primary") and state.get("state") == "running":
                return i
        return None

    def standbys(self):
        """How many stream; 0 while none of them is synchronous, for PostgreSQL and for Patroni."""
        leader = self.leader()
        members = json.loads(self.ask(leader, "/cluster") or "{}").get("members", []) if leader is not None else []
        roles = [m["role"] for m in members if m.get("lag") == 0 and m["state"] in ("running", "streaming")]
        return len(roles) if "sync_standby" in roles else 0

    def sync_standby(self):
        members = json.loads(self.ask(self.leader(), "/cluster"))["members"]
        return next(int(m["name"][1:]) for m in members if m["role"] == "sync_standby")

    def descendants(self, pid):
        found = subprocess.run(["ps", "-eo", "pid=,ppid="], stdout=subprocess.PIPE, text=True).stdout.split("\n")
        tree = [tuple(map(int, line.split())) for line in found if line.strip()]
        below = [pid]
        for p in below:
            below += [child for child, parent in tree if parent == p]
        return below

    def kill(self, i):
        """As if its machine went away: its Patroni and its PostgreSQL, at once."""
        shell, pid = self.processes[i]
        with open("%s/n%d/postmaster.pid" % (self.home, i)) as f:
            postmaster = int(f.readline())
        victims = set(self.descendants(pid)) | set(self.descendants(postmaster))
        for victim in sorted(victims):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shell.wait()

    def promoted(self, i):
        """Waits until node i is no standby; the moment."""
        conninfo = "host=127.0.0.1 port=%d dbname=postgres user=postgres" % self.ports[i]
        wait_for(lambda: self.sql("SELECT pg_is_in_recovery()", conninfo) == [["f"]], 60, "node %d is not promoted" % i)
        return time.time()

    def first_commit(self, after):
        return float(self.sql("SELECT extract(epoch FROM min(pg_xact_commit_timestamp(xmin))) FROM teldag_data.registration_log"
                              " WHERE pg_xact_commit_timestamp(xmin) > to_timestamp(%.6f)" % after)[0][0])

    def stop(self):
        for i in range(NODES):
            if i in self.processes and self.processes[i][0].poll() is None:
                self.kill(i)
        shell, pid = self.processes["etcd"]
        for p in self.descendants(pid):
            os.kill(p, signal.SIGTERM)
        shell.wait(20)
        subprocess.run(["rm", "-rf", self.home], check=True)


def test_leader_is_killed_and_lead_is_switched():
    schools, registrations, summary = flow.split_generated("--pupils", 6000, "--schools", 40, "--seed", random.randrange(1 << 31),
                                                           "--corrections", 10, "--duplicates", 5, "--bad", 2)
    with World(cluster=False) as w:
        w.cluster = p = Patroni()
        producers = [Producer(w.feed("school.0"), schools), Producer(w.feed("registration.0"), registrations)]
        d = w.daemon([x.feed for x in producers], conninfo=p.conninfo).migrate().start()
        d.caught_up()
        follower, figures = Follower(d), []
        epoch = p.one("SELECT alert_epoch FROM teldag_data.shard_progress")
        for act, share in (("leader killed", 0.5), ("switchover", 1.0)):
            threads = [x.start(int(len(x.lines) * share) - x.sent, 0.15, (5, 20)) for x in producers]
            time.sleep(1.5)
            leader, heir = p.leader(), p.sync_standby()
            started = time.time()
            in_flight = sum(x.feed.acked for x in producers)
            if act == "leader killed":
                p.kill(leader)
            else:
                switched = p.ask(leader, "/switchover", leader="n%d" % leader, candidate="n%d" % heir)
                assert "Successfully" in switched, switched
            promoted = p.promoted(heir)
            for thread in threads:
                thread.join()
            for x in producers:
                x.settle()
            d.caught_up(120)
            first = p.first_commit(promoted - 0.3)
            print("%s: promoted after %.2f s, first commit %.2f s after that, %.2f s in all"
                  % (act, promoted - started, first - promoted, first - started), flush=True)
            if act == "leader killed":
                p.start(leader)
                wait_for(lambda: p.standbys() == NODES - 1, 90, "the killed node does not come back as a standby")
            figures.append((act, sum(x.feed.acked for x in producers) - in_flight, max(0, first - promoted)))
        for x in producers:
            flow.expect_positions(p, x.feed.stream, len(x.lines))
        flow.expect_summary(p, summary)
        flow.expect_alert_log(p)
        flow.expect_no_differences(d)
        assert p.one("SELECT alert_epoch FROM teldag_data.shard_progress") == epoch and p.one("SELECT count(*) FROM teldag.alert_epoch") == "0"
        follower.expect(p)
        assert follower.stop() == 0
        d.verify()
        lost, doubled = lost_and_doubled(p, {x.feed.stream: len(x.lines) for x in producers})
        for act, in_flight, seconds in figures:
            record("Patroni: " + act, in_flight=in_flight, lost=lost, doubled=doubled, recovery_s=seconds)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
