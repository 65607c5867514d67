# SPDX-License-Identifier: MIT
"""The feeds inspection, huisonderwijs, aanhuis and melding from the feeder to the views: every documented example, every kind of
column there and back through a rebuild, bad input, what waits for its partner, and dead letters that are tried again."""
import json
import os

import harness
from harness import World, event, pupil, school

YEAR = "2023-2024"
SMALL = ("inspection", "opschorting", "huisonderwijs", "verklaring", "controle", "poah", "beslissing", "vlp", "toah", "melding", "beantwoord")


def equal(got, wanted, what=""):
    assert got == wanted, "%s: got %r, wanted %r" % (what, got, wanted)


def examples():
    """The lines of docs/events.md, of the small feeds."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "events.md")) as doc:
        lines = [l.strip() for l in doc if l.startswith('{"specversion"')]
    return [l for l in lines if json.loads(l)["type"].split(".")[0] in SMALL]


def report(report_id, school_id=1, **extra):
    data = {"report_id": report_id, "school_id": str(school_id), "school_year": YEAR, "date": "2024-03-08", "kind": "doorlichting",
            "scales": {}}
    data.update(extra)
    return event("inspection.report.v1", data)


def melding(melding_id, **extra):
    data = {"melding_id": melding_id, "school_id": "1", "level": "bao", "received_on": "2024-03-01", "categories": ["leerrecht"]}
    data.update(extra)
    return event("melding.ontvangen.v1", data)


def controle(controle_id, number, ordinal, **extra):
    data = {"controle_id": controle_id, "pupil": pupil(number), "school_year": YEAR, "level": "basis", "date": "2024-02-01",
            "ordinal": ordinal, "verdict": "onvoldoende"}
    data.update(extra)
    return event("huisonderwijs.controle.v1", data)


def poah(request_id, **extra):
    data = {"request_id": request_id, "pupil": pupil(5), "school_year": YEAR, "kind": "eerste", "received_on": "2023-10-02", "type": 4,
            "age": 9, "level": "bubao", "mfc": False, "at_home": True, "prior_toah": False, "newcomer": False}
    data.update(extra)
    return event("poah.aanvraag.v1", data)


LOGS = ("inspection_log", "opschorting_log", "verklaring_log", "controle_log", "poah_log", "beslissing_log", "vlp_log", "toah_log",
        "melding_log", "beantwoord_log")


def test_documented_examples():
    lines = examples()
    equal(len({json.loads(l)["type"] for l in lines}), 20, "types")
    with World(fsync="off") as w:
        s, f = w.feed("school.0"), w.feed("inspection.0")  # any type is accepted on any stream
        d = w.daemon([s, f]).migrate().start()
        s.send([school(105841, "bao"), school(125005, "bubao")])
        events = [l for l in lines if "withdraw" not in l]
        f.send(events)
        d.caught_up()
        sql = w.cluster.sql
        equal(sql("SELECT * FROM teldag.dead_letter"), [])
        equal(sql("SELECT key FROM teldag.unmatched"), [["D-2023-0150"]])  # the opschorting of a report nobody showed
        equal(w.cluster.one("SELECT (SELECT count(*) FROM teldag.inspection) + (SELECT count(*) FROM teldag.huisonderwijs_verklaring)"
                            " + (SELECT count(*) FROM teldag.huisonderwijs_controle) + (SELECT count(*) FROM teldag.poah_aanvraag)"
                            " + (SELECT count(*) FROM teldag.vlp_aanvraag) + (SELECT count(*) FROM teldag.toah_melding)"
                            " + (SELECT count(*) FROM teldag.melding)"), "7")
        check_columns(sql, events)
        d.verify()
        d.kill()
        d.start()  # everything read back from the logs
        d.caught_up()
        d.verify()
        # Every entity taken back, half of them by the long name.
        long_names = {"inspection": "inspection.report", "verklaring": "huisonderwijs.verklaring", "poah": "poah.aanvraag",
                      "vlp": "vlp.aanvraag", "melding": "melding.ontvangen"}
        for line in lines:
            if "withdraw" in line:
                e = json.loads(line)
                e["type"] = long_names.get(e["type"].split(".")[0], e["type"].split(".")[0]) + ".withdraw.v1"
                f.send([json.dumps(e)])
        d.caught_up()
        equal(sql("SELECT * FROM teldag.dead_letter"), [])
        for log in LOGS:
            equal(w.cluster.one("SELECT count(*) FROM teldag_data.%s WHERE op = 'w'" % log), "1", log)
            equal(w.cluster.one("SELECT count(*) FROM teldag_data.%s_last" % log[:-4]), "0", log)
        d.verify()


def check_columns(sql, events):
    """Each log row holds its event's data, null for null; the log's columns are the event's fields."""
    for line in events:
        e = json.loads(line)
        key = list(e["data"])[0]
        for log in LOGS:
            rows = sql("SELECT to_jsonb(l) - '{stream_id,epoch,seq,op,id,source,happened_at,recorded_at}'::text[] FROM teldag_data.%s l"
                       " WHERE l.id = '%s' AND l.source = '%s'" % (log, e["id"], e["source"]))
            if not rows:
                continue
            row = json.loads(rows[0][0])
            assert row.pop("pupil_key", None) is None, "%s: a key id that nobody gave: %r" % (log, row)
            for ours, theirs in (("starts_on", "start"), ("ends_on", "end")):
                if ours in row:
                    row[theirs] = row.pop(ours)
            for k in row:
                if k in ("school_id", "last_school_id") and row[k] is not None:
                    row[k] = str(row[k])
                if k == "school_year":
                    row[k] = "%d-%d" % (row[k], row[k] + 1)
                if k == "pupil":
                    row[k] = row[k].replace("-", "")
            equal(row, e["data"], log)
            break
        else:
            raise AssertionError("%s of %s is in no log" % (key, e["type"]))


def test_there_and_back():
    """Every word of a list, an object with all that JSON may hold, keys beyond ASCII; the daemon reads them again."""
    with World(fsync="off") as w:
        f = w.feed("melding.0")
        d = w.daemon([f]).migrate().start()
        words = ["aanpak_pesten_agressie", "grensoverschrijdend_gedrag", "leerrecht", "orde_tucht", "studiebekrachtiging",
                 "vrijheidsbeperkende_maatregelen", "zorg_welzijn", "curriculum", "evaluatie", "inschrijvingsrecht", "lerarentekort",
                 "personeelskwestie", "veiligheid"]
        f.send([melding("all", categories=words[::-1])] + [melding("m%d" % i, categories=[x]) for i, x in enumerate(words)])
        text = "\"quoted\" \\ back\nslash \u00e9\u20ac\U0001d54f {}[],:" + "x" * 9000
        f.send([controle("C-\u00e9 '\"\\", 1, 1, criteria={"aanbod": text, "evaluatie": None, "leermiddelen": ""}),
                report("\U0001d54f" * 16, scales={"K%d" % i: "volgens" for i in range(1, 7)})])
        d.caught_up()
        for again in (False, True):
            if again:
                d.kill()
                d.start()
                d.caught_up()
            equal(w.cluster.sql("SELECT * FROM teldag.dead_letter"), [])
            equal(json.loads(w.cluster.one("SELECT to_jsonb(categories) FROM teldag.melding WHERE melding_id = 'all'")), words)
            equal(w.cluster.one("SELECT string_agg(categories[1], ' ' ORDER BY substr(melding_id, 2)::int) FROM teldag.melding WHERE melding_id <> 'all'"),
                  " ".join(words))
            equal(json.loads(w.cluster.one("SELECT to_jsonb(c) FROM (SELECT controle_id, criteria FROM teldag.huisonderwijs_controle) c")),
                  {"controle_id": "C-\u00e9 '\"\\", "criteria": {"aanbod": text, "evaluatie": None, "leermiddelen": ""}})
            equal(w.cluster.one("SELECT length(report_id) || ' ' || (scales ->> 'K6') FROM teldag.inspection"), "16 volgens")
            d.verify()


def test_bad_events_die_alone():
    with World(fsync="off") as w:
        f = w.feed("aanhuis.0")
        d = w.daemon([f]).migrate().start()
        f.send([report("D1", gok="slecht"), report("D2", scales={"K9": "volgens"}), report("", gok=None), controle("C1", 1, 3),
                poah("P1", type=10), poah("P2", mfc="ja"), melding("M1", categories=[]), melding("rrn:85073003328"),
                event("poah.beslissing.v1", {"request_id": "P", "decision": "goedgekeurd", "valid_from": "2024-01-02", "valid_to": "2024-01-01"}),
                event("vlp.aanvraag.v1", {"request_id": "L"}), event("melding.beantwoord.v1", {"melding_id": "M", "answered_on": "gisteren"}),
                event("poah.withdraw.v2", {"request_id": "P"}), poah("P3")])
        d.caught_up()
        reasons = [r[0] for r in w.cluster.sql("SELECT reason FROM teldag.dead_letter ORDER BY seq")]
        for got, wanted in zip(reasons, ("data.gok: must be one of", "data.scales: must be an object of", "data.report_id: must be text of 1 to 64",
                                         "data.ordinal: must be an integer of 1 to 2, is 3", "data.type: must be an integer of 1 to 9, is 10",
                                         "data.mfc: must be true or false", "data.categories: must be a list of at least one",
                                         "data.melding_id: has 11 digits", "data.valid_to: before valid_from", "data.pupil: missing",
                                         "data.answered_on: must be a date", "type: unknown event type")):
            assert got.startswith(wanted), (got, wanted)
        equal(len(reasons), 12)
        equal(w.cluster.sql("SELECT request_id FROM teldag.poah_aanvraag"), [["P3"]])
        equal(w.cluster.sql("SELECT 1 FROM teldag.dead_letter WHERE event LIKE '%85073003328%' OR reason LIKE '%85073003328%'"), [])
        d.verify()


def test_what_waits_for_its_partner():
    with World(fsync="off") as w:
        schools, f = w.feed("school.0"), w.feed("aanhuis.0")
        d = w.daemon([schools, f]).migrate().start()
        schools.send([school(s, "bao") for s in (1, 2, 7, 105841, 125005)])
        waiting = "SELECT key, reason FROM teldag.unmatched ORDER BY key"
        f.send([event("poah.beslissing.v1", {"request_id": "P1", "decision": "goedgekeurd", "decided_on": "2023-11-01", "school_id": "7"}),
                controle("C2", 1, 2, date="2024-05-01"), event("melding.beantwoord.v1", {"melding_id": "M1", "answered_on": "2024-03-20"})])
        d.caught_up()
        equal(w.cluster.sql(waiting), [["C2", "second control without a first"], ["M1", "answer without a melding"],
                                       ["P1", "decision without a request"]])
        d.verify()
        f.send([poah("P1"), controle("C1", 1, 1), melding("M1")])
        d.caught_up()
        equal(w.cluster.sql(waiting), [])
        equal(w.cluster.sql("SELECT decision, responsible_school_id FROM teldag.poah_aanvraag"), [["goedgekeurd", "7"]])
        equal(w.cluster.one("SELECT answered_on FROM teldag.melding"), "2024-03-20")
        f.send([event("poah.withdraw.v1", {"request_id": "P1"})])
        d.caught_up()
        equal(w.cluster.sql(waiting), [["P1", "decision without a request"]])
        d.verify()


def test_what_waits_for_its_school():
    """Of every feed: an event of a school that is not known counts where it can, and waits until the school is there."""
    with World(fsync="off") as w:
        schools, f = w.feed("school.0"), w.feed("aanhuis.0")
        d = w.daemon([schools, f]).migrate().start()
        f.send([melding("M1", school_id="7"),
                event("toah.melding.v1", {"request_id": "T1", "pupil": pupil(1), "school_id": "7", "school_year": "2023-2024",
                                          "reason": "langdurig_ziek", "start": "2023-10-02", "end": None}),
                event("huisonderwijs.verklaring.v1", {"verklaring_id": "V1", "pupil": pupil(1), "school_year": "2023-2024",
                                                      "kind": "individueel", "level": "basis", "province": None,
                                                      "declared_on": "2023-09-04", "last_school_id": "7"}),
                poah("P1"),
                event("poah.beslissing.v1", {"request_id": "P1", "decision": "goedgekeurd", "decided_on": "2023-11-01", "school_id": "7"})])
        d.caught_up()
        waiting = "SELECT key, seq, reason FROM teldag.unmatched ORDER BY key"
        own = w.cluster.one("SELECT school_id FROM teldag.poah_aanvraag")
        wanted = [["M1", "1", "unknown school"], ["P1", "5", "unknown school"], ["T1", "2", "unknown school"], ["V1", "3", "unknown school"]]
        if own is not None:
            wanted.insert(1, ["P1", "4", "unknown school"])
        equal(sorted(w.cluster.sql(waiting)), wanted)
        equal(w.cluster.one("SELECT meldingen FROM teldag.stats_melding_total"), "1")
        d.verify()
        schools.send([school(7, "bao")] + ([school(own, "bubao")] if own not in (None, "7") else []))
        d.caught_up()
        equal(w.cluster.sql(waiting), [])
        schools.send([event("school.withdraw.v1", {"school_id": "7"})])
        d.caught_up()
        equal([r[0] for r in w.cluster.sql(waiting) if r[1] != "4"], ["M1", "P1", "T1", "V1"])
        d.verify()


def test_dead_letters_tried_again():
    """A letter whose key a later event has replaced has nothing left to say; one whose key is free comes to life."""
    with World(fsync="off") as w:
        f = w.feed("melding.0")
        d = w.daemon([f]).migrate().start()
        f.send([melding("M'1", level="basis"), melding("M2", level="basis"), melding("M'1", level="so")])
        d.caught_up()
        # As if a new version accepted what the old one refused.
        w.cluster.sql("UPDATE teldag_data.dead_letter SET raw = convert_to(replace(convert_from(raw, 'UTF8'), 'basis', 'bao'), 'UTF8')")
        d.ctl("dead-letter", "retry", "melding.0")
        equal(w.cluster.sql("SELECT seq, state FROM teldag.dead_letter ORDER BY seq"), [["1", "superseded"], ["2", "retried"]])
        equal(w.cluster.sql("SELECT melding_id, level FROM teldag.melding ORDER BY 1"), [["M'1", "so"], ["M2", "bao"]])
        d.verify()


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
