#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Descriptors run out: a limit that is too small is refused at the start, with what to do; a flood of connections that takes
the last one while events flow stops nothing for good, and burns no processor in a thread of our own (those of libzmq and
libmicrohttpd look again and again at a connection they cannot accept)."""
import os
import socket
import subprocess
import time

import environment
import flow
import harness
from environment import LONG, SLOW, Scene, World, wait_for
from harness import BUILD


def limited(limit, *argv):
    return subprocess.run(["prlimit", "--nofile=%d" % limit, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=20 * SLOW)


def limit(process, count):
    """The limit of a process that runs; what it holds stays."""
    subprocess.run(["prlimit", "--pid", str(process.pid), "--nofile=%d:" % count], check=True)


def held(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def flood(address, count):
    """Connections that say nothing; as many as the other side's backlog takes."""
    out = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX if address.startswith("/") else socket.AF_INET)
        s.settimeout(0.2)
        try:
            s.connect(address if address.startswith("/") else (address.split(":")[0], int(address.split(":")[1])))
        except OSError:
            pass
        out.append(s)
    return out


def cpu_of_threads(pid):
    """Ticks of each thread, by name."""
    out = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/stat" % (pid, tid)) as f:
                text = f.read()
        except OSError:
            continue
        fields = text.rsplit(")", 1)[1].split()
        out[tid + " " + text.split("(")[1].split(")")[0]] = int(fields[11]) + int(fields[12])
    return out


def test_too_small_a_limit_is_refused_at_start():
    with World() as w:
        feed = w.feed("registration.0")
        d = w.daemon([feed])
        d.migrate()
        for count in (12, 40, 100):
            done = limited(count, os.path.join(BUILD, "teldagd"), "-c", d.config, "--today", d.today)
            assert done.returncode == 71, (count, done.returncode, done.stdout)
            assert "%d descriptors" % count in done.stdout and "LimitNOFILE=" in done.stdout, done.stdout
        for count in (12, 20):
            done = limited(count, os.path.join(BUILD, "teldag-feed"), "serve", "--stream", "x.0", "--journal", w.home + "/x", "--publish",
                           "tcp://127.0.0.1:*", "--fetch", "tcp://127.0.0.1:*")
            assert done.returncode == 69 and "%d descriptors" % count in done.stdout and "ulimit -n" in done.stdout, (done.returncode, done.stdout)
        done = limited(300, os.path.join(BUILD, "teldagd"), "-c", d.config, "--check-config")
        assert done.returncode == 0, done.stdout


def test_flood_takes_the_last_descriptor():
    with World() as w:
        scene = Scene(w, 4000 if LONG else 800)
        scene.start()
        d = scene.daemon
        scene.send(0.2)
        scene.fault()
        starts, floods = 0, []
        targets = [d.control, d.metrics, d.alerts_publish[6:], d.alerts_fetch[6:]]
        for number in range(4 if LONG else 1):
            limit(d.process, held(d.process) + 6)
            for p in scene.producers:
                limit(p.feed.process, held(p.feed.process) + 4)
            threads = scene.flow(0.4 + 0.1 * number)
            for target in targets + [e[6:] for p in scene.producers for e in (p.feed.publish, p.feed.fetch)]:
                floods += flood(target, 40 if target == d.control else 100)
            # The database's connection is lost just now: there is no descriptor for a new one.
            w.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teldagd %'")
            time.sleep(1)
            if d.process.poll() is None:
                before = cpu_of_threads(d.process.pid)
                time.sleep(1)
                spent = cpu_of_threads(d.process.pid)
                busy = {k: spent[k] - before.get(k, 0) for k in spent if "ZMQ" not in k and "MHD" not in k and spent[k] - before.get(k, 0) > 3}
                assert not busy, "these threads turn without doing anything: %s" % busy
            for t in threads:
                t.join()
            for s in floods:
                s.close()
            ended = time.monotonic()
            floods = []
            if d.process.poll() is not None:  # libzmq may give up without a descriptor; the service manager starts it again
                print("     the daemon ended with %d" % d.process.returncode)
                starts += 1
                d.start()
            else:
                limit(d.process, 4096)
            for p in scene.producers:
                if p.feed.process.poll() is not None:
                    print("     a feeder ended with %d" % p.feed.process.returncode)
                    starts += 1
                    p.feed.start()
                    p.resume()
                else:
                    limit(p.feed.process, 4096)
        status = scene.recovered("descriptors run out", 4 if LONG else 1, ended)
        print("     %d processes were started again, %d retries" % (starts, status["retries"]))
        assert held(d.process) < 120


if __name__ == "__main__":
    environment.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
