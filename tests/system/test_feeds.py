# SPDX-License-Identifier: MIT
"""Every field and rule of the feeds school and registration, from the feeder to the views, each followed by verify; and
thousands of generated events, with corrections and duplicates, against a second opinion (model.py)."""
import json
import random

import harness
import model
from harness import Shared, World, closed, event, generate, pupil, registration, school, withdraw

GOK = ["opleiding_moeder", "schooltoelage"]  # 0.6 + 0.4 points in so
Y23, Y24, Y25 = "2023-2024", "2024-2025", "2025-2026"


class Bench:
    def __init__(self, world):
        self.s, self.r, self.s1, self.r1 = map(world.feed, ("school.0", "registration.0", "school.1", "registration.1"))
        self.d = world.daemon([self.s, self.r, self.s1, self.r1]).migrate().start()
        self.sql = world.cluster.sql

    def send(self, *lines, verify=False):
        """Each line to the stream of its feed; what it did is committed on return."""
        feed = {"s": self.s, "e": self.s, "r": self.r}
        for f in (self.s, self.r):
            mine = [l for l in lines if feed[json.loads(l)["type"][0]] is f]
            if mine:
                f.send(mine)
        self.d.caught_up()
        if verify:
            self.d.verify()

    def count(self, school_id, group, columns="pupils", year=Y24):
        rows = self.sql("SELECT %s FROM teldag.count WHERE school_id = '%d' AND \"group\" = '%s' AND school_year = '%s'" %
                        (columns, school_id, group, year))
        return rows[0] if rows else None

    def row(self, school_id, columns="status, hours, granted", year=Y25, group="graad1"):
        rows = self.sql("SELECT %s FROM teldag.allocation WHERE school_id = '%d' AND \"group\" = '%s' AND school_year = '%s'" %
                        (columns, school_id, group, year))
        assert len(rows) < 2, rows
        return rows[0] if rows else None

    def alerts(self, *school_ids, kind="%", columns="kind"):
        rows = self.sql("SELECT %s FROM teldag.alert WHERE state = 'firing' AND school_id IN (%s) AND kind LIKE '%s' ORDER BY 1, school_id" %
                        (columns, ", ".join("'%d'" % i for i in school_ids), kind))
        return [r[0] if len(r) == 1 else r for r in rows]


bench = Shared(Bench, fsync="off")


def so_group(school_id, first, gok=20, pupils=40, year=Y24, group="graad1", **extra):
    """40 pupils, 20 of them worth a point each: 20 x .2916 = 5.832, 6 hours, granted with a margin of 0 hours."""
    return [registration(school_id, first + i, group, GOK if i < gok else [], year=year, **extra) for i in range(pupils)]


def equal(got, wanted, what=""):
    assert got == wanted, "%s: got %r, wanted %r" % (what, got, wanted)


# ---- registrations ----

def test_corrections_and_withdrawals():
    b = bench()
    b.send(school(201, "so"), *so_group(201, 20100), closed(201, 40))
    columns = "pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt, closed"
    equal(b.count(201, "graad1", columns), ["40", "20", "0", "20", "20", "0", "0", "0", "t"])
    equal(b.row(201), ["granted", "6", "6"])
    # A correction replaces every field; thuisloos implies buurt; the pupil's hex digits in capitals are the same pupil.
    b.send(registration(201, 20100, "graad1", ["thuisloos", "thuistaal"], pupil=pupil(20100).upper()), verify=True)
    equal(b.count(201, "graad1", columns), ["40", "20", "1", "19", "19", "1", "0", "1", "t"])
    b.send(withdraw(201, 20100), verify=True)
    equal(b.count(201, "graad1", columns), ["39", "19", "0", "19", "19", "0", "0", "0", "t"])
    equal(b.row(201, "pupils, gok_pupils, share, points, hours_exact"), ["39", "19", "0.487179487", "19", "5.5404"])
    b.send(withdraw(201, 20100), withdraw(201, 29999))  # again, and of one that never was
    equal(b.count(201, "graad1"), ["39"])
    again = registration(201, 20100, "graad1", GOK)
    b.send(again, again, again, verify=True)
    equal(b.count(201, "graad1", columns), ["40", "20", "0", "20", "20", "0", "0", "0", "t"])
    equal(b.sql("SELECT school_year, \"group\", regular, weight, indicators FROM teldag.registration WHERE school_id = '201' AND pupil = '%s'"
                % pupil(20100)), [[Y24, "graad1", "t", "1", "{schooltoelage,opleiding_moeder}"]])


def test_closing():
    b = bench()
    incomplete = lambda: b.alerts(202, kind="count.incomplete")
    state = lambda: b.count(202, "graad1", "closed")
    lines = so_group(202, 20200)
    b.send(school(202, "so"), closed(202, 40))  # early
    equal(incomplete(), ["count.incomplete"], "announced before the registrations")
    b.send(*lines, verify=True)
    equal((state(), incomplete(), b.alerts(202)), (["f"], [], []), "the number fits now, but no closed matched at its position")
    b.send(closed(202, 40), verify=True)
    equal((state(), incomplete()), (["t"], []))
    equal(b.alerts(202), ["threshold.near"], "alerts follow a closed count")
    b.send(registration(202, 20299, "graad1"), verify=True)
    equal((state(), incomplete()), (["t"], ["count.incomplete"]), "closed stays closed")
    b.send(closed(202, 40), closed(202, 42))
    equal((state(), incomplete()), (["t"], ["count.incomplete"]))
    b.send(closed(202, 41), verify=True)
    equal(incomplete(), [])
    equal(b.sql("SELECT state FROM teldag.alert_log WHERE school_id = '202' AND kind = 'count.incomplete' ORDER BY seq"),
          [["firing"], ["resolved"], ["firing"], ["resolved"]])
    b.send(school(203, "so"), *so_group(203, 20300), closed(203, 39), closed(203, 41), verify=True)  # never matching
    equal(b.count(203, "graad1", "closed"), ["f"])
    equal((b.alerts(203), b.row(203)), (["count.incomplete"], ["granted", "6", "6"]), "granted, but not alerted on")


def test_weights():
    b = bench()
    lines = [registration(204, 900000 + i, "kleuter", ["thuistaal"] if i < 2 else [], weight=0.5 if i == 0 else 1) for i in range(734)]
    b.send(school(204, "bao"), *lines, closed(204, 734), verify=True)
    equal(b.count(204, "kleuter", "pupils, thuistaal, closed"), ["733.5", "1.5", "t"])
    equal(b.row(204, "pupils, gok_pupils, points, hours_exact, hours, granted, minimum, margin_pupils", group="kleuter"),
          ["733.5", "1.5", None, "0.43674", "0", "0", None, None])
    equal(b.sql("SELECT pupils, thuistaal, oki FROM teldag.oki WHERE school_id = '204'"), [["733.5", "1.5", "0.0020"]])


def test_from_until_around_the_teldag():
    b = bench()
    day, eve, after = "2025-02-03", "2025-02-02", "2025-02-04"
    cases = [({"from": day}, True), ({"from": eve}, True), ({"from": after}, False), ({"until": day}, False), ({"until": after}, True),
             ({"until": eve}, False), ({"from": day, "until": after}, True), ({"from": day, "until": day}, False), ({}, True),
             ({"from": None, "until": None}, True)]
    for i, (dates, _) in enumerate(cases):  # a school for each
        b.s.send([school(2050 + i, "bao")])
        b.r.send([registration(2050 + i, 20500 + i, "lager", **dates), closed(2050 + i, 1)])
    b.d.caught_up()
    b.d.verify()
    for i, (dates, counts) in enumerate(cases):
        equal(b.count(2050 + i, "lager", "pupils, closed"), ["1", "t"] if counts else None, "from, until %s" % dates)
    equal(b.alerts(*range(2050, 2050 + len(cases))), [], "whoever is not there on the teldag is held all the same")


def test_not_regular():
    b = bench()
    b.send(school(206, "bao"), registration(206, 20600, "lager", GOK), registration(206, 20601, "lager", GOK, regular=False), closed(206, 2),
           verify=True)
    equal(b.count(206, "lager", "pupils, opleiding_moeder, closed"), ["1", "1", "t"])
    text = b.d.ctl("school", "206", "--registrations")
    reason = [l for l in text.splitlines() if pupil(20601) in l]
    assert reason and "regular" in reason[0] and pupil(20600) not in text, text
    b.send(registration(206, 20600, "lager", GOK, regular=False), verify=True)
    equal(b.count(206, "lager"), None)
    equal(b.row(206, group="lager"), None)


def test_home_language():
    b = bench()
    t, f, n = True, False, None
    cases = [((f, f, f), True), ((t, f, f), True), ((t, t, f), False), ((t, t, t), False), ((f, f, n), True), ((t, f, n), False),
             ((f, n, n), True), ((t, n, n), False), ((n, n, n), True), ((f, t, f), True), ((f, f, t), True), ((n, t, f), False)]
    for i, (family, indicates) in enumerate(cases):
        line = json.loads(registration(2070 + i, 20700 + i, "lager"))
        del line["data"]["indicators"]
        line["data"]["home_language"] = {k: v for k, v in zip(("mother", "father", "siblings"), family) if v is not None or i % 2}
        b.r.send([json.dumps(line)])
    b.d.caught_up()
    for i, (family, indicates) in enumerate(cases):
        equal(b.count(2070 + i, "lager", "pupils, thuistaal"), ["1", str(int(indicates))], "family %r" % (family,))
    # Both given: either.
    b.send(registration(207, 20750, "lager", ["buurt"], home_language={"mother": False}), verify=True)
    equal(b.sql("SELECT indicators FROM teldag.registration WHERE pupil = '%s'" % pupil(20750)), [["{thuistaal,buurt}"]])


def test_moves_and_double_registration():
    b = bench()
    doubles = lambda: b.alerts(208, 209, kind="registration.double", columns="school_id, subject, school_year, severity")
    b.send(school(208, "so"), school(209, "so"), *so_group(208, 20800), *so_group(209, 20900))
    # Between groups of a school.
    b.send(registration(208, 20800, "graad23", GOK))
    equal((b.count(208, "graad1"), b.count(208, "graad23")), (["39"], ["1"]))
    # To another school; the first does not know it yet.
    b.send(registration(209, 20801, "graad1", GOK), closed(208, 40), verify=True)
    equal(doubles(), [], "the count of 209 is not closed")
    b.send(closed(209, 41), verify=True)
    p = pupil(20801)
    equal(doubles(), [["208", p, Y24, "warning"], ["209", p, Y24, "warning"]])
    equal(b.count(208, "graad1"), ["39"], "counts are not changed by it")
    b.send(withdraw(208, 20801), closed(208, 39), verify=True)
    equal(doubles(), [])
    # Halves that add up to one are no double registration; more than one is; not regular is none.
    b.send(registration(208, 20802, "graad1", weight=0.5), registration(209, 20802, "graad1", weight=0.5), closed(209, 42), verify=True)
    equal(doubles(), [])
    b.send(registration(209, 20802, "graad1", weight=1), verify=True)
    equal(len(doubles()), 2)
    b.send(registration(209, 20802, "graad1", regular=False), verify=True)
    equal(doubles(), [])
    b.send(registration(209, 20802, "graad1", weight=1, **{"from": "2025-02-04"}), verify=True)
    equal(doubles(), [], "not there on the teldag")
    # Another school year is another count.
    b.send(registration(209, 20803, "graad1", year=Y23), closed(209, 1, Y23), verify=True)
    equal(doubles(), [])


# ---- schools ----

def test_level_changes():
    b = bench()
    b.send(school(210, "so"), *so_group(210, 21000), closed(210, 40))
    equal((b.row(210), b.alerts(210)), (["granted", "6", "6"], ["threshold.near"]))
    unmatched = lambda: b.sql("SELECT count(*), min(reason), min(stream) FROM teldag.unmatched WHERE key LIKE '%% 210 %%'")[0]
    equal(unmatched()[0], "0")
    b.send(school(210, "bao"), verify=True)
    equal((b.row(210), b.alerts(210), b.count(210, "graad1")), (None, [], ["40"]))
    equal(unmatched(), ["40", "group graad1 does not fit level bao", "registration.0"])
    b.send(registration(210, 21000, "lager", GOK), verify=True)
    equal((b.row(210, group="lager"), unmatched()[0]), (["granted", "0", "0"], "39"))
    b.send(school(210, "clb"), verify=True)
    equal((b.row(210, group="lager"), unmatched()[0]), (None, "40"))
    b.send(school(210, "so"), verify=True)
    equal((b.row(210, "status, gok_pupils"), b.alerts(210), unmatched()[0]), (["granted", "19"], ["threshold.near"], "1"))


def test_bu_streams():
    b = bench()
    both = ["opleiding_moeder", "thuistaal"]
    for school_id, level, stream in ((211, "bubao", "gok_aanvullende_lestijden"), (212, "buso", "gok_extra_lesuren")):
        lines = [registration(school_id, school_id * 100 + i, "basisaanbod" if i % 2 else "type3", ["opleiding_moeder"] if i < 33 else [])
                 for i in range(50)]
        lines += [registration(school_id, school_id * 100 + i, "basisaanbod" if i % 2 else "type3", both) for i in range(14)]
        lines += [registration(school_id, school_id * 100 + 90, "ander", both)]
        b.send(school(school_id, level), *lines, closed(school_id, 51), verify=True)
        equal(b.sql("SELECT stream, \"group\" FROM teldag.allocation WHERE school_id = '%d'" % school_id), [[stream, "aanbod"]])
    # 33 on moeder, 14 of them on thuistaal: 26.4 + 5.6 = 32 points (regulation 2); ander is not in the offer.
    equal(b.row(211, "pupils, gok_pupils, points, hours_exact, hours, margin_pupils, margin_hours", group="aanbod"),
          ["50", "33", "32", "8.071066176", "8", "21", "2"])
    equal(b.row(212, "pupils, gok_pupils, points, hours_exact, hours, margin_pupils, margin_hours", group="aanbod"),
          ["50", "33", "32", "7.270304", "7", "21", "1"])


def test_brussels():
    b = bench()
    b.send(school(213, "so"), *so_group(213, 21300))
    equal(b.row(213, "points, hours"), ["20", "6"])
    b.send(school(213, "so", province="brussel"), verify=True)
    equal(b.row(213, "points, hours"), ["20", "6"], "the province does not decide")
    b.send(school(213, "so", brussels=True), verify=True)
    equal(b.row(213, "points, hours"), ["30", "9"])
    # Concentration: 22 of 40 on schooltoelage is 55 %, and not cumulative with Brussels.
    b.send(registration(213, 21338, "graad1", ["schooltoelage"]), registration(213, 21339, "graad1", ["schooltoelage"]), verify=True)
    equal(b.row(213, "points, hours"), ["31", "9"])  # 20.8 x 1.5 = 31.2
    b.send(school(213, "so"), verify=True)
    equal(b.row(213, "points, hours"), ["31", "9"])
    b.send(registration(213, 21339, "graad1", []), verify=True)
    equal(b.row(213, "points, hours"), ["20", "6"])  # 20.4


def test_school_closes():
    b = bench()
    b.send(school(214, "so"), *so_group(214, 21400), closed(214, 40))
    equal(b.alerts(214), ["threshold.near"])
    b.send(school(214, "so", closed_on="2025-09-02"), verify=True)
    equal((b.row(214), b.alerts(214)), (["granted", "6", "6"], ["threshold.near"]), "the year had begun")
    for day in ("2025-09-01", "2025-08-31", "2024-01-01"):
        b.send(school(214, "so", closed_on=day), verify=True)
        equal((b.row(214), b.alerts(214), b.count(214, "graad1")), (None, [], ["40"]), day)
    b.send(school(214, "so", closed_on=None), verify=True)
    equal((b.row(214), b.alerts(214)), (["granted", "6", "6"], ["threshold.near"]))


def test_successor_inherits():
    b = bench()
    old = lambda **extra: school(215, "so", **extra)
    b.send(old(), school(216, "so"), *so_group(215, 21500, year=Y23), closed(215, 40, Y23), *so_group(216, 21600, gok=3), closed(216, 40))
    equal((b.row(215, year=Y24), b.row(216)), (["granted", "6", "6"], ["below_threshold", "1", "0"]))
    equal(b.alerts(216), [], "never had it, so nothing is lost")
    b.send(old(closed_on="2025-08-31", successor_id="216"), verify=True)
    equal((b.row(216), b.alerts(216)), (["grace", "1", "1"], ["threshold.grace"]), "gedoogjaar inherited")
    b.send(old(closed_on="2025-08-31", successor_id="217"), verify=True)
    equal((b.row(216), b.alerts(216)), (["below_threshold", "1", "0"], []))
    # Through two successors.
    b.send(school(217, "so", successor_id="216"), verify=True)
    equal(b.row(216), ["grace", "1", "1"])
    # An own history goes before an inherited one.
    b.send(*so_group(216, 21600, gok=3, year=Y23), verify=True)
    equal(b.row(216), ["below_threshold", "1", "0"])


def test_registrations_before_their_school():
    b = bench()
    b.send(*so_group(218, 21800), closed(218, 40), verify=True)
    unmatched = lambda: b.sql("SELECT DISTINCT stream, reason, split_part(key, ' ', 1), count(*) OVER () FROM teldag.unmatched"
                              " WHERE split_part(key, ' ', 2) = '218'")
    equal(unmatched(), [["registration.0", "unknown school", Y24, "40"]])
    equal((b.count(218, "graad1", "pupils, closed"), b.row(218), b.alerts(218)), (["40", "t"], None, []))
    status = b.d.json("status")
    assert status["writer"]["unmatched"] >= 40, status["writer"]
    b.send(school(218, "so"), verify=True)
    equal((unmatched(), b.row(218), b.alerts(218)), ([], ["granted", "6", "6"], ["threshold.near"]))
    b.send(event("school.withdraw.v1", {"school_id": "218"}), verify=True)
    equal((unmatched()[0][1], b.row(218), b.alerts(218)), ("unknown school", None, []))
    equal(b.sql("SELECT * FROM teldag.school WHERE school_id = '218'"), [])
    b.send(school(218, "so", name="Terug", network="officieel", province="limburg", municipality="Genk", board_id="B1"), verify=True)
    equal(b.sql("SELECT name, level, network, province, municipality, brussels, board_id, closed_on, successor_id FROM teldag.school"
                " WHERE school_id = '218'"), [["Terug", "so", "officieel", "limburg", "Genk", "f", "B1", None, None]])
    equal(b.row(218), ["granted", "6", "6"])


# ---- history ----

def known(school_id, status, hours, year=Y24, group="graad1", stream="gok_uren_leraar", kind="known", **extra):
    data = {"school_id": str(school_id), "stream": stream, "group": group, "school_year": year}
    if kind == "known":
        data.update(status=status, hours=hours)
    return event("entitlement.%s.v1" % kind, data, **extra)


def test_entitlement_known():
    b = bench()
    b.send(school(219, "so"), *so_group(219, 21900, gok=3), closed(219, 40))
    equal((b.row(219), b.alerts(219)), (["below_threshold", "1", "0"], []))
    b.send(known(219, "granted", 8), verify=True)
    equal((b.row(219), b.alerts(219)), (["grace", "1", "1"], ["threshold.grace"]), "history before the first feed")
    assert "entitlement" in b.d.ctl("explain", "219").lower()
    b.send(known(219, "grace", 8), verify=True)
    equal((b.row(219), b.alerts(219)), (["below_threshold", "1", "0"], ["threshold.lost"]), "no grace after grace")
    b.send(known(219, "below_minimum", 0), verify=True)
    equal((b.row(219), b.alerts(219)), (["below_threshold", "1", "0"], []))
    b.send(known(219, "granted", 8, group="okan"), verify=True)
    equal(b.row(219), ["below_threshold", "1", "0"], "another group's history")
    b.send(known(219, "granted", 9), known(219, "granted", 4, year=Y25), verify=True)
    equal(b.sql("SELECT school_year, stream, status, hours FROM teldag.allocation_known WHERE school_id = '219' AND \"group\" = 'graad1' ORDER BY 1"),
          [[Y24, "gok_uren_leraar", "granted", "9"], [Y25, "gok_uren_leraar", "granted", "4"]])
    equal(b.sql("SELECT known_status, computed_status, known_hours, computed_granted, difference FROM teldag.allocation_difference"
                " WHERE school_id = '219' AND \"group\" = 'graad1' ORDER BY school_year"),
          [["granted", None, "9", None, "-9"], ["granted", "grace", "4", "1", "-3"]])
    b.send(known(219, None, None, kind="withdraw"), verify=True)
    equal((b.row(219), b.alerts(219)), (["below_threshold", "1", "0"], []))
    equal(b.sql("SELECT school_year FROM teldag.allocation_known WHERE school_id = '219' AND \"group\" = 'graad1'"), [[Y25]])
    # What was computed goes before what was made known.
    b.send(known(219, "granted", 9), *so_group(219, 21900, gok=3, year=Y23), verify=True)
    equal(b.row(219), ["below_threshold", "1", "0"])


def test_gedoogjaar_over_the_years():
    b = bench()
    years = ["2021-2022", "2022-2023", Y23, Y24]
    b.send(school(220, "so"))
    for year, gok in zip(years, (20, 3, 3, 3)):
        b.send(*so_group(220, 22000, gok=gok, year=year), closed(220, 40, year))
    state = lambda: [r[0] for r in b.sql("SELECT status FROM teldag.allocation WHERE school_id = '220' ORDER BY school_year")]
    b.d.verify()
    equal(state(), ["granted", "grace", "below_threshold", "below_threshold"])
    equal(b.alerts(220, columns="school_year, kind, severity"),
          [["2022-2023", "threshold.near", "critical"], [Y23, "threshold.grace", "warning"], [Y24, "threshold.lost", "critical"]])
    # A change in the oldest count re-evaluates the three years after it.
    b.send(withdraw(220, 22000, years[0]), withdraw(220, 22001, years[0]), verify=True)  # 18 points: 5.2488
    equal(state(), ["below_minimum", "below_threshold", "below_threshold", "below_threshold"])
    equal(b.alerts(220, columns="school_year, kind"), [["2021-2022", "count.incomplete"]])
    b.send(*so_group(220, 22000, year=years[0]), *so_group(220, 22000, year=years[1]), verify=True)
    equal(state(), ["granted", "granted", "grace", "below_threshold"])
    equal(b.alerts(220, columns="school_year, kind, severity"),
          [["2022-2023", "threshold.near", "critical"], [Y23, "threshold.near", "warning"], [Y24, "threshold.grace", "warning"],
           [Y25, "threshold.lost", "critical"]])


# ---- streams ----

def test_one_key_on_two_streams():
    b = bench()
    at = lambda hour, indicators, **extra: registration(221, 22100, "lager", indicators, time_text="2025-01-10T%02d:00:00Z" % hour, **extra)
    shown = lambda: b.sql("SELECT indicators FROM teldag.registration WHERE school_id = '221'")
    both = lambda: (b.d.caught_up(), b.d.verify())
    b.send(school(221, "bao"))
    b.r.send([at(12, ["thuistaal"])])
    b.r1.send([at(10, ["buurt"])])
    both()
    equal(shown(), [["{thuistaal}"]], "the later time wins, whichever arrives last")
    b.r1.send([at(14, ["schooltoelage"])])
    both()
    equal(shown(), [["{schooltoelage}"]])
    b.r.send([at(14, ["buurt"])])
    both()
    equal(shown(), [["{schooltoelage}"]], "the same time: the stream whose name sorts last")
    b.r1.send([event("registration.withdraw.v1", {"school_id": "221", "school_year": Y24, "pupil": pupil(22100)}, "2025-01-10T15:00:00Z")])
    both()
    equal(shown(), [], "a withdrawal is an event like another")
    b.r.send([at(16, ["trekkend"])])
    both()
    equal(shown(), [["{trekkend,buurt}"]])
    # Within a stream the position decides, not the time.
    b.r.send([at(9, [])])
    both()
    equal(shown(), [], "the last word of registration.0 is now older than the withdrawal")
    b.s.send([event("school.upsert.v1", json.loads(school(222, "so"))["data"], "2025-01-02T00:00:00+01:00")])
    b.s1.send([event("school.upsert.v1", json.loads(school(222, "bao"))["data"], "2025-01-01T23:59:59Z")])
    both()
    equal(b.sql("SELECT level FROM teldag.school WHERE school_id = '222'"), [["bao"]], "times are compared in UTC")


VIEWS = {"school": "school_id, name, level, closed_on, successor_id, brussels", "count": "*", "oki": "*",
         "registration": 'school_year, school_id, pupil, "group", regular, weight, indicators', "allocation": "*",
         "allocation_known": 'school_year, school_id, stream, "group", status, hours', "allocation_difference": "*",
         "unmatched": "stream, seq, key, reason", "feed_progress": "stream, next_seq",
         "alert": 'kind, severity, state, school_id, school_year, "group", stream, subject'}


def test_order_between_streams_does_not_matter():
    options = ["--pupils", 800, "--schools", 40, "--seed", harness.SEED, "--years", "2022-2023,2023-2024,2024-2025", "--corrections", 20,
               "--duplicates", 10, "--unmatched", 3]
    feeds = [generate(*options, "--partition", p, "--feed", f).splitlines() for f in ("school,entitlement", "registration")
             for p in ("0/2", "1/2")]
    names = ["school.0", "school.1", "registration.0", "registration.1"]
    seen = []
    for way in range(2):
        with World(fsync="off") as w:
            streams = [w.feed(n) for n in names]
            d = w.daemon(streams).migrate().start()
            if way == 0:  # registrations first, a stream at a time
                for i in (3, 2, 1, 0):
                    streams[i].append(feeds[i])
                    d.caught_up()
            else:  # small pieces of all four, at random
                rest = [list(f) for f in feeds]
                while any(rest):
                    i = random.choice([i for i in range(4) if rest[i]])
                    n = random.randint(1, 300)
                    streams[i].send(rest[i][:n], wait=False)
                    del rest[i][:n]
                harness.wait_for(lambda: all(s.acked == len(f) for s, f in zip(streams, feeds)), 30, "all acknowledged")
                d.caught_up()
            d.verify()
            seen.append({v: sorted(map(repr, w.cluster.sql("SELECT %s FROM teldag.%s %s" % (
                c, v, "WHERE state = 'firing'" if v == "alert" else "")))) for v, c in VIEWS.items()})
    for view in VIEWS:
        assert seen[0][view], "%s is empty: nothing was compared" % view
        equal([r for r in seen[0][view] if r not in seen[1][view]][:3], [], "%s, one by one but not mixed" % view)
        equal(len(seen[0][view]), len(seen[1][view]), view)


def test_second_opinion():
    options = ["--pupils", 3000, "--schools", 60, "--seed", harness.SEED, "--years", "2022-2023,2023-2024,2024-2025", "--corrections", 10,
               "--duplicates", 10, "--unmatched", 4]
    schools, regs = generate(*options, "--feed", "school,entitlement"), generate(*options, "--feed", "registration")
    with World(fsync="off") as w:
        s, r = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([s, r]).migrate().start()
        s.append_file(schools)
        r.append_file(regs)
        d.caught_up()
        wanted = model.Model(schools.splitlines() + regs.splitlines())
        statuses = {r["status"] for r in wanted.allocations().values()}
        assert statuses >= {"granted", "below_minimum", "below_threshold"}, statuses
        assert len({k[2] for k in wanted.allocations()}) == 4 and len(wanted.counts()) > 200 and len(wanted.alerts()) > 5
        model.compare(w.cluster.sql, wanted)
        d.verify()
        equal(w.cluster.one("SELECT count(DISTINCT rules) FROM teldag.allocation"), "1")


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
