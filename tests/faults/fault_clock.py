#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The wall clock steps under daemon and feeder, by hours and days, forwards and back (libfaketime; CLOCK_MONOTONIC is left
alone, as a kernel leaves it alone). clock.today moves day by day and never back, time-outs are not stretched, journals made under
a wrong clock are never taken silently."""
import datetime
import os
import shutil
import subprocess
import time

import environment
import flow
from environment import LONG, Follower, Scene, Skip, World, wait_for
from harness import BUILD, closed, registration

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Clock:
    """A file that says by how much the wall clock is off; read again at each call."""

    def __init__(self, path):
        self.path = path
        for candidate in (LIBRARY, LIBRARY.replace("x86_64", os.uname().machine)):
            if os.path.exists(candidate):
                self.library = candidate
                break
        else:
            raise Skip("no libfaketime (package faketime)")
        self.step(0)

    def step(self, seconds):
        with open(self.path + ".new", "w") as f:
            f.write("%+d\n" % seconds)
        os.rename(self.path + ".new", self.path)
        self.off = seconds

    def variables(self):
        return {"LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_RESET": "1"}

    def __enter__(self):
        os.environ.update(self.variables())
        return self

    def __exit__(self, *unused):
        for name in self.variables():
            os.environ.pop(name, None)


def brussels(clock):
    import zoneinfo
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=clock.off)).astimezone(zoneinfo.ZoneInfo("Europe/Brussels")).date()


def days(cluster):
    return [r[0] for r in cluster.sql("SELECT body->>'today' FROM teldag_data.local_log WHERE act = 'clock' ORDER BY seq")]


def test_wall_clock_steps():
    with World() as w:
        clock = Clock(os.path.join(w.home, "clock"))
        with clock:
            feeds = [w.feed("school.0"), w.feed("registration.0")]
        scene = Scene(w, 3000 if LONG else 800, feeds=feeds)
        d = scene.daemon
        with clock:  # without --today
            with open(d.log, "a") as log:
                d.process = subprocess.Popen([os.path.join(BUILD, "teldagd"), "-c", d.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        d.caught_up()
        scene.follower = Follower(d)
        latest = brussels(clock)
        wait_for(lambda: days(w.cluster) == [str(latest)], 10, "the clock's first day: %s, not %s" % (days(w.cluster), latest))
        steps = [3 * 3600, -7 * 3600, 3 * 86400, -2 * 86400, 10 * 86400, -40 * 86400, 400 * 86400 if LONG else 30 * 86400, 0]
        for number, step in enumerate(steps, 1):
            scene.fault()
            threads = scene.flow(number / len(steps))
            clock.step(step)
            latest = max(latest, brussels(clock))
            stepped = time.monotonic()
            for t in threads:
                t.join()
            wait_for(lambda: days(w.cluster)[-1] == str(latest), 30, "clock.today is %s, not %s" % (days(w.cluster)[-1:], latest))
            scene.recovered("clock steps by %s" % ("hours" if abs(step) < 86400 else "days"), 1, stepped, number / len(steps))
            done = d.run("wait", "--caught-up", "--timeout", "5")  # nobody's time-out is stretched
            assert done.returncode == 0, done.stderr
        seen = days(w.cluster)
        assert seen == sorted(set(seen)) and len(seen) == (latest - datetime.date.fromisoformat(seen[0])).days + 1, (seen[0], seen[-1], len(seen))
        status = d.json("status")
        assert 0 <= status["uptime_s"] < 3600, status["uptime_s"]  # of the monotonic clock
        assert all(0 <= s["silence_s"] < 60 for s in status["streams"]), status["streams"]


def test_journal_made_under_a_clock_that_is_behind():
    """Its epoch is lower than the one accepted: the stream stops and says so, the journal is refused, a new one is taken."""
    with World() as w:
        clock = Clock(os.path.join(w.home, "clock"))
        feed = w.feed("registration.0")
        d = w.daemon([feed]).migrate().start()
        lines = [registration(101, i, "graad1") for i in range(40)]
        feed.send(lines)
        d.caught_up()
        started = time.monotonic()
        feed.stop()
        shutil.rmtree(feed.journal)
        clock.step(-30 * 86400)
        with clock:
            feed.start()
        feed.send(lines + [closed(101, 40)])
        wait_for(lambda: flow.stream_status(d, "registration.0")["state"] == "stopped", 20, "it goes on from a journal that is older")
        assert w.cluster.one("SELECT next_seq FROM teldag.feed_progress") == "41"
        reasons = d.run("status").stdout
        assert "has an older journal" in reasons and "is the clock of its machine right?" in reasons, reasons
        done = d.run("stream", "accept", "registration.0", "--resend")
        assert done.returncode == 65 and "is older than the one accepted before" in done.stderr, done.stderr
        feed.stop()
        shutil.rmtree(feed.journal)
        feed.start()  # the clock is right again: its epoch is later
        feed.send(lines + [closed(101, 40)])
        wait_for(lambda: "has a new journal" in d.run("status").stdout, 20, "the new journal is not seen")
        d.ctl("stream", "accept", "registration.0", "--resend")
        d.caught_up()
        flow.expect_alert_log(w.cluster)
        assert w.cluster.sql("SELECT pupils, closed FROM teldag.count") == [["40", "t"]]
        rows = w.cluster.sql("SELECT epoch, count(*), count(DISTINCT seq) FROM teldag_data.registration_log GROUP BY 1 ORDER BY 1")
        lost = sum(abs(int(r[2]) - n) for r, n in zip(rows, (40, 41)))
        doubled = sum(int(r[1]) - int(r[2]) for r in rows) + 41 * max(0, len(rows) - 2)
        environment.record.record("clock behind when a journal is made", in_flight=41, lost=lost, doubled=doubled, recovery_s=time.monotonic() - started)
        assert (lost, doubled) == (0, 0), rows
        d.verify()


if __name__ == "__main__":
    environment.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
