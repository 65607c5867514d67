#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/reliability.md as written: each section marked `runbook: NAME` is brought about here, its quoted words are looked for in
status, log and alerts, and its commands are typed. Every fault the campaign recorded must have a section."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import flow
import harness
from harness import BUILD, SLOW, TOP, Shared, World, registration, school, wait_for

sys.path.insert(0, os.path.join(TOP, "tests", "faults"))
from wire_proxy import Wire  # noqa: E402

DOCUMENT = os.path.join(TOP, "docs", "reliability.md")


class Section:
    def __init__(self, text):
        self.title = text.split("\n", 1)[0]
        self.keys = re.findall(r"<!-- runbook: *([a-z-]*) *-->", text)
        self.faults = [f.strip() for line in re.findall(r"<!-- faults: *(.*?) *-->", text) for f in line.split(";") if f.strip()]
        self.blocks = {}
        for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
            self.blocks.setdefault(kind, []).extend(body.strip("\n").split("\n"))


def sections():
    with open(DOCUMENT) as f:
        text = f.read()
    text = text[text.index("## Each fault, and the way out"):text.index("\n## Failover and restore")]
    return [Section(part) for part in text.split("\n### ")[1:]]


SECTIONS = {key: s for s in sections() for key in s.keys if key}
TYPED = set()


def pattern(line):
    return re.compile(".*".join(re.escape(p) for p in line.split("…")))


class Bench:
    def __init__(self, world):
        self.world, self.cluster = world, world.cluster
        self.s, self.r, self.i = world.feed("school.0"), world.feed("registration.0"), world.feed("inspection.0")
        self.wires = [Wire(self.r.publish), Wire(self.r.fetch)]
        via = type("Via", (), {"stream": "registration.0", "publish": self.wires[0].endpoint, "fetch": self.wires[1].endpoint, "server_key": None})
        self.rules = os.path.join(world.home, "rules")
        shutil.copytree(os.path.join(TOP, "conf", "rules"), self.rules)
        self.cluster.sql("CREATE ROLE teldagd LOGIN PASSWORD 'right'")
        self.d = world.daemon([self.s, via, self.i], rules=self.rules).migrate()
        self.cluster.sql("GRANT teldag_writer TO teldagd")
        with open(self.d.config) as f:
            text = f.read()
        with open(self.d.config, "w") as f:
            f.write(text.replace("user=postgres", "user=teldagd"))
        self.variables, self.pupil, self.seen = {"JOURNAL": self.r.journal}, 0, 0
        self.d.start().caught_up()
        flow.freeze(self.i.process.pid)  # silent from now on, for test_stale
        self.frozen = time.monotonic()
        self.s.send([school(501, "so")])

    def send(self, count=20):
        self.r.send([registration(501, self.pupil + i, "graad1") for i in range(count)])
        self.pupil += count

    def log(self):
        with open(self.d.log) as f:
            return f.read()

    def begin(self):
        """What is logged from here on belongs to the fault."""
        self.seen = len(self.log())

    def reasons(self):
        done = self.d.run("--json", "status")
        return json.loads(done.stdout)["reasons"] if done.stdout.startswith("{") else []

    def expect(self, key, seconds=20):
        """The words of the section come to be said."""
        blocks = SECTIONS[key].blocks
        for line in blocks.get("status", []):
            wait_for(lambda: any(pattern(line).search(r) for r in self.reasons()), seconds, "status does not say: %s\nbut %s" % (line, self.reasons()))
        for line in blocks.get("log", []):
            wait_for(lambda: pattern(line).search(self.log()[self.seen:]), seconds, "the log does not say: %s\nbut %s" % (line, self.log()[self.seen:]))
        for line in blocks.get("alert", []):
            kind, severity = line.split()
            wait_for(lambda: [severity] in self.cluster.sql("SELECT severity FROM teldag.alert WHERE kind = '%s' AND state = 'firing'" % kind), seconds,
                     "no alert " + line)

    def type(self, key):
        """The commands, as written."""
        for line in SECTIONS[key].blocks.get("sh", []):
            for name, value in self.variables.items():
                line = line.replace("$" + name, str(value))
            word = line.split()
            if word[0] == "systemctl":
                self.service(word[1], word[2])
                continue
            line = re.sub(r"^teldagctl ", "%s/teldagctl -c %s " % (BUILD, self.owner if word[1:2] == ["migrate"] else self.d.config), line)
            line = re.sub(r"^teldag-feed ", BUILD + "/teldag-feed ", line)
            line = re.sub(r"(^|(?<=' ))psql ", "psql -X -v ON_ERROR_STOP=1 -d '%s' " % self.cluster.conninfo, line)
            done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOW)
            assert done.returncode == 0, (line, done.returncode, done.stdout)
        TYPED.add(key)

    def service(self, act, unit):
        it = self.d if unit == "teldagd" else self.r
        getattr(it, act)()

    def mended(self, key):
        """The reason is gone, and everything sent is in."""
        for line in SECTIONS[key].blocks.get("status", []):
            wait_for(lambda: self.d.run("status").returncode in (0, 1) and not any(pattern(line).search(r) for r in self.reasons()), 20, "still: " + line)
        expected = self.r.acked
        wait_for(lambda: self.next_seq() == expected + 1, 30, "not everything is in: %s of %d" % (self.next_seq(), expected))
        wait_for(lambda: self.cluster.one("SELECT count(*) FROM teldag.alert WHERE kind = 'stream.gap' AND state = 'firing'") == "0", 20, "stream.gap fires")

    def next_seq(self):
        return int(self.cluster.one("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'"))

    def ended(self, code):
        assert self.d.process.wait(20 * SLOW) == code, self.d.process.returncode


bench = Shared(Bench)


def test_every_fault_has_a_section():
    known = [f for s in sections() for f in s.faults]
    path = os.path.join(os.environ.get("FAULTS_OUT") or os.path.join(TOP, "build", "faults"), "records.jsonl")
    recorded = set()
    for folder in ("tests/faults",):
        for name in os.listdir(os.path.join(TOP, folder)):
            if name.startswith("fault_"):
                with open(os.path.join(TOP, folder, name)) as f:
                    recorded |= set(re.findall(r'(?:recovered|hostile|record)\("([a-zA-Z][^"%]+)"', f.read()))
    assert len(recorded) > 12, recorded
    if os.path.exists(path):
        with open(path) as f:
            recorded |= {json.loads(line)["fault"] for line in f if not json.loads(line)["fault"].startswith(("failpoint", "crash"))}
    missing = [r for r in sorted(recorded) if not any(r.startswith(k) or k in r for k in known)]
    assert not missing, "no section for: %s" % missing
    tests = {n[5:].replace("_", "-") for n in globals() if n.startswith("test_")}
    assert not set(SECTIONS) - tests, "sections that no test brings about: %s" % (set(SECTIONS) - tests)


def test_away():
    b = bench()
    b.begin()
    b.cluster.crash()
    b.send()
    b.expect("away")
    b.cluster.up()
    b.mended("away")


def test_silent():
    b = bench()
    b.begin()
    pid = flow.writer_pid(b.cluster)
    flow.freeze(pid)
    try:
        b.send()
        b.expect("silent", 30)
    finally:
        flow.thaw(pid)
    b.mended("silent")


def test_read_only():
    b = bench()
    b.begin()
    b.cluster.sql("ALTER DATABASE teldag SET default_transaction_read_only = on")
    b.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teldagd %'")
    b.send()
    b.expect("read-only")
    b.type("read-only")
    b.mended("read-only")


def test_right():
    b = bench()
    b.begin()
    b.cluster.sql("REVOKE teldag_writer FROM teldagd")
    b.send()
    b.ended(78)
    b.expect("right")
    b.type("right")
    b.mended("right")


def test_password():
    b = bench()
    b.begin()
    hba = os.path.join(b.cluster.dir, "data", "pg_hba.conf")
    with open(hba) as f:
        text = f.read()
    with open(hba, "w") as f:
        f.write("local all teldagd scram-sha-256\n" + text)
    b.cluster.sql("SELECT pg_reload_conf()")
    passfile = os.path.join(b.world.home, "pgpass")
    os.environ["PGPASSFILE"] = passfile
    try:
        for word in ("wrong", "right"):
            with open(passfile, "w") as f:
                f.write("*:*:*:teldagd:%s\n" % word)
            os.chmod(passfile, 0o600)
            if word == "wrong":
                b.d.stop()
                b.d.start()
                b.ended(78)
                b.expect("password")
        b.send()
        b.type("password")
        b.mended("password")
    finally:
        with open(hba, "w") as f:
            f.write(text)
        del os.environ["PGPASSFILE"]
        b.cluster.sql("SELECT pg_reload_conf()")


def test_schema():
    b = bench()
    b.cluster.sql("CREATE DATABASE empty")
    b.cluster.sql("GRANT CREATE ON DATABASE empty TO teldagd")
    old, b.d = b.d, b.world.daemon([], name="empty", conninfo=b.cluster.conninfo.replace("dbname=teldag", "dbname=empty"))
    try:
        with open(b.d.config) as f:
            text = f.read()
        with open(b.d.config, "w") as f:
            f.write(text.replace("streams = (\n  \n);", 'streams = ( { name = "school.1"; subscribe = "tcp://127.0.0.1:1"; fetch = "tcp://127.0.0.1:2"; } );'))
        b.owner, b.seen = b.d.config, 0
        b.d.start()
        b.ended(78)
        b.expect("schema")
        b.type("schema")
        wait_for(lambda: (flow.writer_status(b.d) or {}).get("phase") == "running", 20, "it does not run")
    finally:
        b.d.stop()
        b.d = old


def test_lock():
    b = bench()
    second = b.world.daemon([b.s], name="second").start()
    first, b.d = b.d, second
    try:
        b.expect("lock")
        assert second.run("status").returncode == 1
    finally:
        b.d = first
        assert second.stop() == 0
    b.send()
    b.mended("lock")


def test_socket():
    b = bench()
    b.begin()
    b.d.kill()
    b.send()
    b.d.start()
    b.expect("socket")
    b.mended("socket")


def test_gone():
    b = bench()
    b.mended("gone")
    b.d.stop()
    b.begin()
    start = b.next_seq()
    b.send()
    subprocess.run([os.path.join(BUILD, "teldag-feed"), "trim", "--stream", "registration.0", "--journal", b.r.journal, "--keep-from", str(start + 10)], check=True)
    b.d.start()
    b.expect("gone")
    b.type("gone")
    b.mended("gone")


def new_journal(b):
    b.r.stop()
    shutil.rmtree(b.r.journal)
    b.r.start()
    b.r.acked = 0


def test_epoch():
    b = bench()
    b.mended("epoch")
    b.begin()
    new_journal(b)
    b.send()
    b.expect("epoch")
    b.type("epoch")
    b.mended("epoch")


def test_older():
    b = bench()
    b.mended("older")
    b.begin()
    b.r.stop()
    copy = b.r.journal + ".older"
    shutil.copytree(b.r.journal, copy)
    subprocess.run([os.path.join(BUILD, "teldag-feed"), "new-epoch", "--journal", b.r.journal], check=True, stdout=subprocess.PIPE)
    b.r.start()
    wait_for(lambda: "has a new journal" in " ".join(b.reasons()), 20, "the new journal is not seen")
    b.d.ctl("stream", "accept", "registration.0", "--continue")
    b.mended("epoch")
    b.r.stop()
    shutil.rmtree(b.r.journal)
    shutil.move(copy, b.r.journal)
    b.r.start()
    b.expect("older")
    b.type("older")
    b.mended("older")


def test_rewound():
    b = bench()
    b.mended("rewound")
    b.r.stop()
    copy = b.r.journal + ".copy"
    shutil.copytree(b.r.journal, copy)
    b.r.start()
    b.send()
    b.mended("rewound")
    b.begin()
    b.r.stop()
    shutil.rmtree(b.r.journal)
    shutil.move(copy, b.r.journal)
    b.r.acked = 0
    b.r.start()
    b.expect("rewound")
    b.type("rewound")
    b.mended("rewound")


def test_unsound():
    b = bench()
    b.mended("unsound")
    b.begin()
    b.r.stop()
    with open(b.r.journal + "/data.mdb", "r+b") as f:
        f.write(os.urandom(65536))
    done = subprocess.run([os.path.join(BUILD, "teldag-feed"), "serve", "--stream", "registration.0", "--journal", b.r.journal, "--publish", b.r.publish, "--fetch",
                           b.r.fetch], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=20 * SLOW)
    assert done.returncode == 65 and "this is not a sound journal" in done.stderr, (done.returncode, done.stderr)
    b.r.acked = 0
    b.type("unsound")
    b.send()
    b.mended("unsound")


def test_damaged():
    b = bench()
    b.mended("damaged")
    b.begin()
    b.wires[1].rates, b.wires[0].rates = {"down": {"damage": 1.0}}, {"down": {"drop": 1.0}}
    b.wires[1].header_damage = ("version",)
    b.send()
    b.expect("damaged", 40)
    b.wires[1].rates, b.wires[0].rates = {}, {}
    b.type("damaged")
    b.mended("damaged")


def test_paused():
    b = bench()
    b.d.ctl("stream", "pause", "registration.0")
    b.send()
    assert flow.stream_status(b.d, "registration.0")["state"] == "paused"
    b.d.ctl("wait", "--caught-up", "--timeout", "1", code=69)
    b.type("paused")
    b.mended("paused")


def test_letters():
    b = bench()
    b.r.send(["no JSON"])
    b.mended("letters")
    b.variables["SEQ"] = b.r.acked
    b.expect("letters")
    b.type("letters")
    assert b.cluster.one("SELECT count(*) FROM teldag.dead_letter WHERE state = 'open'") == "0"


def test_rules():
    b = bench()
    name = sorted(os.listdir(b.rules))[-1]
    with open(os.path.join(b.rules, name)) as f:
        text = f.read()
    with open(os.path.join(b.rules, name), "w") as f:
        f.write(text + "\nnonsense = = 1;\n")
    done = b.d.run("reload")
    assert done.returncode == 78 and name in done.stderr + done.stdout, (done.returncode, done.stderr)
    b.send()
    b.mended("rules")
    with open(os.path.join(b.rules, name), "w") as f:
        f.write(text)
    b.type("rules")


def test_descriptors():
    b = bench()
    path = os.path.join(b.world.home, "few.log")
    with open(path, "w") as f:
        done = subprocess.run(["prlimit", "--nofile=60", os.path.join(BUILD, "teldagd"), "-c", b.d.config], stdout=f, stderr=f, timeout=20 * SLOW)
    assert done.returncode == 71
    with open(path) as f:
        text = f.read()
    assert all(pattern(line).search(text) for line in SECTIONS["descriptors"].blocks["log"]), text


def test_stale():
    """Last: a feeder that has been silent since the start, for a minute."""
    b = bench()
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - max(self_started(b), b.frozen) > 60, 75, "a minute")
    b.seen = 0
    b.expect("stale", 30)
    code, text = flow.get(b.d.metrics, "/metrics")
    assert code == 200 and 'teldagd_stream_stale{stream="inspection.0"} 1' in text
    flow.thaw(b.i.process.pid)
    wait_for(lambda: not any("stale" in r for r in b.reasons()), 20, "still stale")
    wait_for(lambda: b.cluster.sql("SELECT state FROM teldag.alert WHERE kind = 'stream.stale' AND stream = 'inspection.0'") == [["resolved"]], 20, "not resolved")
    assert b.d.logged("stream inspection.0: heard again") and time.monotonic() > since
    b.d.caught_up()
    assert b.d.run("status").returncode == 0, b.reasons()
    b.d.verify()
    commands = {k for k, s in SECTIONS.items() if "sh" in s.blocks}
    if len(sys.argv) == 1:
        assert commands == TYPED, "commands nobody typed: %s" % (commands - TYPED)


def self_started(b):
    """The silence is counted from the daemon's start."""
    return time.monotonic() - json.loads(b.d.run("--json", "status").stdout)["uptime_s"]  # degraded or not


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
