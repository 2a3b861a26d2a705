#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The test backend whose port is an argument turns its health every 30 s."""
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.client import Client
from peers.drill import Drill
from peers.net import HOST, free_port
from peers.weir import BINARY

SECONDS, FLIP = 70, 30
drill = Drill("test backend")
address = f"{HOST}:{free_port()}"


def status():
    with Client(address) as client:
        return client.ask("GET", "/health").status


with tempfile.TemporaryFile() as output:
    process = subprocess.Popen([BINARY, "test-backend", address], stdout=output,
                               stderr=subprocess.STDOUT)
    try:
        began, seen = time.monotonic(), []
        while time.monotonic() - began < SECONDS:
            try:
                now = status()
            except OSError:
                continue
            if not seen or seen[-1][1] != now:
                seen.append((time.monotonic() - began, now))
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()

drill.check("its health", [one for _, one in seen], [one for _, one in seen] == [200, 503, 200])
for (before, _), (after, _) in zip(seen, seen[1:]):
    drill.near("until it turned", after - before, FLIP)
drill.done()
