#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""PostgreSQL put back to an earlier state, by a copy of its files or a dump, and a journal put back to an earlier copy: feeds are
fetched again, alert numbers that are given out a second time stand under a new epoch, and subscribers are told where theirs ends."""
import json
import os
import shutil
import subprocess
import time

import flow
from flow import wait_for, writer_status
from harness import BUILD, SLOW, World, closed, main, registration, school
from standby import Copy, hosts, note, socket_of

GOK = ["opleiding_moeder", "schooltoelage"]


class Flock:
    """Schools whose announced number is wrong and right in turn: an alert a school and wave."""

    def __init__(self, world, schools=10, **options):
        self.world, self.schools, self.waves = world, schools, 0
        self.names, self.feed = world.feed("school.0"), world.feed("registration.0")
        self.d = world.daemon([self.names, self.feed], **options).migrate().start()
        self.names.send([school(100 + i, "so") for i in range(schools)])
        self.d.caught_up()

    def wave(self, count=1):
        for _ in range(count):
            self.waves += 1
            self.feed.send([closed(100 + i, self.waves % 2) for i in range(self.schools)])
            self.d.caught_up()

    def expect_all(self):
        flow.expect_positions(self.world.cluster, "registration.0", self.waves * self.schools)
        flow.expect_alert_log(self.world.cluster)
        flow.expect_changes(self.world.cluster)
        self.d.verify()


def subscribe(daemon, *options, after="0"):
    argv = [BUILD + "/teldagctl", "-c", daemon.config, "--json", "alerts", "--follow", "--after", after, *options]
    log = open(os.path.join(daemon.home, "follower-%s" % time.monotonic_ns()), "w+")
    return subprocess.Popen(argv, stdout=log, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL), log


def received(log):
    """(epoch, sequence) of what a subscriber printed, in its order, and the alerts."""
    log.flush()
    with open(log.name) as f:
        events = [json.loads(line) for line in f.read().split("\n")[:-1]]
    return [tuple(map(int, e["id"].split("-")[1:])) for e in events], [e["data"] for e in events]


def epoch_of(cluster):
    return int(cluster.one("SELECT alert_epoch FROM teldag_data.shard_progress"))


def test_copy_of_the_files():
    """The same system identifier and timeline: only the operator can say it, and only while no daemon writes."""
    with World() as w:
        spare = w.home + "/spare"
        os.mkdir(spare)
        flock = Flock(w, conninfo=hosts(socket_of(w.cluster), spare))
        flock.wave(2)
        copy = Copy(w.cluster)
        try:
            flock.d.stop()
            flock.d.today = "2025-03-04"
            flock.d.start()
            flock.wave(3)
            plain, plain_log = subscribe(flock.d)
            accepting, accepting_log = subscribe(flock.d, "--accept")
            wait_for(lambda: len(received(plain_log)[0]) == len(received(accepting_log)[0]) == 50, 15, "the alerts before")
            old = epoch_of(w.cluster)
            done = flock.d.run("restored")
            assert done.returncode == 69 and "stop every teldagd" in done.stderr, done
            flock.d.kill()
            w.cluster.crash()
            os.rmdir(spare)
            os.symlink(socket_of(copy), spare)
            copy.up()
            before, w.cluster = w.cluster, copy
            said = flock.d.ctl("restored")
            assert "after_seq" in said and "registration.0" in said and "21" in said, said
            rows = copy.sql("SELECT from_epoch, after_seq, reason FROM teldag.alert_epoch")
            assert rows == [[str(old), "20", "restored, says the operator"]], rows
            new = epoch_of(copy)
            assert new > old
            started = time.monotonic()
            flock.d.start()
            flock.d.caught_up()
            note("database restored from an older backup", copy, [flock.feed, flock.names], 30, time.monotonic() - started)
            flock.expect_all()
            flow.expect_clock(copy, "2025-03-01", "2025-03-04")
            assert epoch_of(copy) == new, "said once is enough"
            assert plain.wait(30 * SLOW) == 65
            said = plain.stderr.read()
            assert "after sequence 20 under epoch %d no longer stands" % old in said and "--after %d-20" % new in said, said
            wanted = [(old, s) for s in range(1, 51)]
            assert received(plain_log)[0] == wanted
            flock.wave()
            last = int(copy.one("SELECT max(seq) FROM teldag_data.alert_log"))
            wanted += [(new, s) for s in range(21, last + 1)]
            wait_for(lambda: len(received(accepting_log)[0]) >= len(wanted), 15, "the alerts after: %s" % received(accepting_log)[0][50:])
            ids, alerts = received(accepting_log)
            assert ids == wanted
            rows = [r[0] for r in copy.sql("SELECT summary FROM teldag_data.alert_log ORDER BY seq")]
            assert [a["summary"] for a in alerts[50:]] == rows[20:]
            accepting.terminate()
            assert accepting.wait(10 * SLOW) == 0
            # Who comes back with the epoch it knew is told, although the log is longer than what it has.
            late, late_log = subscribe(flock.d, after="%d-23" % old)
            assert late.wait(20 * SLOW) == 65 and "--after %d-20" % new in late.stderr.read() and received(late_log)[0] == []
            late, late_log = subscribe(flock.d, "--accept", after="%d-12" % old)
            wait_for(lambda: received(late_log)[0][-1:] == [(new, last)], 15, "the alerts of who was away")
            assert received(late_log)[0] == [(new, s) for s in range(13, last + 1)], "what both logs have is not said again"
            late.kill()
            late.wait()
            flock.d.stop()
            w.cluster = before
        finally:
            copy.stop()


def test_two_restores():
    """The second backup knows nothing of the first restore: where its epoch parts from ours is not known, and nothing is guessed."""
    with World() as w:
        spare = w.home + "/spare"
        os.mkdir(spare)
        flock = Flock(w, conninfo=hosts(socket_of(w.cluster), spare))
        flock.wave()
        one = Copy(w.cluster)
        flock.wave()
        two = Copy(w.cluster)
        first = w.cluster

        def restore(copy):
            flock.d.kill()
            w.cluster.crash()
            if os.path.islink(spare):
                os.unlink(spare)
            else:
                os.rmdir(spare)
            os.symlink(socket_of(copy), spare)
            copy.up()
            w.cluster = copy
            flock.d.ctl("restored")
            flock.d.today = "2025-03-04"
            flock.d.start()
            flock.d.caught_up()

        try:
            plain, plain_log = subscribe(flock.d)
            wait_for(lambda: len(received(plain_log)[0]) == 20, 10, "the first alerts")
            start = epoch_of(w.cluster)
            restore(one)
            flock.wave()
            middle = epoch_of(one)
            assert plain.wait(30 * SLOW) == 65 and "--after %d-10" % middle in plain.stderr.read()
            last = int(one.one("SELECT max(seq) FROM teldag_data.alert_log"))
            accepting, log = subscribe(flock.d, "--accept")
            wait_for(lambda: received(log)[0][-1:] == [(middle, last)], 15, "the alerts of the first restore")
            had = received(log)[0]
            restore(two)
            assert two.sql("SELECT from_epoch, after_seq FROM teldag.alert_epoch") == [[str(start), "20"]]
            assert accepting.wait(30 * SLOW) == 65, "it goes on from a place that is not where the logs part"
            assert "is not known" in accepting.stderr.read()
            assert received(log)[0] == had
            # Who still has the first epoch is told where it parts from the one that is published, and goes on there.
            early, early_log = subscribe(flock.d, "--accept", after="%d-20" % start)
            final, end = epoch_of(two), int(two.one("SELECT max(seq) FROM teldag_data.alert_log"))
            assert final > middle > start and end > 20
            wait_for(lambda: received(early_log)[0][-1:] == [(final, end)], 15, "the alerts of who did not follow meanwhile")
            assert received(early_log)[0] == [(final, s) for s in range(21, end + 1)]
            early.kill()
            early.wait()
        finally:
            for d in w.daemons:
                d.stop()
            w.cluster = first
            one.stop()
            two.stop()


def test_set_back_under_a_running_daemon():
    """The daemon lives through it and has seen more than there is now: nobody needs to say it."""
    with World() as w:
        spare = w.home + "/spare"
        os.mkdir(spare)
        flock = Flock(w, conninfo=hosts(socket_of(w.cluster), spare))
        waiting = w.daemon([flock.names, flock.feed], name="waiting", conninfo=hosts(socket_of(w.cluster), spare)).start()
        flock.wave()
        copy = Copy(w.cluster)
        try:
            flock.wave(2)
            follower, log = subscribe(flock.d)
            wait_for(lambda: len(received(log)[0]) == 30, 10, "the alerts before")
            wait_for(lambda: (writer_status(waiting) or {"phase": ""})["phase"] == "waiting for the lock", 10, "the second daemon waits")
            time.sleep(0.5)  # it looks at the lock, and at what was committed, five times a second
            w.cluster.crash()
            flock.d.kill()  # it is the one that waited who has seen it
            os.rmdir(spare)
            os.symlink(socket_of(copy), spare)
            copy.up()
            before, w.cluster = w.cluster, copy
            waiting.caught_up()
            assert waiting.logged("was set back")
            assert copy.sql("SELECT after_seq FROM teldag.alert_epoch") == [["10"]]
            flock.d = waiting
            flock.expect_all()
            flock.wave()
            flock.expect_all()
            assert copy.one("SELECT count(*) FROM teldag.alert_epoch") == "1", "it is renewed once"
            follower.kill()
            follower.wait()
            waiting.stop()
            w.cluster = before
        finally:
            copy.stop()


def test_dump_and_a_trimmed_journal():
    """A dump is recognised by its tables. What the journal no longer keeps must be sent again, under a new epoch of the journal."""
    with World() as w:
        flock = Flock(w)
        flock.wave(2)
        flock.feed.send([registration(100, i, "graad1", GOK) for i in range(30)] + [closed(100, 30)])
        flock.d.caught_up()
        dump = os.path.join(w.home, "dump")
        subprocess.run(["pg_dump", "-Fc", "-f", dump, "-d", w.cluster.conninfo], check=True)
        flock.feed.send([registration(101, 100 + i, "graad1", GOK) for i in range(20)] + [closed(101, 20)])
        flock.d.caught_up()
        head = flock.feed.acked
        old = epoch_of(w.cluster)
        flock.d.kill()
        other = w.cluster.conninfo.replace("dbname=teldag", "dbname=postgres")
        wait_for(lambda: flow.writer_pid(w.cluster) == 0, 10, "the writer's session ends")
        w.cluster.sql("DROP DATABASE teldag WITH (FORCE)", other)
        w.cluster.sql("CREATE DATABASE teldag", other)
        subprocess.run(["pg_restore", "-d", w.cluster.conninfo, dump], check=True)
        assert epoch_of(w.cluster) == old
        feed(flock.feed, "trim", "--keep-from", str(head - 5))
        flock.d.start()
        wait_for(lambda: stopped(flock.d) == "gone", 20, "the stream stops")
        rows = w.cluster.sql("SELECT from_epoch, reason FROM teldag.alert_epoch")
        assert rows == [[str(old), "the tables were made anew: restored from a dump"]], rows
        refused = flock.d.run("stream", "accept", "registration.0", "--resend")
        assert refused.returncode == 65 and "new-epoch" in refused.stderr, refused
        # The way out: a new epoch, everything again (but one pupil, who is withdrawn at the matching closed).
        flock.feed.stop()
        assert "kept 1 to 0" in feed(flock.feed, "new-epoch", "--drop")
        flock.feed.start()
        assert flock.feed.acked == 0
        flock.feed.send([registration(100, i, "graad1", GOK) for i in range(29)] + [closed(100, 29)])
        flock.feed.send([registration(101, 100 + i, "graad1", GOK) for i in range(20)] + [closed(101, 20)])
        wait_for(lambda: stopped(flock.d) == "new epoch", 20, "the new epoch is seen")
        flock.d.ctl("stream", "accept", "registration.0", "--resend")
        flock.d.caught_up()
        assert w.cluster.sql("SELECT school_id, pupils FROM teldag.count ORDER BY 1") == [["100", "29"], ["101", "20"]]
        wait_for(lambda: flock.d.run("status").returncode == 0, 10, "healthy again")
        flock.d.verify()


def feed(f, command, *options):
    done = subprocess.run([BUILD + "/teldag-feed", command, "--stream", f.stream, "--journal", f.journal, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done
    return done.stdout


def stopped(daemon):
    """Why registration.0 stands still; '' while it does not, or the daemon does not answer yet."""
    if not writer_status(daemon):
        return ""
    s = flow.stream_status(daemon, "registration.0")
    return s["reason"] if s["state"] == "stopped" else ""


def test_journal_restored():
    """An older copy of a journal gets a new epoch before it is served: the stream stops, an operator decides, and what the registry
    sends again behind `ack N` completes it."""
    with World() as w:
        flock = Flock(w, schools=1)
        first = [registration(100, i, "graad1", GOK) for i in range(30)]
        lost = [registration(100, i, "graad1", []) for i in range(5)] + [registration(100, 40, "graad1", GOK), closed(100, 31)]
        flock.feed.send(first)
        flock.feed.stop()
        shutil.copytree(flock.feed.journal, flock.feed.journal + ".backup")
        flock.feed.start()
        flock.feed.send(lost)
        flock.d.caught_up()
        counts = w.cluster.sql("SELECT pupils, gok_pupils, closed FROM teldag.count")
        assert counts == [["31", "26", "t"]], counts
        flock.feed.stop()
        shutil.rmtree(flock.feed.journal)
        shutil.move(flock.feed.journal + ".backup", flock.feed.journal)
        said = feed(flock.feed, "new-epoch")
        assert "kept 1 to 30" in said, said
        flock.feed.start()
        assert flock.feed.acked == 30, "the producer learns what its journal still has"
        flock.feed.send(lost)
        wait_for(lambda: stopped(flock.d) == "new epoch", 20, "the stream stops")
        gap = "SELECT severity FROM teldag.alert WHERE kind = 'stream.gap' AND state = 'firing'"
        wait_for(lambda: w.cluster.sql(gap) == [["critical"]], 10, "stream.gap")
        time.sleep(1)
        assert w.cluster.one("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'") == "38"
        started = time.monotonic()
        flock.d.ctl("stream", "accept", "registration.0", "--continue")
        flock.d.caught_up()
        assert w.cluster.sql("SELECT pupils, gok_pupils, closed FROM teldag.count") == counts
        note("journal restored from an older copy", w.cluster, [flock.feed], len(lost), time.monotonic() - started)
        wait_for(lambda: not w.cluster.sql(gap), 10, "stream.gap resolves")
        flock.d.verify()
        # The same while the server runs; a journal that was trimmed needs a second word, for what it no longer has.
        feed(flock.feed, "trim", "--keep-from", "20")
        feed(flock.feed, "new-epoch")
        wait_for(lambda: stopped(flock.d) == "new epoch", 20, "the stream stops")
        flock.feed.send([registration(100, 41, "graad1", GOK), closed(100, 32)])
        flock.d.ctl("stream", "accept", "registration.0", "--continue")
        wait_for(lambda: stopped(flock.d) == "gone", 20, "its beginning is not kept")
        flock.d.ctl("stream", "accept", "registration.0", "--continue")
        flock.d.caught_up()
        assert w.cluster.sql("SELECT pupils, gok_pupils, closed FROM teldag.count") == [["32", "27", "t"]]
        flock.d.verify()
        done = subprocess.run([BUILD + "/teldag-feed", "new-epoch", "--journal", w.home + "/nothing"], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 69 and "no journal" in done.stderr, done


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
