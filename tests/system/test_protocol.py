# SPDX-License-Identifier: MIT
"""TFP/1 from the other side: a publisher and a subscriber written from docs/protocol/tfp1.md alone, and a publisher without
journal, against the real daemon. The publisher loses, repeats and damages what it sends live, answers short, and comes back."""
import json
import os
import random
import re
import struct
import threading
import time

import zmq

import harness
from harness import TOP, World, closed, free_ports, registration, school, wait_for

HEADER = struct.Struct(">BBHIQQQ")
GOK = ["opleiding_moeder", "schooltoelage"]


def pack(kind, count, tag, epoch, first):
    return HEADER.pack(1, ord(kind), count, tag, epoch, first, time.time_ns() // 1000)


class Publisher(threading.Thread):
    """Sections 1 to 5 of the document; what has been appended is its journal. faults: name -> how often, 0 to 1."""

    def __init__(self, stream, publish=None, fetch=None, epoch=None, faults=None):
        super().__init__(daemon=True)
        self.stream, self.epoch = stream, epoch or time.time_ns() // 1000
        self.publish, self.fetch = publish or self.endpoint(), fetch or self.endpoint()
        self.journal, self.live_next, self.faults, self.done = [], 1, faults or {}, {}
        self.lock, self.stopping, self.problem = threading.Lock(), False, None
        self.random = random.Random(harness.SEED)
        self.requests = []

    @staticmethod
    def endpoint():
        return "tcp://127.0.0.1:%d" % free_ports(1)[0]

    def append(self, lines):
        with self.lock:
            self.journal += [l.encode() for l in lines]

    def wants(self, fault):
        happens = self.random.random() < self.faults.get(fault, 0)
        self.done[fault] = self.done.get(fault, 0) + happens
        return happens

    def run(self):
        while not self.stopping:
            try:
                self.serve()
            except Exception as e:  # said by the test
                self.problem = repr(e)
                return

    def serve(self):
        """One life of the sockets; ends by the fault `restart`."""
        context = zmq.Context()
        xpub, router = context.socket(zmq.XPUB), context.socket(zmq.ROUTER)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        for s, endpoint in ((xpub, self.publish), (router, self.fetch)):
            s.setsockopt(zmq.LINGER, 0)
            wait_for(lambda: self.bind(s, endpoint), 10, "bind " + endpoint)
        poller, next_head = zmq.Poller(), 0
        poller.register(xpub, zmq.POLLIN)
        poller.register(router, zmq.POLLIN)
        while not self.stopping:
            for s, _ in poller.poll(5):
                frames = s.recv_multipart()
                if s is router:
                    try:
                        self.answer(router, frames[0], frames[1:])
                    except zmq.ZMQError:
                        pass
            self.send_live(xpub)
            if time.monotonic() >= next_head:
                next_head = time.monotonic() + 1
                if self.wants("restart"):
                    break
                xpub.send_multipart([self.stream.encode(), pack("H", 0, 0, self.epoch, len(self.journal) + 1)])
        context.destroy(0)

    @staticmethod
    def bind(s, endpoint):
        try:
            s.bind(endpoint)
            return True
        except zmq.ZMQError:
            return False

    def send_live(self, xpub):
        with self.lock:
            lines = self.journal[self.live_next - 1:self.live_next - 1 + 20]
        if not lines:
            return
        first, self.live_next = self.live_next, self.live_next + len(lines)
        message = [self.stream.encode(), pack("R", len(lines), 0, self.epoch, first), b"\n".join(lines)]
        if self.wants("lose"):
            return
        if self.wants("damage"):
            message = self.damaged(message)
        if self.wants("foreign"):
            xpub.send_multipart([self.stream.encode() + b"0", pack("R", 1, 0, self.epoch, first), b"{}"])  # registration.00: not ours
        xpub.send_multipart(message)
        if self.wants("repeat"):
            xpub.send_multipart(message)

    def damaged(self, message):
        name, header, payload = message
        return self.random.choice([[name, header[:-1], payload], [name, b"\2" + header[1:], payload], [name, header[:1] + b"X" + header[2:], payload],
                                   [name, header, payload + b"\n"], [name, header, payload + b"\n{}"], [name, header], [name],
                                   [name, header[:8] + b"\xff" * 8 + header[16:], payload], [name, header, payload, b"more"]])

    def answer(self, router, peer, frames):
        assert len(frames) >= 3 and frames[1] == self.stream.encode() and len(frames[2]) == 32, frames
        version, kind, count, tag, epoch, first, _ = HEADER.unpack(frames[2])
        assert (version, kind, count) == (1, ord("Q"), 0), frames
        self.requests.append(frames[0])
        with self.lock:
            end = len(self.journal) + 1
        head = [peer, frames[1], pack("H", 0, tag, self.epoch, end)]
        if frames[0] == b"HELLO":
            assert len(frames) == 3
            return router.send_multipart(head)
        assert frames[0] == b"FETCH" and len(frames) == 4 and len(frames[3]) == 4, frames
        most = struct.unpack(">I", frames[3])[0]
        assert most >= 1
        if self.wants("error"):
            return router.send_multipart([peer, b"ERROR", b"not now"])
        if epoch not in (0, self.epoch):
            return router.send_multipart([peer, b"EPOCH", pack("H", 0, tag, self.epoch, end)])
        assert first >= 1
        if self.wants("short"):
            most = min(most, 7)
        with self.lock:
            lines = self.journal[first - 1:first - 1 + most]
        for at in range(0, len(lines), 300):
            part = lines[at:at + 300]
            router.send_multipart([peer, frames[1], pack("R", len(part), tag, self.epoch, first + at), b"\n".join(part)])
        router.send_multipart(head)

    def stop(self):
        self.stopping = True
        self.join(10)
        assert self.problem is None, self.problem


def test_a_publisher_written_from_the_document():
    with World(fsync="off") as w:
        faults = {"lose": .15, "repeat": .15, "damage": .1, "foreign": .1, "short": .2, "error": .05, "restart": .15}
        schools, regs = Publisher("school.0"), Publisher("registration.0", faults=faults)
        schools.start()
        regs.start()
        d = w.daemon([schools, regs]).migrate().start()
        schools.append([school(i, "so") for i in range(601, 611)])
        lines = [registration(601 + i // 400, 60000 + i, "graad1", GOK if i % 400 < 100 else []) for i in range(4000)]
        random.shuffle(lines)
        lines += [closed(601 + i, 400) for i in range(10)]
        backlog, live = lines[:500], lines[500:]
        regs.append(backlog)  # before the daemon looks
        while live:
            n = random.randint(1, 60)
            regs.append(live[:n])
            del live[:n]
            time.sleep(.02)
        d.caught_up(40)
        assert w.cluster.sql("SELECT next_seq FROM teldag.feed_progress ORDER BY stream") == [["4011"], ["11"]]
        assert w.cluster.sql("SELECT count(*), count(DISTINCT pupil) FROM teldag.registration") == [["4000", "4000"]]
        counts = w.cluster.sql("SELECT DISTINCT pupils, gok_pupils, closed FROM teldag.count")
        assert counts == [["400", "100", "t"]], "each event exactly once: %s" % counts
        assert w.cluster.sql("SELECT count(*) FROM teldag.count") == [["10"]]
        assert w.cluster.sql("SELECT count(*) FROM teldag.dead_letter") == [["0"]], "damage on the way is no dead letter"
        d.verify()
        stream = next(s for s in d.json("streams")["streams"] if s["name"] == "registration.0")
        # What is lost shows as a gap or, when the receiver was fetching just then, only as a fetch.
        for counter in ("fetches", "duplicates", "damaged"):
            assert stream[counter] > 0, "%s is 0: the bus was too kind: %s, faults %s" % (counter, stream, regs.done)
        for fault in ("lose", "repeat", "damage", "foreign"):
            assert regs.done[fault] > 0, regs.done
        assert {b"HELLO", b"FETCH"} <= set(regs.requests)
        # From here on live only: calm, and no fetch is needed.
        regs.faults = {}
        wait_for(lambda: next(s for s in d.json("streams")["streams"] if s["name"] == "registration.0")["state"] == "live", 10, "live")
        before = next(s for s in d.json("streams")["streams"] if s["name"] == "registration.0")["fetches"]
        regs.append([registration(601, 70000 + i, "graad1") for i in range(40)])
        wait_for(lambda: w.cluster.sql("SELECT pupils FROM teldag.count WHERE school_id = '601'") == [["440"]], 10, "live records")
        assert next(s for s in d.json("streams")["streams"] if s["name"] == "registration.0")["fetches"] == before, "pushed, not fetched"
        # Another epoch stops the stream.
        regs.epoch += 1
        wait_for(lambda: w.cluster.sql("SELECT 1 FROM teldag.alert WHERE kind = 'stream.gap' AND state = 'firing'"), 20, "stream.gap")
        assert d.stop() == 0
        regs.stop()
        schools.stop()


class AlertSubscriber:
    """Section 6, for the alerts of the daemon: what came, exactly once and in order."""

    def __init__(self, daemon, topic=b"alert.0"):
        self.context = zmq.Context()
        self.sub, self.dealer = self.context.socket(zmq.SUB), self.context.socket(zmq.DEALER)
        for s in (self.sub, self.dealer):
            s.setsockopt(zmq.LINGER, 0)
        self.dealer.setsockopt(zmq.SNDHWM, 2)
        self.sub.setsockopt(zmq.SUBSCRIBE, topic)
        self.sub.connect(daemon.alerts_publish)
        self.dealer.connect(daemon.alerts_fetch)
        self.epoch, self.next, self.alerts, self.topics = 0, 1, [], []
        self.tag, self.asked, self.heard, self.behind = 0, 0.0, 0.0, True
        self.live_taken = self.heads = 0

    def request(self, verb, epoch, first, *more, stream=b"alert.0", tag=None):
        self.tag += 1
        self.dealer.send_multipart([verb, stream, pack("Q", 0, self.tag if tag is None else tag, epoch, first)] + list(more))
        return self.tag

    def answers(self, seconds=5):
        """Messages of one answer, up to its head or verb."""
        out = []
        while self.dealer.poll(seconds * 1000):
            out.append(self.dealer.recv_multipart())
            if out[-1][0] != b"alert.0" or out[-1][1][1:2] == b"H":
                return out
        raise AssertionError("no answer: %r" % out)

    def take(self, frames, live):
        if frames[0].split(b"/")[0] != b"alert.0":
            assert frames[0] == b"ERROR", frames
            return
        version, kind, count, tag, epoch, first, _ = HEADER.unpack(frames[1])
        assert version == 1
        if not live and tag != self.tag:
            return
        self.heard = time.monotonic()
        if self.epoch == 0 and not live:
            self.epoch = epoch
        if epoch != self.epoch:
            assert live and self.epoch == 0, "the epoch changed: %d, %d" % (epoch, self.epoch)
            return
        if kind == ord("H"):
            self.heads += live
            self.behind = self.behind or first > self.next
            return
        lines = frames[2].split(b"\n")
        assert len(lines) == count, frames
        if live:
            assert count == 1, "live alert messages carry one alert"
            self.topics.append(frames[0].decode())
        if first > self.next:
            self.behind = True
            return
        new = lines[self.next - first:]
        self.live_taken += live * len(new)
        self.alerts += [json.loads(l) for l in new]
        self.next += len(new)
        if new and not live:
            self.asked = 0.0

    def run(self, seconds=0.0, until=None):
        """Follows for so long, or until."""
        end = time.monotonic() + (seconds or 20 * harness.SLOW)
        poller = zmq.Poller()
        poller.register(self.sub, zmq.POLLIN)
        poller.register(self.dealer, zmq.POLLIN)
        while time.monotonic() < end:
            if until and until():
                return
            now = time.monotonic()
            if (self.behind or now - self.heard > 3) and now - self.asked >= 1:
                self.behind = False
                self.asked = now
                try:
                    self.tag += 1
                    self.dealer.send_multipart([b"FETCH", b"alert.0", pack("Q", 0, self.tag, self.epoch, self.next), struct.pack(">I", 10)],
                                               zmq.DONTWAIT)
                except zmq.Again:
                    self.behind = True
            for s, _ in poller.poll(50):
                self.take(s.recv_multipart(), s is self.sub)
        assert not until, "not reached: next %d" % self.next

    def close(self):
        self.context.destroy(0)


def alert_log(w):
    rows = w.cluster.sql("SELECT seq, kind, severity, state, school_id, school_year, \"group\", stream, subject, summary, detail,"
                         " raised_at, changed_at, resolved_at FROM teldag.alert_log ORDER BY seq")
    names = "seq kind severity state school_id school_year group stream subject summary detail raised_at changed_at resolved_at".split()
    return [dict(zip(names, r)) for r in rows]


def compare_with_log(w, subscriber):
    log = alert_log(w)
    assert [int(r["seq"]) for r in log] == list(range(1, len(log) + 1))
    got = [e["data"] for e in subscriber.alerts]
    assert [a["seq"] for a in got] == list(range(1, len(log) + 1)), "gap-free 1..N, each once, in order"
    for row, alert in zip(log, got):
        assert set(alert) == set(row), set(alert) ^ set(row)
        for name, value in row.items():
            if name == "detail":
                assert alert[name] == json.loads(value), (alert, row)
            elif name.endswith("_at"):
                assert (alert[name] is None) == (value is None), (alert, row)
                if value:  # 2025-01-10T08:00:00.1+00:00 and 2025-01-10 08:00:00.1+00
                    assert alert[name][:19].replace("T", " ") == value[:19], (alert, row)
            else:
                assert str(alert[name]) == value, (name, alert, row)
    for e in subscriber.alerts:
        assert e["specversion"] == "1.0" and e["type"] == "alert.v1" and e["id"] and e["source"] and e["time"], e
    assert len({e["id"] for e in subscriber.alerts}) == len(log)


def threshold_events(school_id):
    """A closed count that is near, then not."""
    lines = [registration(school_id, school_id * 100 + i, "graad1", GOK if i < 20 else []) for i in range(40)]
    return lines + [closed(school_id, 40)]


def test_a_subscriber_written_from_the_document():
    with World() as w:
        schools, regs = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, regs]).migrate().start()
        schools.send([school(i, "so") for i in range(701, 741)])
        for i in range(701, 716):
            regs.send(threshold_events(i))
        d.caught_up()
        s, near = AlertSubscriber(d), AlertSubscriber(d, b"alert.0/threshold.near/")
        # HELLO, and what is refused.
        tag = s.request(b"HELLO", 0, 0)
        head = s.answers()
        assert len(head) == 1 and head[0][0] == b"alert.0" and len(head[0]) == 2, head
        version, kind, count, got, epoch, first, _ = HEADER.unpack(head[0][1])
        total = int(w.cluster.one("SELECT count(*) FROM teldag.alert_log"))
        assert (version, kind, count, got, first) == (1, ord("H"), 0, tag, total + 1) and epoch > 0 and total >= 15, (head, total)
        tag = s.request(b"FETCH", epoch + 1, 1, struct.pack(">I", 5))
        verb = s.answers()[0]
        assert verb[0] == b"EPOCH" and HEADER.unpack(verb[1])[1] == ord("H") and HEADER.unpack(verb[1])[3:6] == (tag, epoch, total + 1), verb
        for frames in ([b"STEAL", b"alert.0", pack("Q", 0, 9, 0, 1)], [b"HELLO", b"alert.1", pack("Q", 0, 9, 0, 1)],
                       [b"HELLO", b"alert.0", pack("Q", 0, 9, 0, 1)[:-1]], [b"HELLO", b"alert.0", pack("R", 1, 9, 1, 1)], [b"HELLO"], [b""],
                       [b"FETCH", b"alert.0", pack("Q", 0, 9, 0, 1)], [b"FETCH", b"alert.0", pack("Q", 0, 9, 0, 1), b"\0\0\1"],
                       [b"FETCH", b"alert.0", pack("Q", 0, 9, 0, 1), struct.pack(">I", 0)], [b"x"] * 7):
            s.dealer.send_multipart(frames)
            answer = s.answers()
            assert len(answer) == 1 and answer[0][0] == b"ERROR" and len(answer[0]) == 2 and answer[0][1].decode(), (frames, answer)
        # FETCH: exactly from there, at most so many, then a head.
        tag = s.request(b"FETCH", 0, 3, struct.pack(">I", 4))
        answer = s.answers()
        lines = [l for m in answer[:-1] for l in m[2].split(b"\n")]
        assert [json.loads(l)["data"]["seq"] for l in lines] == [3, 4, 5, 6], answer
        assert all(HEADER.unpack(m[1])[3] == tag for m in answer) and HEADER.unpack(answer[-1][1])[5] == total + 1
        s.request(b"FETCH", epoch, total + 1, struct.pack(">I", 4))
        assert len(s.answers()) == 1, "at the end: the head alone"
        # Backlog from 1, then live; also through kill -9.
        s.run(until=lambda: s.next > total)
        s.run(1.5)
        assert s.heads >= 1, "a head each second, also when nothing happens"
        for i in range(716, 726):
            regs.send(threshold_events(i))
        d.caught_up()
        s.run(until=lambda: s.next > int(w.cluster.one("SELECT max(seq) FROM teldag.alert_log")))
        assert s.live_taken > 0, "live alerts are pushed"
        compare_with_log(w, s)
        regs.send([l for i in range(726, 741) for l in threshold_events(i)], wait=False)
        time.sleep(random.random() * .05)
        d.kill()
        d.start()
        d.caught_up()
        s.run(until=lambda: s.next > int(w.cluster.one("SELECT max(seq) FROM teldag.alert_log")))
        compare_with_log(w, s)
        assert s.epoch == epoch, "the epoch is kept in the database"
        assert all(re.fullmatch(r"alert\.0/[a-z_.]+/\d*", t) for t in s.topics), s.topics
        # A best-effort subscriber that filters by prefix.
        while near.sub.poll(200):
            frames = near.sub.recv_multipart()
            assert len(frames) == 3 and HEADER.unpack(frames[1])[1] == ord("R"), "heads have another frame 0"
            near.topics.append(frames[0].decode())
        assert len(near.topics) >= 10 and all(t.startswith("alert.0/threshold.near/7") for t in near.topics), near.topics
        d.verify()
        s.close()
        near.close()


def test_a_best_effort_publisher():
    with World(fsync="off") as w:
        endpoint = Publisher.endpoint()
        context = zmq.Context()
        pub = context.socket(zmq.XPUB)
        pub.bind(endpoint)
        schools = w.feed("school.0")
        d = w.daemon([schools], best_effort=[("registration.0", endpoint)]).migrate().start()
        schools.send([school(801, "so")])
        assert pub.poll(10000) and pub.recv() == b"\1registration.0"
        wait_for(lambda: '"state":"live"' in d.run("--json", "streams").stdout.replace(" ", "").split("registration.0")[1], 10, "live")
        lines = [l.encode() for l in threshold_events(801)]
        pub.send_multipart([b"registration.0", lines[0]])
        pub.send_multipart([b"registration.0/hint", b"\n".join(lines[1:20]) + b"\n"])
        pub.send_multipart([b"registration.01", lines[20]])           # another stream
        pub.send_multipart([b"registration.0", lines[20], b"frame"])  # no message of this kind
        pub.send_multipart([b"registration.0", b""])
        pub.send_multipart([b"registration.0", b"\n\n".join(lines[20:]) + b"\nnot JSON"])
        next_seq = lambda: int(w.cluster.one("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'"))
        wait_for(lambda: next_seq() >= 43, 10, "42 lines, now %d, %s" % (next_seq(), d.ctl("streams")))
        d.caught_up()
        rows = w.cluster.sql("SELECT stream, reliability, epoch > 0 FROM teldag.streams ORDER BY 1")
        assert rows == [["registration.0", "best-effort", "t"], ["school.0", "journal", "t"]], rows
        assert w.cluster.sql("SELECT pupils, closed FROM teldag.count") == [["40", "t"]]
        assert [r[0] for r in w.cluster.sql("SELECT seq FROM teldag.dead_letter")] == ["42"]
        text = d.ctl("streams")
        assert re.search(r"registration\.0 .*best-effort", text), text
        explained = d.ctl("explain", "801")
        assert "best-effort" in explained.lower(), "every figure derived from it says so:\n" + explained[:1500]
        epoch = w.cluster.one("SELECT epoch FROM teldag.feed_progress WHERE stream = 'registration.0'")
        assert d.stop() == 0
        d.start()
        assert pub.poll(10000) is not None
        wait_for(lambda: d.run("--json", "status").returncode == 0, 10, "healthy again")

        def sent_and_seen():
            pub.send_multipart([b"registration.0", lines[0]])
            return int(w.cluster.one("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'")) > 43
        wait_for(sent_and_seen, 10, "numbering goes on after a restart")
        assert w.cluster.one("SELECT epoch FROM teldag.feed_progress WHERE stream = 'registration.0'") == epoch
        d.verify()
        context.destroy(0)


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")})
