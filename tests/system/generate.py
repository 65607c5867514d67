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
SEED = os.environ.get("TEST_SEED", "1")
INDICATORS = ("thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend", "buurt")
GROUPS = {"bao": {"kleuter", "lager"}, "so": {"graad1", "okan", "graad23"},
          "bubao": {"basisaanbod", "type3", "ander"}, "buso": {"basisaanbod", "type3", "ander"}}
TELDAG = {"2022-2023": "2023-02-01", "2023-2024": "2024-02-01", "2024-2025": "2025-02-03"}
DEMO = ["--pupils", "12000", "--schools", "40", "--counts", COUNTS, "--corrections", "10", "--duplicates", "5", "--unmatched", "4"]

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
                          (["--pupils", "9", "--schools", "1", "--seed", "1"], 0), (["--help"], 0)):
        done = subprocess.run([COMMAND, "generate", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              check=False)
        check(f"exit code {code}: {' '.join(options)}", done.returncode == code, (done.returncode, done.stderr))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COMMAND, "generate", "--pupils", "9", "--schools", "1", "--seed", "1"], stdout=full,
                              stderr=subprocess.DEVNULL, check=False)
    check("a full disk is told", done.returncode == 69, done.returncode)


def main():
    print("seed", SEED)
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
