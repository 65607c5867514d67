# SPDX-License-Identifier: MIT
"""A slow second opinion: what must stand after a list of events, worked out with fractions.Fraction from the text of the
regulation (docs/rules.md has its sections) and from docs/events.md, sharing nothing with the C code or the SQL check.

One stream only: a later line replaces an earlier one of the same key. Counts are Fractions of pupils.
"""
import datetime
import json
import math
from collections import defaultdict
from fractions import Fraction as F

FIVE = {"thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend"}
GROUPS = {"bao": ("kleuter", "lager"), "so": ("graad1", "okan", "graad23"), "bubao": ("basisaanbod", "type3", "ander"),
          "buso": ("basisaanbod", "type3", "ander")}
SHOWN = ("thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend", "buurt")
TELDAG = {2020: "2021-02-01", 2021: "2022-02-01", 2022: "2023-02-01", 2023: "2024-02-01", 2024: "2025-02-03", 2025: "2026-02-02"}

# Regulation 2, the table and its switches.
RULES = {
    "rounding": "gt4",
    "ses.moeder": ".26710", "ses.thuistaal": ".29116", "ses.schooltoelage": ".11917",
    "gok.weight.trekkend": ".8", "gok.weight.thuisloos": ".8", "gok.weight.moeder": ".6", "gok.weight.schooltoelage": ".4",
    "gok.weight.thuistaal": ".2", "gok.combination": True, "gok.cap": "1.2", "gok.brussels_factor": "1.5",
    "gok.concentration_factor": "1.5", "gok.concentration_share": ".55", "gok.round_points": True,
    "gok.threshold.graad1": ".10", "gok.threshold.okan": ".10", "gok.threshold.graad23": ".25",
    "gok.value.graad1": ".2916", "gok.value.okan": ".2916", "gok.value.graad23": ".1225", "gok.minimum": 6, "gok.minimum_on": "rounded",
    "bubao.moeder": ".80", "bubao.thuistaal": ".40", "bubao.threshold": ".40", "bubao.round_points": False,
    "bubao.value": ".252220818", "bubao.minimum": 6,
    "buso.moeder": ".80", "buso.thuistaal": ".40", "buso.threshold": ".40", "buso.round_points": True,
    "buso.value": ".227197", "buso.minimum": 6,
    "bu.eligibility": "and", "bu.share_counts": "moeder", "gedoog.covers": "threshold and minimum",
}


def year_of(text):
    return int(text[:4])


def name(year):
    return "%d-%d" % (year, year + 1)


def round_up_from(value, digit):
    """Up when the first decimal digit of a value >= 0 is at least digit."""
    whole = math.floor(value)
    return whole + (math.floor((value - whole) * 10) >= digit)


def half_up(value, decimals):
    return F(math.floor(value * 10 ** decimals + F(1, 2)), 10 ** decimals)


def indicators_of(data):
    found = set(data.get("indicators") or ())
    home = data.get("home_language")
    if home is not None:
        family = [home[m] for m in ("mother", "father", "siblings") if home.get(m) is not None]
        speaking = sum(family)
        if speaking == 0 or (len(family) == 3 and speaking <= 1):
            found.add("thuistaal")
    if found & {"thuisloos", "trekkend"}:
        found.add("buurt")
    return frozenset(found)


class Model:
    def __init__(self, lines, rules=None, near=(3, 1), teldag=None):
        self.rules = dict(RULES, **(rules or {}))
        self.near, self.teldag = near, {**TELDAG, **(teldag or {})}
        self.schools, self.known = {}, {}
        self.registrations = defaultdict(dict)  # (school, year) -> pupil -> data
        self.announced, self.closed = {}, set()
        self.memo = {}
        for line in lines:
            if line.strip():
                self.apply(json.loads(line))

    # ---- events ----

    def apply(self, event):
        kind, data = event["type"], event["data"]
        school = data["school_id"]
        if kind == "school.upsert.v1":
            self.schools[school] = data
        elif kind == "school.withdraw.v1":
            self.schools.pop(school, None)
        elif kind.startswith("entitlement."):
            key = (school, year_of(data["school_year"]), data["stream"], data["group"])
            if kind == "entitlement.known.v1":
                self.known[key] = data
            else:
                self.known.pop(key, None)
        else:
            where = (school, year_of(data["school_year"]))
            if kind == "registration.upsert.v1":
                self.registrations[where][data["pupil"].lower()] = data
            elif kind == "registration.withdraw.v1":
                self.registrations[where].pop(data["pupil"].lower(), None)
            elif kind == "registration.closed.v1":
                self.announced[where] = data["pupils"]
                if data["pupils"] == len(self.registrations[where]):
                    self.closed.add(where)
            else:
                raise ValueError(kind)

    # ---- counts ----

    def counted(self, where):
        """(pupil, group, weight, indicators) of the regular registrations present on the teldag."""
        day = datetime.date.fromisoformat(self.teldag[where[1]])
        for pupil, data in self.registrations.get(where, {}).items():
            begin, end = data.get("from"), data.get("until")
            if not data["regular"] or (begin and datetime.date.fromisoformat(begin) > day):
                continue
            if end and datetime.date.fromisoformat(end) <= day:
                continue
            yield pupil, data["group"], F(data.get("weight", 1)), indicators_of(data)

    def counts(self):
        """The view count: {(year, school, group): (pupils, gok_pupils, thuistaal, ..., buurt, closed)}"""
        out = {}
        for where in self.registrations:
            groups = defaultdict(list)
            for _, group, weight, indicators in self.counted(where):
                groups[group].append((weight, indicators))
            for group, pupils in groups.items():
                row = [sum(w for w, _ in pupils), sum(w for w, i in pupils if i & FIVE)]
                row += [sum(w for w, i in pupils if shown in i) for shown in SHOWN]
                out[name(where[1]), where[0], group] = tuple(map(F, row)) + (where in self.closed,)
        return out

    # ---- allocation ----

    def number(self, key):
        return F(self.rules[key])

    def rounded(self, value):
        return round_up_from(value, 5 if self.rules["rounding"] == "gt4" else 4)

    def weight_of(self, indicators):
        own = indicators & FIVE
        total = F(0)
        for indicator in own:
            if indicator == "thuistaal" and self.rules["gok.combination"] and own == {"thuistaal"}:
                continue
            total += self.number("gok.weight." + indicator.replace("opleiding_", ""))
        return min(total, self.number("gok.cap"))

    def so_points(self, pupils, group, brussels):
        n = sum(w for w, _ in pupils)
        points = sum(w * self.weight_of(i) for w, i in pupils)
        share = max(sum(w for w, i in pupils if x in i) / n for x in ("schooltoelage", "thuistaal"))
        factors = [F(1)]
        if brussels:
            factors.append(self.number("gok.brussels_factor"))
        if share >= self.number("gok.concentration_share"):
            factors.append(self.number("gok.concentration_factor"))
        points *= max(factors)
        if self.rules["gok.round_points"]:
            points = F(self.rounded(points))
        return points, points * self.number("gok.value." + group), sum(w for w, i in pupils if i & FIVE)

    def bu_points(self, pupils, level):
        moeder = sum(w for w, i in pupils if "opleiding_moeder" in i)
        both = sum(w for w, i in pupils if {"opleiding_moeder", "thuistaal"} <= i)
        points = moeder * self.number(level + ".moeder") + both * self.number(level + ".thuistaal")
        if self.rules[level + ".round_points"]:
            points = F(self.rounded(points))
        counting = moeder if self.rules["bu.share_counts"] == "moeder" else sum(w for w, i in pupils if i & FIVE)
        return points, points * self.number(level + ".value"), counting

    def rows(self, school, use):
        """{(stream, group): row} of one school and year of use."""
        if (school, use) not in self.memo:
            self.memo[school, use] = self.compute(school, use)
        return self.memo[school, use]

    def compute(self, school, use):
        facts = self.schools.get(school)
        if not facts or facts["level"] not in GROUPS or (facts.get("closed_on") or "9999") <= "%d-09-01" % use:
            return {}
        level, out = facts["level"], {}
        groups = defaultdict(list)
        for _, group, weight, indicators in self.counted((school, use - 1)):
            if group in GROUPS[level] and group != "ander":
                groups["aanbod" if level in ("bubao", "buso") else group].append((weight, indicators))
        for group, pupils in groups.items():
            n = sum(w for w, _ in pupils)
            row = {"pupils": n, "sanction_factor": F(1), "points": None, "threshold": None, "minimum": None,
                   "margin_pupils": None, "margin_hours": None}
            if level == "bao":
                stream = "ses_lestijden"
                exact = sum(w * sum(self.number("ses." + i.replace("opleiding_", "")) for i in ind & FIVE - {"thuisloos", "trekkend"})
                            for w, ind in pupils)
                gok = sum(w for w, i in pupils if i & FIVE)
            elif level == "so":
                stream = "gok_uren_leraar"
                row["points"], exact, gok = self.so_points(pupils, group, facts["brussels"])
                row["threshold"], row["minimum"] = self.number("gok.threshold." + group), self.rules["gok.minimum"]
            else:
                stream = {"bubao": "gok_aanvullende_lestijden", "buso": "gok_extra_lesuren"}[level]
                row["points"], exact, gok = self.bu_points(pupils, level)
                row["threshold"], row["minimum"] = self.number(level + ".threshold"), self.rules[level + ".minimum"]
            row.update(gok_pupils=F(gok), share=half_up(F(gok) / n, 9), hours_exact=F(exact), hours=self.rounded(F(exact)))
            self.settle(school, use, stream, group, row, F(gok) / n)
            out[stream, group] = row
        return out

    def settle(self, school, use, stream, group, row, share):
        row["status"], row["previous"] = "granted", None
        if row["threshold"] is not None:
            t = row["threshold"]
            row["margin_pupils"] = math.floor((row["gok_pupils"] - t * row["pupils"]) / (1 - t))
            row["margin_hours"] = row["hours"] - row["minimum"]
            reached = share >= t
            enough = (row["hours"] if self.rules["gok.minimum_on"] == "rounded" else row["hours_exact"]) >= row["minimum"]
            either = group == "aanbod" and self.rules["bu.eligibility"] == "or"
            row["previous"] = self.previous(school, use - 1, stream, group, {school})
            if not ((reached or enough) if either else (reached and enough)):
                covered = reached or self.rules["gedoog.covers"] == "threshold and minimum"
                if row["previous"] == "granted" and covered:
                    row["status"] = "grace"
                else:
                    row["status"] = "below_minimum" if reached else "below_threshold"
        row["granted"] = row["hours"] if row["status"] in ("granted", "grace") else 0

    def previous(self, school, use, stream, group, seen):
        """Status in a year: computed, else known, else of the schools whose successor this is; None = nobody knows."""
        if use < 1990:
            return None
        row = self.rows(school, use).get((stream, group)) if (school, use - 1) in self.registrations else None
        if row:
            return row["status"]
        if (school, use, stream, group) in self.known:
            return self.known[school, use, stream, group]["status"]
        found = [self.previous(s, use, stream, group, seen | {s}) for s, d in self.schools.items()
                 if d.get("successor_id") == school and s not in seen]
        order = ["granted", "grace", "below_threshold", "below_minimum"]
        return min((f for f in found if f), key=order.index, default=None)

    def allocations(self):
        """The view allocation without rules: {(year, school, stream, group): row}"""
        out = {}
        for school, count_year in list(self.registrations):
            for (stream, group), row in self.rows(school, count_year + 1).items():
                out[name(count_year + 1), school, stream, group] = row
        return out

    # ---- alerts ----

    def alerts(self):
        """What fires: {(kind, school, year, group, stream, subject): severity}, not stream.* and dead_letter."""
        out = {}
        for (year, school, stream, group), row in self.allocations().items():
            kind, severity = self.threshold_alert(row)
            if kind and (school, year_of(year) - 1) in self.closed:
                out[kind, school, year, group, stream, ""] = severity
        for where, announced in self.announced.items():
            if announced != len(self.registrations.get(where, {})):
                out["count.incomplete", where[0], name(where[1]), "", "", ""] = "warning"
        present = defaultdict(list)
        for where in self.closed:
            for pupil, _, weight, _ in self.counted(where):
                present[where[1], pupil].append((where[0], weight))
        for (year, pupil), places in present.items():
            if len(places) > 1 and sum(w for _, w in places) > 1:
                for school, _ in places:
                    out["registration.double", school, name(year), "", "", pupil] = "warning"
        return out

    def threshold_alert(self, row):
        if row["threshold"] is None:
            return None, None
        if row["status"] == "grace":
            return "threshold.grace", "warning"
        if row["status"] != "granted":
            return ("threshold.lost", "critical") if row["previous"] in ("granted", "grace") else (None, None)
        if row["margin_pupils"] <= self.near[0] or row["margin_hours"] <= self.near[1]:
            bare = 0 in (row["margin_pupils"], row["margin_hours"]) and row["previous"] != "granted"
            return "threshold.near", "critical" if bare else "warning"
        return None, None


# ---- the same out of the database ----

COUNT_COLUMNS = ("pupils", "gok_pupils") + SHOWN
ROW_COLUMNS = ("pupils", "gok_pupils", "share", "threshold", "points", "hours_exact", "hours", "minimum", "status", "sanction_factor",
               "granted", "margin_pupils", "margin_hours")


def database_counts(sql):
    rows = sql('SELECT school_year, school_id, "group", %s, closed FROM teldag.count' % ", ".join(COUNT_COLUMNS))
    return {tuple(r[:3]): tuple(map(F, r[3:-1])) + (r[-1] == "t",) for r in rows}


def database_allocations(sql):
    out = {}
    for r in sql('SELECT school_year, school_id, stream, "group", %s FROM teldag.allocation' % ", ".join(ROW_COLUMNS)):
        row = dict(zip(ROW_COLUMNS, r[4:]))
        out[tuple(r[:4])] = {k: v if k == "status" or v is None else F(v) for k, v in row.items()}
    return out


def database_alerts(sql):
    rows = sql('SELECT kind, school_id, school_year, "group", stream, subject, severity FROM teldag.alert'
               " WHERE state = 'firing' AND kind NOT LIKE 'stream.%' AND kind <> 'dead_letter'")
    return {tuple(r[:6]): r[6] for r in rows}


def differences(wanted, got, what):
    """At most five lines; [] when equal in every key and column."""
    out = []
    for key in sorted(set(wanted) | set(got), key=str):
        a, b = wanted.get(key), got.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            a, b = [{c: r[c] for c in ROW_COLUMNS} for r in (a, b)]
            a, b = [{c: r[c] for c in ROW_COLUMNS if x[c] != y[c]} for r, x, y in ((a, a, b), (b, a, b))]
        if a != b:
            out.append("%s %s: wanted %s, got %s" % (what, key, a, b))
    return out[:5]


def compare(sql, model):
    """Every count, allocation row and alert of the database against the model."""
    found = differences(model.counts(), database_counts(sql), "count")
    found += differences(model.allocations(), database_allocations(sql), "allocation")
    found += differences(model.alerts(), database_alerts(sql), "alert")
    assert not found, "\n".join(found)
