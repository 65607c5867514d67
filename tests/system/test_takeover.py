#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Two daemons and one shard: one writes, the other waits and says for whom; whoever loses its session never writes over
the other. And two shards beside each other in one database."""
import calendar
import os
import random
import time

import flow
from flow import Producer, freeze, thaw, wait_for, writer_pid, writer_status
from harness import World, main, registration, school
from standby import note

OPTIONS = ("--pupils", 1500, "--schools", 24, "--corrections", 10, "--duplicates", 3, "--bad", 1)


def phase(daemon):
    return (writer_status(daemon) or {"phase": "", "message": ""})["phase"]


def flowing(world, *partition):
    schools, registrations, summary = flow.split_generated(*OPTIONS, "--seed", random.randrange(1 << 31), *partition)
    number = partition[1].split("/")[0] if partition else "0"
    return [Producer(world.feed("school." + number), schools), Producer(world.feed("registration." + number), registrations)], summary


def send_all(producers):
    for p in producers:
        p.send(len(p.lines))
        p.settle()


def expect_all(world, daemon, producers, *summaries):
    daemon.caught_up()
    for p in producers:
        flow.expect_positions(world.cluster, p.feed.stream, len(p.lines))
    flow.expect_summary(world.cluster, *summaries)
    daemon.verify()


def test_second_waits_and_takes_over():
    with World() as w:
        producers, summary = flowing(w)
        feeds = [p.feed for p in producers]
        first = w.daemon(feeds, name="first").migrate().start()
        first.caught_up()
        second = w.daemon(feeds, name="second").start()
        pid = writer_pid(w.cluster)
        wait_for(lambda: phase(second) == "waiting for the lock", 10, "the second daemon does not wait")
        assert "backend pid %d" % pid in writer_status(second)["message"], writer_status(second)
        assert second.logged("another daemon (backend pid %d) writes shard 0" % pid)
        code, text = flow.get(second.metrics, "/readyz")
        assert code == 503 and "another daemon" in text, (code, text)
        assert second.json("status", code=1)["degraded"] is True
        for p in producers:
            p.send(len(p.lines) // 3)
            p.settle()
        flow.expect_no_differences(first)
        threads = [p.start(len(p.lines), 0.002) for p in producers]
        time.sleep(random.uniform(0, 0.2))
        first.kill()
        killed = time.monotonic()
        wait_for(lambda: phase(second) == "running", 5, "no takeover")
        assert time.monotonic() - killed < 5 * flow.SLOW
        for thread in threads:
            thread.join()
        send_all(producers)
        expect_all(w, second, producers, summary)
        flow.expect_no_differences(second)
        first.start()  # now it is the one that waits
        wait_for(lambda: phase(first) == "waiting for the lock", 10, "the first daemon does not wait")
        assert second.stop() == 0
        wait_for(lambda: phase(first) == "running", 5, "no takeover after a clean stop")
        flow.expect_no_differences(first)
        second.start()
        wait_for(lambda: phase(second) == "waiting for the lock", 10, "the second daemon does not wait")
        assert second.stop(5) == 0  # a daemon that waits stops at once
        expect_all(w, first, producers, summary)


TAKEOVER_SECONDS = 15  # a bound for correctness; the figures are printed


def last_running(daemon):
    """When it last said that it writes: seconds since 1970, to the millisecond of its log."""
    with open(daemon.log) as f:
        said = [line.split()[0] for line in f if line.rstrip().endswith("writer: running")]
    return calendar.timegm(time.strptime(said[-1][:19], "%Y-%m-%dT%H:%M:%S")) + float(said[-1][19:-1]) if said else 0


def first_commit(world, after):
    rows = world.cluster.sql("SELECT extract(epoch FROM min(pg_xact_commit_timestamp(xmin))) FROM teldag_data.registration_log"
                             " WHERE pg_xact_commit_timestamp(xmin) > to_timestamp(%.3f)" % after)
    return float(rows[0][0] or 0)


def test_takeover_time():
    """kill -9 of whoever writes, again and again, while events come: how long until the other one commits."""
    rounds = int(os.environ.get("TAKEOVER_ROUNDS") or 8)
    with World("track_commit_timestamp = on") as w:
        producers, summary = flowing(w)
        a, b = (w.daemon([p.feed for p in producers], name=name) for name in ("a", "b"))
        a.migrate().start()
        a.caught_up()
        b.start()
        taken, committed = [], []
        for number in range(1, rounds + 1):
            wait_for(lambda: phase(b) == "waiting for the lock", 20, "the second daemon does not wait")
            threads = [p.start(len(p.lines) * number // rounds - p.sent, 0.03, (1, 3, 20)) for p in producers]
            time.sleep(random.uniform(0, 0.3))
            a.kill()
            killed = time.time()
            wait_for(lambda: last_running(b) > killed, TAKEOVER_SECONDS, "no takeover")
            for thread in threads:
                thread.join()
            for p in producers:
                p.settle()
            b.caught_up()
            taken.append(last_running(b) - killed)
            commit = first_commit(w, last_running(b))
            if commit:  # else everything was in before
                committed.append(commit - killed)
            flow.expect_no_differences(b)
            a.start()
            a, b = b, a
        expect_all(w, a, producers, summary)
        feeds = [p.feed for p in producers]
        note("active daemon killed, standby daemon takes over", w.cluster, feeds, sum(f.acked for f in feeds), max(committed), rounds)
        for name, times in (("takes over", taken), ("first commit", committed)):
            print("%s after kill -9, %d rounds: p50 %.2f s, max %.2f s"
                  % (name, len(times), sorted(times)[len(times) // 2], max(times)), flush=True)
        assert max(taken) < TAKEOVER_SECONDS * flow.SLOW and len(committed) > rounds // 2


def test_sleeper_is_fenced():
    """A daemon stopped in the middle of anything loses its session meanwhile; when it wakes up, the other one writes."""
    with World() as w:
        producers, summary = flowing(w)
        feeds = [p.feed for p in producers]
        a = w.daemon(feeds, name="a", near=(3, 1)).migrate().start()
        a.caught_up()
        b = w.daemon(feeds, name="b", near=(4, 1)).start()
        wait_for(lambda: phase(b) == "waiting for the lock", 10, "b does not wait")
        rounds = 6
        for number in range(1, rounds + 1):
            threads = [p.start(len(p.lines) * number // rounds - p.sent, 0.003) for p in producers]
            time.sleep(random.uniform(0, 0.3))
            freeze(a.process.pid)
            pid = writer_pid(w.cluster)
            w.cluster.sql("SELECT pg_terminate_backend(%d)" % pid)
            wait_for(lambda: writer_pid(w.cluster) not in (0, pid) and phase(b) == "running", 10, "b does not take over")
            if random.random() < 0.5:
                for thread in threads:
                    thread.join()
                b.caught_up()
            thaw(a.process.pid)
            wait_for(lambda: phase(a) in ("waiting for the lock", "backing off"), 10, "a does not wait: %s" % phase(a))
            for thread in threads:
                thread.join()
            b.caught_up()
            wait_for(lambda: phase(a) == "waiting for the lock", 10, "a does not wait: %s" % phase(a))
            assert phase(b) == "running"
            for d in (a, b):
                flow.expect_no_differences(d)
            a, b = b, a
        expect_all(w, a, producers, summary)
        near = w.cluster.one("SELECT near_pupils FROM teldag_data.rules_set JOIN teldag_data.shard_progress ON hash = rules_hash")
        assert near == ("4" if a.name == "b" else "3"), "the rules of %s are not in force" % a.name


def test_foreign_write_is_noticed():
    """Another writer without the lock (a restored backup, a pooler's session): the fence stops the batch, the ledger is rebuilt."""
    with World() as w:
        producers, summary = flowing(w)
        d = w.daemon([p.feed for p in producers]).migrate().start()
        for p in producers:
            p.send(len(p.lines) // 2)
            p.settle()
        d.caught_up()
        before = writer_status(d)["rebuilds"]
        w.cluster.sql("UPDATE teldag_data.shard_progress SET batch = batch + 1, token = 1")
        send_all(producers)
        expect_all(w, d, producers, summary)
        assert writer_status(d)["rebuilds"] == before + 1
        assert d.logged("another daemon wrote shard 0: rebuilding")
        flow.expect_no_differences(d)


def test_two_shards():
    with World() as w:
        world = [flowing(w, "--partition", "%d/2" % i) for i in (0, 1)]
        shards = [w.daemon([p.feed for p in producers], name="shard%d" % i, shard="%d/2" % i)
                  for i, (producers, _) in enumerate(world)]
        shards[0].migrate()
        for d in shards:
            d.start()
        threads = [p.start(len(p.lines), 0.003) for producers, _ in world for p in producers]
        wait_for(lambda: (writer_status(shards[1]) or {}).get("phase") == "running", 20, "shard 1 runs")
        time.sleep(random.uniform(0, 0.2))
        batches = writer_status(shards[1])["batches"]
        shards[0].kill()
        # Perhaps it had everything already: then there is nothing left that the death of shard 0 could hold up.
        wait_for(lambda: writer_status(shards[1])["batches"] > batches or not any(t.is_alive() for t in threads), 30,
                 "the other shard does not go on")
        shards[0].start()
        for thread in threads:
            thread.join()
        for d, (producers, _) in zip(shards, world):
            send_all(producers)
            d.caught_up()
        for i, d in enumerate(shards):
            flow.expect_no_differences(d)
            flow.expect_alert_log(w.cluster, i)
            follower = flow.Follower(d)
            assert follower.expect(w.cluster, log="(SELECT *, grp AS \"group\" FROM teldag_data.alert_log WHERE shard = %d) l" % i)
            assert follower.stop() == 0
        expect_all(w, shards[0], world[0][0], world[0][1], world[1][1])
        expect_all(w, shards[1], world[1][0], world[0][1], world[1][1])
        again = w.daemon([p.feed for p in world[1][0]], name="again", shard="1/2").start()  # each shard has its own lock
        wait_for(lambda: phase(again) == "waiting for the lock", 10, "a second daemon of shard 1 does not wait")


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
