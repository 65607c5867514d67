# SPDX-License-Identifier: MIT
"""Corners that a second reading found: what PostgreSQL says in a dead letter, orders that must not be taken for others, and
a daemon that must say why it stops."""
import json
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


def pupils(first, count, gok, school_id, group="lager"):
    return [registration(school_id, first + i, group, ["opleiding_moeder"] if i < gok else []) for i in range(count)] + [closed(school_id, count)]


def test_two_shards_leave_each_other_alone():
    """Two daemons share tables: what the one read at its start must never come back over what the other wrote since."""
    with World() as w:
        feeds = [[w.feed("school.%d" % i), w.feed("registration.%d" % i)] for i in (0, 1)]
        shards = [w.daemon(feeds[i], name="shard%d" % i, shard="%d/2" % i) for i in (0, 1)]
        shards[0].migrate()
        for i, d in enumerate(shards):
            d.start()
            feeds[i][0].send([school(10 + i, "bao"), school(20 + i, "so")])
            feeds[i][1].send(pupils(1000 * i, 30, 10, 10 + i) + pupils(1000 * i + 500, 60, 12, 20 + i, "graad1")[:-1] + [closed(20 + i, 61)])
            d.caught_up()
        shards[0].verify()
        figures = ("SELECT c.school_id, c.pupils, c.opleiding_moeder, a.gok_pupils, a.hours FROM teldag.count c"
                   " LEFT JOIN teldag.allocation a USING (school_id, \"group\") ORDER BY 1")
        before = w.cluster.sql(figures)
        assert len(before) == 4, before
        assert shards[0].stop() == 0  # it reads everything back at its next start ...
        shards[0].start()
        shards[0].caught_up()
        feeds[1][1].send(pupils(1900, 10, 5, 11))  # ... then the other goes on ...
        feeds[1][1].send([registration(21, 1990, "graad1"), closed(21, 61)])
        shards[1].caught_up()
        after = w.cluster.sql(figures)
        firing = w.cluster.sql("SELECT kind, school_id FROM teldag.alert WHERE state = 'firing' ORDER BY 1, 2")
        assert ["11", "40", "15"] in [row[:3] for row in after] and ["count.incomplete", "20"] in firing and ["count.incomplete", "21"] not in firing, (after, firing)
        for d, near in ((shards[0], 4), (shards[1], 4)):  # ... and every school is looked at again
            with open(d.config, "a") as out:
                out.write("near = { pupils = %d; hours = 1; };\n" % near)
            d.ctl("reload")
            assert w.cluster.sql(figures) == after, (w.cluster.sql(figures), after)
        shards[0].kill()
        shards[0].start()
        shards[0].caught_up()
        wait_for(lambda: json.loads(shards[0].run("--json", "status").stdout)["writer"]["phase"] == "running", 10, "shard 0 does not run")
        assert w.cluster.sql(figures) == after
        assert "rows differ" not in open(shards[0].log).read()
        assert json.loads(shards[0].run("--json", "status").stdout)["writer"]["live_registrations"] == 90
        shards[0].verify()
        shards[1].verify()


def refused_soon(d, what, *order):
    started = time.monotonic()
    done = d.run(*order)
    assert done.returncode == 69 and what in done.stderr, (order, done.returncode, done.stderr)
    assert time.monotonic() - started < 5 * harness.SLOW, "%s took %g s" % (order, time.monotonic() - started)


def test_orders_do_not_wait_for_ever():
    with World() as w:
        schools = w.feed("school.0")
        d = w.daemon([schools]).migrate().start()
        d.caught_up()
        second = w.daemon([schools], name="second").start()
        wait_for(lambda: "waiting for the lock" in second.run("status").stdout, 10, "the second daemon does not wait")
        refused_soon(second, "waiting for the lock", "stream", "pause", "school.0")
        second.stop()
        w.cluster.crash()
        schools.send([school(1, "bao")])  # the writer holds an event and retries until it is in
        wait_for(lambda: "backing off" in d.run("status").stdout, 10, "the writer does not back off")
        for order in ("pause", "resume"):
            refused_soon(d, "the writer is", "stream", order, "school.0")
        w.cluster.up()
        d.caught_up(30)
        assert w.cluster.sql("SELECT school_id FROM teldag.school") == [["1"]]
        assert w.cluster.one("SELECT count(*) FROM teldag_data.local_log WHERE act IN ('pause', 'resume')") == "0"
        d.ctl("stream", "pause", "school.0")
        assert w.cluster.one("SELECT paused FROM teldag_data.feed_progress") == "t"


def test_a_missing_table_is_said():
    """Also what is read before the first transaction: the daemon says what was refused, and ends."""
    with World() as w:
        schools = w.feed("school.0")
        d = w.daemon([schools]).migrate()
        for table in ("shard_progress", "count_closed"):
            w.cluster.sql("ALTER TABLE teldag_data.%s RENAME TO %s_elsewhere" % (table, table))
            d.start()
            assert d.process.wait(15 * harness.SLOW) == 78
            assert d.logged('writer: the database refused a statement: ERROR:  relation "teldag_data.%s" does not exist' % table)
            w.cluster.sql("ALTER TABLE teldag_data.%s_elsewhere RENAME TO %s" % (table, table))
        d.start().caught_up()


def test_a_trimmed_journal_is_accepted():
    """A stream of which nothing was ever received, and whose journal begins later: the operator's word is enough."""
    with World() as w:
        schools = w.feed("school.0")
        schools.send([school(i, "bao") for i in range(1, 51)])
        harness.subprocess.run([harness.os.path.join(harness.BUILD, "teldag-feed"), "trim", "--journal", schools.journal,
                                "--keep-from", "41"], check=True, stdout=harness.subprocess.DEVNULL)
        d = w.daemon([schools]).migrate().start()
        wait_for(lambda: w.cluster.sql("SELECT kind FROM teldag.alert WHERE state = 'firing'") == [["stream.gap"]], 15, "no stream.gap")
        assert "--continue" in d.run("stream", "accept", "school.0", "--resend").stderr
        d.ctl("stream", "accept", "school.0", "--continue")
        d.caught_up(20)
        assert w.cluster.sql("SELECT count(*), min(school_id::int) FROM teldag.school") == [["10", "41"]]
        schools.send([school(51, "bao")])
        d.caught_up(20)
        assert d.stop() == 0
        d.start().caught_up(20)
        assert w.cluster.one("SELECT count(*) FROM teldag.school") == "11"
        d.verify()


def test_a_promotion_renews_the_alert_epoch():
    """What subscribers saw of the old primary may never have reached the promoted standby: at once another epoch."""
    with World() as w:
        schools, regs = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, regs]).migrate().start()
        schools.send([school(10, "bao")])
        d.caught_up()
        epoch = "SELECT alert_epoch FROM teldag_data.shard_progress"
        before = int(w.cluster.one(epoch))
        w.cluster.sql("CHECKPOINT; CREATE TABLE public.much AS SELECT generate_series(1, 300000)")  # the next checkpoint takes its time
        w.cluster.crash()
        w.cluster.shell('cluster_as touch "$CLUSTER_DIR/data/standby.signal"')
        w.cluster.up()
        w.cluster.sql("SELECT pg_promote()")
        regs.send(pupils(1, 20, 5, 10)[:-1] + [closed(10, 21)])  # an alert
        d.caught_up(30)
        assert int(w.cluster.one(epoch)) > before
        assert w.cluster.one("SELECT kind FROM teldag.alert") == "count.incomplete"
        d.verify()


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
