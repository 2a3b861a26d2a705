# SPDX-License-Identifier: Apache-2.0
"""Single messages of every kind, one after the other."""
import hashlib

import pytest

from peers import http1
from peers.backend import Backend, fixed, raw, serve
from peers.weir import start

DATA = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def echo():
    with Backend() as backend, start(backend) as weir:
        weir.backend = backend
        yield weir


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "get", "M!x"])
def test_methods_without_body(echo, method):
    response = echo.ask(method, "/path?a=b")
    assert response.status == 200
    assert echo.backend.last().method == method
    assert echo.backend.last().target == "/path?a=b"
    assert echo.backend.last().minor == 1
    if method == "HEAD":
        assert int(response.get("content-length")) > 0 and response.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "GET"])
@pytest.mark.parametrize("size", [0, 1, 76800])
def test_methods_with_body(echo, method, size):
    with echo.client() as client:
        client.ask(method, "/", body=DATA[:size])
    request = echo.backend.connections[-1].requests[-1]
    assert request.method == method
    assert request.get("content-length") == str(size)
    assert request.body == DATA[:size]


def test_fields_pass_in_order_with_their_spelling(echo):
    fields = ["X-One: 1", "x-two: 2 2", "X-ONE: three", "Empty:", "Weird!#$%&'*+-.^_`|~: ok",
              "Bytes: \xe4\xff tab\there"]
    echo.ask("GET", "/", *fields)
    got = [(name, value) for name, value in echo.backend.last().fields
           if not name.lower().startswith("x-") or name.lower() in ("x-one", "x-two")]
    assert got == [("Host", "weir.test"), ("X-One", "1"), ("x-two", "2 2"), ("X-ONE", "three"),
                   ("Empty", ""), ("Weird!#$%&'*+-.^_`|~", "ok"), ("Bytes", "\xe4\xff tab\there")]


def test_white_space_around_values_is_dropped(echo):
    echo.ask("GET", "/", "A: \t b c\t ", "B:d")
    assert echo.backend.last().get("a") == "b c"
    assert echo.backend.last().get("b") == "d"


def test_a_head_byte_by_byte(echo):
    with echo.client() as client:
        client.dribble(http1.request("POST", "/slow", "A: b", body=b"hello"))
        assert client.response().status == 200
    assert echo.backend.connections[-1].requests[-1].body == b"hello"


def test_two_empty_lines_before_a_request(echo):
    with echo.client() as client:
        client.send(b"\r\n\r\n", http1.request())
        assert client.response().status == 200


def test_cookies_and_many_fields(echo):
    fields = [f"Field-{i}: value-{i}" for i in range(80)]
    response = echo.ask("GET", "/", *fields, "Cookie: a=1", "Cookie: b=2")
    assert response.status == 200
    assert echo.backend.last().all("cookie") == ["a=1", "b=2"]
    assert echo.backend.last().get("field-79") == "value-79"


STATUSES = [200, 201, 206, 299, 300, 301, 400, 404, 418, 451, 499, 500, 503, 599, 600, 999]


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_pass(status):
    with Backend(fixed(status, "X-A: b", body=b"text")) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.status == status
        assert response.reason == "Fine"
        assert response.get("x-a") == "b"
        assert response.body == b"text"


def test_answer_fields_pass_in_order():
    fields = ["Server: me", "Set-Cookie: a=1", "X-Weird: \xe9", "Set-Cookie: b=2", "Date: today"]
    with Backend(fixed(200, *fields, body=b"x")) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.fields == [
            ("Server", "me"), ("Set-Cookie", "a=1"), ("X-Weird", "\xe9"), ("Set-Cookie", "b=2"),
            ("Date", "today"), ("Content-Length", "1")]


@pytest.mark.parametrize("reason", ["", "Two  Words", "\xe9t\xe9"])
def test_reasons_pass(reason):
    with Backend(fixed(200, reason=reason, body=b"")) as backend, start(backend) as weir:
        assert weir.ask().reason == reason


def test_status_line_without_reason_and_space():
    with Backend(raw(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")) as backend:
        with start(backend) as weir:
            assert weir.ask().body == b"ok"


@pytest.mark.parametrize("fields", [(), ("Content-Length: 0",)])
def test_204(fields):
    with Backend(fixed(204, *fields)) as backend, start(backend) as weir:
        with weir.client() as client:
            response = client.ask()
            assert response.status == 204
            assert not response.has("content-length")  # RFC 9110 8.6
            assert not response.has("transfer-encoding")
            assert client.ask().status == 204  # and the connection lives on
        assert len(backend.connections) == 1


@pytest.mark.parametrize("fields", [(), ("Content-Length: 1234",), ("Transfer-Encoding: chunked",)])
def test_304_has_no_body_whatever_its_fields_say(fields):
    with Backend(fixed(304, "ETag: x", *fields)) as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(2):
                response = client.ask()
                assert response.status == 304
                assert response.get("etag") == "x"
        assert len(backend.connections) == 1


@pytest.mark.parametrize("fields", [(), ("Content-Length: 1234",), ("Transfer-Encoding: chunked",)])
def test_head_has_no_body_whatever_its_fields_say(fields):
    with Backend(fixed(200, *fields)) as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(2):
                response = client.ask("HEAD")
                assert response.status == 200
                if "1234" in str(fields):
                    assert response.get("content-length") == "1234"
        assert len(backend.connections) == 1


def test_body_until_close():
    data = DATA * 5
    with Backend(raw(b"HTTP/1.1 200 OK\r\n\r\n" + data)) as backend, start(backend) as weir:
        with weir.client() as client:
            response = client.ask()
            assert response.body == data
            assert response.framing == "chunked"  # so that a cut would show
            assert client.ask().body == data
        assert len(backend.connections) == 2


def test_empty_body_until_close():
    with Backend(raw(b"HTTP/1.1 200 OK\r\n\r\n")) as backend, start(backend) as weir:
        assert weir.ask().body == b""


# HTTP/1.0

def test_http10_client_without_host():
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            response = client.ask("GET", "/old", host=None, minor=0)
            assert response.status == 200
            assert client.is_closed()
        assert backend.last().minor == 1
        assert backend.last().get("host") == backend.address


def test_http10_client_that_keeps_alive():
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(3):
                response = client.ask("GET", "/", "Connection: keep-alive", minor=0)
                assert response.get("connection", "").lower() == "keep-alive"
            assert client.ask("GET", "/", minor=0).status == 200
            assert client.is_closed()


def test_http10_client_gets_no_chunks():
    with Backend(fixed(200, chunks=[b"one", b"two"])) as backend, start(backend) as weir:
        with weir.client() as client:
            response = client.ask("GET", "/", "Connection: keep-alive", minor=0)
            assert response.framing == "close"
            assert response.body == b"onetwo"


def test_http10_client_gets_no_interim_answer():
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http1.response(body=b"ok")
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        response = weir.ask(minor=0)
        assert response.interim == [] and response.body == b"ok"


def test_http10_client_posts():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("POST", "/", body=b"abc", minor=0).status == 200
        assert backend.connections[0].requests[0].body == b"abc"


@pytest.mark.parametrize("keep", [False, True])
def test_http10_backend(keep):
    fields = ("Connection: keep-alive",) if keep else ()
    data = http1.response(200, *fields, body=b"old", minor=0)
    count = 0

    def answer(_):
        nonlocal count
        count += 1
        return data

    with Backend(serve(answer)) as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(3):
                response = client.ask()
                assert response.body == b"old"
                assert response.minor == 1
        assert count == 3
        assert len(backend.connections) == (1 if keep else 3)


def test_http10_backend_without_length():
    with Backend(raw(b"HTTP/1.0 200 OK\r\n\r\nold body")) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.body == b"old body" and response.framing == "chunked"


def test_bodies_of_many_sizes():
    """Around the sizes of blocks, windows and the point where splice begins."""
    def answer(message):
        size = int(message.target[1:])
        return http1.response(200, body=(DATA * (size // len(DATA) + 1))[:size])

    sizes = [1, 1023, 1024, 1025, 4095, 4096, 16383, 16384, 16385, 65535, 65536, 65537,
             262143, 262144, 262145, 1048576, 3000001]
    with Backend(serve(answer)) as backend, start(backend) as weir, weir.client() as client:
        for size in sizes:
            data = (DATA * (size // len(DATA) + 1))[:size]
            response = client.ask("PUT", f"/{size}", body=data)
            assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
            assert backend.connections[0].requests[-1].body == data
        assert len(backend.connections) == 1
