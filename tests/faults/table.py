#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The table of docs/reliability.md from what the runs recorded (record.py), between its two markers.

    table.py [--print] [DOCUMENT]

Exit code 1 when a recorded fault lost or doubled anything, or when nothing was recorded."""
import os
import sys

import record

BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"


def add_up(rows):
    """One row a fault, in the order they were first recorded: sums, and the longest recovery."""
    faults = {}
    for row in rows:
        sums = faults.setdefault(row["fault"], dict.fromkeys(record.FIELDS, 0))
        for name in ("injected", "in_flight", "lost", "doubled"):
            sums[name] += row[name]
        sums["recovery_s"] = max(sums["recovery_s"], row["recovery_s"])
    return faults


def render(faults):
    lines = ["| fault | times injected | events in flight | lost | doubled | longest recovery |", "|---|---:|---:|---:|---:|---:|"]
    for fault, s in faults.items():
        lines.append("| %s | %s | %s | %d | %d | %.1f s |" % (fault, format(s["injected"], ","), format(s["in_flight"], ","), s["lost"],
                                                             s["doubled"], s["recovery_s"]))
    return "\n".join(lines) + "\n"


def put(text, table):
    """The document with the table between the markers."""
    head, found, rest = text.partition(BEGIN + "\n")
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        raise SystemExit("table.py: the document lacks the lines %s and %s" % (BEGIN, END))
    return head + BEGIN + "\n" + table + END + tail


def main(argv):
    names = [a for a in argv if not a.startswith("--")]
    path = names[0] if names else os.path.join(record.harness.TOP, "docs", "reliability.md")
    faults = add_up(record.read())
    table = render(faults)
    sys.stdout.write(table)
    if "--print" not in argv:
        with open(path) as f:
            text = f.read()
        with open(path + ".new", "w") as out:
            out.write(put(text, table))
        os.rename(path + ".new", path)
    wrong = [name for name, s in faults.items() if s["lost"] or s["doubled"]]
    for name in wrong:
        print("table.py: %s: %d lost, %d doubled" % (name, faults[name]["lost"], faults[name]["doubled"]), file=sys.stderr)
    return 1 if wrong or not faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
