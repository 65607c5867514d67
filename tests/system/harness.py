# SPDX-License-Identifier: MIT
"""What the system tests share: a private PostgreSQL, feeders, daemons, and questions to them.

Everything runs on loopback and Unix sockets in one temporary folder; every process started here is ended here, by its
own pid. A test is a function test_*; main() runs them, prints `N passed, N failed`, and keeps the folder of a failure.
TEST_SEED replays the random choices of a run; BUILD names the folder of the binaries (build).
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
SEED = int(os.environ.get("TEST_SEED") or random.randrange(1 << 32))
SLOW = float(os.environ.get("TEST_SLOW", "1"))  # factor on waits, for sanitizer builds


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(what, seconds, text):
    """Polls what() until it is true; the last value, or an AssertionError that says text."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out after %g s: %s" % (seconds * SLOW, text))
        time.sleep(0.05)


class Cluster:
    """A private PostgreSQL through tests/system/cluster.sh."""

    def __init__(self, conf="", fsync="on"):
        self.env = dict(os.environ, CLUSTER_CONF=conf, CLUSTER_FSYNC=fsync)
        out = self.shell("cluster_start teldag >/dev/null && echo $CLUSTER_DIR")
        self.dir = out.strip().splitlines()[-1]
        self.conninfo = "host=%s/socket dbname=teldag user=postgres" % self.dir

    def shell(self, command, check=True):
        prefix = ". %s/tests/system/cluster.sh; CLUSTER_DIR=%s; CLUSTER_DATABASE=teldag; " % (TOP, getattr(self, "dir", "''"))
        done = subprocess.run(["bash", "-c", prefix + command], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True)
        if check and done.returncode:
            raise RuntimeError("%s: %s%s" % (command, done.stdout, done.stderr))
        return done.stdout

    def crash(self):
        self.shell("cluster_crash")

    def up(self):
        self.shell("cluster_up")

    def stop(self):
        self.shell("cluster_stop immediate", check=False)

    def sql(self, query, conninfo=None):
        """Rows as lists of text; NULL is None."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-P", "null=\x1e", "-d",
                               conninfo or self.conninfo, "-c", query], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return [[None if f == "\x1e" else f for f in line.split("\x1f")] for line in done.stdout.split("\n")[:-1]]

    def one(self, query):
        return self.sql(query)[0][0]


class Feed:
    """A journal and its server; lines are written to its standard input and acknowledged."""
    stderr = None  # of every feeder; a test that reads what they say puts a file here

    def __init__(self, home, stream, extra=()):
        self.stream = stream
        self.journal = os.path.join(home, "journal-" + stream)
        self.publish, self.fetch = ["tcp://127.0.0.1:%d" % p for p in free_ports(2)]
        self.extra = list(extra)
        self.server_key = None  # a public key: with CURVE
        self.process = None
        self.acked = 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "teldag-feed"), "serve", "--stream", self.stream, "--journal", self.journal, "--publish", self.publish,
             "--fetch", self.fetch] + self.extra, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr, text=False)
        self.acked = self.read_ack()
        self.reader = threading.Thread(target=self.read_acks, args=(self.process,), daemon=True)
        self.reader.start()

    def read_ack(self):
        line = self.process.stdout.readline().split()
        assert line[:1] == [b"ack"], "feed %s did not start: %r" % (self.stream, line)
        return int(line[1])

    def read_acks(self, process):
        for line in process.stdout:
            word, number = line.split()
            assert word == b"ack"
            self.acked = max(self.acked, int(number))

    def send(self, lines, wait=True):
        data = b"".join((l if isinstance(l, bytes) else l.encode()) + b"\n" for l in lines)
        before = self.acked
        self.process.stdin.write(data)
        self.process.stdin.flush()
        if wait:
            wait_for(lambda: self.acked >= before + len(lines), 60, "ack of %d lines on %s" % (len(lines), self.stream))

    def append(self, lines):
        data = b"".join((l if isinstance(l, bytes) else l.encode()) + b"\n" for l in lines)
        self.append_file(data)

    def append_file(self, data):
        done = subprocess.run([os.path.join(BUILD, "teldag-feed"), "append", "--stream", self.stream, "--journal", self.journal],
                              input=data, stdout=subprocess.PIPE)
        assert done.returncode == 0, "append: exit %d" % done.returncode
        return int(done.stdout.split()[-1])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()


class Daemon:
    def __init__(self, home, cluster, feeds, name="teldagd", best_effort=(), today="2025-03-01", shard=None, near=None, rules=None,
                 config_extra="", control=None, conninfo=None, key=None):
        publish, fetch, metrics = free_ports(3)
        self.home, self.cluster, self.name, self.today = home, cluster, name, today
        self.metrics = "127.0.0.1:%d" % metrics
        self.alerts_publish, self.alerts_fetch = "tcp://127.0.0.1:%d" % publish, "tcp://127.0.0.1:%d" % fetch
        self.config = os.path.join(home, name + ".conf")
        self.control = control or os.path.join(home, name + ".sock")
        streams = ['{ name = "%s"; subscribe = "%s"; fetch = "%s"; %s}' %
                   (f.stream, f.publish, f.fetch, 'server_key = "%s"; ' % f.server_key if getattr(f, "server_key", None) else "") for f in feeds]
        streams += ['{ name = "%s"; subscribe = "%s"; reliability = "best-effort"; }' % (n, e) for n, e in best_effort]
        with open(self.config, "w") as out:
            out.write('database = "%s";\nrules = "%s";\ncontrol = "%s";\nmetrics = "%s";\n' %
                      (conninfo or cluster.conninfo, rules or os.path.join(TOP, "conf/rules"), self.control, self.metrics))
            out.write('streams = (\n  %s\n);\nalerts = { publish = "%s"; fetch = "%s"; };\n' %
                      (",\n  ".join(streams), self.alerts_publish, self.alerts_fetch))
            if shard:
                out.write('shard = "%s";\n' % shard)
            if near:
                out.write("near = { pupils = %d; hours = %d; };\n" % near)
            if key:
                out.write('pseudonym_key = "%s";\n' % key)
            out.write(config_extra)
        self.log = os.path.join(home, name + ".log")
        self.process = None

    def migrate(self):
        self.ctl("migrate")
        return self

    def start(self, *extra):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([os.path.join(BUILD, "teldagd"), "-c", self.config, "--today", self.today, *extra],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def run(self, *args):
        return subprocess.run([os.path.join(BUILD, "teldagctl"), "-c", self.config, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def ctl(self, *args, code=0):
        done = self.run(*args)
        assert done.returncode == code, "teldagctl %s: exit %d\n%s%s" % (" ".join(args), done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *args, code=0):
        return json.loads(self.ctl("--json", *args, code=code))

    def caught_up(self, seconds=60):
        self.ctl("wait", "--caught-up", "--timeout", str(int(seconds * SLOW)))

    def verify(self):
        done = self.run("verify")
        assert done.returncode == 0, "verify: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=20):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the daemon did not stop in %g s" % (seconds * SLOW))
        return self.process.returncode if self.process else None

    def logged(self, text):
        with open(self.log) as f:
            return text in f.read()


class World:
    """A folder, a cluster, feeds and daemons; a context manager that ends them all."""

    def __init__(self, conf="", fsync="on", cluster=True):
        self.home = tempfile.mkdtemp(prefix="teldag-test-")
        os.chmod(self.home, 0o755)
        self.cluster = Cluster(conf, fsync) if cluster else None
        self.feeds, self.daemons, self.others = [], [], []
        self.failed = False

    def __enter__(self):
        return self

    def feed(self, stream, *extra):
        self.feeds.append(Feed(self.home, stream, extra))
        return self.feeds[-1]

    def daemon(self, *args, **options):
        self.daemons.append(Daemon(self.home, self.cluster, *args, **options))
        return self.daemons[-1]

    def spawn(self, argv, **options):
        self.others.append(subprocess.Popen(argv, **options))
        return self.others[-1]

    def __exit__(self, kind, value, trace):
        for d in self.daemons:
            try:
                d.stop()
            except AssertionError:
                if kind is None:
                    kind = AssertionError
        for f in self.feeds:
            f.stop()
        for p in self.others:
            if p.poll() is None:
                p.kill()
                p.wait()
        if kind is not None:
            for d in self.daemons:
                if os.path.exists(d.log):
                    with open(d.log) as log:
                        sys.stderr.write("---- %s\n%s" % (d.log, "".join(log.readlines()[-40:])))
        if self.cluster:
            self.cluster.stop()
        if kind is None or not os.environ.get("TEST_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)


# ---- events ----

_count = [0]


def event(kind, data, time_text="2025-01-10T08:00:00Z", **extra):
    _count[0] += 1
    e = {"specversion": "1.0", "id": "t-%d" % _count[0], "source": "urn:teldag:test", "type": kind, "time": time_text, "data": data}
    e.update(extra)
    return json.dumps(e)


def school(school_id, level, **extra):
    data = {"school_id": str(school_id), "name": "School %s" % school_id, "level": level, "network": "vrij", "province": None,
            "municipality": None, "brussels": False, "board_id": None, "closed_on": None, "successor_id": None}
    data.update(extra)
    return event("school.upsert.v1", data)


def pupil(number):
    return "%032x" % ((number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))


def registration(school_id, number, group, indicators=(), year="2024-2025", regular=True, time_text="2025-01-10T08:00:00Z", **extra):
    data = {"school_id": str(school_id), "school_year": year, "pupil": pupil(number), "group": group, "regular": regular,
            "indicators": list(indicators)}
    data.update(extra)
    return event("registration.upsert.v1", data, time_text)


def withdraw(school_id, number, year="2024-2025"):
    return event("registration.withdraw.v1", {"school_id": str(school_id), "school_year": year, "pupil": pupil(number)})


def closed(school_id, pupils, year="2024-2025"):
    return event("registration.closed.v1", {"school_id": str(school_id), "school_year": year, "pupils": pupils})


def generate(*args):
    done = subprocess.run([os.path.join(BUILD, "teldag-feed"), "generate", *map(str, args)], stdout=subprocess.PIPE, check=True)
    return done.stdout


def main(tests):
    """Runs the named tests (argv) or all; exit code 1 when one failed."""
    names = sys.argv[1:] or list(tests)
    passed = failed = 0
    print("seed %d (TEST_SEED)" % SEED, flush=True)
    for name in names:
        random.seed(SEED)
        started = time.monotonic()
        try:
            tests[name]()
            passed += 1
            print("ok   %s (%.1f s)" % (name, time.monotonic() - started), flush=True)
        except Exception:  # noqa: a test may fail in any way
            failed += 1
            print("FAIL %s (%.1f s, seed %d)" % (name, time.monotonic() - started, SEED), flush=True)
            traceback.print_exc()
    print("%d passed, %d failed" % (passed, failed), flush=True)
    sys.exit(1 if failed else 0)


class Shared:
    """One World for several tests of a file, made when first asked for: make(world) starts it and returns what they use.
    Each test keeps to schools of its own."""

    def __init__(self, make, **options):
        self.make, self.options, self.world, self.value = make, options, None, None

    def __call__(self):
        if not self.world:
            self.world = World(**self.options)
            try:
                self.value = self.make(self.world)
            except BaseException:
                self.close(True)
                raise
        return self.value

    def close(self, failed=False):
        if self.world:
            self.world.__exit__(AssertionError if failed else None, None, None)
            self.world = None


def main_shared(tests, *shared):
    """main(), and the end of the worlds the tests shared."""
    failed = True
    try:
        main(tests)
    except SystemExit as e:
        failed = bool(e.code)
        raise
    finally:
        for s in shared:
            s.close(failed)
