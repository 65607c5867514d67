# SPDX-License-Identifier: MIT
"""Corners that a second reading found: what PostgreSQL says in a dead letter, orders that must not be taken for others, and
a daemon that must say why it stops."""
import time

import harness
from harness import World, closed, registration, school, wait_for


def test_a_refusal_is_cut_between_characters():
    """PostgreSQL's words are cut to fit a dead letter: half a character would make the dead letter itself be refused."""
    with World() as w:
        schools = w.feed("school.0")
        d = w.daemon([schools]).migrate().start()
        d.caught_up()
        # of 2, 3 and 4 bytes, at every offset to the cut
        w.cluster.sql("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " RAISE EXCEPTION '%', repeat('x', NEW.school_id % 10) || repeat(NEW.name, 200) USING ERRCODE = '23514'; END $$;"
                      " CREATE TRIGGER refuse BEFORE INSERT ON teldag_data.school_log FOR EACH ROW"
                      " WHEN (NEW.school_id < 500) EXECUTE FUNCTION public.refuse()")
        bad = [school(100 * k + i, "bao", name=letter) for k, letter in ((1, "\u00e9"), (2, "\u20ac"), (3, "\U0001d11e")) for i in range(4)]
        schools.send(bad + [school(501, "bao")])
        d.caught_up()
        assert w.cluster.one("SELECT count(*) FROM teldag.dead_letter WHERE reason LIKE 'refused by PostgreSQL: %'") == "12"
        assert w.cluster.sql("SELECT school_id FROM teldag.school") == [["501"]]
        d.verify()


def test_drop_takes_one_letter():
    """A sequence that is no number is a mistake, not "all of them"."""
    with World() as w:
        schools = w.feed("school.0")
        d = w.daemon([schools]).migrate().start()
        schools.send(["no json", "nor this"])
        d.caught_up()
        for word in ("abc", "0", "1x", "-1", ""):
            d.ctl("dead-letter", "drop", "school.0", word, code=64)
            d.ctl("dead-letter", "retry", "school.0", word, code=64)
        d.ctl("dead-letter", "drop", "school.0", "1", "--epoch", "x", code=64)
        assert w.cluster.one("SELECT count(*) FROM teldag.dead_letter WHERE state = 'open'") == "2"
        d.ctl("dead-letter", "drop", "school.0", "1")
        assert w.cluster.sql("SELECT seq FROM teldag.dead_letter WHERE state = 'open'") == [["2"]]
        d.verify()


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
