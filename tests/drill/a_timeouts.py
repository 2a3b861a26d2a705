#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every time-out passes when it is configured to, and touches nobody else."""
import pathlib
import select
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import http1
from peers.backend import Backend, echo, full_listener, serve
from peers.drill import Drill, percentile, timed
from peers.weir import start

drill = Drill("time-outs")


def silent(connection):
    connection.request()
    connection.reader.rest()


def ends(client):
    """Waits for the end of the connection, however it comes."""
    try:
        client.rest()
    except ConnectionResetError:
        pass


with Backend(silent) as backend, start(backend, pool={"timeouts": {"response": "1s"}}) as weir:
    seconds, response = timed(weir.ask)
    drill.near(f"no answer: {response.status}", seconds, 1)
    drill.check("its status", response.status, response.status == 504)

with Backend(silent) as backend:
    frontend = {"routes": [{"match": {"path": "/q"}, "pool": "app",
                            "timeouts": {"response": "500ms"}}]}
    with start(backend, frontend=frontend) as weir:
        drill.near("no answer, time-out of the route", timed(lambda: weir.ask("GET", "/q"))[0], 0.5)

with Backend() as backend:
    with start(backend, frontend={"timeouts": {"client_header": "1s"}}) as weir:
        client = weir.client()
        client.send(b"GET / HTTP/1.1\r\n")
        seconds, response = timed(client.response)
        drill.near(f"half a head: {response.status}", seconds, 1)
        client = weir.client()
        drill.near("nothing at all", timed(lambda: ends(client))[0], 1)

        # A byte now and then does not help: the head has one deadline.
        client, began = weir.client(), time.monotonic()
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100:
            if select.select([client.sock], [], [], 0.1)[0]:
                break
            client.send(bytes([byte]))
        drill.near("a head of one byte in 0.1 s", time.monotonic() - began, 1)
        status = client.response().status
        drill.check("its status", status, status == 408)

with Backend() as backend:
    with start(backend, frontend={"timeouts": {"client_idle": "1s"}}) as weir:
        client = weir.client()
        client.ask()
        drill.near("an idle client connection", timed(lambda: ends(client))[0], 1)

with Backend() as backend:
    with start(backend, frontend={"timeouts": {"request_body_idle": "1s"}}) as weir:
        client = weir.client()
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 10"), b"123")
        seconds, response = timed(client.response)
        drill.near(f"a body that stops: {response.status}", seconds, 1)

        # One that goes on slowly may take as long as it likes.
        client = weir.client()
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 8"))
        for _ in range(8):
            time.sleep(0.4)
            client.send(b"x")
        status = client.response().status
        drill.check("a body of 3.2 s, a byte each 0.4 s", status, status == 200)


def stops(connection):
    connection.request()
    connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 10"), b"123")
    connection.reader.rest()


with Backend(stops) as backend, start(backend, pool={"timeouts": {"response_idle": "1s"}}) as weir:
    client = weir.client()
    client.send(http1.request())
    client.reader.response_head()
    drill.near("an answer that stops", timed(lambda: ends(client))[0], 1)


def slowly(connection):
    connection.request()
    connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 8"))
    for _ in range(8):
        time.sleep(0.4)
        connection.send(b"x")


with Backend(slowly) as backend, start(backend, pool={"timeouts": {"response_idle": "1s"}}) as weir:
    body = weir.ask().body
    drill.check("an answer of 3.2 s, a byte each 0.4 s", body, body == b"x" * 8)

for protocol in ("http", "tcp"):
    def tunnel(connection):
        if protocol == "http":
            connection.request()
            connection.send(http1.head("HTTP/1.1 101 Switching", "Connection: upgrade",
                                       "Upgrade: x"))
        connection.sock.recv(1)
        try:
            connection.reader.rest()
        except OSError:
            pass

    with Backend(tunnel) as backend:
        frontend = {"timeouts": {"tunnel_idle": "1s"}}
        with start(backend, protocol=protocol, frontend=frontend) as weir:
            client = weir.client()
            if protocol == "http":
                client.send(http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"))
                client.response()
            time.sleep(0.5)
            client.send(b"x")
            drill.near(f"a tunnel of {protocol} after its last byte",
                       timed(lambda: ends(client))[0], 1)

with Backend() as backend:
    with start(backend, pool={"timeouts": {"upstream_idle": "1s"}}) as weir:
        weir.ask()
        drill.near("an unused backend connection",
                   timed(lambda: backend.connections[0].closed.wait(20))[0], 1)

listener, address, fillers = full_listener()
with Backend() as backend, start(address, backend, pool={"timeouts": {"connect": "1s"}}) as weir:
    seconds, response = timed(weir.ask)
    drill.near(f"a backend that does not accept, then the next: {response.status}", seconds, 1)

# One backend hangs; requests to the other do not feel it.
with Backend(silent) as stuck, Backend(serve(echo)) as good:
    frontend = {"routes": [{"match": {"path": "/stuck"}, "pool": [stuck.address],
                            "timeouts": {"response": "2s"}}]}
    with start(good, frontend=frontend) as weir:
        waiting = [weir.client() for _ in range(50)]
        for client in waiting:
            client.send(http1.request("GET", "/stuck"))
        spans, began, statuses = [], time.monotonic(), []
        with weir.client() as client:
            while time.monotonic() - began < 1.5:
                spans.append(timed(lambda: client.ask("GET", "/good"))[0])
        threads = [threading.Thread(target=lambda c=client: statuses.append(c.response().status))
                   for client in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drill.near("fifty that hang", time.monotonic() - began, 2)
        drill.check("their statuses", set(statuses), statuses == [504] * 50)
        p99 = percentile(spans, 0.99)
        drill.check(f"p99 of {len(spans)} others meanwhile", f"{p99 * 1000:.1f} ms", p99 < 0.1)

drill.done()
