#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hostile peers against the limits: connections, handshakes that never end, large messages, subscriptions, requests, and
readers that do not read; with permitted keys where a stranger cannot get that far. Memory of daemon and feeder is sampled
all the while and stays bounded, and a permitted peer goes on."""
import os
import socket
import struct
import threading
import time

import zmq

from curve_kit import HEADER, Encrypted, Trickle, advancing, gate_counts
from flow import Follower, rss
from harness import Shared, closed, main_shared, registration, school, wait_for
from security_record import record

GROWTH_MAX = 192 << 20  # of resident memory, whatever is tried: what it measured is printed and recorded; without the limits it is many times this


def make(world):
    e = Encrypted(world)
    e.names.send([school(900, "so")] + [school(1000 + i, "so") for i in range(200)])
    e.trickle = Trickle(e.feed)
    e.follower = Follower(e.daemon)
    wait_for(lambda: len(e.follower.events) > 2, 30, "the permitted follower")
    e.daemon.caught_up()
    return e


encrypted = Shared(make)


class Sampled:
    """Resident memory of daemon and feeder while something goes on; growth must stay below GROWTH_MAX."""

    def __init__(self, e, text):
        self.pids = {"alert sockets": e.daemon.process.pid, "feeder": e.feed.process.pid}
        self.e, self.text, self.stopping = e, text, False

    def __enter__(self):
        self.before = {w: rss(p) for w, p in self.pids.items()}
        self.most = dict(self.before)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.stopping:
            for where, pid in self.pids.items():
                self.most[where] = max(self.most[where], rss(pid))
            time.sleep(0.02)

    def __exit__(self, kind, *_):
        self.stopping = True
        self.thread.join()
        if kind:
            return
        for where in self.pids:
            grown = self.most[where] - self.before[where]
            record(self.text, where, "memory grows by %.1f MB" % (grown / 1e6))
            print("    %s, %s: %.1f MB more, %.1f MB at most" % (self.text, where, grown / 1e6, self.most[where] / 1e6), flush=True)
            assert grown < GROWTH_MAX, "%s: %s grew by %d bytes" % (self.text, where, grown)
        advancing(self.e.follower)


def endpoints(e):
    return [int(x.rsplit(":", 1)[1]) for x in (e.daemon.alerts_publish, e.daemon.alerts_fetch, e.feed.publish, e.feed.fetch)]


def test_connections_that_say_nothing():
    """Six hundred at each socket, held: no more than the limit stay, and who is permitted can still come in."""
    e = encrypted()
    before = gate_counts(e.daemon)
    held = []
    with Sampled(e, "2,400 connections that say nothing"):
        for _ in range(600):
            for port in endpoints(e):
                s = socket.create_connection(("127.0.0.1", port), timeout=5)
                held.append(s)
        wait_for(lambda: gate_counts(e.daemon)["refused_connections"] > before["refused_connections"] + 800, 20, "connections are not refused")
        assert gate_counts(e.daemon)["connections"] <= 2 * 128 + 40, gate_counts(e.daemon)
        p = e.alerts("reader")
        wait_for(lambda: p.listen(0.2) > 0, 10, "a permitted key cannot come in")
        p.close()
    for s in held:
        s.close()
    wait_for(lambda: gate_counts(e.daemon)["connections"] < 20, 20, "connections are not forgotten")


def test_connections_as_fast_as_they_come():
    e = encrypted()
    stop = time.monotonic() + 4
    opened = [0]

    def open_and_drop(port):
        while time.monotonic() < stop:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
                    s.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE")
                opened[0] += 1
            except OSError:
                time.sleep(0.01)

    with Sampled(e, "connections opened and dropped without end"):
        threads = [threading.Thread(target=open_and_drop, args=(p,)) for p in endpoints(e)]
        for t in threads:
            t.start()
        p = e.alerts("reader")
        wait_for(lambda: p.listen(0.2) > 0, 20, "a permitted key cannot come in")
        p.close()
        for t in threads:
            t.join()
    assert opened[0] > 200, opened
    with open(e.daemon.log) as f:
        assert len(f.read()) < 200000, "the log grows with the flood"


def curve_socket(e, context, kind, key, server):
    s = context.socket(kind)
    s.linger, s.reconnect_ivl = 0, 20
    s.curve_publickey, s.curve_secretkey = e.keys.pair(key)
    s.curve_serverkey = e.keys.public(server).encode()
    return s


def test_subscriptions_without_end():
    """A permitted key, a million topics of 240 bytes: libzmq would keep each."""
    e = encrypted()
    before = gate_counts(e.daemon)
    context, stop, sent = zmq.Context(), time.monotonic() + 5, 0
    sockets = []
    for key, server, endpoint in (("reader", "daemon", e.daemon.alerts_publish), ("daemon", "feeder", e.feed.publish)):
        s = curve_socket(e, context, zmq.XSUB, key, server)
        s.connect(endpoint)
        sockets.append((s, b"alert.0/" if server == "daemon" else b"registration.0/"))
    with Sampled(e, "subscriptions without end"):
        while time.monotonic() < stop:
            for s, topic in sockets:
                try:
                    s.send(b"\1" + topic + os.urandom(220), zmq.NOBLOCK)
                    sent += 1
                except zmq.Again:
                    time.sleep(0.0005)
        context.destroy(0)
    assert sent > 5000 and gate_counts(e.daemon)["refused_subscriptions"] > before["refused_subscriptions"], (sent, gate_counts(e.daemon))


def test_requests_without_end_and_without_reading():
    """Sixteen connections of a permitted key fetch the whole log again and again, and read nothing."""
    e = encrypted()
    e.feed.send([registration(1000 + i % 200, i, "graad1") for i in range(20000)])
    e.feed.send([closed(1000 + i, 1) for i in range(200)])
    e.daemon.caught_up()
    context, stop, sent = zmq.Context(), time.monotonic() + 5, 0
    sockets = []
    for key, server, endpoint, stream in (("reader", "daemon", e.daemon.alerts_fetch, b"alert.0"), ("daemon", "feeder", e.feed.fetch, b"registration.0")):
        for _ in range(16):
            s = curve_socket(e, context, zmq.DEALER, key, server)
            s.rcvhwm = 1
            s.setsockopt(zmq.RCVBUF, 4096)
            s.connect(endpoint)
            sockets.append((s, [b"FETCH", stream, HEADER.pack(1, ord("Q"), 0, 7, 0, 1, 0), struct.pack(">I", 1000000)]))
    before = gate_counts(e.daemon)
    with Sampled(e, "requests without end, answers not read"):
        while time.monotonic() < stop:
            for s, request in sockets:
                try:
                    s.send_multipart(request, zmq.NOBLOCK)
                    sent += 1
                except zmq.Again:
                    pass
            time.sleep(0.0005)
        context.destroy(0)
    after = gate_counts(e.daemon)
    assert sent > 1000, sent
    print("    %d requests, %d dropped" % (sent, after["dropped_requests"] - before["dropped_requests"]), flush=True)


def test_a_message_that_never_ends():
    """300,000 small frames of one message: libzmq's limits are of one frame and of finished messages, so it would hold them all.
    With a permitted key at every socket, and without CURVE at a feeder on loopback."""
    e = encrypted()
    plain = e.world.feed("school.1")
    before, context, frame = gate_counts(e.daemon), zmq.Context(), b"x" * 901
    targets = [("inspectie", "daemon", e.daemon.alerts_publish, zmq.XSUB), ("inspectie", "daemon", e.daemon.alerts_fetch, zmq.DEALER),
               ("daemon", "feeder", e.feed.publish, zmq.XSUB), ("daemon", "feeder", e.feed.fetch, zmq.DEALER),
               (None, None, plain.publish, zmq.XSUB), (None, None, plain.fetch, zmq.DEALER)]
    sampled = Sampled(e, "a message of 300,000 frames, 270 MB")
    sampled.pids["feeder without CURVE"] = plain.process.pid
    with sampled:
        for key, server, endpoint, kind in targets:
            s = curve_socket(e, context, kind, key, server) if key else context.socket(kind)
            s.linger, s.sndhwm = 0, 400000
            s.connect(endpoint)
            for _ in range(300000):
                s.send(frame, zmq.SNDMORE)
            s.send(b"")  # our libzmq starts to send when it has the whole message
            time.sleep(2)
            s.close()
        context.destroy(0)
    assert gate_counts(e.daemon)["refused_connections"] >= before["refused_connections"] + 2, "nobody was cut off"
    plain.stop()


def test_large_messages_and_slow_readers():
    """What is larger than a request ends its connection; a subscriber that stops reading loses messages, not our memory."""
    e = encrypted()
    context = zmq.Context()
    slow = []
    for key, server, endpoint in (("reader", "daemon", e.daemon.alerts_publish), ("daemon", "feeder", e.feed.publish)):
        for _ in range(10):
            s = curve_socket(e, context, zmq.SUB, key, server)
            s.rcvhwm = 1
            s.setsockopt(zmq.RCVBUF, 4096)
            s.subscribe(b"")
            s.connect(endpoint)
            slow.append(s)
    big = [(curve_socket(e, context, zmq.DEALER, key, server), endpoint) for key, server, endpoint in
           (("reader", "daemon", e.daemon.alerts_fetch), ("daemon", "feeder", e.feed.fetch))]
    with Sampled(e, "messages of 8 MB, subscribers that do not read"):
        for s, endpoint in big:
            s.connect(endpoint)
        for turn in range(6):
            for s, _ in big:
                try:
                    s.send_multipart([b"FETCH", b"x" * (8 << 20)], zmq.NOBLOCK)
                except zmq.Again:
                    pass
            e.feed.send([registration(1000 + i % 200, 20000 + i, "graad1") for i in range(2000)] + [closed(1000 + i, turn % 2) for i in range(200)])
        e.daemon.caught_up()
        context.destroy(0)
    e.trickle.stop()
    e.daemon.caught_up()
    e.follower.expect(e.world.cluster, 60)  # who is permitted has every alert, once


if __name__ == "__main__":
    main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, encrypted)
