# SPDX-License-Identifier: MIT
"""What flows through a system test while something breaks: a producer that resumes where the journal stands, a subscriber
of alerts that resumes where it was killed, a proxy before PostgreSQL that swallows answers, and the questions asked
afterwards: is every line in exactly once, do the totals hold, did each alert arrive once."""
import atexit
import json
import os
import queue
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import BUILD, SLOW, wait_for


class Producer:
    """All lines of a stream, sent piece by piece; after a crash of the feeder it goes on behind `ack N`."""

    def __init__(self, feed, lines):
        self.feed, self.lines, self.sent = feed, lines, 0

    def send(self, count, pause=0.0, pieces=(1, 3, 20, 100, 400)):
        """The next count lines in random pieces, with random pauses of up to pause seconds. The feeder may die meanwhile."""
        end = min(self.sent + count, len(self.lines))
        while self.sent < end:
            piece = min(random.choice(pieces), end - self.sent)
            try:
                self.feed.process.stdin.write(b"".join(l + b"\n" for l in self.lines[self.sent:self.sent + piece]))
                self.feed.process.stdin.flush()
            except OSError:
                return  # killed: whoever killed it calls resume()
            self.sent += piece
            if pause:
                time.sleep(random.uniform(0, pause))

    def start(self, count, *how):
        thread = threading.Thread(target=self.send, args=(count, *how), daemon=True)
        thread.start()
        return thread

    def resume(self):
        """After the feeder was started again: what it did not acknowledge is sent again."""
        assert self.feed.acked <= self.sent, "%s acknowledged %d of %d lines" % (self.feed.stream, self.feed.acked, self.sent)
        self.sent = self.feed.acked

    def settle(self):
        wait_for(lambda: self.feed.acked == self.sent, 30, "%s: ack %d of %d" % (self.feed.stream, self.feed.acked, self.sent))


class Follower:
    """teldagctl --json alerts --follow --after N; what it printed is kept over its own deaths."""

    def __init__(self, daemon, *filters, after=0):
        self.daemon, self.filters = daemon, filters
        self.events, self.process = [], None
        atexit.register(self.kill)
        self.start(after)

    def start(self, after=None):
        if after is None:
            after = self.events[-1]["data"]["seq"] if self.events else 0
        self.process = subprocess.Popen([os.path.join(BUILD, "teldagctl"), "-c", self.daemon.config, "--json", "alerts", "--follow",
                                         "--after", str(after), *self.filters], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
        self.reader.start()
        return self

    def read(self, process):
        for line in process.stdout:
            if line.endswith(b"\n"):  # the last one of a killed follower may be cut: it comes again
                self.events.append(json.loads(line))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            code = self.process.wait(10 * SLOW)
            self.reader.join(10)
            return code
        return self.process.returncode

    def seqs(self):
        return [e["data"]["seq"] for e in self.events]

    def expect(self, cluster, seconds=20, where="true", log="teldag.alert_log"):
        """Each row of alert_log once, in order, and equal to what was received."""
        rows = cluster.sql("SELECT json_build_object('seq', seq, 'kind', kind, 'severity', severity, 'state', state, 'school_id', school_id,"
                           " 'school_year', school_year, 'group', \"group\", 'stream', stream, 'subject', subject, 'summary', summary,"
                           " 'detail', detail, 'raised_at', raised_at, 'changed_at', changed_at, 'resolved_at', resolved_at)::text"
                           " FROM %s WHERE %s ORDER BY seq" % (log, where))
        rows = [json.loads(r[0]) for r in rows]
        if rows:
            wait_for(lambda: self.events and self.seqs()[-1] >= rows[-1]["seq"], seconds,
                     "the follower has %s of %d alerts" % (self.seqs()[-1:], len(rows)))
        assert self.seqs() == [r["seq"] for r in rows], differ(self.seqs(), [r["seq"] for r in rows])
        for event, row in zip(self.events, rows):
            assert event["data"] == row, (event["data"], row)
        return rows


def differ(got, wanted):
    missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    twice = sorted({s for s in got if got.count(s) > 1})
    return "missing %s, extra %s, twice %s, in order: %s" % (missing[:20], extra[:20], twice[:20], got == sorted(got))


class Proxy:
    """A Unix socket in front of PostgreSQL's. cut() arms it for the writer's next COMMIT, which gets no answer:
    "lost"     it never reaches the server;
    "answered" it is done, its answer is swallowed;
    "late"     it reaches the server only a second after the writer was cut off."""

    def __init__(self, home, cluster):
        self.dir = os.path.join(home, "proxy")
        os.mkdir(self.dir)
        self.server_path = cluster.dir + "/socket/.s.PGSQL.5432"
        self.conninfo = cluster.conninfo.replace(cluster.dir + "/socket", self.dir)
        self.armed, self.done = queue.Queue(), []
        self.listen()

    def listen(self):
        """Also again after close()."""
        path = self.dir + "/.s.PGSQL.5432"
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self, how):
        self.armed.put(how)

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.server_path)
            except OSError:
                client.close()
                server.close()
                continue
            c = Connection(self, client, server)
            threading.Thread(target=c.upstream, daemon=True).start()
            threading.Thread(target=c.downstream, daemon=True).start()

    def close(self):
        """Whoever is connected stays so; nobody else gets in. shutdown() wakes the thread that waits."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.writer, self.buffer, self.swallow = None, b"", False

    def shut(self, s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def downstream(self):
        try:
            while True:
                data = self.server.recv(65536)
                if not data or (self.swallow and b"COMMIT" in data):
                    break
                if not self.swallow:
                    self.client.sendall(data)
        except OSError:
            pass
        self.shut(self.client)
        self.shut(self.server)

    def upstream(self):
        """Message by message, so that a COMMIT is seen before it is passed on."""
        try:
            while self.one():
                pass
        except OSError:
            pass
        self.shut(self.client)
        self.shut(self.server)

    def fill(self, n):
        while len(self.buffer) < n:
            data = self.client.recv(65536)
            if not data:
                return False
            self.buffer += data
        return True

    def one(self):
        head = 4 if self.writer is None else 5  # the first message has no type
        if not self.fill(head):
            return False
        length = struct.unpack("!I", self.buffer[head - 4:head])[0] + head - 4
        if not self.fill(length):
            return False
        message, self.buffer = self.buffer[:length], self.buffer[length:]
        if self.writer is None:
            self.writer = b"teldagd writer" in message
        elif self.writer and message[:1] == b"Q" and message[5:].rstrip(b"\0") == b"COMMIT" and not self.proxy.armed.empty():
            return self.commit(message, self.proxy.armed.get())
        self.server.sendall(message)
        return True

    def commit(self, message, how):
        if how == "answered":
            self.swallow = True
            self.server.sendall(message)
        elif how == "late":
            self.swallow = True
            self.shut(self.client)
            time.sleep(1)
            self.server.sendall(message)
        self.proxy.done.append(how)
        if how != "lost":
            time.sleep(0.5)  # downstream closes both when the answer came
        return False


def split_generated(*options):
    """Generated lines of the streams school and registration, and the generator's own bookkeeping."""
    path = "/tmp/teldag-summary-%d.json" % os.getpid()
    lines, summaries = [], []
    for feed in ("school,entitlement", "registration"):
        lines.append(harness.generate(*options, "--feed", feed, "--summary", path).split(b"\n")[:-1])
        with open(path) as f:
            summaries.append(json.load(f))
    os.unlink(path)
    summaries[1]["dead"] = sum(s["bad"] + s["too_large"] for s in summaries)
    return lines[0], lines[1], summaries[1]


LOGS = ("school_log", "entitlement_log", "registration_log", "pupil_link_log", "inspection_log", "opschorting_log", "verklaring_log", "controle_log",
        "poah_log", "beslissing_log", "vlp_log", "toah_log", "melding_log", "beantwoord_log", "dead_letter")


def expect_positions(cluster, stream, count):
    """Positions 1 to count, each once in one log or in dead_letter, and the progress just behind."""
    rows = cluster.sql("""
        WITH p AS (%s)
        SELECT count(*), count(DISTINCT (epoch, seq)), min(seq), max(seq), count(DISTINCT epoch) FROM p
        WHERE stream_id = (SELECT stream_id FROM teldag_data.stream WHERE name = '%s')"""
                       % (" UNION ALL ".join("SELECT stream_id, epoch, seq FROM teldag_data." + log for log in LOGS), stream))
    assert rows == [[str(count), str(count), "1", str(count), "1"]], (stream, count, rows)
    assert cluster.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = '%s'" % stream) == [[str(count + 1)]]


COUNTED = ("pupils", "gok_pupils", "thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend", "buurt")


def expect_summary(cluster, *summaries):
    """The generator's own totals against the database."""
    wanted = {}
    for summary in summaries:
        for s in summary["schools"]:
            for y in s["years"]:
                for group, counts in y["groups"].items():
                    if any(counts[c] for c in COUNTED):
                        wanted[(y["school_year"], s["school_id"], group)] = [counts[c] for c in COUNTED]
    got = {(r[0], r[1], r[2]): [int(float(v) * 2) for v in r[3:]]
           for r in cluster.sql('SELECT school_year, school_id, "group", %s FROM teldag.count WHERE pupils > 0' % ", ".join(COUNTED))}
    wrong = [(k, got.get(k), wanted.get(k)) for k in sorted(set(got) | set(wanted)) if got.get(k) != wanted.get(k)]
    assert not wrong, "%d counts differ: %s" % (len(wrong), wrong[:3])
    assert int(cluster.one("SELECT count(*) FROM teldag.registration")) == sum(s["registrations"] for s in summaries)
    assert int(cluster.one("SELECT count(*) FROM teldag.dead_letter")) == sum(s["dead"] for s in summaries)


def expect_alert_log(cluster, shard=0):
    rows = cluster.sql("SELECT count(*), coalesce(min(seq), 1), coalesce(max(seq), 0), (SELECT alert_seq FROM teldag_data.shard_progress"
                       " WHERE shard = %d) FROM teldag_data.alert_log WHERE shard = %d" % (shard, shard))
    count, first, last, given = map(int, rows[0])
    assert count == last == given and first == 1, rows


def expect_changes(cluster):
    """Each row of alert_log is a change: per key it begins with firing, never says the same twice, and ends as the view alert has it."""
    wrong = cluster.sql("""
        WITH c AS (SELECT *, lag(state || severity) OVER w AS before, lead(seq) OVER w AS next FROM teldag.alert_log
                   WINDOW w AS (PARTITION BY kind, school_id, school_year, "group", stream, subject ORDER BY seq)),
             s AS (SELECT seq, kind, severity, state, school_id, school_year, "group", stream, subject, detail FROM c WHERE next IS NULL)
        SELECT 'no change', seq, kind, state, subject FROM c
        WHERE before = state || severity OR (state <> 'firing' AND (before IS NULL OR before LIKE 'resolved%'))
        UNION ALL
        SELECT 'not as the view', s.seq, s.kind, s.state, s.subject FROM s FULL JOIN teldag.alert a
        ON (a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a."group", a.stream, a.subject, a.detail) =
           (s.seq, s.kind, s.severity, s.state, s.school_id, s.school_year, s."group", s.stream, s.subject, s.detail)
        WHERE a.seq IS NULL OR s.seq IS NULL""")
    assert not wrong, "%d rows of alert_log: %s" % (len(wrong), wrong[:5])


def expect_clock(cluster, first, last):
    """Every day from first to last was stepped to once, in order."""
    rows = cluster.sql("SELECT count(*), count(DISTINCT day), min(day), max(day), max(day) - min(day) + 1, bool_and(before IS NULL OR before < day)"
                       " FROM (SELECT (body ->> 'today')::date AS day, lag((body ->> 'today')::date) OVER (ORDER BY seq) AS before"
                       " FROM teldag_data.local_log WHERE act = 'clock') c")[0]
    assert rows[0] == rows[1] == rows[4] and rows[2:4] == [first, last] and rows[5] == "t", (rows, first, last)


def writer_pid(cluster, application="teldagd writer"):
    """The backend of the writer that came first; 0 while there is none, or no server."""
    try:
        rows = cluster.sql("SELECT pid FROM pg_stat_activity WHERE application_name = '%s' ORDER BY backend_start" % application)
    except RuntimeError:
        return 0
    return int(rows[0][0]) if rows else 0


def is_up(cluster):
    try:
        return cluster.one("SELECT NOT pg_is_in_recovery()") == "t"
    except RuntimeError:
        return False


def writer_status(daemon):
    """The writer's part of status, degraded or not; None when the daemon does not answer."""
    done = daemon.run("--json", "status")
    return json.loads(done.stdout)["writer"] if done.returncode in (0, 1) and done.stdout.startswith("{") else None


def stream_status(daemon, name):
    done = daemon.run("--json", "streams")
    return [s for s in json.loads(done.stdout)["streams"] if s["name"] == name][0]


def expect_no_differences(daemon):
    """A rebuild never finds anything to mend."""
    status = wait_for(lambda: writer_status(daemon), 20, "the daemon does not answer")
    assert status["rebuild_differences"] == 0, status
    return status


def get(address, path):
    """HTTP status and body."""
    with socket.create_connection(tuple(address.split(":")), timeout=10) as s:
        s.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    head, body = answer.split("\r\n\r\n", 1)
    return int(head.split()[1]), body


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)


def thaw(pid):
    os.kill(pid, signal.SIGCONT)
