# SPDX-License-Identifier: MIT
"""Working budget and risk indicators: the recorded steps, the figures to the cent, and risk.high on its day."""
import math
import os
import random
import shutil
import subprocess
import time
from decimal import Decimal, getcontext
from fractions import Fraction

import harness
from harness import TOP, World, closed, event, pupil, registration, school, withdraw

getcontext().prec = 60
BUDGET = {"opleiding_moeder": Fraction(3, 10), "schooltoelage": Fraction(3, 10), "thuistaal": Fraction(1, 5), "buurt": Fraction(1, 5)}
ENVELOPE = {"bao": 6450000, "so": 4300001}  # cents


def rules_folder(home, changes):
    folder = os.path.join(home, "rules")
    shutil.copytree(os.path.join(TOP, "conf/rules"), folder)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with open(path) as f:
            text = f.read()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        with open(path, "w") as f:
            f.write(text)
    return folder


def half_up(value):
    return math.floor(value + Fraction(1, 2))


def melding(number, school_id, day="2024-11-05", **extra):
    return event("melding.ontvangen.v1", {"melding_id": "m%s" % number, "school_id": str(school_id), "level": "so", "received_on": day,
                                          "categories": ["zorg_welzijn"], **extra})


def toah(number, school_id, year="2024-2025"):
    return event("toah.melding.v1", {"request_id": "t%s" % number, "pupil": pupil(number), "school_id": str(school_id),
                                     "school_year": year, "reason": "langdurig_ziek", "start": "2024-11-05", "end": None})


def poah(number, school_id, year="2024-2025", time_text="2025-01-10T08:00:00Z"):
    return event("poah.aanvraag.v1", {"request_id": "p%s" % number, "pupil": pupil(number), "school_year": year, "kind": "eerste",
                                      "received_on": "2024-10-01", "type": 4, "opleidingsvorm": None, "age": 9, "level": "bubao",
                                      "province": None, "mfc": False, "mfc_province": None, "at_home": True, "prior_toah": False,
                                      "newcomer": False, "school_id": school_id and str(school_id)}, time_text)


def beslissing(number, school_id):
    return event("poah.beslissing.v1", {"request_id": "p%s" % number, "decision": "goedgekeurd", "decided_on": "2024-12-01",
                                        "valid_from": None, "valid_to": None, "school_id": school_id and str(school_id)})


def verklaring(number, last_school, year="2024-2025"):
    return event("huisonderwijs.verklaring.v1", {"verklaring_id": "v%s" % number, "pupil": pupil(number), "school_year": year,
                                                 "kind": "individueel", "level": "basis", "province": None,
                                                 "declared_on": "2024-09-03", "last_school_id": last_school and str(last_school)})


def report(number, school_id, year, day, gok):
    return event("inspection.report.v1", {"report_id": "r%s" % number, "school_id": str(school_id), "school_year": year, "date": day,
                                          "kind": "doorlichting", "advice": None, "leerlingenbegeleiding": None, "gok": gok,
                                          "followup_due": None, "scales": {}})


def tail(mean, k):
    """P(X >= k), from the definition in 60 digits."""
    mean = Decimal(mean.numerator) / Decimal(mean.denominator) if isinstance(mean, Fraction) else Decimal(mean)
    term, below = (-mean).exp(), Decimal(0)
    for i in range(k):
        below += term
        term = term * mean / (i + 1)
    return 1 - below


def fill(regs, schools):
    """schools: {id: (group, {indicator: pupils}, pupils)}; pupils numbered apart, the last half of weight 0.5 in odd schools."""
    number = 0
    for school_id, (group, indicators, pupils) in schools.items():
        lines = []
        for i in range(pupils):
            has = [name for name, count in indicators.items() if i < count]
            lines.append(registration(school_id, number + i, group, has))
        number += pupils
        regs.send(lines + [closed(school_id, pupils)])


def test_working_budget():
    rng = random.Random(harness.SEED)
    with World() as w:
        schools, regs, inspections = w.feed("school.0"), w.feed("registration.0"), w.feed("inspection.0")
        folder = rules_folder(w.home, [('envelope_bao = { value = ""', 'envelope_bao = { value = "64500.00"'),
                                       ('envelope_so = { value = ""', 'envelope_so = { value = "43000.01"')])
        plain = w.daemon([schools, regs, inspections], name="plain").migrate().start()
        world = {}
        for school_id, level, group in [(11, "bao", "kleuter"), (12, "bao", "lager"), (13, "bao", "lager"), (21, "so", "graad1"),
                                        (22, "so", "okan"), (31, "bubao", "type3"), (14, "bao", "lager")]:
            schools.send([school(school_id, level, closed_on="2025-09-01" if school_id == 14 else None)])
            pupils = rng.randint(20, 60)
            world[school_id] = (level, group, {i: rng.randint(0, pupils) for i in BUDGET}, pupils)
        fill(regs, {s: (g, i, p) for s, (_, g, i, p) in world.items()})
        plain.caught_up()

        # Without an envelope: pupils, and no amounts; the step is refused and says what to do.
        rows = w.cluster.sql("SELECT school_id, indicator, pupils, value_cents, amount_cents, sanction_factor, granted_cents, school_year"
                             " FROM teldag.working_budget ORDER BY 1, 2")
        wanted = sorted([[str(s), i, str(n), None, None, "1", None, "2025-2026"] for s, (level, _, has, _) in world.items()
                         if level in ENVELOPE and s != 14 for i, n in has.items()])
        assert rows == wanted, (rows, wanted)
        done = plain.run("fix", "budget", "2025-2026")
        assert done.returncode == 65 and "budget.envelope_bao" in done.stderr, (done.returncode, done.stderr)
        assert plain.run("fix", "budget", "2025-2027").returncode == 64
        assert plain.run("fix", "budget").returncode == 64
        plain.verify()
        plain.stop()

        d = w.daemon([schools, regs, inspections], rules=folder).start()
        d.caught_up()
        done = d.run("fix", "budget", "2035-2036")  # a slip of the pen records nothing
        assert done.returncode == 65 and "counted in 2034-2035" in done.stderr, (done.returncode, done.stderr)
        assert w.cluster.one("SELECT count(*) FROM teldag_data.local_log WHERE act = 'fix budget'") == "0"
        assert "Working budget" not in d.ctl("explain", "11"), "no amount before the values are fixed"
        assert "2024-2025" in d.ctl("fix", "budget", "2025-2026")
        told = d.ctl("explain", "11", "2025-2026")
        for words in ("64500 euro of level bao x 0.3 / ", "rule budget.envelope_bao, ", "rule budget.split.buurt = ", "NOT VERIFIED"):
            assert words in told, (words, told[-3000:])
        total = {(level, i): sum(has[i] for s, (lv, _, has, _) in world.items() if lv == level and s != 14)
                 for level in ENVELOPE for i in BUDGET}
        amounts = {}
        for s, (level, _, has, _) in world.items():
            for i in BUDGET if level in ENVELOPE and s != 14 else ():
                value = ENVELOPE[level] * BUDGET[i] / total[level, i]
                amounts[str(s), i] = half_up(value * has[i])
                shown = Decimal(half_up(value * 10000)) / 10000
                row = w.cluster.sql("SELECT value_cents, amount_cents, granted_cents FROM teldag.working_budget"
                                    " WHERE school_id = '%s' AND indicator = '%s'" % (s, i))[0]
                assert (Decimal(row[0]), int(row[1]), int(row[2])) == (shown, amounts[str(s), i], amounts[str(s), i]), (s, i, row, value)
        for level, i in total:
            difference = ENVELOPE[level] * BUDGET[i] - sum(a for (s, k), a in amounts.items() if k == i and world[int(s)][0] == level)
            shown = w.cluster.one("SELECT difference_cents FROM teldag.working_budget_total WHERE level = '%s' AND indicator = '%s'"
                                  % (level, i))
            assert Fraction(shown) == difference and abs(difference) <= Fraction(3, 2), (level, i, shown, difference)
        d.verify()
        assert w.cluster.one("SELECT body ->> 'school_year' FROM teldag_data.local_log WHERE act = 'fix budget'") == "2025-2026"

        # The sanction of a second negative halves, each row rounded up again.
        inspections.send([report(1, 12, "2022-2023", "2023-01-10", "negatief"), report(2, 12, "2023-2024", "2024-01-10", "negatief")])
        d.caught_up()
        for i in BUDGET:
            row = w.cluster.sql("SELECT amount_cents, sanction_factor, granted_cents FROM teldag.working_budget"
                                " WHERE school_id = '12' AND indicator = '%s'" % i)[0]
            assert row == [str(amounts["12", i]), "0.5", str((amounts["12", i] + 1) // 2)], row
        d.verify()

        # Values stay what they were when counts change, until they are fixed again; the difference shows it.
        before = w.cluster.sql("SELECT value_cents FROM teldag.working_budget WHERE school_id = '11' ORDER BY indicator")
        regs.send([registration(11, 900000 + n, "kleuter", list(BUDGET)) for n in range(5)])
        d.caught_up()
        assert w.cluster.sql("SELECT value_cents FROM teldag.working_budget WHERE school_id = '11' ORDER BY indicator") == before
        assert w.cluster.one("SELECT bool_and(pupils_now = pupils + 5 AND difference_cents < -100) FROM teldag.working_budget_total"
                             " WHERE level = 'bao'") == "t"
        d.verify()
        d.kill()
        d.start()
        d.caught_up()
        d.verify()
        d.ctl("fix", "budget", "2025")
        assert w.cluster.sql("SELECT value_cents FROM teldag.working_budget WHERE school_id = '11' ORDER BY indicator") != before
        assert w.cluster.one("SELECT bool_and(pupils_now = pupils AND abs(difference_cents) <= 2) FROM teldag.working_budget_total") == "t"
        d.verify()
        assert d.stop() == 0


def risk_rows(w, school_id, year="2024-2025"):
    return {r[0]: r[1:] for r in w.cluster.sql(
        "SELECT indicator, observed, pupils, expected, probability, band FROM teldag.risk_indicator WHERE school_id = '%s'"
        " AND school_year = '%s'" % (school_id, year))}


def firing(w):
    return w.cluster.sql("SELECT kind, school_id, school_year, subject, severity FROM teldag.alert WHERE state = 'firing'"
                         " AND kind = 'risk.high' ORDER BY 2, 4")


def close_to(text, wanted):
    return abs(Decimal(text) - wanted) <= Decimal("2e-12") * wanted  # the text has 17 digits


def test_risk():
    with World() as w:
        feeds = {name: w.feed(name + ".0") for name in ("school", "registration", "melding", "aanhuis", "huisonderwijs")}
        d = w.daemon(list(feeds.values())).migrate().start()
        feeds["school"].send([school(s, "so") for s in range(1, 11)] + [school(50, "bao")])
        fill(feeds["registration"], dict([(s, ("graad1", {}, 100)) for s in range(1, 11)] + [(50, ("lager", {}, 10))]))
        feeds["melding"].send([melding(1, 2), melding(2, 3)])
        feeds["aanhuis"].send([toah(1, 4), poah(1, 5), poah(2, 6), beslissing(2, 7), poah(3, None), beslissing(4, 8)])
        feeds["huisonderwijs"].send([verklaring(1, 9), verklaring(2, None)])
        d.caught_up()

        # Observed and pupils are there, nothing is expected before a reference.
        assert risk_rows(w, 2) == {"meldingen": ["1", "100", None, None, None], "toah": ["0", "100", None, None, None],
                                   "poah": ["0", "100", None, None, None], "huisonderwijs": ["0", "100", None, None, None]}
        assert risk_rows(w, 7)["poah"][0] == "1" and risk_rows(w, 6)["poah"][0] == "0"  # counts at the school made responsible
        assert risk_rows(w, 8)["poah"][0] == "0"  # a decision without a request counts nowhere
        assert d.run("fix", "reference", "2019-2020").returncode == 65
        d.ctl("fix", "reference", "2024-2025")
        assert w.cluster.sql("SELECT indicator, events, pupils, rate FROM teldag.risk_reference WHERE level = 'so' ORDER BY 1") == [
            ["huisonderwijs", "1", "1000", "1"], ["meldingen", "2", "1000", "2"], ["poah", "2", "1000", "2"], ["toah", "1", "1000", "1"]]

        # Expected .2 and one event never fires; bao has no events, so nothing can be judged there.
        row = risk_rows(w, 2)["meldingen"]
        assert row[:3] == ["1", "100", "0.2"] and row[4] == "normal" and close_to(row[3], tail("0.2", 1)), row
        assert risk_rows(w, 1)["meldingen"] == ["0", "100", "0.2", "1", "normal"]
        assert risk_rows(w, 50)["meldingen"] == ["0", "10", "0", None, None]
        assert firing(w) == []
        d.verify()

        # Two more: P(X >= 3 | .2) = .00115 is high, and does not alert; a fourth is very high.
        feeds["melding"].send([melding(3, 2), melding(4, 2)])
        d.caught_up()
        row = risk_rows(w, 2)["meldingen"]
        assert row[4] == "high" and close_to(row[3], tail("0.2", 3)), row
        told = d.ctl("explain", "2")
        assert "meldingen: 3 at 100 pupils; expected 0.2 at 2 per 1,000 (level so: 2 events, 1000 pupils)" in told and ": high" in told, told
        assert firing(w) == []
        feeds["melding"].send([melding(5, 2), melding(6, 3, day="2024-08-31")])  # the last one of the year before
        d.caught_up()
        row = risk_rows(w, 2)["meldingen"]
        assert row[:3] == ["4", "100", "0.2"] and row[4] == "very_high" and close_to(row[3], tail("0.2", 4)), row
        assert firing(w) == [["risk.high", "2", "2024-2025", "meldingen", "warning"]]
        assert risk_rows(w, 3, "2023-2024")["meldingen"][:2] == ["1", "0"]
        summary = w.cluster.one("SELECT summary FROM teldag.alert WHERE kind = 'risk.high'")
        assert "4 meldingen" in summary and "0.2 would be expected" in summary and "100 pupils" in summary, summary
        ranking = w.cluster.sql("SELECT school_year, rank, school_id, level, very_high, high, reasons FROM teldag.risk_ranking")
        assert len(ranking) == 1 and ranking[0][:6] == ["2024-2025", "1", "2", "so", "1", "0"] and "meldingen: 4 among 100" in ranking[0][6]
        d.verify()

        # More pupils: less unexpected; the alert resolves, and fires again when they are gone. Across a crash of the daemon.
        feeds["registration"].send([registration(2, 5000 + n, "graad1", []) for n in range(200)])
        d.caught_up()
        assert risk_rows(w, 2)["meldingen"][1:3] == ["300", "0.6"] and firing(w) == []
        d.kill()
        feeds["registration"].send([withdraw(2, 5000 + n) for n in range(200)])
        d.start()
        d.caught_up()
        assert firing(w) == [["risk.high", "2", "2024-2025", "meldingen", "warning"]]
        d.verify()
        changes = w.cluster.sql("SELECT state FROM teldag.alert_log WHERE kind = 'risk.high' ORDER BY seq")
        assert changes == [["firing"], ["resolved"], ["firing"]], changes

        # A melding that moves to another school, one that is withdrawn, a request that is decided elsewhere.
        feeds["melding"].send([melding(4, 3), event("melding.withdraw.v1", {"melding_id": "m5"})])
        feeds["aanhuis"].send([poah(n, 5) for n in range(10, 14)])
        d.caught_up()
        assert risk_rows(w, 2)["meldingen"][0] == "2" and risk_rows(w, 3)["meldingen"][0] == "2"
        assert firing(w) == [["risk.high", "5", "2024-2025", "poah", "warning"]]
        feeds["aanhuis"].send([beslissing(n, 6) for n in (11, 12, 13)])
        d.caught_up()
        assert risk_rows(w, 5)["poah"][0] == "2" and risk_rows(w, 6)["poah"][0] == "3" and firing(w) == []
        d.verify()

        # A school changes its level: no reference with events there, no band. Another reference: everyone is judged anew.
        feeds["school"].send([school(6, "bao")])
        d.caught_up()
        assert risk_rows(w, 6)["poah"][3:] == [None, None]
        d.verify()
        d.ctl("fix", "reference", "2024-2025")
        assert w.cluster.one("SELECT rate FROM teldag.risk_reference WHERE level = 'bao' AND indicator = 'poah'") == "27.272727273"
        assert risk_rows(w, 6)["poah"][2] == "2.7272727273" and risk_rows(w, 6)["poah"][4] == "normal"
        d.verify()
        assert d.stop() == 0


def test_random_incidents():
    """Many corrections by two streams: the rows follow the events whatever the order, also after a rebuild."""
    rng = random.Random(harness.SEED)
    with World() as w:
        names = ("school.0", "registration.0", "melding.0", "melding.1", "aanhuis.0", "aanhuis.1", "huisonderwijs.0", "huisonderwijs.1")
        feeds = {name: w.feed(name) for name in names}
        d = w.daemon(list(feeds.values())).migrate().start()
        feeds["school.0"].send([school(s, rng.choice(["bao", "so"])) for s in range(1, 8)])
        fill(feeds["registration.0"], {s: (rng.choice(["lager", "graad1"]), {}, rng.randint(1, 60)) for s in range(1, 9)})
        d.caught_up()
        makers = {"melding": lambda n, s: melding(n, s), "aanhuis": None, "huisonderwijs": lambda n, s: verklaring(n, rng.choice([s, None]))}
        kinds = {"melding": "melding", "huisonderwijs": "verklaring"}
        for round_no in range(6):
            for name in names[2:]:
                feed = name.split(".")[0]
                lines = []
                for _ in range(25):
                    number, s = rng.randint(1, 30), rng.randint(1, 8)
                    if feed == "aanhuis":
                        lines.append(rng.choice([
                            lambda: toah(number, s), lambda: poah(number, rng.choice([s, None])),
                            lambda: beslissing(number, rng.choice([s, None])),
                            lambda: event(rng.choice(["toah", "poah", "beslissing"]) + ".withdraw.v1",
                                          {"request_id": rng.choice("tp") + str(number)})])())
                    elif rng.random() < 0.2:
                        lines.append(event(kinds[feed] + ".withdraw.v1", {kinds[feed] + "_id": feed[0].replace("h", "v") + str(number)}))
                    else:
                        lines.append(makers[feed](number, s))
                feeds[name].send(lines)
            d.caught_up()
            if round_no == 1:
                d.ctl("fix", "reference", "2024-2025")
            d.verify()
            if round_no == 3:
                d.kill()
                d.start()
        assert int(w.cluster.one("SELECT count(*) FROM teldag_data.risk_state")) > 5
        assert int(w.cluster.one("SELECT count(*) FROM teldag.dead_letter")) == 0, w.cluster.sql("SELECT * FROM teldag.dead_letter LIMIT 3")
        assert d.json("status")["degraded"] is False
        assert d.stop() == 0


def test_fix_through_crashes():
    """PostgreSQL and the daemon are killed around the recorded steps: each act stands once and whole, or not at all."""
    rng = random.Random(harness.SEED)
    with World() as w:
        feeds = {name: w.feed(name + ".0") for name in ("school", "registration", "melding")}
        folder = rules_folder(w.home, [('envelope_so = { value = ""', 'envelope_so = { value = "43000.01"')])
        d = w.daemon(list(feeds.values()), rules=folder).migrate().start()
        feeds["school"].send([school(s, "so") for s in range(1, 5)])
        fill(feeds["registration"], {s: ("graad1", {"buurt": 5 * s}, 20) for s in range(1, 5)})
        feeds["melding"].send([melding(n, 1) for n in range(6)])
        d.caught_up()
        for round_no in range(4):
            orders = [w.spawn([os.path.join(harness.BUILD, "teldagctl"), "-c", d.config, "fix", what, year], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                      for what, year in (("reference", "2024-2025"), ("budget", "2025-2026"), ("reference", "2024-2025"))]
            time.sleep(rng.random() * 0.06)
            if round_no % 2:
                d.kill()
                d.start()
            else:
                w.cluster.crash()
                w.cluster.up()
            for o in orders:
                o.wait(90)
            feeds["melding"].send([melding(100 + round_no, 2)])
            d.caught_up()
            d.verify()
        d.ctl("fix", "budget", "2025-2026")
        d.ctl("fix", "reference", "2024-2025")
        d.verify()
        assert w.cluster.one("SELECT count(*) FROM teldag.working_budget_total WHERE school_year = '2025-2026'") == "4"
        assert w.cluster.one("SELECT rate FROM teldag.risk_reference WHERE level = 'so' AND indicator = 'meldingen'") == "125"
        assert d.stop() == 0


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
