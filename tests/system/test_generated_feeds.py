#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What `teldag-feed generate` makes of the further feeds, through the real path: every event is accepted, every malformed line
is dead-lettered, the statistics views return exactly the published totals, and each kind of trouble raises its alert."""
import json
import os

import harness
from harness import TOP, World, generate

PUBLISHED = os.path.join(TOP, "conf/data/onderwijsspiegel_2023_2024.json")
FEEDS = ("inspection", "huisonderwijs", "aanhuis", "melding")
TODAY = "2024-06-28"
OPTIONS = ["--pupils", 16000, "--schools", 800, "--seed", harness.SEED % 1000, "--marginals", PUBLISHED, "--corrections", 10, "--duplicates", 5,
           "--unmatched", 2]


def world_of(world, extra=(), summary=None):
    """The five streams, filled; a daemon that has caught up. Returns the daemon."""
    feeds = [("school.0", "school,institution,entitlement"), ("registration.0", "registration")] + [(f + ".0", f) for f in FEEDS]
    streams = []
    for stream, names in feeds:
        feed = world.feed(stream)
        more = [*extra] if names in FEEDS else []
        if more:
            summary[names] = os.path.join(world.home, names + ".json")
            more += ["--summary", summary[names]]
        feed.append_file(generate(*OPTIONS, "--feed", names, *more))
        streams.append(feed)
    daemon = world.daemon(streams, today=TODAY)
    daemon.migrate()
    daemon.start()
    daemon.caught_up(120)
    return daemon


def test_published_totals():
    published = json.load(open(PUBLISHED, encoding="utf-8"))
    with World() as world:
        daemon = world_of(world)
        one = lambda query: int(world.cluster.one(query) or 0)
        here = "school_year = '2023-2024'"
        for level, count in published["doorlichtingen_per_level"].items():
            if isinstance(count, int):
                where = "" if level == "total" else " AND level = '%s'" % level
                assert one("SELECT sum(inspections) FROM teldag.stats_doorlichting WHERE " + here + where) == count, level
        for level, count in published["tussentijdse_bezoeken"].items():
            column = "after_ongunstig" if level == "after_ongunstig" else "bezoeken"
            where = "" if level in ("total", "after_ongunstig") else " AND level = '%s'" % level
            assert one("SELECT sum(%s) FROM teldag.stats_bezoek WHERE %s%s" % (column, here, where)) == count, level
        for advice, count in published["adviezen_bao"].items():
            assert one("SELECT sum(%s) FROM teldag.stats_doorlichting WHERE %s AND level = 'bao'" % (advice, here)) == count, advice
        for level in ("bao", "so"):
            row = world.cluster.sql("SELECT negatief, assessed FROM teldag.stats_gok WHERE %s AND level = '%s'" % (here, level))[0]
            assert [int(n) for n in row] == published["gok_onvoldoende"][level], (level, row)
            want = published["leerlingenbegeleiding"][level]
            row = world.cluster.sql("SELECT assessed, werkpunten + negatief, negatief FROM teldag.stats_leerlingenbegeleiding WHERE %s AND "
                                    "level = '%s'" % (here, level))[0]
            assert [int(n) for n in row] == [want["assessed"], want["werkpunten_or_negatief"], want["negatief"]], (level, row)
        want = published["huisonderwijs_controles"]
        for ordinal, name in ((1, "first"), (2, "second")):
            for level, key in (("basis", "(bu)bao"), ("secundair", "(bu)so")):
                assert one("SELECT sum(controles) FROM teldag.stats_huisonderwijs WHERE %s AND ordinal = %d AND level = '%s'"
                           % (here, ordinal, level)) == want[name][key], (name, level)
            assert one("SELECT sum(onvoldoende) FROM teldag.stats_huisonderwijs WHERE %s AND ordinal = %d" % (here, ordinal)) == \
                want[name]["onvoldoende"], name
        row = world.cluster.sql("SELECT sum(aanvragen), sum(goedgekeurd), sum(afgewezen), sum(uitgesteld) FROM teldag.stats_poah WHERE " + here)[0]
        assert [int(n) for n in row] == [248, 219, 27, 2], row  # C9: 115 + 104 and 27 are not 248
        assert one("SELECT count(*) FROM teldag.dead_letter") == 0
        trouble(world, daemon)
        daemon.verify()


def trouble(world, daemon):
    """Alerts of the schools and pupils that are made to show them."""
    daemon.ctl("fix", "reference", "2023-2024")
    fires = {(r[0], r[1] or r[2]) for r in world.cluster.sql("SELECT kind, school_id, subject FROM teldag.alert WHERE state = 'firing'")}
    pupil = "feed" * 6 + "fee9000"
    for kind, whose in (("evaluation.first_negative", "900001"), ("evaluation.followup_due", "900001"), ("evaluation.second_negative", "900002"),
                        ("erkenning.ongunstig", "900007"), ("erkenning.ongunstig", "900010"), ("huisonderwijs.control_due", pupil + "1"),
                        ("huisonderwijs.second_insufficient", pupil + "2"), ("melding.answer_overdue", "900012"), ("risk.high", "900013")):
        assert (kind, whose) in fires, (kind, whose, sorted(f for f in fires if f[0] == kind)[:5])
    assert ("evaluation.second_negative", "900005") not in fires
    assert world.cluster.sql("SELECT first_year, last_year FROM teldag.sanction WHERE school_id = '900005'") == [["2022-2023", "2022-2023"]]
    waiting = [r[0] for r in world.cluster.sql("SELECT key FROM teldag.unmatched")]
    for key in ("P-unmatched-1", "P-unmatched-2", "M-unmatched-1", "M-unmatched-2"):
        assert any(key in w for w in waiting), (key, waiting)
    assert sum("C-2021-80000" in w for w in waiting) == 2, waiting


def test_bad_lines():
    """Each malformed line is dead-lettered, and nothing else is."""
    with World() as world:
        summary = {}
        world_of(world, ["--bad", 100], summary)
        for feed, path in summary.items():
            bad = json.load(open(path, encoding="utf-8"))["bad"]
            dead = int(world.cluster.one("SELECT count(*) FROM teldag.dead_letter WHERE stream = '%s.0'" % feed))
            assert bad == dead > 15, (feed, bad, dead)


if __name__ == "__main__":
    harness.main({name: value for name, value in list(globals().items()) if name.startswith("test_")})
