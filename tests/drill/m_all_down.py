#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""All backends are down: a refusal at once, and service again soon after one is back."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import QUICK_CHECKS, Drill, Server, named, percentile, timed
from peers.load import Fire
from peers.states import DOWN, UP, changes, wait_state
from peers.weir import start

drill = Drill("all down")
FAST, THRESHOLD = 0.5, 2
# Beyond healthy_threshold x fast_interval: a probe and its being heard of, on a busy machine.
SLACK = 0.2
BACKOFFS = 0.1 + 0.2  # before a second and a third try at those who refused (retry.backoff.base)
POOL = {"health_check": {**QUICK_CHECKS, "fast_interval": f"{int(FAST * 1000)}ms",
                         "healthy_threshold": THRESHOLD},
        "outliers": {"connect_failures": 3},
        "retry": {"max_attempts": 3, "when": ["connect", "reset_before_response"]}}


def served_again(weir):
    while weir.ask().status != 200:
        time.sleep(0.001)


def refusals(weir, seconds):
    """Asks one GET after the other; all must be refused. Gives their times."""
    spans, bad, end = [], [], time.monotonic() + seconds
    with weir.client() as client:
        while time.monotonic() < end:
            took, response = timed(client.ask)
            spans.append(took)
            if response.status != 503 or not (response.get("retry-after") or "").isdigit():
                bad.append(response)
            time.sleep(0.002)
    return spans, bad


servers = [Server(), Server()]
with start(*named(*servers), pool=POOL, workers=2) as weir:
    with Fire(weir.address, 20) as fire:
        fire.until_answers(1000)
        fire.stop()
    drill.check("while all is well", fire.outcomes(), not fire.bad())
    for server in servers:
        server.kill()
    # At first requests find out, and a try that was refused everywhere is made once more after its
    # backoff; then weir knows, and nobody waits.
    for what in ("just killed", "known to be down"):
        spans, bad = refusals(weir, 1.5)
        p99 = percentile(spans, 0.99)
        drill.check(f"{what}: 503 with Retry-After, p99 of {len(spans)}", f"{p99 * 1000:.2f} ms",
                    p99 < 0.01 and not bad)
        drill.check(f"{what}: the longest", f"{max(spans) * 1000:.2f} ms",
                    max(spans) < BACKOFFS + 0.01)
        if bad:
            drill.say(f"others: {len(bad)}, the first {bad[0]!r} {bad[0].fields}")
        drill.row(f"all of two {what}", f"{len(spans)} refusals with Retry-After, p99 "
                  f"{p99 * 1000:.2f} ms, longest {max(spans) * 1000:.2f} ms")
        if what == "just killed":
            for name in ("one", "two"):
                wait_state(weir, name, DOWN)

    # The same under load: nobody waits.
    with Fire(weir.address, 100) as fire:
        time.sleep(1)
        fire.stop()
    drill.check(f"100 connections, of {len(fire.answers)} not refused", fire.outcomes(),
                set(fire.outcomes()) == {503} and all(each.retry_after for each in fire.answers))

    worst = 0
    for index, name in enumerate(("one", "two", "one")):
        at, known = index % 2, len(changes(weir, name))
        servers[at] = servers[at].again()
        seconds, _ = timed(lambda: served_again(weir))
        worst = max(worst, seconds)
        drill.check(f"{name} returned: served again after",
                    f"{seconds:.3f} s (healthy_threshold x fast_interval {THRESHOLD * FAST:.1f} s)",
                    seconds <= THRESHOLD * FAST + SLACK)
        wait_state(weir, name, UP, after=known)
        servers[at].kill()
        statuses = {weir.ask().status for _ in range(20)}
        drill.check("killed again", statuses, statuses == {503})
        wait_state(weir, name, DOWN, after=known)
    drill.row("one of two returns, three times", f"served again after {worst:.2f} s at most "
              f"(bound {THRESHOLD * FAST:.1f} s + {SLACK * 1000:.0f} ms)")
for server in servers:
    server.kill()

drill.done()
