#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""teldagctl alerts --follow: each alert once and in order, whichever side dies, sleeps or filters (P3)."""
import random
import subprocess
import threading
import time

import flow
from flow import Follower, freeze, thaw, wait_for, writer_status
from harness import SLOW, World, closed, main, registration, school


class Waves:
    """Schools whose announced number is wrong and right in turn: an alert a school and wave."""

    def __init__(self, world, schools):
        self.schools = schools
        self.feed = world.feed("registration.0")
        self.names = world.feed("school.0")
        self.daemon = world.daemon([self.names, self.feed]).migrate().start()
        self.names.send([school(100 + i, "so") for i in range(schools)])
        self.waves = 0

    def send(self, waves, dying=False):
        for _ in range(waves):
            self.waves += 1
            self.feed.send([closed(100 + i, self.waves % 2) for i in range(self.schools)])
            if not dying:
                self.committed()

    def committed(self):
        """A wave that is not committed before the next one may cancel itself out."""
        wait_for(lambda: (writer_status(self.daemon) or {"alert_seq": 0})["alert_seq"] >= self.waves * self.schools, 20,
                 "%d alerts were not raised" % (self.waves * self.schools))


def test_survives_both_deaths():
    with World() as w:
        waves = Waves(w, 40)
        follower = Follower(waves.daemon)
        for number in range(12):
            if number % 2:
                thread = threading.Thread(target=waves.send, args=(1, True))
                thread.start()
                time.sleep(random.uniform(0, 0.1))
                waves.daemon.kill()
                waves.daemon.start()
                thread.join()
                waves.daemon.caught_up()
            else:
                waves.send(2)
            if random.random() < 0.5:
                follower.kill()
                if random.random() < 0.5:
                    waves.daemon.caught_up()
                follower.start()
        waves.daemon.caught_up()
        waves.send(1)
        rows = follower.expect(w.cluster)
        flow.expect_alert_log(w.cluster)
        assert len(rows) >= 12 * 40
        assert follower.stop() == 0


def test_from_now_from_the_middle_and_from_the_future():
    with World() as w:
        waves = Waves(w, 10)
        waves.send(2)
        late = Follower(waves.daemon, after=13)
        plain = w.spawn(teldagctl(waves.daemon, "alerts", "--follow"), stdout=subprocess.PIPE, text=True)
        wait_for(lambda: len(late.events) >= 7, 10, "no alerts after 13")
        time.sleep(1)
        waves.send(1)
        wait_for(lambda: len(late.events) >= 17, 10, "no live alerts")
        assert late.seqs() == list(range(14, 31))
        lines = [plain.stdout.readline() for _ in range(10)]
        assert [int(line.split()[0]) for line in lines] == list(range(21, 31)), lines  # without --after: what is new
        assert "count.incomplete" in lines[0] and "firing" in lines[0], lines
        assert late.stop() == 0
        done = waves.daemon.run("alerts", "--follow", "--after", "500")  # of another log, or a mistake: never silently
        assert done.returncode == 65 and "another one" in done.stderr, done


def teldagctl(daemon, *args):
    return [flow.BUILD + "/teldagctl", "-c", daemon.config, *args]


def test_filters():
    with World() as w:
        waves = Waves(w, 5)
        d = waves.daemon
        kind, one, both, none = (Follower(d, *f) for f in (("--kind", "count.incomplete"), ("--school", "103"),
                                                           ("--kind", "registration.double", "--school", "101"),
                                                           ("--kind", "threshold.lost")))
        waves.send(3)
        waves.feed.send([registration(s, 1, "graad1") for s in (101, 102)] + [closed(s, 1) for s in (101, 102)])
        d.caught_up()
        kind.expect(w.cluster, where="kind = 'count.incomplete'")
        one.expect(w.cluster, where="school_id = '103'")
        rows = both.expect(w.cluster, where="kind = 'registration.double' AND school_id = '101'")
        assert len(rows) == 1 and rows[0]["state"] == "firing", rows
        assert not none.events
        for f in (kind, one, both, none):
            assert f.stop() == 0


def test_slow_follower_misses_nothing():
    """More alerts than ZeroMQ keeps for a subscriber that sleeps, and longer than its heartbeat allows."""
    with World() as w:
        waves = Waves(w, 300)
        follower = Follower(waves.daemon)
        waves.send(1)
        wait_for(lambda: len(follower.events) == 300, 10, "the first alerts")
        freeze(follower.process.pid)
        slept = time.monotonic()
        waves.send(40)
        time.sleep(max(0, 6 - (time.monotonic() - slept)))
        thaw(follower.process.pid)
        assert len(follower.expect(w.cluster, 30)) == 41 * 300
        waves.send(1)
        assert len(follower.expect(w.cluster)) == 42 * 300
        assert follower.stop() == 0


def test_database_away():
    """Whoever asks while the database is away is answered later; the follower neither ends nor repeats."""
    with World() as w:
        waves = Waves(w, 20)
        waves.send(1)
        follower = Follower(waves.daemon)
        wait_for(lambda: len(follower.events) == 20, 10, "the first alerts")
        w.cluster.crash()
        newcomer = Follower(waves.daemon)
        waves.feed.send([closed(100 + i, 0) for i in range(20)])
        time.sleep(1.5)
        assert newcomer.process.poll() is None and follower.process.poll() is None
        assert not newcomer.events and len(follower.events) == 20
        w.cluster.up()
        waves.daemon.caught_up()
        for f in (follower, newcomer):
            assert len(f.expect(w.cluster)) == 40
            assert f.stop() == 0


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
