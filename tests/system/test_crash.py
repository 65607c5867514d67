#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 of everything, at random moments, while events flow: nothing lost, nothing twice, every figure right (P1, P2, P3)."""
import os
import random
import signal
import time

import flow
from flow import Follower, Producer
from harness import World, main, wait_for

ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 12)  # of each kind


def crash_postgres(world):
    """A power cut of the server, or the death of one backend, after which PostgreSQL restarts itself."""
    pid = flow.writer_pid(world.cluster) if random.random() < 0.4 else 0
    if pid:
        os.kill(pid, signal.SIGKILL)
        return
    world.cluster.crash()
    time.sleep(random.uniform(0, 0.3))
    world.cluster.up()


def crash_daemon(daemon):
    daemon.kill()
    time.sleep(random.uniform(0, 0.2))
    daemon.start()


def crash_feeder(producers):
    p = random.choice(producers)
    p.feed.kill()
    p.thread.join()
    p.feed.start()
    p.resume()


def test_kill_everything():
    schools, registrations, summary = flow.split_generated(
        "--pupils", 3000, "--schools", 40, "--seed", random.randrange(1 << 31), "--corrections", 10, "--duplicates", 5, "--bad", 2,
        "--too-large", 2)
    rounds = ["daemon", "feeder", "postgres"] * ROUNDS
    random.shuffle(rounds)
    with World() as w:
        producers = [Producer(w.feed("school.0"), schools), Producer(w.feed("registration.0"), registrations)]
        shares = [len(p.lines) // len(rounds) + 1 for p in producers]
        d = w.daemon([p.feed for p in producers]).migrate().start()
        follower = Follower(d)
        for number, kind in enumerate(rounds):
            if random.random() < 0.3:
                follower.kill()
            for p, share in zip(producers, shares):
                p.thread = p.start(share * (number + 1) - p.sent, random.choice((0, 0.004, 0.02)))
            time.sleep(random.choice((0, 0.05, 0.2)) * random.random())
            if kind == "daemon":
                crash_daemon(d)
            elif kind == "postgres":
                crash_postgres(w)
            else:
                crash_feeder(producers)
            for p, share in zip(producers, shares):
                p.thread.join()
                p.send(share * (number + 1) - p.sent)
                p.settle()
            if follower.process.poll() is not None:
                follower.start()
            wait_for(lambda: flow.is_up(w.cluster), 30, "PostgreSQL is away")
            d.caught_up()
            flow.expect_no_differences(d)
            if number % 4 == 3:
                d.verify()
        for p in producers:
            assert p.sent == len(p.lines)
            flow.expect_positions(w.cluster, p.feed.stream, len(p.lines))
        flow.expect_summary(w.cluster, summary)
        flow.expect_alert_log(w.cluster)
        d.verify()
        assert len(follower.expect(w.cluster)) > 20
        follower.stop()
        assert d.stop() == 0


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
