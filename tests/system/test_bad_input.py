# SPDX-License-Identifier: MIT
"""Bad input stops nothing (P4) and names nobody (P6): what one event alone proves wrong becomes a dead letter with its place
and a reason that names the field, the events around it are applied, and no national number reaches disk or log."""
import hashlib
import json
import os
import re
import subprocess

import zmq

import harness
from harness import Shared, World, closed, event, registration, school, wait_for, withdraw


def rrn(nine, born_2000=False):
    return nine + "%02d" % (97 - int(("2" if born_2000 else "") + nine) % 97)


GOOD_NUMBERS = [rrn("850730033"), rrn("010203045", True), rrn("854730033"), rrn("852730033")]  # 1985, 2001, two bis numbers
WRONG_NUMBER = "85073003329"  # its check number would be 28
LEAK_NUMBERS = GOOD_NUMBERS + [WRONG_NUMBER, rrn("771211007"), rrn("600101011")]


def edited(line, **data):
    e = json.loads(line)
    for name, value in data.items():
        if value is KeyError:
            del e["data"][name]
        else:
            e["data"][name] = value
    return e


def bad_registrations():
    """(kind, line, what the reason must say)"""
    base = lambda: registration(301, 30199, "lager")
    text = lambda **data: json.dumps(edited(base(), **data))
    envelope = lambda **members: json.dumps(dict(json.loads(base()), **members))
    gone = json.loads(base())
    del gone["time"]
    return [
        ("not JSON", '{"specversion":"1.0", this is no JSON', r"^not JSON: .* at byte \d+"),
        ("a list", "[1,2]", r"^not a JSON object"),
        ("two objects", base() + base(), r"^not JSON: .* at byte \d+"),
        ("not UTF-8", base().encode().replace(b"urn:teldag", b"urn:\xc3\x28"), r"^not UTF-8 at byte \d+"),
        ("overlong UTF-8", base().encode().replace(b"urn:teldag", b"urn:\xc0\xaf"), r"^not UTF-8 at byte \d+"),
        ("missing field", text(pupil=KeyError), r"^data\.pupil: missing"),
        ("missing envelope field", json.dumps(gone), r"^time: "),
        ("null where it may not be", text(regular=None), r"^data\.regular: must be true or false, is null"),
        ("wrong type", text(regular="yes"), r'^data\.regular: .*"yes"'),
        ("school_id a number", text(school_id=301), r"^data\.school_id: .*301"),
        ("duplicate key", base().replace('"group"', '"regular": true, "group"'), r"^duplicate key regular"),
        ("duplicate key, spelled otherwise", base().replace('"group"', '"r\\u0065gular": true, "group"'), r"^duplicate key"),
        ("U+0000", envelope(source="urn:\0"), r"^text with \\u0000"),
        ("lone surrogate", base().replace("urn:teldag", "urn:\\udc00"), r"^text with a lone surrogate"),
        ("1e400", text().replace('"group"', '"weight": 1e400, "group"'), r"^number out of range 1e400"),
        ("1e400 in an ignored field", text().replace('"group"', '"x": -1e400, "group"'), r"^number out of range -1e400"),
        ("unknown group", text(group="graad4"), r'^data\.group: .*kleuter.*"graad4"'),
        ("bad school year", text(school_year="2024-2026"), r'^data\.school_year: .*"2024-2026"'),
        ("school year of another age", text(school_year="1889-1890"), r"^data\.school_year: "),
        ("impossible date", text(**{"from": "2025-02-30"}), r'^data\.from: .*"2025-02-30"'),
        ("until before from", text(**{"from": "2025-02-03", "until": "2025-02-02"}), r"^data\.until: before from"),
        ("33 hex digits", text(pupil="a" * 33), r"^data\.pupil: .*32 hex digits.*33 bytes"),
        ("31 hex digits and a g", text(pupil="a" * 31 + "g"), r"^data\.pupil: "),
        ("rrn with a wrong check number", text(pupil="rrn:" + WRONG_NUMBER), r"^data\.pupil: national register number removed by the feeder"),
        ("rrn without a key", text(pupil="rrn:" + GOOD_NUMBERS[0]), r"^data\.pupil: national register number removed by the feeder"),
        ("weight 0.7", text(weight=0.7), r"^data\.weight: must be 1 or 0\.5, is 0\.7"),
        ("weight null", text(weight=None), r"^data\.weight: "),
        ("unknown indicator", text(indicators=["postcode"]), r'^data\.indicators: .*"postcode"'),
        ("an indicator twice", text(indicators=["buurt", "buurt"]), r"^data\.indicators: must be distinct"),
        ("no indicators", text(indicators=None), r"^data\.indicators: missing, and data\.home_language too"),
        ("home_language", text(home_language={"mother": "ja"}), r"^data\.home_language\.mother: "),
        ("contradicting subject", envelope(subject="302"), r"^subject contradicts school_id"),
        ("bad time", envelope(time="yesterday"), r"^time: "),
        ("specversion", envelope(specversion="0.3"), r"^specversion: "),
        ("deep nesting", base().replace('"group"', '"x": %s1%s, "group"' % ("[" * 1000, "]" * 1000)), r"^nested deeper than 16"),
        ("unknown type", envelope(type="registration.renamed.v9"), r'^type: unknown event type "registration\.renamed\.v9"'),
        ("an 11 digit number in a text", envelope(type="x " + LEAK_NUMBERS[5]), r"^type: unknown event type .*rrn:#"),
        ("closed without a number", event("registration.closed.v1", {"school_id": "301", "school_year": "2024-2025", "pupils": -1}),
         r"^data\.pupils: must be an integer of 0"),
        ("2 MiB", text(note="x" * (2 << 20)), r"^too large: 2\d{6} bytes, sha256 [0-9a-f]{64}"),
    ]


def bad_schools():
    text = lambda **data: json.dumps(edited(school(302, "so"), **data))
    known = {"school_id": "302", "stream": "gok_uren_leraar", "group": "graad1", "school_year": "2024-2025", "status": "granted", "hours": 6}
    return [
        ("unknown level", text(level="lyceum"), r'^data\.level: .*bao.*"lyceum"'),
        ("unknown network", text(network="privaat"), r"^data\.network: "),
        ("unknown province", text(province="Gent"), r"^data\.province: "),
        ("brussels a number", text(brussels=0), r"^data\.brussels: "),
        ("its own successor", text(successor_id="302"), r"^data\.successor_id: is the school itself"),
        ("known: group of another stream", event("entitlement.known.v1", dict(known, group="lager")), r"^data\.group: not a group of data\.stream"),
        ("known: half hours", event("entitlement.known.v1", dict(known, hours=5.5)), r"^data\.hours: .*5\.5"),
        ("known: status", event("entitlement.known.v1", dict(known, status="lost")), r"^data\.status: "),
    ]


class Bench:
    def __init__(self, world):
        self.world = world
        self.s, self.r = world.feed("school.0"), world.feed("registration.0")
        self.d = world.daemon([self.s, self.r]).migrate().start()
        self.sql = world.cluster.sql


bench = Shared(Bench, fsync="off")


def dead_letters(b, stream):
    return {int(r[0]): r[1] for r in b.sql("SELECT seq, reason FROM teldag.dead_letter WHERE stream = '%s'" % stream)}


def test_every_kind_lands_in_dead_letter():
    b = bench()
    b.s.send([school(301, "bao")])
    lines, wanted = [], {}
    for i, (kind, line, reason) in enumerate(bad_registrations()):
        lines += [registration(301, 30100 + i, "lager"), line]
        wanted[len(lines)] = (kind, reason)
    lines += [registration(301, 30150, "lager"), closed(301, len(wanted) + 1)]
    b.r.send(lines)
    school_lines = [school(302, "so")]
    school_wanted = {}
    for kind, line, reason in bad_schools():
        school_lines += [line, school(302, "so")]
        school_wanted[len(school_lines)] = (kind, reason)  # one school was sent before
    b.s.send(school_lines)
    b.d.caught_up()
    for stream, expected in (("registration.0", wanted), ("school.0", school_wanted)):
        got = dead_letters(b, stream)
        for seq, (kind, reason) in expected.items():
            assert seq in got, "%s, %s %d, is no dead letter" % (kind, stream, seq)
            assert re.search(reason, got[seq]), "%s: %r does not say %r" % (kind, got[seq], reason)
        assert set(got) == set(expected), "good events among the dead: %s" % {s: got[s] for s in set(got) - set(expected)}
    # What stands around them is applied, and progress is exact.
    assert b.sql("SELECT pupils, closed FROM teldag.count WHERE school_id = '301'") == [[str(len(wanted) + 1), "t"]]
    assert b.sql("SELECT next_seq FROM teldag.feed_progress ORDER BY stream") == [[str(len(lines) + 1)], [str(len(school_lines) + 2)]]
    alerts = b.sql("SELECT stream, subject, severity, detail->>'number' FROM teldag.alert WHERE kind = 'dead_letter' AND state = 'firing'"
                   " ORDER BY stream")
    assert [a[:3] for a in alerts] == [["registration.0", "2025-03-01", "warning"], ["school.0", "2025-03-01", "warning"]], alerts
    for alert, most in zip(alerts, (len(wanted), len(school_wanted))):  # the number stands as it was when the alert rose
        assert 1 <= int(alert[3]) <= most, alerts
    status = b.d.run("--json", "status")
    assert json.loads(status.stdout)["writer"]["dead_letters"] == len(wanted) + len(school_wanted)
    listed = b.d.ctl("dead-letter", "list")
    assert "data.weight: must be 1 or 0.5, is 0.7" in listed and "sha256" in listed
    seq = next(s for s, (kind, _) in wanted.items() if kind == "weight 0.7")
    assert '"weight": 0.7' in b.d.ctl("dead-letter", "show", "registration.0", str(seq))
    b.d.verify()


def test_retry_of_what_stays_wrong():
    b = bench()
    before = dead_letters(b, "registration.0")
    assert before, "needs the dead letters of the test before"
    answer = b.d.ctl("dead-letter", "retry", "registration.0")  # all of them, the one that is not UTF-8 too
    assert "0 retried" in answer and "%d still refused" % len(before) in answer, answer
    assert dead_letters(b, "registration.0") == before
    seq = str(min(before))
    b.d.ctl("dead-letter", "drop", "registration.0", seq)
    assert b.sql("SELECT state, resolved_at IS NOT NULL FROM teldag.dead_letter WHERE stream = 'registration.0' AND seq = " + seq) == [["dropped", "t"]]
    assert b.sql("SELECT act, body->>'stream', body->>'seq', body->>'state' FROM teldag_data.local_log ORDER BY seq DESC LIMIT 1") == [
        ["drop", "registration.0", seq, "dropped"]]
    b.d.ctl("dead-letter", "drop", "registration.0", seq, code=65)
    b.d.ctl("dead-letter", "retry", "registration.0", "999999", code=65)
    b.d.ctl("dead-letter", "retry", "unknown.7", code=65)
    b.d.verify()


def test_unmatched_kinds():
    b = bench()
    b.s.send([school(303, "bao"), school(304, "vwo")])
    b.r.send([registration(303, 30300, "graad1"), registration(303, 30301, "lager"), registration(304, 30400, "lager"),
              registration(399, 39900, "okan"), withdraw(398, 39800)])
    b.d.caught_up()
    rows = b.sql("SELECT split_part(key, ' ', 2), reason FROM teldag.unmatched WHERE key ~ ' (303|304|39.) ' ORDER BY 1, 2")
    assert rows == [["303", "group graad1 does not fit level bao"], ["304", "group lager does not fit level vwo"], ["399", "unknown school"]], rows
    assert b.sql("SELECT count(*) FROM teldag.allocation WHERE school_id IN ('304', '399')") == [["0"]]
    assert b.sql("SELECT pupils FROM teldag.count WHERE school_id = '399'") == [["1"]], "counts, also while the school is unknown"
    b.d.verify()


def test_postgres_refuses_one_event():
    b = bench()
    b.s.send([school(310, "bao"), school(311, "bao"), school(312, "bao")])
    b.d.caught_up()
    b.sql("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
          " RAISE EXCEPTION 'school % is not wanted', NEW.school_id USING ERRCODE = '23514'; END $$")
    b.sql("CREATE TRIGGER refuse BEFORE INSERT ON teldag_data.registration_log FOR EACH ROW"
          " WHEN (NEW.school_id = 311 OR NEW.school_id = 312 AND NEW.half_weight = 1) EXECUTE FUNCTION public.refuse()")
    start = int(b.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'")[0][0])
    lines = [registration(310, 31000 + i, "lager", ["thuistaal"]) for i in range(4000)]
    lines[2500] = registration(311, 100001, "lager", ["thuistaal"])         # will be retried
    lines[17] = registration(312, 100002, "lager", ["buurt"], weight=0.5)   # replaced by the next
    lines[3900] = registration(312, 100002, "lager", ["thuistaal"])
    lines[3999] = registration(311, 100003, "lager", ["thuistaal"])         # will be dropped
    b.r.append(lines)
    b.d.caught_up()
    dead = {s: r for s, r in dead_letters(b, "registration.0").items() if s >= start}
    assert sorted(dead) == [start + 17, start + 2500, start + 3999], dead
    assert all("is not wanted" in r for r in dead.values()), dead
    counts = lambda: b.sql("SELECT school_id, pupils, thuistaal FROM teldag.count WHERE school_id IN ('310', '311', '312') ORDER BY 1")
    assert counts() == [["310", "3996", "3996"], ["312", "1", "1"]], counts()
    b.d.verify()
    still = b.d.ctl("dead-letter", "retry", "registration.0", str(start + 2500))
    assert "1 still refused" in still and "is not wanted" in still, still
    b.sql("DROP TRIGGER refuse ON teldag_data.registration_log")
    assert "1 retried" in b.d.ctl("dead-letter", "retry", "registration.0", str(start + 2500))
    assert counts() == [["310", "3996", "3996"], ["311", "1", "1"], ["312", "1", "1"]], counts()
    b.d.verify()
    assert "1 superseded" in b.d.ctl("dead-letter", "retry", "registration.0", str(start + 17))
    b.d.ctl("dead-letter", "drop", "registration.0", str(start + 3999))
    assert counts()[1:] == [["311", "1", "1"], ["312", "1", "1"]], counts()
    states = b.sql("SELECT seq, state FROM teldag.dead_letter WHERE stream = 'registration.0' AND seq >= %d ORDER BY seq" % start)
    assert states == [[str(start + 17), "superseded"], [str(start + 2500), "retried"], [str(start + 3999), "dropped"]], states
    b.d.verify()
    # The same after a restart: the ledger is rebuilt from the logs, the retried event stands at its old place.
    assert b.d.stop() == 0
    b.d.start()
    b.d.caught_up()
    assert not b.d.logged("rows differ"), "the rebuilt ledger differs from what was shown"
    b.d.verify()


def write_key(path, byte):
    """A key file with that key for school year 2024-2025."""
    key = bytes([byte]) * 32
    with open(path, "w") as out:
        out.write("2024-2025 " + key.hex() + "\n")
    os.chmod(path, 0o600)
    return key


def pseudonym(key, digits):
    return hashlib.blake2b(digits.encode(), digest_size=16, key=key).hexdigest()


def key_id(key):
    return hashlib.blake2b(b"teldag pupil key id", digest_size=16, key=key).digest()[:4].hex()


def everything_on_disk(w):
    """Bytes of all that could hold a number: the dump, the logs, the journals, the alerts."""
    dump = subprocess.run(["pg_dump", "-d", w.cluster.conninfo], stdout=subprocess.PIPE, check=True).stdout
    raw = w.cluster.sql("SELECT string_agg(encode(raw, 'escape'), '') FROM teldag_data.dead_letter")[0][0] or ""
    found = {"pg_dump": dump, "dead letters": raw.encode()}
    places = [w.home, w.cluster.dir]
    for place in places:
        for folder, _, files in os.walk(place):
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.islink(path) and os.path.isfile(path):
                    with open(path, "rb") as f:
                        found[path] = f.read()
    return found


def spellings(digits):
    dotted = "%s.%s.%s-%s.%s" % (digits[:2], digits[2:4], digits[4:6], digits[6:9], digits[9:])
    return [digits.encode(), dotted.encode(), dotted.replace(".", " ").encode(), dotted.encode().hex().encode(), digits.encode().hex().encode()]


def test_no_national_number_reaches_disk_or_log():
    with World(conf="log_statement=all", fsync="off") as w:
        key = write_key(os.path.join(w.home, "key"), 7)
        endpoint = "tcp://127.0.0.1:%d" % harness.free_ports(1)[0]
        context = zmq.Context()
        plain = context.socket(zmq.XPUB)
        plain.bind(endpoint)
        keyed = w.feed("registration.0", "--pseudonym-key", os.path.join(w.home, "key"))
        bare, schools = w.feed("registration.1"), w.feed("school.0")
        d = w.daemon([keyed, bare, schools], best_effort=[("registration.2", endpoint)], key=os.path.join(w.home, "key")).migrate().start()
        schools.send([school(i, "bao", name="Contact 60.01.01-011 %s" % LEAK_NUMBERS[6][9:]) for i in (321, 322, 323)])
        numbered = lambda school_id, n: json.dumps(edited(registration(school_id, 1, "lager"), pupil="rrn:" + n))
        notes = ["%s/%s" % (LEAK_NUMBERS[5][:6], LEAK_NUMBERS[5][6:]), " ".join(re.findall("..?", LEAK_NUMBERS[6]))]
        bad = [numbered(321, WRONG_NUMBER), numbered(321, GOOD_NUMBERS[0]).replace('"lager"', '"lyceum %s"' % GOOD_NUMBERS[1]),
               '{"no json": "%s", %s' % (notes[0], notes[1]),
               json.dumps(dict(json.loads(numbered(321, GOOD_NUMBERS[0])), id="rrn:" + LEAK_NUMBERS[5], source="urn:" + notes[0])),
               "x" * 1200000 + LEAK_NUMBERS[6], LEAK_NUMBERS[6] + "x" * 1200000]
        keyed.send([numbered(321, n) for n in GOOD_NUMBERS] + bad)
        bare.send([numbered(322, n) for n in GOOD_NUMBERS] + bad)
        assert plain.poll(10000) and plain.recv() == b"\1registration.2"
        wait_for(lambda: '"state":"live"' in d.run("--json", "streams").stdout.replace(" ", "").split("registration.2")[1], 10, "live")
        plain.send_multipart([b"registration.2", "\n".join([numbered(323, n) for n in GOOD_NUMBERS] + bad[:4]).encode()])
        wait_for(lambda: w.cluster.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.2'") == [["9"]], 20,
                 "the best-effort stream")
        d.caught_up()
        pupils = lambda school_id: sorted(r[0] for r in w.cluster.sql("SELECT pupil FROM teldag.registration WHERE school_id = '%d'" % school_id))
        wanted = sorted(pseudonym(key, n) for n in GOOD_NUMBERS)
        assert pupils(321) == wanted, "the feeder's pseudonyms"
        assert pupils(323) == wanted, "the daemon's pseudonyms of a best-effort stream"
        assert pupils(322) == [], "no key: refused"
        ids = w.cluster.sql("SELECT DISTINCT school_id, pupil_key FROM teldag.registration ORDER BY 1")
        assert ids == [[s, key_id(key)] for s in ("321", "323")], ids
        reasons = w.cluster.sql("SELECT stream, reason FROM teldag.dead_letter ORDER BY stream, seq")
        assert [r[1] for r in reasons if r[0] == "registration.1"][:4] == [
            "data.pupil: national register number removed by the feeder (it has no pseudonym key)"] * 4, reasons
        assert "data.pupil: national register number with a wrong check number" in [r[1] for r in reasons if r[0] == "registration.2"], reasons
        d.ctl("dead-letter", "retry", "registration.2")
        d.verify()
        listed = d.ctl("dead-letter", "list") + d.ctl("alerts") + d.ctl("school", "321", "--registrations")
        d.stop()
        for f in (keyed, bare, schools):
            f.stop()
        w.cluster.sql("CHECKPOINT")
        found = dict(everything_on_disk(w), teldagctl=listed.encode())
        assert b"rrn:#" in found["pg_dump"] and any(b"rrn:#" in v for k, v in found.items() if "journal" in k), "nothing was scrubbed: nothing was tested"
        for number in LEAK_NUMBERS:
            for spelled in spellings(number):
                places = [name for name, text in found.items() if spelled in text]
                assert not places, "%s stands in %s" % (spelled, places)
        context.destroy(0)


if __name__ == "__main__":
    harness.main_shared({k: v for k, v in list(globals().items()) if k.startswith("test_")}, bench)
