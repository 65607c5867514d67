# SPDX-License-Identifier: MIT
"""teldagctl as scripts use it: whatever is asked, standard output with --json is one JSON document or nothing, the exit code
says what happened, a slip is refused, and no daemon, however it hangs, holds a command for ever."""
import json
import signal
import time

import zmq

import harness
from harness import Shared, closed, registration, school, wait_for


def make(world):
    best_effort = "tcp://127.0.0.1:%d" % harness.free_ports(1)[0]
    schools, registrations = world.feed("school.0"), world.feed("registration.0")
    d = world.daemon([schools, registrations], best_effort=[("registration.1", best_effort)])
    for command in (["school", "1"], ["alerts"], ["explain", "1"], ["verify"]):  # no schema yet
        done = d.run("--json", *command)
        assert done.returncode == 78 and not done.stdout and "teldagctl migrate" in done.stderr, (command, done)
    d.migrate().start()
    schools.send([school(1, "so"), school(2, "bao")])
    registrations.send([registration(1, i, "graad1", ["opleiding_moeder"] if i < 35 else []) for i in range(200)] + [closed(1, 200)])
    d.caught_up()
    return d, schools, best_effort


bench = Shared(make, fsync="off")


def refused(d, *command, code=64):
    done = d.run(*command)
    assert done.returncode == code and not done.stdout and done.stderr, (command, done)
    return done.stderr


def test_unknown_school():
    d = bench()[0]
    done = d.run("--json", "school", "999")
    assert done.returncode == 65 and "nothing is known of school 999" in done.stderr, done
    answer = json.loads(done.stdout)
    assert {"school", "counts", "oki", "allocations", "alerts", "best_effort"} <= set(answer), answer
    assert all(rows == [] for rows in answer.values()), answer
    assert [s["school_id"] for s in d.json("school", "2")["school"]] == ["2"]
    assert d.json("school", "1", "--registrations")["registrations"] == []


def test_migrate_by_an_owner_without_createrole():
    """The README's way: the daemon's user owns the database. What it may not do is said, with the commands."""
    d = bench()[0]
    sql, conninfo = d.cluster.sql, d.cluster.conninfo.replace("user=postgres", "user=owner").replace("dbname=teldag", "dbname=owned")
    roles = ["teldag_writer", "teldag_reader", "teldag_inspection_reader", "teldag_board_reader", "teldag_school_reader", "teldag_public_reader"]
    make = "; ".join(f"CREATE ROLE {r} NOLOGIN" for r in roles)
    sql("".join(f"ALTER ROLE {r} RENAME TO aside_{r};" for r in roles) + "CREATE ROLE owner LOGIN")
    try:
        sql("CREATE DATABASE owned OWNER owner")
        said = d.ctl("migrate", "--database", conninfo)
        assert all(f"CREATE ROLE {r} NOLOGIN" in said for r in roles) and "SELECT teldag_data.grant_roles()" in said, said
        assert "CREATE ROLE" in d.ctl("migrate", "--database", conninfo), "it is said again while it is so"
        sql(make + "; CREATE ROLE ann LOGIN IN ROLE teldag_reader")
        assert "grant_roles" in d.ctl("migrate", "--database", conninfo), "roles without rights"
        sql("SELECT teldag_data.grant_roles()", conninfo)
        assert "ROLE" not in d.ctl("migrate", "--database", conninfo)
        assert sql("SELECT count(*) FROM teldag.allocation", conninfo.replace("user=owner", "user=ann")) == [["0"]]
    finally:
        sql("DROP DATABASE IF EXISTS owned")
        sql("DROP ROLE IF EXISTS ann; " + "".join(f"DROP ROLE IF EXISTS {r};" for r in roles) + "DROP ROLE owner;" +
            "".join(f"ALTER ROLE aside_{r} RENAME TO {r};" for r in roles))


def test_alerts():
    d = bench()[0]
    columns = [r[0] for r in d.cluster.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'teldag.alert'::regclass AND attnum > 0")]
    alerts = d.json("alerts", "--school", "1")
    assert [a["kind"] for a in alerts] == ["threshold.near"] and sorted(alerts[0]) == sorted(columns), alerts
    assert alerts[0]["detail"]["margin_hours"] == 0
    assert d.json("alerts", "--kind", "threshold.near", "--school", "1") == alerts
    assert d.json("alerts", "--kind", "threshold.lost") == []
    assert "threshold.nera" in refused(d, "alerts", "--kind", "threshold.nera")
    refused(d, "alerts", "--follow", "--kind", "threshold.nera")


def test_numbers_are_numbers():
    d = bench()[0]
    for timeout in ("", "abc", "1x", "0", "-1", "nan", "inf", "1e300"):
        refused(d, "wait", "--caught-up", "--timeout", timeout)
    for sequence in ("abc", "1x", "0", "-1"):
        refused(d, "dead-letter", "show", "school.0", sequence)


def test_wait_says_what_it_waits_for():
    d, schools, _ = bench()
    d.ctl("stream", "pause", "school.0")
    schools.send([school(3, "bao")])
    assert "school.0 is paused" in refused(d, "wait", "--caught-up", "--timeout", "1", code=69)
    d.ctl("stream", "resume", "school.0")
    d.caught_up()


def test_a_daemon_that_hangs():
    d = bench()[0]
    d.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        refused(d, "wait", "--caught-up", "--timeout", "1", code=69)
        assert time.monotonic() - started < 5 * harness.SLOW
    finally:
        d.process.send_signal(signal.SIGCONT)
    d.caught_up()


def test_best_effort_is_said():
    d, _, endpoint = bench()
    assert d.json("school", "1")["best_effort"] == [] and "best-effort" not in d.ctl("explain", "1")
    socket = zmq.Context.instance().socket(zmq.PUB)
    socket.bind(endpoint)
    arrived = lambda: d.cluster.sql("SELECT * FROM teldag.best_effort")
    line = registration(1, 5000, "graad1").encode()
    try:  # a plain publisher's first messages may be lost: it says the same until one has come
        wait_for(lambda: socket.send_multipart([b"registration.1", line]) or arrived(), 20, "a registration by the best-effort stream")
    finally:
        socket.close(0)
    assert arrived() == [["2024-2025", "1", "registration.1"]]
    assert d.json("school", "1")["best_effort"] == [{"school_year": "2024-2025", "stream": "registration.1"}]
    assert d.json("school", "2")["best_effort"] == [] and "best-effort stream (registration.1)" in d.ctl("explain", "1")


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
