#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backends answer 500 for a fifth of their requests: retries hide it as long as their budget lasts,
and never send more than it allows."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import NO_BREAKER, NO_OUTLIERS, QUICK_CHECKS, Drill, Server, named
from peers.load import Fire
from peers.states import changes, shown
from peers.weir import start

drill = Drill("errors")
BUDGET, BUDGET_MIN = 20, 10
FAILS = "status=500&share=20&health=200"
POOL = {"health_check": QUICK_CHECKS, "outliers": NO_OUTLIERS,
        "retry": {"max_attempts": 3, "when": ["connect", "reset_before_response", 500],
                  "budget": f"{BUDGET}%", "budget_min": BUDGET_MIN, "backoff": {"base": "5ms"}}}
servers = [Server() for _ in range(3)]


def run(what, failing, breaker, seconds=3):
    """(load, what the servers counted, lines of the log about them) with so many that fail."""
    for index, server in enumerate(servers):
        server.begin_counting()
        server.tell(FAILS if index < failing else "")
    with start(*named(*servers), pool={**POOL, "circuit_breaker": breaker}, workers=2) as weir:
        with Fire(weir.address, 50) as fire:
            time.sleep(seconds)
            fire.stop()
        counts = [server.counts() for server in servers]
        lines = [line for name in ("one", "two", "three") for line in changes(weir, name)]
    sent, faulty = sum(each["requests"] for each in counts), sum(each["faulty"] for each in counts)
    asked, bad = len(fire.answers), len(fire.bad())
    drill.say(f"{what}: {asked} GETs, {sent} requests at the servers, {faulty} answers of 500 "
              f"there, {bad} at the clients; p99 {fire.percentile(.99) * 1000:.1f} ms")
    # Of all requests, and not only of those in a window: none was sent before this began.
    most = asked * BUDGET / 100 + BUDGET_MIN
    drill.check(f"{what}: retries", f"{sent - asked} (budget {most:.0f})",
                0 <= sent - asked <= most)
    drill.row(what, f"{asked:,} GETs, {faulty:,} answers of 500, {sent - asked:,} retries; the "
              f"clients saw {bad} errors ({100 * bad / asked:.3f} %)")
    return fire, counts, lines


with servers[0], servers[1], servers[2]:
    fire, _, _ = run("one of three fails a fifth", 1, NO_BREAKER)
    drill.check("errors that clients saw", f"{len(fire.bad())} {fire.outcomes()}", not fire.bad())

    # All of them: 25 retries for 100 requests would be needed, and 20 may be made.
    fire, _, _ = run("all three fail a fifth", 3, NO_BREAKER)
    drill.check("errors that clients saw", f"{100 * len(fire.bad()) / len(fire.answers):.2f} %",
                len(fire.bad()) < 0.1 * len(fire.answers))

    # A breaker that minds the share of errors takes the one out; 50 % of three is one.
    fire, counts, lines = run("one of three fails a fifth, with a breaker for 10 %", 1,
                              {"failure_threshold": "none", "error_rate": "10%",
                               "requests_min": 100, "window": "2s", "open_for": "500ms",
                               "max_ejected": "50%"})
    drill.check("errors that clients saw", f"{len(fire.bad())} {fire.outcomes()}", not fire.bad())
    drill.check("its changes in the log", [state for state, _ in lines], lines)
    for _, line in lines[:8]:
        drill.say(shown(line))
    drill.check("its share of all requests",
                f"{counts[0]['requests']} of {sum(each['requests'] for each in counts)}",
                counts[0]["requests"] < 0.25 * sum(each["requests"] for each in counts))

drill.done()
