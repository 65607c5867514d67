#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Everything dies at random moments, from a seed, while events of every registry flow: the daemon, feeders, a backend of
PostgreSQL, the server, the subscriber; they are stopped and go on; COMMITs lose their answers. After each fault every line sent
since the last one is looked for by position and content; in the end all of them again.

FAULT_FORM: short, medium, or long (1,000,000 events, 1,000 kills); FAULT_EVENTS and FAULT_KILLS say otherwise. The programs are
those that ship (BUILD is not looked at)."""
import datetime
import itertools
import json
import os
import random
import re
import signal
import sys
import time

os.environ["BUILD"] = os.environ.get("FAULT_SHIPPED", "build")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit  # noqa: E402
from harness import World, main, wait_for  # noqa: E402
from kit import Follower, Producer, Questions, flow, rules_folder  # noqa: E402
from record import record  # noqa: E402
from test_crash_feeds import Maker, Orders, YEARS, school_levels  # noqa: E402

FORM = os.environ.get("FAULT_FORM", "short")
KILLS = int(os.environ.get("FAULT_KILLS") or {"short": 10, "medium": 150, "long": 1000}[FORM])
EVENTS = int(os.environ.get("FAULT_EVENTS") or {"short": 5000, "medium": 60000, "long": 1000000}[FORM])
KILLS_A_ROUND = 0.9  # with the weights of FAULTS
VERIFY_EVERY = {"short": 10, "medium": 25, "long": 100}[FORM]
FIRST_DAY, LAST_DAY = datetime.date(2024, 10, 1), datetime.date(2025, 11, 20)
MEMORY_MAX = 400 << 20  # of the daemon; the ledger has at most 64 bytes a registration
LOGS = {"school.0": ("school_log", "entitlement_log"), "registration.0": ("registration_log",),
        "inspection.0": ("inspection_log", "opschorting_log"), "huisonderwijs.0": ("verklaring_log", "controle_log"),
        "aanhuis.0": ("poah_log", "beslissing_log", "vlp_log", "toah_log"), "melding.0": ("melding_log", "beantwoord_log")}


def identity(line):
    """The event's id; None when it cannot be read: then it must stand as a dead letter."""
    found = re.search(rb'"id": ?"([^"]*)"', line)
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found.group(1).decode() if found else None


def make_lines():
    """Lines of every stream, EVENTS in all: those of schools and registrations generated, the others made at random."""
    small = {"inspection.0": EVENTS // 100, "huisonderwijs.0": EVENTS // 100, "aanhuis.0": EVENTS // 100, "melding.0": EVENTS // 100}
    schools = max(20, EVENTS // 2500)
    lines = flow.split_generated("--pupils", int(EVENTS * 0.96 / 3.5), "--schools", schools, "--seed", random.randrange(1 << 31), "--years",
                                 ",".join(YEARS), "--corrections", 6, "--duplicates", 6, "--bad", 1)
    levels = school_levels(lines[0])
    maker = Maker(random.Random(random.randrange(1 << 31)), [s for s in sorted(levels) if levels[s] in ("bao", "so")])
    made = {"school.0": lines[0], "registration.0": lines[1]}
    made.update((stream, maker.lines(stream, count)) for stream, count in small.items())
    return made, lines[2]


class Mill:
    def __init__(self, world):
        self.world, self.cluster = world, world.cluster
        made, self.summary = make_lines()
        self.producers = {stream: Producer(world.feed(stream), lines) for stream, lines in made.items()}
        self.total = sum(len(lines) for lines in made.values())
        self.checked = dict.fromkeys(made, 0)
        self.proxy = flow.Proxy(world.home, world.cluster)
        rules = rules_folder(world.home, [('envelope_bao = { value = ""', 'envelope_bao = { value = "64500.00"'),
                                          ('envelope_so = { value = ""', 'envelope_so = { value = "43000.01"')])
        self.d = world.daemon([p.feed for p in self.producers.values()], today=str(FIRST_DAY), rules=rules,
                              conninfo=self.proxy.conninfo).migrate().start()
        wait_for(lambda: flow.writer_status(self.d), 20, "the daemon does not answer")
        self.orders, self.follower, self.questions = Orders(world, self.d), Follower(self.d), Questions(world.cluster)
        self.kills, self.rss = 0, 0
        self.settle()

    # ---- faults: each returns the time its end began, and counts its kills ----

    def start_daemon(self):
        if random.random() < 0.2:
            day = datetime.date.fromisoformat(self.d.today) + datetime.timedelta(random.randint(1, 8))
            self.d.today = str(min(day, LAST_DAY))
        self.d.start()

    def kill_daemon(self):
        self.d.kill()
        self.kills += 1
        time.sleep(random.uniform(0, 0.1))
        while random.random() < 0.25:  # and again while it reads everything back
            self.start_daemon()
            time.sleep(random.uniform(0, 0.2))
            self.d.kill()
            self.kills += 1
        started = time.monotonic()
        self.start_daemon()
        return started

    def kill_feeders(self):
        victims = random.sample(sorted(self.producers), random.randint(1, 3))
        for stream in victims:
            self.producers[stream].feed.kill()
            self.kills += 1
        started = time.monotonic()
        for stream in victims:
            p = self.producers[stream]
            p.thread.join()
            p.feed.start()
            p.resume()
        return started

    def kill_backend(self):
        """PostgreSQL ends all sessions and recovers when one of its processes is killed."""
        pid = flow.writer_pid(self.cluster, random.choice(("teldagd writer", "teldagd publisher")))
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.kills += 1
        return time.monotonic()

    def kill_server(self):
        """The server as by a power cut; sometimes the daemon with it, and sometimes back before it."""
        both = random.random() < 0.3
        self.cluster.crash()
        self.kills += 1
        if both:
            self.d.kill()
            self.kills += 1
            self.start_daemon()
        started = time.monotonic()
        self.cluster.up()
        return started

    def kill_subscriber(self):
        self.follower.kill()
        self.kills += 1
        started = time.monotonic()
        self.follower.start()
        return started

    def freeze(self, *pids):
        pids = [pid for pid in pids if pid]
        for pid in pids:
            flow.freeze(pid)
        time.sleep(random.choice((0.05, 0.3, 1.0)))
        started = time.monotonic()
        for pid in pids:
            flow.thaw(pid)
        return started

    def freeze_daemon(self):
        return self.freeze(self.d.process.pid)

    def freeze_feeder(self):
        return self.freeze(random.choice(list(self.producers.values())).feed.process.pid)

    def freeze_server(self):
        return self.freeze(flow.writer_pid(self.cluster))

    def freeze_subscriber(self):
        return self.freeze(self.follower.process.pid)

    def commit_lost(self):
        return self.cut("lost")

    def commit_answered(self):
        return self.cut("answered")

    def commit_late(self):
        return self.cut("late")

    def cut(self, how):
        """The writer's next COMMIT: never arrives; arrives and its answer does not; arrives a second after the connection is gone."""
        before = len(self.proxy.done)
        self.proxy.cut(how)
        p = self.producers["registration.0"]
        p.thread.join()
        p.send(1)
        wait_for(lambda: len(self.proxy.done) > before, 20, "no COMMIT came by")
        return time.monotonic()

    FAULTS = {"daemon killed (kill -9), also while it starts": (kill_daemon, 30), "feeders killed (kill -9)": (kill_feeders, 14),
              "a backend of PostgreSQL killed (kill -9)": (kill_backend, 10), "PostgreSQL stopped immediately, and started": (kill_server, 12),
              "subscriber killed (kill -9)": (kill_subscriber, 6), "daemon stopped and continued (SIGSTOP)": (freeze_daemon, 4),
              "feeder stopped and continued (SIGSTOP)": (freeze_feeder, 4), "backend stopped and continued (SIGSTOP)": (freeze_server, 4),
              "subscriber stopped and continued (SIGSTOP)": (freeze_subscriber, 2), "COMMIT lost": (commit_lost, 5),
              "COMMIT done, its answer lost": (commit_answered, 5), "COMMIT done a second after its connection was lost": (commit_late, 4)}

    # ---- a round ----

    def sent(self):
        return sum(p.sent for p in self.producers.values())

    def committed(self):
        try:
            return int(self.cluster.one("SELECT coalesce(sum(next_seq - 1), 0) FROM teldag.feed_progress"))
        except RuntimeError:
            return None  # the server is away

    def settle(self):
        for p in self.producers.values():
            p.settle()
        wait_for(lambda: flow.is_up(self.cluster), 60, "PostgreSQL is away")
        self.d.caught_up(120)

    def round(self, fault, share):
        """Sends everyone's part up to share of all while the fault happens; then everything is acknowledged and caught up."""
        strike = self.FAULTS[fault][0]
        before = self.committed()
        for p in self.producers.values():
            count = int(len(p.lines) * share) - p.sent
            p.thread = p.start(count, random.choice((0, 0.002, 0.01)), (1, count // 10 + 1, count // 4 + 1))
        for what in random.choices(("reference", "budget"), k=random.random() < 0.15):
            self.orders.give(what)
        time.sleep(random.choice((0, 0.02, 0.1)) * random.random())
        started = strike(self)
        for p in self.producers.values():
            p.thread.join()
            p.send(int(len(p.lines) * share) - p.sent)
        self.settle()
        recovery = time.monotonic() - started
        self.orders.settle()
        in_flight = self.sent() - before
        lost, doubled = self.measure(self.checked)
        flow.expect_no_differences(self.d)
        self.rss = max(self.rss, flow.rss(self.d.process.pid))
        record(fault, in_flight=in_flight, lost=lost, doubled=doubled, recovery_s=recovery)
        assert lost == doubled == 0, (fault, lost, doubled)
        self.checked = {stream: p.sent for stream, p in self.producers.items()}
        return in_flight, recovery

    def measure(self, after):
        """(lost, doubled) of the lines behind the given positions: each stands once, under its position, with its content."""
        lost = doubled = 0
        places = {name: (number, epoch) for name, number, epoch in self.questions.ask(
            "SELECT name, stream_id, epoch FROM teldag_data.stream JOIN teldag_data.feed_progress USING (stream_id)")}
        for stream, p in self.producers.items():
            first = after[stream]
            # In numbers: then each partition's index is asked for a range.
            where = "FROM teldag_data.%%s WHERE stream_id = %s AND epoch = %s AND seq > %d" % (*places[stream], first)
            rows = self.questions.ask(" UNION ALL ".join(["SELECT seq, id " + where % log for log in LOGS[stream]] + [
                "SELECT seq, substring(encode(raw, 'escape') FROM '\"id\": ?\"([^\"]*)\"') " + where % "dead_letter" + " AND state <> 'retried'"]))
            standing = {}
            for seq, number in rows:
                standing.setdefault(int(seq), []).append(number)
            doubled += len(rows)
            for seq in range(first + 1, p.sent + 1):
                wanted = identity(p.lines[seq - 1])
                right = seq in standing and (wanted is None or wanted in standing[seq])
                lost += not right
                doubled -= right
        return lost, doubled

    def finish(self):
        """Everything again, from the first line on."""
        assert self.sent() == self.total, (self.sent(), self.total)
        for what, year in (("reference", "2024-2025"), ("budget", "2025-2026")):
            self.orders.insist(what, year)
        lost, doubled = self.measure(dict.fromkeys(self.producers, 0))
        assert lost == doubled == 0, (lost, doubled)
        for p in self.producers.values():
            flow.expect_positions(self.cluster, p.feed.stream, len(p.lines))
        self.orders.expect(self.cluster)
        self.d.caught_up()
        flow.expect_clock(self.cluster, str(FIRST_DAY), self.d.today)
        flow.expect_alert_log(self.cluster)
        flow.expect_changes(self.cluster)
        self.d.verify()
        self.follower.expect(self.cluster, 120)
        self.follower.stop()
        flow.expect_no_differences(self.d)
        assert not self.d.logged("rows differ"), "a rebuild mended what it should have found right"
        assert self.rss < MEMORY_MAX, self.rss
        assert self.d.stop() == 0
        return lost, doubled


def test_random_faults():
    # A restarted server would first sync each of its files: a slow disk would be all that is measured.
    with World(conf="recovery_init_sync_method = syncfs") as w:
        mill = Mill(w)
        try:
            run(mill)
        finally:
            mill.questions.close()
            mill.follower.kill()


def run(mill):
    names, weights = list(Mill.FAULTS), [weight for _, weight in Mill.FAULTS.values()]
    first = list(names)  # each at least once
    random.shuffle(first)
    started, longest = time.monotonic(), 0
    for number in itertools.count(1):
        fault = first.pop() if first else random.choices(names, weights)[0]
        # An equal part of what is left for each round that is left, about one a kill: the last kills too meet events in flight.
        sent = mill.sent() / mill.total
        share = sent + (1 - sent) / (2 + (KILLS - mill.kills) / KILLS_A_ROUND)
        in_flight, recovery = mill.round(fault, share)
        longest = max(longest, recovery)
        if FORM == "short" or number % 25 == 0:
            print("%4d %-52s in flight %5d, recovery %5.2f s; %d of %d lines, %d of %d kills, %.0f s" %
                  (number, fault, in_flight, recovery, mill.sent(), mill.total, mill.kills, KILLS, time.monotonic() - started), flush=True)
        if number % VERIFY_EVERY == 0:
            mill.d.verify()
        if mill.kills >= KILLS and not first:
            break
    mill.round("daemon killed (kill -9), also while it starts", 1)
    lost, doubled = mill.finish()
    print("%d events, %d faults, %d kills: %d lost, %d doubled; longest recovery %.1f s, %.2f s a round, the daemon's memory at most %d MiB" %
          (mill.total, number + 1, mill.kills, lost, doubled, longest, (time.monotonic() - started) / (number + 1), mill.rss >> 20), flush=True)


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
