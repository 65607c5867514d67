# SPDX-License-Identifier: MIT
"""What the fault scripts share on top of harness.py and flow.py: plans for failpoints, a town of schools in which something of
every registry happens in each step, and the measure: every line sent against every row that stands, by position and content."""
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import flow  # noqa: E402  (its folder first)
import harness  # noqa: E402
from flow import Follower, Producer  # noqa: E402
from harness import SLOW, Feed, closed, event, pupil, registration, school, wait_for, withdraw  # noqa: E402
from test_budget_risk import beslissing, poah, rules_folder, toah  # noqa: E402

STREAMS = ("school.0", "registration.0", "inspection.0", "huisonderwijs.0", "aanhuis.0", "melding.0")
YEAR = "2024-2025"
PUPILS = 12  # a school's
EVERYTHING = " UNION ALL ".join(["SELECT stream_id, epoch, seq, id FROM teldag_data." + log for log in flow.LOGS if log != "dead_letter"] + [
    "SELECT stream_id, epoch, seq, substring(encode(raw, 'escape') FROM '\"id\": ?\"([^\"]*)\"') FROM teldag_data.dead_letter"
    " WHERE state <> 'retried'"])


class Plan:
    """What happens at which failpoint (daemon/failpoint.h), for the processes that are started under it; may change while they run."""

    def __init__(self, home, name):
        self.path, self.log = os.path.join(home, name + ".plan"), os.path.join(home, "failpoints.log")
        with open(self.path, "wb") as f:
            f.write(bytes(4096))
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)
        self.generation = 0

    def arm(self, text):
        data = text.encode() + b"\0"
        assert len(data) < 4000
        self.map[8:8 + len(data)] = data
        self.generation += 1
        self.map[0:8] = struct.pack("=Q", self.generation)

    def environment(self):
        return {"TELDAGD_FAIL_FILE": self.path, "TELDAGD_FAIL_LOG": self.log}

    def __enter__(self):
        os.environ.update(self.environment())
        return self

    def __exit__(self, *_):
        for name in self.environment():
            os.environ.pop(name, None)


class PlannedFeed(Feed):
    def __init__(self, home, stream, plan):
        self.plan = plan
        super().__init__(home, stream)

    def start(self):
        with self.plan:
            super().start()


def points():
    """Every failpoint's name."""
    done = subprocess.run([os.path.join(harness.BUILD, "teldagd")], env={"TELDAGD_FAIL_LIST": "1"}, stdout=subprocess.PIPE, text=True)
    names = done.stdout.split()
    assert done.returncode == 0 and len(names) == len(set(names)) > 100, "no failpoints in %s: make it with FAULTS=1" % harness.BUILD
    return names


class Questions:
    """psql that stays: a question costs a millisecond. Rows as lists of text."""

    def __init__(self, cluster):
        self.cluster, self.process = cluster, None

    def ask(self, query):
        for attempt in (1, 2):
            if not self.process:
                self.process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.cluster.conninfo],
                                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            rows = self.once(query)
            if rows is not None:
                return rows
            self.close()
        raise AssertionError("no answer to: " + query)

    def once(self, query):
        try:
            self.process.stdin.write(query + ";\n\\echo :ERROR end\n")
            self.process.stdin.flush()
        except OSError:
            return None
        rows = []
        for line in self.process.stdout:
            if line in ("false end\n", "true end\n"):
                return rows if line[0] == "f" else None
            rows.append(line.rstrip("\n").split("\x1f"))
        return None

    def close(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.process = None


class Town:
    """Feeders, a daemon under a plan, a subscriber, and steps in which something of every registry happens."""

    REFUSE = """
        CREATE TABLE public.refuse (refused boolean); INSERT INTO public.refuse VALUES (true);
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            IF NEW.id LIKE 'poison-%' AND (SELECT refused FROM public.refuse) THEN RAISE EXCEPTION 'not this one'; END IF;
            RETURN NEW; END$$;
        CREATE TRIGGER refuse BEFORE INSERT ON teldag_data.vlp_log FOR EACH ROW EXECUTE FUNCTION public.refuse();
        GRANT SELECT ON public.refuse TO PUBLIC"""

    def __init__(self, world, refuse=True, **options):
        self.world, self.cluster = world, world.cluster
        self.plan, self.feed_plan = Plan(world.home, "daemon"), Plan(world.home, "feed")
        self.idle_plan = Plan(world.home, "idle")
        self.producers = {}
        for stream in STREAMS:
            feed = PlannedFeed(world.home, stream, self.feed_plan if stream == "registration.0" else self.idle_plan)
            world.feeds.append(feed)
            self.producers[stream] = Producer(feed, [])
        self.past = {stream: [] for stream in STREAMS}  # lines of earlier epochs
        self.retired, self.old_year = set(), 1990  # ids of events that retention takes away; the last such school year
        self.ids = {}  # line to the id of its event
        rules = rules_folder(world.home, [('envelope_bao = { value = ""', 'envelope_bao = { value = "64500.00"'),
                                          ('envelope_so = { value = ""', 'envelope_so = { value = "43000.01"')])
        self.d = world.daemon([p.feed for p in self.producers.values()], today="2024-10-01", rules=rules, near=(3, 1), **options).migrate()
        if refuse:
            self.cluster.sql(self.REFUSE)
        self.near, self.step, self.day, self.acts = 3, 0, 0, {}
        self.questions = Questions(self.cluster)
        self.start()
        wait_for(lambda: self.d.process.poll() is not None or flow.writer_status(self.d), 20, "the daemon does not answer")
        assert self.d.process.poll() is None, "the daemon has ended: a statement that tests/faults/points.h lacks? Its log says"
        self.d.caught_up()
        self.follower = Follower(self.d)

    # ---- what happens ----

    def lines(self):
        """The next step's lines of each stream: a school comes with all it has, the one before it goes."""
        n = self.step = self.step + 1
        here, gone = 1000 + n, 999 + n
        first, before = n * PUPILS, (n - 1) * PUPILS
        own = {"school_id": str(here), "school_year": YEAR}
        made = {
            "school.0": [school(here, "bao"), event("entitlement.known.v1", dict(
                own, stream="ses_lestijden", group="lager", status=("granted", "grace")[n % 2], hours=6)),
                event("pupil.link.v1", {"old": pupil(before), "new": pupil(first)})],
            "registration.0": [registration(here, first + i, "lager", ["thuistaal", "opleiding_moeder"]) for i in range(PUPILS)]
            + [closed(here, PUPILS - n % 2), event("registration.unknown.v1", own)]
            + [withdraw(gone, before + i) for i in range(PUPILS) if n > 1] + [closed(here, PUPILS)],
            "inspection.0": [event("inspection.report.v1", dict(
                own, report_id="R%d" % n, date="2024-09-20", kind="doorlichting", advice="ongunstig_met_opschorting",
                leerlingenbegeleiding=None, gok="negatief", followup_due="2025-03-01", scales={"K1": "volgens"})),
                event("inspection.opschorting.v1", {"report_id": "R%d" % (n - 1), "school_id": str(gone), "asked_on": "2024-09-25"})],
            "huisonderwijs.0": [event("huisonderwijs.verklaring.v1", {
                "verklaring_id": "V%d" % n, "pupil": pupil(first), "school_year": YEAR, "kind": "individueel", "level": "basis",
                "province": None, "declared_on": "2024-09-03", "last_school_id": str(here)}),
                event("huisonderwijs.controle.v1", {
                    "controle_id": "C%d" % n, "pupil": pupil(first), "school_year": YEAR, "level": "basis", "province": "limburg",
                    "date": "2024-10-10", "ordinal": 1, "verdict": "onvoldoende", "criteria": None})],
            "aanhuis.0": [toah(4 * n + i, here) for i in range(4)] + [poah(n, here), beslissing(n, here), self.vlp(n)]
            + [event("toah.melding.withdraw.v1", {"request_id": "t%d" % (4 * (n - 1) + i)}) for i in range(4) if n > 1],
            "melding.0": [event("melding.ontvangen.v1", {"melding_id": "m%d" % n, "school_id": str(here), "level": "bao",
                                                         "received_on": "2024-09-15", "categories": ["leerrecht"]}),
                          event("melding.beantwoord.v1", {"melding_id": "m%d" % (n - 1), "answered_on": "2024-09-28"})]}
        return {stream: [line.encode() for line in lines] for stream, lines in made.items()}

    def old_line(self):
        """A registration of an ever later old school year, and the year before which retention takes it away."""
        self.old_year += 1
        line = registration(500, self.step, "lager", year="%d-%d" % (self.old_year - 1, self.old_year)).encode()
        self.retired.add(self.id_of(line))
        return line, "%d-%d" % (self.old_year, self.old_year + 1)

    def vlp(self, n, poison=None):
        line = json.loads(event("vlp.aanvraag.v1", {"request_id": "v%d" % n, "pupil": pupil(n), "school_year": YEAR, "kind": "tijdelijk",
                                                    "decision": None, "granted_kind": None, "decided_on": None}))
        if poison if poison is not None else n % 8 == 0:
            line["id"] = "poison-" + line["id"]
        return json.dumps(line)

    def send(self, streams=STREAMS, lines=None):
        lines = lines or self.lines()
        for stream in streams:
            p = self.producers[stream]
            p.lines.extend(lines[stream])
            p.send(len(lines[stream]), pieces=(len(lines[stream]),))

    def send_rest(self):
        """All of it acknowledged; what a dead feeder did not acknowledge is sent again."""
        for p in self.producers.values():
            if p.feed.process.poll() is not None:
                p.feed.start()
                p.resume()
        for p in self.producers.values():
            p.send(len(p.lines) - p.sent)
            p.settle()

    def start(self):
        with self.plan:
            self.d.start()

    def next_day(self):
        self.day += 1
        self.d.today = time.strftime("%Y-%m-%d", time.gmtime(1727740800 + 86400 * self.day))

    def change_near(self):
        self.near = 4 if self.near == 3 else 3
        with open(self.d.config) as f:
            text = f.read()
        with open(self.d.config + ".new", "w") as f:
            f.write(re.sub(r"pupils = \d", "pupils = %d" % self.near, text))
        os.rename(self.d.config + ".new", self.d.config)

    def renew_journal(self, stream="melding.0"):
        """The registry makes a new journal; the stream stops until an operator decides."""
        p = self.producers[stream]
        p.feed.kill()
        shutil.rmtree(p.feed.journal)
        self.past[stream].append(p.lines)
        p.lines, p.sent = [], 0
        p.feed.acked = 0
        p.feed.start()

    def is_stopped(self, stream):
        done = self.d.run("--json", "streams")
        return done.returncode == 0 and any(s["stopped"] for s in json.loads(done.stdout)["streams"] if s["name"] == stream)

    def order(self, *words):
        """An order to the daemon, not waited for."""
        self.ordered = self.world.spawn([os.path.join(harness.BUILD, "teldagctl"), "-c", self.d.config, *words], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        return self.ordered

    def insist(self, *words):
        """Until it is done; a refusal meanwhile says why."""
        def done():
            answer = self.d.run(*words)
            if answer.returncode == 65 and "is not stopped" in answer.stderr:
                return False  # just started: it has not yet heard that the publisher shows another journal
            assert answer.returncode in (0, 69) and "the writer is running" not in answer.stderr, (words, answer.returncode, answer.stderr)
            return answer.returncode == 0
        wait_for(done, 20, " ".join(words))

    # ---- what stands ----

    def count_acts(self, act):
        return int(self.questions.ask("SELECT count(*) FROM teldag_data.local_log WHERE act = '%s'" % act)[0][0])

    def sent(self):
        return sum(len(lines) for stream in STREAMS for lines in self.past[stream] + [self.producers[stream].lines])

    def in_flight(self):
        """Lines written to the feeders and not committed."""
        standing = int(self.questions.ask("SELECT count(*) FROM (%s) e" % EVERYTHING)[0][0])
        return max(0, self.sent() - len(self.retired) - standing)

    def measure(self):
        """(lost, doubled): positions and contents that were sent and do not stand, and that stand once too often or were not sent."""
        rows = self.questions.ask("SELECT s.name, dense_rank() OVER (PARTITION BY stream_id ORDER BY epoch), seq, id FROM (%s) e"
                                  " JOIN teldag_data.stream s USING (stream_id)" % EVERYTHING)
        standing = {}
        for name, epoch, seq, number in rows:
            standing.setdefault((name, int(epoch), int(seq)), []).append(number)
        lost = 0
        doubled = len(rows)
        for stream in STREAMS:
            for epoch, lines in enumerate([l for l in self.past[stream] + [self.producers[stream].lines] if l], 1):
                for seq, line in enumerate(lines, 1):
                    right = self.id_of(line) in standing.get((stream, epoch, seq), [])
                    lost += not right and self.id_of(line) not in self.retired
                    doubled -= right
        return lost, doubled

    def id_of(self, line):
        if line not in self.ids:
            self.ids[line] = json.loads(line)["id"]
        return self.ids[line]

    def expect_all(self):
        """After everything was sent again and caught up: nothing lost, nothing doubled, every figure right, every alert once."""
        lost, doubled = self.measure()
        flow.expect_no_differences(self.d)
        self.d.verify()
        flow.expect_alert_log(self.cluster)
        return lost, doubled

    def expect_follower(self):
        self.follower.expect(self.cluster)
        flow.expect_changes(self.cluster)

    def close(self):
        self.questions.close()
        self.follower.kill()


def wait_dead(process, seconds, text):
    wait_for(lambda: process.poll() is not None, seconds, text)
    assert process.returncode == -signal.SIGKILL, (text, process.returncode)


def bound(value):
    return value * SLOW
