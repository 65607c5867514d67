#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the simulator's long form and the planted bugs, and writes what came out into docs/reliability.md, between its
marks. SIM_SEEDS sets how many seeds (10,000)."""
import os
import re
import subprocess
import sys

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
build = os.environ.get("BUILD", "build")
begin, end = "<!-- sim:begin -->\n", "<!-- sim:end -->\n"


def run(command, **settings):
    done = subprocess.run(command, cwd=root, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def figures(out):
    lines = [line.removeprefix("sim_whole: ") for line in out.splitlines() if line.startswith("sim_whole: ")]
    faults = re.findall(r" ([A-Za-z][A-Za-z ]*?) (\d+)(?:,|$)", lines[2].removeprefix("faults:"))
    counts = re.sub(r"\d{4,}", lambda n: f"{int(n[0]):,}", f"{lines[0]}. {lines[1]}.")
    counts = counts[0].upper() + counts[1:]
    rows = [f"| {name} | {int(times):,} |" for name, times in faults]
    half = (len(rows) + 1) // 2
    rows += ["| | |"] * (2 * half - len(rows))
    table = [a[:-1] + b for a, b in zip(rows[:half], rows[half:])]
    return "\n".join([counts, "", "| fault | times | fault | times |", "|---|---|---|---|", *table]) + "\n"


def main():
    seeds = os.environ.get("SIM_SEEDS") or "10000"
    long_form = figures(run([f"{build}/tests/sim_whole"], SIM_SEEDS=seeds))
    planted = "".join(re.sub(" +", " ", line) + "\n" for line in run(["tests/sim/planted.sh"]).splitlines() if line.startswith("|"))
    path = os.path.join(root, "docs", "reliability.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}{long_form}\n{planted}{end}{after}")
    print(long_form + "\n" + planted)


main()
