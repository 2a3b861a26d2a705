#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One of four backends is ten times slower: what share of the requests each algorithm sends there,
and what that does to latency."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import Drill, Server, named
from peers.http1 import request
from peers.load import Ask, Fire
from peers.weir import IO, start

drill = Drill("slow")
RATE, WARM, SECONDS, KEYS = 600, 0.5, 2.0, 1000
KEYED = ("consistent_hash", "maglev", "rendezvous")
# Those that look at the load or at latency must send the slow one less than the even quarter.
AWARE = ("power_of_two", "least_connections", "least_response_time", "prequal")
ALGORITHMS = ("round_robin", "random", "weighted_random", "power_of_two", "least_connections",
              "least_response_time", "ip_hash", "consistent_hash", "maglev", "rendezvous", "first",
              "prequal")


def make(connection, number):
    return Ask(request("GET", f"/?k={number * 7919 % KEYS}"))


def source(connection):
    return f"127.0.7.{1 + connection % 250}"


def run(algorithm, servers):
    pool = {"algorithm": algorithm, "health_check": "none",
            "retry": {"max_attempts": 1}}
    if algorithm in KEYED:
        pool["hash"] = {"by": "query:k"}
    with start(*named(*servers), pool=pool, workers=2) as weir:
        # An open load: it does not slow down because the slow one does.
        with Fire(weir.address, 250, make, rate=RATE, source=source) as fire:
            time.sleep(WARM)
            since = time.monotonic()
            time.sleep(SECONDS)
            fire.stop()
    asked = fire.servers(since)
    share = asked[servers[3].port] / max(1, sum(asked.values()))
    return fire, share, fire.percentile(0.5, since), fire.percentile(0.99, since)


table = []
with Server(fault="delay=5") as one, Server(fault="delay=5") as two, \
        Server(fault="delay=5") as three, Server(fault="delay=50") as four:
    for algorithm in ALGORITHMS:
        fire, share, p50, p99 = run(algorithm, (one, two, three, four))
        figures = (f"{share * 100:.1f} % to the slow one, p50 {p50 * 1000:.1f} ms, "
                   f"p99 {p99 * 1000:.1f} ms")
        good = not fire.bad()
        if algorithm in AWARE:
            good = good and share < 0.2
        elif algorithm == "round_robin":
            good = good and abs(share - 0.25) < 0.01
        elif algorithm == "first":
            good = good and share == 0
        drill.check(f"{algorithm}: {len(fire.answers)} GETs, failed {len(fire.bad())}", figures,
                    good)
        table.append(f"| {algorithm} | {IO} | {share * 100:.1f} % | {p50 * 1000:.1f} | "
                     f"{p99 * 1000:.1f} | {len(fire.bad())} |")

print(f"\nFour servers, three answer after 5 ms and one, the last in the list, after 50 ms; {RATE} "
      f"requests a second for {SECONDS:.0f} s.\n")
print("| algorithm | twin | to the slow one | p50 ms | p99 ms | failed |")
print("|---|---|---|---|---|---|")
print("\n".join(table) + "\n")
drill.done()
