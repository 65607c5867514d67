#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Full disks: of a feeder's journal, of PostgreSQL's data, of its WAL, of the daemon's folder and log, of who reads the alerts.
Nothing acknowledged is lost, each says what is wrong, and goes on when there is room."""
import os
import re
import subprocess
import tempfile
import time

import environment
import flow
import harness
from environment import LONG, SLOW, Disk, Follower, Scene, World, wait_for
from flow import stream_status
from harness import BUILD, Feed


class LoggedFeed(Feed):
    """Keeps what the feeder says."""

    def start(self):
        self.said = os.path.join(os.path.dirname(self.journal), self.stream + ".said") if not hasattr(self, "said") else self.said
        before = os.dup(2)
        with open(self.said, "a") as f:
            os.dup2(f.fileno(), 2)
            try:
                super().start()
            finally:
                os.dup2(before, 2)
                os.close(before)

    def words(self):
        with open(self.said) as f:
            return f.read()


def test_journal_disk_full():
    with World() as w, Disk(w.home + "/disk", 6) as disk:
        schools = w.feed("school.0")
        feed = LoggedFeed.__new__(LoggedFeed)
        feed.said = w.home + "/feed.said"
        Feed.__init__(feed, disk.path, "registration.0")
        w.feeds.append(feed)
        scene = Scene(w, 4000 if LONG else 1500, feeds=[schools, feed]).start()
        scene.producers[0].send(1 << 30)
        p = scene.producers[1]
        for number in range(3 if LONG else 1):
            share = (number + 1) / 4
            scene.fault()
            disk.fill(leave=150000)
            while feed.process.poll() is None and p.sent < len(p.lines) * share + 800:
                p.send(40)
                time.sleep(0.02)
            assert feed.process.wait(10 * SLOW) == 69, feed.process.returncode
            assert "No space left on device; nothing was acknowledged for it: make room on that disk" in feed.words(), feed.words()
            feed.reader.join(5)
            feed.start()  # from a full disk: what is acknowledged is served
            p.resume()
            scene.daemon.caught_up()
            assert scene.cluster.sql("SELECT next_seq FROM teldag.feed_progress WHERE stream = 'registration.0'") == [[str(feed.acked + 1)]]
            disk.room()
            ended = time.monotonic()
            scene.recovered("disk full: journal of a feeder", 1, ended, max(share, p.sent / len(p.lines)))
        scene.fault()
        scene.recovered("disk full: journal of a feeder", 0)
        feed.stop()


class Elsewhere:
    """Clusters are made in that folder."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        tempfile.tempdir = "/tmp"
        os.environ["TMPDIR"] = self.path

    def __exit__(self, *unused):
        del os.environ["TMPDIR"]
        tempfile.tempdir = None


SMALL_WAL = "min_wal_size = 32MB\nmax_wal_size = 32MB\nlogging_collector = off"


def test_database_disk_full():
    folder = tempfile.mkdtemp(prefix="teldag-disk-", dir="/tmp")
    os.chmod(folder, 0o755)
    with Disk(folder, 200) as disk:
        os.chmod(folder, 0o777)
        with Elsewhere(folder):
            world = World(SMALL_WAL)
        with world as w:
            scene = Scene(w, 6000 if LONG else 3000).start()
            scene.send(0.1)
            scene.daemon.caught_up()
            for number in range(3 if LONG else 1):
                part = (number + 1) / (3 if LONG else 1)
                scene.fault()
                disk.fill(leave=0)
                threads = scene.flow(part * 0.9, 0.002, (100, 300))
                for t in threads:
                    t.join()
                said = scene.says("No space left on device", "nothing is lost", seconds=30)
                assert "backing off" in said, said
                assert scene.daemon.logged("No space left on device")
                stalled = scene.committed()
                disk.room()
                ended = time.monotonic()
                if not flow.is_up(w.cluster):  # the WAL met the full disk first: PostgreSQL has ended itself
                    w.cluster.up()
                scene.recovered("disk full: PostgreSQL's data", 1, ended, part)
                assert stalled is None or scene.committed() > stalled
    os.rmdir(folder)


def test_wal_disk_full():
    with World(SMALL_WAL) as w, Disk(w.home + "/wal", 100) as disk:
        w.cluster.shell("cluster_as \"$(cluster_bin)/pg_ctl\" -D $CLUSTER_DIR/data -m fast -w -s stop")
        wal = w.cluster.dir + "/data/pg_wal"
        subprocess.run("cp -a %s/. %s/ && rm -rf %s && ln -s %s %s && chown --reference=%s/data %s && chmod 700 %s" %
                       (wal, disk.path, wal, disk.path, wal, w.cluster.dir, disk.path, disk.path), shell=True, check=True)
        w.cluster.up()
        scene = Scene(w, 6000 if LONG else 1500).start()
        scene.send(0.2)
        scene.daemon.caught_up()
        for number in range(3 if LONG else 1):
            scene.fault()
            disk.fill()
            threads = scene.flow((number + 1) * 0.25 + 0.1)
            for _ in range(8):  # a segment is full: the next one finds no room, and the server gives up
                try:
                    w.cluster.sql("SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS public.x (i int); INSERT INTO public.x VALUES (1)")
                except RuntimeError:
                    break
            for t in threads:
                t.join()
            said = scene.says("backing off", "nothing is lost", seconds=30)
            assert "connection" in said or "space" in said or "recovery" in said, said
            try:
                w.cluster.crash()  # what an operator does with a server that cannot start
            except RuntimeError:
                pass
            disk.room()
            ended = time.monotonic()
            w.cluster.up()
            scene.recovered("disk full: PostgreSQL's WAL", 1, ended, min(1.0, (number + 1) * 0.34))
        scene.send(1.0)
        scene.fault()
        scene.recovered("disk full: PostgreSQL's WAL", 0)
        w.cluster.stop()


def test_daemons_folder_full():
    """The log and the control socket on a full disk: a daemon that runs goes on; one that starts says what is wrong."""
    with World() as w, Disk(w.home + "/run", 1, inodes=12) as disk:
        scene = Scene(w, 600)
        d = scene.daemon
        d.log = disk.path + "/teldagd.log"
        scene.start()
        scene.fault()
        disk.fill()
        scene.send(1.0)
        w.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teldagd %'")  # it has something to say
        scene.recovered("disk full: the daemon's folder and log")
        assert d.stop() == 0
        taken = 0
        try:
            while True:
                open("%s/inode-%d" % (disk.path, taken), "w").close()
                taken += 1
        except OSError:
            pass
        full = w.daemon([p.feed for p in scene.producers], name="full", control=disk.path + "/full.sock")
        full.log = w.home + "/full.log"
        full.start()
        assert full.process.wait(20 * SLOW) == 71, full.process.returncode  # not 78: the service manager shall try again
        assert full.logged("full.sock.lock: No space left on device"), open(full.log).read()


def test_subscribers_disk_full():
    """Who writes the alerts to a full disk hears of it, and resumes where it stood."""
    with World() as w:
        scene = Scene(w, 600).start()
        with open("/dev/full", "w") as full:
            p = subprocess.Popen([os.path.join(BUILD, "teldagctl"), "-c", scene.daemon.config, "--json", "alerts", "--follow", "--after", "0"], stdout=full,
                                 stderr=subprocess.PIPE, text=True)
        scene.fault()
        scene.send(1.0)
        _, said = p.communicate(timeout=30 * SLOW)
        assert p.returncode == 74 and "No space left on device" in said and re.search(r"--after \d+-0\b", said), (p.returncode, said)
        scene.recovered("disk full: who keeps the alerts")


if __name__ == "__main__":
    environment.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
