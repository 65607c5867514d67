# SPDX-License-Identifier: MIT
"""What a fault did, as one line of JSON in the folder $FAULTS_OUT (BUILD/faults): table.py makes the table of
docs/reliability.md from those lines. `lost` and `doubled` have no default: whoever records has counted them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import harness  # noqa: E402  (its folder first)

FIELDS = ("injected", "in_flight", "lost", "doubled", "recovery_s")


def folder():
    return os.environ.get("FAULTS_OUT") or os.path.join(harness.TOP, "build", "faults")


def record(fault, *, injected=1, in_flight, lost, doubled, recovery_s):
    """fault: the words of the table's first column. in_flight: events that were sent and not yet known to be in when the fault
    struck, or were sent while it lasted. recovery_s: from the fault's end until everything sent was in and shown."""
    row = {"fault": fault, "injected": int(injected), "in_flight": int(in_flight), "lost": int(lost), "doubled": int(doubled),
           "recovery_s": round(float(recovery_s), 3)}
    assert fault and "|" not in fault and "\n" not in fault, fault
    assert all(row[name] >= 0 for name in FIELDS), row
    os.makedirs(folder(), exist_ok=True)
    line = (json.dumps(row) + "\n").encode()
    fd = os.open(os.path.join(folder(), "records.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        assert os.write(fd, line) == len(line)  # one write: several processes record at once
    finally:
        os.close(fd)
    return row


def read(path=None):
    """All lines, in the order they were recorded."""
    with open(path or os.path.join(folder(), "records.jsonl")) as f:
        return [json.loads(line) for line in f]
