# SPDX-License-Identifier: MIT
"""What the tests of the environment's faults share: real feeders, a real daemon, a real PostgreSQL and a real subscriber of
alerts, events that flow while something breaks, and the account afterwards: every line sent against every row of the logs
and every dead letter, by stream, epoch, sequence and content; the alerts; verify; memory; the time to recover."""
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import record  # noqa: E402  (puts tests/system on the path)
import flow  # noqa: E402
import harness  # noqa: E402
from flow import Follower, Producer, wait_for  # noqa: E402
from harness import SEED, SLOW, World  # noqa: E402,F401

LONG = bool(os.environ.get("FAULTS_LONG")) or os.environ.get("FAULT_FORM") == "long"
RSS_MAX = int(float(os.environ.get("FAULTS_RSS_MAX") or 250e6))  # of the daemon, in every scene


class Skip(Exception):
    """The machine does not allow the fault; it is counted and shown, never silently passed."""


def main(tests):
    """harness.main with skips: the line says so, and so does the sum."""
    names = sys.argv[1:] or list(tests)
    skipped = []

    def wrapped(name):
        def run():
            try:
                tests[name]()
            except Skip as why:
                skipped.append(name)
                print("SKIP %s: %s" % (name, why), flush=True)
                sys.stderr.write("SKIP %s: %s\n" % (name, why))
        return run
    try:
        harness.main({name: wrapped(name) for name in names})
    finally:
        if skipped:
            print("%d SKIPPED: %s" % (len(skipped), ", ".join(skipped)), flush=True)
            print("%d passed, 0 failed" % (len(names) - len(skipped)) if len(names) > len(skipped) else "0 passed, 0 failed", flush=True)


class Memory:
    """Peak resident memory of processes, sampled."""

    def __init__(self):
        self.peak, self.watched, self.stopping = {}, {}, False
        threading.Thread(target=self.run, daemon=True).start()

    def watch(self, name, process):
        self.watched[name] = process

    def run(self):
        while not self.stopping:
            for name, process in list(self.watched.items()):
                try:
                    self.peak[name] = max(self.peak.get(name, 0), flow.rss(process().pid))
                except (OSError, AttributeError):
                    pass
            time.sleep(0.05)


class Account:
    """Lines sent and what became of each."""

    def __init__(self):
        self.lost = self.doubled = 0
        self.first = []

    def note(self, text):
        if len(self.first) < 5:
            self.first.append(text)


def plain(data):
    """Dead letters are kept without national numbers."""
    return re.sub(rb"rrn:#", b"#", re.sub(rb"(rrn:)?\d[\d./ -]{9,16}\d", b"#", data))


def same(line, row):
    """Is that row what this line says? The whole key and the event's own id; a dead letter is compared byte by byte."""
    event_id, school, pupil, group, raw = row
    if raw is not None:
        raw = bytes.fromhex(raw)
        if b'"rrn:#"' in raw:  # as the feeder journalled it
            line = re.sub(rb'"rrn:[^"]*"', b'"rrn:#"', line)
            raw = re.sub(rb',"pupilfault":"[a-z_]*"', b"", raw)
        return plain(raw) == plain(line) or b"teldagd_oversize" in raw or len(line) > 1 << 20
    data = json.loads(line)
    if data["id"] != event_id or school != str(data["data"].get("school_id")):
        return False
    if not data["type"].startswith("registration."):
        return True
    return (pupil or "").replace("-", "") == data["data"].get("pupil", "").lower() and (group or "") == data["data"].get("group", "")


def account(cluster, producers):
    """Counts what is missing, wrong, or there more than once."""
    result = Account()
    for p in producers:
        rows = cluster.sql("""
            WITH l AS (SELECT stream_id, epoch, seq, id, school_id::text, NULL::uuid AS pupil, NULL AS grp, NULL AS raw FROM teldag_data.school_log
             UNION ALL SELECT stream_id, epoch, seq, id, school_id::text, NULL, NULL, NULL FROM teldag_data.entitlement_log
             UNION ALL SELECT stream_id, epoch, seq, id, school_id::text, pupil, CASE WHEN op <> 'w' THEN grp END, NULL FROM teldag_data.registration_log
             UNION ALL SELECT stream_id, epoch, seq, NULL, NULL, NULL, NULL, encode(raw, 'hex') FROM teldag_data.dead_letter)
            SELECT seq, id, school_id, pupil, grp, raw FROM l
            WHERE stream_id = (SELECT stream_id FROM teldag_data.stream WHERE name = '%s') ORDER BY epoch, seq""" % p.feed.stream)
        seen = {}
        for row in rows:
            seen.setdefault(int(row[0]), []).append(row[1:])
        for seq, line in enumerate(p.lines[:p.sent], 1):
            got = seen.pop(seq, [])
            if not any(same(line, row) if row[4] is not None or row[0] is not None else False for row in got):
                result.lost += 1
                result.note("%s %d: sent %s, there %s" % (p.feed.stream, seq, line[:500], [r[:4] + [r[4] and bytes.fromhex(r[4])[:500]] for r in got]))
            result.doubled += max(0, len(got) - 1)
        for seq, got in seen.items():
            result.doubled += len(got)
            result.note("%s %d: never sent, there %s" % (p.feed.stream, seq, got))
    return result


class Scene:
    """school.0 and registration.0 with generated events, a daemon, a follower. via: stream -> (publish, fetch) as the daemon
    reaches them, alerts: (publish, fetch) as the follower does."""

    def __init__(self, world, pupils=1500, schools=30, via=None, feeds=None, follow=True, **options):
        school_lines, lines, self.summary = flow.split_generated("--pupils", pupils, "--schools", schools, "--seed", random.randrange(1 << 31),
                                                                 "--corrections", 10, "--duplicates", 3, "--bad", 1)
        self.world, self.cluster = world, world.cluster
        feeds = feeds or [world.feed("school.0"), world.feed("registration.0")]
        self.producers = [Producer(feeds[0], school_lines), Producer(feeds[1], lines)]
        self.daemon = world.daemon([via(f) for f in feeds] if via else feeds, **options).migrate()
        self.memory = Memory()
        self.memory.watch("daemon", lambda: self.daemon.process)
        for p in self.producers:
            self.memory.watch(p.feed.stream, lambda p=p: p.feed.process)
        self.follow, self.follower, self.waiting = follow, None, 0

    def start(self, *extra):
        self.daemon.start(*extra)
        self.daemon.caught_up()
        if self.follow:
            self.follower = Follower(self.daemon)
        return self

    def total(self):
        return sum(len(p.lines) for p in self.producers)

    def committed(self):
        try:
            return sum(int(r[0]) - 1 for r in self.cluster.sql("SELECT next_seq FROM teldag.feed_progress"))
        except RuntimeError:
            return None

    def send(self, share, pause=0.0):
        """Lines up to that share of all, waiting until they are acknowledged."""
        for p in self.producers:
            p.send(int(len(p.lines) * share) - p.sent, pause)
            p.settle()

    def flow(self, share, pause=0.004, pieces=(1, 3, 10, 30)):
        """The same in threads, not waited for; small pieces make many messages."""
        return [p.start(int(len(p.lines) * share) - p.sent, pause, pieces) for p in self.producers]

    def fault(self):
        """The fault strikes now: what is in flight is counted from here."""
        self.before = self.committed() or 0
        return self.before

    def recovered(self, name, injected=1, since=None, share=1.0, seconds=60, operator=None):
        """After the fault's end: everything sent is in, once, and shown; recorded and printed."""
        since = since or time.monotonic()
        for p in self.producers:
            p.send(int(len(p.lines) * share) - p.sent)
            p.settle()
        sent = sum(p.sent for p in self.producers)
        if operator:
            wait_for(lambda: operator() or self.daemon.run("wait", "--caught-up", "--timeout", "1").returncode == 0, seconds, name + ": not caught up")
        else:
            self.daemon.caught_up(seconds)
        if self.follower:
            self.follower.expect(self.cluster, seconds)
        took = time.monotonic() - since
        result = account(self.cluster, self.producers)
        record.record(name, injected=injected, in_flight=max(0, sent - self.before), lost=result.lost, doubled=result.doubled, recovery_s=took)
        print("     %s: %d times, %d events in flight, %d lost, %d doubled, recovered in %.2f s; peak memory %s" % (
            name, injected, sent - self.before, result.lost, result.doubled, took,
            ", ".join("%s %.0f MB" % (k, v / 1e6) for k, v in sorted(self.memory.peak.items()))), flush=True)
        assert result.lost == 0 and result.doubled == 0, result.first
        assert self.memory.peak.get("daemon", 0) < RSS_MAX, self.memory.peak
        flow.expect_alert_log(self.cluster)
        if share == 1.0:
            flow.expect_summary(self.cluster, self.summary)
        status = flow.expect_no_differences(self.daemon)
        self.daemon.verify()
        return status

    def status(self, wanted=1):
        """Reasons of status; its exit code must be wanted."""
        done = self.daemon.run("--json", "status")
        assert done.returncode == wanted, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)["reasons"]

    def says(self, *texts, seconds=20):
        """status (and the log) comes to say each of these."""
        def said():
            done = self.daemon.run("--json", "status")
            reasons = " ".join(json.loads(done.stdout)["reasons"]) if done.stdout.startswith("{") else done.stdout + done.stderr
            self.last = reasons
            return done.returncode == 1 and all(t in reasons for t in texts)
        wait_for(said, seconds, "status says %s" % (texts,))
        return self.last


class Endpoints:
    """What a daemon needs to know of a feed, with other addresses."""

    server_key = None

    def __init__(self, stream, publish, fetch):
        self.stream, self.publish, self.fetch = stream, publish, fetch


def private_mounts():
    """May we mount? In a namespace of our own, so that nothing is left behind."""
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"], capture_output=True)
    if probe.returncode:
        raise Skip("mounting a tmpfs is not permitted here: %s" % probe.stderr.decode().strip())


class Disk:
    """A small tmpfs of our own, filled and emptied; a context manager."""

    def __init__(self, path, megabytes, inodes=0):
        self.path, self.megabytes = path, megabytes
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk%s" % (int(megabytes * 1024), ",nr_inodes=%d" % inodes if inodes else ""), "none", path], capture_output=True)
        if done.returncode:
            raise Skip("mounting a tmpfs is not permitted here: %s" % done.stderr.decode().strip())
        os.chmod(path, 0o755)

    def fill(self, leave=0):
        """Takes all but `leave` bytes."""
        stat = os.statvfs(self.path)
        size = stat.f_bavail * stat.f_frsize - leave
        with open(os.path.join(self.path, "filler"), "wb") as f:
            if size > 0:
                os.posix_fallocate(f.fileno(), 0, size)

    def room(self):
        try:
            os.unlink(os.path.join(self.path, "filler"))
        except FileNotFoundError:
            pass

    def grow(self, megabytes):
        subprocess.run(["mount", "-o", "remount,size=%dk" % int(megabytes * 1024), self.path], check=True, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for _ in range(50):
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", self.path], capture_output=True)
