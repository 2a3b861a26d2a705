#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One of three backends is stopped (SIGSTOP): its kernel takes connections and requests, and
nothing comes back. No GET fails, none waits much longer than one try may take, and it is taken
out."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import QUICK_CHECKS, Drill, Server, named
from peers.load import Fire
from peers.net import until
from peers.states import OUT, changes, shown, wait_state
from peers.weir import start

drill = Drill("hung")
TRY = 0.3
# Beyond the try that hangs: the backoff before the next one (up to 10 ms) and the time that a
# hundred clients, three servers and weir take on two processors.
SLACK = 0.15
POOL = {"health_check": QUICK_CHECKS,
        "retry": {"max_attempts": 3, "when": ["connect", "reset_before_response", "timeout"],
                  "try_timeout": f"{int(TRY * 1000)}ms", "backoff": {"base": "10ms"}},
        "outliers": {"timeouts": 5, "eject_for": "1s"}, "circuit_breaker": {"open_for": "1s"}}

with Server() as one, Server() as two, Server() as three:
    with start(*named(one, two, three), pool=POOL, workers=2) as weir:
        with Fire(weir.address, 100) as fire:
            time.sleep(1.5)
            stopped = time.monotonic()
            two.signal(signal.SIGSTOP)
            line = wait_state(weir, "two", *OUT)
            ejected = time.monotonic()
            time.sleep(1)
            calm = time.monotonic()
            time.sleep(0.5)
            fire.stop()
        drill.check(f"one of three stopped, of {len(fire.answers)} GETs failed",
                    f"{len(fire.bad())} {fire.outcomes()}", not fire.bad())
        drill.check("it is taken out after", f"{ejected - stopped:.3f} s: {shown(line)}",
                    ejected - stopped < 2)
        hit = [answer for answer in fire.answers if answer.seconds > TRY * 0.9]
        drill.check("requests that met it", len(hit), len(hit) >= 1)
        p99 = fire.percentile(0.99, stopped - TRY, ejected)
        drill.check("p99 from the stop until it was out", f"{p99 * 1000:.0f} ms",
                    p99 <= TRY + SLACK)
        longest = fire.percentile(1)
        drill.check("the longest of all", f"{longest * 1000:.0f} ms (one try {TRY * 1000:.0f} ms)",
                    longest <= TRY + SLACK)
        p99_after = fire.percentile(0.99, calm)
        drill.check("p99 once it was out", f"{p99_after * 1000:.1f} ms", p99_after < 0.1)
        drill.row("one of three stopped, 100 connections",
                  f"{len(fire.answers):,} GETs: {len(fire.bad())} failed; out after "
                  f"{(ejected - stopped) * 1000:.0f} ms, until then p99 {p99 * 1000:.0f} ms (a try "
                  f"may take {TRY * 1000:.0f}), longest {longest * 1000:.0f} ms; then p99 "
                  f"{p99_after * 1000:.1f} ms")

        two.signal(signal.SIGCONT)
        before, began = two.counts()["requests"], time.monotonic()
        with Fire(weir.address, 20, pause=0.01) as fire:
            until(lambda: two.counts()["requests"] > before + 20, "it to be used again")
            fire.stop()
        drill.check("when it goes on, it is used after", f"{time.monotonic() - began:.2f} s, "
                    f"failed {len(fire.bad())}", not fire.bad())
        drill.say(f"states of it: {[state for state, _ in changes(weir, 'two')]}")

drill.done()
