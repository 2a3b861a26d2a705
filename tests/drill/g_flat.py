#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory, descriptors and threads stay flat over rounds of mixed load."""
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import http1
from peers.backend import Backend, echo
from peers.client import Client
from peers.drill import Drill
from peers.net import HOST, free_port, until
from peers.weir import start

drill = Drill("flat")


def answer(connection):
    while message := connection.request():
        if message.target == "/die":
            return
        if message.target == "/cut":
            connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 100"), b"x")
            return
        if message.target == "/long":
            connection.send(http1.response(body=b"y" * 1000000))
        elif message.target == "/chunks":
            connection.send(http1.response(chunks=[b"z" * 10000] * 30))
        else:
            connection.send(echo(message))


def mixed(address, seed):
    """A few hundred requests and connections of every kind."""
    rng = random.Random(seed)
    for _ in range(60):
        try:
            with Client(address) as client:
                for _ in range(rng.randint(1, 10)):
                    what = rng.randrange(9)
                    if what < 3:
                        client.ask("GET", rng.choice(["/", "/long", "/chunks"]))
                    elif what == 3:
                        client.ask("POST", "/", body=b"x" * rng.choice([1, 1000, 200000]))
                    elif what == 4:
                        client.ask("GET", rng.choice(["/die", "/cut"]))
                    elif what == 5:
                        client.send(b"nonsense\r\n\r\n").response()
                    elif what == 6:
                        client.send(http1.request("GET", "/long"))
                        client.reset()
                        break
                    elif what == 7:
                        client.send(b"GET / HT")
                        break
                    else:
                        client.ask("PUT", "/", chunks=[b"x" * 5000] * rng.randint(1, 30))
        except (OSError, AssertionError):
            pass


with Backend(answer) as backend:
    with start(backend, f"{HOST}:{free_port()}", workers=2) as weir:
        figures = []
        for number in range(6):
            threads = [threading.Thread(target=mixed, args=(weir.address, number * 10 + i))
                       for i in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(0.3)
            figures.append((weir.rss() / 1e6, weir.fds(), len(weir.threads())))
            print(f"       after round {number + 1}: {figures[-1][0]:.1f} MB, "
                  f"{figures[-1][1]} descriptors, {figures[-1][2]} threads", flush=True)
        drill.check("memory of the last round against the third",
                    f"{figures[-1][0]:.1f} and {figures[2][0]:.1f} MB",
                    figures[-1][0] < figures[2][0] * 1.1 + 2)
        drill.check("threads", figures[-1][2], figures[-1][2] == figures[0][2])
        until(lambda: weir.fds() < 60, "descriptors of idle connections only")
        drill.check("descriptors", weir.fds(), weir.fds() < 60)
        status = weir.ask().status
        drill.check("it still serves", status, status == 200)

drill.done()
