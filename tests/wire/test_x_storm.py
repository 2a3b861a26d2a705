# SPDX-License-Identifier: Apache-2.0
"""Everything at once: retries, hedges, queues, bounds, an adaptive limit, backends that fail in many
ways, clients that go away. Afterwards nothing has leaked: all places can be had again."""
import collections
import contextlib
import random
import threading

import pytest

from peers import http1
from peers.backend import Counting, Gate, echo
from peers.client import Client
from peers.net import until
from peers.weir import start

SOCKETS, BACKENDS = 3, 3


class Storm:
    """A script that fails in many ways until it is calm; then a gate."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.calm = False
        self.gate = Gate()

    def __call__(self, connection):
        if self.calm:
            self.gate(connection)
            return
        while message := connection.head():
            what = 1 if self.calm else self.chance.random()
            if what < 0.03:
                connection.reset()
                return
            connection.reader.body(message, False)
            connection.requests.append(message)
            if what < 0.06:
                return
            if what < 0.09:
                connection.reset()
                return
            if what < 0.15:
                connection.send(http1.response(503, body=b"no"))
                continue
            if what < 0.18:
                connection.send(http1.response(503, "Connection: close", body=b""))
                return
            if what < 0.21:
                connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 100") + b"cut")
                return
            if what < 0.24:
                connection.send(b"nonsense\r\n\r\n")
                return
            if what < 0.27:
                connection.closed.wait(0.5)  # longer than try_timeout
            elif what < 0.40:
                connection.closed.wait(0.03)  # worth a copy
            connection.send(echo(message))


def ask_storm(weir, chance, name, outcomes):
    """One client's requests; gives up its connection now and then."""
    client = None
    for n in range(40):
        target = f"/{name}-{n}"
        method = chance.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE"])
        body = {"body": b"x" * chance.choice([1, 100, 70000])} if method in ("POST", "PUT") else {}
        try:
            client = client or Client(weir.address)
            client.send(http1.request(method, target, **body))
            if chance.random() < 0.08:
                client.reset()
                client = None
                outcomes["left"] += 1
                continue
            response = client.response(method)
            outcomes[response.status] += 1
            assert response.status in (200, 502, 503, 504), response
            if response.status == 200 and method != "HEAD":
                assert f'"{target}"' in response.text
            if (response.get("connection") or "").lower() == "close":
                client.close()
                client = None
        except (OSError, http1.Cut):
            outcomes["cut"] += 1
            client.close()
            client = None
    if client:
        client.close()


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("algorithm", ["round_robin", "least_connections"])
def test_nothing_leaks(algorithm, workers):
    storm = Storm(workers)
    pool = {"algorithm": algorithm,
            "retry": {"max_attempts": 4, "backoff": {"base": "2ms"}, "try_timeout": "300ms",
                      "budget_min": 100000},
            "hedge": {"after": "90%", "samples_min": 20, "delay_min": "5ms"},
            "limits": {"requests": 7, "adaptive": {"enabled": True, "min": 2, "max": 50,
                                                   "start": 20}},
            "timeouts": {"queue": "2s", "request": "10s"}}
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Counting(storm, name=str(i))) for i in range(BACKENDS)]
        weir = stack.enter_context(start(
            *[{"address": each.address, "max_connections": SOCKETS} for each in backends],
            pool=pool, workers=workers))
        outcomes, errors = collections.Counter(), []

        def run(i):
            try:
                ask_storm(weir, random.Random(i), str(i), outcomes)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors[0]
        assert outcomes[200] > 300, outcomes
        assert max(backend.open_most for backend in backends) <= SOCKETS
        posts = collections.Counter(
            head.target for backend in backends for head in backend.heads if head.method == "POST")
        assert max(posts.values()) == 1
        # Now calm: as many requests as the pool may serve are served at the same time, and no more.
        storm.calm = True
        clients = [weir.client() for _ in range(12)]
        for i, client in enumerate(clients):
            client.send(http1.request("POST", f"/calm-{i}"))
        until(lambda: len(storm.gate.waiting) >= 7, "all places")
        assert len(storm.gate.waiting) == 7
        storm.gate.open()
        for client in clients:
            assert client.response().status == 200
