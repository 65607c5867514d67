#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""record.py and table.py: sums, the longest recovery, the markers, and the exit code when something was lost."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import record  # noqa: E402
from harness import main  # noqa: E402


def run(home, *args):
    return subprocess.run([sys.executable, os.path.join(HERE, "table.py"), *args], env=dict(os.environ, FAULTS_OUT=home),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def with_folder(test):
    with tempfile.TemporaryDirectory() as home:
        before = os.environ.get("FAULTS_OUT")
        os.environ["FAULTS_OUT"] = home
        try:
            test(home)
        finally:
            os.environ.pop("FAULTS_OUT")
            if before is not None:
                os.environ["FAULTS_OUT"] = before


def test_sums_between_the_markers():
    def check(home):
        document = os.path.join(home, "doc.md")
        with open(document, "w") as f:
            f.write("before\n<!-- faults:begin -->\nold\n<!-- faults:end -->\nafter\n")
        record.record("kill -9", injected=2, in_flight=600, lost=0, doubled=0, recovery_s=0.5)
        record.record("full disk", in_flight=10, lost=0, doubled=0, recovery_s=3)
        record.record("kill -9", injected=3, in_flight=700, lost=0, doubled=0, recovery_s=0.25)
        done = run(home, document)
        assert done.returncode == 0, done.stderr
        with open(document) as f:
            text = f.read()
        assert text == ("before\n<!-- faults:begin -->\n"
                        "| fault | times injected | events in flight | lost | doubled | longest recovery |\n|---|---:|---:|---:|---:|---:|\n"
                        "| kill -9 | 5 | 1,300 | 0 | 0 | 0.5 s |\n| full disk | 1 | 10 | 0 | 0 | 3.0 s |\n"
                        "<!-- faults:end -->\nafter\n"), text
    with_folder(check)


def test_a_loss_is_an_error():
    def check(home):
        record.record("kill -9", in_flight=6, lost=0, doubled=1, recovery_s=0.5)
        done = run(home, "--print")
        assert done.returncode == 1 and "| kill -9 | 1 | 6 | 0 | 1 |" in done.stdout and "1 doubled" in done.stderr, (done.stdout, done.stderr)
    with_folder(check)


def test_a_document_without_markers_is_left_alone():
    def check(home):
        document = os.path.join(home, "doc.md")
        with open(document, "w") as f:
            f.write("no table here\n")
        record.record("kill -9", in_flight=6, lost=0, doubled=0, recovery_s=0.5)
        assert run(home, document).returncode != 0
        with open(document) as f:
            assert f.read() == "no table here\n"
    with_folder(check)


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
