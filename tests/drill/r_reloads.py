#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""1,000 reloads in 60 s under load, with 1,000 open WebSockets: each is waited for, and each changes
a route, a weight, a backend or a certificate. No request fails, no tunnel ends, memory is flat."""
import json
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.client import Client
from peers.drill import NO_BREAKER, NO_OUTLIERS, Drill, Server
from peers.load import Fire
from peers.net import HOST, free_port, until
from peers.papers import papers
from peers.streams import Streams
from peers.weir import Weir

drill = Drill("reloads")
RELOADS, SECONDS, TUNNELS, CONNECTIONS, RATE = 1000, 60, 1000, 20, 200
SECRET = "0123456789abcdef0123456789abcdef"
# Little at a time: what is asked is whether they stay, and the machine has other things to do.
KINDS = [((20, 5.0), None, (20, 5.0), None)]
TURN_BOUND = "0.005"


class Town:
    """A configuration whose every state is another one than the one before."""

    def __init__(self, servers, streams, folder):
        self.front, self.secure, self.sockets, self.api = (
            f"{HOST}:{free_port()}" for _ in range(4))
        self.servers, self.number = servers, 0
        self.files = {side: pathlib.Path(folder, f"site.{side}") for side in ("crt", "key")}
        self.write_certificate("site")
        pool = {"circuit_breaker": NO_BREAKER, "outliers": NO_OUTLIERS,
                "health_check": {"type": "tcp", "interval": "1s", "fast_interval": "200ms"}}
        self.tree = {
            "runtime": {"workers": 2},
            "admin": {"bind": [self.api], "token": SECRET},
            "certificates": [{"cert": str(self.files["crt"]),
                              "key": {"file": str(self.files["key"])}}],
            "frontends": {
                "web": {"bind": [self.front], "pool": "app",
                        "routes": [{"name": "a", "match": {"path": "/a/*"}, "pool": "app"}]},
                "secure": {"bind": [self.secure], "pool": "app", "tls": True},
                "sockets": {"bind": [self.sockets], "pool": "sockets"}},
            "pools": {
                "app": {"backends": [{"id": "one", "address": servers[0].address, "weight": 10},
                                     {"id": "two", "address": servers[1].address, "weight": 10}],
                        **pool},
                "sockets": {"backends": [streams.address], **pool}}}
        self.weir = Weir(self.tree, address=self.front)

    def write_certificate(self, name):
        for side, path in self.files.items():
            new = path.with_suffix(".new")
            new.write_text(pathlib.Path(papers().path(f"{name}.{side}")).read_text())
            new.replace(path)

    def change(self):
        self.number += 1
        kind, turn = self.number % 4, self.number // 4
        if kind == 0:
            self.tree["frontends"]["web"]["routes"][0]["match"]["path"] = f"/a{turn}/*"
        elif kind == 1:
            self.tree["pools"]["app"]["backends"][0]["weight"] = 1 + turn % 50
        elif kind == 2:
            third = [{"id": "three", "address": self.servers[2].address}]
            self.tree["pools"]["app"]["backends"][2:] = [] if turn % 2 else third
        else:
            self.write_certificate(("other", "site")[turn % 2])
        new = pathlib.Path(self.weir.config_path + ".new")
        new.write_text(json.dumps(self.tree))
        new.replace(self.weir.config_path)

    def ask(self, client, method, target):
        answer = client.ask(method, target, f"Authorization: Bearer {SECRET}",
                            "X-Weir-Request: 1", host=self.api)
        assert answer.status == 200, answer.body
        return answer


def turns(text):
    """(all timed turns, those that lasted longer than the bound)"""
    def total(words):
        return sum(float(value) for value in re.findall(
            rf'^lb_worker_turn_seconds_{words}\S* (\S+)$', text, re.M))
    def up_to(bound):
        return sum(float(value) for value in re.findall(
            rf'^lb_worker_turn_seconds_bucket{{[^}}]*le="{bound}"}} (\S+)$', text, re.M))
    return int(total("count")), int(total("count") - up_to(TURN_BOUND)), int(
        total("count") - up_to("0.025"))


def measure(town, streams):
    with Client(town.api) as api:
        first = json.loads(town.ask(api, "GET", "/api/v1/state").body)["generation"]
        for _ in range(20):  # what grows at first has grown then
            town.change()
            town.ask(api, "POST", "/api/v1/reload")
        before_bytes, before_fds = town.weir.rss(), town.weir.fds()
        timed = turns(town.ask(api, "GET", "/metrics").text)
        with Fire(town.front, connections=CONNECTIONS, rate=RATE) as fire:
            fire.until_answers(RATE)
            began, slowest, busy = time.monotonic(), 0.0, town.weir.cpu_seconds()
            for number in range(RELOADS):
                town.change()
                start = time.monotonic()
                town.ask(api, "POST", "/api/v1/reload")
                slowest = max(slowest, time.monotonic() - start)
                ahead = number * SECONDS / RELOADS - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
            seconds = time.monotonic() - began
            busy = town.weir.cpu_seconds() - busy
            fire.stop()
        after = [now - then for now, then in
                 zip(turns(town.ask(api, "GET", "/metrics").text), timed)]
        last = json.loads(town.ask(api, "GET", "/api/v1/state").body)["generation"]
    bad = fire.bad()
    drill.check("generations", last - first, last - first == RELOADS + 20)
    drill.check("seconds", f"{seconds:.1f}, of its processor {busy:.1f}", seconds < SECONDS * 1.1)
    drill.check("failed requests", f"{len(bad)} of {len(fire.answers)} {bad[:3]}", not bad)
    drill.check("tunnels that ended", len(streams.errors()), not streams.errors()
                and not any(end.writer.is_closing() for end in streams.clients))
    until(lambda: town.weir.rss() - before_bytes < 16 << 20, "memory to be flat")
    grown = town.weir.rss() - before_bytes
    drill.check("memory", f"{before_bytes >> 10} kB, and {grown >> 10:+} kB", grown < 16 << 20)
    drill.check("descriptors", f"{before_fds}, then {town.weir.fds()}",
                abs(town.weir.fds() - before_fds) <= 2 * CONNECTIONS + 16)
    drill.say(f"turns timed: {after[0]}, longer than 5 ms: {after[1]}, than 25 ms: {after[2]}")
    drill.row(f"{RELOADS} reloads, {TUNNELS} WebSockets, {RATE}/s",
              f"{seconds:.1f} s ({busy:.1f} s of its processor), slowest reload {slowest * 1000:.0f} ms, {len(bad)} of "
              f"{len(fire.answers)} requests failed, {grown >> 10:+} kB; of {after[0]} timed turns "
              f"{after[1]} took longer than 5 ms")


with tempfile.TemporaryDirectory() as scratch, Server() as one, Server() as two, \
        Server() as three, Streams(upgrade=True, kinds=KINDS) as sockets:
    place = Town((one, two, three), sockets, scratch)
    with place.weir:
        sockets.open(place.sockets, TUNNELS)
        measure(place, sockets)
        drill.check("every byte of every tunnel", sockets.finish() or "came once",
                    not sockets.errors())

drill.done()
