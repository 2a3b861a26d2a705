#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draining takes the time it may and no more."""
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import http1
from peers.backend import Backend, echo, serve
from peers.drill import Drill, timed
from peers.net import until
from peers.weir import start

drill = Drill("stopping")


def silent(connection):
    connection.request()
    connection.reader.rest()


def slow(message):
    time.sleep(1)
    return echo(message)


with Backend() as backend, start(backend) as weir:
    weir.ask()
    weir.signal(signal.SIGTERM)
    seconds, code = timed(weir.wait)
    drill.check("with nobody there it ends in", f"{seconds:.3f} s", seconds < 0.25 and code == 0)

with Backend() as backend, start(backend) as weir:
    client = weir.client()
    client.ask()
    weir.signal(signal.SIGTERM)
    seconds, _ = timed(client.is_closed)
    drill.near("an idle connection is closed after its second of grace", seconds, 1)
    drill.check("then it ends", weir.wait(), weir.wait() == 0)

with Backend(serve(slow)) as backend, start(backend) as weir:
    client = weir.client()
    client.send(http1.request())
    until(lambda: backend.heads, "the request")
    weir.signal(signal.SIGTERM)
    response = client.response()
    drill.check("a request under way is answered", f"{response.status} "
                f"{response.get('connection')}", response.status == 200)
    client.close()
    seconds, _ = timed(weir.wait)
    drill.check("and it ends after", f"{seconds:.3f} s", seconds < 0.25)

for configured in (1, 2):
    with Backend(silent) as backend:
        runtime = {"shutdown_timeout": f"{configured}s"}
        with start(backend, runtime=runtime, workers=2) as weir:
            client = weir.client()
            client.send(http1.request())
            until(lambda: backend.heads, "the request")
            weir.signal(signal.SIGTERM)
            drill.near("shutdown_timeout cuts what is left", timed(weir.wait)[0], configured)

with Backend(silent) as backend, start(backend) as weir:
    client = weir.client()
    client.send(http1.request())
    until(lambda: backend.heads, "the request")
    weir.signal(signal.SIGTERM)
    time.sleep(0.3)
    weir.signal(signal.SIGINT)
    seconds, code = timed(weir.wait)
    drill.check("a second signal stops it in", f"{seconds:.3f} s", seconds < 0.25 and code == 0)

# Under load: those that are connected get every answer; after the drain nobody is served.
with Backend() as backend, start(backend, workers=2) as weir:
    bad, answers, over = [], [], threading.Event()

    def ask():
        while not over.is_set():
            try:
                client = weir.client()
            except OSError:
                return  # nobody listens any more
            try:
                for i in range(20):
                    response = client.ask()
                    answers.append(response.status)
                    if (response.get("connection") or "").lower() == "close":
                        break
            except (OSError, AssertionError) as error:
                if i == 0:
                    return  # taken by the kernel as the listener closed
                bad.append(error)
            client.close()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    count = len(answers)
    weir.signal(signal.SIGTERM)
    seconds, code = timed(weir.wait)
    over.set()
    for thread in threads:
        thread.join()
    drill.check("a drain under load ends after", f"{seconds:.3f} s", seconds < 1.5 and code == 0)
    drill.check(f"failed of {len(answers)} answers ({len(answers) - count} after the signal)",
                len(bad), not bad)
    drill.check("their statuses", set(answers), set(answers) == {200})

drill.done()
