# SPDX-License-Identifier: MIT
"""Streams as an operator meets them: another journal, events no longer kept, a pause, a feeder that comes back, waiting, status;
and the clock, which only goes forward, a day at a time."""
import os
import shutil
import signal
import subprocess
import time

import harness
from harness import SLOW, Shared, World, closed, event, registration, school, wait_for, withdraw

GOK = ["opleiding_moeder", "schooltoelage"]


class Bench:
    def __init__(self, world):
        self.world = world
        self.s, self.r = world.feed("school.0"), world.feed("registration.0")
        self.d = world.daemon([self.s, self.r]).migrate().start()
        self.sql = world.cluster.sql
        self.epochs = 0

    def stream(self, name="registration.0"):
        done = self.d.run("--json", "streams")
        if done.returncode == 69:
            return {"state": "the daemon does not answer yet"}
        return next(s for s in harness.json.loads(done.stdout)["streams"] if s["name"] == name)

    def next_seq(self, name="registration.0"):
        return int(self.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = '%s'" % name)[0][0])

    def gap(self):
        return [r[0] for r in self.sql("SELECT severity FROM teldag.alert WHERE kind = 'stream.gap' AND state = 'firing' AND stream = 'registration.0'")]

    def status(self):
        done = self.d.run("--json", "status")
        return done.returncode, harness.json.loads(done.stdout)

    def count(self, school_id):
        rows = self.sql("SELECT pupils, gok_pupils, closed FROM teldag.count WHERE school_id = '%d'" % school_id)
        return rows[0] if rows else None

    def caught_up(self):
        self.d.caught_up(15)

    def wait_stopped(self, word):
        wait_for(lambda: self.stream()["state"] == "stopped", 20, "the stream stops")
        wait_for(self.gap, 10, "stream.gap")
        assert self.gap() == ["critical"]
        code, status = self.status()
        text = " ".join(status["reasons"])
        assert code == 1 and status["degraded"] and "stream registration.0 stopped" in text and word in text, (code, text)

    def new_journal(self):
        self.r.stop()
        shutil.rmtree(self.r.journal)
        self.r.start()

    def accept(self, how):
        self.d.ctl("stream", "accept", "registration.0", how)
        wait_for(lambda: not self.gap(), 10, "stream.gap resolves")
        self.caught_up()
        assert self.status()[0] == 0, self.status()


bench = Shared(Bench, fsync="off")


def group(school_id, first, gok=20, pupils=40):
    return [registration(school_id, first + i, "graad1", GOK if i < gok else []) for i in range(pupils)]


def test_new_epoch_continue():
    b = bench()
    b.s.send([school(501, "so"), school(502, "so")])
    b.r.send(group(501, 50100) + [closed(501, 40)])
    b.caught_up()
    code, status = b.status()
    assert (code, status["degraded"], status["reasons"]) == (0, False, []), status
    first = b.stream()
    b.new_journal()
    b.r.send([registration(501, 50199, "graad1", GOK)])
    b.wait_stopped("teldagctl stream accept registration.0")
    assert b.next_seq() == 42 and b.count(501) == ["40", "20", "t"], "another journal never continues silently"
    assert b.stream()["reason"], b.stream()
    b.d.ctl("wait", "--caught-up", "--timeout", "1", code=69)
    b.d.ctl("stream", "accept", "registration.0", code=64)
    b.d.ctl("stream", "accept", "school.0", "--continue", code=65)
    b.accept("--continue")
    assert b.count(501) == ["41", "21", "t"] and b.next_seq() == 2, "all is kept"
    log = b.sql("SELECT act, body->>'stream', body->>'mode' FROM teldag_data.local_log ORDER BY seq DESC LIMIT 1")
    assert log == [["accept", "registration.0", "continue"]], log
    epochs = b.sql("SELECT e.epoch, e.resend FROM teldag_data.stream_epoch e JOIN teldag_data.stream s USING (stream_id)"
                   " WHERE name = 'registration.0' ORDER BY 1")
    assert len(epochs) == 2 and epochs[1][1] == "f" and int(epochs[0][0]) < int(epochs[1][0]), epochs
    assert first["state"] == "live"
    b.r.send([withdraw(501, 50199), closed(501, 40)])
    b.caught_up()
    assert b.count(501) == ["40", "20", "t"], "the last event of a key, also across epochs"
    b.d.verify()


def test_new_epoch_resend():
    b = bench()
    b.s.send([school(503, "so"), school(504, "so")])
    b.r.send(group(503, 50300) + [closed(503, 40)] + group(504, 50400) + [closed(504, 40)])
    b.caught_up()
    before = b.sql("SELECT epoch FROM teldag.feed_progress WHERE stream = 'registration.0'")
    b.new_journal()
    b.wait_stopped("--resend")
    b.d.ctl("stream", "accept", "registration.0", "--resend")
    again = group(503, 50300)[2:]  # two GOK pupils are not sent again
    b.r.send(again + [closed(503, 40)])
    b.caught_up()
    assert b.count(503) == ["40", "20", "t"], "38 were sent again, 40 announced: nothing is withdrawn yet"
    incomplete = "SELECT count(*) FROM teldag.alert WHERE kind = 'count.incomplete' AND school_id = '503' AND state = 'firing'"
    assert b.sql(incomplete) == [["1"]]
    b.d.verify()
    b.r.send([closed(503, 38)])
    b.caught_up()
    assert b.count(503) == ["38", "18", "t"], "the two that were not sent again are withdrawn at the matching closed"
    assert b.sql(incomplete) == [["0"]]
    assert b.count(504) == ["40", "20", "t"], "another school's rows stand until its own"
    b.d.verify()
    streams = b.sql("SELECT resend_epoch = epoch, epoch > %s FROM teldag.streams WHERE stream = 'registration.0'" % before[0][0])
    assert streams == [["t", "t"]], streams
    b.r.send(group(504, 50400)[:-1] + [closed(504, 39)])
    b.caught_up()
    assert b.count(504) == ["39", "20", "t"]
    assert b.d.stop() == 0
    b.d.start()
    b.caught_up()
    assert (b.count(503), b.count(504)) == (["38", "18", "t"], ["39", "20", "t"]) and not b.d.logged("rows differ"), "the rebuilt ledger"
    b.d.verify()


def test_gone_after_trim():
    b = bench()
    b.caught_up()
    assert b.d.stop() == 0
    start = b.next_seq()
    b.s.send([school(505, "so")])
    b.r.send(group(505, 50500))
    done = subprocess.run([os.path.join(harness.BUILD, "teldag-feed"), "trim", "--stream", "registration.0", "--journal", b.r.journal,
                           "--keep-from", str(start + 30)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    b.d.start()
    b.wait_stopped("no longer keeps event %d, its first is %d" % (start, start + 30))
    assert b.next_seq() == start and b.count(505) is None
    assert "same journal" in b.d.run("stream", "accept", "registration.0", "--resend").stderr
    b.accept("--continue")
    assert b.count(505) == ["10", "0", "f"] and b.next_seq() == start + 40
    b.d.verify()


def test_journal_set_back():
    b = bench()
    b.caught_up()
    b.r.stop()
    copy = b.r.journal + ".copy"
    shutil.copytree(b.r.journal, copy)
    b.r.start()
    b.r.send([registration(501, 50120, "graad1", GOK)])
    b.caught_up()
    at = b.next_seq()
    b.r.stop()
    shutil.rmtree(b.r.journal)
    shutil.move(copy, b.r.journal)
    b.r.start()
    b.wait_stopped("registration.0")
    assert b.next_seq() == at
    b.r.send([registration(501, 50121, "graad1", GOK), registration(501, 50122, "graad1", GOK)])  # its first takes a number used before
    time.sleep(1.5)
    assert b.next_seq() == at and b.stream()["state"] == "stopped", "numbers used twice are never taken silently"
    b.new_journal()
    b.r.send([registration(501, 50121, "graad1", GOK)])
    wait_for(lambda: "has a new journal" in " ".join(b.status()[1]["reasons"]), 20, "the new journal is seen")
    before = b.sql("SELECT count(*) FROM teldag.registration")
    b.accept("--resend")
    assert b.count(501) == ["40", "22", "t"] and b.sql("SELECT count(*) FROM teldag.registration") == before, "nothing was closed again yet"
    b.d.verify()


def test_pause_and_resume():
    b = bench()
    b.s.send([school(506, "so")])
    b.caught_up()
    answer = b.d.ctl("stream", "pause", "registration.0")
    assert "paused" in answer, answer
    start = b.next_seq()
    b.r.send(group(506, 50600))
    b.d.ctl("wait", "--caught-up", "--timeout", "1.5", code=69)
    assert b.next_seq() == start and b.count(506) is None
    assert b.sql("SELECT paused FROM teldag.streams WHERE stream = 'registration.0'") == [["t"]]
    assert not b.gap(), "a pause is no gap"
    b.s.send([school(506, "so", name="other streams go on")])
    wait_for(lambda: b.sql("SELECT name FROM teldag.school WHERE school_id = '506'") == [["other streams go on"]], 10, "school.0 goes on")
    assert b.d.stop() == 0
    b.d.start()
    b.d.ctl("wait", "--caught-up", "--timeout", "1.5", code=69)
    assert b.next_seq() == start, "a pause outlives the daemon"
    b.d.ctl("stream", "resume", "registration.0")
    b.caught_up()
    assert b.count(506) == ["40", "20", "f"] and b.next_seq() == start + 40
    acts = b.sql("SELECT act FROM teldag_data.local_log WHERE act IN ('pause', 'resume') ORDER BY seq")
    assert acts == [["pause"], ["resume"]], acts
    b.d.verify()


def test_feeder_comes_back():
    b = bench()
    b.s.send([school(507, "so")])
    start = b.next_seq()
    lines = group(507, 50700, pupils=400)
    for i in range(4):
        part = lines[i * 100:i * 100 + 100]
        b.r.send(part[:60])
        if i % 2:
            b.r.kill()
        else:
            b.r.stop()
        b.r.append(part[60:80])  # without a server
        b.r.start()
        assert b.r.acked == start - 1 + i * 100 + 80, "a resumed producer learns what is durable"
        b.r.append(part[80:90])  # while it serves
        wait_for(lambda: b.next_seq() == start + i * 100 + 90, 20, "what another process appended")
        b.r.send(part[90:])
    b.caught_up()
    assert b.next_seq() == start + 400 and b.count(507) == ["400", "20", "f"]
    assert b.stream()["state"] == "live" and not b.gap()
    b.d.verify()


def test_wait_and_unknown_streams():
    b = bench()
    b.caught_up()
    b.r.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        done = b.d.run("wait", "--caught-up", "--timeout", "1")
        assert done.returncode == 69 and "registration.0" in done.stderr, (done.returncode, done.stderr)
        assert 0.9 <= time.monotonic() - started < 5 * SLOW
    finally:
        b.r.process.send_signal(signal.SIGCONT)
    b.caught_up()
    b.d.ctl("wait", code=64)
    b.d.ctl("wait", "--caught-up", "--timeout", "-1", code=64)
    for verb in (["pause"], ["resume"], ["accept", "--continue"]):
        done = b.d.run("stream", verb[0], "registration.77", *verb[1:])
        assert done.returncode == 65 and "registration.77" in done.stderr, (verb, done.returncode, done.stderr)
    b.d.ctl("stream", "pause", "No Such Name", code=64)
    assert b.d.stop() == 0
    for command in (["status"], ["streams"], ["stream", "pause", "registration.0"], ["reload"]):
        b.d.ctl(*command, code=69)
    b.d.ctl("wait", "--caught-up", "--timeout", "0.5", code=69)
    waiting = subprocess.Popen([os.path.join(harness.BUILD, "teldagctl"), "-c", b.d.config, "wait", "--caught-up", "--timeout", "30"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    assert waiting.poll() is None, "wait retries until the daemon answers"
    b.d.start()
    assert waiting.wait(30) == 0


def test_clock():
    b = bench()
    days = lambda: [r[0] for r in b.sql("SELECT body->>'today' FROM teldag_data.local_log WHERE act = 'clock' ORDER BY seq")]
    today = lambda: b.sql("SELECT today FROM teldag.clock")[0][0]
    dead = lambda: b.sql("SELECT subject, state FROM teldag.alert WHERE kind = 'dead_letter' ORDER BY 1")
    b.caught_up()
    assert (days(), today()) == (["2025-03-01"], "2025-03-01")
    b.s.send(["this is no JSON"])
    b.caught_up()
    assert dead() == [["2025-03-01", "firing"]]
    assert b.d.stop() == 0
    b.d.today = "2025-03-04"  # down for three days
    b.d.start()
    b.caught_up()
    assert (days(), today()) == (["2025-03-0%d" % i for i in (1, 2, 3, 4)], "2025-03-04"), days()
    assert dead() == [["2025-03-01", "resolved"]], "resolved the next day"
    assert b.sql("SELECT changed_at::date FROM teldag.alert_log WHERE kind = 'dead_letter' AND state = 'resolved'") is not None
    b.s.send(["this is no JSON either"])
    b.caught_up()
    assert dead() == [["2025-03-01", "resolved"], ["2025-03-04", "firing"]]
    b.d.verify()
    assert b.d.stop() == 0
    seq = b.sql("SELECT max(seq) FROM teldag_data.alert_log")
    b.d.today = "2025-03-03"
    b.d.start()
    code = b.d.process.wait(15 * SLOW)
    assert code == 78 and b.d.logged("the clock never goes back"), code
    assert (today(), b.sql("SELECT max(seq) FROM teldag_data.alert_log")) == ("2025-03-04", seq)
    b.d.today = "2025-03-04"
    b.d.start()
    b.caught_up()
    assert len(days()) == 4, "the same day is no step"
    b.d.verify()


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
