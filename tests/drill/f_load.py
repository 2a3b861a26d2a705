#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other people's load generators see no error (seed 2's commands)."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import Drill, Server
from peers.weir import start

drill = Drill("load")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


RATE = r"Requests(?: per second|/sec):\s+([0-9.]+)"


def figure(pattern, text):
    found = re.search(pattern, text)
    return found[1] if found else "?"


with Server() as one, Server() as two, Server() as three:
    for workers in (1, 2):
        with start(one, two, three, workers=workers) as weir:
            url = f"http://{weir.address}/"
            for keep in ([], ["-k"]):
                out = run("ab", "-q", *keep, "-n", "10000", "-c", "100", url)
                good = figure(r"Complete requests:\s+(\d+)", out) == "10000" and \
                    figure(r"Failed requests:\s+(\d+)", out) == "0" and "Non-2xx" not in out
                drill.check(f"{workers} workers, ab -n 10000 -c 100 {' '.join(keep)}",
                            f"{figure(RATE, out)} requests/s",
                            good)
            out = run("hey", "-n", "10000", "-c", "100", url)
            good = figure(r"\[200\]\s+(\d+) responses", out) == "10000" and "Error" not in out
            drill.check(f"{workers} workers, hey -n 10000 -c 100",
                        f"{figure(RATE, out)} requests/s", good)
            for connections in ("100", "500"):
                out = run("wrk", "-t", "2", "-c", connections, "-d", "5s", url)
                good = "Socket errors" not in out and "Non-2xx" not in out
                drill.check(f"{workers} workers, wrk -c {connections}",
                            f"{figure(RATE, out)} requests/s",
                            good and figure(r"(\d+) requests in", out) != "?")

drill.done()
