#!/usr/bin/python3
# SPDX-License-Identifier: MIT
#
# Holds the output of `teldag-feed generate` against the published counts and against its own summary. Recounts
# everything from the NDJSON alone (current state = last event per key), knows nothing of how it was made.
# Usage: tests/system/generate.py [COMMAND]; COMMAND is build/teldag-feed unless given. TEST_SEED sets the seed.
import collections
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build/teldag-feed")
COUNTS = os.path.join(ROOT, "conf/data/schools_2024.csv")
PUBLISHED = os.path.join(ROOT, "conf/data/onderwijsspiegel_2023_2024.json")
SMALL = "inspection,huisonderwijs,aanhuis,melding"
SEED = os.environ.get("TEST_SEED", "1")
INDICATORS = ("thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend", "buurt")
GROUPS = {"bao": {"kleuter", "lager"}, "so": {"graad1", "okan", "graad23"},
          "bubao": {"basisaanbod", "type3", "ander"}, "buso": {"basisaanbod", "type3", "ander"}}
TELDAG = {"2022-2023": "2023-02-01", "2023-2024": "2024-02-01", "2024-2025": "2025-02-03"}
DEMO = ["--feed", "school,entitlement,registration", "--pupils", "12000", "--schools", "40", "--counts", COUNTS, "--corrections", "10", "--duplicates", "5", "--unmatched", "4"]

passed = failed = 0


def check(name, holds, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(("ok     " if holds else "FAILED ") + name + ("" if holds or not detail else ": " + str(detail)[:300]))


def generate(*options, seed=SEED):
    done = subprocess.run([COMMAND, "generate", "--seed", seed, *options], stdout=subprocess.PIPE, check=True)
    return done.stdout


def indicators_of(data):
    """regulation 1: home_language gives thuistaal, thuisloos and trekkend give buurt."""
    found = set(data.get("indicators") or ())
    home = data.get("home_language")
    if home:
        family = [home[m] for m in ("mother", "father", "siblings") if home[m] is not None]
        if sum(family) == 0 or (len(family) == 3 and sum(family) <= 1):
            found.add("thuistaal")
    if found & {"thuisloos", "trekkend"}:
        found.add("buurt")
    return found


class State:
    """What stands after the events, in order."""

    def __init__(self, lines):
        self.schools, self.registrations, self.closed = {}, {}, collections.defaultdict(list)
        self.known, self.types = [], collections.Counter()
        self.held = collections.Counter()
        self.matched = set()
        for line in lines:
            event = json.loads(line)
            data, kind = event["data"], event["type"]
            self.types[kind] += 1
            if kind == "school.upsert.v1":
                self.schools[data["school_id"]] = data
            elif kind == "entitlement.known.v1":
                self.known.append(data)
            else:
                self.register(kind, data)

    def register(self, kind, data):
        where = (data["school_id"], data["school_year"])
        if kind == "registration.closed.v1":
            self.closed[where].append(data["pupils"])
            if data["pupils"] == self.held[where]:
                self.matched.add(where)
            return
        key = where + (data["pupil"],)
        if kind == "registration.upsert.v1":
            self.held[where] += key not in self.registrations
            self.registrations[key] = data
        elif kind == "registration.withdraw.v1":
            self.held[where] -= self.registrations.pop(key, None) is not None  # it may be sent twice
        else:
            raise ValueError(kind)

    def counts(self):
        """Half units by (school, year), group and indicator, of those that count on the teldag."""
        totals = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
        for (school, year, _), data in self.registrations.items():
            day = TELDAG[year]
            if not data["regular"] or (data.get("from") or "0") > day or (data.get("until") or "9") <= day:
                continue
            halves = int(data.get("weight", 1) * 2)
            cell, found = totals[school, year][data["group"]], indicators_of(data)
            cell["pupils"] += halves
            cell["gok_pupils"] += halves if found - {"buurt"} else 0
            for indicator in found:
                cell[indicator] += halves
        return totals


def nearest_halves(share, pupils):
    return int(Fraction(share) * Fraction(pupils) * 2 + Fraction(1, 2))


def test_published(state, counts):
    rows = list(csv.DictReader(open(COUNTS, encoding="utf-8", newline="")))
    check("the counts file has 81 schools", len(rows) == 81, len(rows))
    wrong = []
    for row in rows:
        school = row["school_number"]
        total = sum(counts[school, "2023-2024"].values(), collections.Counter())
        if total["pupils"] != Fraction(row["pupils"]) * 2:
            wrong.append((school, "pupils", total["pupils"], row["pupils"]))
        for indicator in ("opleiding_moeder", "schooltoelage", "thuistaal", "buurt"):
            share = row["share_" + indicator]
            expected = nearest_halves(share, row["pupils"]) if share else 0
            if total[indicator] != expected:
                wrong.append((school, indicator, total[indicator], expected))
    check("pupils and indicators of all schools match the file in half units", not wrong, wrong)
    wrong = [r["school_number"] for r in rows
             if (state.schools[r["school_number"]]["province"] or "") != r["province"].lower()
             or (state.schools[r["school_number"]]["municipality"] or "") != r["municipality"]
             or state.schools[r["school_number"]]["name"] != r["name"]]
    check("name and place as published, unpublished is null", not wrong, wrong)
    wrong = [r["school_number"] for r in rows if r["province"] == "Brussel" and
             not state.schools[r["school_number"]]["brussels"]]
    check("schools of Brussels carry the flag", not wrong, wrong)
    networks = {"GO!": "go", "Vrij gesubsidieerd": "vrij", "Gemeentelijk": "officieel", "Provinciaal": "officieel"}
    wrong = [r["school_number"] for r in rows
             if state.schools[r["school_number"]]["network"] != networks[r["network"]]]
    check("networks", not wrong, wrong)


def test_summary(state, counts, summary, lines):
    check("summary: lines", summary["lines"] == len(lines), (summary["lines"], len(lines)))
    check("summary: registrations standing", summary["registrations"] == len(state.registrations),
          (summary["registrations"], len(state.registrations)))
    wrong = []
    for school in summary["schools"]:
        for year in school["years"]:
            where = (school["school_id"], year["school_year"])
            counted = {g: dict(c) for g, c in counts[where].items()}
            expected = {g: {k: v for k, v in c.items() if v} for g, c in year["groups"].items()}
            counted = {g: {k: v for k, v in c.items() if v} for g, c in counted.items()}
            sent = [n for i, n in enumerate(state.closed[where]) if i == 0 or n != state.closed[where][i - 1]]
            if counted != expected or state.held[where] != year["registrations"] or sent != year["closed"]:
                wrong.append((where, counted, expected, state.held[where], sent, year["closed"]))
    check("summary: every school, year and group", not wrong, wrong)
    unknown = {school for school, _, _ in state.registrations if school not in state.schools}
    check("4 unknown schools have a registration", len(unknown) == summary["unknown_school"] == 4, unknown)
    misfits = [k for k, d in state.registrations.items() if k[0] in state.schools
               and d["group"] not in GROUPS[state.schools[k[0]]["level"]]]
    check("4 registrations are of a group that does not fit", len({k[0] for k in misfits}) == len(misfits) == 4,
          misfits)
    check("summary: knows every school", {s["school_id"] for s in summary["schools"]} == set(state.schools))


def test_closed(state, summary):
    story = {s["school_id"]: s["story"] for s in summary["schools"]}
    wrong = []
    for where, held in state.held.items():
        if where[0] not in state.schools:
            continue
        odd = story[where[0]] in ("incomplete", "reopened") and where[1] == "2023-2024"
        if (state.closed[where][-1] == held) == odd:
            wrong.append((where, held, state.closed[where]))
        if (where in state.matched) == (odd and story[where[0]] == "incomplete"):
            wrong.append((where, "matched", held, state.closed[where]))
    check("the last closed number is the number held, but for the stories told", not wrong, wrong)


def test_stories(state, counts, summary):
    offer = collections.defaultdict(collections.Counter)
    for where, groups in counts.items():
        for group in ("basisaanbod", "type3"):
            offer[where] += groups.get(group, collections.Counter())
    seen, wrong = collections.Counter(s["story"] for s in summary["schools"]), []
    for school in summary["schools"]:
        now, before = (offer[school["school_id"], y] for y in ("2023-2024", "2022-2023"))
        holds = [c["opleiding_moeder"] * 10 >= c["pupils"] * 4 for c in (now, before)]
        if school["story"] in ("near", "grace", "lost"):
            expected = {"near": [True, True], "grace": [False, True], "lost": [False, False]}[school["story"]]
            margin = (Fraction(now["opleiding_moeder"], 2) - Fraction(now["pupils"], 5)) / Fraction(3, 5)
            if holds != expected or (school["story"] == "near" and not 0 <= margin < 4):
                wrong.append((school["school_id"], school["story"], holds, margin))
    check("every story is told", all(seen[s] for s in ("near", "grace", "lost", "incomplete", "reopened", "double")),
          seen)
    check("most schools are ordinary", seen["ordinary"] > 0.85 * sum(seen.values()), seen)
    check("near, grace and lost lie where they say around 40 %", not wrong, wrong)
    known = {(k["school_id"], k["school_year"], k["group"]): k for k in state.known}
    check("lost and grace schools were granted before the first count",
          all(known[s["school_id"], "2022-2023", "aanbod"]["status"] == "granted"
              for s in summary["schools"] if s["story"] in ("grace", "lost")))
    after = {"near": "granted", "grace": "granted", "lost": "grace"}
    wrong = [s["school_id"] for s in summary["schools"] if s["story"] in after and
             known[s["school_id"], "2023-2024", "aanbod"]["status"] != after[s["story"]]]
    check("what was granted on the first count prepares their stories", not wrong, wrong)
    where = collections.defaultdict(set)
    for school, year, pupil in state.registrations:
        where[year, pupil].add(school)
    double = {frozenset(s) for s in where.values() if len(s) > 1}
    expected = {s["school_id"] for s in summary["schools"] if s["story"] == "double"}
    check("double registrations only where told", len(double) == len(expected) and
          all(d & expected for d in double), (double, expected))


def half_up(value):
    return int(value + Fraction(1, 2))


def hours_of(school, group, pupils):
    """regulation 2 with its defaults; pupils = [(weight, indicators)]. Returns (threshold holds, hours)."""
    five = set(INDICATORS) - {"buurt"}
    total = sum(w for w, _ in pupils)
    having = {i: sum(w for w, f in pupils if i in f) for i in INDICATORS}
    if school["level"] == "bao":
        rates = {"opleiding_moeder": "0.26710", "thuistaal": "0.29116", "schooltoelage": "0.11917"}
        return True, half_up(sum(Fraction(r) * having[i] for i, r in rates.items()))
    if school["level"] == "so":
        share, value = {"graad1": ("0.10", "0.2916"), "okan": ("0.10", "0.2916"), "graad23": ("0.25", "0.1225")}[group]
        rates = {"trekkend": "0.8", "thuisloos": "0.8", "opleiding_moeder": "0.6", "schooltoelage": "0.4"}
        points = 0
        for weight, found in pupils:
            one = sum(Fraction(rates[i]) for i in found & set(rates))
            one += Fraction("0.2") if one and "thuistaal" in found else 0
            points += weight * min(one, Fraction("1.2"))
        dense = max(having["schooltoelage"], having["thuistaal"]) >= Fraction("0.55") * total
        points *= Fraction("1.5") if school["brussels"] or dense else 1
        gok = sum(w for w, f in pupils if f & five)
        return gok >= Fraction(share) * total, half_up(half_up(points) * Fraction(value))
    both = sum(w for w, f in pupils if {"opleiding_moeder", "thuistaal"} <= f)
    points = Fraction("0.8") * having["opleiding_moeder"] + Fraction("0.4") * both
    holds = having["opleiding_moeder"] >= Fraction("0.4") * total
    if school["level"] == "buso":
        return holds, half_up(half_up(points) * Fraction("0.227197"))
    return holds, half_up(points * Fraction("0.252220818"))


def test_known(state):
    """What is known of 2023-2024 follows from the count of 2022-2023, but for about one row in fifty."""
    pupils = collections.defaultdict(list)
    for (school, year, _), data in state.registrations.items():
        day = TELDAG[year]
        if year != "2022-2023" or not data["regular"] or (data.get("from") or "0") > day or \
                (data.get("until") or "9") <= day:
            continue
        group = "aanbod" if data["group"] in ("basisaanbod", "type3") else data["group"]
        if group != "ander":
            pupils[school, group].append((Fraction(data.get("weight", 1)), indicators_of(data)))
    known = {(k["school_id"], k["group"], k["school_year"]): k for k in state.known}
    wrong, other = [], 0
    for (school, group), roster in pupils.items():
        threshold, hours = hours_of(state.schools[school], group, roster)
        minimum = 0 if state.schools[school]["level"] == "bao" else 6
        status = "below_threshold" if not threshold else "below_minimum" if hours < minimum else "granted"
        before = known.get((school, group, "2022-2023"), {}).get("status")
        if status != "granted":
            status, hours = ("grace", hours) if before == "granted" else (status, 0)
        row = known.get((school, group, "2023-2024"))
        if not row or row["status"] != status or abs(row["hours"] - hours) > 1:
            wrong.append((school, group, status, hours, row))
        elif row["hours"] != hours:
            other += 1
    check("what is known follows from the count of the year before", not wrong and len(pupils) > 150,
          (len(pupils), wrong))
    check("a few known hours differ", 0 < other < 0.06 * len(pupils), (other, len(pupils)))
    check("nothing is known of the coming year", not any(k[2] == "2024-2025" for k in known))


def test_shape(state, lines):
    wrong, ids, repeated = [], collections.Counter(), 0
    for line in lines:
        event = json.loads(line)
        ids[event["id"]] += 1
        data = event["data"]
        datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
        good = (event["specversion"] == "1.0" and event["source"] == "urn:teldag:generate:" + SEED and
                event.get("subject", data["school_id"]) == data["school_id"] and
                not re.search(r"\d{11}", re.sub(r"[ ./-]", "", event["id"] + "|" + event["source"])))
        if event["type"] == "registration.upsert.v1":
            good = (good and re.fullmatch("[0-9a-f]{32}", data["pupil"]) and data.get("weight", 1) in (1, 0.5) and
                    set(data.get("indicators", ())) <= set(INDICATORS) and
                    ("indicators" in data or "home_language" in data) and
                    data["group"] in GROUPS["so"] | GROUPS["bao"] | GROUPS["bubao"])
        if not good:
            wrong.append(line)
    repeated = sum(n - 1 for n in ids.values())
    check("every event has the shape of the contract", not wrong, wrong)
    check("about 5 % are sent twice", 0.04 < repeated / len(lines) < 0.06, repeated / len(lines))
    upserts = [len(x) for x in lines if b"registration.upsert" in x]
    check("events are 300-350 bytes", 300 <= sum(upserts) / len(upserts) <= 350, sum(upserts) / len(upserts))
    check("all event types occur", set(state.types) == {"school.upsert.v1", "entitlement.known.v1",
          "registration.upsert.v1", "registration.withdraw.v1", "registration.closed.v1"}, state.types)
    used = collections.Counter()
    for data in state.registrations.values():
        used.update(k for k in ("home_language", "from", "until") if k in data)
        used["half"] += data.get("weight", 1) == 0.5
        used["irregular"] += not data["regular"]
        used.update(set(data.get("indicators", ())) & {"thuisloos", "trekkend"})
    check("home_language, from, until, weight 0.5, irregular, thuisloos, trekkend all occur", len(used) == 7 and
          min(used.values()) > 5, used)
    years = collections.defaultdict(set)
    for school, year, pupil in state.registrations:
        years[year].add(pupil)
    kept = len(years["2022-2023"] & years["2023-2024"]) / len(years["2022-2023"])
    check("pupils keep their id from year to year", 0.6 < kept < 0.95, kept)


def test_together(state):
    """Indicators hang together more than chance has it."""
    n = moeder = toelage = both = 0
    for (_, year, _), data in state.registrations.items():
        found = indicators_of(data)
        n, moeder, toelage = n + 1, moeder + ("opleiding_moeder" in found), toelage + ("schooltoelage" in found)
        both += {"opleiding_moeder", "schooltoelage"} <= found
    check("indicators correlate", both * n > 1.2 * moeder * toelage, (n, moeder, toelage, both))


def test_bad():
    good = generate("--pupils", "3000", "--schools", "20", "--feed", "school,registration").splitlines()
    with tempfile.NamedTemporaryFile() as file:
        mixed = generate("--pupils", "3000", "--schools", "20", "--feed", "school", "--feed", "registration", "--bad",
                         "20", "--too-large", "1", "--summary", file.name).splitlines()
        summary = json.load(file)
    rest = collections.Counter(mixed) - collections.Counter(good)
    check("malformed lines come between the good ones and change none", sum(rest.values()) ==
          len(mixed) - len(good) == summary["bad"] + summary["too_large"], (len(mixed), len(good)))
    kinds = collections.Counter()
    for line in rest:
        found = re.search(rb'"id":"bad-([a-z0-9.-]+)-\d+"', line)
        kinds[found.group(1).decode() if found else "nameless"] += 1
        if found and found.group(1) == b"rrn-check":
            digits = re.search(rb"rrn:(\d{11})", line).group(1).decode()
            for century in ("", "2"):
                if 97 - int(century + digits[:9]) % 97 == int(digits[9:]):
                    check("a wrong check number is wrong", False, digits)
    kinds["too-large"] -= summary["too_large"]
    expected = {k: n for k, n in summary["bad_kinds"].items() if n}
    check("each kind of malformed line occurs and is counted", +kinds == expected and len(expected) == 20,
          (kinds, expected))
    for kind, proof in (("not-utf8", UnicodeDecodeError), ("not-json", json.JSONDecodeError)):
        line = next(x for x in rest if b"bad-" + kind.encode() in x)
        try:
            json.loads(line.decode("utf-8"))
            check(kind + " is what it says", False, line)
        except proof:
            check(kind + " is what it says", True)


def test_partitions(whole):
    parts = [generate(*DEMO, "--partition", f"{i}/3").splitlines() for i in range(3)]
    check("partitions add up to the whole", collections.Counter(whole) == sum(map(collections.Counter, parts),
          collections.Counter()))
    check("a partition has its own schools only", all(int(json.loads(line)["data"]["school_id"]) % 3 == i
          for i, part in enumerate(parts) for line in part))


def test_options():
    for options, code in ((["--pupils", "10"], 64), (["--pupils", "x", "--schools", "1", "--seed", "1"], 64),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--feed", "inspectie"], 64),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--partition", "2/2"], 64),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--years", "2023-2025"], 64),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--bad", "101"], 64),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--counts", "/dev/null"], 65),
                          (["--pupils", "9", "--schools", "1", "--seed", "1", "--summary", "/nowhere/x"], 69),
                          (["--pupils", "900", "--schools", "90", "--seed", "1", "--marginals", PUBLISHED], 65),
                          (["--pupils", "9000", "--schools", "900", "--seed", "1", "--marginals", "/nowhere"], 65),
                          (["--pupils", "9000", "--schools", "900", "--seed", "1", "--marginals", PUBLISHED, "--years",
                            "2024-2025"], 65),
                          (["--pupils", "9", "--schools", "1", "--seed", "1"], 0), (["--help"], 0)):
        done = subprocess.run([COMMAND, "generate", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              check=False)
        check(f"exit code {code}: {' '.join(options)}", done.returncode == code, (done.returncode, done.stderr))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COMMAND, "generate", "--pupils", "9", "--schools", "1", "--seed", "1"], stdout=full,
                              stderr=subprocess.DEVNULL, check=False)
    check("a full disk is told", done.returncode == 69, done.returncode)


class Feeds:
    """What stands of the small feeds after the events in order: the last event of a key, unless withdrawn."""
    KEYS = {"school.upsert.v1": "school_id", "inspection.report.v1": "report_id", "inspection.opschorting.v1": "report_id",
            "huisonderwijs.verklaring.v1": "verklaring_id", "huisonderwijs.controle.v1": "controle_id",
            "poah.aanvraag.v1": "request_id", "poah.beslissing.v1": "request_id", "vlp.aanvraag.v1": "request_id",
            "toah.melding.v1": "request_id", "melding.ontvangen.v1": "melding_id", "melding.beantwoord.v1": "melding_id"}
    WITHDRAWN = {"inspection": "inspection.report.v1", "verklaring": "huisonderwijs.verklaring.v1",
                 "controle": "huisonderwijs.controle.v1", "poah": "poah.aanvraag.v1", "toah": "toah.melding.v1",
                 "melding": "melding.ontvangen.v1"}

    def __init__(self, lines):
        self.tables, self.withdrawn = collections.defaultdict(dict), 0
        self.times, self.days = collections.defaultdict(list), collections.defaultdict(dict)
        for line in lines:
            event = json.loads(line)
            data, kind = event["data"], event["type"]
            feed = event["id"].split(".")[1]
            self.times[feed].append(event["time"])
            if kind.endswith(".withdraw.v1"):
                kind = self.WITHDRAWN[kind.split(".")[0]]
                self.withdrawn += self.tables[kind].pop(data[self.KEYS[kind]], None) is not None
            else:
                self.tables[kind][data[self.KEYS[kind]]] = data
                self.days[kind].setdefault(data[self.KEYS[kind]], event["time"][:10])

    def rows(self, table, year="2023-2024", **where):
        return [d for d in self.tables[table].values() if (year is None or d["school_year"] == year) and
                all(d[k] == v for k, v in where.items())]

    def visits_after_unfavourable(self, year):
        n = 0
        for visit in self.rows("inspection.report.v1", year, kind="tussentijds_bezoek"):
            before = [(d["date"], d["report_id"], d["advice"]) for d in self.rows("inspection.report.v1", None)
                      if d["school_id"] == visit["school_id"] and d["kind"] == "doorlichting" and d["advice"] and
                      d["date"] < visit["date"]]
            n += bool(before) and max(before)[2].startswith("ongunstig")
        return n


def totals(feeds, year="2023-2024"):
    """The published figures, counted again: same shape as the file of the publication."""
    level = {s: d["level"] for s, d in feeds.tables["school.upsert.v1"].items()}
    reports = feeds.rows("inspection.report.v1", year)
    full = [d for d in reports if d["kind"] == "doorlichting"]
    visits = collections.Counter(level[d["school_id"]] for d in reports if d["kind"] == "tussentijds_bezoek")
    per_level = collections.Counter(level[d["school_id"]] for d in full)
    advice, bao = collections.Counter(d["advice"] for d in full), collections.Counter(
        d["advice"] for d in full if level[d["school_id"]] == "bao")
    without = collections.Counter(level[d["school_id"]] for d in full if not d["advice"])
    gok = collections.Counter((level[d["school_id"]], d["gok"]) for d in reports)
    help_ = collections.Counter((level[d["school_id"]], d["leerlingenbegeleiding"]) for d in reports)
    controls = collections.Counter((d["ordinal"], d["level"], d["verdict"]) for d in feeds.rows(
        "huisonderwijs.controle.v1", year))

    def sum_of(ordinal=None, level_=None, verdict=None):
        return sum(n for (o, l, v), n in controls.items() if ordinal in (None, o) and level_ in (None, l) and
                   verdict in (None, v))
    names = ("bao", "so", "bubao", "buso", "dko", "vwo", "clb", "naft")
    unfavourable = ("ongunstig_met_opschorting", "ongunstig_zonder_opschorting")
    return {
        "huisonderwijs_controles": {
            **{name: {"(bu)bao": sum_of(n, "basis"), "(bu)so": sum_of(n, "secundair"),
                      "onvoldoende": sum_of(n, None, "onvoldoende")} for n, name in ((1, "first"), (2, "second"))},
            "total": sum_of(), "voldoende": sum_of(verdict="voldoende"), "onvoldoende": sum_of(verdict="onvoldoende"),
            "verklaringen_individueel": len(feeds.rows("huisonderwijs.verklaring.v1", year, kind="individueel"))},
        "doorlichtingen_per_level": {**{n: per_level[n] for n in names}, "total": len(full),
                                     "without_legal_consequence": dict(without)},
        "adviezen": {"gunstig": advice["gunstig"], "gunstig_met_tekorten": advice["gunstig_met_tekorten"],
                     "ongunstig": sum(advice[a] for a in unfavourable), "total": len(full) - advice[None]},
        "adviezen_bao": {a: bao[a] for a in ("gunstig", "gunstig_met_tekorten", *unfavourable)},
        "gok_onvoldoende": {**{n: [gok[n, "negatief"], gok[n, "negatief"] + gok[n, "positief"]] for n in ("bao", "so")},
                            "so_without_verdict_no_gok_means": gok["so", "none"]},
        "leerlingenbegeleiding": {n: {"assessed": sum(help_[n, v] for v in ("positief", "werkpunten", "negatief")),
                                      "werkpunten_or_negatief": help_[n, "werkpunten"] + help_[n, "negatief"],
                                      "negatief": help_[n, "negatief"]} for n in ("bao", "so")},
        "tussentijdse_bezoeken": {**{n: visits[n] for n in names if visits[n]}, "total": sum(visits.values()),
                                  "after_ongunstig": feeds.visits_after_unfavourable(year)}}


def test_marginals():
    """Whatever else is asked for, the totals of 2023-2024 are the published ones."""
    published = json.load(open(PUBLISHED, encoding="utf-8"))
    published.pop("about")
    for options in (["--schools", "800", "--pupils", "8000"],
                    ["--schools", "1500", "--pupils", "400000", "--corrections", "20", "--duplicates", "5", "--unmatched", "3"],
                    ["--schools", "800", "--pupils", "80000", "--counts", COUNTS, "--years", "2023-2024,2024-2025"]):
        feeds = Feeds(generate("--feed", "school,institution," + SMALL, "--marginals", PUBLISHED, *options).splitlines())
        found = totals(feeds)
        for part, expected in published.items():
            check(f"published totals: {part} ({' '.join(o for o in options if not o.startswith('/'))})", found[part] == expected,
                  (found[part], expected))
        poah = collections.Counter((d["kind"], feeds.tables["poah.beslissing.v1"][r]["decision"])
                                   for r, d in feeds.tables["poah.aanvraag.v1"].items() if d["school_year"] == "2023-2024")
        check("C9: 115 and 104 granted, 27 rejected, the two others of 248 postponed", sum(poah.values()) == 248 and
              (poah["eerste", "goedgekeurd"], poah["verlenging", "goedgekeurd"]) == (115, 104) and
              sum(n for (_, d), n in poah.items() if d == "afgewezen") == 27, poah)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        for wrong in ({"total": 623}, {"bao": "x"}, {"bao": 419.5}, {}):
            part = {**published["doorlichtingen_per_level"], **wrong} if wrong else {}
            file.seek(0)
            file.truncate()
            json.dump({**published, "doorlichtingen_per_level": part}, file)
            file.flush()
            done = subprocess.run([COMMAND, "generate", "--seed", "1", "--schools", "800", "--pupils", "8000", "--marginals",
                                   file.name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            check(f"totals that contradict each other are refused: {wrong or 'missing'}", done.returncode == 65 and
                  b"oorlichting" in done.stderr or b"bao" in done.stderr, done.stderr)


def days_between(a, b):
    return (datetime.date.fromisoformat(b) - datetime.date.fromisoformat(a)).days


def test_flanders():
    """At Flanders' scale, without --marginals, each year has about what is published, and it hangs together."""
    options = ["--schools", "3850", "--pupils", "1200000", "--years", "2022-2023,2023-2024"]
    start = time.monotonic()
    lines = generate("--feed", "school,institution," + SMALL, *options).splitlines()
    spent = time.monotonic() - start
    feeds = Feeds(lines)
    print(f"small feeds at Flanders scale: {len(lines)} events in {spent:.2f} s")
    check("two years of the small feeds in five seconds", spent < 5, spent)
    schools = feeds.tables["school.upsert.v1"]
    for year in ("2022-2023", "2023-2024"):
        found = totals(feeds, year)
        counts = [found["doorlichtingen_per_level"]["total"], found["tussentijdse_bezoeken"]["total"],
                  found["huisonderwijs_controles"]["total"], found["huisonderwijs_controles"]["verklaringen_individueel"],
                  len(feeds.rows("poah.aanvraag.v1", year)), len(feeds.rows("vlp.aanvraag.v1", year)),
                  len(feeds.rows("toah.melding.v1", year)),
                  sum(year[:4] + "-09-01" <= d["received_on"] <= year[5:] + "-08-31" for d in feeds.rows("melding.ontvangen.v1", None))]
        bounds = [(620, 624), (560, 573), (846, 852), (3471, 3471), (255, 265), (20, 60), (2000, 4000), (150, 172)]
        check(f"{year}: inspections, visits, controls, verklaringen, POAH, VLP, TOAH, meldingen as in Flanders",
              all(low <= n <= high for n, (low, high) in zip(counts, bounds)), counts)
    reports, controls = feeds.rows("inspection.report.v1"), feeds.rows("huisonderwijs.controle.v1")
    months = collections.Counter(d["date"][5:7] for d in reports)
    check("reports lie all over the school year", set(months) >= {"09", "10", "11", "12", "01", "02", "03", "04", "05", "06"} and
          not months["07"] + months["08"] and max(months.values()) < 0.25 * len(reports), months)
    check("nothing is reported on a Saturday or a Sunday", all(
        datetime.date.fromisoformat(d["date"]).weekday() < 5 for d in reports + controls))
    evaluations = [d for d in reports if d["kind"] == "opvolging"]
    before = {d["school_id"] for d in feeds.rows("inspection.report.v1", None) if d["gok"] == "negatief" and d["school_year"] < "2023"}
    check("evaluations follow on a negative verdict", len(evaluations) > 20 and all(d["school_id"] in before and d["gok"]
          for d in evaluations), len(evaluations))
    asked = feeds.tables["inspection.opschorting.v1"]
    kept = {r: d for r, d in feeds.tables["inspection.report.v1"].items()}
    check("opschorting is asked within 30 days, after that advice", len(asked) > 50 and all(
        kept[r]["advice"] == "ongunstig_met_opschorting" and kept[r]["school_id"] == d["school_id"] and
        0 < days_between(kept[r]["date"], d["asked_on"]) <= 30 for r, d in asked.items()), len(asked))
    first = {(d["pupil"], d["school_year"]): d for d in feeds.rows("huisonderwijs.controle.v1", None, ordinal=1)}
    second = feeds.rows("huisonderwijs.controle.v1", None, ordinal=2)
    check("a second control follows an insufficient first one", len(second) > 90 and all(
        first[d["pupil"], d["school_year"]]["verdict"] != "voldoende" and
        first[d["pupil"], d["school_year"]]["date"] < d["date"] for d in second), len(second))
    check("somebody refuses", any(d["verdict"] == "geweigerd" and d["criteria"] is None for d in controls))
    declared = {(d["pupil"], d["school_year"], d["level"]) for d in feeds.rows("huisonderwijs.verklaring.v1", None)}
    told = {d["pupil"] for d in controls if d["pupil"].startswith("feed")}
    check("who is controlled has declared, at that level", all((d["pupil"], d["school_year"], d["level"]) in declared
          for d in controls if d["pupil"] not in told))
    pupils = [{p for p, y, _ in declared if y == year} for year in ("2022-2023", "2023-2024")]
    check("pupils of huisonderwijs go on from year to year", 0.4 < len(pupils[0] & pupils[1]) / len(pupils[0]) < 0.8)
    left = collections.Counter(d["last_school_id"] for d in feeds.rows("huisonderwijs.verklaring.v1") if d["last_school_id"])
    top = sum(n for _, n in left.most_common(len(schools) // 40)) / sum(left.values())
    check("departures are concentrated in a few schools", 0.25 < top < 0.7 and sum(left.values()) > 400, (top, sum(left.values())))
    requests, decisions = feeds.tables["poah.aanvraag.v1"], feeds.tables["poah.beslissing.v1"]
    delays = [days_between(requests[r]["received_on"], d["decided_on"]) for r, d in decisions.items()]
    check("decisions come two weeks to three months after the request", set(decisions) <= set(requests) and
          min(delays) >= 10 and max(delays) < 95, (min(delays), max(delays)))
    postponed = {json.loads(x)["data"]["request_id"] for x in lines if b'"uitgesteld"' in x and b"poah" in x}
    check("some are postponed and then decided", len(postponed) > 30 and
          sum(decisions[r]["decision"] != "uitgesteld" for r in postponed) > 0.8 * len(postponed), len(postponed))
    granted = {d["pupil"] for r, d in requests.items() if d["school_year"] == "2022-2023" and decisions[r]["decision"] == "goedgekeurd"}
    extended = feeds.rows("poah.aanvraag.v1", kind="verlenging")
    check("extensions follow what was granted", extended and all(d["pupil"] in granted for d in extended), len(extended))
    check("who was granted has a school and a period", all(d["school_id"] and d["valid_from"] < d["valid_to"]
          for d in decisions.values() if d["decision"] == "goedgekeurd"))
    toah = {d["pupil"]: d for d in feeds.rows("toah.melding.v1", None)}
    prior = [d for d in feeds.rows("poah.aanvraag.v1", kind="eerste") if d["prior_toah"]]
    check("TOAH came before POAH where the request says so", len(prior) > 20 and all(
        toah[d["pupil"]]["start"] <= d["received_on"] for d in prior), len(prior))
    check("moederschapsverlof is for secondary schools", {schools[d["school_id"]]["level"] for d in toah.values()
          if d["reason"] == "moederschapsverlof"} <= {"so", "buso"})
    answers, meldingen = feeds.tables["melding.beantwoord.v1"], feeds.tables["melding.ontvangen.v1"]
    late = sum(days_between(meldingen[m]["received_on"], d["answered_on"]) > 30 for m, d in answers.items())
    check("most meldingen are answered in time, some late, some never", set(answers) <= set(meldingen) and
          0.7 * len(meldingen) < len(answers) < len(meldingen) and 3 < late < 0.2 * len(meldingen), (len(answers), late))
    check("the level of a melding is its school's", all(schools[d["school_id"]]["level"] == d["level"] for d in meldingen.values()))
    several = sum(len(d["categories"]) > 1 for d in meldingen.values())
    check("some meldingen have several categories, never one twice", 30 < several < len(meldingen) / 2 and all(
        len(set(d["categories"])) == len(d["categories"]) > 0 for d in meldingen.values()), several)
    check("each feed is written in the order of time, up to 28 June", all(t == sorted(t) and t[-1] < "2024-06-29"
          for feed, t in feeds.times.items() if feed in "ihm"))
    known = set(schools)
    named = {d["school_id"] for k in ("inspection.report.v1", "melding.ontvangen.v1", "toah.melding.v1") for d in feeds.rows(k, None)}
    check("every school named is known", named <= known)


def test_need():
    """Schools with more pupils on opleiding_moeder get more meldingen a pupil."""
    options = ["--schools", "1000", "--pupils", "6000000", "--years", ",".join(f"{y}-{y + 1}" for y in range(2018, 2024))]
    feeds = Feeds(generate("--feed", "melding", *options).splitlines())
    with tempfile.NamedTemporaryFile() as file:
        generate("--feed", "registration", "--schools", "1000", "--pupils", "60000", "--years", "2023-2024", "--summary", file.name)
        summary = json.load(file)
    share = {}
    for school in summary["schools"]:
        groups = school["years"][0]["groups"].values()
        share[school["school_id"]] = sum(g["opleiding_moeder"] for g in groups) / sum(g["pupils"] for g in groups)
    got = collections.Counter(d["school_id"] for d in feeds.rows("melding.ontvangen.v1", None) if d["level"] == "bao")
    bao = sorted((s["school_id"] for s in summary["schools"] if s["level"] == "bao"), key=share.get)
    third = len(bao) // 3
    low, high = sum(got[s] for s in bao[:third]), sum(got[s] for s in bao[-third:])
    check("meldingen follow need", 1.15 * low < high < 5 * low, (low, high))


def test_trouble():
    """Each kind of trouble stands at its school or pupil, whatever the seed, in small worlds too."""
    for options in (["--schools", "20", "--pupils", "4000"], ["--schools", "800", "--pupils", "8000", "--marginals", PUBLISHED],
                    ["--schools", "200", "--pupils", "60000", "--counts", COUNTS, "--corrections", "30", "--duplicates", "5"],
                    ["--schools", "100", "--pupils", "30000", "--years", "2020-2021,2021-2022,2022-2023,2023-2024"]):
        feeds = Feeds(generate("--feed", "school,institution," + SMALL, *options).splitlines())
        reports = collections.defaultdict(list)
        for d in sorted(feeds.rows("inspection.report.v1", None), key=lambda d: (d["date"], d["report_id"])):
            reports[d["school_id"]].append(d)
        verdicts = {s: [(d["school_year"], d["gok"]) for d in r if d["gok"] in ("positief", "negatief")] for s, r in reports.items()}
        check("900001: first negative, follow-up due on 2024-08-23", verdicts["900001"] == [("2023-2024", "negatief")] and
              reports["900001"][-1]["followup_due"] == "2024-08-23", reports["900001"])
        check("900002: two negatives", [v for _, v in verdicts["900002"]] == ["negatief"] * 2 and
              verdicts["900002"][-1][0] == "2022-2023", verdicts["900002"])
        check("900005: two negatives ended by a positive", [v for _, v in verdicts["900005"]] ==
              ["negatief", "negatief", "positief"] and verdicts["900005"][-1][0] == "2022-2023", verdicts["900005"])
        asked = {d["school_id"] for d in feeds.tables["inspection.opschorting.v1"].values()}
        check("900007: opschorting not asked yet", reports["900007"][-1]["advice"] == "ongunstig_met_opschorting" and
              reports["900007"][-1]["date"] == "2024-06-11" and "900007" not in asked)
        check("900010: zonder opschorting", reports["900010"][-1]["advice"] == "ongunstig_zonder_opschorting")
        insufficient = collections.defaultdict(list)
        for d in feeds.rows("huisonderwijs.controle.v1", None):
            insufficient[d["pupil"]].append((d["school_year"], d["verdict"]))
        check("pupil ...90001: a control is due", insufficient["feed" * 6 + "fee90001"] == [("2023-2024", "onvoldoende")],
              insufficient["feed" * 6 + "fee90001"])
        check("pupil ...90002: insufficient twice, in two school years", sorted(insufficient["feed" * 6 + "fee90002"]) ==
              [("2022-2023", "onvoldoende"), ("2023-2024", "onvoldoende")], insufficient["feed" * 6 + "fee90002"])
        answered = feeds.tables["melding.beantwoord.v1"]
        at = collections.defaultdict(list)
        for m, d in feeds.tables["melding.ontvangen.v1"].items():
            at[d["school_id"]].append((d["received_on"], m in answered))
        check("900012: a melding of 22 April without an answer", ("2024-04-22", False) in at["900012"], at["900012"])
        check("900013: seven meldingen in a year", len([r for r, _ in at["900013"] if "2023-09" <= r < "2024-09"]) == 7, at["900013"])


def test_small_corrections():
    """What stands in the end does not depend on corrections and duplicates; partitions add up."""
    base = ["--feed", SMALL, "--schools", "200", "--pupils", "60000"]
    plain = Feeds(generate(*base).splitlines())
    lines = generate(*base, "--corrections", "25", "--duplicates", "10", "--unmatched", "2").splitlines()
    mended = Feeds(lines)
    changed = []
    for kind in Feeds.KEYS:
        for key in set(plain.tables[kind]) | set(mended.tables[kind]):
            if "unmatched" not in key and not key.startswith("C-2021-80000") and plain.tables[kind].get(key) != mended.tables[kind].get(key):
                changed.append((kind, key))
    check("corrections and duplicates change nothing in the end", not changed and mended.withdrawn > 20, (changed, mended.withdrawn))
    check("corrections and duplicates come", len(lines) > 1.2 * len(generate(*base).splitlines()))
    decisions, requests = mended.tables["poah.beslissing.v1"], mended.tables["poah.aanvraag.v1"]
    check("two decisions without request", len(set(decisions) - set(requests)) == 2, set(decisions) - set(requests))
    answers, meldingen = mended.tables["melding.beantwoord.v1"], mended.tables["melding.ontvangen.v1"]
    check("two answers without melding", len(set(answers) - set(meldingen)) == 2, set(answers) - set(meldingen))
    controls = mended.tables["huisonderwijs.controle.v1"].values()
    first = {d["pupil"] for d in controls if d["ordinal"] == 1}
    check("two second controls without a first", len({d["pupil"] for d in controls if d["ordinal"] == 2} - first) == 2)
    check("none of these without --unmatched", set(plain.tables["poah.beslissing.v1"]) <= set(plain.tables["poah.aanvraag.v1"]))
    options = [*base, "--corrections", "25", "--duplicates", "10", "--unmatched", "2"]
    parts = [generate(*options, "--partition", f"{i}/3").splitlines() for i in range(3)]
    check("small feeds: partitions add up to the whole", collections.Counter(lines) == sum(map(collections.Counter, parts),
          collections.Counter()) and min(map(len, parts)) > 0.2 * len(lines), [len(p) for p in parts])
    wrong = []
    for i, part in enumerate(parts):
        for line in part:
            data = json.loads(line)["data"]
            if "pupil" in data and int(data["pupil"][:16], 16) % 3 != i:
                wrong.append(line)
            elif "pupil" not in data and "school_id" in data and b"poah" not in line and int(data["school_id"]) % 3 != i:
                wrong.append(line)
    check("small feeds: a partition has its own pupils, or schools, only", not wrong, wrong)


def test_small_bad():
    options = ["--feed", SMALL, "--schools", "1000", "--pupils", "300000"]
    good = generate(*options).splitlines()
    with tempfile.NamedTemporaryFile() as file:
        mixed = generate(*options, "--bad", "30", "--summary", file.name).splitlines()
        summary = json.load(file)
    rest = collections.Counter(mixed) - collections.Counter(good)
    check("small feeds: malformed lines come between the good ones and change none", sum(rest.values()) ==
          len(mixed) - len(good) == summary["bad"] > 0.25 * len(good), (len(mixed), len(good), summary["bad"]))
    kinds = collections.Counter()
    for line in rest:
        found = re.search(rb'"id":"bad-([a-z0-9.-]+)-\d+"', line)
        kinds[found.group(1).decode() if found else "nameless"] += 1
    check("small feeds: each kind is counted, and there are fifteen", kinds == {k: n for k, n in summary["bad_kinds"].items() if n}
          and len(kinds) >= 15, kinds)
    types = collections.Counter(t for x in rest for t in re.findall(rb'"type":"([a-z]+\.[a-z]+\.v)1"', x))
    check("small feeds: malformed lines of every type", {b"inspection.report.v", b"inspection.opschorting.v",
          b"huisonderwijs.verklaring.v", b"huisonderwijs.controle.v", b"poah.aanvraag.v", b"poah.beslissing.v", b"vlp.aanvraag.v",
          b"toah.melding.v", b"melding.ontvangen.v", b"melding.beantwoord.v"} <= set(types), types)


def main():
    print("seed", SEED)
    for test in (test_marginals, test_flanders, test_need, test_trouble, test_small_corrections, test_small_bad):
        test()
    with tempfile.NamedTemporaryFile() as file:
        output = generate(*DEMO, "--summary", file.name)
        summary = json.load(file)
    lines = output.splitlines()
    check("the same options give the same bytes", generate(*DEMO) == output)
    check("another seed gives other events", generate(*DEMO, seed=str(int(SEED) + 1)) != output)
    state = State(lines)
    counts = state.counts()
    test_published(state, counts)
    test_summary(state, counts, summary, lines)
    test_closed(state, summary)
    test_stories(state, counts, summary)
    test_known(state)
    test_shape(state, lines)
    test_together(state)
    test_partitions(lines)
    test_bad()
    test_options()
    alone = State(generate("--pupils", "7001", "--schools", "23", "--feed", "registration", "--years",
                           "2024-2025").splitlines())
    check("--pupils is the number of registrations in the base year", len(alone.registrations) == 7001,
          len(alone.registrations))
    start = time.monotonic()
    size = len(generate("--pupils", "200000", "--schools", "700", "--feed", "registration", "--years", "2023-2024"))
    spent = time.monotonic() - start
    print(f"speed: {200700 / spent:,.0f} events/s, {size / spent / 1e6:,.0f} MB/s")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
