#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The machine of the active daemon disappears without a word: its link is cut, then it is killed, and PostgreSQL hears nothing. How
long until the daemon that waits for the shard's lock has it. In a network namespace of its own; needs root."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import harness  # noqa: E402
from flow import wait_for  # noqa: E402
from harness import World, main, school  # noqa: E402
from standby import note  # noqa: E402
from test_takeover import last_running, phase  # noqa: E402

BOUND = 30
SPACE = "teldag-%d" % os.getpid()
NEAR, FAR = "tdn%d" % (os.getpid() % 100000), "tdf%d" % (os.getpid() % 100000)
NET = "10.213.%d" % (os.getpid() % 250)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def test_machine_of_the_active_daemon_disappears():
    ip("netns", "add", SPACE)
    try:
        ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", SPACE)
        ip("addr", "add", NET + ".1/24", "dev", NEAR)
        ip("link", "set", NEAR, "up")
        ip("-n", SPACE, "addr", "add", NET + ".2/24", "dev", FAR)
        ip("-n", SPACE, "link", "set", FAR, "up")
        ip("-n", SPACE, "link", "set", "lo", "up")
        with World("listen_addresses = '%s.1'" % NET) as w:
            w.cluster.shell("echo 'host all all %s.0/24 trust' >>$CLUSTER_DIR/data/pg_hba.conf" % NET)
            w.cluster.sql("SELECT pg_reload_conf()")
            port = w.cluster.one("SHOW port")
            feed = w.feed("school.0")
            far = w.daemon([feed], name="far", conninfo="host=%s.1 port=%s dbname=teldag user=postgres" % (NET, port)).migrate()
            near = w.daemon([feed], name="near")
            with open(far.log, "a") as log:
                far.process = w.spawn(["ip", "netns", "exec", SPACE, harness.BUILD + "/teldagd", "-c", far.config, "--today", far.today],
                                      stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            wait_for(lambda: phase(far) == "running", 20, "the far daemon does not write")
            near.start()
            wait_for(lambda: phase(near) == "waiting for the lock", 20, "the near daemon does not wait")
            ip("-n", SPACE, "link", "set", FAR, "down")
            cut = time.time()
            far.process.kill()
            far.process.wait()
            feed.send([school(1, "so")])
            wait_for(lambda: last_running(near) > cut, BOUND, "the lock is never let go")
            seconds = last_running(near) - cut
            near.caught_up()
            print("the other daemon writes %.1f s after the machine was gone" % seconds, flush=True)
            note("machine of the active daemon disappears", w.cluster, [feed], 1, seconds)
            near.verify()
    finally:
        ip("netns", "del", SPACE)


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
