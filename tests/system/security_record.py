# SPDX-License-Identifier: MIT
"""What an attempt obtained, for the table in docs/security.md: one JSON line an attempt.

A test calls record() with what it really counted, after the attempt and before it judges it, so that the table also
shows an attempt that succeeded. The lines go to SECURITY_OUT (build/security), a file a test program, so that programs
that run side by side never write into each other's lines; a program's first line replaces what its last run left.
"""
import json
import os
import sys
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_lock = threading.Lock()
_started = False


def record(attempt, where, obtained):
    """attempt: what was tried; where: from which place; obtained: frames, rows or text ("0 frames")."""
    global _started
    folder = os.environ.get("SECURITY_OUT") or os.path.join(TOP, "build/security")
    test = os.path.basename(sys.argv[0]).removesuffix(".py") or "python"
    os.makedirs(folder, exist_ok=True)
    with _lock, open(os.path.join(folder, test + ".jsonl"), "a" if _started else "w") as out:
        _started = True
        out.write(json.dumps({"test": test, "attempt": attempt, "where": where, "obtained": obtained}, ensure_ascii=False) + "\n")
