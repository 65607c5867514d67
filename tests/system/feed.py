#!/usr/bin/python3
# SPDX-License-Identifier: MIT
#
# teldag-feed as a producer and a subscriber meet it, with real processes, pipes and sockets: nothing acknowledged is ever
# lost or repeated, whatever is killed; TFP/1 answers; limits; a full disk. The subscriber here is written from the
# protocol's description only.
#   tests/system/feed.py build/teldag-feed [TEST...]         TEST_SEED=N repeats a run, FEED_ROUNDS=N sets the kills
import fcntl
import hashlib
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import zmq

FEED = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/teldag-feed")
SEED = int(os.environ.get("TEST_SEED", time.time_ns() % 1000000000))
ROUNDS = int(os.environ.get("FEED_ROUNDS", 40))
STREAM = "registration.0"
HEADER = struct.Struct(">BBHIQQQ")
TESTS = []


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def check(condition, text="check failed"):
    if not condition:
        raise AssertionError(text)


def equal(got, wanted, what=""):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def line(n, width=0):
    return b'{"n":%d,"fill":"%s"}' % (n, b"x" * width)


class Feeder:
    """A teldag-feed process with its pipes."""

    def __init__(self, command, journal, *options, stdin=subprocess.PIPE, stream=STREAM):
        self.arguments = [FEED, command, "--stream", stream, "--journal", journal, *options]
        self.process = subprocess.Popen(self.arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""
        self.acks = []

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read_acks(self, timeout=0.0):
        """Whatever acks are there; waits at most timeout for the first of them."""
        out = self.process.stdout.fileno()
        while select.select([out], [], [], timeout)[0]:
            chunk = os.read(out, 65536)
            if not chunk:
                break
            self.text += chunk
            timeout = 0
        *whole, self.text = self.text.split(b"\n")
        for text in whole:
            check(re.fullmatch(rb"ack \d+", text), f"not an ack: {text!r}")
            self.acks.append(int(text[4:]))
        check(self.acks == sorted(self.acks), f"acks go back: {self.acks}")
        return self.acks[-1] if self.acks else None

    def wait_ack(self, n, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            last = self.read_acks(0.05)
            if last is not None and last >= n:
                return last
            check(self.process.poll() is None or select.select([self.process.stdout], [], [], 0)[0],
                  f"ended with {self.process.returncode}: {self.process.stderr.read().decode() if self.process.poll() is not None else ''}")
        raise AssertionError(f"no ack {n} within {timeout} s, only {self.acks[-1:]}")

    def end(self, timeout=10):
        """Closes the input and waits; exit code and what was said."""
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        code = self.process.wait(timeout)
        self.read_acks()
        return code, self.process.stderr.read().decode()

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.read_acks()
        try:
            self.process.stdin.close()
        except (BrokenPipeError, AttributeError):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def run(*arguments, data=b""):
    done = subprocess.run([FEED, *arguments], input=data, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


def dump(journal, *options):
    code, out, error = run("dump", "--journal", journal, *options)
    equal(code, 0, f"dump ({error})")
    return out.split(b"\n")[:-1]


def append(journal, lines, *options):
    code, out, error = run("append", "--stream", STREAM, "--journal", journal, *options, data=b"".join(x + b"\n" for x in lines))
    equal(code, 0, f"append ({error})")
    return out


class Served(Feeder):
    """serve, with a SUB and a DEALER that know TFP/1."""

    def __init__(self, folder, journal, *options, stdin=subprocess.PIPE):
        self.endpoints = [f"ipc://{folder}/publish", f"ipc://{folder}/fetch"]
        super().__init__("serve", journal, "--publish", self.endpoints[0], "--fetch", self.endpoints[1], *options, stdin=stdin)
        self.context = zmq.Context()
        self.wait_ack(0)

    def subscribe(self, prefix=STREAM):
        sub = self.context.socket(zmq.SUB)
        sub.setsockopt(zmq.LINGER, 0)
        sub.subscribe(prefix.encode())
        sub.connect(self.endpoints[0])
        kind, header, _ = parse(receive(sub, 5000))  # a head within a second shows that the subscription has arrived
        equal(kind, STREAM, "first live message")
        return sub

    def dealer(self):
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(self.endpoints[1])
        return dealer

    def __exit__(self, *rest):
        super().__exit__(*rest)
        self.context.destroy(linger=0)


def receive(socket, timeout_ms=3000):
    check(socket.poll(timeout_ms), f"nothing received within {timeout_ms} ms")
    return socket.recv_multipart()


def parse(frames):
    """(frame 0 as text, header or None, payload lines or None), everything checked."""
    name = frames[0].decode()
    if name == "ERROR":
        equal(len(frames), 2, "frames of ERROR")
        return name, None, frames[1].decode()
    version, kind, count, tag, epoch, seq, sent = HEADER.unpack(frames[1])
    header = {"kind": chr(kind), "count": count, "tag": tag, "epoch": epoch, "seq": seq}
    equal(version, 1, "version")
    check(abs(sent / 1e6 - time.time()) < 60, "sent_us is not now")
    if chr(kind) == "R":
        equal(len(frames), 3, "frames of records")
        check(len(frames[2]) <= 4 << 20, "message over 4 MiB")
        lines = frames[2].split(b"\n")
        equal(len(lines), count, "count")
        return name, header, lines
    equal(len(frames), 2, "frames of a head")
    equal((chr(kind), count), ("H", 0), "kind and count")
    return name, header, None


def request(socket, verb, seq=1, epoch=0, tag=7, most=1000, stream=STREAM, kind=b"Q", count=0):
    header = HEADER.pack(1, kind[0], count, tag, epoch, seq, int(time.time() * 1e6))
    frames = [verb.encode(), stream.encode(), header]
    if verb == "FETCH":
        frames.append(struct.pack(">I", most))
    socket.send_multipart(frames)


def fetch(socket, seq, epoch=0, tag=7, most=1000):
    """One FETCH: the lines, and the message that ended the answer. Order, tag and epoch are checked."""
    request(socket, "FETCH", seq, epoch, tag, most)
    lines, wanted = [], seq
    while True:
        name, header, payload = parse(receive(socket))
        if header:
            equal(header["tag"], tag, "tag")
        if name != STREAM or header["kind"] == "H":
            check(len(lines) <= most, "more than asked for")
            return lines, name, header
        equal(header["seq"], wanted, "sequence")
        wanted += header["count"]
        lines += payload


# --- what is acknowledged stays ---------------------------------------------------------------------------------------

@test
def kill_9_loses_and_repeats_nothing(folder):
    """A producer that resumes from `ack N` ends with exactly its sequence, however often the feeder is killed."""
    journal, total, acked, kills = folder + "/j", 200000, 0, 0
    lines = [line(n, random.randrange(300)) for n in range(1, total + 1)]
    while acked < total:
        serving = kills % 3 == 2
        feeder = Served(folder, journal) if serving else Feeder("append", journal)
        with feeder:
            at = feeder.wait_ack(0)
            check(at >= acked, f"resumed at {at}, but {acked} were acknowledged")
            equal(feeder.acks[0], at, "the first ack is the last durable line")
            deadline = time.monotonic() + random.uniform(0, 0.06) if kills < ROUNDS else None
            os.set_blocking(feeder.process.stdin.fileno(), False)
            data, sent, most = b"\n".join(lines[at:at + total // ROUNDS] if deadline else lines[at:]) + b"\n", 0, feeder.process.stdin.fileno()
            while sent < len(data) and (deadline is None or time.monotonic() < deadline):
                if select.select([], [most], [], 0.005)[1]:
                    try:
                        sent += os.write(most, data[sent:sent + random.choice([1, 100, 5000, 65536])])
                    except BlockingIOError:
                        pass
                feeder.read_acks()
            while deadline and time.monotonic() < deadline:
                time.sleep(0.002)
            if deadline is None:
                if serving:
                    feeder.wait_ack(total, 30)
                else:
                    equal(feeder.end()[0], 0, "exit code")
            feeder.kill()
            acked = feeder.acks[-1]
            kills += 1
        stored = dump(journal)
        check(len(stored) >= acked, f"{acked} acknowledged, {len(stored)} stored")
        check(stored == lines[:len(stored)], f"after kill {kills} the journal is not the sequence")
    equal(len(dump(journal)), total, "lines")
    check(kills >= ROUNDS, f"only {kills} kills")


@test
def two_writers_and_a_kill(folder):
    """Two processes append to one journal, one of them is killed at random: each keeps its own order, nothing of it doubled."""
    journal, counts = folder + "/j", [0, 0]
    append(journal, [])
    with Feeder("append", journal) as steady:
        for round_ in range(10):
            with Feeder("append", journal) as victim:
                victim.wait_ack(0)
                for _ in range(random.randrange(1, 20)):
                    for who, feeder in enumerate((steady, victim)):
                        n = random.randrange(1, 50)
                        feeder.send(b"".join(b"%d.%d %d\n" % (who, round_ if who else 0, counts[who] + i) for i in range(n)))
                        counts[who] += n
                if random.random() < 0.7:
                    victim.kill()
                else:
                    victim.end()
            counts[1] = 0
        equal(steady.end()[0], 0, "exit code")
    streams = {}
    for text in dump(journal):
        who, n = text.split()
        streams.setdefault(who, []).append(int(n))
    equal(streams[b"0.0"], list(range(counts[0])), "the steady writer's lines")
    for who, numbers in streams.items():
        equal(numbers, list(range(len(numbers))), f"writer {who}")


@test
def torn_last_line(folder):
    """A producer killed in the middle of a line: that line is not journalled, and append says so."""
    journal = folder + "/j"
    code, out, error = run("append", "--stream", STREAM, "--journal", journal, data=line(1) + b"\n" + line(2)[:-4])
    equal((code, out), (65, b"ack 0\nack 1\n"), "torn")
    check("middle of a line" in error, error)
    code, out, _ = run("append", "--stream", STREAM, "--journal", journal, data=line(2))  # whole, only its newline is missing
    equal((code, out), (0, b"ack 1\nack 2\n"), "whole")
    equal(dump(journal), [line(1), line(2)])
    equal(dump(journal, "--from", "2"), [line(2)])
    equal(dump(journal, "--count", "1"), [line(1)])


@test
def unread_acks_stop_nothing(folder):
    """A producer that never reads its acks can send for ever; the last ack is true."""
    journal = folder + "/j"
    with Feeder("append", journal) as feeder:
        fcntl.fcntl(feeder.process.stdout, fcntl.F_SETPIPE_SZ, 8192)
        for n in range(1, 12001):
            os.write(feeder.process.stdin.fileno(), line(n) + b"\n")
            if n % 4 == 0:
                time.sleep(0.0001)
        deadline = time.monotonic() + 10
        while len(dump(journal)) < 12000:
            check(time.monotonic() < deadline, f"stuck at {len(dump(journal))} lines: nobody reads the acks")
            time.sleep(0.05)
        feeder.process.stdin.close()
        feeder.wait_ack(12000)
        equal(feeder.process.wait(10), 0, "exit code")
        check(100 < len(feeder.acks) < 12000, f"{len(feeder.acks)} acks")


@test
def one_ack_a_commit(folder):
    with Feeder("append", folder + "/j") as feeder:
        feeder.wait_ack(0)
        for n in range(1, 21):
            feeder.send(line(n) + b"\n")
            feeder.wait_ack(n, 2)  # nothing waits for more
        equal(feeder.acks, list(range(21)), "acks")
        feeder.send(b"\n\r\n\n")
        feeder.send(line(21) + b"\r\n")
        feeder.wait_ack(21)
    equal(dump(folder + "/j"), [line(n) for n in range(1, 22)])


# --- serving ----------------------------------------------------------------------------------------------------------

@test
def live_fetch_and_append(folder):
    """What standard input and another process bring goes out live and by FETCH, in one order."""
    journal = folder + "/j"
    append(journal, [line(n) for n in range(1, 11)])
    with Served(folder, journal) as served:
        equal(served.acks, [10], "ack at start")
        sub, dealer = served.subscribe(), served.dealer()
        served.send(line(11) + b"\n")
        served.wait_ack(11)
        appended = append(journal, [line(n) for n in range(12, 2012)])
        check(appended.startswith(b"ack 11\n") and appended.endswith(b"ack 2011\n"), appended[-20:])
        served.send(line(2012) + b"\n")
        served.wait_ack(2012)
        wanted, live = 11, []
        while wanted < 2013:
            name, header, lines = parse(receive(sub))
            equal((name, header["tag"]), (STREAM, 0), "live")
            if header["kind"] == "R":
                equal(header["seq"], wanted, "live sequence")
                check(header["count"] <= 500, "over 500 events in a live message")
                wanted += header["count"]
                live += lines
        equal(live, [line(n) for n in range(11, 2013)], "live lines")
        lines, name, head = fetch(dealer, 1, most=100000, tag=0xfedcba98)
        equal((name, head["seq"]), (STREAM, 2013), "head")
        equal(lines, [line(n) for n in range(1, 2013)], "fetched lines")
        for seq, most, count in [(2000, 5, 5), (2000, 0, 0), (2012, 9, 1), (2013, 9, 0), (9999, 9, 0)]:
            lines, name, head = fetch(dealer, seq, epoch=head["epoch"], most=most)
            equal((lines, name, head["seq"]), ([line(n) for n in range(seq, seq + count)], STREAM, 2013), f"FETCH {seq}")
        request(dealer, "HELLO", seq=0, tag=99)
        name, header, _ = parse(receive(dealer))
        equal((name, header["kind"], header["tag"], header["seq"]), (STREAM, "H", 99, 2013), "HELLO")


@test
def appended_lines_show_promptly(folder):
    journal = folder + "/j"
    with Served(folder, journal) as served, Feeder("append", journal) as other:
        sub, delays = served.subscribe(), []
        other.wait_ack(0)
        for n in range(1, 21):
            start = time.monotonic()
            other.send(line(n) + b"\n")
            while parse(receive(sub))[1]["kind"] != "R":
                pass
            delays.append(time.monotonic() - start)
        check(sorted(delays)[10] < 0.05, f"median {sorted(delays)[10]:.3f} s: noticed by looking now and then, not by being told")


@test
def head_every_second(folder):
    with Served(folder, folder + "/j") as served:
        sub = served.subscribe()
        times = []
        while len(times) < 4:
            name, header, _ = parse(receive(sub))
            equal((header["kind"], header["seq"]), ("H", 1), "head of an empty journal")
            times.append(time.monotonic())
        check(2.5 < times[3] - times[0] < 3.6, f"3 heads in {times[3] - times[0]:.2f} s")


@test
def serves_on_after_end_of_input(folder):
    journal = folder + "/j"
    with Served(folder, journal) as served:
        served.send(line(1) + b"\n" + line(2) + b"\n{\"torn")
        served.process.stdin.close()
        served.wait_ack(2)
        time.sleep(0.2)
        append(journal, [line(3)])
        equal(fetch(served.dealer(), 1)[0], [line(1), line(2), line(3)], "after the end of input")
        start = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        equal(served.process.wait(5), 0, "exit code after SIGTERM")
        check(time.monotonic() - start < 2, "SIGTERM took long")
    with Served(folder, journal) as served:
        served.process.send_signal(signal.SIGINT)
        equal(served.process.wait(5), 0, "exit code after SIGINT")


@test
def gone_and_epoch(folder):
    journal = folder + "/j"
    append(journal, [line(n) for n in range(1, 101)])
    with Served(folder, journal) as served:
        dealer = served.dealer()
        epoch = fetch(dealer, 1)[2]["epoch"]
        check(abs(epoch / 1e6 - time.time()) < 60, "the epoch is the journal's creation in microseconds")
        code, out, error = run("trim", "--journal", journal, "--keep-from", "51")
        equal((code, out), (0, b"kept 51 to 100\n"), error)
        lines, name, header = fetch(dealer, 50, tag=3)
        equal((lines, name, header["seq"], header["epoch"]), ([], "GONE", 51, epoch), "GONE")
        equal(fetch(dealer, 51)[0], [line(n) for n in range(51, 101)], "what is kept")
        lines, name, header = fetch(dealer, 51, epoch=epoch - 1, tag=4)
        equal((lines, name, header["epoch"]), ([], "EPOCH", epoch), "EPOCH")
        equal(run("trim", "--journal", journal, "--keep-from", "102")[0], 65, "beyond the end")
        equal(run("trim", "--journal", journal, "--keep-from", "101")[:2], (0, b"kept 101 to 100\n"), "all")
        served.send(line(101) + b"\n")
        served.wait_ack(101)
        equal(fetch(dealer, 101)[0], [line(101)], "after trimming all")
    shutil.rmtree(journal)
    append(journal, [line(1)])
    with Served(folder, journal) as served:
        lines, name, header = fetch(served.dealer(), 1, epoch=epoch)
        equal(name, "EPOCH", "a new journal")
        check(header["epoch"] > epoch, "the new epoch is later")


@test
def bad_requests(folder):
    """Whatever arrives, the answer is ERROR or nothing, and the next good request is answered."""
    journal = folder + "/j"
    append(journal, [line(1)])
    with Served(folder, journal) as served:
        dealer = served.dealer()
        good = HEADER.pack(1, ord("Q"), 0, 7, 0, 1, 1)
        name = STREAM.encode()
        bad = [[b"PLEASE", name, good], [b"GONE", name, good], [b"FETCH"], [b"FETCH", name], [b"FETCH", name, good],
               [b"HELLO", name, good, b"\0\0\0\1"], [b"FETCH", name, good, b"\0\0\1"], [b"FETCH", b"registration.1", good, b"\0\0\0\1"],
               [b"FETCH", b"registration", good, b"\0\0\0\1"], [b"FETCH", name, good[:-1], b"\0\0\0\1"], [b"FETCH", name, b"", b"\0\0\0\1"],
               [b"FETCH", name, HEADER.pack(2, ord("Q"), 0, 7, 0, 1, 1), b"\0\0\0\1"],
               [b"FETCH", name, HEADER.pack(1, ord("H"), 0, 7, 1, 1, 1), b"\0\0\0\1"],
               [b"FETCH", name, HEADER.pack(1, ord("Q"), 1, 7, 0, 1, 1), b"\0\0\0\1"],
               [b"FETCH", name, HEADER.pack(1, ord("Q"), 0, 7, 0, 0, 1), b"\0\0\0\1"],
               [b"FETCH", name, HEADER.pack(1, ord("Q"), 0, 7, 1 << 63, 1, 1), b"\0\0\0\1"],
               [b"fetch", name, good, b"\0\0\0\1"], [b""], [b"", b"", b"", b"", b""]]
        for frames in bad:
            dealer.send_multipart(frames)
            kind, _, text = parse(receive(dealer))
            equal(kind, "ERROR", f"answer to {frames}")
            check(text, "an empty error text")
        dealer.send_multipart([b"HELLO"] + [name] * 20)  # too many frames: not even who sent it is kept
        for _ in range(300):
            dealer.send_multipart([os.urandom(random.randrange(40)) for _ in range(random.randrange(1, 7))])
        while True:  # answers to a peer that does not read are dropped, so it asks again
            if not dealer.poll(0):
                request(dealer, "HELLO", seq=0, tag=77)
            kind, header, _ = parse(receive(dealer))
            if kind == STREAM:
                equal(header["tag"], 77, "tag")
                break
        dealer.send_multipart([b"HELLO", name, b"x" * 100000])  # over what is taken: cut off, and welcome again
        other = served.dealer()
        equal(fetch(other, 1)[0], [line(1)], "after bad requests")


@test
def answers_are_bounded(folder):
    """An answer is at most 4 MiB, then a head; a line of 1 MiB passes."""
    journal = folder + "/j"
    lines = [line(n, 3000) for n in range(1, 3001)]
    lines[10] = line(11, (1 << 20) - 18)
    equal(len(lines[10]), 1 << 20, "longest event")
    append(journal, lines)
    with Served(folder, journal) as served:
        dealer, got, rounds = served.dealer(), [], 0
        while len(got) < len(lines):
            part, _, head = fetch(dealer, len(got) + 1, most=1000000)
            check(0 < sum(map(len, part)) <= 4 << 20, f"{sum(map(len, part))} bytes in one answer")
            equal(head["seq"], 3001, "head")
            got += part
            rounds += 1
        check(got == lines, "fetched lines differ")
        equal(rounds, 3, "answers")


def anonymous_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1]) / 1024


@test
def peers_that_do_not_read(folder):
    """Many requests and nothing read, subscribers that sleep: memory stays bounded, and input is acknowledged at once."""
    journal = folder + "/j"
    append(journal, [line(n, 300) for n in range(1, 30001)])
    with Served(folder, journal) as served:
        sleepy = []
        for _ in range(3):
            dealer = served.dealer()
            dealer.setsockopt(zmq.SNDHWM, 0)
            sleepy.append(dealer)
        sub = served.context.socket(zmq.SUB)
        sub.setsockopt(zmq.RCVHWM, 1)
        sub.subscribe(b"")
        sub.connect(served.endpoints[0])
        for _ in range(300):
            for dealer in sleepy:
                request(dealer, "FETCH", 1, most=1000000)
        delays = []
        for n in range(30001, 30101):
            start = time.monotonic()
            served.send(line(n, 300) + b"\n")
            served.wait_ack(n)
            delays.append(time.monotonic() - start)
        served.send(b"".join(line(n, 300) + b"\n" for n in range(30101, 130101)))
        served.wait_ack(130100, 30)
        time.sleep(0.5)
        memory = anonymous_mib(served.process.pid)
        with open(f"/proc/{served.process.pid}/maps") as f:
            most = 600 if "libasan" in f.read() else 150  # AddressSanitizer keeps 256 MiB of what was freed
        check(memory < most, f"{memory:.0f} MiB of memory")
        check(sorted(delays)[50] < 0.1, f"median time to ack {sorted(delays)[50]:.3f} s")
        equal(fetch(served.dealer(), 130100)[0], [line(130100, 300)], "another peer is answered")


# --- what is refused ----------------------------------------------------------------------------------------------------

@test
def refusals(folder):
    journal = folder + "/j"
    serve = ["serve", "--stream", STREAM, "--journal", journal]
    local = ["--publish", f"ipc://{folder}/a", "--fetch", f"ipc://{folder}/b"]
    for endpoint in ["tcp://0.0.0.0:5601", "tcp://*:5601", "tcp://192.0.2.1:5601", "tcp://[::]:5601", "tcp://eth0:5601",
                     "tcp://127.0.0.1.example.org:1", "tcp://128.0.0.1:1", "udp://127.0.0.1:1", "pgm://x", "tcp://", "tcp://127.0.0.1",
                     "tcp://localhost.example:1"]:
        for option, other in (("--publish", "--fetch"), ("--fetch", "--publish")):
            code, _, error = run(*serve, option, endpoint, other, f"ipc://{folder}/a")
            equal(code, 78, f"{option} {endpoint} ({error})")
            check("CURVE" in error, error)
    for half in (["--curve", "secret"], ["--allow", "list"]):
        code, _, error = run(*serve, *local, *half)
        equal(code, 64, error)
        check("belong together" in error, error)
    code, _, error = run(*serve, *local, "--curve", folder + "/none", "--allow", folder + "/none")
    equal(code, 78, error)
    equal(run()[0], 64, "no command")
    equal(run("feed")[0], 64, "unknown command")
    equal(run("serve")[0], 64, "no options")
    equal(run(*serve)[0], 64, "no endpoints")
    equal(run("append", "--journal", journal)[0], 64, "no stream")
    equal(run("append", "--stream", "Registration", "--journal", journal)[0], 64, "bad stream")
    equal(run("append", "--stream", STREAM, "--journal", journal, "--fetch", "ipc://x")[0], 64, "option of another command")
    equal(run("append", "--stream", STREAM, "--journal", journal, "more")[0], 64, "an argument")
    equal(run("trim", "--journal", journal, "--keep-from", "x")[0], 64, "not a number")
    check(not os.path.exists(journal), "a refused command left a journal")
    equal(run("trim", "--journal", journal, "--keep-from", "1")[0], 69, "no journal")
    equal(run("dump", "--journal", journal)[0], 69, "no journal")
    append(journal, [line(1)])
    code, _, error = run("append", "--stream", "registration.1", "--journal", journal, data=line(2) + b"\n")
    equal(code, 78, error)
    check("holds stream registration.0" in error, error)
    equal(dump(journal), [line(1)], "the other stream's line")
    equal(run("--version")[0], 0, "--version")
    equal(run("append", "--help")[0], 0, "--help")
    with Served(folder, journal):
        code, _, error = run("serve", "--stream", STREAM, "--journal", journal, "--publish", "tcp://127.0.0.1:*", "--fetch",
                             f"ipc://{folder}/no/such/folder")
        equal(code, 69, error)
        check("cannot bind" in error, error)


@test
def national_numbers_never_reach_disk(folder):
    journal, key = folder + "/j", folder + "/key"
    with open(key, "w") as f:
        f.write("2024-2025 " + "".join("%02x" % i for i in range(32)))
    os.chmod(key, 0o644)
    equal(run("append", "--stream", STREAM, "--journal", journal, "--pseudonym-key", key)[0], 78, "a key others may read")
    os.chmod(key, 0o600)
    event = lambda pupil: b'{"data":{"pupil":"%s","school_year":"2024-2025"}' % pupil
    append(journal, [b'{"pupil":"rrn:85073003328","note":"85.07.30-033.28"}'])
    append(journal, [event(b"rrn:85073003328") + b"}", event(b"rrn:8507300332\\u0038") + b"}", event(b"rrn:85073003329") + b"}",
                     b'{"n":85073003328}', b'"' + b"85073003328 " * 100000 + b'"'], "--pseudonym-key", key)
    lines = dump(journal)
    key_id = hashlib.blake2b(b"teldag pupil key id", key=bytes(range(32)), digest_size=16).digest()[:4].hex().encode()
    hidden = event(b"945bf1048fbc6fa7204061ee2b56874a") + b',"pupilkey":"%s"}' % key_id
    equal(lines[:5], [b'{"pupil":"rrn:#","note":"rrn:#"}', hidden, hidden, event(b"rrn:#") + b',"pupilfault":"check_number"}',
                      b'{"n":"rrn:#"}'], "lines")
    check(lines[5].startswith(b'{"teldagd_oversize":{"length":1200002,"sha256":"'), lines[5][:80])
    with open(journal + "/data.mdb", "rb") as f:
        check(not re.search(rb"85\D?07\D?30|850730", f.read()), "part of a national number is on disk")


@test
def full_disk(folder):
    """A 2 MB disk fills: no false ack, a message that says what to do, everything acknowledged is there and is served."""
    disk = folder + "/disk"
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True).returncode:
        raise Skip("mounting a tmpfs is not permitted here")
    try:
        journal = disk + "/j"
        with open(disk + "/filler", "wb") as f:
            f.write(b"x" * 300000)
        data = b"".join(line(n, 200) + b"\n" for n in range(1, 20001))
        with Feeder("append", journal) as feeder:
            try:
                for at in range(0, len(data), 50000):
                    feeder.send(data[at:at + 50000])
            except BrokenPipeError:
                pass
            code, error = feeder.end()
            equal(code, 69, error)
            check("make room" in error and "last ack" in error, error)
            acked = feeder.acks[-1]
        check(0 < acked < 20000, f"acknowledged {acked}")
        stored = dump(journal)
        equal(len(stored), acked, "stored lines")
        check(stored == [line(n, 200) for n in range(1, acked + 1)], "stored lines differ")
        with Served(folder, journal, stdin=subprocess.DEVNULL) as served:
            lines, _, head = fetch(served.dealer(), 1, most=5)
            equal((lines, head["seq"]), (stored[:5], acked + 1), "served from a full disk")
        os.unlink(disk + "/filler")
        run("trim", "--journal", journal, "--keep-from", str(acked - 10))
        code, out, error = run("append", "--stream", STREAM, "--journal", journal, data=b"".join(line(n, 200) + b"\n" for n in range(acked + 1, acked + 1001)))
        equal(code, 0, f"after trimming ({error})")
        equal(len(dump(journal)), 1011, "lines after trimming")
    finally:
        subprocess.run(["umount", disk], check=True)


def main():
    wanted = sys.argv[2:]
    passed = failed = 0
    print(f"TEST_SEED={SEED}")
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        random.seed(SEED)
        folder = tempfile.mkdtemp(prefix="teldag-feed-")
        start = time.monotonic()
        try:
            function(folder)
            print(f"ok {function.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            passed += 1
        except Skip as reason:
            print(f"skipped {function.__name__}: {reason}", flush=True)
        except Exception:  # a failed test must not hide the others
            print(f"FAILED {function.__name__}\n{traceback.format_exc()}", flush=True)
            failed += 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
