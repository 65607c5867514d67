#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The figures of docs/performance.md, all from one run on a private PostgreSQL with fsync on.

BENCH_EVENTS (1200000) registrations in BENCH_EVENTS / 300 schools. Below 1000000 it is a smoke test: every step is
carried out and checked, the figures are printed and judged only where the machine's speed does not matter. A full run
exits 1 when a target is missed. BENCH_SKIP names steps to leave out: reference, verify, latency, rebuild, poison, curve.
BENCH_PERF=DIR records `perf record -g` of the daemon during ingestion; BUILD names the folder of the binaries.
"""
import json
import os
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import curve_kit  # noqa: E402
import harness  # noqa: E402
from harness import World, generate, registration, wait_for  # noqa: E402

EVENTS = int(os.environ.get("BENCH_EVENTS", "1200000"))
SCHOOLS = max(EVENTS // 300, 40)
FULL = EVENTS >= 1000000
SKIP = set(os.environ.get("BENCH_SKIP", "").split(","))
ROWS_A_TRANSACTION = 20000
RATE = 1000
LATENCY_SECONDS = 10 if FULL else 2
POISON_BATCH = 20000 if FULL else 5000
POISON_PAIRS = 3 if FULL else 1
YEAR = "2024-2025"
CONF = "track_commit_timestamp = on"
missed = []


def say(name, value, target="", met=True, speed=True):
    """One figure. Targets of speed are judged in a full run only."""
    judged = target and (FULL or not speed)
    if judged and not met:
        missed.append(name)
    verdict = "" if not target else "   (target %s%s)" % (target, "" if not judged else ": met" if met else ": MISSED")
    print("%-46s %s%s" % (name, value, verdict), flush=True)


def stat_seconds(line):
    """User and system time in a line of /proc/PID/stat."""
    fields = line.rsplit(") ", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        return stat_seconds(f.read())


def status_of(d):
    """Also while degraded: right after a start the publisher may still be connecting."""
    return json.loads(d.run("--json", "status").stdout or '{"ready": false}')


def writer_backend(w):
    """The process of PostgreSQL that works for the daemon: the one that holds the shard's lock."""
    return int(w.cluster.one("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted LIMIT 1"))


def fill_journal(feed, *args):
    """The generated lines through `teldag-feed append`; (lines, seconds)."""
    data = generate("--pupils", EVENTS, "--schools", SCHOOLS, "--seed", 1, "--years", YEAR, *args)
    started = time.monotonic()
    feed.append_file(data)
    return data.count(b"\n"), time.monotonic() - started


# ---- 1. ingestion ----

def ingest(w, d, regs):
    lines, seconds = fill_journal(regs, "--feed", "registration")
    say("journal append", "%d events in %.2f s, %.0f/s" % (lines, seconds, lines / seconds))
    w.cluster.sql("CHECKPOINT")
    started = time.monotonic()
    d.start()
    perf = None
    if os.environ.get("BENCH_PERF"):
        perf = subprocess.Popen(["perf", "record", "-q", "-F", "499", "-g", "-o", os.environ["BENCH_PERF"] + "/perf.data", "-p", str(d.process.pid)])
    d.caught_up(600)
    seconds = time.monotonic() - started
    if perf:
        perf.terminate()
        perf.wait()
    rows = int(w.cluster.one("SELECT count(*) FROM teldag_data.registration_log"))
    assert rows == lines, "%d events, %d rows in the log" % (lines, rows)
    status = status_of(d)["writer"]
    say("ingestion", "%d events in %.2f s, %.0f/s, %d transactions" % (lines, seconds, lines / seconds, status["batches"]))
    say("  time within transactions", "%.2f s, %.0f ms each" % (status["commit"]["sum_s"], status["commit"]["sum_s"] / status["batches"] * 1e3))
    backend = cpu_seconds(writer_backend(w))
    for name, used in (("daemon", cpu_seconds(d.process.pid)), ("its PostgreSQL session", backend), ("feeder, since its start", cpu_seconds(regs.process.pid))):
        say("  processor time, " + name, "user %.2f s, system %.2f s" % used)
    return lines / seconds, sum(backend) * 1e6 / lines


# ---- the reference: COPY BINARY of the same rows into the same table ----

def export_rows(w):
    """The ingested rows in files of 20,000 in COPY BINARY format, in stream order."""
    folder = os.path.join(w.home, "rows")
    os.mkdir(folder)
    last = int(w.cluster.one("SELECT max(seq) FROM teldag_data.registration_log"))
    files = [os.path.join(folder, "%08d" % first) for first in range(1, last + 1, ROWS_A_TRANSACTION)]
    script = "".join("\\copy (SELECT * FROM teldag_data.registration_log WHERE seq BETWEEN %d AND %d ORDER BY seq) TO '%s' (FORMAT binary)\n" %
                     (int(os.path.basename(f)), int(os.path.basename(f)) + ROWS_A_TRANSACTION - 1, f) for f in files)
    run_psql(w, script)
    return files


def run_psql(w, script):
    """Runs a script; the processor time its session of PostgreSQL took."""
    script = "SELECT pg_backend_pid() AS pid \\gset\n\\setenv BENCH_PID :pid\n" + script + "\\! echo stat; cat /proc/$BENCH_PID/stat\n"
    done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", w.cluster.conninfo], input=script, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return sum(stat_seconds(done.stdout.rsplit("stat\n", 1)[1]))


def make_empty_log(w):
    """A table with the log's definition, index and partition."""
    w.cluster.sql("DROP TABLE IF EXISTS teldag_data.bench_log")
    w.cluster.sql("CREATE TABLE teldag_data.bench_log (LIKE teldag_data.registration_log INCLUDING ALL) PARTITION BY LIST (school_year)")
    w.cluster.sql("CREATE TABLE teldag_data.bench_log_year PARTITION OF teldag_data.bench_log FOR VALUES IN (%s)" % YEAR[:4])
    w.cluster.sql("CHECKPOINT")


def time_script(w, script):
    """Rows per second that the script puts into an empty log, and the processor time of its session."""
    make_empty_log(w)
    started = time.monotonic()
    cpu = run_psql(w, script)
    seconds = time.monotonic() - started
    rows = int(w.cluster.one("SELECT count(*) FROM teldag_data.bench_log"))
    return rows / seconds, cpu * 1e6 / rows


def copy_rows(w, files, one_transaction):
    """psql's \\copy of the files, from the page cache."""
    script = "".join("\\copy teldag_data.bench_log FROM '%s' (FORMAT binary)\n" % f for f in files)
    return time_script(w, "BEGIN;\n" + script + "COMMIT;\n" if one_transaction else script)


def reference(w, rate, cpu):
    files = export_rows(w)
    batches, single = copy_rows(w, files, False), copy_rows(w, files, True)
    rows = w.cluster.one("SELECT count(*) FROM (TABLE teldag_data.registration_log EXCEPT TABLE teldag_data.bench_log) d") if not FULL else "0"
    assert rows == "0", "%s rows of the reference differ" % rows
    say("COPY BINARY, %d rows a transaction" % ROWS_A_TRANSACTION, "%.0f rows/s, %.2f us of PostgreSQL's processor a row" % batches)
    say("COPY BINARY, one transaction", "%.0f rows/s, %.2f us" % single)
    best = max(batches, single)[0]
    say("ingestion / COPY BINARY", "%.2f" % (rate / best), "at least 0.5", rate / best >= 0.5)
    say("  PostgreSQL's processor time, COPY / ingestion", "%.2f (%.2f us an event)" % (min(batches[1], single[1]) / cpu, cpu))
    if FULL:
        others(w, best)
    w.cluster.sql("DROP TABLE teldag_data.bench_log")


def others(w, best):
    """What else one could do, beside the same reference: text instead of binary, and an INSERT and a transaction a row."""
    path = os.path.join(w.home, "rows.text")
    run_psql(w, "\\copy (SELECT * FROM teldag_data.registration_log ORDER BY seq) TO '%s'\n" % path)
    say("text COPY, one transaction / COPY BINARY", "%.2f" % (time_script(w, "\\copy teldag_data.bench_log FROM '%s'\n" % path)[0] / best))
    inserts = w.cluster.sql("SELECT format('INSERT INTO teldag_data.bench_log SELECT (%L::teldag_data.registration_log).*;', l)"
                            " FROM teldag_data.registration_log l ORDER BY seq LIMIT 5000")
    say("a transaction a row / COPY BINARY", "%.3f" % (time_script(w, "\n".join(r[0] for r in inserts) + "\n")[0] / best))


# ---- 2. memory, verify, rebuild ----

def memory(d, rss_before):
    status = status_of(d)
    held = status["writer"]["registrations"]
    ledger = status["writer"]["ledger_bytes"] / held
    say("ledger bytes per registration", "%.1f" % ledger, "at most 64", ledger <= 64, speed=not FULL)
    say("resident bytes per registration", "%.1f (%.1f MB, started empty with %.1f MB)" %
        ((status["rss_bytes"] - rss_before) / held, status["rss_bytes"] / 1e6, rss_before / 1e6))


def verify(d):
    started = time.monotonic()
    d.verify()
    say("verify, clean", "%.1f s" % (time.monotonic() - started))


def rebuild(d):
    before = status_of(d)["writer"]["registrations"]
    d.kill()
    started = time.monotonic()
    d.start()
    wait_for(lambda: status_of(d)["ready"], 300, "the writer to run again")
    seconds = time.monotonic() - started
    status = status_of(d)["writer"]
    assert status["registrations"] == before and status["rebuild_differences"] == 0, status
    say("rebuild at start", "%.2f s for %d registrations (ready %.2f s after the start)" % (status["rebuild_s"], before, seconds))


# ---- 3. send to commit ----

class Watch:
    """One psql session that is asked again and again what is committed: when did each sequence become visible?"""

    def __init__(self, w, stream):
        self.process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", w.cluster.conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.question = ("SELECT next_seq, extract(epoch FROM clock_timestamp()) FROM teldag_data.feed_progress JOIN teldag_data.stream USING (stream_id)"
                         " WHERE name = '%s';\n" % stream)

    def ask(self):
        self.process.stdin.write(self.question)
        self.process.stdin.flush()
        next_seq, at = self.process.stdout.readline().split("|")
        return int(next_seq), float(at)

    def until(self, next_seq, seconds):
        """When next_seq was first seen to be reached; every step on the way."""
        steps, end = [(self.ask())], time.monotonic() + seconds
        while steps[-1][0] < next_seq:
            assert time.monotonic() < end, "event %d was not committed in %g s" % (next_seq - 1, seconds)
            time.sleep(0.0002)
            found = self.ask()
            if found[0] != steps[-1][0]:
                steps.append(found)
        return steps

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def produce(regs, count):
    """One event a millisecond, its own line and write; the moment of the write stands in its id."""
    start = time.monotonic()
    lines = [json.loads(registration(900001, 10 ** 8 + i, "kleuter")) for i in range(count)]
    sent = []
    for i, line in enumerate(lines):
        wait = start + 1 + i / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        now = time.time()
        line["id"] = "bench-%d" % int(now * 1e6)
        sent.append(now)
        regs.process.stdin.write(json.dumps(line).encode() + b"\n")
        regs.process.stdin.flush()
    return sent


def quantiles(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3


def latency(w, d, regs):
    count = RATE * LATENCY_SECONDS
    watch = Watch(w, regs.stream)
    first = watch.ask()[0]
    sent = []
    producer = threading.Thread(target=lambda: sent.extend(produce(regs, count)))
    producer.start()
    steps = watch.until(first + count, LATENCY_SECONDS + 30)
    producer.join()
    watch.close()
    seen, at = [], 0
    for i in range(count):
        while steps[at][0] <= first + i:
            at += 1
        seen.append(steps[at][1] - sent[i])
    rows = w.cluster.sql("SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) - substr(id, 7)::numeric / 1e6 FROM teldag_data.registration_log"
                         " WHERE id LIKE 'bench-%'")
    assert len(rows) == count, "%d of %d events are in the log" % (len(rows), count)
    say("send to commit at %d/s (%d s)" % (RATE, LATENCY_SECONDS), "p50 %.2f ms, p99 %.2f ms" % quantiles([float(r[0]) for r in rows]))
    say("send to visible for another session", "p50 %.2f ms, p99 %.2f ms (asked every 0.3 ms)" % quantiles(seen))


# ---- 4. one poison event ----

def time_batch(w, regs, number, poison):
    """Milliseconds for one full batch. The writer is held at its fence by a row lock while the batch queues up."""
    lines = [registration(900001, number * 10 ** 6 + i, "kleuter") for i in range(POISON_BATCH + 1)]
    if poison:
        event = json.loads(lines[POISON_BATCH * 5 // 8])
        event["id"] = "poison"
        lines[POISON_BATCH * 5 // 8] = json.dumps(event)
    watch = Watch(w, regs.stream)
    first = watch.ask()[0]
    holder = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", w.cluster.conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write("BEGIN; SELECT batch FROM teldag_data.shard_progress FOR UPDATE;\n")
    holder.stdin.flush()
    holder.stdout.readline()
    regs.send(lines[:1])
    wait_for(lambda: w.cluster.one("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0", 20, "the writer at the lock")
    regs.send(lines[1:])
    stream = lambda: [s for s in status_of(w.daemons[0])["streams"] if s["name"] == regs.stream][0]  # noqa: E731
    wait_for(lambda: stream()["queued_events"] >= POISON_BATCH + 1, 60, "a full queue")
    holder.stdin.write("COMMIT; SELECT extract(epoch FROM clock_timestamp());\n")
    holder.stdin.flush()
    released = float(holder.stdout.readline())
    ended = watch.until(first + len(lines), 120)[-1][1]
    holder.stdin.close()
    holder.wait()
    watch.close()
    return (ended - released) * 1e3


def poison(w, d, regs):
    w.cluster.sql("CREATE FUNCTION teldag_data.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison' USING ERRCODE = '23514'; END $$")
    w.cluster.sql("CREATE TRIGGER refuse BEFORE INSERT ON teldag_data.registration_log FOR EACH ROW WHEN (NEW.id = 'poison') EXECUTE FUNCTION teldag_data.refuse()")
    plain, poisoned = [], []
    for i in range(POISON_PAIRS):
        plain.append(time_batch(w, regs, 200 + 2 * i, False))
        poisoned.append(time_batch(w, regs, 201 + 2 * i, True))
    dead = w.cluster.sql("SELECT reason FROM teldag_data.dead_letter WHERE reason LIKE 'refused by PostgreSQL: %'")
    assert len(dead) == POISON_PAIRS, dead
    w.cluster.sql("DROP TRIGGER refuse ON teldag_data.registration_log")
    plain, poisoned = statistics.median(plain), statistics.median(poisoned)
    say("one poison event among %d" % POISON_BATCH, "%.0f ms more (%.0f ms, without it %.0f ms; median of %d)" %
        (poisoned - plain, poisoned, plain, POISON_PAIRS))


# ---- 5. CURVE beside plain ZeroMQ ----

CURVE_EVENTS = min(EVENTS // 4, 300000)


def curve_round(w, number, encrypted, lines):
    """One daemon on a database of its own: events/s of a journal that is fetched, and of lines sent live; processor seconds."""
    name = "bench%d" % number
    home = os.path.join(w.home, name)
    os.mkdir(home)
    w.cluster.sql("CREATE DATABASE " + name)
    keys = curve_kit.Keys(home)
    allow_feed, allow_alerts = home + "/feed.allow", home + "/alert.allow"
    extra, config = [], ""
    if encrypted:
        curve_kit.write_allow(allow_feed, keys, [("daemon", ["registration.*"], None)])
        curve_kit.write_allow(allow_alerts, keys, [("control", ["alert.*"], None)])
        extra = ["--curve", keys.path("feeder"), "--allow", allow_feed]
        config = 'curve = { secret = "%s"; allow = "%s"; };\n' % (keys.path("daemon"), allow_alerts)
    feed = harness.Feed(home, "registration.0", extra)
    w.feeds.append(feed)
    feed.server_key = keys.public("feeder") if encrypted else None
    half = len(lines) // 2
    feed.append_file(b"\n".join(lines[:half]) + b"\n")
    d = w.daemon([feed], name=name, config_extra=config, conninfo=w.cluster.conninfo.replace("dbname=teldag", "dbname=" + name)).migrate()
    rates, cpu = [], 0
    w.cluster.sql("CHECKPOINT")
    started = time.monotonic()
    d.start()
    d.caught_up(300)
    rates.append(half / (time.monotonic() - started))
    started = time.monotonic()
    feed.send(lines[half:])
    d.caught_up(300)
    rates.append((len(lines) - half) / (time.monotonic() - started))
    cpu = sum(cpu_seconds(feed.process.pid)), sum(cpu_seconds(d.process.pid))
    assert d.stop() == 0
    feed.stop()
    w.cluster.sql("DROP DATABASE %s WITH (FORCE)" % name)
    return rates + list(cpu)


def curve(w):
    """Plain and encrypted in turn, the median of each: what a busy machine does to one it does to the other."""
    data = generate("--pupils", CURVE_EVENTS, "--schools", max(CURVE_EVENTS // 300, 40), "--seed", 1, "--years", YEAR, "--feed", "registration")
    lines = data.split(b"\n")[:-1]
    rounds = 3 if FULL else 1
    found = {False: [], True: []}
    for i in range(2 * rounds):
        found[i % 2 == 1].append(curve_round(w, i, i % 2 == 1, lines))
    plain, encrypted = [[statistics.median(r[k] for r in found[e]) for k in range(4)] for e in (False, True)]
    for k, path in enumerate(("fetched from a journal", "sent live")):
        say("CURVE / plain, " + path, "%.2f (%.0f and %.0f events/s)" % (encrypted[k] / plain[k], encrypted[k], plain[k]))
    for k, who in ((2, "feeder"), (3, "daemon")):
        say("  processor time, " + who, "%.2f and %.2f us an event" % (encrypted[k] * 1e6 / len(lines), plain[k] * 1e6 / len(lines)))


def main():
    started = time.monotonic()
    with World(CONF) as w:
        schools, regs = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, regs]).migrate().start()
        d.caught_up()
        rss_before = status_of(d)["rss_bytes"]
        fill_journal(schools, "--feed", "school,entitlement")
        d.caught_up()
        assert d.stop() == 0
        rate, cpu = ingest(w, d, regs)
        memory(d, rss_before)
        if "reference" not in SKIP:
            reference(w, rate, cpu)
        if "verify" not in SKIP:
            verify(d)
        if "rebuild" not in SKIP:
            rebuild(d)
        if "latency" not in SKIP:
            latency(w, d, regs)
        if "poison" not in SKIP:
            poison(w, d, regs)
        assert d.stop() == 0
        if "curve" not in SKIP:
            curve(w)
    say("whole run", "%.0f s" % (time.monotonic() - started))
    if missed:
        print("missed: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
