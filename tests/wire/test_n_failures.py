# SPDX-License-Identifier: Apache-2.0
"""Backends that refuse, vanish or close at the wrong moment; clients that go away."""
import threading

import pytest

from peers import http1
from peers.backend import Backend, echo, full_listener
from peers.net import HOST, free_port, until
from peers.weir import start


ONCE = {"retry": {"max_attempts": 1}}  # what is replayed all the same


def dead():
    """An address that refuses."""
    return f"{HOST}:{free_port()}"


def test_a_backend_that_refuses_is_passed_over():
    with Backend() as backend, start(dead(), backend, dead()) as weir:
        for i in range(12):
            assert weir.ask("GET", f"/{i}").status == 200
            assert weir.ask("POST", f"/{i}", body=b"abc").status == 200
        assert len(backend.heads) == 24
        assert all('"warn"' in line for line in weir.wait_log("connect failed"))


def test_a_body_goes_whole_to_the_next_backend():
    four = {"retry": {"max_attempts": 4}}
    with Backend() as backend, start(dead(), dead(), dead(), backend, pool=four) as weir:
        body = b"0123456789" * 30000
        for _ in range(4):
            assert weir.ask("POST", "/", body=body).status == 200
            assert weir.ask("PUT", "/", chunks=[body, b"x"]).status == 200
        bodies = [request.body for connection in backend.connections
                  for request in connection.requests]
        assert sorted(bodies) == sorted([body] * 4 + [body + b"x"] * 4)


def test_all_backends_refuse():
    with start(dead(), dead()) as weir, weir.client() as client:
        for _ in range(3):
            response = client.ask()
            assert response.status == 503
            assert int(response.get("retry-after")) >= 1
            assert "connection_refused" in response.text
            assert response.get("proxy-status") == \
                'weir; error=connection_refused; details="connection_refused"'


@pytest.mark.parametrize("refuses_last", [True, False])
def test_the_last_failure_is_the_one_that_is_told(refuses_last):
    """One backend refuses, the other never answers the connect; the order is round robin's."""
    listener, silent, fillers = full_listener()
    pool = {"timeouts": {"connect": "150ms"}, "retry": {"max_attempts": 2}}
    backends = [silent, dead()] if refuses_last else [dead(), silent]
    wanted = "connection_refused" if refuses_last else "connection_timeout"
    with start(*backends, pool=pool) as weir:
        response = weir.ask()
        assert response.status == 503
        assert wanted in response.text
        assert response.get("proxy-status") == f'weir; error={wanted}; details="{wanted}"'
    for sock in (listener, *fillers):
        sock.close()


def test_a_backend_that_comes_back_is_used():
    port = free_port()
    with start(f"{HOST}:{port}") as weir:
        assert weir.ask().status == 503
        with Backend(port=port):
            assert weir.ask().status == 200


def test_a_unix_socket_that_is_not_there(tmp_path):
    with Backend() as backend, start(f"unix:{tmp_path}/none", backend) as weir:
        for _ in range(4):
            assert weir.ask().status == 200


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_fresh_connection_that_ends_without_an_answer_is_502(reset):
    """It may have been executed: without retries not even a GET is sent twice."""
    def script(connection):
        connection.request()
        if reset:
            connection.reset()

    with Backend(script) as backend, start(backend, pool=ONCE) as weir, weir.client() as client:
        for i in range(3):
            response = client.ask()
            assert response.status == 502
            assert "connection_reset" in response.text
            assert len(backend.connections) == i + 1


def stale(end, whole=True):
    """Answers the first request of each connection; meets a later one by `end`, then by closing.
    The first connections' later requests are lost; those of others are served."""
    def script(connection):
        connection.request()
        connection.send(http1.response(body=b"%d" % connection.index))
        if whole:
            if not connection.request():
                return
        elif not connection.head():
            return
        if end == "reset":
            connection.reset()
        elif end == "part":
            connection.send(b"HTTP/1.1 2")
        elif end == "interim":
            connection.send(http1.head("HTTP/1.1 103 Early Hints"))
    return script


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_stale_connection_is_replaced_once(method, end):
    with Backend(stale(end)) as backend, start(backend) as weir, weir.client() as client:
        body = {"body": b"whole body"} if method == "PUT" else {}
        assert client.ask().body == b"0"
        response = client.ask(method, "/again", **body)
        assert response.status == 200
        assert len(backend.connections) == 2
        again = [head for head in backend.heads if head.target == "/again"]
        assert len(again) == 2 and [head.connection.index for head in again] == [0, 1]
        if method == "PUT":
            assert again[1].body == b"whole body"


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
def test_a_request_that_may_not_be_replayed_is_502(method, end):
    with Backend(stale(end)) as backend, start(backend) as weir, weir.client() as client:
        assert client.ask().body == b"0"
        assert client.ask(method, "/again", body=b"x").status == 502
        assert len(backend.connections) == 1
        assert [head.target for head in backend.heads] == ["/", "/again"]


@pytest.mark.parametrize("end", ["part", "interim"])
def test_nothing_is_replayed_once_an_answer_began(end):
    with Backend(stale(end)) as backend, start(backend) as weir, weir.client() as client:
        assert client.ask().body == b"0"
        assert client.ask("GET", "/again").status == 502
        assert len(backend.connections) == 1


def test_the_replay_is_not_replayed():
    def script(connection):
        connection.request()
        if connection.index == 0:
            connection.send(http1.response(body=b"first"))
            connection.request()

    with Backend(script) as backend, start(backend, pool=ONCE) as weir, weir.client() as client:
        assert client.ask().body == b"first"
        assert client.ask("GET", "/again").status == 502
        assert len(backend.connections) == 2


@pytest.mark.parametrize("size", [1000, 60000, 100000, 400000])
def test_a_body_is_replayed_whole_or_not_at_all(size):
    body = bytes(range(250)) * (size // 250)
    with Backend(stale("close", whole=False)) as backend, start(backend) as weir:
        with weir.client() as client:
            assert client.ask().body == b"0"
            response = client.ask("PUT", "/", body=body)
            assert response.status in (200, 502)
            if response.status == 200:
                assert backend.connections[1].requests[0].body == body
            if size <= 1000:
                assert response.status == 200


def test_a_client_that_resets_cancels_the_request():
    with Backend(lambda connection: (connection.request(), connection.reader.rest())) as backend:
        with start(backend) as weir:
            before = weir.fds()
            for i in range(5):
                client = weir.client()
                client.send(http1.request())
                until(lambda i=i: len(backend.heads) == i + 1, "the request")
                client.reset()
                assert backend.connections[i].closed.wait(20)
            until(lambda: weir.fds() == before, "all descriptors to come back")


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_goes_away_in_the_middle_of_an_answer(how):
    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 100000000"))
        try:
            for _ in range(1000):
                connection.send(b"x" * 100000)
        except OSError:
            gone.set()

    gone = threading.Event()
    with Backend(script) as backend, start(backend) as weir:
        client = weir.client()
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        client.reader.fill()
        if how == "reset":
            client.reset()
        else:
            client.close()
        assert gone.wait(30)


@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_client_that_goes_away_in_the_middle_of_its_upload(how):
    with Backend() as backend, start(backend) as weir:
        client = weir.client()
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 1000000"),
                    b"x" * 500000)
        until(lambda: backend.received > 100000, "part of the upload")
        if how == "reset":
            client.reset()
        else:
            client.end()
        assert backend.connections[0].closed.wait(20)
        assert not backend.connections[0].requests


def test_descriptors_come_back():
    """After all kinds of ends nothing is left open but what idles."""
    last_words = {"/none": b"", "/bad": b"nonsense\r\n\r\n",
                  "/cut": http1.head("HTTP/1.1 200 OK", "Content-Length: 10") + b"cut"}

    def script(connection):
        while message := connection.request():
            if message.target in last_words:
                connection.send(last_words[message.target])
                return
            connection.send(echo(message))

    pool = {"limits": {"idle_connections": "none"}}
    with Backend(script) as backend, start(backend, dead(), pool=pool) as weir:
        assert weir.ask().status == 200
        until(lambda: all(each.closed.is_set() for each in backend.connections), "quiet")
        before = weir.fds()
        for _ in range(10):
            for target in ("/", "/none", "/bad", "/cut"):
                client = weir.client()
                client.send(http1.request("GET", target))
                try:
                    client.response()
                except (AssertionError, ConnectionResetError):
                    pass
                client.close()
            weir.client().reset()
            weir.client().send(b"GET / HTTP/1.1\r\n").close()
            weir.client().send(http1.request()).close()
            weir.client().send(b"nonsense\r\n\r\n").close()
        # Pipes for splicing may be kept; nothing else.
        until(lambda: weir.fds() <= before + 4, f"{before} descriptors again")
