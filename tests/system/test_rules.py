# SPDX-License-Identifier: MIT
"""Rules as data: another rules set is a recorded step that recomputes everything; every switch of regulation 2 gives the figures
of the worked vectors and of the second opinion (model.py), and verify stays clean."""
import glob
import os
import re
import shutil

import harness
import model
from harness import TOP, Shared, World, closed, registration, school, wait_for

Y23, Y24, Y25 = "2023-2024", "2024-2025", "2025-2026"


def literal(value):
    return str(value).lower() if isinstance(value, bool) else '"%s"' % value


class Rules:
    """A folder of rules files that can be edited by dotted name."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(os.path.join(TOP, "conf/rules"), folder)

    def path(self, year):
        return os.path.join(self.folder, year + ".conf")

    def put(self, name, value, years=None):
        for path in [self.path(y) for y in years] if years else glob.glob(self.folder + "/*.conf"):
            with open(path) as f:
                lines = f.read().split("\n")
            stack, found = [], 0
            for i, line in enumerate(lines):
                leaf = re.match(r"\s*(\w+) = \{ value = (.*?); source", line)
                opened = re.match(r"\s*(\w+) = \{$", line)
                if leaf and ".".join(stack + [leaf[1]]) == name:
                    lines[i] = line[:leaf.start(2)] + literal(value) + line[leaf.end(2):]
                    found += 1
                elif opened:
                    stack.append(opened[1])
                elif re.match(r"\s*\};$", line):
                    stack.pop()
            assert found == 1, "%s stands %d times in %s" % (name, found, path)
            with open(path, "w") as f:
                f.write("\n".join(lines))

    def restore(self):
        for path in glob.glob(os.path.join(TOP, "conf/rules/*.conf")):
            shutil.copy(path, self.folder)


def pupils(school_id, group, counts, total, year=Y24, start=0, **extra):
    """total registrations, of which so many with each list of indicators: {("thuistaal",): 3, ...}"""
    lists = [list(k) for k, n in counts.items() for _ in range(n)]
    lists += [[]] * (total - len(lists))
    return [registration(school_id, school_id * 1000 + start + i, group, l, year=year, **extra) for i, l in enumerate(lists)]


M, T, S = ("opleiding_moeder",), ("thuistaal",), ("schooltoelage",)


def roster():
    """The schools of the worked vectors, closed; and some history."""
    s, r = [], []

    def one(school_id, level, *parts, **extra):
        s.append(school(school_id, level, **extra))
        lines = [l for p in parts for l in p]
        r.extend(lines)
        by_year = {}
        for l in lines:
            y = re.search(r'"school_year": "([^"]+)"', l)[1]
            by_year[y] = by_year.get(y, 0) + 1
        r.extend(closed(school_id, n, y) for y, n in by_year.items())

    one(401, "bao", pupils(401, "kleuter", {M: 31, T: 44, S: 52}, 200), pupils(401, "lager", {M: 12, T: 9, S: 30}, 150, start=300))
    one(402, "so", pupils(402, "graad23", {M: 81}, 200), pupils(402, "graad1", {M: 34}, 100, start=200),
        pupils(402, "okan", {T: 100}, 200, start=400))
    one(403, "bubao", pupils(403, "basisaanbod", {M: 25, M + T: 3}, 50))
    one(404, "buso", pupils(404, "type3", {M: 28, M + T: 9}, 60))
    one(405, "bubao", pupils(405, "basisaanbod", {M: 30, T: 20}, 100))
    one(406, "bubao", pupils(406, "basisaanbod", {M: 10}, 20))
    one(407, "so", pupils(407, "graad1", {M + ("trekkend", "thuisloos"): 20}, 40), brussels=True)
    one(408, "so", pupils(408, "graad1", {M + S: 22}, 40))
    # 20 of 40 granted, then 3 of 40: below the threshold after an ordinary grant.
    one(409, "so", pupils(409, "graad1", {M + S: 20}, 40, Y23), pupils(409, "graad1", {M + S: 3}, 40, start=100))
    # 20 of 40 granted, then 17 of 40: threshold holds, 5 hours.
    one(410, "so", pupils(410, "graad1", {M + S: 20}, 40, Y23), pupils(410, "graad1", {M + S: 17}, 40, start=100))
    one(411, "bao", pupils(411, "lager", {M: 20}, 40, **{"from": "2025-02-10"}), pupils(411, "kleuter", {M: 20}, 20, start=50))
    one(412, "buso", pupils(412, "basisaanbod", {M: 19, M + T: 14}, 50))
    return s, r


class Bench:
    def __init__(self, world):
        self.world = world
        self.rules = Rules(os.path.join(world.home, "rules"))
        self.s, self.r = world.feed("school.0"), world.feed("registration.0")
        self.d = world.daemon([self.s, self.r], rules=self.rules.folder).migrate().start()
        self.sql = world.cluster.sql
        schools, regs = roster()
        self.lines = schools + regs
        self.s.send(schools)
        self.r.send(regs)
        self.d.caught_up()

    def reload(self):
        return self.d.ctl("reload")

    def hash(self):
        return self.sql("SELECT rules_hash FROM teldag_data.shard_progress")[0][0]

    def log(self):
        return self.sql("SELECT act, body->>'hash' FROM teldag_data.local_log WHERE act = 'rules' ORDER BY seq")

    def row(self, school_id, group, columns):
        rows = self.sql("SELECT %s FROM teldag.allocation WHERE school_id = '%d' AND \"group\" = '%s' AND school_year = '%s'" %
                        (columns, school_id, group, Y25))
        return rows[0] if rows else None

    def check(self, rules=None, near=(3, 1), teldag=None):
        model.compare(self.sql, model.Model(self.lines, rules, near, teldag))
        assert self.sql("SELECT DISTINCT rules FROM teldag.allocation") == [[self.hash()]]
        self.d.verify()


bench = Shared(Bench, fsync="off")

# The worked vectors of regulation 2 under the defaults: (school, group) -> points, hours_exact, hours, status
DEFAULTS = {
    (401, "kleuter"): [None, "27.28798", "27", "granted"],
    (401, "lager"): [None, "9.40074", "9", "granted"],
    (402, "graad23"): ["49", "6.0025", "6", "granted"],
    (402, "graad1"): ["20", "5.832", "6", "granted"],
    (402, "okan"): ["0", "0", "0", "below_minimum"],
    (403, "aanbod"): ["23.6", "5.9524113048", "6", "granted"],
    (404, "aanbod"): ["33", "7.497501", "7", "granted"],
    (405, "aanbod"): ["24", "6.053299632", "6", "below_threshold"],
    (406, "aanbod"): ["8", "2.017766544", "2", "below_minimum"],
    (407, "graad1"): ["36", "10.4976", "10", "granted"],
    (408, "graad1"): ["33", "9.6228", "10", "granted"],
    (409, "graad1"): ["3", "0.8748", "1", "grace"],
    (410, "graad1"): ["17", "4.9572", "5", "grace"],
    (412, "aanbod"): ["32", "7.270304", "7", "granted"],
}

SWITCHES = [
    ("rounding", "ge4", {(401, "lager"): [None, "9.40074", "10", "granted"], (404, "aanbod"): ["33", "7.497501", "8", "granted"]}),
    ("gok.combination", False, {(402, "okan"): ["20", "5.832", "6", "granted"]}),
    ("gok.cap", "0.8", {(407, "graad1"): ["24", "6.9984", "7", "granted"], (408, "graad1"): ["26", "7.5816", "8", "granted"]}),
    ("gok.brussels_factor", "1", {(407, "graad1"): ["24", "6.9984", "7", "granted"], (408, "graad1"): DEFAULTS[408, "graad1"]}),
    ("gok.concentration_factor", "1", {(408, "graad1"): ["22", "6.4152", "6", "granted"], (407, "graad1"): DEFAULTS[407, "graad1"]}),
    ("gok.concentration_share", "0.56", {(408, "graad1"): ["22", "6.4152", "6", "granted"]}),
    ("gok.round_points", False, {(402, "graad23"): ["48.6", "5.9535", "6", "granted"], (402, "graad1"): ["20.4", "5.94864", "6", "granted"]}),
    ("gok.minimum_on", "exact", {(402, "graad1"): ["20", "5.832", "6", "below_minimum"], (402, "graad23"): ["49", "6.0025", "6", "granted"],
                                 (403, "aanbod"): ["23.6", "5.9524113048", "6", "below_minimum"]}),
    ("gok.minimum", "7", {(402, "graad23"): ["49", "6.0025", "6", "below_minimum"]}),
    ("gok.threshold.graad1", "0.35", {(402, "graad1"): ["20", "5.832", "6", "below_threshold"]}),
    ("gok.value.graad23", "0.1424", {(402, "graad23"): ["49", "6.9776", "7", "granted"]}),
    ("gok.weight.moeder", "0.5", {(402, "graad1"): ["17", "4.9572", "5", "below_minimum"]}),
    ("bu.eligibility", "or", {(405, "aanbod"): ["24", "6.053299632", "6", "granted"], (406, "aanbod"): ["8", "2.017766544", "2", "granted"]}),
    ("bu.share_counts", "any", {(405, "aanbod"): ["24", "6.053299632", "6", "granted"]}),
    ("bubao.round_points", True, {(403, "aanbod"): ["24", "6.053299632", "6", "granted"]}),
    ("buso.round_points", False, {(404, "aanbod"): ["33.2", "7.5429404", "8", "granted"]}),
    ("gedoog.covers", "minimum", {(409, "graad1"): ["3", "0.8748", "1", "below_threshold"], (410, "graad1"): ["17", "4.9572", "5", "grace"]}),
    ("ses.moeder", "0.5", {(401, "kleuter"): [None, "34.50788", "35", "granted"]}),
]


def expect(b, wanted, what):
    for (school_id, group), figures in wanted.items():
        got = b.row(school_id, group, "points, hours_exact, hours, status")
        assert got == figures, "%s, school %d %s: got %s, wanted %s" % (what, school_id, group, got, figures)


def test_vectors():
    b = bench()
    expect(b, DEFAULTS, "defaults")
    b.check()


def test_every_switch():
    b = bench()
    start = b.hash()
    seen = {start}
    for name, value, wanted in SWITCHES:
        b.rules.restore()
        b.rules.put(name, value)
        text = b.reload()
        assert "rules" in text, text
        seen.add(b.hash())
        expect(b, wanted, "%s = %s" % (name, value))
        b.check({name: int(value) if name == "gok.minimum" else value})
        shown = b.sql("SELECT DISTINCT value FROM teldag.rules WHERE name = '%s'" % name)
        assert shown == [[literal(value).strip('"')]], shown
    assert len(seen) == len(SWITCHES) + 1, "each is a set of its own"
    b.rules.restore()
    b.reload()
    assert b.hash() == start, "the same files are the same set"
    expect(b, DEFAULTS, "restored")
    b.check()
    assert [r[1] for r in b.log()][-1] == start and len(b.log()) == len(SWITCHES) + 2, b.log()
    stored = b.sql("SELECT count(*) FROM teldag_data.rules_set")
    assert stored == [[str(len(seen))]], "each set is stored once under its hash"


def test_teldag_moved():
    b = bench()
    assert b.row(411, "lager", "pupils") is None
    b.rules.put("teldag", "2025-02-10", [Y25])
    b.reload()
    assert b.row(411, "lager", "pupils, hours, count_year") == ["40", "5", Y24]
    b.check(teldag={2024: "2025-02-10"})
    b.rules.restore()
    b.reload()
    assert b.row(411, "lager", "pupils") is None
    b.check()


def test_reload_by_signal_and_after_a_restart():
    b = bench()
    old = b.hash()
    b.rules.put("gok.minimum", "7")
    os.kill(b.d.process.pid, harness.signal.SIGHUP)
    wait_for(lambda: b.hash() != old, 10, "SIGHUP reloads the rules")
    b.check({"gok.minimum": 7})
    assert b.d.stop() == 0
    b.rules.restore()  # changed while it was down
    before = len(b.log())
    b.d.start()
    b.d.caught_up()
    wait_for(lambda: b.hash() == old, 10, "rules of the files are put in force at start")
    assert len(b.log()) == before + 1
    b.check()


def test_broken_rules_keep_the_old_set():
    b = bench()
    old, log = b.hash(), b.log()
    path = b.rules.path(Y25)
    with open(path) as f:
        good = f.read()
    line = next(i for i, l in enumerate(good.split("\n"), 1) if l.strip().startswith("cap = "))
    broken = {
        "misspelt": (good.replace("    cap = ", "    cop = "), [path, ":%d" % line, "gok.cop", "gok.cap"]),
        "type": (good.replace('cap = { value = "1.2"', "cap = { value = 1.2"), [path, ":%d" % line, "gok.cap"]),
        "bounds": (good.replace('cap = { value = "1.2"', 'cap = { value = "-1"'), [path, ":%d" % line, "gok.cap"]),
        "syntax": (good.replace("gok = {", "gok = {{"), [path, ":"]),
        "missing": (re.sub(r"\n    cap = .*", "", good), [path, "gok.cap"]),
        "teldag": (good.replace('value = "2025-02-03"', 'value = "2025-09-03"'), [path, "teldag"]),
    }
    try:
        for what, (text, names) in broken.items():
            assert text != good
            with open(path, "w") as f:
                f.write(text)
            done = b.d.run("reload")
            assert done.returncode == 78, "%s: exit %d\n%s%s" % (what, done.returncode, done.stdout, done.stderr)
            assert "old configuration stays" in done.stderr, done.stderr
            for name in names:
                assert name in done.stderr, "%s: %r does not name %s" % (what, done.stderr, name)
            check = harness.subprocess.run([os.path.join(harness.BUILD, "teldagd"), "-c", b.d.config, "--check-config"],
                                           stdout=harness.subprocess.PIPE, stderr=harness.subprocess.STDOUT, text=True)
            assert check.returncode == 78 and names[0] in check.stdout, check.stdout
    finally:
        b.rules.restore()
    assert (b.hash(), b.log()) == (old, log)
    b.check()


def edit_config(d, pattern, text):
    with open(d.config) as f:
        old = f.read()
    new = re.sub(pattern, text, old)
    with open(d.config, "w") as f:
        f.write(new if new != old else old + text)
    return old


def test_near_settings():
    b = bench()
    near = lambda: b.sql("SELECT school_id, \"group\", severity FROM teldag.alert WHERE kind = 'threshold.near' AND state = 'firing' ORDER BY 1, 2")
    first, old_hash = near(), b.hash()
    assert first, "nothing near: nothing tested"
    old = edit_config(b.d, "near = .*", "near = { pupils = 100; hours = 9; };\n")
    assert "near" in b.reload()
    assert len(near()) > len(first) and b.hash() != old_hash
    b.check(near=(100, 9))
    edit_config(b.d, "near = .*", "near = { pupils = 0; hours = 0; };\n")
    b.reload()
    assert len(near()) <= len(first)
    b.check(near=(0, 0))
    with open(b.d.config, "w") as f:
        f.write(old)
    b.reload()
    assert (near(), b.hash()) == (first, old_hash)
    b.check()
    # What cannot change while running is named, and does not change.
    edit_config(b.d, r"metrics = .*", 'metrics = "";\n')
    text = b.reload()
    assert "restart" in text and "metrics" in text, text
    with open(b.d.config, "w") as f:
        f.write(old)
    b.reload()


def test_year_without_a_file():
    b = bench()
    for year in (Y25, "2026-2027"):
        os.unlink(b.rules.path(year))
    b.rules.put("ses.moeder", "0.3", [Y24])
    b.reload()
    shown = b.sql("SELECT name, value, source, verified FROM teldag.rules WHERE school_year = '%s' AND name IN ('teldag', 'ses.moeder') ORDER BY 1" % Y25)
    assert shown[0][:2] == ["ses.moeder", "0.3"] and "carried over from " + Y24 in shown[0][2] and shown[0][3] == "f", shown
    assert shown[1][1] == "2025-02-03" and "C7" in shown[1][2] and shown[1][3] == "f", shown  # 1 February 2025 is a Saturday
    assert b.row(401, "kleuter", "hours_exact") == ["28.30788"], "31 x .3 + 44 x .29116 + 52 x .11917"
    assert b.sql("SELECT count(*) FROM teldag.rules WHERE school_year = '%s' AND verified" % Y25) == [["0"]]
    text = b.d.ctl("explain", "401", Y25)
    assert "carried over" in text and "NOT VERIFIED" in text, text
    b.d.verify()
    b.rules.restore()
    b.reload()
    b.check()
    assert b.sql("SELECT verified FROM teldag.rules WHERE school_year = '%s' AND name = 'ses.moeder'" % Y25) == [["t"]]


def test_explain():
    b = bench()
    text = b.d.ctl("explain", "402", Y25)
    for piece in ("0.1225", "[GO 3.2]", "gok.value.graad23", "gok.cap", "[?]", "NOT VERIFIED", "48.6", "49", "6.0025", "0.25", "Threshold",
                  "Minimum", "Margin", "Gedoogjaar", "Sanction", "rounding", "opleiding_moeder"):
        assert piece in text, "explain does not say %r:\n%s" % (piece, text)
    grace = b.d.ctl("explain", "409", Y25)
    assert "grace" in grace and Y24 in grace, grace
    data = b.d.json("explain", "402", Y25)
    flat = harness.json.dumps(data)
    assert '"verified": false' in flat and '"verified": true' in flat and "[GO 3.2]" in flat, flat[:2000]
    detail = b.sql("SELECT summary, detail FROM teldag.alert WHERE kind = 'threshold.grace' AND school_id = '409' AND state = 'firing'")
    assert detail and "unverified" in detail[0][0] and "verified" in detail[0][1], detail


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
