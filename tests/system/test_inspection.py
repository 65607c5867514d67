# SPDX-License-Identifier: MIT
"""Inspections, huisonderwijs and meldingen along the whole path: reports in any order, what a sanction halves, alerts that fire
and resolve on their day, and nothing lost or twice when the daemon is killed."""
import json
import os
import random
import shutil

import harness
from harness import Shared, World, closed, event, pupil, registration, school

GOK = ("opleiding_moeder", "schooltoelage", "thuistaal")
MET, ZONDER = "ongunstig_met_opschorting", "ongunstig_zonder_opschorting"


def report(report_id, school_id, year, date, gok=None, at="2025-01-10T08:00:00Z", **extra):
    data = {"report_id": report_id, "school_id": str(school_id), "school_year": year, "date": date, "kind": "doorlichting", "advice": None,
            "leerlingenbegeleiding": None, "gok": gok, "followup_due": None, "scales": {}}
    data.update(extra)
    return event("inspection.report.v1", data, at)


def withdrawn(kind, at="2025-01-10T09:00:00Z", **key):
    return event(kind + ".withdraw.v1", key, at)


def opschorting(report_id, school_id, asked_on="2025-01-20"):
    return event("inspection.opschorting.v1", {"report_id": report_id, "school_id": str(school_id), "asked_on": asked_on})


def controle(controle_id, number, date, verdict, year="2024-2025", ordinal=1):
    return event("huisonderwijs.controle.v1", {"controle_id": controle_id, "pupil": pupil(number), "school_year": year, "level": "basis",
                                               "province": None, "date": date, "ordinal": ordinal, "verdict": verdict, "criteria": None})


def melding(melding_id, school_id, received_on):
    return event("melding.ontvangen.v1", {"melding_id": melding_id, "school_id": str(school_id), "level": "bao", "received_on": received_on,
                                          "categories": ["leerrecht"]})


def answered(melding_id, day="2025-02-20"):
    return event("melding.beantwoord.v1", {"melding_id": melding_id, "answered_on": day})


def bao_school(school_id, year):
    """34 and 26 pupils on moeder: 9.0814 and 6.9446 hours, 9 and 7; halved row by row 5 and 4, which is not half of 16."""
    first = school_id * 1000 + int(year[:4]) % 100 * 100
    return ([registration(school_id, first + i, "lager", ["opleiding_moeder"], year=year) for i in range(34)] +
            [registration(school_id, first + 50 + i, "kleuter", ["opleiding_moeder"], year=year) for i in range(26)] +
            [closed(school_id, 60, year)])


class Bench:
    def __init__(self, world):
        self.names = ["school.0", "registration.0", "inspection.0", "inspection.1", "huisonderwijs.0", "melding.0"]
        self.feeds = {n: world.feed(n) for n in self.names}
        self.d = world.daemon(list(self.feeds.values()), today="2025-02-01").migrate().start()
        self.sql = world.cluster.sql

    def send(self, stream, *lines, verify=True):
        self.feeds[stream].send(list(lines))
        self.d.caught_up()
        if verify:
            self.d.verify()

    def until(self, today):
        """The clock goes on, the daemon was away meanwhile."""
        self.d.stop()
        self.d.today = today
        self.d.start()
        self.d.caught_up()
        harness.wait_for(lambda: self.sql("SELECT max(today) FROM teldag_data.shard_progress") == [[today]], 30, "the clock")
        self.d.verify()

    def firing(self, like, school_id=None):
        return self.sql("SELECT kind, severity, school_year, subject FROM teldag.alert WHERE state = 'firing' AND kind LIKE '%s'%s"
                        " ORDER BY 1, 3, 4" % (like, " AND school_id = '%d'" % school_id if school_id else ""))

    def log(self, like, subject):
        """Every change: severity or resolved, and the days left that were written down then."""
        return self.sql("SELECT CASE state WHEN 'firing' THEN severity ELSE state END, coalesce(detail ->> 'days_left', '') FROM teldag.alert_log"
                        " WHERE kind LIKE '%s' AND subject = '%s' ORDER BY seq" % (like, subject))

    def granted(self, school_id):
        return self.sql('SELECT school_year, "group", sanction_factor, hours, granted FROM teldag.allocation WHERE school_id = \'%d\''
                        ' ORDER BY 1, 2' % school_id)


bench = Shared(Bench, fsync="off")


def equal(got, wanted, what=""):
    assert got == wanted, "%s: got %r, wanted %r" % (what, got, wanted)


def halved(years):
    return [[y, g, "0.5" if y in years else "1", h, half if y in years else h]
            for y in ("2023-2024", "2024-2025", "2025-2026") for g, h, half in (("kleuter", "7", "4"), ("lager", "9", "5"))]


def test_sanction_in_any_order():
    b = bench()
    b.send("school.0", school(301, "bao"))
    b.send("registration.0", *[l for y in ("2022-2023", "2023-2024", "2024-2025") for l in bao_school(301, y)])
    equal(b.granted(301), halved([]))
    # Two negatives and a positive, the last one first.
    b.send("inspection.0", report("S3", 301, "2024-2025", "2024-11-05", "positief"))
    b.send("inspection.0", report("S2", 301, "2022-2023", "2023-03-01", "negatief"))
    equal(b.granted(301), halved([]), "a first negative, since put right")
    equal(b.firing("evaluation.%", 301), [])
    b.send("inspection.0", report("S1", 301, "2021-2022", "2022-03-01", "negatief"))
    equal(b.granted(301), halved(["2023-2024", "2024-2025"]))
    equal(b.sql("SELECT first_year, last_year FROM teldag.sanction WHERE school_id = '301'"), [["2023-2024", "2024-2025"]])
    equal(b.firing("evaluation.%", 301), [["evaluation.second_negative", "critical", "2022-2023", "S2"]])
    detail = json.loads(b.sql("SELECT detail FROM teldag.alert WHERE subject = 'S2' AND state = 'firing'")[0][0])
    equal((detail["hours_lost"], detail["hours_without_sanction"], detail["first_year"], detail["last_year"]),
          (7, 16, "2023-2024", "2024-2025"), "each row halved and rounded by itself: 9 -> 5, 7 -> 4")
    # explain and school tell the history.
    text = b.d.ctl("explain", "301", "2024-2025")
    for word in ("0.5", "S1", "S2", "S3", "negatief", "positief", "9 hours"):
        assert word in text, "explain without %s:\n%s" % (word, text)
    assert "S2" in b.d.ctl("school", "301")
    # A correction of the first, a withdrawal of the last, and the correction undone by another stream at a later time.
    b.send("inspection.0", report("S1", 301, "2021-2022", "2022-03-01", "positief"))
    equal(b.granted(301), halved([]))
    b.send("inspection.0", withdrawn("inspection", report_id="S3"))
    equal(b.firing("evaluation.%", 301)[0][:2], ["evaluation.first_negative", "warning"])
    b.send("inspection.1", report("S1", 301, "2021-2022", "2022-03-01", "negatief", at="2025-01-10T07:00:00Z"))
    equal(b.granted(301), halved([]), "an earlier word of another stream changes nothing")
    b.send("inspection.1", report("S1", 301, "2021-2022", "2022-03-01", "negatief", at="2025-01-10T10:00:00Z"))
    equal(b.granted(301), halved(["2023-2024", "2024-2025", "2025-2026"]), "no positive stands: the sanction has no end")


def test_first_negative_says_what_is_at_stake():
    b = bench()
    b.send("school.0", school(302, "bao"))
    b.send("registration.0", *bao_school(302, "2024-2025"))
    b.send("inspection.0", report("F1", 302, "2024-2025", "2025-01-15", "negatief"))
    summary, detail = b.sql("SELECT summary, detail FROM teldag.alert WHERE subject = 'F1' AND kind = 'evaluation.first_negative'")[0]
    detail = json.loads(detail)
    equal((detail["stake_year"], detail["hours_at_stake"], detail["hours_with_sanction"], detail["cents_at_stake"]), ("2025-2026", 7, 9, None))
    assert "7 of its 16 hours" in summary and "2025-2026" in summary, summary
    b.send("inspection.0", report("F2", 302, "2024-2025", "2025-01-20", "none", kind="opvolging"))
    equal([r[0] for r in b.firing("evaluation.%", 302)], ["evaluation.first_negative"], "none changes nothing")
    b.send("inspection.0", report("F3", 302, "2024-2025", "2025-01-25", "positief", kind="opvolging"))
    equal(b.firing("evaluation.%", 302), [])


def test_verdicts_older_than_the_first_count():
    """What is at stake, or lost, is said from the first year that is counted, when the verdicts are from before the first feed."""
    b = bench()
    b.send("school.0", school(351, "bao"), school(352, "bao"), school(353, "bao"))
    b.send("registration.0", *bao_school(351, "2024-2025"), *bao_school(352, "2024-2025"), *bao_school(353, "2024-2025"))
    b.send("inspection.0", report("O1", 351, "2019-2020", "2020-01-15", "negatief"), report("O2", 351, "2020-2021", "2021-01-15", "negatief"),
           report("O3", 352, "2020-2021", "2021-01-15", "negatief"), report("O4", 353, "2021-2022", "2022-01-15", "negatief"),
           report("O5", 353, "2022-2023", "2023-01-15", "negatief"), report("O6", 353, "2024-2025", "2025-01-15", "positief"))
    details = {s: json.loads(d) for s, d in b.sql("SELECT subject, detail FROM teldag.alert WHERE subject IN ('O2', 'O3', 'O5') AND state = 'firing'"
                                                  " AND kind IN ('evaluation.first_negative', 'evaluation.second_negative')")}
    equal((details["O2"]["stake_year"], details["O2"]["hours_lost"], details["O2"]["hours_without_sanction"]), ("2025-2026", 7, 16))
    equal((details["O3"]["stake_year"], details["O3"]["hours_at_stake"]), ("2025-2026", 7))
    equal((details["O5"]["last_year"], details["O5"]["hours_lost"]), ("2024-2025", None), "no hours of a year that the sanction does not reach")


def test_explain_without_counts():
    """A school that has verdicts and no counts yet: no figure to explain, but its history is told."""
    b = bench()
    b.send("school.0", school(354, "bao"), school(355, "bao"))
    done = b.d.run("explain", "355")
    equal((done.returncode, done.stdout), (65, ""))
    b.send("inspection.0", report("X1", 354, "2021-2022", "2022-01-15", "negatief"), report("X2", 354, "2022-2023", "2023-01-15", "negatief"),
           report("X3", 356, "2021-2022", "2022-01-15", "negatief"), report("X4", 356, "2022-2023", "2023-01-15", "negatief"),
           report("X5", 356, "2024-2025", "2025-01-15", "positief"))
    for arguments in (["354"], ["354", "2023-2024"]):
        done = b.d.run("explain", *arguments)
        assert done.returncode == 65 and "X1 of 2022-01-15 (2021-2022) negatief" in done.stdout, (done.stdout, done.stderr)
        assert "X2 was the second negative in a row: half from 2023-2024 until an evaluation is positive" in done.stdout, done.stdout
    done = b.d.run("explain", "356")  # nor is the school known
    assert done.returncode == 65 and "half from 2023-2024 up to and including 2024-2025" in done.stdout, (done.stdout, done.stderr)


def test_names_do_not_reach_the_terminal_raw():
    b = bench()
    b.send("school.0", school(357, "bao", name="De\x1b[31m Rode\nschool_id"))
    b.send("inspection.0", report("R\x1b[2J\n\u009b1", 357, "2021-2022", "2022-01-15", "negatief"))
    b.send("registration.0", *bao_school(357, "2024-2025"))
    for arguments in (["school", "357"], ["explain", "357"], ["explain", "357", "2023-2024"], ["alerts", "--school", "357"]):
        out = b.d.run(*arguments).stdout
        assert "\x1b" not in out and "\u009b" not in out and "Rode\n" not in out, (arguments, out)
        assert "R?[2J?" in out, (arguments, out)
    equal(b.d.json("school", "357")["inspections"][0]["report_id"], "R\x1b[2J\n\u009b1", "as it came, escaped")
    b.send("melding.0", '{"id":"\x1b[31m"}')
    seq = b.sql("SELECT max(seq) FROM teldag.dead_letter WHERE stream = 'melding.0'")[0][0]
    shown = b.d.ctl("dead-letter", "show", "melding.0", seq)
    assert '{"id":"?[31m"}' in shown, shown


def test_erkenning():
    b = bench()
    b.send("school.0", school(303, "bao"))
    b.send("inspection.0", opschorting("E1", 303), report("E2", 303, "2023-2024", "2024-02-01", advice=ZONDER))
    equal([r[0] for r in b.sql("SELECT reason FROM teldag.unmatched WHERE key = 'E1'")], ["opschorting without a report"])
    equal(b.firing("erkenning.%", 303), [["erkenning.ongunstig", "critical", "2023-2024", "E2"]])
    b.send("inspection.0", report("E1", 303, "2024-2025", "2025-01-15", advice=MET))
    equal(b.firing("erkenning.%", 303), [], "a later doorlichting, and opschorting asked for it before it came")
    equal(b.sql("SELECT reason FROM teldag.unmatched WHERE key = 'E1'"), [])
    b.send("inspection.0", withdrawn("opschorting", report_id="E1"))
    equal(b.firing("erkenning.%", 303), [["erkenning.ongunstig", "critical", "2024-2025", "E1"]])
    detail = json.loads(b.sql("SELECT detail FROM teldag.alert WHERE subject = 'E1' AND state = 'firing'")[0][0])
    equal((detail["deadline"], detail["days_left"]), ("2025-02-14", 13))


def test_huisonderwijs():
    b = bench()
    of = lambda n: b.sql("SELECT kind, severity, school_id, subject FROM teldag.alert WHERE state = 'firing' AND subject = '%s'" % pupil(n))
    b.send("huisonderwijs.0", controle("H2", 1, "2024-10-01", "geweigerd"))
    equal(of(1), [["huisonderwijs.control_due", "info", "", pupil(1)]])
    b.send("huisonderwijs.0", controle("H1", 1, "2024-03-01", "onvoldoende", "2023-2024"))
    equal(of(1), [["huisonderwijs.second_insufficient", "critical", "", pupil(1)]], "across school years, whichever came first")
    b.send("huisonderwijs.0", controle("H3", 1, "2025-01-10", "voldoende"))
    equal(of(1), [])
    b.send("huisonderwijs.0", controle("H2", 2, "2024-10-01", "geweigerd"))  # it was another pupil
    equal((of(1), [r[0] for r in of(2)]), ([], ["huisonderwijs.control_due"]))
    b.send("huisonderwijs.0", withdrawn("controle", controle_id="H2"))
    equal(of(2), [])


def test_deadlines_on_their_day():
    b = bench()
    b.send("school.0", school(305, "bao"), school(306, "bao"))
    b.send("melding.0", melding("M1", 305, "2025-01-10"), melding("M2", 305, "2025-01-10"), answered("M3"), melding("M4", 305, "2025-06-01"))
    b.send("inspection.0", report("D1", 305, "2024-2025", "2024-10-01", "negatief", followup_due="2025-05-10"),
           report("P1", 306, "2022-2023", "2023-01-10", "negatief"), report("P2", 306, "2022-2023", "2023-05-10", "negatief"),
           report("P3", 306, "2024-2025", "2025-01-15", "positief"))
    equal(b.firing("melding.%"), [])
    equal(b.firing("evaluation.%", 306), [["evaluation.second_negative", "critical", "2022-2023", "P2"]])
    b.until("2025-02-09")
    equal(b.firing("melding.%"), [], "the last day of the answer")
    b.send("melding.0", answered("M2"))
    b.until("2025-02-10")
    equal(b.firing("melding.%"), [["melding.answer_overdue", "warning", "2024-2025", "M1"]])
    b.send("melding.0", melding("M3", 305, "2025-01-02"))  # its answer came long ago
    equal([r[3] for r in b.firing("melding.%")], ["M1"])
    b.until("2025-03-10")
    equal([r[:2] for r in b.firing("evaluation.followup%", 305)], [])
    b.until("2025-03-11")  # 60 days before
    equal([r[:2] for r in b.firing("evaluation.followup%", 305)], [["evaluation.followup_due", "warning"]])
    b.until("2025-09-02")  # down for half a year: every step on its own day
    equal(b.log("evaluation.followup_due", "D1"), [["warning", "60"], ["critical", "14"]])
    equal(b.log("melding.answer_overdue", "M4"), [["warning", "-1"]], "the term touches July: 60 days, overdue on 1 August")
    equal(b.log("evaluation.second_negative", "P2"), [["critical", ""], ["resolved", ""]], "the last sanctioned school year is over")
    equal(b.firing("evaluation.second%", 306), [])
    b.send("melding.0", answered("M1"), withdrawn("melding", melding_id="M4"))
    equal(b.firing("melding.%"), [])
    equal([r[0] for r in b.log("melding.answer_overdue", "M1")], ["warning", "resolved"])
    b.send("inspection.0", report("D2", 305, "2025-2026", "2025-09-01", "positief"))
    equal([r[0] for r in b.log("evaluation.followup_due", "D1")], ["warning", "critical", "resolved"])


def test_cents_at_stake():
    """With the working budget fixed, a first negative says what of it is at stake: half of every indicator's amount, rounded by itself."""
    with World(fsync="off") as w:
        rules = os.path.join(w.home, "rules")
        shutil.copytree(os.path.join(harness.TOP, "conf/rules"), rules)
        path = os.path.join(rules, "2025-2026.conf")
        with open(path) as f:
            text = f.read()
        assert text.count('value = "";') >= 1, "the shipped envelopes are empty"
        with open(path, "w") as f:
            f.write(text.replace('value = "";', 'value = "98765.43";'))
        schools, regs, inspections = w.feed("school.0"), w.feed("registration.0"), w.feed("inspection.0")
        d = w.daemon([schools, regs, inspections], rules=rules).migrate().start()
        schools.send([school(501, "bao"), school(502, "bao")])
        regs.send(bao_school(501, "2024-2025") + [registration(502, 999000 + i, "lager", list(GOK)[:1 + i % 3]) for i in range(17)])
        d.caught_up()
        d.ctl("fix", "budget", "2025-2026")
        inspections.send([report("B1", 501, "2024-2025", "2025-01-15", "negatief")])
        d.caught_up()
        amounts = [int(r[0]) for r in w.cluster.sql("SELECT amount_cents FROM teldag.working_budget WHERE school_id = '501'"
                                                    " AND school_year = '2025-2026' AND amount_cents IS NOT NULL")]
        assert sum(amounts) > 1000, amounts
        summary, detail = w.cluster.sql("SELECT summary, detail FROM teldag.alert WHERE kind = 'evaluation.first_negative'")[0]
        stake = sum(a // 2 for a in amounts)
        equal(json.loads(detail)["cents_at_stake"], stake, "what is left is half up")
        assert "%d.%02d euro" % (stake // 100, stake % 100) in summary, summary
        d.verify()


def test_killed_at_random_moments():
    """All feeds at once, kill -9 and days that pass between; the end is that of the events alone, every change once."""
    with World() as w:
        names = ["school.0", "registration.0", "inspection.0", "inspection.1", "huisonderwijs.0", "melding.0"]
        feeds = {n: w.feed(n) for n in names}
        d = w.daemon(list(feeds.values()), today="2025-01-01").migrate().start()
        feeds["school.0"].send([school(400 + i, "bao") for i in range(6)])
        feeds["registration.0"].send([l for i in range(6) for l in bao_school(400 + i, "2024-2025")])
        day = 0
        for _ in range(8):
            for _ in range(40):
                i, n = random.randrange(6), random.randrange(20)
                at = "2025-01-10T%02d:%02d:00Z" % (random.randrange(24), random.randrange(60))
                stream, line = random.choice([
                    ("inspection.%d" % random.randrange(2), report("K%d" % n, 400 + i, random.choice(["2022-2023", "2023-2024", "2024-2025"]),
                                                                   "2024-%02d-01" % random.randint(1, 12),
                                                                   random.choice(["negatief", "negatief", "positief", "none"]), at=at,
                                                                   advice=random.choice([None, MET, ZONDER]),
                                                                   followup_due=random.choice([None, "2025-02-20", "2025-04-01"]))),
                    ("inspection.%d" % random.randrange(2), withdrawn("inspection", at, report_id="K%d" % n)),
                    ("inspection.0", opschorting("K%d" % n, 400 + i)),
                    ("huisonderwijs.0", controle("C%d" % n, i, "2024-%02d-02" % random.randint(1, 12),
                                                 random.choice(["voldoende", "onvoldoende", "geweigerd"]))),
                    ("melding.0", melding("M%d" % n, 400 + i, "2025-0%d-05" % random.randint(1, 3))),
                    ("melding.0", answered("M%d" % n)),
                    ("melding.0", withdrawn("melding", at, melding_id="M%d" % n))])
                feeds[stream].send([line], wait=False)
            d.kill()
            day += random.randrange(20)
            d.today = "2025-%02d-%02d" % (1 + day // 28, 1 + day % 28)
            d.start()
            if random.random() < 0.5:
                harness.time.sleep(random.random() * 0.3)
                d.kill()
                d.start()
        d.caught_up()
        harness.wait_for(lambda: w.cluster.sql("SELECT max(today) FROM teldag_data.shard_progress") == [[d.today]], 30, "the clock")
        d.verify()
        kinds = {r[0] for r in w.cluster.sql("SELECT DISTINCT kind FROM teldag.alert_log")}
        wanted = {"evaluation.first_negative", "evaluation.second_negative", "evaluation.followup_due", "erkenning.ongunstig",
                  "huisonderwijs.control_due", "huisonderwijs.second_insufficient", "melding.answer_overdue"}
        assert len(wanted & kinds) >= 5, kinds
        before = w.cluster.sql("SELECT seq, kind, state, severity, subject FROM teldag.alert_log ORDER BY seq")
        d.stop()
        d.start()  # a rebuild finds nothing to mend
        d.caught_up()
        equal(w.cluster.sql("SELECT seq, kind, state, severity, subject FROM teldag.alert_log ORDER BY seq"), before)
        assert not d.logged("rows differ"), "a rebuild mended what it should have found right"


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
