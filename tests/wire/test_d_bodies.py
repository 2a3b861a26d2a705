# SPDX-License-Identifier: Apache-2.0
"""Chunked bodies and trailers both ways."""
import random
import threading

import pytest

from peers import http1
from peers.backend import Backend, fixed, raw, serve
from peers.net import until
from peers.weir import start

SPLITS = [[b"a"], [b"hello ", b"world"], [b"x" * 70000, b"y", b"z" * 16384], [b"q"] * 500, []]


@pytest.fixture(scope="module")
def plain():
    with Backend() as backend, start(backend) as weir:
        weir.backend = backend
        yield weir


@pytest.mark.parametrize("chunks", SPLITS, ids=range(len(SPLITS)))
def test_chunked_request(plain, chunks):
    with plain.client() as client:
        assert client.ask("POST", "/", chunks=chunks).status == 200
        assert client.ask("GET", "/after").status == 200
    posted = [request for connection in plain.backend.connections
              for request in connection.requests if request.method == "POST"][-1]
    assert posted.framing == "chunked"
    assert posted.body == b"".join(chunks)


@pytest.mark.parametrize("chunks", SPLITS, ids=range(len(SPLITS)))
def test_chunked_answer(chunks):
    with Backend(fixed(200, chunks=chunks)) as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(2):
                response = client.ask()
                assert response.framing == "chunked"
                assert response.body == b"".join(chunks)
        assert len(backend.connections) == 1


def test_chunk_syntax_that_is_allowed(plain):
    body = (b"5;name\r\nhello\r\n" b"1 ; a = \"q\\\"uoted;\" ;b=c\r\n \r\n"
            b"000000000005\r\nworld\r\n" b"A\r\n0123456789\r\n" b"0;last=1\r\n\r\n")
    with plain.client() as client:
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), body)
        assert client.response().status == 200
    posted = plain.backend.connections[-1].requests[-1]
    assert posted.body == b"hello world0123456789"
    # Chunk lines are made anew, never passed on.
    assert b";" not in bytes(plain.backend.connections[-1].raw).split(b"\r\n\r\n", 1)[1]


def test_chunked_request_byte_by_byte(plain):
    with plain.client() as client:
        client.dribble(http1.request("POST", "/", chunks=[b"abc", b"0123456789abcdef"],
                                     trailers=["X-End: yes"]))
        assert client.response().status == 200
    posted = plain.backend.connections[-1].requests[-1]
    assert posted.body == b"abc0123456789abcdef"
    assert posted.trailers == [("X-End", "yes")]


def test_chunked_answer_byte_by_byte():
    data = http1.response(200, chunks=[b"abc", b"0123456789abcdef"], trailers=["X-End: yes"])

    def script(connection):
        while connection.request():
            for i in range(len(data)):
                connection.send(data[i:i + 1])

    with Backend(script) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.body == b"abc0123456789abcdef"
        assert response.trailers == [("X-End", "yes")]


def test_trailers_of_a_request(plain):
    trailers = ["X-Checksum: 123", "x-other: a b"]
    with plain.client() as client:
        client.ask("POST", "/", "Trailer: X-Checksum", chunks=[b"data"], trailers=trailers)
    posted = plain.backend.connections[-1].requests[-1]
    assert posted.trailers == [("X-Checksum", "123"), ("x-other", "a b")]
    assert not posted.has("x-checksum")  # never merged into the head


def test_trailers_of_an_answer():
    trailers = ["Grpc-Status: 0", "X-Checksum: 123"]
    with Backend(fixed(200, chunks=[b"data"], trailers=trailers)) as backend:
        with start(backend) as weir, weir.client() as client:
            for _ in range(2):
                response = client.ask()
                assert response.trailers == [("Grpc-Status", "0"), ("X-Checksum", "123")]
                assert response.body == b"data"


def test_trailers_are_dropped_for_http10():
    with Backend(fixed(200, chunks=[b"data"], trailers=["X-A: b"])) as backend:
        with start(backend) as weir:
            response = weir.ask(minor=0)
            assert response.body == b"data" and response.framing == "close"


FORBIDDEN = ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Connection: close",
             "Authorization: x", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4", "Expect: 100-continue"]


@pytest.mark.parametrize("line", FORBIDDEN)
def test_trailers_that_frame_or_authorize_are_refused(line):
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("POST", "/", chunks=[b"data"], trailers=[line]))
        response = client.response()
        assert response.status == 400
        assert client.is_closed()
        for connection in backend.connections:
            connection.closed.wait(20)
            assert not connection.requests  # it never became a whole request


def test_every_split_of_a_chunked_request():
    data = http1.request("POST", "/", chunks=[b"0123456789", b"abc"], trailers=["X-A: b"])
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        for cut in range(1, len(data)):
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.response().status == 200
        bodies = [request.body for connection in backend.connections
                  for request in connection.requests]
        assert bodies == [b"0123456789abc"] * (len(data) - 1)


@pytest.mark.parametrize("seed", range(4))
def test_random_bodies_in_random_pieces(seed):
    """Bodies of random sizes and framings, sent in random pieces, many on one connection."""
    rng = random.Random(seed)

    def piece(size):
        return rng.randbytes(size)

    plan = {}

    def make(number):
        size = rng.choice([0, 1, 100, 5000, 16384, 40000, 100000, 300000])
        chunks = []
        while size:
            part = rng.randint(1, size)
            chunks.append(piece(part))
            size -= part
        plan[number] = (chunks, rng.random() < 0.5)

    for number in range(30):
        make(number)

    def answer(message):
        chunks, as_chunks = plan[int(message.target[1:])]
        assert message.body == b"".join(chunks)
        back = [chunk[::-1] for chunk in chunks]
        if as_chunks:
            return http1.response(chunks=back)
        return http1.response(body=b"".join(back))

    with Backend(serve(answer)) as backend, start(backend) as weir, weir.client() as client:
        for number, (chunks, as_chunks) in plan.items():
            body = b"".join(chunks)
            data = (http1.request("PUT", f"/{number}", chunks=chunks) if as_chunks
                    else http1.request("PUT", f"/{number}", body=body))
            while data:
                size = rng.choice([1, 7, 1000, 20000, 400000])
                client.send(data[:size])
                data = data[size:]
            assert client.response().body == b"".join(chunk[::-1] for chunk in chunks)
        assert len(backend.connections) == 1
        assert backend.connections[0].error is None


def test_both_directions_at_the_same_time():
    """The answer begins while the request still runs, and both go on."""
    def script(connection):
        head = connection.head()
        connection.send(http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
        left = int(head.get("content-length"))
        while left:
            data = connection.sock.recv(min(left, 65536)) if not connection.reader.buffer \
                else connection.reader.exactly(min(left, len(connection.reader.buffer)))
            if not data:
                return
            left -= len(data)
            connection.send(http1.chunk(data))
        connection.send(b"0\r\n\r\n")

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        body = random.Random(1).randbytes(1000)
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 20000"))
        response = client.reader.response_head()
        assert response.status == 200
        for _ in range(20):
            client.send(body)
            got = b""
            while len(got) < len(body):
                size = int(client.reader.line(), 16)
                got += client.reader.exactly(size)
                client.reader.exactly(2)
            assert got == body
        assert client.reader.line() == b"0"


def test_an_upload_reaches_the_backend_before_it_is_complete():
    got = threading.Event()

    def script(connection):
        connection.head()
        assert connection.reader.exactly(5) == b"first"
        got.set()
        assert connection.reader.exactly(6) == b"second"
        connection.send(http1.response(body=b"ok"))

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 11"), b"first")
        assert got.wait(20)
        client.send(b"second")
        assert client.response().body == b"ok"


def test_an_answer_reaches_the_client_before_it_is_complete():
    go = threading.Event()

    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 11"), b"first")
        go.wait(20)
        connection.send(b"second")

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        assert client.reader.exactly(5) == b"first"
        go.set()
        assert client.reader.exactly(6) == b"second"


CUTS = {
    "length": http1.head("HTTP/1.1 200 OK", "Content-Length: 100") + b"x" * 60,
    "length, long": http1.head("HTTP/1.1 200 OK", "Content-Length: 1000000") + b"x" * 600000,
    "chunk": http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"40\r\n" + b"x" * 30,
    "between chunks": http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n",
    "in the last chunk": http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
                         + b"3\r\nabc\r\n0\r\n",
    "in a trailer": http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
                    + b"3\r\nabc\r\n0\r\nX-A: b\r\n",
    "bad chunk": http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n",
}


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("what", CUTS)
def test_an_answer_that_is_cut_looks_cut(what, then):
    """Never a well-formed shorter one."""
    with Backend(raw(CUTS[what], then)) as backend, start(backend) as weir:
        with weir.client() as client:
            client.send(http1.request())
            try:
                response = client.response()
                # Allowed only when the break came before the head was passed on.
                assert response.status == 502, f"it looked whole: {response}"
                assert then == "reset"
            except (http1.Cut, ConnectionResetError):
                pass
        with weir.client() as client:  # the next one is not harmed
            client.send(http1.request())
            backend.wait_connections(2)


@pytest.mark.parametrize("minor", [0, 1])
def test_a_body_until_close_that_is_reset_looks_cut(minor):
    data = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000

    def script(connection):
        connection.request()
        connection.send(data)
        seen.wait(20)
        connection.reset()

    seen = threading.Event()
    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request(minor=minor))
        assert client.reader.response_head().status == 200
        while client.reader.total < 5000:
            client.reader.fill()
        seen.set()
        with pytest.raises((http1.Cut, ConnectionResetError)):
            if minor == 0:
                client.rest()
                raise AssertionError("an HTTP/1.0 body that was cut ended in order")
            message = http1.Message()
            client.reader.chunked(message)


def test_a_request_that_is_cut_never_becomes_whole():
    with Backend() as backend, start(backend) as weir:
        for data in (http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 10") + b"12345",
                     http1.head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
                     + b"5\r\n12345\r\n"):
            with weir.client() as client:
                count = len(backend.connections)
                client.send(data)
                backend.wait_connections(count + 1)
                until(lambda: b"12345" in backend.connections[-1].raw, "the body so far")
                client.end()
                try:
                    assert client.rest() == b""
                except ConnectionResetError:
                    pass
            assert backend.connections[-1].closed.wait(20)
            assert not backend.connections[-1].requests
            assert isinstance(backend.connections[-1].error, (http1.Cut, ConnectionResetError))
