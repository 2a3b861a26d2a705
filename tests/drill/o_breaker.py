#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker of a backend: closed, open, half-open, open again, half-open, closed, as the
log tells, and what the backend gets in each state."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import NO_OUTLIERS, QUICK_CHECKS, Drill, Server, named
from peers.load import Fire
from peers.states import CLOSED, HALF_OPEN, OPEN, changes, shown, states, wait_state
from peers.weir import start

drill = Drill("breaker")
BREAKER = (CLOSED, OPEN, HALF_OPEN)
CLIENTS, THRESHOLD, OPEN_FOR, TRIALS = 10, 5, 1.0, 2
# Failures beyond the threshold: what is under way when the last one counts, one per client, and
# again as many until every worker has heard of it.
LATE = 2 * CLIENTS
POOL = {"health_check": QUICK_CHECKS, "outliers": NO_OUTLIERS, "retry": {"max_attempts": 1},
        "circuit_breaker": {"failure_threshold": THRESHOLD, "success_threshold": TRIALS,
                            "open_for": f"{int(OPEN_FOR * 1000)}ms", "max_ejected": "50%"}}


def wait_next(*wanted):
    """Waits for the next change; gives its line and the moment it was seen."""
    global known
    line = wait_state(weir, "one", *wanted, after=known)
    seen = time.monotonic()
    # Not all that the log has by now: a trial may have failed already.
    known += 1 + [each for _, each in changes(weir, "one")[known:]].index(line)
    drill.say(shown(line))
    return seen


with Server() as one, Server() as two:
    with start(*named(one, two), pool=POOL, workers=2) as weir, \
            Fire(weir.address, CLIENTS, pause=0.005) as fire:
        fire.until_answers(200)
        drill.check("closed: both are used", f"{one.counts()['requests']} and "
                    f"{two.counts()['requests']}", one.counts()["requests"] > 20)
        known = len(changes(weir, "one"))
        one.begin_counting()
        one.tell("status=500&health=200")
        opened = wait_next(OPEN)
        time.sleep(0.1)  # requests that were under way
        failed = one.counts()["requests"]
        drill.check("failures until it opened", f"{failed} (threshold {THRESHOLD})",
                    THRESHOLD <= failed <= THRESHOLD + LATE)
        time.sleep(OPEN_FOR / 2)
        drill.check("open: requests that it got", one.counts()["requests"] - failed,
                    one.counts()["requests"] == failed)
        half = wait_next(HALF_OPEN)
        drill.near("half-open after", half - opened, OPEN_FOR)
        again = wait_next(OPEN)
        time.sleep(0.1)
        drill.check("half-open: trials that it got", one.counts()["requests"] - failed,
                    1 <= one.counts()["requests"] - failed <= TRIALS)
        one.tell()
        half = wait_next(HALF_OPEN)
        drill.near("half-open again after twice the time", half - again, 2 * OPEN_FOR)
        wait_next(CLOSED)
        closed = time.monotonic()
        before = one.counts()["requests"]
        time.sleep(1)
        got = one.counts()["requests"] - before
        fire.stop()
        course = states(weir, "one", BREAKER)
    got_two = fire.servers(closed)[two.port]
    drill.check("closed again: both are used alike", f"{got} and {got_two} in a second",
                0.7 < got / max(1, got_two) < 1.4)
    late = fire.bad()
    drill.check("errors that clients saw, without retries", f"{len(late)} of {len(fire.answers)}",
                len(late) <= THRESHOLD + LATE + TRIALS)
    wanted = [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]
    drill.check("its course in the log", " -> ".join(course), course == wanted)
    drill.row("a backend that fails, then is well", f"{' -> '.join(course)}; {failed} requests "
              f"failed until it opened (threshold {THRESHOLD}), {len(late)} in all")

drill.done()
