#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Links that are cut, reset, or dead without a word, and peers that are frozen: feeder, daemon, subscriber, one backend, all of
PostgreSQL. And subscribers that ask much and read nothing, whose memory must not become ours."""
import os
import socket
import struct
import subprocess
import threading
import time

import zmq

import environment
import flow
import harness
from environment import LONG, SLOW, Endpoints, Follower, Scene, World, wait_for
from flow import freeze, thaw
from wire_proxy import RawWire, Wire

HEADER = struct.Struct(">BBHIQQQ")


class Cables:
    """A wire for each of a feed's two connections, clean until something is done to it."""

    def __init__(self):
        self.wires = []

    def __call__(self, feed):
        pair = [Wire(e) for e in (feed.publish, feed.fetch)]
        self.wires += pair
        return Endpoints(feed.stream, pair[0].endpoint, pair[1].endpoint)


def test_cut_reset_and_half_open_feeds():
    """Half-open: connected, and nothing passes any more, in either direction; heartbeats and silence find it."""
    with World() as w:
        cables = Cables()
        scene = Scene(w, 4000 if LONG else 800, via=cables).start()
        rounds = 3 if LONG else 1
        for number in range(rounds):
            part = (number + 1) / rounds
            for how, share in (("cut", 0.3), ("reset", 0.6), ("half-open", 1.0)):
                share = number / rounds + share / rounds
                scene.fault()
                threads = scene.flow(share)
                time.sleep(0.1)
                if how == "half-open":
                    for wire in cables.wires:
                        wire.frozen = True
                    time.sleep(4)
                    for wire in cables.wires:  # the cable is mended; what was connected stays dead
                        wire.cut()
                        wire.frozen = False
                else:
                    for _ in range(5):
                        for wire in cables.wires:
                            wire.cut(how == "reset")
                        time.sleep(0.05)
                ended = time.monotonic()
                for t in threads:
                    t.join()
                scene.recovered("link %s between feeder and daemon" % how, 1 if how == "half-open" else 5 * len(cables.wires), ended, share)
            assert part
        for wire in cables.wires:
            wire.close()


def postgres_over_tcp(cluster):
    """A way to the cluster's socket over TCP, which can freeze."""
    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.connect(cluster.dir + "/socket/.s.PGSQL.5432")
        return s
    wire = RawWire(None, connect)
    port = wire.endpoint.rsplit(":", 1)[1]
    return wire, "host=127.0.0.1 port=%s dbname=teldag user=postgres sslmode=disable" % port


def test_postgres_link_freezes():
    """The way to PostgreSQL is connected and dead. While it lasts, status says that the writer waits; when it is cut, or thaws,
    all goes on."""
    with World() as w:
        wire, conninfo = postgres_over_tcp(w.cluster)
        scene = Scene(w, 2000 if LONG else 600, conninfo=conninfo)
        scene.start()
        for how, share in (("thaws", 0.5), ("is cut", 1.0)):
            scene.fault()
            wire.frozen = True
            threads = scene.flow(share)
            for t in threads:
                t.join()
            if how == "thaws":
                scene.says("no answer of the database for 1", seconds=25)
                wait_for(lambda: scene.daemon.logged("no answer of the database for 10 s"), 5, "the log does not say it")
                assert flow.get(scene.daemon.metrics, "/readyz")[0] == 200  # it is the writer's answer that is missing, not the writer
            else:
                time.sleep(1)
                wire.cut()
            wire.frozen = False
            scene.recovered("link half-open between daemon and PostgreSQL", since=time.monotonic(), share=share)
        wire.close()


def test_frozen_peers():
    """SIGSTOP of each in turn, for longer than a heartbeat; events flow meanwhile."""
    with World() as w:
        scene = Scene(w, 4000 if LONG else 1000).start()
        d = scene.daemon
        with open(w.cluster.dir + "/data/postmaster.pid") as f:
            postmaster = int(f.readline())
        victims = (("feeder", lambda: [p.feed.process.pid for p in scene.producers]), ("daemon", lambda: [d.process.pid]),
                   ("subscriber", lambda: [scene.follower.process.pid]), ("PostgreSQL backend", lambda: [flow.writer_pid(w.cluster)]),
                   ("postmaster", lambda: [postmaster]))
        for number, (name, pids) in enumerate(victims, 1):
            scene.fault()
            frozen = pids()
            for pid in frozen:
                freeze(pid)
            try:
                threads = scene.flow(number / len(victims))
                time.sleep(9 if LONG else 2)
            finally:
                for pid in frozen:
                    thaw(pid)
            ended = time.monotonic()
            for t in threads:
                t.join()
            scene.recovered("SIGSTOP of %s" % name, 1, ended, number / len(victims))


def request(verb, stream, tag, first, most=None):
    header = HEADER.pack(1, ord("Q"), 0, tag, 0, first, time.time_ns() // 1000)
    return [verb, stream, header] + ([struct.pack(">I", most)] if most else [])


def greedy(context, endpoint):
    s = context.socket(zmq.DEALER)
    s.setsockopt(zmq.RCVHWM, 1)
    s.setsockopt(zmq.SNDHWM, 4000)
    s.setsockopt(zmq.RCVBUF, 4096)
    s.setsockopt(zmq.LINGER, 0)
    s.connect(endpoint)
    return s


def pour(sockets, times, message):
    for i in range(times):
        for s in sockets:
            try:
                s.send_multipart(message(i), zmq.DONTWAIT)
            except zmq.Again:
                pass


def many_alerts(scene, waves, schools=150):
    """Schools whose announced number is wrong and right in turn: an alert a school and wave."""
    lines = scene.producers[1].lines
    for wave in range(waves):
        lines += [harness.closed(100 + i, 1 - wave % 2).encode() for i in range(schools)]
        scene.send(1.0)
        scene.daemon.caught_up()


def test_greedy_peers():
    """They ask for everything a thousand times and read nothing, or send large rubbish while nobody reads them, and then are
    gone: memory stays bounded, nobody dies of it, and the orderly subscriber has everything."""
    with World() as w:
        scene = Scene(w, 600).start()
        scene.send(1.0)
        many_alerts(scene, 12)
        scene.fault()
        d, feeder = scene.daemon, scene.producers[1].feed
        before = flow.rss(d.process.pid)
        context = zmq.Context()
        peers = [greedy(context, d.alerts_fetch) for _ in range(4)]
        feeders = [greedy(context, feeder.fetch) for _ in range(2)]
        pour(feeders, 3000, lambda i: request(b"FETCH", b"registration.0", i + 1, 1, 5000))
        pour(peers, 1500, lambda i: request(b"FETCH", b"alert.0", i + 1, 1, 5000))
        time.sleep(2)
        asked = flow.rss(d.process.pid)
        pid = int(w.cluster.one("SELECT pid FROM pg_stat_activity WHERE application_name = 'teldagd publisher'"))
        freeze(pid)  # the publisher waits: nobody reads what peers send
        try:
            pour(peers, 12, lambda i: [b"FETCH", b"alert.0", b"x" * (7 << 20), b"\0\0\0\1"])
            time.sleep(1)
            rubbished = flow.rss(d.process.pid)
            peers += [greedy(context, d.alerts_fetch) for _ in range(2)]
            pour(peers[-2:], 4000, lambda i: request(b"HELLO", b"alert.0", i + 1, 0))
            time.sleep(1)
            context.destroy(0)  # gone, with their requests unread
            time.sleep(3)
        finally:
            thaw(pid)
        assert d.process.poll() is None and feeder.process.poll() is None, "ended: %s %s" % (d.process.poll(), feeder.process.poll())
        print("     memory %.0f MB, after requests whose answers nobody reads %.0f MB, after rubbish %.0f MB" % (before / 1e6, asked / 1e6, rubbished / 1e6))
        assert asked - before < 30e6 and rubbished - asked < 10e6, (before, asked, rubbished)
        scene.recovered("peers that ask and do not read", len(peers) + 2)


def test_subscriber_that_stalls():
    """What follows the alerts is blocked by its reader, more alerts come than any queue holds, and the daemon dies meanwhile."""
    with World() as w:
        scene = Scene(w, 600, follow=False).start()
        stalled = subprocess.Popen([os.path.join(harness.BUILD, "teldagctl"), "-c", scene.daemon.config, "--json", "alerts", "--follow", "--after", "0"],
                                   stdout=subprocess.PIPE)
        scene.send(1.0)
        scene.fault()
        many_alerts(scene, 12)
        peak = flow.rss(stalled.pid)
        scene.daemon.kill()
        time.sleep(3)
        scene.daemon.start()
        assert stalled.poll() is None, "the subscriber ended with %d" % stalled.returncode
        scene.follower = Follower.__new__(Follower)  # its reader wakes up
        scene.follower.daemon, scene.follower.events, scene.follower.process = scene.daemon, [], stalled
        scene.follower.reader = threading.Thread(target=scene.follower.read, args=(stalled,), daemon=True)
        scene.follower.reader.start()
        scene.recovered("a subscriber that stalls")
        print("     the subscriber had %d MB and %d alerts" % (peak / 1e6, len(scene.follower.events)))
        assert peak < 40e6 and scene.follower.stop() == 0


class SmallMessages(threading.Thread):
    """A publisher from the protocol's text that sends one event a message; it dies in the middle."""

    def __init__(self, lines):
        super().__init__(daemon=True)
        self.stream, self.lines, self.epoch, self.stopping = "registration.1", lines, 1000, False
        self.publish, self.fetch = ["tcp://127.0.0.1:%d" % p for p in harness.free_ports(2)]
        self.start()

    def run(self):
        context = zmq.Context()
        xpub, router = context.socket(zmq.XPUB), context.socket(zmq.ROUTER)
        for s in (xpub, router):
            s.setsockopt(zmq.LINGER, 0)
            s.setsockopt(zmq.SNDHWM, 20000)
        xpub.bind(self.publish)
        router.bind(self.fetch)
        while not self.stopping:
            if not router.poll(50):
                continue
            peer, verb, name, header, *most = router.recv_multipart()
            tag, first = HEADER.unpack(header)[3], max(1, HEADER.unpack(header)[5])
            end = len(self.lines) + 1
            if verb == b"FETCH":
                for seq in range(first, min(end, first + struct.unpack(">I", most[0])[0])):
                    router.send_multipart([peer, name, HEADER.pack(1, ord("R"), 1, tag, self.epoch, seq, 1), self.lines[seq - 1]])
            router.send_multipart([peer, name, HEADER.pack(1, ord("H"), 0, tag, self.epoch, end, 1)])
        context.destroy(0)


def test_publisher_dies_behind_a_full_queue():
    """The database hangs, the daemon's queue is full, an answer of thousands of small messages waits unread, and its sender dies."""
    with World() as w:
        scene = Scene(w, 400)
        lines = [harness.registration(101, i % 500, "graad1").encode() for i in range(80000)]
        small = SmallMessages(lines[:10])
        d = scene.daemon
        with open(d.config) as f:
            text = f.read()
        with open(d.config, "w") as f:
            f.write(text.replace("streams = (", 'streams = (\n  { name = "%s"; subscribe = "%s"; fetch = "%s"; },' % (small.stream, small.publish, small.fetch)))
        d.start().caught_up()
        scene.fault()
        pid = flow.writer_pid(w.cluster)
        freeze(pid)
        small.lines = lines
        try:
            wait_for(lambda: flow.stream_status(d, small.stream)["queued_events"] >= 65536, 40, "the queue does not fill")
            time.sleep(1)
            small.stopping = True
            small.join()
            time.sleep(3)
        finally:
            thaw(pid)
        assert d.process.poll() is None, "the daemon ended with %d" % d.process.returncode
        again = SmallMessages.__new__(SmallMessages)
        threading.Thread.__init__(again, daemon=True)
        again.stream, again.lines, again.epoch, again.stopping, again.publish, again.fetch = small.stream, small.lines, 1000, False, small.publish, small.fetch
        again.start()
        ended = time.monotonic()
        scene.follower = Follower(d)

        def all_in():
            if d.process.poll() is not None:  # seen once, in libzmq ("!_more", fq.cpp): as the service manager does
                print("     THE DAEMON ENDED with %d when it read on, and was started again" % d.process.returncode, flush=True)
                d.start()
            return w.cluster.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.1'") == [["80001"]]
        wait_for(all_in, 60, "not all is in")
        flow.expect_positions(w.cluster, "registration.1", 80000)
        scene.recovered("a publisher dies behind a full queue", 1, ended, 0.5)
        again.stopping = True


if __name__ == "__main__":
    environment.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
