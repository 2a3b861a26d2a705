# SPDX-License-Identifier: Apache-2.0
"""What happens when a deadline passes. When it passes is a matter for the drills."""
import threading

import pytest

from peers import h2, http1
from peers.backend import Backend, full_listener, serve
from peers.weir import start

SHORT = "150ms"


def silent(connection):
    """Takes a request and never answers."""
    connection.request()
    connection.reader.rest()


def test_half_a_head_is_408():
    frontend = {"timeouts": {"client_header": SHORT}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        with weir.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
            response = client.response()
            assert response.status == 408
            assert "client_timeout_header" in response.text or "time" in response.text
            assert response.get("connection").lower() == "close"
            client.end()
            assert client.is_closed()
        with weir.client() as client:  # also the second head of a connection
            assert client.ask().status == 200
            client.send(b"GET / HT")
            assert client.response().status == 408
        assert len(backend.heads) == 1


@pytest.mark.parametrize("requests", [0, 1])
def test_half_a_head_of_http2_ends_the_connection(requests):
    """The first or a later one; an idle connection may stay for an hour."""
    frontend = {"timeouts": {"client_header": SHORT, "client_idle": "1h"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir, \
            h2.Client(weir.address) as client:
        client.until(lambda: client.acks)  # nothing of ours is to follow
        for _ in range(requests):
            assert client.get().status == 200
        _, frames = client.ask_frames()
        client.send(frames[0].serialize()[:-1])
        client.finish()
        assert client.goaway.error_code == 0
        assert len(backend.heads) == requests


def test_a_connection_that_says_nothing_is_closed_without_a_word():
    frontend = {"timeouts": {"client_header": SHORT}}
    with Backend() as backend, start(backend, frontend=frontend) as weir, weir.client() as client:
        assert client.is_closed()


def test_an_idle_connection_is_closed_without_a_word():
    frontend = {"timeouts": {"client_idle": SHORT}}
    with Backend() as backend, start(backend, frontend=frontend) as weir, weir.client() as client:
        assert client.ask().status == 200
        assert client.is_closed()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_stops_is_408(coding):
    frontend = {"timeouts": {"request_body_idle": SHORT}}
    fields = {"length": "Content-Length: 10", "chunked": "Transfer-Encoding: chunked"}
    with Backend() as backend, start(backend, frontend=frontend) as weir, weir.client() as client:
        client.send(http1.head("POST / HTTP/1.1", "Host: a", fields[coding]), b"3\r\n")
        response = client.response()
        assert response.status == 408
        assert "client_body_timeout" in response.text
        client.end()
        assert client.is_closed()
        assert backend.connections[0].closed.wait(20)
        assert not backend.connections[0].requests


def test_no_answer_is_504():
    pool = {"timeouts": {"response": SHORT}}
    with Backend(silent) as backend, start(backend, pool=pool) as weir, weir.client() as client:
        for _ in range(2):
            response = client.ask()
            assert response.status == 504
            assert "response_timeout" in response.text
            assert response.get("proxy-status") == \
                'weir; error=http_response_timeout; details="response_timeout"'
        # Both requests were given up towards the backend too.
        assert len(backend.connections) == 2
        for connection in backend.connections:
            assert connection.closed.wait(20)


def test_a_route_has_a_timeout_of_its_own():
    frontend = {"routes": [{"match": {"path": "/quick"}, "pool": "app",
                            "timeouts": {"response": SHORT}}]}
    with Backend(silent) as backend, start(backend, frontend=frontend) as weir:
        assert weir.ask("GET", "/quick").status == 504


def test_half_an_answers_head_is_504():
    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nConte")
        connection.reader.rest()

    pool = {"timeouts": {"response": SHORT}}
    with Backend(script) as backend, start(backend, pool=pool) as weir:
        assert weir.ask().status == 504


@pytest.mark.parametrize("coding", ["length", "chunked", "close"])
def test_an_answer_that_stops_looks_cut(coding):
    fields = {"length": ["Content-Length: 100"], "chunked": ["Transfer-Encoding: chunked"],
              "close": []}

    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", *fields[coding]), b"5\r\nhello\r\n")
        connection.reader.rest()

    pool = {"timeouts": {"response_idle": SHORT}}
    with Backend(script) as backend, start(backend, pool=pool) as weir, weir.client() as client:
        client.send(http1.request())
        with pytest.raises((http1.Cut, ConnectionResetError)):
            response = client.response()
            raise AssertionError(f"it looked whole: {response}")
        assert backend.connections[0].closed.wait(20)


def test_an_unused_backend_connection_is_closed():
    pool = {"timeouts": {"upstream_idle": SHORT}}
    with Backend() as backend, start(backend, pool=pool) as weir, weir.client() as client:
        assert client.ask().status == 200
        assert backend.connections[0].closed.wait(20)
        assert client.ask().status == 200
        assert len(backend.connections) == 2


def test_a_backend_that_does_not_accept_is_passed_over():
    listener, address, fillers = full_listener()
    pool = {"timeouts": {"connect": SHORT}}
    with Backend() as backend, start(address, backend, pool=pool) as weir:
        for _ in range(4):
            assert weir.ask().status == 200
        assert len(backend.heads) == 4
    for sock in (listener, *fillers):
        sock.close()


def test_no_backend_accepts():
    listener, address, fillers = full_listener()
    pool = {"timeouts": {"connect": SHORT}}
    with start(address, pool=pool) as weir:
        response = weir.ask()
        assert response.status == 503
        assert response.has("retry-after")
    for sock in (listener, *fillers):
        sock.close()


def test_a_tunnel_on_which_nothing_moves_is_closed():
    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Connection: upgrade",
                                   "Upgrade: x"), b"hi")
        try:
            connection.reader.rest()
        except ConnectionResetError:
            pass

    frontend = {"timeouts": {"tunnel_idle": SHORT}}
    with Backend(script) as backend, start(backend, frontend=frontend) as weir:
        with weir.client() as client:
            client.send(http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"))
            assert client.response().status == 101
            assert client.reader.exactly(2) == b"hi"
            try:
                assert client.is_closed()
            except ConnectionResetError:
                pass
        assert backend.connections[0].closed.wait(20)


def test_a_tcp_connection_on_which_nothing_moves_is_closed():
    def script(connection):
        try:
            connection.reader.rest()
        except ConnectionResetError:
            pass

    frontend = {"timeouts": {"tunnel_idle": SHORT}}
    with Backend(script) as backend, start(backend, protocol="tcp", frontend=frontend) as weir:
        with weir.client() as client:
            try:
                assert client.is_closed()
            except ConnectionResetError:
                pass
        assert backend.connections[0].closed.wait(20)


def test_a_client_that_stops_reading_is_cut():
    """What it did not take is not kept for ever; the backend is let go."""
    def script(connection):
        connection.request()
        try:
            connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 200000000"))
            for _ in range(2000):
                connection.send(b"x" * 100000)
        except OSError:
            gone.set()

    gone = threading.Event()
    pool = {"timeouts": {"response_idle": SHORT}}
    with Backend(script) as backend, start(backend, pool=pool) as weir, weir.client() as client:
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        assert gone.wait(30)
        with pytest.raises((http1.Cut, ConnectionResetError)):
            client.reader.exactly(200000000)


def test_deadlines_of_one_do_not_touch_the_others():
    slow = threading.Event()

    def answer(message):
        if message.target == "/slow":
            slow.wait(20)
        return http1.response(body=b"ok")

    pool = {"timeouts": {"response": SHORT}}
    with Backend(serve(answer)) as backend, start(backend, pool=pool) as weir:
        with weir.client() as stuck, weir.client() as client:
            stuck.send(http1.request("GET", "/slow"))
            for _ in range(50):
                assert client.ask().body == b"ok"
            assert stuck.response().status == 504
            assert client.ask().body == b"ok"
        slow.set()
