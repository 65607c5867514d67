#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 of the daemon, the feeders and PostgreSQL at random moments while all feeds run, days pass and reference and budget are
fixed: nothing lost, nothing twice, every entity as its last word says, every alert once (P1, P2, P3)."""
import datetime
import json
import os
import random
import re
import subprocess
import time

import flow
import harness
from flow import Follower, Producer
from harness import World, event, main, pupil, wait_for
from test_budget_risk import rules_folder

ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 5)  # of each kind
FIRST_DAY, LAST_DAY = "2024-10-01", "2025-11-20"
YEARS = ("2022-2023", "2023-2024", "2024-2025")
KINDS = {"evaluation.first_negative", "evaluation.followup_due", "evaluation.second_negative", "erkenning.ongunstig",
         "huisonderwijs.control_due", "huisonderwijs.second_insufficient", "melding.answer_overdue", "risk.high"}


class Maker:
    """Events of the four small feeds. The keys are few, so most events correct or withdraw an earlier one, some are sent again as
    they were, and some are broken. Keeps what must stand in the end: the last word per key, and where the broken lines are."""

    ENTITIES = {"inspection.0": ("inspection", "inspection", "inspection", "opschorting"),
                "huisonderwijs.0": ("verklaring", "controle", "controle"),
                "aanhuis.0": ("poah", "beslissing", "vlp", "toah", "toah"),
                "melding.0": ("melding", "melding", "beantwoord")}
    # Entity: type of its event, its key, how many keys there are.
    TYPES = {"inspection": ("inspection.report", "report_id", 150), "opschorting": ("inspection.opschorting", "report_id", 150),
             "verklaring": ("huisonderwijs.verklaring", "verklaring_id", 120), "controle": ("huisonderwijs.controle", "controle_id", 120),
             "poah": ("poah.aanvraag", "request_id", 60), "beslissing": ("poah.beslissing", "request_id", 60),
             "vlp": ("vlp.aanvraag", "request_id", 40), "toah": ("toah.melding", "request_id", 90),
             "melding": ("melding.ontvangen", "melding_id", 140), "beantwoord": ("melding.beantwoord", "melding_id", 140)}

    def __init__(self, rng, schools):
        self.rng, self.schools = rng, schools
        self.last = {entity: {} for entity in self.TYPES}
        self.dead = set()

    def lines(self, stream, count):
        made, words = [], []
        for seq in range(1, count + 1):
            if made and self.rng.random() < 0.05:
                i = self.rng.randrange(max(0, len(made) - 50), len(made))  # again as it was: the later position counts
                line, word = made[i], words[i]
            else:
                line, word = self.make(self.rng.choice(self.ENTITIES[stream]))
            made.append(line)
            words.append(word)
            if word is None:
                self.dead.add((stream, seq))
            else:
                entity, key, data = word
                self.last[entity][key] = data
        return [line.encode() for line in made]

    def make(self, entity):
        """A line, and what it says: (entity, key, data or None when withdrawn), or None when it is broken."""
        kind, name, keys = self.TYPES[entity]
        number = self.rng.randrange(keys)
        key = "%s-%d" % (name[0].upper(), number)
        at = "2025-01-%02dT%02d:00:00Z" % (self.rng.randint(1, 28), self.rng.randrange(24))  # within a stream the position decides
        if self.rng.random() < 0.12:
            data, kind, word = {name: key}, self.rng.choice((entity, kind)) + ".withdraw", (entity, key, None)
        else:
            data = {name: key, **getattr(self, entity)(number)}
            word = (entity, key, data)
        if self.rng.random() < 0.04:
            return self.spoil(kind, data, name, at), None
        return event(kind + ".v1", data, at), word

    def spoil(self, kind, data, name, at):
        how = self.rng.randrange(4)
        if how == 0:
            return event(kind + ".v1", data, at)[:-self.rng.randint(1, 20)]
        if how == 1:
            return event(kind + ".v9", data, at)
        return event(kind + ".v1", {**data, name: [1]} if how == 2 else {k: v for k, v in data.items() if k != name}, at)

    def school(self, number=None):
        """One school has far more trouble than the others of its level; a report keeps its school unless it is corrected."""
        rng = random.Random(number) if number is not None and self.rng.random() < 0.9 else self.rng
        return self.schools[0] if rng.random() < 0.4 else rng.choice(self.schools)

    def day(self, year, spread=300):
        return str(datetime.date(int(year[:4]), 9, 1) + datetime.timedelta(self.rng.randrange(spread)))

    def inspection(self, number):
        year = YEARS[number % 3]
        return {"school_id": self.school(number), "school_year": year, "date": self.day(year),
                "kind": self.rng.choice(("doorlichting", "doorlichting", "opvolging", "tussentijds_bezoek")),
                "advice": self.rng.choice((None, "gunstig", "gunstig_met_tekorten", "ongunstig_met_opschorting", "ongunstig_zonder_opschorting")),
                "leerlingenbegeleiding": self.rng.choice((None, "positief", "werkpunten", "negatief")),
                "gok": self.rng.choice((None, "none", "positief", "negatief", "negatief", "negatief")),
                "followup_due": self.rng.choice((None, self.day("2024-2025", 365))), "scales": {"K1": "volgens"}}

    def opschorting(self, number):
        return {"school_id": self.school(number), "asked_on": self.day("2024-2025")}

    def verklaring(self, number):
        return {"pupil": pupil(number), "school_year": "2024-2025", "kind": self.rng.choice(("individueel", "collectief")), "level": "basis",
                "province": None, "declared_on": "2024-09-03", "last_school_id": self.rng.choice((None, self.school(), self.school()))}

    def controle(self, number):
        year = self.rng.choice(YEARS)
        return {"pupil": pupil(number % 40), "school_year": year, "level": self.rng.choice(("basis", "secundair")), "province": "limburg",
                "date": self.day(year), "ordinal": self.rng.randint(1, 2), "verdict": self.rng.choice(("voldoende", "onvoldoende", "geweigerd")),
                "criteria": self.rng.choice((None, {"aanbod": "te smal", "evaluatie": None}))}

    def poah(self, number):
        return {"pupil": pupil(number), "school_year": "2024-2025", "kind": self.rng.choice(("eerste", "verlenging")),
                "received_on": self.day("2024-2025"), "type": self.rng.randint(1, 9), "opleidingsvorm": None, "age": self.rng.randint(5, 20),
                "level": "bubao", "province": "antwerpen", "mfc": self.rng.random() < 0.5, "mfc_province": None, "at_home": True,
                "prior_toah": self.rng.random() < 0.5, "newcomer": False, "school_id": self.rng.choice((None, self.school()))}

    def beslissing(self, number):
        return {"decision": self.rng.choice(("goedgekeurd", "afgewezen", "uitgesteld")), "decided_on": self.day("2024-2025"),
                "valid_from": None, "valid_to": None, "school_id": self.rng.choice((None, self.school()))}

    def vlp(self, number):
        return {"pupil": pupil(number), "school_year": "2024-2025", "kind": self.rng.choice(("tijdelijk", "definitief")),
                "decision": self.rng.choice((None, "goedgekeurd")), "granted_kind": None, "decided_on": None}

    def toah(self, number):
        return {"pupil": pupil(number), "school_id": self.school(), "school_year": self.rng.choice(YEARS + ("2024-2025",) * 3),
                "reason": self.rng.choice(("langdurig_ziek", "chronisch_ziek", "moederschapsverlof")), "start": self.day("2024-2025"), "end": None}

    def melding(self, number):
        return {"school_id": self.school(), "level": self.rng.choice(("bao", "so")), "received_on": self.day("2024-2025", 364),
                "categories": self.rng.choice((["leerrecht"], ["orde_tucht", "zorg_welzijn"]))}

    def beantwoord(self, number):
        return {"answered_on": self.day("2024-2025")}

    def standing(self, entity):
        return {key: data for key, data in self.last[entity].items() if data is not None}


def expect_entities(cluster, maker):
    """Each entity's last word stands in its log's last rows, and in its view with its partner joined; nothing else stands anywhere."""
    for entity, (_, name, _) in Maker.TYPES.items():
        rows = {json.loads(r[0])[name]: json.loads(r[0]) for r in cluster.sql("SELECT to_jsonb(l) FROM teldag_data.%s_last l" % entity)}
        wanted = maker.standing(entity)
        assert len(wanted) > 10 and set(rows) == set(wanted), (entity, sorted(set(rows) ^ set(wanted))[:5])
        for key, data in wanted.items():
            for field in ("verdict", "gok", "advice", "decision", "type", "reason", "categories", "answered_on", "asked_on", "criteria", "date"):
                assert field not in data or rows[key][field] == data[field], (entity, key, field, rows[key], data)
            for field in ("school_id", "last_school_id"):
                assert field not in data or rows[key][field] == (data[field] and int(data[field])), (entity, key, field, rows[key], data)
    for view, column, entity, partner in (("poah_aanvraag", "decision", "poah", "beslissing"), ("melding", "answered_on", "melding", "beantwoord")):
        name, partners = Maker.TYPES[entity][1], maker.standing(partner)
        rows = {r[0]: r[1] for r in cluster.sql("SELECT %s, %s FROM teldag.%s" % (name, column, view))}
        assert rows == {key: partners.get(key, {}).get(column) for key in maker.standing(entity)}, view
    rows = cluster.sql("SELECT stream, seq FROM teldag.dead_letter WHERE stream NOT IN ('school.0', 'registration.0')")
    assert {(r[0], int(r[1])) for r in rows} == maker.dead and len(rows) == len(maker.dead), (rows[:5], sorted(maker.dead)[:5])


class Orders:
    """teldagctl fix at any moment: an order that was confirmed stands in local_log, one that was not stands there once or not."""

    def __init__(self, world, daemon):
        self.world, self.daemon, self.running = world, daemon, []
        self.sent, self.confirmed = {"reference": 0, "budget": 0}, {"reference": 0, "budget": 0}

    def give(self, what, year=None):
        year = year or random.choice({"reference": YEARS, "budget": ("2023-2024", "2024-2025", "2025-2026")}[what])
        argv = [os.path.join(harness.BUILD, "teldagctl"), "-c", self.daemon.config, "--json", "fix", what, year]
        self.running.append((what, self.world.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)))
        self.sent[what] += 1

    def settle(self):
        for what, process in self.running:
            error = process.communicate(timeout=60 * harness.SLOW)[1]
            # 65: the year's registrations have not come yet.
            early = process.returncode == 65 and re.search("no (school|pupil on an indicator) is counted", error)
            assert process.returncode in (0, 69) or early, "fix %s: exit %d: %s" % (what, process.returncode, error)
            self.confirmed[what] += process.returncode == 0
        self.running = []

    def insist(self, what, year):
        """Until it is done: the writer may find only now that its server went away."""
        def done():
            before = self.confirmed[what]
            self.give(what, year)
            self.settle()
            return self.confirmed[what] > before
        wait_for(done, 20, "fix %s %s" % (what, year))

    def expect(self, cluster):
        for what in self.sent:
            acts = int(cluster.one("SELECT count(*) FROM teldag_data.local_log WHERE act = 'fix %s'" % what))
            assert 0 < self.confirmed[what] <= acts <= self.sent[what], (what, self.confirmed, acts, self.sent)


class Spine:
    """Everything that can be killed, and the ways to kill it."""

    def __init__(self, world, feeds, maker):
        self.world = world
        self.maker = maker
        self.producers = [Producer(world.feed(stream), lines) for stream, lines in feeds.items()]
        folder = rules_folder(world.home, [('envelope_bao = { value = ""', 'envelope_bao = { value = "64500.00"'),
                                           ('envelope_so = { value = ""', 'envelope_so = { value = "43000.01"')])
        self.d = world.daemon([p.feed for p in self.producers], today=FIRST_DAY, rules=folder).migrate().start()
        self.orders = Orders(world, self.d)
        self.wait_for_clock()  # the first day it knew

    def start_daemon(self):
        """Perhaps some weeks later, and perhaps killed again while it steps through them."""
        if random.random() < 0.7:
            day = datetime.date.fromisoformat(self.d.today) + datetime.timedelta(random.randint(1, 60))
            self.d.today = min(str(day), LAST_DAY)
        self.d.start()
        if random.random() < 0.4:
            time.sleep(random.uniform(0, 0.5))
            self.d.kill()
            self.d.start()

    def crash_daemon(self):
        self.d.kill()
        time.sleep(random.uniform(0, 0.2))
        self.start_daemon()

    def crash_postgres(self):
        """A power cut of the server, sometimes of the daemon with it."""
        both = random.random() < 0.3
        self.world.cluster.crash()
        if both:
            self.d.kill()
        time.sleep(random.uniform(0, 0.2))
        if both and random.random() < 0.5:
            self.start_daemon()  # before its database is there
            both = False
        self.world.cluster.up()
        if both:
            self.start_daemon()

    def crash_feeders(self):
        victims = random.sample(self.producers, random.randint(1, len(self.producers)))
        for p in victims:
            p.feed.kill()
        for p in victims:
            p.thread.join()
            p.feed.start()
            p.resume()

    def round(self, kind, share):
        """Sends everyone's part up to share of all while something dies; in the end all of it is acknowledged and caught up."""
        for p in self.producers:
            count = int(len(p.lines) * share) - p.sent
            pieces = (1, count // 20 + 1, count // 10 + 1)  # some 20, so that lines come before, during and after the crash
            p.thread = p.start(count, random.choice((0.01, 0.03, 0.06)), pieces)
        for what in random.choices(("reference", "budget"), k=random.randrange(3)):
            self.orders.give(what)
        time.sleep(random.choice((0.05, 0.3)) * random.random())
        getattr(self, "crash_" + kind)()
        for p in self.producers:
            p.thread.join()
            p.send(int(len(p.lines) * share) - p.sent)
            p.settle()
        wait_for(lambda: flow.is_up(self.world.cluster), 30, "PostgreSQL is away")
        self.d.caught_up()
        self.orders.settle()
        flow.expect_no_differences(self.d)

    def until(self, today):
        self.d.today = today
        self.d.kill()
        self.d.start()
        self.d.caught_up()
        self.wait_for_clock()

    def wait_for_clock(self):
        wait_for(lambda: self.world.cluster.sql("SELECT today FROM teldag_data.shard_progress") == [[self.d.today]], 30, "the clock")


def make_feeds():
    schools, registrations, summary = flow.split_generated(
        "--pupils", 1200, "--schools", 20, "--seed", random.randrange(1 << 31), "--years", ",".join(YEARS), "--corrections", 5,
        "--duplicates", 5, "--bad", 2)
    levels = school_levels(schools)
    ids = [school for level in ("bao", "so") for school in sorted(levels) if levels[school] == level]
    maker = Maker(random.Random(random.randrange(1 << 31)), ids)
    feeds = {"school.0": schools, "registration.0": registrations}
    feeds.update((stream, maker.lines(stream, random.randint(600, 800))) for stream in Maker.ENTITIES)
    return feeds, maker, summary


def school_levels(lines):
    """School to level, from lines of which some are broken."""
    levels = {}
    for line in lines:
        try:
            e = json.loads(line)
            if e["type"] == "school.upsert.v1" and re.fullmatch("9000[0-9]{2}", e["data"]["school_id"]):
                levels[e["data"]["school_id"]] = e["data"]["level"]
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
    return levels


def test_kill_everything_with_all_feeds():
    feeds, maker, summary = make_feeds()
    rounds = ["daemon", "feeders", "postgres"] * ROUNDS
    random.shuffle(rounds)
    with World() as w:
        spine = Spine(w, feeds, maker)
        d, follower = spine.d, Follower(spine.d)
        for number, kind in enumerate(rounds):
            if random.random() < 0.4:
                follower.kill()
            spine.round(kind, (number + 1) / len(rounds))
            if follower.process.poll() is not None:
                follower.start()
            if number % 4 == 3:
                d.verify()
        for what, year in (("reference", "2024-2025"), ("budget", "2025-2026")):
            spine.orders.insist(what, year)
        spine.until(LAST_DAY)
        for p in spine.producers:
            assert p.sent == len(p.lines)
            flow.expect_positions(w.cluster, p.feed.stream, len(p.lines))
        flow.expect_summary(w.cluster, summary, {"schools": [], "registrations": 0, "dead": len(maker.dead)})
        expect_entities(w.cluster, maker)
        spine.orders.expect(w.cluster)
        flow.expect_clock(w.cluster, FIRST_DAY, LAST_DAY)
        flow.expect_alert_log(w.cluster)
        flow.expect_changes(w.cluster)
        d.verify()
        received = {r["kind"] for r in follower.expect(w.cluster)}
        assert received >= KINDS, "no %s" % sorted(KINDS - received)
        follower.stop()
        flow.expect_no_differences(d)
        assert not d.logged("rows differ"), "a rebuild mended what it should have found right"
        assert d.stop() == 0


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
