# SPDX-License-Identifier: MIT
"""The whole path: events in at a feeder, figures and alerts out of PostgreSQL."""
import json

import harness
from harness import World, closed, event, registration, school, withdraw


def small_so_school(feed, school_id, first, group="graad1", pupils=60, gok=12, year="2024-2025"):
    lines = [registration(school_id, first + i, group, ["opleiding_moeder", "schooltoelage"] if i < gok else [], year=year)
             for i in range(pupils)]
    feed.send(lines + [closed(school_id, pupils, year)])


def test_one_school():
    with World() as w:
        schools, regs = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, regs]).migrate().start()
        schools.send([school(101, "so")])
        small_so_school(regs, 101, 0)
        d.caught_up()
        row = w.cluster.sql('SELECT pupils, gok_pupils, share, points, hours_exact, hours, status, granted, margin_pupils, margin_hours'
                            ' FROM teldag.allocation')
        # 12 x (0.6 + 0.4) = 12 points x .2916 = 3.4992 -> 3 hours: below the minimum of 6
        assert row == [["60", "12", "0.2", "12", "3.4992", "3", "below_minimum", "0", "6", "-3"]], row
        assert w.cluster.sql("SELECT closed FROM teldag.count") == [["t"]]
        d.verify()
        regs.send([registration(101, 100 + i, "graad1", ["opleiding_moeder", "schooltoelage"]) for i in range(10)] + [closed(101, 70)])
        d.caught_up()
        assert w.cluster.sql("SELECT hours, status FROM teldag.allocation") == [["6", "granted"]]
        assert w.cluster.sql("SELECT kind FROM teldag.alert WHERE state = 'firing'") == [["threshold.near"]]
        assert "threshold.near" in d.ctl("alerts")
        text = d.ctl("explain", "101")
        assert ".2916" in text and "graad1" in text, text
        d.verify()
        assert d.json("status")["degraded"] is False
        assert d.stop() == 0


if __name__ == "__main__":
    harness.main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
