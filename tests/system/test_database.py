#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""PostgreSQL absent, lost, slow, refusing, or silent at the very moment of COMMIT: the daemon waits, says so, keeps its
receivers going and loses nothing; what waiting cannot mend ends it with a message that says what to do."""
import os
import random
import socket
import time

import flow
from flow import Producer, Proxy, freeze, get, stream_status, thaw, wait_for, writer_pid, writer_status
from harness import SLOW, World, closed, main, registration, school

INBOX_EVENTS = 65536
MESSAGE_EVENTS = 5000  # the queue is soft by one message


def small_world(world, pupils=1500, **options):
    schools, registrations, summary = flow.split_generated("--pupils", pupils, "--schools", 24, "--seed", random.randrange(1 << 31),
                                                           "--corrections", 10, "--duplicates", 3, "--bad", 1)
    producers = [Producer(world.feed("school.0"), schools), Producer(world.feed("registration.0"), registrations)]
    return producers, world.daemon([p.feed for p in producers], **options).migrate(), summary


def send(producers, count=1 << 31):
    for p in producers:
        p.send(count)
        p.settle()


def expect_all(world, daemon, producers, summary):
    daemon.caught_up()
    for p in producers:
        flow.expect_positions(world.cluster, p.feed.stream, p.sent)
    flow.expect_summary(world.cluster, summary)
    flow.expect_alert_log(world.cluster)
    daemon.verify()


def flood(count):
    """More events than the inbox holds, of few pupils: the last event of each counts."""
    lines = [registration(101, i, "graad1", ["buurt"]) for i in range(500)]
    return [lines[i % 500].encode() for i in range(count)]


def expect_flood(world, daemon, count):
    daemon.caught_up(120)
    flow.expect_positions(world.cluster, "registration.0", count)
    assert world.cluster.sql("SELECT pupils FROM teldag.count") == [["500"]]


def expect_bounded(daemon, feed, count):
    """The queue fills to its bound and no further; the receiver goes on reading what is live."""
    wait_for(lambda: stream_status(daemon, feed.stream)["queued_events"] >= INBOX_EVENTS, 30, "the queue does not fill")
    wait_for(lambda: stream_status(daemon, feed.stream)["head"] == count + 1, 10, "the receiver does not hear the head")
    time.sleep(0.5)
    s = stream_status(daemon, feed.stream)
    assert INBOX_EVENTS <= s["queued_events"] <= INBOX_EVENTS + MESSAGE_EVENTS, s
    assert s["state"] == "fetching" and s["lag"] >= s["queued_events"] and s["silence_s"] < 2.5, s


def test_absent_at_start():
    with World() as w:
        producers, d, summary = small_world(w)
        w.cluster.crash()
        path = os.path.join(w.home, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(path)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            d.start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        manager.settimeout(10 * SLOW)
        assert b"READY=1" in manager.recv(4096)
        wait_for(lambda: manager.recv(4096).startswith(b"STATUS=backing off: "), 10, "STATUS does not say that it waits")
        send(producers)
        code, text = get(d.metrics, "/readyz")
        assert code == 503 and "cannot connect" in text or "connection to server" in text, (code, text)
        assert get(d.metrics, "/healthz")[0] == 200
        status = d.json("status", code=1)
        assert status["ready"] is False and "nothing is lost" in " ".join(status["reasons"]), status
        assert d.run("verify").returncode == 69
        w.cluster.up()
        expect_all(w, d, producers, summary)
        assert get(d.metrics, "/readyz")[0] == 200
        wait_for(lambda: d.run("status").returncode == 0, 5, "still degraded")  # the publisher looks each second
        manager.close()
        assert d.stop() == 0


def test_lost_while_idle_is_said():
    with World() as w:
        producers, d, _ = small_world(w)
        d.start().caught_up()
        w.cluster.crash()
        wait_for(lambda: get(d.metrics, "/readyz")[0] == 503, 5, "readyz does not notice")
        assert writer_status(d)["phase"] in ("backing off", "connecting")
        w.cluster.up()
        wait_for(lambda: d.run("status").returncode == 0, 10, "not healthy again")


def test_lost_for_seconds_under_a_flood():
    count = 80000
    with World() as w:
        feed = w.feed("registration.0")
        d = w.daemon([feed]).migrate().start()
        feed.send([registration(101, 0, "graad1", ["buurt"])])
        d.caught_up()
        w.cluster.crash()
        p = Producer(feed, [b""] + flood(count - 1))
        p.sent = 1
        p.send(count)
        p.settle()
        expect_bounded(d, feed, count)
        before = flow.rss(d.process.pid)
        assert before < 400e6, before
        retries = writer_status(d)["retries"]
        time.sleep(3)
        assert 1 <= writer_status(d)["retries"] - retries <= 12  # backs off, up to 5 s
        assert flow.rss(d.process.pid) - before < 8e6
        w.cluster.up()
        expect_flood(w, d, count)
        assert writer_status(d)["rebuilds"] == 1  # the ledger was right all the time
        d.verify()


def test_frozen_backend_blocks_no_receiver():
    count = 80000
    with World() as w:
        feed = w.feed("registration.0")
        d = w.daemon([feed]).migrate().start()
        d.caught_up()
        pid = writer_pid(w.cluster)
        freeze(pid)
        try:
            p = Producer(feed, flood(count))
            p.send(count)
            p.settle()
            expect_bounded(d, feed, count)
            assert stream_status(d, feed.stream)["committed_next"] == 1
        finally:
            thaw(pid)
        expect_flood(w, d, count)
        s = stream_status(d, feed.stream)
        assert s["dropped_live"] > 0 and s["damaged"] == 0, s
        wait_for(lambda: stream_status(d, feed.stream)["state"] == "live", 5, "not live again")


def test_slow_statements():
    with World() as w:
        producers, d, summary = small_world(w)
        d.start()
        send(producers, 10)
        d.caught_up()
        w.cluster.sql("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(1); RETURN NULL; END';"
                      "CREATE TRIGGER slow BEFORE INSERT ON teldag_data.registration_log EXECUTE FUNCTION public.slow()")
        threads = [p.start(1500, 0.05) for p in producers]
        asked = 0
        end = time.monotonic() + 3
        while time.monotonic() < end:
            started = time.monotonic()
            assert writer_status(d)
            asked = max(asked, time.monotonic() - started)
        assert asked < 1 * SLOW, "status took %.1f s" % asked  # nobody waits for the database but the writer
        for thread in threads:
            thread.join()
        w.cluster.sql("SET lock_timeout = '20s'; DROP TRIGGER slow ON teldag_data.registration_log")
        send(producers)
        expect_all(w, d, producers, summary)
        assert writer_status(d)["commit_max_s"] > 0.9


def test_commit_without_answer():
    with World() as w:
        proxy = Proxy(w.home, w.cluster)
        producers, d, summary = small_world(w, 2000, conninfo=proxy.conninfo)
        d.start()
        d.caught_up()
        rounds = ["lost", "answered", "late"] * 3
        random.shuffle(rounds)
        for number, how in enumerate(rounds, 1):
            done = len(proxy.done)
            proxy.cut(how)
            for p in producers:
                p.send(len(p.lines) * number // len(rounds) - p.sent, 0.002)
            wait_for(lambda: len(proxy.done) > done, 10, "no COMMIT to cut")
        assert proxy.done == rounds
        expect_all(w, d, producers, summary)
        status = flow.expect_no_differences(d)
        # The batch's token says what became of it: no reason to rebuild.
        assert status["rebuilds"] == 1 and d.logged("a COMMIT got no answer"), status
        follower = flow.Follower(d)
        assert follower.expect(w.cluster)
        assert follower.stop() == 0
        proxy.close()


def test_terminated_backends():
    with World() as w:
        producers, d, summary = small_world(w, 2000)
        d.start()
        d.caught_up()
        threads = [p.start(len(p.lines), 0.01) for p in producers]
        cut = 0
        while cut < 12 or any(t.is_alive() for t in threads):
            time.sleep(random.uniform(0, 0.1))
            cut += w.cluster.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                 " WHERE application_name = 'teldagd writer'") == "1"
        for thread in threads:
            thread.join()
        expect_all(w, d, producers, summary)
        status = flow.expect_no_differences(d)
        assert status["rebuilds"] == 1 and status["retries"] >= 8, status


def test_refused():
    with World() as w:
        feed = w.feed("registration.0")
        no_schema = w.daemon([feed], name="no-schema").start()
        assert no_schema.process.wait(15 * SLOW) == 78
        assert no_schema.logged("run `teldagctl migrate`")
        no_database = w.daemon([feed], name="no-database", conninfo=w.cluster.conninfo.replace("dbname=teldag", "dbname=elsewhere")).start()
        assert no_database.process.wait(15 * SLOW) == 78
        assert no_database.logged('database "elsewhere" does not exist')
        no_role = w.daemon([feed], name="no-role", conninfo=w.cluster.conninfo.replace("user=postgres", "user=nobody")).start()
        assert no_role.process.wait(15 * SLOW) == 78
        d = w.daemon([feed]).migrate()
        w.cluster.sql("INSERT INTO teldag_data.schema_migration VALUES ('9000_future')")
        d.start()
        assert d.process.wait(15 * SLOW) == 78
        assert d.logged("9000_future") and d.logged("install the newer teldagd")
        w.cluster.sql("DELETE FROM teldag_data.schema_migration WHERE version = '9000_future'")
        d.start().caught_up()
        w.cluster.sql("ALTER TABLE teldag_data.registration_log RENAME COLUMN regular TO irregular")  # somebody's hand
        feed.send([registration(101, 1, "graad1"), school(1, "so"), closed(101, 1)])
        assert d.process.wait(15 * SLOW) == 78  # stops loudly, nothing is dead-lettered for it
        assert d.logged("the database refused a statement")
        assert w.cluster.one("SELECT count(*) FROM teldag.dead_letter") == "0"
        w.cluster.sql("ALTER TABLE teldag_data.registration_log RENAME COLUMN irregular TO regular")
        d.start().caught_up()
        assert w.cluster.one("SELECT count(*) FROM teldag.registration") == "1"
        d.verify()


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
