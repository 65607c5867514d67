#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""PostgreSQL fails over to a standby: nothing acknowledged is lost, a COMMIT without answer is resolved there, alerts go on under
their epoch when replication was declared synchronous and under a new one when it was not; an old primary that comes back is not
written to."""
import random
import subprocess
import time

import flow
from flow import Follower, Producer, Proxy, wait_for, writer_status
from harness import SLOW, World, closed, main, registration, school
from standby import Standby, hosts, note, socket_of
from test_crash_feeds import expect_entities, make_feeds

CONF = "track_commit_timestamp = on"
GAP_SECONDS = 15  # a bound for correctness; the figure itself is printed


class Pair:
    """A primary behind a proxy that can swallow a COMMIT, its standby, and a daemon that knows both."""

    def __init__(self, world, synchronous=True):
        self.world, self.a = world, world.cluster
        self.b = Standby(self.a, synchronous)
        self.proxy = Proxy(world.home, self.a)
        self.conninfo = hosts(self.proxy.dir, socket_of(self.b))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for d in self.world.daemons:
            d.stop()
        self.proxy.close()
        self.b.stop()

    def daemon(self, feeds, **options):
        return self.world.daemon(feeds, conninfo=self.conninfo, **options).migrate().start()

    def fail_over(self, commit=None, after=0):
        """The primary dies, perhaps right after a COMMIT that got no answer; returns when its standby was asked to take over, so
        many seconds later."""
        self.proxy.close()  # who loses its connection now does not get it back
        if commit:
            self.proxy.cut(commit)
            wait_for(lambda: self.proxy.done, 20, "no COMMIT came")
        self.a.crash()
        time.sleep(after)
        asked, promoted = self.b.promote()
        self.world.cluster = self.b
        return asked, promoted

    def first_commit(self, after):
        rows = self.b.sql("SELECT extract(epoch FROM min(pg_xact_commit_timestamp(xmin))) FROM teldag_data.registration_log"
                          " WHERE pg_xact_commit_timestamp(xmin) > to_timestamp(%.6f)" % after)
        return float(rows[0][0])


def alert_epoch(cluster):
    return cluster.sql("SELECT alert_epoch, (SELECT count(*) FROM teldag.alert_epoch) FROM teldag_data.shard_progress")[0]


def fail_over_under_load(commit, after):
    feeds, maker, summary = make_feeds()
    with World(CONF) as w, Pair(w) as pair:
        producers = [Producer(w.feed(stream), lines) for stream, lines in feeds.items()]
        d = pair.daemon([p.feed for p in producers])
        d.caught_up()
        follower = Follower(d)
        for p in producers:
            p.send(len(p.lines) // 3)
            p.settle()
        d.caught_up()
        before = alert_epoch(pair.a)
        assert pair.a.one("SELECT synchronous FROM teldag_data.shard_progress") == "t"
        acked = sum(p.feed.acked for p in producers)
        threads = [p.start(len(p.lines), 0.02, (1, 5, 20)) for p in producers]
        time.sleep(random.uniform(0.05, 0.3))
        asked, promoted = pair.fail_over(commit, after)
        for thread in threads:
            thread.join()
        for p in producers:
            p.settle()
        d.caught_up()
        gap = pair.first_commit(asked) - asked
        note("primary killed, standby promoted", pair.b, [p.feed for p in producers], sum(p.feed.acked for p in producers) - acked, gap)
        print("down for %g s; promotion %.2f s, first commit %.2f s after it was asked for (COMMIT %s)"
              % (after, promoted - asked, gap, commit), flush=True)
        assert 0 < gap < GAP_SECONDS * SLOW, gap
        assert d.logged("a COMMIT got no answer") and d.logged("the COMMIT without answer was " + ("done" if commit == "answered" else "not done"))
        assert writer_status(d)["rebuilds"] == 1, "what was in memory is what the standby has"
        assert alert_epoch(pair.b) == before, "the epoch is kept"
        for p in producers:
            flow.expect_positions(pair.b, p.feed.stream, len(p.lines))
        flow.expect_summary(pair.b, summary, {"schools": [], "registrations": 0, "dead": len(maker.dead)})
        expect_entities(pair.b, maker)
        flow.expect_alert_log(pair.b)
        flow.expect_no_differences(d)
        assert len(follower.expect(pair.b)) > 20
        assert follower.stop() == 0
        d.verify()


def test_commit_done_but_not_answered():
    fail_over_under_load("answered", 0)


def test_commit_that_never_arrived():
    fail_over_under_load("lost", 4)  # long enough for the longest pause between two attempts


class Flock:
    """A few schools whose announced number is wrong and right in turn: an alert a school and wave."""

    def __init__(self, pair, schools=10):
        self.pair, self.schools, self.waves = pair, schools, 0
        self.names, self.feed = pair.world.feed("school.0"), pair.world.feed("registration.0")
        self.d = pair.daemon([self.names, self.feed])
        self.names.send([school(100 + i, "so") for i in range(schools)])
        self.d.caught_up()

    def wave(self):
        self.waves += 1
        self.feed.send([closed(100 + i, self.waves % 2) for i in range(self.schools)])
        self.d.caught_up()


def expect_explained(follower, *words):
    """A follower that meets another log ends with 65, and says where to go on."""
    code = follower.process.wait(20 * SLOW)
    said = follower.process.stderr.read().decode()
    assert code == 65 and all(word in said for word in words), (code, said)


def test_promotion_without_synchronous_replication():
    with World(CONF) as w, Pair(w, synchronous=False) as pair:
        flock = Flock(pair)
        flock.wave()
        flock.wave()
        follower = Follower(flock.d)
        wait_for(lambda: len(follower.events) == 20, 10, "the first alerts")
        wait_for(lambda: pair.b.one("SELECT alert_seq FROM teldag_data.shard_progress") == "20", 10, "the standby lags")
        before = alert_epoch(pair.a)
        pair.fail_over()
        flock.wave()
        after = alert_epoch(pair.b)
        assert int(after[0]) > int(before[0]) and after[1] == "1", (before, after)
        rows = pair.b.sql("SELECT shard, from_epoch, after_seq, reason FROM teldag.alert_epoch")
        assert rows[0][:3] == ["0", before[0], "20"] and "without declared synchronous" in rows[0][3], rows
        assert flock.d.logged("under a new epoch")
        assert follower.process.wait(20 * SLOW) == 65, "a subscriber does not go on silently"
        again = Follower(flock.d, after=20)
        wait_for(lambda: len(again.events) == 10, 10, "the alerts after the new epoch")
        assert follower.seqs() + again.seqs() == list(range(1, 31))
        assert again.stop() == 0
        flock.d.verify()


def test_standby_or_read_only_is_said():
    """Whoever answers and cannot be written is named, with or without target_session_attrs, and asked again until it can."""
    with World(CONF) as w, Pair(w) as pair:
        feed = w.feed("school.0")
        d = pair.daemon([feed])
        d.caught_up()
        d.stop()
        for more, words in (("", "read-only"), ("target_session_attrs=primary", "standby"), ("target_session_attrs=any", "standby or read-only")):
            lone = w.daemon([feed], name="lone" + str(len(w.daemons)), conninfo=hosts(socket_of(pair.b), more=more)).start()
            wait_for(lambda: words in (writer_status(lone) or {"message": ""})["message"], 10, "%r: %s" % (more, writer_status(lone)))
            assert writer_status(lone)["phase"] in ("backing off", "connecting")
            done = lone.run("school", "1")
            assert more.endswith("any") or (done.returncode == 69 and "standby" in done.stderr), done.stderr
            lone.stop()
        # The standby first: asked again until it is the primary, also by the publisher.
        for more in ("", "target_session_attrs=primary"):
            both = w.daemon([feed], name="both" + str(len(w.daemons)), conninfo=hosts(socket_of(pair.b), socket_of(pair.a), more=more)).start()
            both.caught_up()
            wait_for(lambda: both.run("status").returncode == 0, 10, "not healthy")
            assert both.run("school", "1").returncode in (0, 65), "teldagctl finds the primary too"
            if more:
                pair.a.sql("ALTER SYSTEM SET default_transaction_read_only = on")
                pair.a.sql("SELECT pg_reload_conf()")
                feed.send([school(1, "so")])
                wait_for(lambda: "read-only" in writer_status(both)["message"], 10, "a primary that is read-only now: %s" % writer_status(both))
                pair.a.sql("ALTER SYSTEM RESET default_transaction_read_only")
                pair.a.sql("SELECT pg_reload_conf()")
                both.caught_up()
                both.verify()
            assert both.stop() == 0


def test_host_that_refuses_does_not_end_the_daemon():
    """Of several hosts one is away and the other one is set up wrongly: that is no reason to give up."""
    with World() as w:
        feed = w.feed("school.0")
        w.daemon([feed]).migrate()
        nowhere = w.home + "/nowhere"
        lone = w.daemon([feed], name="lone", conninfo="host=%s dbname=missing user=postgres" % socket_of(w.cluster)).start()
        assert lone.process.wait(10 * SLOW) == 78, "one host that refuses for good is configuration"
        d = w.daemon([feed], name="two", conninfo="host=%s,%s dbname=missing user=postgres" % (nowhere, socket_of(w.cluster))).start()
        wait_for(lambda: (writer_status(d) or {"retries": 0})["retries"] >= 2, 10, "it does not try again")
        assert d.process.poll() is None
        w.cluster.sql("CREATE DATABASE missing TEMPLATE teldag")
        d.caught_up()
        assert d.stop() == 0


def test_old_primary_comes_back():
    """The old primary is started again beside the promoted standby: a daemon that has seen the later timeline never writes to it."""
    with World(CONF) as w, Pair(w) as pair:
        flock = Flock(pair)
        flock.wave()
        pair.fail_over()
        flock.wave()
        before, position = alert_epoch(pair.b), pair.b.sql("SELECT batch, token FROM teldag_data.shard_progress")
        pair.b.crash()
        pair.a.shell("sed -i '/synchronous_standby_names/d' $CLUSTER_DIR/data/postgresql.auto.conf")  # nothing else holds it back
        pair.a.up()
        old = pair.a.sql("SELECT batch, token, alert_seq FROM teldag_data.shard_progress")
        pair.proxy.listen()
        flock.feed.send([closed(100, 5)])
        wait_for(lambda: "an old primary" in writer_status(flock.d)["message"], 15, "it is not refused: %s" % writer_status(flock.d))
        time.sleep(1)
        assert pair.a.sql("SELECT batch, token, alert_seq FROM teldag_data.shard_progress") == old, "something was written to the old primary"
        pair.proxy.close()
        pair.a.crash()
        pair.b.up()
        flock.d.caught_up()
        assert alert_epoch(pair.b) == before and pair.b.sql("SELECT batch, token FROM teldag_data.shard_progress") != position
        flow.expect_positions(pair.b, "registration.0", 21)
        flock.d.verify()


def publisher_meets_the_old_primary(synchronous):
    """The old primary is up again beside the new one, and only the publisher loses its session: it sends nothing from there."""
    with World(CONF) as w, Pair(w, synchronous) as pair:
        flock = Flock(pair)
        flock.wave()
        before = Follower(flock.d)
        wait_for(lambda: len(before.events) == 10, 20, "the first alerts")
        pair.fail_over()
        flock.wave()
        pair.a.shell("sed -i '/synchronous_standby_names/d' $CLUSTER_DIR/data/postgresql.auto.conf")  # nothing holds it back
        pair.a.up()
        follower = Follower(flock.d)
        wait_for(lambda: len(follower.events) == 20, 20, "the alerts of the new primary")
        new = follower.events[-1]["id"].split("-")[1]
        wait_for(lambda: flock.d.run("status").returncode == 0, 10, "healthy on the new primary")
        pair.proxy.listen()
        pair.b.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teldagd publisher'")
        wait_for(lambda: flock.d.logged("is not where the writer is"), 10, "it is not said")
        flock.wave()
        newcomer = Follower(flock.d)
        wait_for(lambda: "finds another server" in flock.d.run("status").stdout, 10, "it is not degraded: " + flock.d.run("status").stdout)
        time.sleep(3)
        assert flock.d.run("status").returncode == 1
        assert len(follower.events) == 20 and not newcomer.events, "something was sent from the old primary"
        assert follower.process.poll() is None and newcomer.process.poll() is None, "a subscriber was told of the old epoch"
        assert open(flock.d.log).read().count("is not where the writer is") == 1, "said once"
        pair.proxy.close()
        pair.a.crash()
        for f in (follower, newcomer):
            assert len(f.expect(pair.b)) == 30
            assert {e["id"].split("-")[1] for e in f.events} == {new}
            assert f.stop() == 0
        wait_for(lambda: flock.d.run("status").returncode == 0, 10, "healthy again")
        before.kill()
        flock.d.verify()


def test_publisher_meets_the_old_primary():
    publisher_meets_the_old_primary(True)


def test_publisher_meets_the_old_primary_under_its_old_epoch():
    publisher_meets_the_old_primary(False)


def test_publisher_that_stands_still_is_said():
    """Its session does not answer, while the writer goes on: degraded after some seconds, and well again by itself."""
    with World(CONF) as w:
        names, feed = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([names, feed]).migrate().start()
        names.send([school(100, "so")])
        d.caught_up()
        pid = int(w.cluster.one("SELECT pid FROM pg_stat_activity WHERE application_name = 'teldagd publisher'"))
        flow.freeze(pid)
        try:
            feed.send([closed(100, 5)])
            d.caught_up()
            wait_for(lambda: "publisher of alerts has stood still" in d.run("status").stdout, 15, "not degraded: " + d.run("status").stdout)
        finally:
            flow.thaw(pid)
        wait_for(lambda: d.run("status").returncode == 0, 10, "healthy again")


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
