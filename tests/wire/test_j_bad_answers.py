# SPDX-License-Identifier: Apache-2.0
"""Malformed answers of a backend: 502, or a visible cut when the client already has their head; the
connection to the backend is never used again."""
import pytest

from peers import http1
from peers.backend import Backend, raw, serve
from peers.weir import start


def ok(*fields, body=b""):
    return http1.head("HTTP/1.1 200 OK", *fields) + body


HEADS = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "html": b"<html><body>hello</body></html>\r\n\r\n",
    "http/0.9": b"hello",
    "tls alert": b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n",
    "lf only": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "lf in fields": b"HTTP/1.1 200 OK\r\nContent-Length: 0\nX: y\r\n\r\n",
    "cr in status line": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
    "hex status": b"HTTP/1.1 2a0 OK\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "space before": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 1": b"HTTP/1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "nul in reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "escape in reason": b"HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n",
    "no colon": ok("NoColon", "Content-Length: 0"),
    "empty name": ok(": x", "Content-Length: 0"),
    "space before colon": ok("Name : x", "Content-Length: 0"),
    "folded": ok("Name: a\r\n b", "Content-Length: 0"),
    "nul in value": ok("Name: a\0b", "Content-Length: 0"),
    "cr in value": ok("Name: a\rb", "Content-Length: 0"),
    "cl and te": ok("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "cl twice": ok("Content-Length: 3", "Content-Length: 4", body=b"abcd"),
    "cl twice the same": ok("Content-Length: 3", "Content-Length: 3", body=b"abc"),
    "cl list": ok("Content-Length: 3, 3", body=b"abc"),
    "cl negative": ok("Content-Length: -1"),
    "cl plus": ok("Content-Length: +3", body=b"abc"),
    "cl letters": ok("Content-Length: abc", body=b"abc"),
    "cl empty": ok("Content-Length:", body=b"abc"),
    "cl 2^64": ok("Content-Length: 18446744073709551616"),
    "te gzip": ok("Transfer-Encoding: gzip", body=b"abc"),
    "te gzip, chunked": ok("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "te chunked, identity": ok("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "te identity": ok("Transfer-Encoding: identity", body=b"abc"),
    "te twice": ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
                   body=b"0\r\n\r\n"),
    "te in http/1.0": http1.head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")
                      + b"0\r\n\r\n",
    "101 that nobody asked for": http1.head("HTTP/1.1 101 Switching Protocols",
                                            "Connection: upgrade", "Upgrade: websocket"),
    "nothing": b"",
    "a little": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an interim answer and nothing": http1.head("HTTP/1.1 103 Early Hints"),
    "too many fields": ok(*[f"Name-{i}: x" for i in range(5000)], "Content-Length: 0"),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"Name: value\r\n" * 20000,
    "a line without end": b"HTTP/1.1 200 OK\r\nName: " + b"x" * 300000,
}


@pytest.mark.parametrize("name", HEADS)
def test_head_is_502(name):
    once = {"retry": {"max_attempts": 1}}
    with Backend(raw(HEADS[name], "close")) as backend, start(backend, pool=once) as weir:
        with weir.client() as client:
            response = client.ask()
            assert response.status == 502, response
            assert response.get("proxy-status").startswith("weir; error=")
            # The client is not to blame: its connection goes on.
            assert client.ask("GET", "/again").status == 502
        assert len(backend.connections) == 2


@pytest.mark.parametrize("name", [name for name, data in HEADS.items() if 0 < len(data) < 200])
def test_head_byte_by_byte_is_502(name):
    def script(connection):
        connection.request()
        for i in range(len(HEADS[name])):
            connection.send(HEADS[name][i:i + 1])

    with Backend(script) as backend, start(backend) as weir:
        assert weir.ask().status == 502


BODIES = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "letters": b"zz\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "lf": b"5\nhello\r\n0\r\n\r\n",
    "2^64": b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    "lf behind data": b"5\r\nhello\n0\r\n\r\n",
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data too short": b"6\r\nhello\r\n0\r\n\r\n",
    "ext flood": b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer cl": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "trailer folded": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "trailer flood": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 50000 + b"\r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_chunks_look_cut(name):
    data = ok("Transfer-Encoding: chunked") + b"3\r\nabc\r\n" + BODIES[name]
    with Backend(raw(data, "wait")) as backend, start(backend) as weir:
        with weir.client() as client:
            client.send(http1.request())
            with pytest.raises((http1.Cut, ConnectionResetError)):
                response = client.response()
                raise AssertionError(f"it looked whole: {response} {response.body}")
        assert backend.connections[0].closed.wait(20)


def test_bytes_behind_an_answer_are_not_the_next_one():
    """Response smuggling: a second answer in the same packet."""
    data = ok("Content-Length: 5", body=b"first") + ok("Content-Length: 8", body=b"poisoned")

    def script(connection):
        if connection.request():
            connection.send(data)
            connection.reader.rest()

    with Backend(script) as backend, start(backend) as weir:
        for i in range(5):
            with weir.client() as client:
                assert client.ask().body == b"first"
                assert client.ask().body == b"first"
            assert len(backend.connections) == 2 * (i + 1)


@pytest.mark.parametrize("status, method", [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_a_body_where_none_may_be_is_not_the_next_answer(status, method):
    data = http1.head(f"HTTP/1.1 {status} X", "Content-Length: 100") \
        + ok("Content-Length: 8", body=b"poisoned")

    def answer(_):
        return data

    with Backend(serve(answer)) as backend, start(backend) as weir, weir.client() as client:
        for i in range(3):
            response = client.ask(method)
            assert response.status == status and response.body == b""
            assert len(backend.connections) == i + 1


@pytest.mark.parametrize("fields", [80, 100])
def test_many_fields_that_still_fit(fields):
    data = ok(*[f"Name-{i}: {'v' * 100}" for i in range(fields)], "Content-Length: 2", body=b"ok")
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.status == 200
        assert response.get(f"name-{fields - 1}") == "v" * 100


@pytest.mark.parametrize("size, status", [(16384, 200), (16385, 502), (40000, 502)])
def test_the_largest_head(size, status):
    rest = len(ok("Name: ", "Content-Length: 2"))
    data = ok("Name: " + "v" * (size - rest), "Content-Length: 2", body=b"ok")
    frontend = {"http": {"max_header_size": "16KiB"}}
    with Backend(serve(lambda _: data)) as backend, start(backend, frontend=frontend) as weir:
        response = weir.ask()
        assert response.status == status
        assert status == 200 or "response_head_too_large" in response.text
