# SPDX-License-Identifier: MIT
"""A proxy for TFP/1 between two ends that know nothing of it, on the level of TCP (cut, reset, freeze, cut inside a frame,
flip a bit of ZeroMQ's framing) and on that of ZMTP messages (delay, reorder, double, drop, truncate, damage a header).

ZMTP 3 with the NULL mechanism is plain: a greeting of 64 bytes, then frames of flags, length and body. Only the side that
carries the answers and the live messages (`down`) and the requests (`up`) are told apart; what happens to a message is drawn
from one seeded generator. What is done is counted in `done`, by name.

Damage to a header is drawn from HEADER_DAMAGE: what the protocol promises to notice. What it cannot notice (a payload that is
JSON still, a first_seq moved back into the range of its own message) is in docs/reliability.md, and not done here."""
import collections
import random
import select
import socket
import struct
import threading
import time

GREETING = 64
MORE, LONG, COMMAND = 1, 2, 4
HEADER = struct.Struct(">BBHIQQQ")
VERBS = (b"HELLO", b"FETCH", b"GONE", b"EPOCH", b"ERROR")


def flip(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


def frame(body, more):
    head = bytes([MORE if more else 0, len(body)]) if len(body) < 256 else struct.pack(">BQ", LONG | (MORE if more else 0), len(body))
    return head + body


def header_at(frames):
    """Index of a message's TFP/1 header; None when it has none."""
    for i, body in enumerate(frames):
        if len(body) == HEADER.size and body[0] == 1 and body[1:2] in b"RHQ":
            return i
    return None


class Link:
    """One connection through the proxy."""

    def __init__(self, wire, client, server):
        self.wire, self.ends = wire, (client, server)
        self.closed = threading.Event()
        for number, pump in ((0, self.up), (1, self.down)):
            threading.Thread(target=self.guard, args=(pump, self.ends[number], self.ends[1 - number]), daemon=True).start()

    def guard(self, pump, source, sink):
        try:
            pump(source, sink)
        except (OSError, ValueError):
            pass  # ValueError: a closed descriptor in select
        self.close()

    def close(self, reset=False):
        self.closed.set()
        for s in self.ends:
            try:
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if reset:
            for s in self.ends:
                s.close()

    def receive(self, source, n):
        """recv() that ends when the link is closed: a socket in use by a thread is not torn down by close()."""
        while not select.select([source], [], [], 0.05)[0]:
            if self.closed.is_set():
                raise OSError("closed")
        return source.recv(n)

    def read(self, source, n, buffer):
        while len(buffer) < n:
            data = self.receive(source, 65536)
            if not data:
                raise OSError("ended")
            buffer += data
        out = bytes(buffer[:n])
        del buffer[:n]
        return out

    def up(self, source, sink):
        self.relay(source, sink, "up")

    def down(self, source, sink):
        self.relay(source, sink, "down")

    def send(self, sink, data):
        while self.wire.frozen and not self.closed.is_set():
            time.sleep(0.01)  # nothing is read either: the other side's buffers fill
        sink.sendall(data)

    def relay(self, source, sink, way):
        buffer, greeted = bytearray(), 0
        while greeted < GREETING:  # each side waits for the other's version before it says the rest
            data = self.receive(source, GREETING - greeted)
            if not data:
                return
            greeted += len(data)
            self.send(sink, data)
        held = []  # of a reordered message: [bytes, messages that still overtake it]
        while True:
            frames, raw = [], b""
            while True:
                flags = self.read(source, 1, buffer)[0]
                width = 8 if flags & LONG else 1
                size = self.read(source, width, buffer)
                body = self.read(source, int.from_bytes(size, "big"), buffer)
                raw += bytes([flags]) + size + body
                if flags & COMMAND:
                    break
                frames.append(body)
                if not flags & MORE:
                    break
            if flags & COMMAND or not self.wire.active:
                self.send(sink, raw)
                continue
            self.message(frames, raw, sink, way, held)

    def message(self, frames, raw, sink, way, held):
        fault = self.wire.draw(way, frames)
        out = [raw]
        if fault == "delay":
            time.sleep(self.wire.random.uniform(0.01, 0.3))
        elif fault == "drop":
            out = []
        elif fault == "double":
            out = [raw, raw]
        elif fault == "reorder":
            held.append([raw, self.wire.random.randint(1, 3)])
            out = []
        elif fault in ("truncate", "damage", "frames"):
            frames = getattr(self, fault)(list(frames))
            out = [b"".join(frame(f, i + 1 < len(frames)) for i, f in enumerate(frames))]
        elif fault == "framing":
            out = [self.framing(raw)]
        elif fault == "cut":
            self.send(sink, raw[:self.wire.random.randrange(1, len(raw))])
            raise OSError("cut inside a message")
        elif fault == "reset":
            self.close(reset=True)
            return
        for data in out:
            self.send(sink, data)
        for h in list(held):
            h[1] -= 1
            if h[1] < 0:
                self.send(sink, h[0])
                held.remove(h)

    def truncate(self, frames):
        """The last frame loses bytes: a header that is short, or a payload that lacks a line."""
        i = len(frames) - 1
        if header_at(frames) == i or b"\n" not in frames[i]:
            i = header_at(frames) if header_at(frames) is not None else i
            frames[i] = frames[i][:-self.wire.random.randint(1, max(1, min(31, len(frames[i]))))]
        else:
            frames[i] = frames[i][:frames[i].rindex(b"\n")]
        return frames

    def damage(self, frames):
        i = header_at(frames)
        if i is None:
            return frames
        header, field = frames[i], self.wire.random.choice(self.wire.header_damage)
        if field == "version":
            header = flip(header, 0, self.wire.random.randrange(8))
        elif field == "kind":
            header = flip(header, 1, self.wire.random.randrange(8))
        elif field == "count":
            header = flip(header, self.wire.random.choice((2, 3)), self.wire.random.randrange(8))
        elif field == "tag":
            header = flip(header, self.wire.random.randrange(4, 8), self.wire.random.randrange(8))
        elif field == "epoch":
            header = flip(header, self.wire.random.randrange(8, 16), self.wire.random.randrange(8))
        elif field == "first_seq":  # upwards, beyond the message itself
            first = HEADER.unpack(header)[5]
            zeros = [b for b in range(17, 63) if not first >> b & 1]
            first |= 1 << self.wire.random.choice(zeros)
            header = header[:16] + first.to_bytes(8, "big") + header[24:]
        else:
            header = flip(header, self.wire.random.randrange(24, 32), self.wire.random.randrange(8))
        frames[i] = header
        return frames

    def frames(self, frames):
        how = self.wire.random.choice(("add", "drop", "swap", "many"))
        if how == "add":
            return frames + [b"more"]
        if how == "drop" and len(frames) > 1:
            return frames[:-1]
        if how == "swap" and len(frames) > 1:
            return frames[:-2] + [frames[-1], frames[-2]]
        return frames + [b"x"] * 20

    def framing(self, raw):
        """A bit of ZeroMQ's own flags or length; what follows cannot be read any more."""
        return flip(raw, 0 if self.wire.random.random() < 0.5 else 1, self.wire.random.randrange(3, 8))


class Wire:
    """rates: way -> fault -> probability a message. Header damage is drawn from header_damage."""

    HEADER_DAMAGE = ("version", "kind", "count", "tag", "first_seq", "sent_us")

    def __init__(self, target, rates=None, seed=0, header_damage=HEADER_DAMAGE):
        self.host, self.port = target.replace("tcp://", "").rsplit(":", 1)
        self.rates, self.header_damage = rates or {}, header_damage
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.active, self.frozen, self.refusing = True, False, False
        self.done, self.links = collections.Counter(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError("refused")
                server = socket.create_connection((self.host, int(self.port)), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.links = [l for l in self.links if not l.closed.is_set()] + [Link(self, client, server)]

    def draw(self, way, frames):
        with self.lock:
            dice = self.random.random()
            for fault, rate in self.rates.get(way, {}).items():
                dice -= rate
                if dice < 0:
                    if fault in ("damage", "truncate") and header_at(frames) is None:
                        return None  # subscriptions have no header
                    self.done[fault] += 1
                    return fault
        return None

    def cut(self, reset=False):
        """Every connection now; an RST with reset."""
        for link in self.links:
            link.close(reset)
            self.done["reset" if reset else "cut"] += 1

    def close(self):
        self.frozen = False
        self.listener.close()
        for link in self.links:
            link.close()


class RawWire(Wire):
    """Bytes as they come, for other protocols (PostgreSQL's); it can freeze and cut."""

    def __init__(self, target, connect=None):
        self.connect = connect
        super().__init__(target or "tcp://127.0.0.1:0")

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = self.connect()
            except OSError:
                client.close()
                continue
            self.links = [l for l in self.links if not l.closed.is_set()] + [RawLink(self, client, server)]


class RawLink(Link):
    def relay(self, source, sink, way):
        while True:
            data = self.receive(source, 65536)
            if not data:
                return
            self.send(sink, data)
