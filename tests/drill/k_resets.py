#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backend takes connections and resets them, at once or when it has the request: no GET fails,
and it is taken out."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.backend import Backend
from peers.drill import QUICK_CHECKS, Drill, Server, named
from peers.load import Fire
from peers.states import OUT, changes, shown, wait_state
from peers.weir import start

drill = Drill("resets")
# The first hundred requests come at once, and a fifth of them, which is all that the budget has by
# then, is less than the third that meets the bad one.
POOL = {"retry": {"max_attempts": 3, "when": ["connect", "reset_before_response"],
                  "backoff": {"base": "5ms"}, "budget_min": 100},
        "outliers": {"errors": 5, "connect_failures": 3, "eject_for": "30s"},
        "circuit_breaker": {"failure_threshold": 5, "open_for": "30s", "max_ejected": "50%"}}


def resets(connection):
    connection.reset()


def run(what, bad, checks, seen):
    """`seen()`: how many requests or connections the bad one has had."""
    with start(*named(one, bad, three), pool={**POOL, "health_check": checks}, workers=2) as weir:
        with Fire(weir.address, 100) as fire:
            line = wait_state(weir, "two", *OUT)
            fire.until_answers(5000)
            time.sleep(0.5)
            then = seen()
            time.sleep(1)
            now = seen()
            fire.stop()
        drill.check(f"{what}: of {len(fire.answers)} GETs failed",
                    f"{len(fire.bad())} {fire.outcomes()}", not fire.bad())
        drill.check(f"{what}: taken out", shown(line), now >= 1)
        probes = 0 if checks == "none" else 8  # in a second at fast_interval
        drill.check(f"{what}: what it got in a second after that", now - then, now - then <= probes)
        drill.say(f"{what}: states {[state for state, _ in changes(weir, 'two')]}, p99 "
                  f"{fire.percentile(.99) * 1000:.1f} ms")
        drill.row(what, f"{len(fire.answers):,} GETs: {len(fire.bad())} failed; it got {then:,} "
                  f"before it was out; p99 {fire.percentile(.99) * 1000:.1f} ms")


with Server() as one, Server() as three:
    # Its health checks pass: only what requests meet can tell.
    with Server(fault="reset=1&health=200") as two:
        run("one of three resets when it has the request", two, QUICK_CHECKS,
            lambda: two.counts()["requests"])
    for checks, how in (("none", ""), (QUICK_CHECKS, ", checked")):
        with Backend(resets) as two:
            run(f"one of three resets what it accepts{how}", two, checks,
                lambda: len(two.connections))

drill.done()
