#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every failpoint (points.h) is reached, and the process crashes there; then it is started again and everything must be right.
FAULT_FORM=medium also loses the connection, and has the server answer with an error, at every statement. The points are dealt to
FAULT_JOBS worlds that run beside each other."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import kit
from harness import BUILD, SEED, SLOW, World, main, wait_for
from kit import Town, flow, points, wait_dead
from record import record

FORM = os.environ.get("FAULT_FORM", "short")
JOBS = int(os.environ.get("FAULT_JOBS") or 3)
ONLY = os.environ.get("FAULT_ONLY", "")  # a pattern: those plans, by hand
VERIFY_EVERY = 5 if FORM == "short" else 1  # rounds; every restart compares all results with a rebuild's anyway
LONGEST_S = 10  # until the process has died, and until all is well again
MEMORY_MAX = 300 << 20


class Round:
    """One plan: what makes the point be reached, which process dies, and what must be so afterwards."""

    def __init__(self, town, name, plan=None):
        self.town, self.name, self.plan = town, name, plan or name + "=kill"
        self.act = None  # an act that was ordered: (word in local_log, its count before)
        self.repeat = None  # gives the order again when it was not done

    # ---- ways to reach a point; each returns the process that is expected to die ----

    def step(self):
        self.town.send()
        return self.town.d.process

    def step_at_feeder(self):
        self.town.send()
        return self.town.producers["registration.0"].feed.process

    def head(self):
        return self.town.producers["registration.0"].feed.process

    def restart(self):
        """Something waits, a day has passed, and the configuration is another one."""
        t = self.town
        t.d.kill()
        t.next_day()
        t.change_near()
        t.send()
        t.start()
        return t.d.process

    def fetch(self):
        """The daemon was away while more than one message's worth of lines came: it fetches them."""
        t = self.town
        t.d.kill()
        t.send()
        wait_for(lambda: t.producers["registration.0"].feed.acked == t.producers["registration.0"].sent or
                 t.producers["registration.0"].feed.process.poll() is not None, 10, "acks")
        t.start()
        return t.producers["registration.0"].feed.process

    def give(self, act, *words):
        t = self.town
        self.act, self.repeat = (act, t.count_acts(act)), words
        t.order(*words)
        return t.d.process

    def fix_budget(self):
        return self.give("fix budget", "fix", "budget", "2025-2026")

    def fix_reference(self):
        return self.give("fix reference", "fix", "reference", kit.YEAR)

    def reload(self):
        self.town.change_near()
        return self.give("rules", "reload")

    def pause(self):
        self.undo = ("stream", "resume", "melding.0")
        return self.give("pause", "stream", "pause", "melding.0")

    def accept(self):
        t = self.town
        t.renew_journal()
        wait_for(lambda: t.is_stopped("melding.0"), 20, "the stream does not stop")
        return self.give("accept", "stream", "accept", "melding.0", "--continue")

    def poison(self):
        t = self.town
        lines = t.lines()
        lines["aanhuis.0"].append(t.vlp(t.step, True).encode())
        t.send(lines=lines)
        return t.d.process

    def retry(self):
        """A dead letter that can be read now."""
        t = self.town
        self.poison()
        t.send_rest()
        t.d.caught_up()
        t.cluster.sql("UPDATE public.refuse SET refused = false")
        seq = t.cluster.one("SELECT max(seq) FROM teldag.dead_letter WHERE stream = 'aanhuis.0' AND state = 'open'")
        t.plan.arm(self.plan)
        return self.give("retry", "dead-letter", "retry", "aanhuis.0", seq)

    def retain(self):
        """Pupils of an old school year are taken away."""
        t = self.town
        lines = t.lines()
        line, before = t.old_line()
        lines["registration.0"].append(line)
        t.send(lines=lines)
        t.send_rest()
        t.d.caught_up()
        t.plan.arm(self.plan)
        return self.give("retain", "retain", "--before", before, "--as-they-are")

    def follow(self):
        """A subscriber that wants everything."""
        t = self.town
        t.world.spawn([os.path.join(BUILD, "teldagctl"), "-c", t.d.config, "--json", "alerts", "--follow", "--after", "0"],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        return t.d.process

    def locked(self):
        """Another session holds the shard's lock."""
        t = self.town
        t.d.kill()
        self.holder = t.world.spawn(["psql", "-X", "-q", "-A", "-t", "-d", t.cluster.conninfo], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.holder.stdin.write("SELECT pg_advisory_lock(1952804204, 0);\n\\echo held\n")
        self.holder.stdin.flush()
        while self.holder.stdout.readline() not in ("held\n", ""):
            pass
        t.start()
        return t.d.process

    def new_epoch(self):
        """Another server: the alert log gets a new epoch."""
        t = self.town
        t.d.kill()
        t.cluster.sql("UPDATE teldag_data.shard_progress SET system_id = 'another'")
        t.start()
        return t.d.process

    def first_epoch(self):
        """A database whose alert log has no epoch yet."""
        t = self.town
        t.d.kill()
        t.cluster.sql("UPDATE teldag_data.shard_progress SET alert_epoch = 0, system_id = ''")
        t.start()
        return t.d.process

    # ---- the round ----

    def run(self):
        """The fault, recovery, and the check; returns (in flight, lost, doubled, seconds)."""
        t = self.town
        way = way_to(self.name)
        if way not in (Round.retry, Round.retain):
            t.plan.arm(self.plan)
            t.feed_plan.arm(self.plan)
        self.undo = None
        process = way(self)
        if "=kill" in self.plan:
            wait_dead(process, LONGEST_S, "%s was not reached" % self.name)
        else:
            wait_for(lambda: self.acted(), LONGEST_S, "%s was not reached" % self.name)
        if self.plan.startswith("journal.") and "=error" in self.plan:
            wait_for(lambda: process.poll() is not None, LONGEST_S, "a feeder that cannot write goes on")
            assert process.returncode == 69, process.returncode
        in_flight = t.in_flight()
        t.plan.arm("")
        t.feed_plan.arm("")
        if getattr(self, "holder", None):
            self.holder.kill()
            self.holder.communicate()
        t.cluster_answers = time.monotonic()
        if t.d.process.poll() is not None:
            t.start()
        t.send_rest()
        seconds = self.recover()
        return in_flight, seconds

    def acted(self):
        with open(self.town.plan.log) as f:
            return "act %s %s\n" % tuple(self.plan.split(":")[0].split("@")[0].split("=")) in f.read()

    def recover(self):
        t = self.town
        started = t.cluster_answers
        extra = 0
        if self.act:
            t.ordered.communicate(timeout=60 * SLOW)
            extra = self.settle_act()
        t.d.caught_up(LONGEST_S)
        seconds = time.monotonic() - started
        if self.undo:
            t.insist(*self.undo)
        if way_to(self.name) is Round.retry:
            t.cluster.sql("UPDATE public.refuse SET refused = true")
        self.acts_doubled = extra
        return seconds

    def settle_act(self):
        """Ordered once: it stands once, or not at all and is ordered again. How often too many?"""
        t = self.town
        word, before = self.act
        wait_for(lambda: (flow.writer_status(t.d) or {"phase": ""})["phase"] == "running", 20, "the writer does not run")
        done = t.count_acts(word) - before
        if done == 0:
            t.insist(*self.repeat)
            done = t.count_acts(word) - before
        assert done >= 1, "%s: no %s in local_log" % (self.name, word)
        return done - 1


WAYS = [
    (r"journal\.append_|feed\.(read_input|before_append|after_append|before_ack|after_ack|before_publish|after_publish)", Round.step_at_feeder),
    (r"feed\.before_head", Round.head),
    (r"feed\.", Round.fetch),
    (r"reload\.", Round.reload),
    (r"publisher\.(request|before_answer|within_answer|after_answer)", Round.follow),
    (r"publisher\.(positioned|set_)", Round.restart),
    (r"writer\.(budget_)", Round.fix_budget),
    (r"writer\.(reference_)", Round.fix_reference),
    (r"writer\.(order_|update_feed_progress)", Round.pause),
    (r"writer\.(epoch_record)", Round.accept),
    (r"writer\.(halving|buried)", Round.poison),
    (r"writer\.(replay_|update_dead_letter|select_exists)", Round.retry),
    (r"writer\.select_retain(_|$|\.)", Round.retain),
    (r"writer\.select_(locks|shard_progress)", Round.locked),
    (r"writer\.update_shard_progress", Round.first_epoch),
    (r"writer\.select_renew", Round.new_epoch),
    (r"rebuild\.|writer\.(rules_|clock_|read_|select_|insert_|begin_isolation|set_|.*resolve|session_read|local_append)|receiver\.(order_|before_)",
     Round.restart),
    (r"", Round.step),
]
ELSEWHERE = r"migrate\.|teldagctl\.|journal\.(create|open|trim)"
# What is reached only after another fault, and what a name has twice.
PLANS = {"writer.commit_unknown": "writer.commit.sent=cut;writer.commit_unknown=kill",
         "writer.before_rollback": "writer.shard_fence.before=error;writer.before_rollback=kill",
         "writer.abandoned": "writer.shard_fence.before=error;writer.abandoned=kill",
         "writer.select_schema_migration.after": "writer.select_schema_migration.after=kill@2"}


def way_to(name):
    return [way for pattern, way in WAYS if re.match(pattern, name)][0]


def fault_of(plan):
    act = plan.split("=")[-1].split("@")[0].split(":")[0]
    if act == "error" and (plan.startswith("writer.buried") or not plan.startswith(("writer.", "publisher."))):
        return "a journal that cannot write (EIO)" if plan.startswith("journal.") else "no memory for what was received"
    return {"kill": "kill -9 at each of %d failpoints" % len(points()), "cut": "connection to PostgreSQL cut at a statement",
            "error": "PostgreSQL answers a statement with an error"}[act]


class Checks:
    """verify of one round runs while the next one begins: it looks at a snapshot of its own."""

    def __init__(self, town):
        self.town, self.running = town, None

    def begin(self, name):
        argv = [os.path.join(BUILD, "teldagctl"), "-c", self.town.d.config, "verify"]
        self.running = (name, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True))

    def end(self):
        if self.running:
            name, process = self.running
            text = process.communicate()[0]
            assert process.returncode == 0, "verify after %s: exit %d\n%s" % (name, process.returncode, text)
        self.running = None


def run_rounds(town, rounds):
    checks = Checks(town)
    done = []
    for r in rounds:
        started = time.monotonic()
        if way_to(r.name) is Round.retain:
            checks.end()  # both want all of the logs: one of them would be told to come back later
        in_flight, seconds = r.run()
        lost, doubled = town.measure()
        doubled += r.acts_doubled
        flow.expect_no_differences(town.d)
        checks.end()
        if len(done) % VERIFY_EVERY == 0:
            checks.begin(r.name)
        row = record(fault_of(r.plan), in_flight=in_flight, lost=lost, doubled=doubled, recovery_s=seconds)
        print("%-52s in flight %3d, lost %d, doubled %d, recovery %.2f s, round %.2f s" %
              (r.plan, in_flight, lost, doubled, seconds, time.monotonic() - started), flush=True)
        assert lost == doubled == 0, (r.plan, row)
        if way_to(r.name) in (Round.new_epoch, Round.first_epoch):
            town.follower.kill()
            town.follower.events = []
            town.follower.start()
        done.append(r.name)
        if len(done) % 20 == 0:
            town.expect_follower()
    checks.end()
    town.expect_follower()
    flow.expect_alert_log(town.cluster)
    assert flow.rss(town.d.process.pid) < MEMORY_MAX, flow.rss(town.d.process.pid)
    return done


def plans(names):
    """(name, plan) of every round of this form."""
    made = [(n, PLANS.get(n, n + "=kill")) for n in names if not re.match(ELSEWHERE, n)]
    made += [("writer.select_dead_letter." + when, "writer.select_dead_letter.%s=kill@1" % when) for when in ("before", "after")]
    # A COMMIT whose answer is lost, of events and of each kind of act: nothing may be done twice.
    sent = [(way, "writer.commit.sent=cut") for way in ("writer.commit.sent", "writer.budget_x", "writer.reference_x", "reload.x",
                                                        "writer.order_x", "writer.epoch_record.x", "writer.update_dead_letter.x")]
    failed = [("writer.shard_fence.before", "writer.shard_fence.before=error"), ("writer.commit.before", "writer.commit.before=error")]
    failed += [("journal.append_before_commit", "journal.append_before_commit=error"), ("receiver.decoded", "receiver.decoded=error"),
               ("writer.buried", "writer.buried=error"), ("writer.select_exists.before", "writer.select_exists.before=cut"),
               ("reload.x", "writer.commit.before=cut")]
    made += sent + failed
    if FORM != "short":
        made += [(n, n + "=" + act) for n in names for act in ("cut", "error")
                 if re.match(r"(writer|publisher)\.", n) and re.search(r"\.(before|after|begun|ending|answered)$|commit\.sent$", n)]
    return made


def hit_and_crashed(path):
    """From the programs' own log: names reached, names at which one was killed."""
    reached, crashed = set(), set()
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                words = line.split()
                reached.add(words[1])
                if words[0] == "act" and words[2] == "kill":
                    crashed.add(words[1])
    return reached, crashed


def run_share(share, jobs):
    mine = [m for m in plans(points()) if re.search(ONLY, m[1])]
    random.Random(SEED).shuffle(mine)
    # What costs most to prepare is dealt evenly: every jobs-th of the shuffled list.
    with World(fsync="off") as w:  # the server itself does not crash here
        town = Town(w)
        try:
            for _ in range(2):
                town.send()
                town.send_rest()
                town.d.caught_up()
            town.d.ctl("fix", "reference", kit.YEAR)
            run_rounds(town, [Round(town, *m) for m in mine[share::jobs]])
            assert town.d.stop() == 0
            assert not town.d.logged("rows differ"), "a rebuild mended what it should have found right"
            if os.path.exists(town.plan.log):
                os.replace(town.plan.log, os.environ["FAULT_HITS"] + ".%d" % share)
        finally:
            town.close()


def test_every_failpoint():
    """The worlds beside each other, then the programs that run by themselves; in the end each point was reached and crashed at."""
    names = points()
    with tempfile.TemporaryDirectory() as home:
        hits = os.path.join(home, "hits")
        children = []
        for share in range(JOBS):
            out = open(os.path.join(home, "out.%d" % share), "w+")
            children.append((out, subprocess.Popen([sys.executable, os.path.abspath(__file__), "--share", str(share)], stdout=out, stderr=out,
                                                   env=dict(os.environ, FAULT_HITS=hits, TEST_SEED=str(SEED)))))
        failed = []
        try:
            if not ONLY:
                alone(hits + ".alone")
        finally:
            for out, child in children:
                if child.wait():
                    failed.append(child)
                out.seek(0)
                print(out.read())
                out.close()
        assert not failed, "%d of %d worlds failed" % (len(failed), JOBS)
        reached, crashed = set(), set()
        for name in os.listdir(home):
            if name.startswith("hits"):
                r, c = hit_and_crashed(os.path.join(home, name))
                reached |= r
                crashed |= c
    missing = [n for n in names if n not in reached or n not in crashed]
    print("failpoints: %d of %d hit and crashed (%d %%)" % (len(names) - len(missing), len(names), 100 * (len(names) - len(missing)) // len(names)))
    assert ONLY or not missing, missing


# ---- programs that run by themselves: a journal made, trimmed; a database migrated ----

def run_alone(plan, argv, log, **options):
    env = dict(os.environ, TELDAGD_FAIL=plan, TELDAGD_FAIL_LOG=log)
    return subprocess.run([os.path.join(BUILD, argv[0]), *argv[1:]], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def lines_of(journal):
    done = subprocess.run([os.path.join(BUILD, "teldag-feed"), "dump", "--stream", "school.0", "--journal", journal, "--from", "1", "--count",
                           "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.stdout.split(b"\n")[:-1]


def crash_creation(name, home, log):
    """Killed while its journal is made: the next start makes it, and holds what is acknowledged, once."""
    journal = os.path.join(home, name)
    argv = ["teldag-feed", "append", "--stream", "school.0", "--journal", journal]
    line = b'{"one": 1}'
    killed = run_alone(name + "=kill", argv, log, input=line + b"\n")
    assert killed.returncode == -9, (name, killed)
    started = time.monotonic()
    again = run_alone("", argv, log, input=line + b"\n")
    seconds = time.monotonic() - started
    assert again.returncode == 0 and again.stdout.split()[-2:] == [b"ack", b"1"], (name, again)
    standing = lines_of(journal)
    return 1, standing.count(line) < 1, max(0, len(standing) - 1), seconds


def crash_trim(name, home, log):
    """Killed while it forgets 25,000 of 25,100 lines: the rest stands, and the next trim ends the work."""
    journal = os.path.join(home, name)
    lines = [b'{"n": %d}' % i for i in range(1, 25101)]
    done = run_alone("", ["teldag-feed", "append", "--stream", "school.0", "--journal", journal], log, input=b"\n".join(lines) + b"\n")
    assert done.returncode == 0, done
    argv = ["teldag-feed", "trim", "--stream", "school.0", "--journal", journal, "--keep-from", "25001"]
    killed = run_alone(name + "=kill", argv, log)
    assert killed.returncode == -9, (name, killed)
    started = time.monotonic()
    kept = lines_of(journal)
    again = run_alone("", argv, log)
    seconds = time.monotonic() - started
    assert again.returncode == 0 and again.stdout == b"kept 25001 to 25100\n", again
    assert kept[-100:] == lines[-100:], "%s: %d lines after the crash" % (name, len(kept))
    standing = lines_of(journal)
    return 0, len(set(lines[25000:]) - set(standing)), len(standing) - len(set(standing)), seconds


def crash_migration(name, world, log):
    """teldagctl migrate killed in the middle; the next one ends the work, and the schema is that of an undisturbed one."""
    database = re.sub("[^a-z]", "_", name)
    world.cluster.sql('CREATE DATABASE "%s"' % database)
    conninfo = world.cluster.conninfo.replace("dbname=teldag", "dbname=" + database)
    argv = ["teldagctl", "migrate", "--database", conninfo]
    times = "@4" if not name.endswith(("locked", "unlock")) else ""  # within the row of migrations
    killed = run_alone(name + "=kill" + times, argv, log)
    assert killed.returncode == -9, (name, killed)
    started = time.monotonic()
    again = run_alone("", argv, log)
    seconds = time.monotonic() - started
    assert again.returncode == 0, again
    shape = ("SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (SELECT table_schema || table_name || column_name || data_type AS t FROM"
             " information_schema.columns WHERE table_schema LIKE 'teldag%' UNION ALL SELECT version FROM teldag_data.schema_migration) x")
    assert world.cluster.sql(shape, conninfo) == world.cluster.sql(shape), name
    world.cluster.sql('DROP DATABASE "%s"' % database)
    return 0, 0, 0, seconds


def alone(log):
    names = [n for n in points() if re.match(ELSEWHERE, n)]
    with tempfile.TemporaryDirectory() as home, World(fsync="off") as world:
        world.daemon([], name="schema").migrate()
        for name in names:
            if name.startswith("journal.trim"):
                row = crash_trim(name, home, log)
            elif name.startswith("journal."):
                row = crash_creation(name, home, log)
            else:
                row = crash_migration(name, world, log)
            record(fault_of(name + "=kill"), in_flight=row[0], lost=row[1], doubled=row[2], recovery_s=row[3])
            print("%-52s in flight %3d, lost %d, doubled %d, recovery %.2f s" % (name, *row), flush=True)
            assert row[1] == row[2] == 0, (name, row)


def test_names_are_in_the_table_only():
    """What ships has no failpoint: neither their names nor their code."""
    shipped = os.path.join(os.path.dirname(BUILD), "build")
    for program in ("teldagd", "teldagctl", "teldag-feed"):
        with open(os.path.join(shipped, program), "rb") as f:
            image = f.read()
        assert b"failpoint" not in image.lower() and b"TELDAGD_FAIL" not in image, program
        found = [n for n in points() if n.encode() in image]
        assert not found, (program, found)
    with open(os.path.join(BUILD, "teldagd"), "rb") as f:
        assert b"TELDAGD_FAIL" in f.read()  # the look finds them where they are


if __name__ == "__main__":
    if sys.argv[1:2] == ["--share"]:
        random.seed(SEED)
        run_share(int(sys.argv[2]), JOBS)
    else:
        main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
