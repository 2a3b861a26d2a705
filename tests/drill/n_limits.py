#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""max_connections of a backend: it never sees more sockets, those who wait get their turn in order,
nobody is answered twice, and no POST is sent again once its body has begun."""
import pathlib
import random
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.backend import Backend
from peers.drill import NO_BREAKER, NO_OUTLIERS, Drill, named, percentile
from peers.http1 import head, request, response
from peers.net import until
from peers.weir import start

drill = Drill("limits")
ESTABLISHED = 1  # of TCP_INFO
WELL = {"health_check": "none", "circuit_breaker": NO_BREAKER, "outliers": NO_OUTLIERS}


class Counting(Backend):
    """Counts its sockets as they come: those whose peer has not ended them. A socket that weir has
    closed before it opened another one is never among them, however late its end is read here."""

    def __init__(self, script):
        self.most = 0
        super().__init__(script)

    def count(self):
        open_now = 0
        for connection in list(self.connections):
            try:
                info = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            except OSError:
                continue
            open_now += info[0] == ESTABLISHED
        self.most = max(self.most, open_now)

    def note(self, connection, message):
        self.count()
        super().note(connection, message)

    def run(self, connection):
        self.count()
        super().run(connection)

    def tags(self):
        return [message.target.partition("=")[2] for message in list(self.heads)]


def answer_tag(connection):
    """Answers each request with its own tag, after five milliseconds."""
    while message := connection.request():
        time.sleep(0.005)
        connection.send(response(200, body=message.target.partition("=")[2].encode()))


class Crowd:
    """Clients on threads: each sends its requests one after the other on one connection."""

    def __init__(self, weir, clients, each, make):
        self.weir, self.each, self.make = weir, each, make
        self.results = {}  # tag: (seconds, status, body), or the error
        self.threads = [threading.Thread(target=self.run, args=(index,))
                        for index in range(clients)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def run(self, index):
        client = None
        for number in range(self.each):
            tag, began = f"{index}.{number}", time.monotonic()
            try:
                client = client or self.weir.client()
                client.send(*self.make(tag))
                got = client.response()
                self.results[tag] = time.monotonic() - began, got.status, got.text
                if (got.get("connection") or "").lower() == "close":
                    client = None
            except (OSError, AssertionError) as error:
                self.results[tag] = time.monotonic() - began, error, ""
                client = None
        if client:  # nothing came that nobody asked for
            client.end()
            if client.rest():
                self.results[f"{index}.behind"] = 0, "bytes behind the last answer", ""

    def statuses(self):
        found = [result[1] if isinstance(result[1], int) else repr(result[1])
                 for result in self.results.values()]
        return {status: found.count(status) for status in found}


# ---- No more sockets than that, from four workers together ---------------------------------------

for cap in (1, 3):
    with Counting(answer_tag) as backend:
        with start(*named(backend, max_connections=cap), pool=WELL, workers=4) as weir:
            crowd = Crowd(weir, 40, 8, lambda tag: [request("GET", f"/?tag={tag}")])
        asked = len(crowd.results)
        drill.check(f"cap {cap}, 4 workers, 40 clients, {asked} GETs", crowd.statuses(),
                    crowd.statuses() == {200: 320})
        drill.check(f"cap {cap}: most sockets at a time", f"{backend.most} "
                    f"({len(backend.connections)} in all)", backend.most == cap)
        tags = backend.tags()
        drill.check(f"cap {cap}: each request was sent once and has its own answer",
                    f"{len(tags)} sent, {len(set(tags))} different",
                    len(tags) == len(set(tags)) == asked and
                    all(body == tag for tag, (_, _, body) in crowd.results.items()))
        spans = [result[0] for result in crowd.results.values()]
        drill.row(f"max_connections {cap}, 4 workers, 40 clients",
                  f"{asked} GETs, all answered once; most sockets {backend.most}; p50 "
                  f"{percentile(spans, .5) * 1000:.0f} ms, p99 {percentile(spans, .99) * 1000:.0f} "
                  "ms at 5 ms each")

# ---- In the order of their coming ----------------------------------------------------------------

WAITING = 60
gate = threading.Event()


def gated(connection):
    while message := connection.request():
        if message.target == "/?tag=first":
            gate.wait(20)
        connection.send(response(200, body=b""))


with Counting(gated) as backend:
    with start(*named(backend, max_connections=1), pool=WELL, workers=1) as weir:
        first = weir.client().send(request("GET", "/?tag=first"))
        until(lambda: backend.heads, "the one that takes the only place")
        clients = [weir.client() for _ in range(WAITING)]
        # Not in the order in which they connected.
        order = random.Random(3).sample(range(WAITING), WAITING)
        for index in order:
            clients[index].send(request("GET", f"/?tag={index}"))
            time.sleep(0.005)
        gate.set()
        statuses = {client.response().status for client in (first, *clients)}
    drill.check(f"{WAITING} that waited, 1 worker, cap 1", statuses, statuses == {200})
    came = backend.tags()[1:]
    late = sum(tag != str(index) for tag, index in zip(came, order))
    drill.check("they were served in the order of their coming", f"{late} out of place",
                came == [str(index) for index in order])
    drill.check("most sockets", backend.most, backend.most == 1)
    drill.row(f"{WAITING} wait for one place, 1 worker", f"{late} served out of turn")

# ---- A full queue, and one that takes too long ---------------------------------------------------

gate.clear()
with Counting(gated) as backend:
    pool = {**WELL, "limits": {"queue": 5}, "timeouts": {"queue": "500ms"}}
    with start(*named(backend, max_connections=1), pool=pool, workers=1) as weir:
        first = weir.client().send(request("GET", "/?tag=first"))
        until(lambda: backend.heads, "the one that takes the only place")
        clients, began = [weir.client() for _ in range(10)], time.monotonic()
        for client in clients:
            client.send(request("GET", "/?tag=more"))
            time.sleep(0.005)
        times = []
        for client in reversed(clients):  # those beyond the queue are answered first
            got = client.response()
            times.append((time.monotonic() - began, got.status, got.has("retry-after")))
        refused, late = times[:5], times[5:]
        drill.check("five beyond a queue of five", f"{refused[-1][0] * 1000:.1f} ms, "
                    f"{[status for _, status, _ in refused]}",
                    all(status == 503 and retry for _, status, retry in refused) and
                    refused[-1][0] < 0.1)
        drill.near("the five in it, after their time", late[-1][0], 0.5)
        drill.check("their answers", [status for _, status, _ in late],
                    all(status == 503 and retry for _, status, retry in late))
        gate.set()
        status = first.response().status
        drill.check("who had the place", status, status == 200)
    drill.check("nobody else reached the backend", len(backend.heads), len(backend.heads) == 1)

# ---- No POST twice -------------------------------------------------------------------------------


def moody(connection):
    """Answers, resets with the head read, or resets in the middle of the body, as the tag says."""
    while message := connection.head():
        mood = int(message.target.rpartition(".")[2]) % 3
        if mood == 0:
            connection.reader.body(message, False)
            connection.send(response(200, body=message.target.partition("=")[2].encode()))
            continue
        if mood == 2:
            connection.reader.exactly(4)
        connection.reset()
        return


for size, what in ((10, "10 bytes"), (200000, "200 kB")):
    def make(tag):
        data = b"x" * size
        return [head(f"POST /?tag={tag} HTTP/1.1", "Host: a", f"Content-Length: {size}"), data]

    backends = [Counting(moody) for _ in range(3)]
    pool = {**WELL, "retry": {"max_attempts": 3, "budget": "none", "backoff": {"base": "0s"}}}
    with start(*named(*backends, max_connections=3), pool=pool, workers=4) as weir:
        crowd = Crowd(weir, 20, 15, make)
    tags = [tag for backend in backends for tag in backend.tags()]
    twice = len(tags) - len(set(tags))
    drill.check(f"POSTs of {what}, two of three reset: sent twice", f"{twice} of {len(tags)}",
                twice == 0)
    good = [tag for tag, (_, status, body) in crowd.results.items() if status == 200
            and body == tag]
    drill.check(f"POSTs of {what}: answered by whoever read them whole",
                f"{len(good)} of {len(crowd.results)}, {crowd.statuses()}",
                sorted(good) == sorted(tag for tag in crowd.results if int(tag.split(".")[1]) % 3
                                       == 0))
    drill.check(f"POSTs of {what}: most sockets", [backend.most for backend in backends],
                max(backend.most for backend in backends) <= 3)
    others = set(crowd.statuses()) - {200}
    drill.check(f"POSTs of {what}: the others' answers", others, others == {502})
    drill.row(f"POSTs of {what}, two of three broken off", f"{len(tags)} reached a backend, "
              f"{twice} of them twice; {len(good)} answered 200, the others {others}")
    for backend in backends:
        backend.stop()

drill.done()
