# SPDX-License-Identifier: Apache-2.0
"""What backends may and may not send, frame by frame: each case names its section of RFC 9113 and
what the client has to see: the answer, a 502, or one that is visibly cut. A client of HTTP/1 and one of
HTTP/2 see the same."""
import struct

import pytest

from peers import h2, http1
from peers.backend import Backend
from peers.h2 import raw
from peers.weir import start

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8

OK = [(":status", "200")]


def u32(number):
    return struct.pack(">I", number)


def setting(key, value):
    return struct.pack(">HI", key, value)


class Gets:
    """The answer with this body."""

    def __init__(self, body=b"abc", status=200, fields=()):
        self.body, self.status, self.fields = body, status, fields

    def check(self, status, fields, body, cut):
        assert not cut
        assert (status, body) == (self.status, self.body)
        for name, value in self.fields:
            assert dict(fields).get(name) == value, fields


class Bad:
    """502."""

    def check(self, status, fields, body, cut):
        assert (status, cut) == (502, False), (status, body)


class Cut:
    """An answer that has begun and looks cut."""

    def check(self, status, fields, body, cut):
        assert cut and status in (None, 200), (status, body)


class BadOrCut:
    def check(self, status, fields, body, cut):
        assert cut or status == 502, (status, body)


def answer(*parts, fields=None, end=False):
    """A head and what follows it."""
    return lambda p, s: [p.headers(s, fields or OK, end=end), *[
        part(p, s) if callable(part) else part for part in parts]]


def data(text=b"abc", end=True):
    return lambda p, s: p.data(s, text, end)


def before(*parts):
    """These, and then a good answer."""
    return lambda p, s: [*[part(p, s) if callable(part) else part for part in parts],
                         p.headers(s, OK), p.data(s, b"abc", True)]


def on_stream(kind, flags, payload=b""):
    return lambda p, s: raw(kind, flags, s, payload)


def head(*fields):
    return lambda p, s: [p.headers(s, list(fields)), p.data(s, b"abc", True)]


CASES = {
    "8.1 answer": (answer(data()), Gets()),
    "8.1 answer without body": (answer(end=True), Gets(b"")),
    "8.1 body that ends by an empty frame": (answer(data(b"abc", False), data(b"")), Gets()),
    "8.1 trailers": (lambda p, s: [p.headers(s, OK), p.data(s, b"abc"),
                                   p.headers(s, [("x-t", "u")], end=True)], Gets()),
    "8.1 trailers alone": (lambda p, s: [p.headers(s, OK), p.headers(s, [("x-t", "u")], end=True)],
                           Gets(b"")),
    "8.1 interim head": (lambda p, s: [p.headers(s, [(":status", "103"), ("link", "a")]),
                                       p.headers(s, OK), p.data(s, b"abc", True)], Gets()),
    "8.1 too many interim heads": (
        lambda p, s: [*[p.headers(s, [(":status", "103")])] * 9, p.headers(s, OK, end=True)], Bad()),
    "8.1 interim head that ends": (lambda p, s: [p.headers(s, [(":status", "103")], end=True)],
                                   Bad()),
    "8.1 body before its head": (lambda p, s: [p.data(s, b"abc", True)], Bad()),
    "8.1 trailers that do not end": (
        lambda p, s: [p.headers(s, OK), p.data(s, b"abc"), p.headers(s, [("x", "y")])], Cut()),
    "8.1 pseudo-header in trailers": (
        lambda p, s: [p.headers(s, OK), p.data(s, b"abc"), p.headers(s, [(":status", "200")], True)],
        Cut()),
    "8.1 data behind trailers": (
        lambda p, s: [p.headers(s, OK), p.data(s, b"abc"), p.headers(s, [("x-t", "u")], end=True),
                      p.data(s, b"more")], Gets()),
    "8.1.1 right length": (answer(data(), fields=OK + [("content-length", "3")]), Gets()),
    "8.1.1 length 0 and an empty frame": (
        answer(data(b""), fields=OK + [("content-length", "0")]), Gets(b"")),
    "8.1.1 less than its length": (answer(data(), fields=OK + [("content-length", "4")]), Cut()),
    "8.1.1 more than its length": (answer(data(), fields=OK + [("content-length", "2")]), Cut()),
    "8.1.1 length and no body": (answer(end=True, fields=OK + [("content-length", "4")]), Bad()),
    "8.1.1 two lengths": (answer(data(), fields=OK + [("content-length", "3"),
                                                     ("content-length", "4")]), Bad()),
    "8.1.1 length that is none": (answer(data(), fields=OK + [("content-length", "x")]), Bad()),
    "9110 6.4.1 204 with a body": (answer(data(), fields=[(":status", "204")]), Gets(b"", 204)),
    "8.2 name in upper case": (head(*OK, ("X-Upper", "a")), Bad()),
    "8.2.1 CRLF in a value": (head(*OK, ("x", "a\r\nset-cookie: evil")), Bad()),
    "8.2.1 NUL in a value": (head(*OK, ("x", "a\0")), Bad()),
    "8.2.1 line end in a name": (head(*OK, ("x\r\ny", "a")), Bad()),
    "8.2.1 space before a value": (head(*OK, ("x", " a")), Bad()),
    "8.2.2 Connection": (head(*OK, ("connection", "close")), Bad()),
    "8.2.2 Transfer-Encoding": (head(*OK, ("transfer-encoding", "chunked")), Bad()),
    "8.2.2 Keep-Alive": (head(*OK, ("keep-alive", "5")), Bad()),
    "8.2.2 Upgrade": (head(*OK, ("upgrade", "h2c")), Bad()),
    "8.3.2 no status": (head(("x", "y")), Bad()),
    "8.3.2 two statuses": (head(*OK, *OK), Bad()),
    "8.3.2 status of four digits": (head((":status", "2000")), Bad()),
    "8.3.2 status of letters": (head((":status", "2xx")), Bad()),
    "8.3.2 status 101": (head((":status", "101")), Bad()),
    "8.3.2 status behind a field": (head(("x", "y"), *OK), Bad()),
    "8.3.2 pseudo-header of a request": (head(*OK, (":path", "/")), Bad()),
    "8.3 unknown pseudo-header": (head(*OK, (":x", "y")), Bad()),
    "8.4 push that was turned off": (
        lambda p, s: [raw(PUSH_PROMISE, END_HEADERS, s, u32(2) + p.pack(
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])),
            p.headers(s, OK, end=True)], BadOrCut()),
    "5.1.1 stream of its own": (lambda p, s: [p.headers(2, OK, end=True),
                                              p.headers(s, OK, end=True)], BadOrCut()),
    "5.1 data on idle": (before(raw(DATA, 0, 99, b"x")), BadOrCut()),
    "4.2 frame too large": (answer(on_stream(DATA, END_STREAM, b"x" * 16385)), Cut()),
    "4.2 largest frame": (answer(on_stream(DATA, END_STREAM, b"x" * 16384)), Gets(b"x" * 16384)),
    "4.3 wrong compression": (lambda p, s: [raw(HEADERS, 4, s, b"\xff\xff\x7f")], Bad()),
    "4.3 head in pieces": (
        lambda p, s: [raw(HEADERS, 0, s), raw(CONTINUATION, 4, s, p.pack(OK)),
                      p.data(s, b"abc", True)], Gets()),
    "4.3 other frame inside a head": (
        lambda p, s: [raw(HEADERS, 0, s, p.pack(OK)), raw(PING, 0, 0, b"12345678")], Bad()),
    "4.1 unknown frame": (before(raw(0x55, 0xff, 0, b"x")), Gets()),
    "6.1 padding": (answer(on_stream(DATA, END_STREAM | PADDED, b"\x02abc\0\0")), Gets()),
    "6.1 too much padding": (answer(on_stream(DATA, END_STREAM | PADDED, b"\x09abc")), Cut()),
    "6.3 PRIORITY": (before(on_stream(PRIORITY, 0, u32(0) + b"\1")), Gets()),
    "6.4 reset before the head": (lambda p, s: [raw(RST_STREAM, 0, s, u32(2))], Bad()),
    "6.4 reset in the body": (answer(data(b"abc", False), on_stream(RST_STREAM, 0, u32(2))), Cut()),
    "6.4 reset without error in the body": (
        answer(data(b"abc", False), on_stream(RST_STREAM, 0, u32(0))), Cut()),
    "6.4 reset behind the answer": (answer(data(), on_stream(RST_STREAM, 0, u32(0))), Gets()),
    "6.5 wrong settings": (before(raw(SETTINGS, 0, 0, b"12345")), BadOrCut()),
    "6.5.2 server that enables push": (before(raw(SETTINGS, 0, 0, setting(2, 1))), BadOrCut()),
    "6.5.2 frames too small": (before(raw(SETTINGS, 0, 0, setting(5, 1))), BadOrCut()),
    "6.7 wrong ping": (before(raw(PING, 0, 0, b"1")), BadOrCut()),
    "6.8 goaway, and the answer": (
        lambda p, s: [raw(GOAWAY, 0, 0, u32(s) + u32(0)), p.headers(s, OK), p.data(s, b"abc", True)],
        Gets()),
    "6.8 goaway in the body": (
        lambda p, s: [p.headers(s, OK), raw(GOAWAY, 0, 0, u32(s) + u32(0)), p.data(s, b"abc", True)],
        Gets()),
    "6.8 goaway that falls and rises": (
        lambda p, s: [raw(GOAWAY, 0, 0, u32(s) + u32(0)), raw(GOAWAY, 0, 0, u32(s + 2) + u32(0))],
        Bad()),
    "6.9 window update of zero": (before(raw(WINDOW_UPDATE, 0, 0, u32(0))), BadOrCut()),
    "6.9.1 window too large": (before(raw(WINDOW_UPDATE, 0, 0, u32(2 ** 31 - 1)) * 2), BadOrCut()),
    "6.10 continuation behind a head": (answer(on_stream(CONTINUATION, 4)), BadOrCut()),
    "10.5.1 head too large": (
        lambda p, s: [p.headers(s, OK + [(f"x-{i}", "v" * 500) for i in range(2)] +
                                [("x-long", "y" * 9000)]), p.data(s, b"abc", True)], Bad()),
    "9110 6.5.1 length in trailers": (
        lambda p, s: [p.headers(s, OK), p.data(s, b"abc"),
                      p.headers(s, [("content-length", "7")], end=True)], Cut()),
}


def h1_sees(weir):
    with weir.client() as client:
        client.send(http1.request("POST", "/", body=b"x"))
        try:
            response = client.response()
        except http1.Cut as cut:
            return None, [], cut.got, True
        return response.status, [(n.lower(), v) for n, v in response.fields], response.body, False


def h2_sees(weir):
    with h2.Client(weir.address) as client:
        got = client.get("POST", "/", body=b"x")
        if got.fields is None:
            return None, [], b"", True
        return got.status, got.fields, got.body, not got.ended


@pytest.fixture(scope="module", name="world")
def _world():
    script = {}

    def handler(peer, stream):
        if dict(peer.stream(stream).fields)[":path"] == "/good":
            h2.hello(peer, stream)
        else:
            peer.send(*script["now"](peer, stream))
    with Backend(h2.serve(handler)) as backend, \
            start("h2c://" + backend.address,
                  frontend={"http": {"max_header_size": "8KiB"}}) as weir:
        yield script, weir


@pytest.mark.parametrize("sees", [h1_sees, h2_sees])
@pytest.mark.parametrize("name", CASES)
def test_frames(world, name, sees):
    script, weir = world
    script["now"], want = CASES[name]
    want.check(*sees(weir))
    assert weir.ask("GET", "/good").body == b"hello"


def test_there_are_enough():
    assert len(CASES) >= 60
