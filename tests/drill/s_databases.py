#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two weirs on one PostgreSQL under load: a new row is in rotation on both within a second, a deleted
one fails no request, and a database that is gone for a minute fails none either; what is written
when it is back arrives."""
import contextlib
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import postgres
from peers.client import Client
from peers.drill import QUICK_CHECKS, Drill, Server, percentile
from peers.load import Fire
from peers.net import HOST, free_port, until
from peers.weir import Weir

TRIGGER = (pathlib.Path(__file__).resolve().parents[2]
           / "etc/migrations/postgres/0002_workers_tell.up.sql").read_text()
NODES, ROUNDS, GONE_S, RATE = 2, 10, 60, 200
drill = Drill("databases")


def node(database, state):
    address = f"{HOST}:{free_port()}"
    tree = {"runtime": {"workers": 1},
            "frontends": {"web": {"bind": address, "pool": "app", "builtin": {"stats": "/lb-stats"}}},
            "pools": {"app": {"health_check": QUICK_CHECKS}},
            "providers": [{"url": database.url(), "pool": "app"}], "admin": {"bind": "none"}}
    return Weir(tree, address=address, env={"XDG_STATE_HOME": state})


def healthy(weir):
    with Client(weir.address) as client:
        return {one["address"] for one in json.loads(client.ask("GET", "/lb-stats").body)["backends"]
                if one["healthy"]}


def seen_by_all(weirs, condition, what):
    """Seconds until all of them see it."""
    began = time.monotonic()
    for weir in weirs:
        until(lambda one=weir: condition(healthy(one)), what)
    return time.monotonic() - began


def insert(database, server):
    database.psql(f"INSERT INTO workers VALUES ('{server.address}')")


def delete(database, server):
    database.psql(f"DELETE FROM workers WHERE worker_address = '{server.address}'")


def judge(what, fires, more=""):
    bad, count = [], 0
    for fire in fires:
        fire.stop()
        bad += fire.bad()
        count += len(fire.answers)
    drill.check(f"{what}: failed requests", f"{len(bad)} of {count}", not bad and count > 0)
    drill.row(what, f"{len(bad)} of {count} failed{more}")


if postgres.available():
    drill.say(f"left out: {postgres.available()}")
    drill.done()

with contextlib.ExitStack() as stack:
    database = postgres.Postgres()
    stack.callback(database.stop)
    database.psql(postgres.TABLE, TRIGGER)
    one, two, three = (stack.enter_context(Server()) for _ in range(3))
    insert(database, one)
    insert(database, two)
    weirs = [stack.enter_context(node(database, stack.enter_context(tempfile.TemporaryDirectory())))
             for _ in range(NODES)]

    def fires():
        return [stack.enter_context(Fire(weir.address, connections=20, rate=RATE)) for weir in weirs]

    load, added = fires(), []
    for _ in range(ROUNDS):
        insert(database, three)
        added.append(seen_by_all(weirs, lambda seen: three.address in seen, "the new row"))
        time.sleep(0.5)
        delete(database, three)
        seen_by_all(weirs, lambda seen: three.address not in seen, "the deleted row gone")
    drill.check("INSERT until checked and in rotation on both nodes, longest",
                f"{max(added) * 1000:.0f} ms", max(added) < 1)
    judge(f"{NODES} nodes, {ROUNDS} times INSERT and DELETE", load,
          f"; in rotation on both after {percentile(added, 0.5) * 1000:.0f} ms, at most "
          f"{max(added) * 1000:.0f} ms")

    load = fires()
    database.kill()
    time.sleep(GONE_S)
    for weir in weirs:
        drill.check("rows that serve without the database", len(healthy(weir)), len(healthy(weir)) == 2)
    database.start()
    insert(database, three)
    back = seen_by_all(weirs, lambda seen: three.address in seen, "the new row")
    drill.check("a row written when it is back, in rotation on both nodes after", f"{back:.1f} s",
                back < 7)  # the longest pause between two attempts is 5 s
    judge(f"{NODES} nodes, database gone for {GONE_S} s", load,
          f"; what was written when it was back was in rotation after {back:.1f} s")

drill.done()
