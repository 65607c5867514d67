# SPDX-License-Identifier: MIT
"""A key a school year, from the command that makes it to the rows: a pupil's national number becomes another pseudonym in
each school year; pupil.link.v1 makes two of them one pupil for controls in huisonderwijs, whenever it comes; a year without
a key is refused."""
import hashlib
import os
import subprocess

import harness
from harness import World, event

NUMBER = "85073003328"
Y22, Y23, Y24 = "2022-2023", "2023-2024", "2024-2025"


def controle(controle_id, year, date, ordinal, pupil="rrn:" + NUMBER):
    return event("huisonderwijs.controle.v1", {"controle_id": controle_id, "pupil": pupil, "school_year": year, "level": "basis",
                                               "date": date, "ordinal": ordinal, "verdict": "onvoldoende"})


def make_keys(path, *years):
    """The command's own keys; what it prints is the year and the id, never the key. {year: key}"""
    for year in years:
        done = subprocess.run([os.path.join(harness.BUILD, "teldag-feed"), "pseudonym-key", "--year", year, "--out", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        with open(path) as f:
            key = dict(line.split() for line in f)[year]
        key_id = hashlib.blake2b(b"teldag pupil key id", digest_size=16, key=bytes.fromhex(key)).digest()[:4].hex()
        assert done.stdout == "%s key %s\n" % (year, key_id) and key not in done.stdout + done.stderr, done
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path) as f:
        return {line.split()[0]: bytes.fromhex(line.split()[1]) for line in f}


def pseudonym(key):
    return hashlib.blake2b(NUMBER.encode(), digest_size=16, key=key).hexdigest()


def test_links_join_the_controls_of_a_pupil():
    with World(fsync="off") as w:
        path = os.path.join(w.home, "keys")
        keys = make_keys(path, Y23, Y24)
        old, new = pseudonym(keys[Y23]), pseudonym(keys[Y24])
        assert old != new
        feed, other = w.feed("huisonderwijs.0", "--pseudonym-key", path), w.feed("school.0", "--pseudonym-key", path)
        d = w.daemon([feed, other]).migrate().start()
        fires = lambda: w.cluster.sql("SELECT kind, subject FROM teldag.alert WHERE state = 'firing' AND kind LIKE 'huis%' ORDER BY 1, 2")
        waits = lambda: [r[0] for r in w.cluster.sql("SELECT key FROM teldag.unmatched")]
        apart = sorted([["huisonderwijs.control_due", old], ["huisonderwijs.control_due", new]])
        together = [["huisonderwijs.second_insufficient", new]]
        link = event("pupil.link.v1", {"old": "rrn:%s@%s" % (NUMBER, Y23), "new": "rrn:%s@%s" % (NUMBER, Y24)})

        feed.send([controle("c1", Y23, "2024-03-01", 1), controle("c2", Y24, "2024-10-01", 2)])
        d.caught_up()
        assert fires() == apart and waits() == ["c2"], (fires(), waits())
        d.verify()
        other.send([link])  # later than what it joins, by another stream
        d.caught_up()
        assert fires() == together and waits() == [], (fires(), waits())
        ids = [hashlib.blake2b(b"teldag pupil key id", digest_size=16, key=keys[y]).digest()[:4].hex() for y in (Y23, Y24)]
        assert w.cluster.sql("SELECT old, new, old_key, new_key, stream FROM teldag.pupil_link") == [[old, new] + ids + ["school.0"]]
        assert w.cluster.sql("SELECT pupil, identity FROM teldag.pupil_identity ORDER BY 1") == sorted([[old, new], [new, new]])
        assert w.cluster.sql("SELECT controle_id, pupil_key FROM teldag.huisonderwijs_controle ORDER BY 1") == [["c1", ids[0]], ["c2", ids[1]]]
        d.verify()
        d.kill()
        d.start()
        feed.send([controle("c2", Y24, "2024-10-02", 2)])
        d.caught_up()
        assert fires() == together, "after a rebuild from the logs"
        d.verify()
        other.send([event("pupil.link.withdraw.v1", {"old": old}, "2025-01-11T08:00:00Z")])
        d.caught_up()
        assert fires() == apart and waits() == ["c2"], (fires(), waits())
        d.verify()
        other.send([event("pupil.link.v1", {"old": old, "new": new}, "2025-01-12T08:00:00Z")])  # pseudonyms as they are
        feed.send([event("controle.withdraw.v1", {"controle_id": "c1"}, "2025-01-12T08:00:00Z")])
        d.caught_up()
        assert fires() == [["huisonderwijs.control_due", new]], fires()
        d.verify()


def test_a_year_without_a_key_is_refused():
    with World(fsync="off") as w:
        path = os.path.join(w.home, "keys")
        make_keys(path, Y24)
        said = open(os.path.join(w.home, "feeder.log"), "w+")
        harness.Feed.stderr = said
        feed = w.feed("huisonderwijs.0", "--pseudonym-key", path)
        harness.Feed.stderr = None
        d = w.daemon([feed]).migrate().start()
        feed.send([controle("c1", Y22, "2023-03-01", 1), controle("c2", Y24, "2024-10-01", 1), controle("c3", "2022", "2023-03-01", 1)])
        d.caught_up()
        assert [r[0] for r in w.cluster.sql("SELECT reason FROM teldag.dead_letter ORDER BY seq")] == [
            "data.pupil: national register number removed by the feeder (it has no pseudonym key of that school year)",
            "data.pupil: national register number removed by the feeder (the event names no school year to choose the key by)"]
        assert w.cluster.sql("SELECT controle_id FROM teldag.huisonderwijs_controle") == [["c2"]]
        said.seek(0)
        text = said.read()
        assert text.count("no key of school year 2022-2023") == 1 and NUMBER not in text, text
        # The way out: add the key, start again, send it again.
        feed.stop()
        make_keys(path, Y22)
        feed.start()
        feed.send([controle("c1", Y22, "2023-03-01", 1)])
        d.caught_up()
        assert len(w.cluster.sql("SELECT controle_id FROM teldag.huisonderwijs_controle")) == 2
        d.verify()


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
