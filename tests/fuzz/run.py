#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs libFuzzer over the targets, one after the other, and writes down what it measured.

    run.py [--runs N] [--no-table] [TARGET...]

build/fuzz/TARGET.json: executions, seconds, edges, features, inputs, crashes, peak memory. New inputs are kept in
build/fuzz/corpus/TARGET, what crashes in build/fuzz/crashes; `run.py --merge TARGET...` takes over into
tests/fuzz/corpus what takes an edge that nothing there takes (not how often it is taken, so it stays small). A full run (10,000,000 executions of every target) writes the table of
docs/reliability.md. Exit code 1 when a target crashed, leaked or hung."""
import glob
import json
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, "build", "fuzz")
BINARIES = os.path.join(TOP, "build-fuzz", "tests")
FULL = 10_000_000
BEGIN, END = "<!-- fuzz:begin -->", "<!-- fuzz:end -->"
WHAT = {
    "wire": "the frames of TFP/1, each by itself",
    "tfp1": "a receiver's turns: frames, answers, time, orders",
    "serve": "requests to a publisher, HELLO and FETCH",
    "event": "event lines, with and without a key",
    "config": "the configuration file",
    "rules": "a rules file",
    "control": "requests on the control socket, and answers as teldagctl prints them",
}
MAX_LEN = {"rules": 4096, "config": 1024, "event": 1024}  # of the others 384


def targets():
    return sorted(os.path.basename(p)[5:-2] for p in glob.glob(os.path.join(TOP, "tests/fuzz/fuzz_*.c")))


def folder(*parts):
    path = os.path.join(OUT, *parts)
    os.makedirs(path, exist_ok=True)
    return path


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "quarantine_size_mb=2:thread_local_quarantine_size_kb=64:malloc_context_size=8")
    return env


def command(target, runs):
    crashes = folder("crashes")
    words = ["nice", "-n", "10", os.path.join(BINARIES, "fuzz_" + target), "-runs=%d" % runs, "-print_final_stats=1",
             "-max_len=%d" % MAX_LEN.get(target, 384), "-timeout=10", "-rss_limit_mb=3072",
             "-artifact_prefix=%s/%s-" % (crashes, target)]
    words.append("-dict=" + os.path.join(TOP, "tests/fuzz", target + ".dict"))
    return words + [folder("corpus", target), os.path.join(TOP, "tests/fuzz/corpus", target)]


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run(target, runs):
    started = time.monotonic()
    log = os.path.join(OUT, target + ".log")
    with open(log, "w") as out:
        code = subprocess.call(command(target, runs), stdout=out, stderr=subprocess.STDOUT, cwd=TOP, env=environment())
    with open(log, errors="replace") as f:
        text = f.read()
    result = {
        "target": target,
        "executions": last_number(r"stat::number_of_executed_units: *(\d+)", text),
        "seconds": round(time.monotonic() - started, 1),
        "edges": last_number(r"cov: (\d+)", text),
        "features": last_number(r"ft: (\d+)", text),
        "inputs": last_number(r"corp: (\d+)", text),
        "peak_rss_mb": last_number(r"stat::peak_rss_mb: *(\d+)", text),
        "crashes": 1 if code else 0,
    }
    with open(os.path.join(OUT, target + ".json"), "w") as f:
        json.dump(result, f, indent=2)
        f.write("\n")
    print("%-8s %11s executions in %7.1f s, %5d edges, %6d features, %s" %
          (target, format(result["executions"], ","), result["seconds"], result["edges"], result["features"],
           "CRASH, see " + log if code else "no crash"), flush=True)
    return result


def merge(target):
    into = os.path.join(TOP, "tests/fuzz/corpus", target)
    subprocess.check_call([os.path.join(BINARIES, "fuzz_" + target), "-merge=1", "-use_counters=0", "-max_len=%d" % MAX_LEN.get(target, 384), into,
                           folder("corpus", target)], cwd=TOP, env=environment(), stderr=subprocess.DEVNULL)


def table(results):
    lines = ["| target | what it takes | executions | seconds | edges | features | crashes |", "|---|---|---:|---:|---:|---:|---:|"]
    for r in results:
        lines.append("| `fuzz_%s` | %s | %s | %.0f | %d | %s | %d |" %
                     (r["target"], WHAT[r["target"]], format(r["executions"], ","), r["seconds"], r["edges"],
                      format(r["features"], ","), r["crashes"]))
    return "\n".join(lines) + "\n"


def write_table(results):
    path = os.path.join(TOP, "docs", "reliability.md")
    with open(path) as f:
        head, found, rest = f.read().partition(BEGIN + "\n")
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        raise SystemExit("run.py: %s lacks the lines %s and %s" % (path, BEGIN, END))
    with open(path + ".new", "w") as f:
        f.write(head + BEGIN + "\n" + table(results) + END + tail)
    os.rename(path + ".new", path)


def recorded():
    """What stands in build/fuzz of every target, in the order of the table; None when one is missing or was short."""
    results = []
    for target in WHAT:
        path = os.path.join(OUT, target + ".json")
        if not os.path.exists(path):
            return None
        with open(path) as f:
            results.append(json.load(f))
    return results if all(r["executions"] >= FULL for r in results) else None


def main(argv):
    runs, wanted = FULL, []
    args = iter(argv)
    for arg in args:
        if arg == "--runs":
            runs = int(next(args))
        elif arg == "--merge":
            for target in list(args) or targets():
                merge(target)
            return 0
        elif arg != "--no-table":
            wanted.append(arg)
    unknown = [t for t in wanted if t not in WHAT] + [t for t in targets() if t not in WHAT]
    if unknown:
        raise SystemExit("run.py: unknown target %s; there are %s" % (unknown[0], " ".join(WHAT)))
    folder()
    results = [run(target, runs) for target in wanted or WHAT]
    everything = recorded()
    if everything and "--no-table" not in argv:
        write_table(everything)
    return 1 if any(r["crashes"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
