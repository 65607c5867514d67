# SPDX-License-Identifier: MIT
"""Keys, allow-lists and peers for tests of CURVE: a world in which every socket is encrypted, and strangers who speak
ZeroMQ, or not even that, from python3-zmq and plain sockets."""
import ctypes
import json
import os
import struct
import subprocess
import threading
import time

import zmq

import harness
from harness import BUILD, wait_for

HEADER = struct.Struct(">BBHIQQQ")


class Keys:
    """Pairs made by the tools, by name."""

    def __init__(self, home):
        self.home, self.known = home, {}

    def __getitem__(self, name):
        if name not in self.known:
            path = os.path.join(self.home, name + ".secret")
            argv = ["teldagctl", "keys", "generate"] if len(self.known) % 2 else ["teldag-feed", "keygen"]
            out = subprocess.run([os.path.join(BUILD, argv[0]), *argv[1:], "--out", path], stdout=subprocess.PIPE, check=True, text=True).stdout
            with open(path) as f:
                self.known[name] = (path, out.strip(), f.read().strip())
        return self.known[name]

    def path(self, name):
        return self[name][0]

    def public(self, name):
        return self[name][1]

    def pair(self, name):
        return self[name][1].encode(), self[name][2].encode()


def write_allow(path, keys, entries):
    """entries: (name, streams, kinds or None); each name has the key of that name."""
    def listed(words):
        return "(" + ", ".join('"%s"' % w for w in words) + ")"
    with open(path + ".new", "w") as f:
        f.write("keys = (\n" + ",\n".join('  { name = "%s"; key = "%s"; streams = %s;%s }' % (
            name, keys.public(name), listed(streams), " kinds = %s;" % listed(kinds) if kinds else "") for name, streams, kinds in entries) + "\n);\n")
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


class Peer:
    """A SUB and a DEALER with some key, or none; counts every frame that arrives."""

    def __init__(self, publish, fetch, keys=None, server=None, topics=(b"",), stream="alert.0", plain=None, ask=True):
        self.context = zmq.Context()
        self.sub, self.dealer = self.context.socket(zmq.SUB), self.context.socket(zmq.DEALER)
        self.stream, self.frames, self.topics, self.answers = stream, 0, [], []
        for s in (self.sub, self.dealer):
            s.linger = 0
            s.reconnect_ivl_max = 500
            if keys:
                s.curve_publickey, s.curve_secretkey = keys
                s.curve_serverkey = server.encode()
            if plain:
                s.plain_username, s.plain_password = plain
        for t in topics:
            self.sub.subscribe(t)
        self.sub.connect(publish)
        self.dealer.connect(fetch)
        if ask:
            self.ask()

    def ask(self):
        request = HEADER.pack(1, ord("Q"), 0, 7, 0, 1, 0)
        for frames in ([b"HELLO", self.stream.encode(), request], [b"FETCH", self.stream.encode(), request, struct.pack(">I", 1000)]):
            try:
                self.dealer.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                pass

    def listen(self, seconds):
        """Frames of this time."""
        before, end = self.frames, time.monotonic() + seconds
        poller = zmq.Poller()
        poller.register(self.sub, zmq.POLLIN)
        poller.register(self.dealer, zmq.POLLIN)
        while time.monotonic() < end:
            for s, _ in poller.poll(50):
                frames = s.recv_multipart()
                self.frames += len(frames)
                (self.topics if s is self.sub else self.answers).append(frames[0].decode())
        return self.frames - before

    def close(self):
        self.context.destroy(0)


class Trickle:
    """Something to hear: a closing number that is wrong and right in turn, ten times a second, of one school."""

    def __init__(self, feed, school_id=900):
        self.feed, self.school, self.stopping, self.sent = feed, school_id, False, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            self.sent += 1
            try:
                self.feed.send([harness.closed(self.school, self.sent % 2)], wait=False)
            except OSError:
                return  # the feeder has ended
            time.sleep(0.1)

    def stop(self):
        self.stopping = True
        self.thread.join()


class Encrypted:
    """Feeds, daemon and follower, every socket with CURVE."""

    def __init__(self, world):
        self.world, self.keys = world, Keys(world.home)
        self.feed_allow, self.alert_allow = [os.path.join(world.home, n) for n in ("feed.allow", "alert.allow")]
        self.allow_feeds([("daemon", ["registration.*", "school.*"], None), ("other", ["school.0"], None)])
        self.allow_alerts()
        self.names, self.feed = self.serve("school.0"), self.serve("registration.0")
        self.daemon = world.daemon([self.names, self.feed], near=(1000, 1000), config_extra=(
            'curve = { secret = "%s"; allow = "%s"; control = "%s"; };\n' %
            (self.keys.path("daemon"), self.alert_allow, self.keys.path("control")))).migrate().start()

    def serve(self, stream):
        f = self.world.feed(stream, "--curve", self.keys.path("feeder"), "--allow", self.feed_allow)
        f.server_key = self.keys.public("feeder")
        return f

    def allow_feeds(self, entries):
        write_allow(self.feed_allow, self.keys, entries)

    def allow_alerts(self, without=()):
        entries = [("control", ["alert.*"], None), ("reader", ["alert.0"], None), ("inspectie", ["alert.0"], ["threshold.*"]),
                   ("feedonly", ["registration.0"], None)]
        write_allow(self.alert_allow, self.keys, [e for e in entries if e[0] not in without])

    def alerts(self, key=None, server="daemon", **how):
        d = self.daemon
        return Peer(d.alerts_publish, d.alerts_fetch, self.keys.pair(key) if key else None, self.keys.public(server), **how)

    def feeds(self, key=None, server="feeder", **how):
        f = self.feed
        return Peer(f.publish, f.fetch, self.keys.pair(key) if key else None, self.keys.public(server), stream=f.stream, **how)


# ---- freezing one thread of a process, as a bug in it would ----

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 7, 17, 0x4206, 0x4207


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace %x of %d" % (request, tid))


def thread_named(pid, name):
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, tid)) as f:
            if f.read().strip() == name:
                return int(tid)
    raise AssertionError("process %d has no thread %s" % (pid, name))


class FrozenThread:
    """with FrozenThread(pid, "gate"): the other threads go on. Both ends in one thread of ours: the kernel asks for it."""

    def __init__(self, pid, name):
        self.tid = thread_named(pid, name)

    def __enter__(self):
        _ptrace(PTRACE_SEIZE, self.tid)
        _ptrace(PTRACE_INTERRUPT, self.tid)
        os.waitpid(self.tid, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        _ptrace(PTRACE_DETACH, self.tid)


def gate_counts(daemon):
    done = daemon.run("--json", "status")
    return json.loads(done.stdout)["publisher"]


def advancing(follower, seconds=20):
    """A permitted peer goes on meanwhile."""
    before = len(follower.events)
    wait_for(lambda: len(follower.events) > before, seconds, "the permitted follower receives nothing any more")
