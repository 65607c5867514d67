#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The table of docs/security.md from what the tests recorded (security_record.py), between its two markers.

    security_table.py [--print] [DOCUMENT]

Lines of the same attempt from the same place are one row, with how often it was tried. Exit code 1 when an attempt obtained
anything, or when nothing was recorded."""
import glob
import json
import os
import re
import sys

import security_record

BEGIN, END = "<!-- attempts:begin -->", "<!-- attempts:end -->"


def read():
    folder = os.environ.get("SECURITY_OUT") or os.path.join(security_record.TOP, "build/security")
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        with open(path) as lines:
            for line in lines:
                yield json.loads(line)


def is_nothing(attempt, obtained):
    """What an attempt should obtain: nothing, a refusal, what its key or role permits, and of memory a bounded piece, which its test
    judges. A permitted peer that got its frames stands in the table to show that the way was open."""
    if attempt == "a permitted key":
        return re.match(r"[1-9]", str(obtained)) is not None
    return re.match(r'(0|none|nothing|refused|only |memory grows by |\["a pupil"\]$)', str(obtained).strip().lower()) is not None


def add_up(lines):
    rows = {}
    for line in lines:
        row = rows.setdefault((line["attempt"], line["where"]), {"tries": 0, "obtained": [], "test": line["test"]})
        row["tries"] += 1
        if str(line["obtained"]) not in row["obtained"]:
            row["obtained"].append(str(line["obtained"]))
    return rows


def render(rows):
    lines = ["| attempt | from where | tried | frames or rows obtained | test |", "|---|---|---:|---|---|"]
    for (attempt, where), row in sorted(rows.items(), key=lambda item: (item[1]["test"], item[0])):
        cells = (attempt, where, row["tries"], "; ".join(row["obtained"]), "`%s`" % (row["test"] if "." in row["test"] else row["test"] + ".py"))
        lines.append("| %s |" % " | ".join(str(c).replace("|", "\\|") for c in cells))
    return "\n".join(lines) + "\n"


def main(argv):
    names = [a for a in argv if not a.startswith("--")]
    path = names[0] if names else os.path.join(security_record.TOP, "docs/security.md")
    rows = add_up(read())
    table = render(rows)
    sys.stdout.write(table)
    if "--print" not in argv:
        with open(path) as document:
            head, found, rest = document.read().partition(BEGIN + "\n")
        _, closed, tail = rest.partition(END)
        if not found or not closed:
            raise SystemExit("security_table.py: %s lacks the lines %s and %s" % (path, BEGIN, END))
        with open(path + ".new", "w") as out:
            out.write(head + BEGIN + "\n" + table + END + tail)
        os.rename(path + ".new", path)
    wrong = [key for key, row in rows.items() if not all(is_nothing(key[0], o) for o in row["obtained"])]
    for attempt, where in wrong:
        print("security_table.py: %s, from %s: obtained %s" % (attempt, where, rows[attempt, where]["obtained"]), file=sys.stderr)
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
