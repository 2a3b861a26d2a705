#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 backends from one table: weir listens within 2 s, all are probed within 5 s by at most
1,000 probes at the same time, a reload takes 300 ms at most, and no worker is busy for longer than
5 ms while it goes over."""
import json
import pathlib
import re
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.client import Client
from peers.drill import Drill, Server, timed
from peers.net import HOST, free_port, until
from peers.weir import Weir

drill = Drill("many backends")
BACKENDS, RELOADS = 10000, 10
PROBES, OTHERS = 1000, 64  # at the same time; descriptors for everything else
SECRET = "0123456789abcdef0123456789abcdef"


def fill(path, port):
    with sqlite3.connect(path) as table:
        table.execute("CREATE TABLE workers (worker_address TEXT PRIMARY KEY)")
        table.executemany("INSERT INTO workers VALUES (?)", (
            (f"127.77.{i // 200}.{i % 200 + 1}:{port}",) for i in range(BACKENDS)))


def is_listening(address):
    try:
        with Client(address):
            return True
    except OSError:
        return False


def ask(address, method, target):
    with Client(address) as client:
        answer = client.ask(method, target, f"Authorization: Bearer {SECRET}",
                            "X-Weir-Request: 1", host=address)
        assert answer.status == 200, answer.body
        return answer


def long_turns(text):
    """(timed turns, those above 5 ms)"""
    def total(words):
        return sum(float(value) for value in re.findall(
            rf'^lb_worker_turn_seconds_{words} (\S+)$', text, re.M))
    count = total(r"count\S*")
    return int(count), int(count - total(r'bucket{[^}]*le="0.005"}'))


with tempfile.TemporaryDirectory() as folder, Server(host="0.0.0.0") as server:
    fill(pathlib.Path(folder, "workers.db"), server.port)
    front, api = (f"{HOST}:{free_port()}" for _ in range(2))
    tree = {
        "runtime": {"workers": 2}, "admin": {"bind": [api], "token": SECRET},
        "frontends": {"web": {"bind": [front], "pool": "app"}},
        "pools": {"app": {"health_check": {"type": "http", "path": "/health", "interval": "1h",
                                           "timeout": "5s"}}},
        "providers": [{"pool": "app", "url": f"sqlite:{folder}/workers.db"}]}
    began = time.monotonic()
    with Weir(tree, address=front, env={"XDG_STATE_HOME": folder}, ready="") as weir:
        until(lambda: is_listening(front), "weir to listen")
        listening = time.monotonic() - began
        drill.check("listening within 2 s", f"{listening:.2f} s", listening < 2)
        server.address = f"{HOST}:{server.port}"  # where it can be asked

        def all_probed(most=[0]):  # what it has open is a probe, but for a few
            most[0] = max(most[0], weir.fds())
            return server.counts()["health_checks"] >= BACKENDS and most[0]
        most = until(all_probed, "all probes")
        probed = time.monotonic() - began
        drill.check("all probed within 5 s of that", f"{probed - listening:.2f} s",
                    probed - listening < 5)
        drill.check("descriptors at the same time", most, most <= PROBES + OTHERS)
        state = json.loads(ask(api, "GET", "/api/v1/state").body)
        drill.check("backends", len(state["backends"]), len(state["backends"]) == BACKENDS)
        before = long_turns(ask(api, "GET", "/metrics").text)
        times, busy = [], weir.cpu_seconds()
        for number in range(RELOADS):
            tree["frontends"]["web"]["limits"] = {"connections": 5000 + number}
            pathlib.Path(weir.config_path).write_text(json.dumps(tree))
            times.append(timed(lambda: ask(api, "POST", "/api/v1/reload"))[0])
        busy = (weir.cpu_seconds() - busy) / RELOADS
        after = long_turns(ask(api, "GET", "/metrics").text)
        drill.check("a reload within 300 ms", " ".join(f"{1000 * each:.0f}" for each in times)
                    + f" ms, of its processor {busy * 1000:.0f} ms", max(times) < 0.3)
        drill.check("turns above 5 ms", f"{after[1] - before[1]} of {after[0] - before[0]} timed",
                    after[1] == before[1])
        drill.row(f"{BACKENDS} backends from SQLite",
                  f"listening after {listening:.2f} s, all probed {probed - listening:.2f} s later, "
                  f"{most} descriptors at most; {RELOADS} reloads of at most "
                  f"{max(times) * 1000:.0f} ms ({busy * 1000:.0f} ms of its processor), "
                  f"{after[1] - before[1]} turns above 5 ms")

drill.done()
