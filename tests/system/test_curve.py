#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CURVE and allow-lists against real peers (P7): whoever is not permitted gets no frame of any message, on the alert sockets
of the daemon and on the sockets of a feeder, while those who are permitted go on. Each attempt is recorded."""
import os
import random
import signal
import socket
import time

import zmq

import curve_kit
from curve_kit import Encrypted, FrozenThread, Trickle, advancing, gate_counts
from flow import Follower
from harness import SEED, SLOW, Shared, closed, main_shared, registration, school, wait_for
from security_record import record

LISTEN = 1.5  # longer than a handshake takes; events flow all the time


def make(world):
    e = Encrypted(world)
    e.names.send([school(900, "so"), school(901, "so")])
    e.trickle = Trickle(e.feed)
    e.follower = Follower(e.daemon)
    wait_for(lambda: len(e.follower.events) > 2, 30, "the permitted follower")
    return e


encrypted = Shared(make)


def attempt(e, text, open_peer, listen=LISTEN, seconds=20):
    """No frame, and the permitted go on."""
    for where, peer in (("alert sockets", e.alerts), ("feeder", e.feeds)):
        p = open_peer(where, peer)
        if p is None:
            continue
        frames = p.listen(listen * SLOW ** 0.5)
        p.close()
        record(text, where, "%d frames" % frames)
        assert frames == 0, "%s at %s: %d frames, %s %s" % (text, where, frames, p.topics[:3], p.answers[:3])
    advancing(e.follower, seconds)


def test_the_whole_way():
    """Feed, daemon and follower, all encrypted: a permitted key gets every alert once; and what teldagctl says to one that is not."""
    e = encrypted()
    e.trickle.stop()
    e.daemon.caught_up()
    e.follower.expect(e.world.cluster)
    e.trickle = Trickle(e.feed)
    reader = e.alerts("reader")
    assert reader.listen(2 * SLOW) > 10 and "alert.0" in reader.answers and "alert.0/count.incomplete/900" in reader.topics, reader.topics
    record("a permitted key", "alert sockets", "%d frames" % reader.frames)
    reader.close()
    peer = e.feeds("daemon")
    assert peer.listen(2 * SLOW) > 10
    record("a permitted key", "feeder", "%d frames" % peer.frames)
    peer.close()
    d = e.daemon
    for options, said in ((["--curve", e.keys.path("stranger"), "--server-key", e.keys.public("daemon")], b"do not let us in"),
                          (["--curve", e.keys.path("inspectie"), "--server-key", e.keys.path("daemon") + ".pub"], b"some kinds of alerts only")):
        p = e.world.spawn([curve_kit.BUILD + "/teldagctl", "-c", d.config, "alerts", "--follow", *options], stderr=-1, stdout=-1)
        line = p.stderr.readline()
        assert said in line, line
        p.terminate()
        assert p.communicate()[0] == b""


def test_no_key():
    e = encrypted()
    attempt(e, "no key: plain ZeroMQ (NULL)", lambda where, peer: peer())
    attempt(e, "user and password (PLAIN)", lambda where, peer: peer(plain=(b"admin", b"admin")))


def test_wrong_server_key():
    attempt(encrypted(), "a permitted key, but another server key",
            lambda where, peer: peer("reader" if where == "alert sockets" else "daemon", server="stranger"))


def test_unknown_key():
    attempt(encrypted(), "the right server key, own key not on the allow-list", lambda where, peer: peer("stranger"))


def test_key_of_another_stream():
    attempt(encrypted(), "a key permitted for another stream", lambda where, peer: peer("feedonly" if where == "alert sockets" else "other"))


def test_key_of_other_kinds():
    """Everything but its kinds, live and by request; then only its kinds."""
    e = encrypted()
    p = e.alerts("inspectie", topics=[b"", b"a", b"alert.0", b"alert.0/", b"alert.0/t", b"alert.0/count.incomplete/", b"alert.0/thresholds"])
    p.listen(2 * SLOW ** 0.5)
    assert p.topics == [] and set(p.answers) == {"ERROR"}, (p.topics[:3], p.answers)
    record("a key for the kinds threshold.* asks for all: subscriptions", "alert sockets", "%d frames" % len(p.topics))
    record("a key for the kinds threshold.* asks for all: HELLO, FETCH", "alert sockets",
           "0 frames of alerts, %d refusals" % len(p.answers))
    p.sub.subscribe(b"alert.0/threshold.")
    time.sleep(0.5)
    raise_threshold(e)
    p.listen(2 * SLOW ** 0.5)
    assert p.topics and all(t.startswith("alert.0/threshold.") for t in p.topics), p.topics[:5]
    record("a key for the kinds threshold.*", "alert sockets", "only these: %d messages" % len(p.topics))
    p.close()


def raise_threshold(e):
    """An alert of kind threshold.near: a school that is granted hours, with near.* as wide as it can be."""
    gok = ["opleiding_moeder", "schooltoelage"]
    e.feed.send([registration(901, i, "graad1", gok) for i in range(200)] + [closed(901, 200)])
    e.daemon.caught_up()
    assert int(e.world.cluster.one("SELECT count(*) FROM teldag.alert_log WHERE kind LIKE 'threshold.%'")) > 0


def test_garbage():
    """No ZeroMQ at all: not a byte of any message, and nobody is disturbed."""
    e = encrypted()
    rnd = random.Random(SEED)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16 + 1 + 31)
    pieces = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(512), b"\xff" * 64, greeting, greeting + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB" + b"\0\1\1",
              greeting[:20], b"\0" * 4096] + [rnd.randbytes(rnd.randrange(1, 3000)) for _ in range(20)]
    for where, endpoints in (("alert sockets", (e.daemon.alerts_publish, e.daemon.alerts_fetch)), ("feeder", (e.feed.publish, e.feed.fetch))):
        got = b""
        for endpoint in endpoints:
            for piece in pieces:
                with socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])), timeout=0.05) as s:
                    try:
                        s.sendall(piece)
                        while True:
                            data = s.recv(65536)
                            if not data:
                                break
                            got += data
                    except OSError:
                        pass
        record("bytes that are no ZeroMQ, or cut ZeroMQ", where, "0 frames (%d bytes of greetings)" % len(got))
        for word in (b"alert", b"specversion", b"registration"):
            assert word not in got, got
        assert len(got) < len(pieces) * 2 * 400, len(got)
    advancing(e.follower)


def test_revoked_key():
    """Its connection ends at once, the next is refused; nobody else notices. Let in again, it comes back by itself."""
    e = encrypted()
    p, q = e.alerts("reader"), e.alerts("inspectie", topics=[b"alert.0/threshold."])
    assert p.listen(1.5 * SLOW) > 3
    before = gate_counts(e.daemon)
    e.allow_alerts(without=["reader"])
    e.daemon.ctl("reload")
    p.listen(0.3)  # what was on its way
    p.ask()
    frames = p.listen(2 * SLOW ** 0.5)
    record("a key revoked by a reload, its open connection", "alert sockets", "%d frames" % frames)
    assert frames == 0, (frames, p.topics[-3:], p.answers[-3:])
    r = e.alerts("reader")
    frames = r.listen(LISTEN * SLOW ** 0.5)
    record("a key revoked by a reload, a new connection", "alert sockets", "%d frames" % frames)
    assert frames == 0
    r.close()
    advancing(e.follower)
    after = gate_counts(e.daemon)
    assert after["revoked_connections"] - before["revoked_connections"] == 2 and after["auth_failures"] > before["auth_failures"], (before, after)
    e.allow_alerts()
    e.daemon.ctl("reload")
    wait_for(lambda: p.listen(0.5) > 0, 20, "the key let in again hears nothing")
    p.close()
    q.close()

    p = e.feeds("daemon")  # the daemon's own key, so that the daemon loses its connection too
    assert p.listen(1.5 * SLOW) > 3
    e.allow_feeds([("other", ["school.0"], None)])
    for f in (e.feed, e.names):
        os.kill(f.process.pid, signal.SIGHUP)
    p.listen(0.5)
    p.ask()
    frames = p.listen(2 * SLOW ** 0.5)
    record("a key revoked by SIGHUP, its open connection", "feeder", "%d frames" % frames)
    assert frames == 0
    e.allow_feeds([("daemon", ["registration.*", "school.*"], None), ("other", ["school.0"], None)])
    for f in (e.feed, e.names):
        os.kill(f.process.pid, signal.SIGHUP)
    advancing(e.follower, 30)  # the daemon came back by itself, and fetched what it missed
    p.close()


def test_a_wrong_list_changes_nothing():
    e = encrypted()
    with open(e.alert_allow) as f:
        good = f.read()
    with open(e.alert_allow, "w") as f:
        f.write(good.replace("streams", "stream", 1))
    done = e.daemon.run("reload")
    assert done.returncode == 78 and "keys.[0].stream: unknown key; did you mean streams?" in done.stderr, done
    p = e.alerts("reader")
    assert p.listen(1.5 * SLOW) > 3
    p.close()
    with open(e.alert_allow, "w") as f:
        f.write(good)
    e.daemon.ctl("reload")


def test_dead_authenticator():
    """The authenticator's thread stands still: also a permitted key that comes now gets nothing, and who is in stays in."""
    e = encrypted()
    for where, pid, peer, key in (("alert sockets", e.daemon.process.pid, e.alerts, "reader"), ("feeder", e.feed.process.pid, e.feeds, "daemon")):
        with FrozenThread(pid, "gate"):
            frames = 0
            for k in (key, "stranger", None):
                p = peer(k)
                frames += p.listen(LISTEN * SLOW ** 0.5)
                p.close()
            record("the authenticator is dead", where, "%d frames" % frames)
            assert frames == 0, frames
            advancing(e.follower)
        p = peer(key)
        wait_for(lambda: p.listen(0.5) > 0, 20, "nobody is let in after the authenticator woke up")
        p.close()


def test_a_message_where_a_subscription_belongs():
    """What skews libzmq's queues (daemon/bus_guard.c), often, while permitted peers subscribe: the sender gets nothing."""
    e = encrypted()
    context = zmq.Context()
    bad = []
    for _ in range(4):
        s = context.socket(zmq.XSUB)
        s.linger, s.reconnect_ivl = 0, 50
        s.curve_publickey, s.curve_secretkey = e.keys.pair("inspectie")
        s.curve_serverkey = e.keys.public("daemon").encode()
        s.connect(e.daemon.alerts_publish)
        bad.append(s)
    got = []
    for turn in range(20):
        for s in bad:
            for m in (b"message", b"\1alert.0/threshold.", b"\1alert.0", b""):
                try:
                    s.send(m, zmq.NOBLOCK)
                except zmq.Again:
                    pass
        if turn % 5 == 0:
            p = e.alerts("reader")
            p.listen(0.2)
            p.close()
        for s in bad:
            while s.poll(10):
                got.append(s.recv())
    got = [g for g in got if not g.startswith(b"alert.0/threshold.")]
    record("messages instead of subscriptions, to get those of others", "alert sockets", "%d frames" % len(got))
    assert not got, got[:3]
    context.destroy(0)
    p = e.alerts("inspectie", topics=[b"alert.0/threshold."])
    assert p.listen(LISTEN) == 0 or all(t.startswith("alert.0/threshold.") for t in p.topics) and set(p.answers) <= {"ERROR"}
    p.close()
    e.daemon.ctl("reload")  # lets the key in again
    advancing(e.follower)


def test_failures_are_counted_and_logged():
    """By address and name, never with a key; and not more lines than a disk can bear."""
    e = encrypted()
    before = gate_counts(e.daemon)
    peers = [e.alerts("stranger", ask=False) for _ in range(10)] + [e.alerts(ask=False) for _ in range(10)]
    wait_for(lambda: gate_counts(e.daemon)["auth_failures"] >= before["auth_failures"] + 10 and
             gate_counts(e.daemon)["handshake_failures"] >= before["handshake_failures"] + 10, 20, "failures are not counted")
    for p in peers:
        p.close()
    from flow import get
    text = get(e.daemon.metrics, "/metrics")[1]
    for name in ("auth", "handshake"):
        assert "teldagd_%s_failures_total" % name in text
    with open(e.daemon.log) as f:
        log = f.read()
    assert "127.0.0.1 was not let in: its key is not on the allow-list" in log and "speaks without CURVE" in log, log[-2000:]
    for name in e.keys.known:
        path, public, secret = e.keys[name]
        assert secret not in log and public not in log, "the log holds a key of %s" % name
    assert log.count("not let in") < 400, log.count("not let in")


if __name__ == "__main__":
    main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, encrypted)
