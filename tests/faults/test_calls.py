#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The k-th database call of the writer fails, for k = 1, 2, ... until a scripted day passes without its k-th call: once by a
lost connection, once by an error answered by the server. The day is cut into its parts (start and
clock, events of all registries, a letter that is buried, retried, dropped, fixed steps, rules, a new journal accepted, pause and
resume), and each part is gone through call by call: so every call of the day fails once, and the rest need not be repeated.

FAULT_FORM=short takes every so-many-th k from a random first one; otherwise all."""
import os
import random
import time

import kit
from harness import SEED, World, main, wait_for
from kit import Town, flow
from record import record

FORM = os.environ.get("FAULT_FORM", "short")
STRIDE = int(os.environ.get("FAULT_STRIDE") or (40 if FORM == "short" else 1))
ACTS = {"cut": "connection to PostgreSQL lost at the k-th call of the writer", "error": "k-th call of the writer answered by an error",
        "error:40001": "k-th call of the writer answered by an error"}
CALLS_MAX = 400  # a part has fewer
LONGEST_S = 2


class Part:
    """A part of the day: what is done, and how often its act may then stand more in local_log."""

    def __init__(self, town):
        self.town, self.word, self.before, self.words = town, None, 0, None

    def start(self):
        t = self.town
        t.d.kill()
        t.next_day()
        t.change_near()
        t.plan.arm(self.plan)
        t.start()

    def events(self):
        self.town.send()

    def poison(self):
        t = self.town
        lines = t.lines()
        lines["aanhuis.0"].append(t.vlp(t.step, True).encode())
        t.send(lines=lines)

    def order(self, word, *words):
        t = self.town
        self.word, self.before, self.words = word, t.count_acts(word), words
        t.plan.arm(self.plan)
        t.order(*words)

    def retry(self):
        t = self.town
        t.plan.arm("")
        self.poison()
        t.send_rest()
        t.d.caught_up()
        t.cluster.sql("UPDATE public.refuse SET refused = false")
        seq = t.cluster.one("SELECT max(seq) FROM teldag.dead_letter WHERE stream = 'aanhuis.0' AND state = 'open'")
        self.order("retry", "dead-letter", "retry", "aanhuis.0", seq)

    def drop(self):
        t = self.town
        t.plan.arm("")
        self.poison()
        t.send_rest()
        t.d.caught_up()
        seq = t.cluster.one("SELECT max(seq) FROM teldag.dead_letter WHERE stream = 'aanhuis.0' AND state = 'open'")
        self.order("drop", "dead-letter", "drop", "aanhuis.0", seq)

    def retain(self):
        t = self.town
        t.plan.arm("")
        lines = t.lines()
        line, before = t.old_line()
        lines["registration.0"].append(line)
        t.send(lines=lines)
        t.send_rest()
        t.d.caught_up()
        self.order("retain", "retain", "--before", before, "--as-they-are")

    def budget(self):
        self.order("fix budget", "fix", "budget", "2025-2026")

    def reference(self):
        self.order("fix reference", "fix", "reference", kit.YEAR)

    def rules(self):
        self.town.change_near()
        self.order("rules", "reload")

    def accept(self):
        t = self.town
        t.plan.arm("")
        t.renew_journal()
        wait_for(lambda: t.is_stopped("melding.0"), 20, "the stream does not stop")
        self.order("accept", "stream", "accept", "melding.0", "--continue")

    def pause(self):
        self.order("pause", "stream", "pause", "melding.0")

    def resume(self):
        t = self.town
        t.plan.arm("")
        t.d.ctl("stream", "pause", "melding.0")
        self.order("resume", "stream", "resume", "melding.0")

    PARTS = {"start": start, "events": events, "poison": poison, "retry": retry, "drop": drop, "retain": retain, "budget": budget, "reference": reference,
             "rules": rules, "accept": accept, "pause": pause, "resume": resume}

    # ---- one k ----

    def run(self, name, act, k):
        """Returns whether there was a k-th call."""
        t = self.town
        self.plan = "writer.call=%s@%d" % (act, k)
        before = self.acted()
        t.plan.arm(self.plan)
        self.PARTS[name](self)
        if self.word:
            t.ordered.communicate(timeout=60 * kit.SLOW)
        in_flight = t.in_flight()
        t.send_rest()
        started = time.monotonic()
        t.d.caught_up(30)
        reached = self.acted() > before
        t.plan.arm("")
        doubled = self.settle_act(name)
        seconds = time.monotonic() - started
        lost, more = t.measure()
        t.d.caught_up(30)
        flow.expect_no_differences(t.d)
        assert not t.d.logged("rows differ") and t.d.process.poll() is None
        if reached:
            print("%-10s %-24s in flight %3d, recovery %.2f s" % (name, self.plan, in_flight, seconds), flush=True)
            record(ACTS[act], in_flight=in_flight, lost=lost, doubled=doubled + more, recovery_s=seconds)
        assert lost == doubled == more == 0, (name, self.plan, lost, doubled, more)
        # One failed call costs one short wait, however many failed before it.
        assert seconds < LONGEST_S * kit.SLOW, (name, self.plan, seconds)
        return reached

    def settle_act(self, name):
        """Ordered once, it stands once; told to have failed, it may stand or not, and is ordered again if not."""
        t = self.town
        if not self.word:
            return 0
        wait_for(lambda: (flow.writer_status(t.d) or {"phase": ""})["phase"] == "running", 20, "the writer does not run")
        done = t.count_acts(self.word) - self.before
        if done == 0 and t.ordered.returncode != 0:
            t.insist(*self.words)
            done = t.count_acts(self.word) - self.before
        assert done >= 1, (name, self.plan, t.ordered.returncode)
        if name == "pause":
            t.insist("stream", "resume", "melding.0")
        if name == "retry":
            t.cluster.sql("UPDATE public.refuse SET refused = true")
        return done - 1

    def acted(self):
        with open(self.town.plan.log) as f:
            return f.read().count("act writer.call")


def every_call(act):
    random.seed(SEED)
    total = failed = 0
    started = time.monotonic()
    with World(fsync="off") as w:  # the server itself does not crash here
        town = Town(w)
        try:
            town.send()
            town.send_rest()
            town.d.caught_up()
            town.d.ctl("fix", "reference", kit.YEAR)
            for name in Part.PARTS:
                k = random.randint(1, STRIDE)
                while Part(town).run(name, act, k):
                    failed += 1
                    k += STRIDE
                    assert k < CALLS_MAX, name
                total += k - 1
                town.d.verify()
            town.expect_follower()
            flow.expect_alert_log(town.cluster)
            assert town.d.stop() == 0
        finally:
            town.close()
    print("%s: %d of some %d calls of the day failed, one at a time: nothing lost, nothing doubled; %.0f s" %
          (act, failed, total, time.monotonic() - started), flush=True)
    assert failed > 300 // STRIDE


def test_every_call_loses_its_connection():
    every_call("cut")


def test_every_call_is_answered_by_an_error():
    every_call("error")


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
