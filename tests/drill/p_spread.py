#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets the requests, counted over real sockets: chance is chance, turns are exact, and the same
key finds the same backend."""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.chance import chi_square
from peers.drill import QUICK_CHECKS, Drill, Server, named
from peers.http1 import request
from peers.load import Ask, Fire
from peers.states import OUT, wait_state
from peers.weir import start

drill = Drill("spread")
WORKERS, CONNECTIONS = 4, 32
NAMES = ("one", "two", "three", "four", "five")
servers = [Server() for _ in NAMES]


def backends(weights):
    return [{**each, "weight": weight} for each, weight in zip(named(*servers), weights)]


def ask(weir, count, **rest):
    with Fire(weir.address, CONNECTIONS, count=count, **rest) as fire:
        return fire.wait()


def spread(algorithm, weights, count):
    """How many each server got, as the clients saw it and as the servers did."""
    for server in servers:
        server.begin_counting()
    pool = {"algorithm": algorithm, "health_check": QUICK_CHECKS}
    with start(*backends(weights), pool=pool, workers=WORKERS) as weir:
        fire = ask(weir, count)
    seen = [fire.servers()[server.port] for server in servers[:len(weights)]]
    counted = [server.counts()["requests"] for server in servers[:len(weights)]]
    drill.check(f"{algorithm} {weights}: {count} GETs, failed {len(fire.bad())}", seen,
                not fire.bad() and seen == counted)
    return seen


# ---- Chance --------------------------------------------------------------------------------------

# A fair one fails a test at 1 % once in a hundred runs: then a second sample decides, so that only
# one run in ten thousand says so for nothing.
for algorithm, weights in (("random", (1, 1, 1, 1)), ("weighted_random", (5, 3, 1, 1))):
    for sample in ("first", "second"):
        counts = spread(algorithm, weights, 8000)
        statistic, p = chi_square(counts, weights)
        if p > 0.01 or sample == "second":
            break
        drill.say(f"{algorithm}: p = {p:.4f}; a second sample decides")
    drill.check(f"{algorithm}: chi-square", f"{statistic:.2f}, p = {p:.3f}", p > 0.01)
    # What takes turns would be even beyond chance.
    drill.check(f"{algorithm}: it is no turn-taking", f"p = {p:.3f}", p < 0.9999)
    drill.row(f"{algorithm} {weights}, {WORKERS} workers", f"{counts}: chi-square {statistic:.2f}, "
              f"p = {p:.3f}")

# ---- Turns ---------------------------------------------------------------------------------------

for weights in ((1, 1, 1), (5, 1, 1), (3, 2, 0, 1)):
    count = 1000 * sum(weights)
    counts = spread("round_robin", weights, count)
    drill.check(f"round_robin {weights}, {WORKERS} workers: exact", counts,
                counts == [1000 * weight for weight in weights])
    drill.row(f"round_robin {weights}, {WORKERS} workers", f"{counts}")

# ---- Keys ----------------------------------------------------------------------------------------

KEYS, TIMES = 100, 100


def places(weir, algorithm, times):
    """Key: which servers answered it, and how often each."""
    if algorithm == "ip_hash":  # each connection comes from an address of its own
        fire = Fire(weir.address, KEYS, lambda connection, number: Ask(
            request("GET", "/"), connection), count=KEYS * times,
                    source=lambda connection: f"127.0.9.{1 + connection}")
    else:
        fire = Fire(weir.address, CONNECTIONS, lambda connection, number: Ask(
            request("GET", f"/?k={number % KEYS}"), number % KEYS), count=KEYS * times)
    with fire:
        fire.wait()
    found = collections.defaultdict(collections.Counter)
    for answer in fire.answers:
        found[answer.tag][answer.server if answer.good else answer.outcome] += 1
    return found


def main_place(found):
    return {key: places.most_common(1)[0][0] for key, places in found.items()}


for algorithm in ("ip_hash", "consistent_hash", "maglev", "rendezvous"):
    pool = {"algorithm": algorithm, "health_check": QUICK_CHECKS}
    if algorithm != "ip_hash":
        pool["hash"] = {"by": "query:k"}
    with start(*backends([1] * 5), pool=pool, workers=WORKERS) as weir:
        found = places(weir, algorithm, TIMES)
        at = main_place(found)
        strays = sum(sum(each.values()) - max(each.values()) for each in found.values())
        shares = collections.Counter(at.values())
        drill.check(f"{algorithm}: {len(at)} keys, of {KEYS * TIMES} GETs not where their key's "
                    "others went", strays,
                    strays == 0 and len(at) == KEYS and
                    set(at.values()) <= {server.port for server in servers})
        drill.say(f"{algorithm}: keys of each {[shares[server.port] for server in servers]}")

        # The one that is gone takes only its own keys along.
        gone = servers[2]
        gone.kill()
        wait_state(weir, "three", *OUT)
        then = main_place(places(weir, algorithm, 3))
        others = sum(then[key] != at[key] for key in at if at[key] != gone.port)
        homeless = sum(then[key] not in {server.port for server in servers if server is not gone}
                       for key in at)
        drill.check(f"{algorithm}: keys of others that moved when one died", others,
                    others == homeless == 0)
    servers[2] = gone.again()

    # And the same with a list that never had it, as after a change of the configuration.
    others_only = [each for each in backends([1] * 5) if each["id"] != "three"]
    with start(*others_only, pool=pool, workers=WORKERS) as weir:
        then = main_place(places(weir, algorithm, 3))
    moved = sum(then[key] != at[key] for key in at if at[key] != gone.port)
    # Maglev gives up a little of this for even shares.
    drill.check(f"{algorithm}: keys of others elsewhere without it in the list", moved,
                moved <= (10 if algorithm == "maglev" else 0))
    drill.row(f"{algorithm}, {KEYS} keys {TIMES} times, {WORKERS} workers",
              f"{strays} strays; one of five dies: {others} keys of others move; not in the list: "
              f"{moved}")

for server in servers:
    server.kill()
drill.done()
