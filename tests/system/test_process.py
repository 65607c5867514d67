#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The process around the work: what it tells the service manager, its control socket, its metrics, reloads, and how
it stops. Most of it without a database: what an operator sees when PostgreSQL is away is part of the test."""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import flow
from harness import BUILD, SLOW, TOP, World, free_ports, main, registration, wait_for


class Process:
    """One daemon in a folder of its own, with a service manager that listens."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="teldag-process.")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(os.path.join(self.home, "notify"))
        self.manager.setblocking(False)
        self.told = []
        self.control = os.path.join(self.home, "control.sock")
        self.ports = free_ports(5)
        self.process = None
        shutil.copytree(os.path.join(TOP, "conf/rules"), os.path.join(self.home, "rules"))
        self.configure()

    def configure(self, near="{ pupils = 3; hours = 1; }", extra=""):
        subscribe, fetch, publish, answer, metrics = self.ports
        with open(os.path.join(self.home, "teldagd.conf"), "w") as out:
            out.write(f'''database = "host={self.home}/no-database dbname=teldag";
rules = "rules"; control = "control.sock"; metrics = "127.0.0.1:{metrics}"; near = {near};
streams = ( {{ name = "registration.0"; subscribe = "tcp://127.0.0.1:{subscribe}"; fetch = "tcp://127.0.0.1:{fetch}"; }} );
alerts = {{ publish = "tcp://127.0.0.1:{publish}"; fetch = "tcp://127.0.0.1:{answer}"; }};
{extra}
''')

    def spawn(self, **environment):
        with open(os.path.join(self.home, "log"), "a") as log:
            return subprocess.Popen([os.path.join(BUILD, "teldagd"), "-c", "teldagd.conf"], cwd=self.home, stderr=log,
                                    env=dict(os.environ, NOTIFY_SOCKET=os.path.join(self.home, "notify"), **environment))

    def start(self, **environment):
        self.process = self.spawn(**environment)
        wait_for(lambda: self.was_told("READY=1"), 10, "no READY=1: " + self.log())

    def log(self):
        with open(os.path.join(self.home, "log")) as log:
            return log.read()

    def was_told(self, text):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(self.manager.recv(4096).decode())
        return any(text in message for message in self.told)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20 * SLOW)
        s.connect(self.control)
        return s

    def ask(self, request):
        with self.connect() as s:
            line = request if isinstance(request, bytes) else json.dumps(request).encode()
            s.sendall(line + b"\n")
            return json.loads(s.makefile().readline())

    def get(self, path, data=None):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[4]}{path}", data, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.manager.close()
        shutil.rmtree(self.home)


@contextlib.contextmanager
def running(start=True, **environment):
    p = Process()
    try:
        if start:
            p.start(**environment)
        yield p
    finally:
        p.close()


def test_ready_without_database_and_says_so():
    with running() as p:
        wait_for(lambda: p.was_told("STATUS=backing off"), 10, "STATUS does not say that it waits: %s" % p.told)
        status = p.ask({"command": "status"})
        assert status["ready"] is False and status["degraded"] is True, status
        assert any("writer is" in reason for reason in status["reasons"]), status["reasons"]
        code, text = p.get("/readyz")
        assert code == 503 and "the writer is" in text, (code, text)
        assert p.get("/healthz") == (200, "ok\n")


def test_watchdog_is_fed_also_while_waiting():
    with running(WATCHDOG_USEC="600000") as p:
        def fed():
            p.was_told("")
            return p.told.count("WATCHDOG=1")
        wait_for(lambda: fed() >= 3, 10, "the watchdog is not fed")


def test_metrics_are_what_prometheus_reads():
    with running() as p:
        code, text = p.get("/metrics")
        assert code == 200
        for name in ("teldagd_stream_position", "teldagd_stream_gaps_total", "teldagd_commit_seconds_bucket",
                     "teldagd_alerts", "teldagd_resident_memory_bytes"):
            assert name in text, name
        assert 'teldagd_stream_paused{stream="registration.0"} 0' in text
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        assert p.get("/other")[0] == 404
        assert p.get("/metrics", data=b"x")[0] == 405


def test_every_metric_stands_in_the_manual():
    with running() as p:
        with open(os.path.join(TOP, "docs/operations.md")) as file:
            manual = file.read()
        names = {line.split()[2] for line in p.get("/metrics")[1].splitlines() if line.startswith("# TYPE")}
        assert len(names) > 40
        missing = sorted(name for name in names if "`%s`" % name not in manual)
        assert not missing, missing


def test_control_protocol():
    with running() as p:
        assert oct(os.stat(p.control).st_mode & 0o777) == "0o660"
        assert p.ask({"command": "hello"})["generation"] == 1
        assert p.ask({"command": "hello"})["generation"] == 2
        assert p.ask({"command": "streams"})["streams"][0]["hello_wanted"] == 2
        for bad in (b"", b"[", b"[]", b'{"command":1}', b'{"command":"dance"}', b'{"command":"status","command":"x"}',
                    b'{"command":"pause"}', b'{"command":"pause","stream":"../x"}',
                    b'{"command":"accept","stream":"registration.0","mode":"perhaps"}',
                    b'{"command":"dead-letter","act":"retry","stream":"registration.0","seq":-1}',
                    b'{"command":"dead-letter","act":"retry","stream":"registration.0","seq":"1"}', b"\xff" * 10, b"[" * 5000):
            answer = p.ask(bad)
            assert answer["code"] == 64 and answer["error"], (bad, answer)
        answer = p.ask({"command": "pause", "stream": "registration.0"})
        assert answer["code"] == 69, answer  # no database: refused at once, not waited for
        assert p.ask(b"x" * 70000)["code"] == 64
        # several requests on one connection
        with p.connect() as s:
            s.sendall(b'{"command":"streams"}\n{"command":"hello"}\n')
            lines = s.makefile()
            assert "streams" in json.loads(lines.readline())
            assert "generation" in json.loads(lines.readline())


def test_silent_connections_do_not_block_it():
    with running() as p:
        silent = [p.connect() for _ in range(15)]
        assert "generation" in p.ask({"command": "hello"})
        for s in silent:
            s.close()


def test_stale_socket_is_replaced_a_living_one_is_not():
    with running(start=False) as p:
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(p.control)
        stale.close()
        p.start()
        assert "replacing the stale socket" in p.log()
        assert "generation" in p.ask({"command": "hello"})
        p.ports = free_ports(5)
        p.configure()
        second = p.spawn()
        assert second.wait(10 * SLOW) == 69
        assert "another daemon" in p.log()
        assert "generation" in p.ask({"command": "hello"})
        p.process.kill()
        p.process.wait()
        p.told.clear()
        p.start()  # what kill -9 left behind is no obstacle
        assert "generation" in p.ask({"command": "hello"})


def test_reload_refused_keeps_the_old_configuration():
    with running() as p:
        p.configure(near="{ pupils = 5000; hours = 1; }")
        answer = p.ask({"command": "reload"})
        assert answer["code"] == 78 and "teldagd.conf:2: near.pupils: 5000 is out of range" in answer["error"], answer
        assert "old configuration stays in force" in answer["error"]
        p.configure()
        with open(os.path.join(p.home, "rules/2024-2025.conf"), "a") as rules:
            rules.write("surprise = 1;\n")
        answer = p.ask({"command": "reload"})
        assert answer["code"] == 78 and "2024-2025.conf" in answer["error"], answer


def test_sighup_reloads_and_tells_the_manager():
    with running() as p:
        p.told.clear()
        p.configure(near="{ pupils = 5000; hours = 1; }")
        p.process.send_signal(signal.SIGHUP)
        wait_for(lambda: p.was_told("RELOADING=1\nMONOTONIC_USEC=") and p.was_told("READY=1"), 10, "not told: %s" % p.told)
        wait_for(lambda: "reload refused" in p.log(), 5, "the log does not say that the reload was refused")
        assert p.process.poll() is None


def test_sigterm_stops_at_once_without_database():
    with running() as p:
        started = time.monotonic()
        p.process.send_signal(signal.SIGTERM)
        assert p.process.wait(10 * SLOW) == 0
        assert time.monotonic() - started < 6 * SLOW
        assert p.was_told("STOPPING=1")
        assert not os.path.exists(p.control)


def test_second_sigterm_ends_it():
    """Closing the message bus takes a moment; the second signal does not wait for it."""
    with running() as p:
        os.kill(p.process.pid, signal.SIGSTOP)  # both signals wait together
        os.kill(p.process.pid, signal.SIGTERM)
        os.kill(p.process.pid, signal.SIGINT)
        os.kill(p.process.pid, signal.SIGCONT)
        assert p.process.wait(10 * SLOW) in (-signal.SIGTERM, -signal.SIGINT)
    with running() as p:
        p.process.send_signal(signal.SIGTERM)
        wait_for(lambda: p.was_told("STOPPING=1"), 10, "no STOPPING=1")
        time.sleep(0.02)
        p.process.send_signal(signal.SIGTERM)
        assert p.process.wait(10 * SLOW) == -signal.SIGTERM


def test_taken_port_is_said():
    with running(start=False) as p:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", p.ports[4]))
            taken.listen()
            process = p.spawn()
            assert process.wait(15 * SLOW) == 69
        assert "metrics on 127.0.0.1:" in p.log() and "could not start: metrics" in p.log(), p.log()
        assert not os.path.exists(p.control)


def test_closed_standard_descriptors():
    with running(start=False) as p:
        argv = [os.path.join(BUILD, "teldagd"), "-c", "teldagd.conf"]
        p.process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"] + argv, cwd=p.home,
                                     env=dict(os.environ, NOTIFY_SOCKET=os.path.join(p.home, "notify")))
        wait_for(lambda: p.was_told("READY=1"), 10, "no READY=1")
        for fd in range(3):
            assert os.readlink("/proc/%d/fd/%d" % (p.process.pid, fd)) == "/dev/null"


def ask(daemon, request):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20 * SLOW)
        s.connect(daemon.control)
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


def test_reload_applies_what_it_can_and_names_the_rest():
    with World() as world:
        daemon = world.daemon([world.feed("registration.0")]).migrate().start()
        daemon.caught_up()
        # The publisher connects on its own.
        wait_for(lambda: not ask(daemon, {"command": "status"})["degraded"], 10, "healthy status")
        status = ask(daemon, {"command": "status"})
        assert status["ready"] and not status["degraded"] and status["reasons"] == [], status
        before = status["rules_hash"]
        assert ask(daemon, {"command": "reload"}) == {"answer": "rules unchanged", "applied": "", "restart": ""}

        with open(daemon.config) as file:
            text = file.read()
        with open(daemon.config, "w") as file:
            file.write(text.replace(daemon.alerts_publish, "ipc:///tmp/elsewhere") + "near = { pupils = 4; };\n")
        answer = ask(daemon, {"command": "reload"})
        assert (answer["applied"], answer["restart"]) == ("near.pupils", "alerts.publish"), answer
        status = ask(daemon, {"command": "status"})
        assert status["rules_hash"] != before
        assert world.cluster.one("SELECT near_pupils FROM teldag_data.rules_set WHERE hash = '%s'" % status["rules_hash"]) == "4"
        assert ask(daemon, {"command": "reload"})["answer"] == "rules unchanged"
        assert ask(daemon, {"command": "pause", "stream": "unknown.0"})["code"] == 65
        assert daemon.stop() == 0


def test_schema_of_another_version_ends_it_with_78():
    with World() as world:
        daemon = world.daemon([world.feed("registration.0")])  # never migrated
        daemon.start()
        assert daemon.process.wait(20 * SLOW) == 78
        assert daemon.logged("teldagctl migrate"), "the log does not say what to run"


# ---- with a database ----

@contextlib.contextmanager
def told_by(daemon, **environment):
    """Starts a daemon of a World with a service manager that listens; yields a function told(text)."""
    path, messages = os.path.join(daemon.home, "notify"), []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.setblocking(False)

        def told(text):
            with contextlib.suppress(BlockingIOError):
                while True:
                    messages.append(manager.recv(4096).decode())
            return sum(text in message for message in messages)

        environment["NOTIFY_SOCKET"] = path
        os.environ.update(environment)
        try:
            daemon.start()
        finally:
            for name in environment:
                del os.environ[name]
        told.messages = messages
        yield told


def flowing(world):
    schools, registrations, summary = flow.split_generated("--pupils", 4000, "--schools", 30, "--seed", random.randrange(1 << 31),
                                                           "--corrections", 10, "--bad", 1)
    producers = [flow.Producer(world.feed("school.0"), schools), flow.Producer(world.feed("registration.0"), registrations)]
    return producers, world.daemon([p.feed for p in producers]).migrate(), summary


def test_clean_stop_commits_what_it_took():
    with World() as world:
        producers, daemon, summary = flowing(world)
        daemon.start()
        for number in range(1, 7):
            threads = [p.start(len(p.lines) * number // 6 - p.sent, 0.004) for p in producers]
            wait_for(lambda: os.path.exists(daemon.control), 10, "no control socket")
            time.sleep(random.uniform(0, 0.15))
            started = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
            assert daemon.process.wait(10 * SLOW) == 0
            assert time.monotonic() - started < 5 * SLOW
            assert not os.path.exists(daemon.control)
            for thread in threads:
                thread.join()
            daemon.start()
        for p in producers:
            p.settle()
        daemon.caught_up()
        for p in producers:
            flow.expect_positions(world.cluster, p.feed.stream, len(p.lines))
        flow.expect_summary(world.cluster, summary)
        flow.expect_no_differences(daemon)
        daemon.verify()
        queued = len(producers[1].lines)
        producers[1].lines += [registration(900001, 5000 + i, "lager", year="2023-2024").encode() for i in range(20000)]
        producers[1].send(20000)
        producers[1].settle()
        wait_for(lambda: flow.stream_status(daemon, "registration.0")["received_events"] > queued, 10, "nothing received")
        received = flow.stream_status(daemon, "registration.0")["next"]
        assert daemon.stop() == 0
        assert int(world.cluster.one("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'")) >= received


def test_stuck_writer_starves_the_watchdog_and_a_second_signal_ends_it():
    with World() as world:
        feed = world.feed("registration.0")
        daemon = world.daemon([feed]).migrate()
        with told_by(daemon, WATCHDOG_USEC="900000") as told:
            daemon.caught_up()
            wait_for(lambda: told("STATUS=running"), 10, "STATUS does not say that it runs")
            wait_for(lambda: told("WATCHDOG=1") >= 3, 10, "the watchdog is not fed")
            pid = flow.writer_pid(world.cluster)
            flow.freeze(pid)
            try:
                feed.send([registration(101, 1, "graad1")])  # now the writer waits for an answer that does not come
                time.sleep(1)
                fed = told("WATCHDOG=1")
                time.sleep(2)
                assert told("WATCHDOG=1") == fed, "the watchdog is fed while the writer hangs"
                daemon.ctl("streams")  # the rest of it works
            finally:
                flow.thaw(pid)
            wait_for(lambda: told("WATCHDOG=1") > fed, 10, "the watchdog is not fed again")
            daemon.caught_up()
            flow.freeze(pid)
            try:
                feed.send([registration(101, 2, "graad1")])
                wait_for(lambda: flow.stream_status(daemon, feed.stream)["received_events"] == 2, 10, "not received")
                daemon.process.send_signal(signal.SIGTERM)
                wait_for(lambda: told("STOPPING=1"), 5, "no STOPPING=1")
                time.sleep(0.5)
                assert daemon.process.poll() is None  # it waits for the COMMIT
                daemon.process.send_signal(signal.SIGTERM)
                assert daemon.process.wait(2 * SLOW) == -signal.SIGTERM
            finally:
                flow.thaw(pid)
        daemon.start().caught_up()
        assert world.cluster.one("SELECT count(*) FROM teldag.registration") == "2"
        flow.expect_no_differences(daemon)
        daemon.verify()


def test_a_long_rebuild_feeds_the_watchdog():
    """Rows that come are progress, and no silence of the database."""
    rows = 700000
    with World() as world:
        feed = world.feed("registration.0")
        daemon = world.daemon([feed]).migrate().start()
        feed.send([registration(101, 1, "graad1")])
        daemon.caught_up()
        daemon.kill()
        columns = world.cluster.one("SELECT string_agg(column_name, ',') FROM information_schema.columns WHERE table_schema = 'teldag_data'"
                                    " AND table_name = 'registration_log' AND column_name <> 'seq'").split(",")
        world.cluster.sql("INSERT INTO teldag_data.registration_log (%s, seq) SELECT %s, l.seq + g FROM teldag_data.registration_log l,"
                          " generate_series(1, %d) g" % (",".join(columns), ",".join("l." + c for c in columns), rows))
        world.cluster.sql("UPDATE teldag_data.feed_progress SET next_seq = next_seq + %d" % rows)
        with told_by(daemon, WATCHDOG_USEC="150000") as told:  # looked at each 50 ms; some 10 times 65,536 rows come
            wait_for(lambda: told("STATUS=running"), 60, "not rebuilt")
        begun = [i for i, m in enumerate(told.messages) if "STATUS=rebuilding" in m][0]
        ended = [i for i, m in enumerate(told.messages) if "STATUS=running" in m][0]
        fed = sum("WATCHDOG=1" in m for m in told.messages[begun:ended])
        assert fed >= 4, told.messages[begun:ended + 1]
        assert daemon.logged("from %d log rows" % (rows + 1)) and not daemon.logged("no answer of the database")


def count_descriptors(daemon):
    return len(os.listdir("/proc/%d/fd" % daemon.process.pid))


def test_nothing_leaks_over_restarts_of_connections():
    with World() as world:
        feed = world.feed("registration.0")
        daemon = world.daemon([feed]).migrate().start()
        lines = [registration(101, i, "graad1") for i in range(2000)]

        def cut_and_use(times):
            for _ in range(times):
                world.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teldagd %'")
                feed.send(lines)
                daemon.caught_up()
                daemon.ctl("streams")
                flow.get(daemon.metrics, "/metrics")

        def at_rest():
            wait_for(lambda: daemon.run("status").returncode == 0, 10, "not healthy")
            time.sleep(0.3)
            return count_descriptors(daemon), flow.rss(daemon.process.pid)

        daemon.caught_up()
        cut_and_use(3)
        descriptors, memory = at_rest()
        cut_and_use(20)
        more_descriptors, more_memory = at_rest()
        if more_descriptors > descriptors:  # an ended connection to the control socket gives its own back within 5 s
            wait_for(lambda: count_descriptors(daemon) <= descriptors, 12, "%d descriptors, %d before" % (more_descriptors, descriptors))
        assert more_memory - memory < 4e6 * SLOW, (memory, more_memory)  # 40,000 events went through
        assert flow.expect_no_differences(daemon)["rebuilds"] == 1


def test_metrics_of_a_daemon_that_works():
    with World() as world:
        feed = world.feed("registration.0")
        daemon = world.daemon([feed]).migrate().start()
        feed.send([registration(101, i, "graad1") for i in range(10)] + ["not JSON"])
        daemon.caught_up()
        code, text = flow.get(daemon.metrics, "/metrics")
        assert code == 200
        for line in ('teldagd_stream_position{stream="registration.0"} 12', "teldagd_events_total 11", "teldagd_dead_letters_total 1",
                     "teldagd_ready 1", "teldagd_live_registrations 10", 'teldagd_alerts{kind="dead_letter",severity="warning"} 1'):
            assert line in text.split("\n"), line
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        assert flow.get(daemon.metrics, "/readyz") == (200, "ready\n")
        assert flow.get(daemon.metrics, "/healthz") == (200, "ok\n")


def test_unit_file():
    if not shutil.which("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(TOP, "systemd/teldagd.service")) as file:
            text = file.read()
        assert "/usr/local/bin/teldagd" in text and "/usr/local/bin/teldagctl" in text
        path = os.path.join(folder, "teldagd.service")
        with open(path, "w") as file:
            file.write(text.replace("/usr/local/bin", BUILD))
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)
        assert checked.returncode == 0 and "teldagd.service" not in checked.stderr, checked.stderr


if __name__ == "__main__":
    main({name: value for name, value in list(globals().items()) if name.startswith("test_")})
