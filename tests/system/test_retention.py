#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""teldagctl retain: pupils of old school years go, what was counted of them stays to the digit, verify still passes, late events are
refused, and a crash leaves everything or nothing."""
import json
import os
import random
import re
import subprocess
import time

import flow
import harness
from harness import World, closed, event, pupil, registration, school, wait_for
from test_process import told_by
from test_budget_risk import beslissing, melding, poah, toah, verklaring
from test_roles import Logins

BEFORE = "2019-2020"
OLD, NEW = "2018-2019", "2019-2020"
VIEWS = ["count", "oki", "allocation", "allocation_difference", "working_budget", "evaluation", "sanction", "stats_huisonderwijs", "stats_verklaring",
         "stats_poah", "stats_vlp", "stats_toah", "toah_poah_per_school", "stats_melding", "risk_indicator", "risk_ranking", "best_effort", "school"]


def controle(number, who, year, day, ordinal, verdict):
    return event("huisonderwijs.controle.v1", {"controle_id": "c%s" % number, "pupil": pupil(who), "school_year": year, "level": "basis", "province": None,
                                               "date": day, "ordinal": ordinal, "verdict": verdict, "criteria": None})


def vlp(number, year):
    return event("vlp.aanvraag.v1", {"request_id": "x%s" % number, "pupil": pupil(number), "school_year": year, "kind": "tijdelijk",
                                     "decision": "goedgekeurd", "granted_kind": "tijdelijk", "decided_on": None})


def fill(world, seed):
    """Events of four school years, some of each feed; chains and keys that cross the border."""
    r = random.Random(seed)
    feeds = {n: world.feed(n + ".0") for n in ("school", "registration", "huisonderwijs", "aanhuis", "melding")}
    lines = {n: [] for n in feeds}
    for n in range(1, 9):
        lines["school"].append(school(n, "so" if n % 2 else "bao", board_id="B1"))
    events = []
    for year in (2016, 2017, 2018, 2019, 2020):
        name = "%d-%d" % (year, year + 1)
        for s in range(1, 9):
            count = r.randrange(30, 60)
            for i in range(count):
                events.append(registration(s, 100000 * (year - 2015) + 1000 * s + i, "graad1" if s % 2 else "lager",
                                           [w for w in ("opleiding_moeder", "schooltoelage", "thuistaal") if r.random() < .4], year=name,
                                           weight=r.choice([1, 1, .5])))
            events.append(closed(s, count, name))
    r.shuffle(events)  # school years mixed in one stream: positions go in many ranges; the closings come again below
    lines["registration"] = events + [e for e in events if json.loads(e)["type"] == "registration.closed.v1"]
    for i in range(60):
        year = r.randrange(2016, 2021)
        name = "%d-%d" % (year, year + 1)
        lines["aanhuis"] += [toah(i, 1 + i % 8, name), poah(i, 1 + i % 3, name), beslissing(i, 4 + i % 3), vlp(i, name)]
        lines["huisonderwijs"] += [verklaring(i, 1 + i % 8, name), controle(i, 9000 + i, name, "%d-11-05" % year, 1, r.choice(["voldoende", "voldoende", "onvoldoende"]))]
        lines["melding"].append(melding(i, 1 + 2 * (i % 4), "%d-11-05" % year))
    # a first insufficient control that an old and a new school year share, and one whose second came in the new one
    lines["huisonderwijs"] += [controle("a", 9901, OLD, "2019-03-01", 1, "onvoldoende"), controle("b", 9901, NEW, "2019-10-01", 2, "geweigerd")]
    # the same of a pupil whose pseudonym changed in between; and a link nobody needs any more
    lines["huisonderwijs"] += [controle("d", 9903, OLD, "2019-03-01", 1, "onvoldoende"), controle("e", 9905, NEW, "2019-10-01", 2, "geweigerd"),
                               event("pupil.link.v1", {"old": pupil(9903), "new": pupil(9904)}, "2019-09-02T08:00:00Z"),
                               event("pupil.link.v1", {"old": pupil(9904), "new": pupil(9905)}, "2019-08-02T08:00:00Z"),
                               event("pupil.link.v1", {"old": pupil(101000), "new": pupil(201000)}, "2017-10-02T08:00:00Z")]
    # a request that moved to a later school year, and one that was withdrawn
    lines["aanhuis"] += [toah(700, 1, OLD), toah(700, 1, NEW), toah(701, 2, OLD), event("toah.melding.withdraw.v1", {"request_id": "t701"})]
    # a pupil in two schools, a number that is never reached, a line that is none
    lines["registration"] += [registration(1, 777, "graad1", year=OLD), registration(3, 777, "graad1", year=OLD), closed(5, 999, "2017-2018"),
                              '{"broken": "%s", "school_year": "2017-2018"}' % pupil(778), '{"broken": true, "school_year": "2020-2021"}']
    for name, feed in feeds.items():
        feed.send(lines[name])
    return feeds


def shown(world, views=VIEWS):
    """Every row of these views as text, but for where its event stands and whether it is fixed."""
    rows = world.cluster.sql("SET jit = off; " + " UNION ALL ".join("SELECT '%s', (to_jsonb(x) - 'retained' - 'seq' - 'recorded_at')::text FROM teldag.%s x" % (v, v) for v in views))
    return {v: sorted(r[1] for r in rows if r[0] == v) for v in views}


def start(world, **options):
    logins = Logins(world)
    feeds = fill(world, harness.SEED)
    d = world.daemon(list(feeds.values()), conninfo=logins.of("wim"), today="2021-10-01", **options)
    d.ctl("migrate", "--database", logins.of("owner"))
    d.start()
    d.caught_up(120)
    for year in ("2017-2018", "2018-2019", "2020-2021"):
        d.ctl("fix", "reference", year)
    return logins, feeds, d


def pupils_left(world):
    """Old pupils anywhere in the database, by the text of every column of every table."""
    old = {pupil(100000 * (year - 2015) + 1000 * s + i) for year in (2016, 2017, 2018) for s in range(1, 9) for i in range(60)} | {pupil(777), pupil(778)}
    tables = [t for (t,) in world.cluster.sql("SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'teldag_data'::regnamespace")]
    rows = world.cluster.sql(" UNION ALL ".join("SELECT '%s', replace(t::text, '-', '')%s FROM %s t" % (
        t, " || convert_from(t.raw, 'UTF8')" if t.endswith("dead_letter") else "", t) for t in tables))
    return {(table, word) for table, text in rows for word in re.findall(r"[0-9a-f]{32}", text) if word in old}


def retain(d, *more, code=0, before=BEFORE):
    done = d.run("retain", "--before", before, *more)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_retain():
    with World() as w:
        logins, feeds, d = start(w)
        d.verify()
        follower = flow.Follower(d)
        follower.expect(w.cluster)
        before, size = shown(w), int(w.cluster.one("SELECT pg_total_relation_size('teldag_data.registration_log_2018')"))
        incomplete = [a for a in d.json("alerts", "--kind", "count.incomplete")]
        assert size > 50000 and any(a["school_year"] == "2017-2018" and a["state"] == "firing" for a in incomplete), incomplete
        assert pupils_left(w)
        log = w.cluster.sql("SELECT seq, kind, school_year, state, subject FROM teldag_data.alert_log ORDER BY seq")

        # what it would do, and why it would not
        done = d.run("--json", "retain", "--before", BEFORE, "--dry-run")
        assert done.returncode == 65, done.stderr
        plan = json.loads(done.stdout)
        assert {p["school_year"] for p in plan["plan"] if p["what"] == "registration events"} == {"2016-2017", "2017-2018", "2018-2019"}, plan
        assert len(plan["refused"]) >= 3, plan
        said = retain(d, code=65)
        assert "count.incomplete" in said and "registration.double" in said and "dead letters" in said, said
        assert "is needed" in retain(d, "--as-they-are", code=65, before="2021-2022"), "its counts are in use"
        assert "is needed" in retain(d, "--as-they-are", code=65, before="2098-2099")
        for wrong in ("2019-2021", "19", "", "x"):
            retain(d, code=64, before=wrong)
        assert shown(w) == before

        # the daemon's login by itself: neither its word that something was retained, nor a retention that nothing records
        where = "SQL login of the daemon (teldag_writer)"
        logins.refused("wim", "blank alerts after a forged act retain", "BEGIN; INSERT INTO teldag_data.local_log (shard, seq, act, body) SELECT 0, 1 + max(seq), 'retain',"
                       " '{\"before\": \"2099-2100\"}' FROM teldag_data.local_log; SELECT teldag_data.retain_alerts(2099::smallint); COMMIT", where)
        logins.refused("wim", "retain without the act that records it", "SELECT teldag_data.retain(2019::smallint, true)", where)
        logins.refused("wim", "record a retention", "INSERT INTO teldag_data.retention (nth, before, body) VALUES (1, 2099, '{}') RETURNING 1", where)
        logins.refused("wim", "retain a school year that is needed", "SELECT teldag_data.retain(2098::smallint, true)", where)
        assert shown(w) == before and w.cluster.one("SELECT teldag_data.retained_before()") == "0"

        retain(d, "--as-they-are")
        d.verify()
        after = shown(w)
        for view in VIEWS:
            assert after[view] == before[view], (view, flow.differ(after[view], before[view]))
        assert not pupils_left(w), sorted(pupils_left(w))[:5]
        assert w.cluster.sql("SELECT to_regclass('teldag_data.registration_log_2018'), to_regclass('teldag_data.registration_log_2019') IS NOT NULL") == [[None, "t"]]
        assert w.cluster.sql("SELECT DISTINCT retained FROM teldag.count WHERE school_year < '%s'" % BEFORE) == [["t"]]
        assert w.cluster.sql("SELECT DISTINCT retained FROM teldag.count WHERE school_year >= '%s'" % BEFORE) == [["f"]]
        assert w.cluster.sql("SELECT DISTINCT retained FROM teldag.allocation WHERE school_year = '2019-2020'") == [["t"]]
        assert w.cluster.one("SELECT count(*) FROM teldag.registration WHERE school_year < '%s'" % BEFORE) == "0"
        # the file of a pupil whose last control is of a kept school year is kept whole, and its alert fires on
        assert w.cluster.one("SELECT count(*) FROM teldag_data.controle_log WHERE controle_id IN ('ca', 'cb')") == "2"
        assert any(a["kind"] == "huisonderwijs.second_insufficient" and a["subject"] == pupil(9901) for a in d.json("alerts"))
        assert w.cluster.one("SELECT count(*) FROM teldag_data.controle_log WHERE controle_id IN ('cd', 'ce')") == "2"
        assert any(a["kind"] == "huisonderwijs.second_insufficient" and a["subject"] == pupil(9905) for a in d.json("alerts"))
        assert w.cluster.one("SELECT count(*) FROM teldag_data.pupil_link_log") == "2"
        assert w.cluster.one("SELECT count(*) FROM teldag_data.toah_log WHERE request_id = 't700'") == "2"
        assert w.cluster.one("SELECT count(*) FROM teldag_data.toah_log WHERE request_id = 't701'") == "0"
        # alerts: the sequence has no hole, who they were about is gone, what fired ended with an event
        now = w.cluster.sql("SELECT seq, kind, school_year, state, subject FROM teldag_data.alert_log ORDER BY seq")
        assert [r[:4] for r in now[:len(log)]] == [r[:4] for r in log] and len(now) > len(log)
        for row, was in zip(now, log):
            about = was[1] in ("registration.double", "huisonderwijs.control_due") and was[2] < BEFORE
            assert (row[4] != was[4]) == about and (not about or row[4] == "erased-0-" + row[0]), (row, was)
        assert all(r[3] == "resolved" for r in now[len(log):]), now[len(log):]
        wait_for(lambda: len(follower.events) == len(now), 20, "the subscriber has %d of %d" % (len(follower.events), len(now)))
        assert follower.events[-1]["data"]["subject"] in {r[4] for r in now[len(log):]}
        d.ctl("school", "1")
        d.ctl("explain", "1", "2019-2020")
        # again: nothing left, nothing recorded
        acts = w.cluster.one("SELECT count(*) FROM teldag_data.local_log")
        assert "nothing" in retain(d)
        assert w.cluster.one("SELECT count(*) FROM teldag_data.local_log") == acts

        # late events are refused, wherever they come from, and leave no pupil; what is no pupil's is taken
        late = [registration(1, 101000, "graad1", year=OLD), harness.withdraw(1, 101001, OLD), closed(1, 3, OLD), registration(1, 910000, "graad1", year=NEW)]
        feeds["registration"].send(late)
        feeds["huisonderwijs"].send([controle("late", 9902, OLD, "2019-03-01", 1, "onvoldoende")])
        feeds["aanhuis"].send([toah(800, 1, OLD), beslissing(0, 5)])
        feeds["melding"].send([melding(800, 1, "2018-11-05")])
        d.caught_up()
        letters = w.cluster.sql("SELECT reason, event FROM teldag.dead_letter WHERE reason LIKE '%retention%' ORDER BY reason")
        assert len(letters) == 5 and {r[1] for r in letters} == {""}, letters
        assert letters[0][0].startswith("school year 2018-2019 is closed by retention ("), letters
        assert not pupils_left(w)
        d.verify()
        # from the fixed rows alone: after a restart, and under other rules, everything is as it would be
        figures = shown(w)
        d.stop()
        d.start()
        d.caught_up()
        flow.expect_no_differences(d)
        d.verify()
        assert shown(w) == figures
        with open(d.config, "a") as out:
            out.write("near = { pupils = 40; hours = 20; };\n")
        d.ctl("reload")
        d.verify()
        # further: the year after, on top
        d.stop()
        d.today = "2022-10-01"
        d.start()
        d.caught_up()
        figures = shown(w)
        retain(d, "--as-they-are", before="2020-2021")
        d.verify()
        assert shown(w) == figures
        d.stop()
        d.start()
        d.caught_up()
        flow.expect_no_differences(d)
        d.verify()
        follower.stop()


def test_a_crash_leaves_all_or_nothing():
    """kill -9 of the daemon, and of the server, while the act runs: a reader that holds a partition keeps it waiting; then at random."""
    with World() as w:
        logins, feeds, d = start(w)
        before = shown(w)
        rows = w.cluster.one("SELECT count(*) FROM teldag_data.registration_log")
        reader = subprocess.Popen(["psql", "-X", "-q", w.cluster.conninfo, "-c", "BEGIN; SELECT count(*) FROM teldag.registration; SELECT pg_sleep(60)"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: w.cluster.one("SELECT count(*) FROM pg_locks WHERE relation = 'teldag_data.registration_log'::regclass") != "0", 20, "no reader")
        said = retain(d, "--as-they-are", code=69)
        assert "another session" in said, said
        d.verify()
        order = subprocess.Popen([os.path.join(harness.BUILD, "teldagctl"), "-c", d.config, "retain", "--before", BEFORE, "--as-they-are"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: w.cluster.one("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0", 20, "the act does not wait")
        d.kill()
        order.wait()
        reader.kill()
        reader.wait()
        w.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()")
        d.start()
        d.caught_up()
        assert w.cluster.one("SELECT count(*) FROM teldag_data.registration_log") == rows and shown(w) == before
        d.verify()
        done = 0
        for how in ("daemon", "server", "daemon", "server"):
            order = subprocess.Popen([os.path.join(harness.BUILD, "teldagctl"), "-c", d.config, "retain", "--before", BEFORE, "--as-they-are"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.6))
            if how == "daemon":
                d.kill()
                d.start()
            else:
                w.cluster.crash()
                w.cluster.up()
            order.wait()
            d.caught_up()
            gone = w.cluster.one("SELECT to_regclass('teldag_data.registration_log_2018') IS NULL")
            recorded = w.cluster.one("SELECT count(*) > 0 FROM teldag_data.local_log WHERE act = 'retain'")
            left = int(w.cluster.one("SELECT count(*) FROM teldag_data.registration_log WHERE school_year < 2019"))
            assert (gone == "t") == (recorded == "t") == (left == 0), (gone, recorded, left)
            assert shown(w) == before
            d.verify()
            done += gone == "t"
        if not done:
            retain(d, "--as-they-are")
        assert not pupils_left(w) and shown(w) == before
        d.verify()


def test_a_long_act_feeds_the_watchdog():
    """One statement that may take minutes: while the server works at it (here: waits for a reader) the daemon does not stand still."""
    with World() as w:
        logins, feeds, d = start(w)
        d.stop()
        with told_by(d, WATCHDOG_USEC="600000") as told:
            d.caught_up()
            reader = subprocess.Popen(["psql", "-X", "-q", w.cluster.conninfo, "-c", "BEGIN; SELECT count(*) FROM teldag.registration; SELECT pg_sleep(60)"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: w.cluster.one("SELECT count(*) FROM pg_locks WHERE relation = 'teldag_data.registration_log'::regclass") != "0", 20, "no reader")
            order = subprocess.Popen([os.path.join(harness.BUILD, "teldagctl"), "-c", d.config, "retain", "--before", BEFORE, "--as-they-are"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: w.cluster.one("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0", 20, "the act does not wait")
            fed = told("WATCHDOG=1")
            time.sleep(1.5)  # the act waits 5 s for its lock
            fed = told("WATCHDOG=1") - fed
            waits = w.cluster.one("SELECT count(*) FROM pg_locks WHERE NOT granted")
            reader.kill()
            reader.wait()
            w.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()")
            assert waits != "0" and fed >= 3, (waits, fed)
            assert order.wait() == 0
        d.verify()


if __name__ == "__main__":
    harness.main({name: f for name, f in list(globals().items()) if name.startswith("test_")})
