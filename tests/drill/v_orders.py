#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the serving process while orders are in force: the next one serves within 500 ms, and
never asks a backend that was drained. Once with one order of each kind, once with a thousand."""
import json
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import NO_BREAKER, NO_OUTLIERS, Drill, Server
from peers.load import Fire
from peers.net import HOST, free_port, until
from peers.weir import Weir

drill = Drill("orders")
CRASHES, MANY, CONNECTIONS, RATE = 3, 1000, 20, 200
SECRET = "0123456789abcdef0123456789abcdef"
BOUND = 0.5


class Town:
    def __init__(self, servers, more=0):
        self.front, self.api = (f"{HOST}:{free_port()}" for _ in range(2))
        backends = [{"id": f"b{index}", "address": each.address}
                    for index, each in enumerate(servers)]
        backends += [{"id": f"idle{index}", "address": f"127.0.0.1:{index + 1}"}
                     for index in range(more)]
        self.weir = Weir({
            "runtime": {"workers": 2}, "log": {"format": "json", "level": "error"},
            "admin": {"bind": [self.api], "token": SECRET},
            "frontends": {"web": {"bind": [self.front], "pool": "app"}},
            "pools": {"app": {"backends": backends, "health_check": "none",
                              "circuit_breaker": NO_BREAKER, "outliers": NO_OUTLIERS}}},
            address=self.front, ready="", args=())
        until(self.answers, "it to serve")

    def call(self, client, method, path, body=None):
        answer = client.ask(method, path, f"Authorization: Bearer {SECRET}", "X-Weir-Request: 1",
                            host=self.api,
                            **({} if body is None else {"body": json.dumps(body).encode()}))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def answers(self):
        try:
            return self.weir.ask().status == 200
        except OSError:
            return False

    def order(self, client, backend, what, body=None):
        self.call(client, "POST" if body is None else "PUT",
                  f"/api/v1/pools/app/backends/{backend}/{what}", body)

    def journal(self):
        with self.weir.client(self.api) as client:
            return sorted((one["kind"], one["backend"], one["value"], one["at_ms"])
                          for one in self.call(client, "GET", "/api/v1/journal")["journal"])

    def shown(self):
        try:
            return self.journal()
        except (OSError, AssertionError):
            return None


def crash(town, before, what):
    """Seconds until the next answer, over all kills."""
    times = []
    for number in range(CRASHES):
        if number:
            time.sleep(11)  # so that each is the first in a row
        began = time.monotonic()
        os.kill(town.weir.serving, signal.SIGKILL)
        until(town.answers, "an answer")
        times.append(time.monotonic() - began)
        after = until(town.shown, "its admin address")
        drill.check(f"{what}: in force again", len(after), after == before)
    drill.check(f"{what}: serving again within 500 ms",
                " ".join(f"{seconds * 1000:.0f} ms" for seconds in times), max(times) < BOUND)
    return times


servers = [Server() for _ in range(4)]
try:
    town = Town(servers[:3])
    with town.weir as weir:
        with weir.client(town.api) as client:
            town.order(client, "b0", "drain")
            town.order(client, "b1", "weight", {"weight": 7})
            town.order(client, "b1", "breaker", {"state": "closed"})
            town.call(client, "PUT", "/api/v1/log/level", {"level": "notice"})
            town.call(client, "POST", "/api/v1/pools/app/backends",
                      {"id": "b3", "address": servers[3].address})
        before, asked = town.journal(), servers[0].counts()["requests"]
        with Fire(weir.address, connections=CONNECTIONS, rate=RATE) as fire:
            fire.until_answers(RATE)
            times = crash(town, before, "five orders")
            fire.stop()
        drill.check("five orders: requests at the one that is drained",
                    servers[0].counts()["requests"] - asked,
                    servers[0].counts()["requests"] == asked)
        drill.row(f"five orders, {CRASHES} kills",
                  f"serving again after {max(times) * 1000:.0f} ms at most, all in force, no request "
                  "at the drained one")

    town = Town(servers[:1], MANY)
    with town.weir as weir:
        with weir.client(town.api) as client:
            began = time.monotonic()
            for index in range(MANY):
                town.order(client, f"idle{index}", "drain")
            drill.say(f"{MANY} orders took {time.monotonic() - began:.2f} s")
        times = crash(town, town.journal(), f"{MANY} orders")
        drill.row(f"{MANY} orders, {CRASHES} kills",
                  f"serving again after {max(times) * 1000:.0f} ms at most, all in force")
finally:
    for server in servers:
        server.kill()

drill.done()
