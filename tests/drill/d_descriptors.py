#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Without descriptors or room weir waits; it does not spin."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import http1
from peers.backend import Backend
from peers.drill import Drill
from peers.weir import start

drill = Drill("descriptors")

# Files that it inherited fill the table: it finds it full although its own limits fit.
FILL = """
import os, sys
for _ in range(int(sys.argv[1])):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
os.execvp(sys.argv[2], sys.argv[2:])
"""
LIMIT = ("prlimit", "--nofile=256:256")


def cpu_share(weir, seconds):
    before = weir.cpu_seconds()
    time.sleep(seconds)
    return (weir.cpu_seconds() - before) / seconds


with Backend() as backend:
    with start(backend, wrapper=LIMIT) as weir:
        own = weir.fds()
    wrapper = (sys.executable, "-c", FILL, str(256 - own - 10), *LIMIT)
    with start(backend, wrapper=wrapper, workers=1) as weir:
        first = [weir.client() for _ in range(4)]
        for client in first:
            assert client.ask().status == 200
        waiting = [weir.client() for _ in range(40)]
        weir.wait_log("accepting pauses")
        share = cpu_share(weir, 2)
        drill.check("CPU with the table full and 40 at the door", f"{share * 100:.1f} %",
                    share < 0.1)
        count = len([line for line in weir.log() if line["msg"] == "accepting pauses"])
        drill.check("lines about it", count, count <= 3)
        for client in first + waiting[:-1]:
            client.close()
        began = time.monotonic()
        waiting[-1].send(http1.request())
        status = waiting[-1].response().status
        drill.check("the last at the door is served", f"{status} after "
                    f"{time.monotonic() - began:.3f} s", status == 200)

with Backend() as backend:
    with start(backend, runtime={"max_connections": 16}) as weir:
        first = [weir.client() for _ in range(16)]
        for client in first:
            assert client.ask().status == 200
        waiting = [weir.client() for _ in range(100)]
        share = cpu_share(weir, 2)
        drill.check("CPU with max_connections reached and 100 at the door",
                    f"{share * 100:.1f} %", share < 0.1)

with Backend() as backend, start(backend, workers=2) as weir:
    clients = [weir.client() for _ in range(500)]
    for client in clients:
        client.ask()
    share = cpu_share(weir, 2)
    drill.check("CPU with 500 idle connections", f"{share * 100:.1f} %", share < 0.02)

drill.done()
