#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Branch coverage of the codec, event decoding, stream position, ledger and allocation, and its gate.

    run.py [--no-run] [--no-table] [--list]

Runs the unit tests, the simulator and the fuzz corpus of the build in BUILD (made by `make coverage`: gcc --coverage, -O0,
NDEBUG, so that a failing assert() is no branch), adds up what gcov saw, and compares with exceptions.txt, which names
every branch no test takes, with the reason:

    FILE | FUNCTION | SOURCE LINE | BRANCHES | REASON

BRANCHES is a number, or "<=2" where the ledger's random seed decides. Lines are found by their text, so that they may move. Exit code 1 when a branch is neither taken nor named, or when an
exception is taken now. Prints a table, and writes it into docs/reliability.md."""
import collections
import glob
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build-cov")
EXCEPTIONS = os.path.join(TOP, "tests", "coverage", "exceptions.txt")
BEGIN, END = "<!-- coverage:begin -->", "<!-- coverage:end -->"
FILES = {
    "codec": ["daemon/wire.c"],
    "event decoding": ["workers/event_decode.c", "workers/event_json.c", "workers/event_value.c", "workers/event_table.c",
                       "workers/event_batch.c"],
    "stream position": ["workers/position.c"],
    "ledger": sorted(os.path.relpath(p, TOP) for p in glob.glob(os.path.join(TOP, "workers", "ledger*.c"))),
    "allocation": ["workers/allocation.c", "workers/exact.c"],
}
ALL = [f for files in FILES.values() for f in files]
FUZZ = ["wire", "tfp1", "event"]


def links_any(path, objects):
    with open(path) as f:
        return any(objects.intersection(line.split("links:")[1].split()) for line in f if "links:" in line)


def commands():
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "unit", "test_*.c"))):
        if not links_any(path, {f[:-2] + ".o" for f in ALL} | {"libteldag.a"}):
            continue
        yield [os.path.join(BUILD, "tests", os.path.basename(path)[:-2])]
    for name in FUZZ:
        yield [os.path.join(BUILD, "tests", "fuzz_" + name), "tests/fuzz/corpus/" + name]
    yield [os.path.join(BUILD, "tests", "sim_position")]


def run_tests():
    for path in glob.glob(os.path.join(TOP, BUILD, "**", "*.gcda"), recursive=True):
        os.remove(path)
    # Fixed seeds: what is covered must not depend on the day.
    env = dict(os.environ, TEST_SEED="1", SIM_SEEDS="20")
    failed = 0
    for command in commands():
        done = subprocess.run(command, cwd=TOP, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            failed += 1
            print("FAIL %s\n%s" % (" ".join(command), done.stdout[-2000:]))
    return failed


def read_gcov(source):
    """Branch counts by (function, text of the line)."""
    notes = os.path.join(TOP, BUILD, source[:-2] + ".gcda")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call(["gcov", "--json-format", "--branch-probabilities", notes], cwd=folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        with gzip.open(glob.glob(os.path.join(folder, "*.json.gz"))[0], "rt") as f:
            report = json.load(f)
    with open(os.path.join(TOP, source)) as f:
        text = f.read().split("\n")
    lines = collections.OrderedDict()
    for entry in report["files"]:
        if not os.path.normpath(entry["file"]).endswith(source):
            continue
        for line in entry["lines"]:
            if line["branches"]:
                key = (line.get("function_name", ""), " ".join(text[line["line_number"] - 1].split()))
                lines.setdefault(key, []).extend((b["count"], line["line_number"]) for b in line["branches"])
    return lines


def read_exceptions():
    exceptions = {}
    with open(EXCEPTIONS) as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            parts = re.split(r" \| ", line.rstrip("\n"))
            if len(parts) < 5 or not re.fullmatch(r"(<=)?[1-9]\d*", parts[-2]) or not parts[-1].strip():
                raise SystemExit("%s:%d: FILE | FUNCTION | SOURCE LINE | BRANCHES | REASON" % (EXCEPTIONS, number))
            exceptions[parts[0], parts[1], " | ".join(parts[2:-2])] = parts[-2]
    return exceptions


def compare(found, exceptions):
    """What is wrong, as lines; and per file taken, total, named."""
    wrong, sums, seen = [], {}, set()
    for source, lines in found.items():
        taken = total = named = 0
        for (function, text), branches in lines.items():
            missed = [b for b in branches if b[0] == 0]
            total += len(branches)
            taken += len(branches) - len(missed)
            key = (source, function, text)
            word = exceptions.get(key, "0")
            allowed = int(word.lstrip("<="))
            seen.add(key)
            named += min(allowed, len(missed))
            if len(missed) > allowed:
                wrong.append("%s:%d: %s: %d of %d branches not taken, %d named: %s" %
                             (source, missed[0][1], function, len(missed), len(branches), allowed, text))
            elif len(missed) < allowed and word.isdigit():
                wrong.append("%s:%d: %s: %d exceptions named, but only %d branches are not taken: %s" %
                             (source, branches[0][1], function, allowed, len(missed), text))
        sums[source] = (taken, total, named)
    wrong += ["%s: %s: an exception for a line that is not there: %s" % key for key in exceptions if key not in seen]
    return wrong, sums


def table(sums):
    lines = ["| part | file | branches | taken | named exceptions |", "|---|---|---:|---:|---:|"]
    for part, files in FILES.items():
        for source in files:
            taken, total, named = sums[source]
            lines.append("| %s | %s | %d | %d | %d |" % (part, source, total, taken, named))
    whole = [sum(s[i] for s in sums.values()) for i in range(3)]
    lines.append("| all | | %d | %d (%.1f %%) | %d |" % (whole[1], whole[0], 100.0 * whole[0] / whole[1], whole[2]))
    return "\n".join(lines) + "\n"


def write_table(text):
    path = os.path.join(TOP, "docs", "reliability.md")
    with open(path) as f:
        head, found, rest = f.read().partition(BEGIN + "\n")
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        raise SystemExit("run.py: %s lacks the lines %s and %s" % (path, BEGIN, END))
    with open(path + ".new", "w") as f:
        f.write(head + BEGIN + "\n" + text + END + tail)
    os.rename(path + ".new", path)


def main(argv):
    failed = 0 if "--no-run" in argv else run_tests()
    found = {source: read_gcov(source) for source in ALL}
    wrong, sums = compare(found, read_exceptions())
    if "--list" in argv:
        for source, lines in found.items():
            for (function, text), branches in lines.items():
                missed = sum(b[0] == 0 for b in branches)
                if missed:
                    print("%s | %s | %s | %d | " % (source, function, text, missed))
        return 0
    text = table(sums)
    print(text + "\n".join(wrong) + ("\n" if wrong else "") + "%d passed, %d failed" % (len(ALL) if not wrong else 0, failed + len(wrong)))
    if "--no-table" not in argv and not wrong and not failed:
        write_table(text)
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
