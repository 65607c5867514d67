#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A hostile wire between feeder and daemon, and between daemon and subscriber: messages delayed, reordered, doubled, dropped,
truncated and damaged, connections cut inside a frame, framing broken. Nothing wrong is applied, everything arrives, once.
What stops a stream for good reason (an answer damaged three times) is let go by the command the runbook names."""
import os

import environment
from environment import LONG, SEED, Endpoints, Follower, Scene, World, wait_for
from wire_proxy import Wire

LOSSY = {"delay": 0.03, "drop": 0.08, "double": 0.08, "reorder": 0.08}
DAMAGING = {"truncate": 0.06, "damage": 0.12, "frames": 0.04}
BROKEN = {"framing": 0.01, "cut": 0.05, "reset": 0.04}
ROUNDS = 6 if LONG else 1


def quarter(rates, by):
    return {fault: rate * by for fault, rate in rates.items()}


class Wired:
    """Feeds behind a wire each for live and requests."""

    def __init__(self, rates):
        self.rates, self.wires = rates, []

    def __call__(self, feed):
        wires = [Wire(feed.publish, {"down": self.rates}, SEED + len(self.wires)),
                 Wire(feed.fetch, {"down": quarter(self.rates, 0.5), "up": quarter(self.rates, 0.5)}, SEED + len(self.wires) + 1)]
        self.wires += wires
        return Endpoints(feed.stream, wires[0].endpoint, wires[1].endpoint)

    def done(self):
        return sum((w.done for w in self.wires), start=type(self.wires[0].done)())

    def quiet(self):
        for w in self.wires:
            w.active = False

    def close(self):
        for w in self.wires:
            w.close()


def let_go(scene):
    """The operator: a stream that stopped because answers came damaged is resumed, as status says."""
    for text in environment.json.loads(scene.daemon.run("--json", "status").stdout or "{}").get("reasons", []):
        if "arrived damaged three times" in text:
            assert 'run "teldagctl stream resume ' in text, text
            scene.daemon.ctl("stream", "resume", text.split()[1])
            scene.resumed = getattr(scene, "resumed", 0) + 1


def hostile(name, rates, pause=0.01):
    for number in range(ROUNDS):
        with World() as w:
            wired = Wired(rates)
            scene = Scene(w, 4000 if LONG else 800, via=wired)
            scene.start()
            scene.fault()
            for share in (0.2, 0.4, 0.6, 0.8, 1.0):
                threads = scene.flow(share, pause)
                for t in threads:
                    t.join()
                let_go(scene)
            scene.send(1.0)
            done = wired.done()
            wired.quiet()
            status = scene.recovered(name, sum(done.values()), operator=lambda: let_go(scene), seconds=90)
            print("     %s; resumed %d times; rebuilds %d" % (dict(sorted(done.items())), getattr(scene, "resumed", 0), status["rebuilds"]), flush=True)
            assert sum(1 for fault in rates if done[fault]) > len(rates) // 2 and sum(done.values()) >= 15, done
            assert status["rebuilds"] == 1
            wired.close()


def test_everything_at_once():
    hostile("hostile wire: feeder to daemon", {**LOSSY, **DAMAGING, **BROKEN}, 0.03)


def long_lossy_wire():
    hostile("hostile wire: delayed, reordered, doubled, dropped messages", LOSSY)


def long_damaging_wire():
    hostile("hostile wire: truncated and damaged messages", DAMAGING)


def long_broken_wire():
    hostile("hostile wire: broken framing, cuts inside a frame, resets", BROKEN, 0.06)


def test_alerts_over_a_hostile_wire():
    """Daemon to subscriber: each alert once, in order, whatever the wire does."""
    for number in range(ROUNDS):
        with World() as w:
            scene = Scene(w, 2000 if LONG else 800, 60)
            publish = Wire(scene.daemon.alerts_publish, {"down": {**LOSSY, **DAMAGING, **BROKEN}}, SEED)
            fetch = Wire(scene.daemon.alerts_fetch, {"down": quarter({**LOSSY, **BROKEN}, 0.4), "up": quarter({**LOSSY, **DAMAGING, **BROKEN}, 0.4)}, SEED + 1)
            with open(scene.daemon.config) as f:
                text = f.read()
            subscriber = type("Subscriber", (), {"config": os.path.join(w.home, "subscriber.conf")})
            with open(subscriber.config, "w") as f:
                f.write(text.replace(scene.daemon.alerts_publish, publish.endpoint).replace(scene.daemon.alerts_fetch, fetch.endpoint))
            scene.start()
            scene.follower.stop()
            scene.follower = Follower(subscriber)
            scene.fault()
            for share in (0.2, 0.4, 0.6, 0.8, 1.0):
                for t in scene.flow(share, 0.02):
                    t.join()
            scene.send(1.0)
            done = publish.done + fetch.done
            publish.active = fetch.active = False
            scene.recovered("hostile wire: daemon to subscriber", sum(done.values()), seconds=90)
            rows = scene.follower.events
            print("     %s, %d alerts" % (dict(sorted(done.items())), len(rows)), flush=True)
            assert len(rows) > 20 and sum(done.values()) > 5, (len(rows), done)
            assert scene.follower.stop() == 0
            publish.close()
            fetch.close()


if __name__ == "__main__":
    environment.main({k: v for k, v in list(globals().items()) if k.startswith(("test_", "long_") if LONG else "test_")})
