#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Failover, takeover and restore of the system tests, once more for the table of docs/reliability.md."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import test_failover  # noqa: E402
import test_restore  # noqa: E402
import test_takeover  # noqa: E402
from harness import main  # noqa: E402

if __name__ == "__main__":
    main({name: getattr(module, name) for module, name in (
        (test_failover, "test_commit_done_but_not_answered"), (test_failover, "test_commit_that_never_arrived"),
        (test_takeover, "test_takeover_time"), (test_restore, "test_copy_of_the_files"), (test_restore, "test_journal_restored"))})
