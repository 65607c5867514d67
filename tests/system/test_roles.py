#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon as a login that is a member of teldag_writer and nothing else, in a database of an owner who is no superuser: it does
everything, and what its login tries besides is refused. Beside it readers bound to a board and a school, through real events."""
import json
import os
import shutil
import subprocess

import harness
from flow import writer_status
from harness import TOP, World, closed, generate, registration, school, wait_for
from security_record import record

ROLES = ["teldag_writer", "teldag_reader", "teldag_inspection_reader", "teldag_board_reader", "teldag_school_reader", "teldag_public_reader"]
OPTIONS = ["--pupils", 2000, "--schools", 60, "--seed", harness.SEED % 1000, "--corrections", 10, "--duplicates", 5, "--bad", 3, "--unmatched", 2]


class Logins:
    """Connection strings of the superuser, the owner, the writer and others; database owned by `owner`, migrated as it."""

    def __init__(self, world):
        self.world, self.conninfo = world, world.cluster.conninfo
        world.cluster.sql("".join(f"CREATE ROLE {r} NOLOGIN;" for r in ROLES) + "CREATE ROLE owner LOGIN; CREATE ROLE wim LOGIN IN ROLE teldag_writer;"
                          " ALTER DATABASE teldag OWNER TO owner")

    def of(self, name):
        return self.conninfo.replace("user=postgres", "user=" + name)

    def sql(self, name, query):
        return self.world.cluster.sql(query, self.of(name))

    def refused(self, name, what, query, where):
        try:
            rows = self.sql(name, query)
            record(what, where, "%d rows" % len(rows))
            raise AssertionError("%s: %s obtained %d rows" % (name, query, len(rows)))
        except RuntimeError as error:
            record(what, where, "refused")
            assert "permission denied" in str(error) or "must be owner" in str(error) or "cannot" in str(error), error


def test_the_daemon_is_no_owner():
    with World() as w:
        logins = Logins(w)
        feeds = []
        for stream, names in (("school.0", "school,institution,entitlement"), ("registration.0", "registration"), ("inspection.0", "inspection"),
                              ("huisonderwijs.0", "huisonderwijs"), ("aanhuis.0", "aanhuis"), ("melding.0", "melding")):
            feed = w.feed(stream)
            feed.append_file(generate(*OPTIONS, "--feed", names))
            feeds.append(feed)
        rules = os.path.join(w.home, "rules")
        shutil.copytree(os.path.join(TOP, "conf/rules"), rules)
        d = w.daemon(feeds, conninfo=logins.of("wim"), rules=rules, today="2025-02-10")
        assert "ROLE" not in d.ctl("migrate", "--database", logins.of("owner"))
        d.ctl("migrate", "--database", logins.of("wim"))  # nothing to do, so it needs nothing
        d.start()
        d.caught_up(120)
        d.verify()
        assert int(w.cluster.one("SELECT count(*) FROM teldag_data.registration_log")) > 2000
        assert w.cluster.one("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'teldagd writer'") == "wim"
        owners = w.cluster.sql("SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relnamespace::regnamespace::text LIKE 'teldag%'")
        assert owners == [["owner"]], owners  # the partitions the daemon had made too
        # a school year nobody spoke of yet, one event a time and by COPY, and everything an operator can order
        feeds[1].send([registration(9001, n, "lager", year="2022-2023") for n in range(200)] + [closed(9001, 200, "2022-2023")])
        feeds[0].send([school(9001, "bao"), "no json"])
        d.caught_up()
        for act in (("fix", "budget", "2025-2026"), ("fix", "reference", "2023-2024")):
            d.run(*act)  # a missing envelope is refused by the rules, not by rights
        letter = d.json("dead-letter", "list")[0]
        d.ctl("dead-letter", "retry", letter["stream"])
        d.ctl("dead-letter", "drop", letter["stream"], str(letter["seq"]))
        d.ctl("stream", "pause", "melding.0")
        d.ctl("stream", "resume", "melding.0")
        path = os.path.join(rules, sorted(os.listdir(rules))[-1])
        with open(path, "a") as out:
            out.write("\n# another text, the same rules\n")
        with open(d.config, "a") as out:
            out.write("near = { pupils = 5; hours = 2; };\n")
        d.ctl("reload")
        for command in (("status",), ("streams",), ("alerts",), ("school", "9001", "--registrations"), ("explain", "9001"), ("dead-letter", "list")):
            done = d.run(*command)
            assert done.returncode in (0, 1) and "permission denied" not in done.stdout + done.stderr, (command, done.stdout, done.stderr)
        d.verify()
        assert d.stop() == 0
        d.today = "2025-03-01"
        d.start()
        d.caught_up()
        assert json.loads(d.run("--json", "status").stdout)["writer"]["rebuild_differences"] == 0
        d.verify()
        assert not d.logged("permission denied"), open(d.log).read()[-2000:]
        where = "SQL login of the daemon (teldag_writer)"
        for log in ("registration_log", "school_log", "alert_log", "local_log"):
            logins.refused("wim", "change the log " + log, "UPDATE teldag_data.%s SET seq = seq RETURNING 1" % log, where)
            logins.refused("wim", "delete from the log " + log, "DELETE FROM teldag_data.%s RETURNING 1" % log, where)
            logins.refused("wim", "truncate the log " + log, "TRUNCATE teldag_data.%s" % log, where)
        logins.refused("wim", "drop a partition", "DROP TABLE teldag_data.registration_log_2022", where)
        logins.refused("wim", "turn row security off", "ALTER TABLE teldag_data.count_state DISABLE ROW LEVEL SECURITY", where)
        logins.refused("wim", "bind a reader to a board", "SELECT teldag_data.grant_board('wim', 'B1')", where)
        logins.refused("wim", "forge a migration", "INSERT INTO teldag_data.schema_migration (version) VALUES ('9999_x')", where)
        d.verify()
        assert d.stop() == 0
        expect_stranger_is_named(w, logins, d)


def expect_stranger_is_named(w, logins, d):
    """PostgreSQL lets every login take any advisory lock, the daemon's too: the daemon says who keeps it out, and how to end that."""
    w.cluster.sql("CREATE ROLE eve LOGIN")
    eve = w.spawn(["psql", "-X", "-q", "-A", "-t", "-d", logins.of("eve")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    eve.stdin.write("SELECT pg_advisory_lock(1952804204, 0); SELECT pg_backend_pid();\n")
    eve.stdin.flush()
    pid = next(int(line) for line in iter(eve.stdout.readline, "") if line.strip())
    assert "\"eve\" (backend pid %d)" % pid in d.run("restored").stderr
    d.start()
    says = "role \"eve\" (backend pid %d) holds the lock of shard 0 and is no daemon" % pid
    wait_for(lambda: says in (writer_status(d) or {"message": ""})["message"], 20, "the status does not name eve")
    assert d.logged("warning: writer: role \"eve\" (backend pid %d) keeps this daemon out" % pid), open(d.log).read()[-1000:]
    assert not d.logged("another daemon")
    w.cluster.sql("SELECT pg_terminate_backend(%d)" % pid)
    d.caught_up()
    d.verify()


def test_boards_and_schools():
    """Through real events: what a board sees moves with the school at the commit that says so."""
    with World() as w:
        logins = Logins(w)
        schools, registrations = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, registrations], conninfo=logins.of("wim"))
        d.ctl("migrate", "--database", logins.of("owner"))
        d.start()
        schools.send([school(n, "so", board_id="B%d" % (n % 2)) for n in (1, 2, 3)])
        for n in (1, 2, 3):
            registrations.send([registration(n, 100 * n + i, "graad1", ["opleiding_moeder"] if i < 7 else []) for i in range(60)] + [closed(n, 60)])
        registrations.send([registration(2, 101, "graad1"), closed(2, 61)])  # one pupil in schools 1 and 2
        d.caught_up()
        w.cluster.sql("CREATE ROLE ann LOGIN; CREATE ROLE pat LOGIN; CREATE ROLE eva LOGIN IN ROLE teldag_reader; CREATE ROLE tim LOGIN IN ROLE teldag_public_reader;"
                      " GRANT teldag_board_reader, teldag_school_reader TO owner WITH ADMIN OPTION")
        logins.sql("owner", "SELECT teldag_data.grant_board('ann', 'B1'); SELECT teldag_data.grant_school('pat', '2')")
        seen = "SELECT string_agg(DISTINCT school_id, ' ' ORDER BY school_id) FROM teldag_own.%s"
        for view in ("school", "count", "oki", "allocation", "alert", "alert_log"):
            assert logins.sql("ann", seen % view) in ([["1 3"]], [["1"]]), (view, logins.sql("ann", seen % view))
            assert logins.sql("pat", seen % view) == [["2"]], view
        assert logins.sql("ann", seen % "count") == [["1 3"]]
        hidden = logins.sql("ann", "SELECT subject, summary, detail FROM teldag_own.alert WHERE kind = 'registration.double'")
        record("read the pupil of an alert registration.double", "SQL login of a board reader", json.dumps([r[0] for r in hidden]))
        assert len(hidden) == 1 and harness.pupil(101) not in json.dumps(hidden) and hidden[0][0] == "a pupil", hidden
        assert harness.pupil(101) not in json.dumps(logins.sql("eva", "SELECT * FROM teldag.alert_log"))
        assert harness.pupil(101) in d.ctl("alerts", "--kind", "registration.double"), "the operator sees it"
        logins.refused("eva", "read registrations", "SELECT * FROM teldag.registration", "SQL login of teldag_reader")
        logins.refused("ann", "read another schema", "SELECT * FROM teldag.count", "SQL login of a board reader")
        logins.refused("tim", "read live counts", "SELECT * FROM teldag.count", "SQL login of teldag_public_reader")
        assert logins.sql("tim", "SELECT count(*) FROM teldag_public.count") == [["0"]], "the school year has not ended"
        schools.send([school(3, "so", board_id="B0")])
        d.caught_up()
        assert logins.sql("ann", seen % "count") == [["1"]] and logins.sql("ann", seen % "school") == [["1"]]
        d.verify()
        assert logins.sql("owner", "SELECT teldag_data.revoke_reader('ann')") == [["1"]]
        assert logins.sql("ann", seen % "count") == [[None]]


if __name__ == "__main__":
    harness.main({name: f for name, f in list(globals().items()) if name.startswith("test_")})
