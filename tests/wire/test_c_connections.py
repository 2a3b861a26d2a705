# SPDX-License-Identifier: Apache-2.0
"""Keep-alive on both sides, reuse, pipelining."""
import threading

import pytest

from peers import http1
from peers.backend import Backend, echo, fixed, held, serve
from peers.net import until
from peers.weir import start


def test_one_client_connection_one_backend_connection():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        for i in range(50):
            assert client.ask("GET", f"/{i}").status == 200
        assert len(backend.connections) == 1
        assert [head.target for head in backend.heads] == [f"/{i}" for i in range(50)]


def test_clients_one_after_the_other_share_a_backend_connection():
    with Backend() as backend, start(backend) as weir:
        for _ in range(20):
            with weir.client() as client:
                assert client.ask().status == 200
        assert len(backend.connections) == 1


def test_first_post_of_a_client_takes_a_fresh_connection():
    """It may not be replayed, and its client had no warning that connections go stale."""
    with Backend() as backend, start(backend) as weir:
        assert weir.ask().status == 200
        with weir.client() as client:
            assert client.ask("POST", "/", body=b"x").status == 200
            assert len(backend.connections) == 2
            assert client.ask("POST", "/", body=b"x").status == 200
            assert len(backend.connections) == 2


def test_clients_at_the_same_time_have_connections_of_their_own():
    gate = threading.Barrier(10)

    def answer(message):
        gate.wait(20)
        return echo(message)

    with Backend(serve(answer)) as backend, start(backend) as weir:
        clients = [weir.client() for _ in range(10)]
        for client in clients:
            client.send(http1.request())
        for client in clients:
            assert client.response().status == 200
        assert len(backend.connections) == 10
        for client in clients:
            client.send(http1.request())
        for client in clients:
            assert client.response().status == 200
        assert len(backend.connections) == 10


def test_idle_connections_are_bounded():
    gate = threading.Barrier(8)

    def answer(message):
        gate.wait(20)
        return echo(message)

    pool = {"limits": {"idle_connections": 3}}
    with Backend(serve(answer)) as backend, start(backend, pool=pool) as weir:
        clients = [weir.client() for _ in range(8)]
        for client in clients:
            client.send(http1.request())
        for client in clients:
            assert client.response().status == 200
        until(lambda: sum(each.closed.is_set() for each in backend.connections) == 5,
              "five of eight idle connections closed")


def test_idle_connections_none():
    pool = {"limits": {"idle_connections": "none"}}
    with Backend() as backend, start(backend, pool=pool) as weir, weir.client() as client:
        for _ in range(3):
            assert client.ask().status == 200
        assert len(backend.connections) == 3


def test_backend_says_close():
    with Backend(fixed(200, "Connection: close", body=b"x")) as backend, start(backend) as weir:
        with weir.client() as client:
            for i in range(3):
                response = client.ask()
                assert response.body == b"x"
                assert response.get("connection") is None
                assert len(backend.connections) == i + 1


def test_client_says_close():
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            response = client.ask("GET", "/", "Connection: close")
            assert response.get("connection").lower() == "close"
            assert client.is_closed()
        with weir.client() as client:
            client.ask()
        assert len(backend.connections) == 1


@pytest.mark.parametrize("count", [2, 5, 60])
def test_pipelining_in_order(count):
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        client.send(b"".join(http1.request("GET", f"/{i}") for i in range(count)))
        for i in range(count):
            assert f'"/{i}"' in client.response().text
        assert [head.target for head in backend.heads] == [f"/{i}" for i in range(count)]


def test_pipelining_mixed():
    """Bodies, HEAD, chunks, an error of our own in between; and a last one that closes."""
    def answer(message):
        if message.target == "/204":
            return http1.response(204)
        if message.target == "/chunks":
            return http1.response(chunks=[b"a" * 1000, b"b"])
        return echo(message)

    with Backend(serve(answer)) as backend:
        frontend = {"routes": [{"match": {"path": "/moved"}, "redirect": {"to": "/new"}}]}
        with start(backend, frontend=frontend) as weir, weir.client() as client:
            client.send(
                http1.request("POST", "/1", body=b"x" * 5000),
                http1.request("HEAD", "/2"),
                http1.request("PUT", "/3", chunks=[b"abc", b"d" * 70000]),
                http1.request("GET", "/204"),
                http1.request("GET", "/moved"),
                http1.request("GET", "/chunks"),
                http1.request("GET", "/last", "Connection: close"),
                http1.request("GET", "/never"))
            assert '"length": 5000' in client.response().text
            assert client.response("HEAD").status == 200
            assert '"length": 70003' in client.response().text
            assert client.response().status == 204
            assert client.response().status == 308
            assert client.response().body == b"a" * 1000 + b"b"
            assert '"/last"' in client.response().text
            assert client.is_closed()
        assert "/never" not in [head.target for head in backend.heads]


def test_pipelined_requests_wait_for_their_turn():
    """The second request is not forwarded before the first is answered."""
    go = threading.Event()
    seen = []

    def answer(message):
        seen.append(message.target)
        if message.target == "/1":
            go.wait(20)
        return echo(message)

    with Backend(serve(answer)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/1"), http1.request("GET", "/2"))
        until(lambda: seen == ["/1"], "the first request")
        with weir.client() as other:
            assert other.ask("GET", "/other").status == 200
        assert seen == ["/1", "/other"]
        go.set()
        assert '"/1"' in client.response().text
        assert '"/2"' in client.response().text


def test_a_request_split_over_segments_behind_another():
    first, second = http1.request("GET", "/1"), http1.request("GET", "/2")
    with Backend() as backend, start(backend) as weir:
        for cut in range(1, len(second)):
            with weir.client() as client:
                client.send(first + second[:cut])
                assert client.response().status == 200
                client.send(second[cut:])
                assert '"/2"' in client.response().text
        assert len(backend.heads) == 2 * (len(second) - 1)


def test_client_that_ends_its_half_still_gets_its_answer():
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("POST", "/", body=b"abc"))
        client.end()
        backend.wait_connections(1)
        until(lambda: backend.heads, "the request")
        go.set()
        assert '"length": 3' in client.response().text
        assert client.is_closed()


def test_client_that_ends_without_a_request_gets_an_end():
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            client.end()
            assert client.is_closed()
        with weir.client() as client:
            client.send(b"GET / HT")
            client.end()
            assert client.is_closed() or True
        assert backend.received == 0


def test_backend_speaks_on_an_idle_connection():
    """Bytes that nobody asked for must not become the next answer."""
    def script(connection):
        while True:
            message = connection.request()
            if not message:
                return
            if message.target == "/first":
                connection.send(http1.response(body=b"good"),
                                http1.response(408, "Connection: close", body=b"unasked"))
            else:
                connection.send(http1.response(body=b"good too"))

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        assert client.ask("GET", "/first").body == b"good"
        until(lambda: backend.connections[0].closed.is_set(), "weir to leave that connection")
        assert client.ask("GET", "/second").body == b"good too"
        assert len(backend.connections) == 2


def test_backend_that_closes_idle_connections_costs_nothing():
    def script(connection):
        if connection.request():
            connection.send(http1.response(body=b"once"))

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        for i in range(10):
            assert client.ask("GET").body == b"once"
            assert len(backend.connections) == i + 1
