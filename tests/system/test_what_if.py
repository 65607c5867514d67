#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""teldagctl what-if: what it foretells of other rules is what the daemon does when it is given them, row for row and alert for
alert; and until then nothing has changed."""
import os
import random
import shutil

import flow
import harness
from harness import Shared, main_shared
from test_rules import Rules

COLUMNS = 'school_id, school_year, stream, "group", hours, granted, status'


def make(world):
    rules = Rules(os.path.join(world.home, "rules"))
    schools, registrations, _ = flow.split_generated("--pupils", 4000, "--schools", 60, "--seed", random.randrange(1 << 31))
    d = world.daemon([world.feed("school.0"), world.feed("registration.0")], rules=rules.folder, today="2023-06-01").migrate().start()
    for feed, lines in zip(world.feeds, (schools, registrations)):
        feed.append_file(b"\n".join(lines) + b"\n")
    d.caught_up()
    return d, rules, world


bench = Shared(make, fsync="off")


def standing(world):
    return {tuple(row[:4]): tuple(row[4:]) for row in world.cluster.sql("SELECT %s FROM teldag.allocation" % COLUMNS)}


def foretold(answer, stands):
    rows = dict(stands)
    for row in answer["rows"]:
        key = (row["school_id"], row["school_year"], row["stream"], row["group"])
        before = row["before"] and (str(row["before"]["hours"]), str(row["before"]["granted"]), row["before"]["status"])
        assert stands.get(key) == before, (key, before, stands.get(key))
        if row["after"]:
            rows[key] = (str(row["after"]["hours"]), str(row["after"]["granted"]), row["after"]["status"])
        else:
            del rows[key]
    return rows


def propose(world, rules, year, changes):
    """A file of that year with other values, outside the folder of the daemon."""
    path = os.path.join(world.home, "proposal", year + ".conf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    other = Rules(os.path.join(world.home, "other"))
    shutil.copy(rules.path(year), other.path(year))
    for name, value in changes.items():
        other.put(name, value, [year])
    shutil.copy(other.path(year), path)
    shutil.rmtree(other.folder)
    return path


def test_what_is_foretold_is_what_happens():
    d, rules, world = bench()
    proposals = [{"gok.threshold.graad1": "0.35", "gok.threshold.graad23": "0.55"}, {"ses.moeder": "0.3", "gok.minimum": "12"},
                 {"teldag": "2023-01-20"}, {"gok.value.graad1": "0.4", "bubao.threshold": "0.2", "gok.weight.thuistaal": "0.5"}]
    changed = alerts = 0
    for changes in proposals:
        stands = standing(world)
        path = propose(world, rules, "2023-2024", changes)
        answer = d.json("what-if", "--rules", path)
        assert answer["rules_in_force"] != answer["rules"] and standing(world) == stands
        last = int(world.cluster.one("SELECT coalesce(max(seq), 0) FROM teldag.alert_log"))
        shutil.copy(path, rules.path("2023-2024"))
        d.ctl("reload")
        assert d.json("status")["rules_hash"] == answer["rules"]
        assert standing(world) == foretold(answer, stands), changes
        happened = world.cluster.sql("SELECT kind, state, severity, school_id, school_year FROM teldag.alert_log WHERE seq > %d "
                                     "AND kind LIKE 'threshold.%%'" % last)
        told = [[a["kind"], a["state"], a["severity"], a["school_id"], a["school_year"]] for a in answer["alerts"]]
        assert sorted(map(str, happened)) == sorted(map(str, told)), changes
        sums = {}
        for row in answer["rows"]:
            t = sums.setdefault((row["school_year"], row["stream"]), [0, 0, 0])
            t[0] += 1
            t[1] += row["before"]["granted"] if row["before"] else 0
            t[2] += row["after"]["granted"] if row["after"] else 0
        assert sums == {(t["school_year"], t["stream"]): [t["rows"], t["granted_before"], t["granted"]] for t in answer["totals"]}
        changed += len(answer["rows"])
        alerts += len(told)
    assert changed > 10 and alerts > 2, (changed, alerts)
    d.verify()


def test_the_rules_in_force_change_nothing():
    d, rules, world = bench()
    answer = d.json("what-if", "--rules", rules.folder)
    assert answer["rows"] == answer["totals"] == answer["alerts"] == [] and answer["rules"] == answer["rules_in_force"]
    assert "no hour and no status would change" in d.ctl("what-if", "--rules", rules.path("2023-2024"))


def test_one_school_and_text():
    d, rules, world = bench()
    path = propose(world, rules, "2023-2024", {"ses.thuistaal": "0.9"})
    rows = d.json("what-if", "--rules", path)["rows"]
    school_id = rows[0]["school_id"]
    mine = d.json("what-if", "--rules", path, "--school", school_id)
    assert mine["rows"] == [r for r in rows if r["school_id"] == school_id]
    text = d.ctl("what-if", "--rules", path, "--school", school_id)
    row = mine["rows"][0]
    assert "Nothing is changed" in text and "%d -> %d" % (row["before"]["granted"], row["after"]["granted"]) in text, text
    # Under another name the year must be said.
    bare = os.path.join(world.home, "proposal.conf")
    shutil.copy(path, bare)
    assert "name it after its school year" in d.run("what-if", "--rules", bare).stderr
    assert d.json("what-if", "--rules", bare, "--year", "2023-2024")["rows"] == rows


def test_what_is_refused():
    d, rules, world = bench()
    assert d.run("what-if").returncode == 64
    assert d.run("what-if", "--rules", rules.folder, "--year", "2025").returncode == 64
    assert d.run("what-if", "--rules", rules.folder, "--school", "x").returncode == 64
    path = propose(world, rules, "2023-2024", {})
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("moeder = {", "moedr = {", 1))
    done = d.run("--json", "what-if", "--rules", path)
    assert done.returncode == 78 and not done.stdout and "did you mean" in done.stderr, done
    done = d.run("what-if", "--rules", "/nowhere/2023-2024.conf")
    assert done.returncode == 78 and "2023-2024.conf" in done.stderr, done


if __name__ == "__main__":
    main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_") and callable(v)}, bench)
