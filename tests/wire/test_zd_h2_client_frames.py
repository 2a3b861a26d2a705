# SPDX-License-Identifier: Apache-2.0
"""What clients may and may not send, frame by frame: each case names its section of RFC 9113 (or of
the RFC that is written there) and what has to follow. In every case a backend of HTTP/1 sees nothing
of what was refused, and weir goes on."""
import struct

import pytest

from peers import h2, http1
from peers.backend import Backend
from peers.h2 import raw
from peers.weir import start

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY_FLAG = 4, 8, 32

HEAD = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "weir.test")]
POST = [(":method", "POST"), *HEAD[1:]]


# ---- What has to follow -------------------------------------------------------------------------

class Ends:
    """GOAWAY with one of these codes, and the end of the connection."""

    def __init__(self, *codes):
        self.codes = codes

    def check(self, client):
        client.finish()
        assert client.goaway is not None, "no GOAWAY"
        assert client.goaway.error_code in self.codes, client.goaway


class Resets:
    """RST_STREAM of stream 1 with one of these codes, or an answer of 400 (RFC 9113 8.1.1 allows it);
    the connection goes on."""

    def __init__(self, *codes, may_end=False, stream=1):
        self.codes, self.may_end, self.stream = codes, may_end, stream

    def check(self, client):
        answer = client.stream(self.stream)
        try:
            client.until(lambda: answer.reset is not None or answer.ended)
        except h2.Closed:
            assert self.may_end and client.goaway.error_code in self.codes, client.goaway
            return
        if answer.reset is None:
            assert answer.status in (400, 405, 414, 431), answer.fields
        else:
            assert answer.reset in self.codes, answer.reset
        client.next = 101
        assert client.get().status == 200


class Refused:
    """An answer with this status; the connection goes on."""

    def __init__(self, *statuses):
        self.statuses = statuses

    def check(self, client):
        answer = client.answer(1)
        assert answer.status in self.statuses, answer.fields
        client.next = 101
        assert client.get().status == 200


class Serves:
    """An answer of 200 on stream 1, whose request the backend saw as `want` says, and on another."""

    def __init__(self, want=None):
        self.want = want or {}

    def check(self, client):
        answer = client.answer(1)
        assert answer.reset is None and answer.status == 200, (answer.reset, answer.fields)
        seen = {}
        for line in answer.all("x-seen"):
            name, value = line.split("=", 1)
            assert name not in seen, f"{name} came twice"
            seen[name] = value
        for name, value in self.want.items():
            assert seen.get(name) == value, (name, seen)
        client.next = 101
        assert client.get().status == 200


class Pong:
    """The answer to PING comes: the connection lives."""

    def check(self, client):
        client.send(raw(PING, 0, 0, b"are you?"))
        client.until(lambda: b"are you?" in client.pongs)
        client.next = 101
        assert client.get().status == 200


class AsHttp1:
    """What does not begin as HTTP/2 is a request of HTTP/1, and a bad one."""

    def check(self, client):
        data = b""
        while piece := client.sock.recv(4096):
            data += piece
        assert data.startswith(b"HTTP/1.1 505 "), data


# libnghttp2 knows no more of a stream that is closed, and drops what comes for one (Pong), where
# RFC 9113 5.1 and 5.1.1 would have the connection end.

PROTOCOL = Ends(h2.PROTOCOL_ERROR)
SIZE = Ends(h2.FRAME_SIZE_ERROR)
FLOW = Ends(h2.FLOW_CONTROL_ERROR)
COMPRESSION = Ends(h2.COMPRESSION_ERROR)
MALFORMED = Resets(h2.PROTOCOL_ERROR)


# ---- The cases ----------------------------------------------------------------------------------

def u32(number):
    return struct.pack(">I", number)


def setting(key, value):
    return struct.pack(">HI", key, value)


def get(fields=None, end=True, stream=1):
    """The frames of one request, as a function of the client (whose encoder has a state)."""
    return lambda c: [c.headers(stream, fields or HEAD, end=end)]


def frames(*parts):
    return lambda c: parts


def opened(*parts):
    """Behind the head of a POST on stream 1 that is still open."""
    return lambda c: [c.headers(1, POST), *parts]


def ended(*parts):
    """Behind a whole GET on stream 1."""
    return lambda c: [c.headers(1, HEAD, end=True), *parts]


def plus(*fields):
    return get(HEAD + list(fields))


def without(name):
    return get([field for field in HEAD if field[0] != name])


def block(c, fields=None):
    return c.pack(fields or HEAD)


def with_trailers(*fields):
    return lambda c: [c.headers(1, POST), c.data(1, b"abc"), c.headers(1, list(fields), end=True)]


CASES = {
    # 3.4 preface
    "3.4 wrong preface": ("bare", frames(b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n"), AsHttp1()),
    "3.4 no settings behind the preface": ("bare", frames(h2.PREFACE, raw(PING, 0, 0, b"12345678")),
                                           PROTOCOL),
    "3.4 settings with values": ("bare", frames(h2.PREFACE, raw(SETTINGS, 0, 0, setting(3, 10) +
                                                                setting(4, 1000))), Pong()),
    # 4.1 frame format
    "4.1 unknown type": (None, frames(raw(0x16, 0, 0, b"12345678")), Pong()),
    "4.1 unknown type on an open stream": (None, opened(raw(0x99, 0xff, 1, b"x"),
                                                        raw(DATA, END_STREAM, 1)), Serves()),
    "4.1 undefined flags": (None, frames(raw(PING, 0x16, 0, b"12345678")), Pong()),
    "4.1 reserved bit": (None, frames(raw(PING, 0, 1 << 31, b"12345678")), Pong()),
    # 4.2 frame size
    "4.2 data of the largest size": (None, opened(raw(DATA, END_STREAM, 1, b"x" * 16384)), Serves()),
    "4.2 data too large": (None, opened(raw(DATA, END_STREAM, 1, b"x" * 16385)), SIZE),
    "4.2 headers too large": (None, frames(raw(HEADERS, END_STREAM | END_HEADERS, 1, b"x" * 16385)),
                              SIZE),
    "4.2 settings too large": (None, frames(raw(SETTINGS, 0, 0, setting(9, 1) * 2731)), SIZE),
    # 4.3 header compression
    "4.3 index out of range": (None, frames(raw(HEADERS, 5, 1, b"\xff\xff\x7f")), COMPRESSION),
    "4.3 index 0": (None, frames(raw(HEADERS, 5, 1, b"\x80")), COMPRESSION),
    "4.3 cut literal": (None, frames(raw(HEADERS, 5, 1, b"\x00\x05ab")), COMPRESSION),
    "4.3 huffman with EOS": (None, frames(raw(HEADERS, 5, 1, b"\x00\x84\xff\xff\xff\xff\x01a")),
                             COMPRESSION),
    "4.3 table larger than allowed": (None, frames(raw(HEADERS, 5, 1, b"\x3f\xe2\x1f\x82")),
                                      COMPRESSION),
    "4.3 table size at the end of a block": (
        None, lambda c: [raw(HEADERS, 5, 1, block(c) + b"\x20")], COMPRESSION),
    "4.3 other frame inside a block": (
        None, lambda c: [raw(HEADERS, END_STREAM, 1, block(c)), raw(PING, 0, 0, b"12345678")],
        PROTOCOL),
    "4.3 other stream inside a block": (
        None, lambda c: [raw(HEADERS, END_STREAM, 1, block(c)),
                         raw(HEADERS, 5, 3, block(c))], PROTOCOL),
    "4.3 block in pieces": (
        None, lambda c: [raw(HEADERS, END_STREAM, 1), *[
            raw(CONTINUATION, 4 if i == 4 else 0, 1, piece)
            for i, piece in enumerate(pieces(block(c), 5))]], Serves()),
    # 5.1 stream states
    "5.1 data on idle": (None, frames(raw(DATA, END_STREAM, 1, b"x")), PROTOCOL),
    "5.1 reset on idle": (None, frames(raw(RST_STREAM, 0, 1, u32(8))), PROTOCOL),
    "5.1 window update on idle": (None, frames(raw(WINDOW_UPDATE, 0, 1, u32(8))), PROTOCOL),
    "5.1 continuation on idle": (None, frames(raw(CONTINUATION, 4, 1)), PROTOCOL),
    "5.1 priority on idle": (None, frames(raw(PRIORITY, 0, 1, u32(0) + b"\x10")), Pong()),
    "5.1 data behind the end": (None, ended(raw(DATA, END_STREAM, 1, b"x")),
                                Ends(h2.STREAM_CLOSED)),
    "5.1 headers behind the end": (
        None, lambda c: [c.headers(1, HEAD, end=True), c.headers(1, HEAD, end=True)],
        Ends(h2.STREAM_CLOSED, h2.PROTOCOL_ERROR)),
    "5.1 data behind a reset": (
        None, opened(raw(RST_STREAM, 0, 1, u32(8)), raw(DATA, END_STREAM, 1, b"x")),
        Pong()),
    "5.1 headers behind a reset": (
        None, lambda c: [c.headers(1, POST), raw(RST_STREAM, 0, 1, u32(8)),
                         c.headers(1, HEAD, end=True)],
        Pong()),
    "5.1 window update behind the end": (None, ended(raw(WINDOW_UPDATE, 0, 1, u32(8))), Serves()),
    "5.1 reset behind the end": (None, ended(raw(RST_STREAM, 0, 1, u32(8))), Pong()),
    # 5.1.1 stream identifiers
    "5.1.1 even stream": (None, get(stream=2), PROTOCOL),
    "5.1.1 stream numbers fall": (
        None, lambda c: [c.headers(5, HEAD, end=True), c.headers(3, HEAD, end=True)], Pong()),
    "5.1.1 headers on stream 0": (None, lambda c: [raw(HEADERS, 5, 0, block(c))], PROTOCOL),
    # 5.1.2 concurrency
    "5.1.2 more streams than allowed": ("many", None, Resets(
        h2.REFUSED_STREAM, h2.PROTOCOL_ERROR, may_end=True, stream=201)),
    # 5.3, 9218
    "5.3.1 stream depends on itself": (
        None, lambda c: [raw(HEADERS, END_STREAM | END_HEADERS | PRIORITY_FLAG, 1,
                             u32(1) + b"\xff" + block(c))], PROTOCOL),
    "9218 priority field": (None, plus(("priority", "u=1, i")), Serves({"priority": "u=1, i"})),
    "9218 PRIORITY_UPDATE": (None, lambda c: [raw(0x10, 0, 0, u32(1) + b"u=0"),
                                              c.headers(1, HEAD, end=True)], Serves()),
    "9218 PRIORITY_UPDATE on a stream": (None, opened(raw(0x10, 0, 1, u32(1) + b"u=0")), PROTOCOL),
    # 5.4, 5.5
    "5.5 unknown setting": (None, frames(raw(SETTINGS, 0, 0, setting(0x99, 5))), Pong()),
    # 6.1 DATA
    "6.1 on stream 0": (None, frames(raw(DATA, 0, 0, b"x")), PROTOCOL),
    "6.1 padding": (None, opened(raw(DATA, END_STREAM | PADDED, 1, b"\x03abc\0\0\0")), Serves()),
    "6.1 all padding": (None, opened(raw(DATA, END_STREAM | PADDED, 1, b"\x03\0\0\0")), Serves()),
    "6.1 too much padding": (None, opened(raw(DATA, END_STREAM | PADDED, 1, b"\x05abc")), PROTOCOL),
    "6.1 padding flag without length": (None, opened(raw(DATA, END_STREAM | PADDED, 1)),
                                        Ends(h2.PROTOCOL_ERROR, h2.FRAME_SIZE_ERROR)),
    # 6.2 HEADERS
    "6.2 padding": (None, lambda c: [raw(HEADERS, 5 | PADDED, 1, b"\x02" + block(c) + b"\0\0")],
                    Serves()),
    "6.2 too much padding": (None, lambda c: [raw(HEADERS, 5 | PADDED, 1, b"\xff" + block(c))],
                             PROTOCOL),
    "6.2 priority": (None, lambda c: [raw(HEADERS, 5 | PRIORITY_FLAG, 1,
                                          u32(0) + b"\x10" + block(c))], Serves()),
    "6.2 priority flag without room": (None, frames(raw(HEADERS, 5 | PRIORITY_FLAG, 1, b"\0\0")),
                                       Ends(h2.PROTOCOL_ERROR, h2.FRAME_SIZE_ERROR)),
    # 6.3 PRIORITY
    "6.3 on stream 0": (None, frames(raw(PRIORITY, 0, 0, u32(0) + b"\x10")), PROTOCOL),
    "6.3 wrong size": (None, opened(raw(PRIORITY, 0, 1, u32(0))),
                       Resets(h2.FRAME_SIZE_ERROR, may_end=True)),
    # 6.4 RST_STREAM
    "6.4 on stream 0": (None, frames(raw(RST_STREAM, 0, 0, u32(8))), PROTOCOL),
    "6.4 wrong size": (None, opened(raw(RST_STREAM, 0, 1, b"\0\0\0")), SIZE),
    "6.4 unknown code": (None, opened(raw(RST_STREAM, 0, 1, u32(0xff))), Pong()),
    # 6.5 SETTINGS
    "6.5 on a stream": (None, frames(raw(SETTINGS, 0, 1)), PROTOCOL),
    "6.5 ack with payload": (None, frames(raw(SETTINGS, ACK, 0, setting(3, 1))), SIZE),
    "6.5 odd size": (None, frames(raw(SETTINGS, 0, 0, b"12345")), SIZE),
    "6.5.2 push of 2": (None, frames(raw(SETTINGS, 0, 0, setting(2, 2))), PROTOCOL),
    "6.5.2 window too large": (None, frames(raw(SETTINGS, 0, 0, setting(4, 1 << 31))), FLOW),
    "6.5.2 frames too small": (None, frames(raw(SETTINGS, 0, 0, setting(5, 16383))), PROTOCOL),
    "6.5.2 frames too large": (None, frames(raw(SETTINGS, 0, 0, setting(5, 1 << 24))), PROTOCOL),
    "6.5.2 no header table": (None, lambda c: [raw(SETTINGS, 0, 0, setting(1, 0)),
                                               c.headers(1, HEAD, end=True)], Serves()),
    "8441 3 connect protocol of 2": (None, frames(raw(SETTINGS, 0, 0, setting(8, 2))), PROTOCOL),
    "9218 2.1 no priorities of 2": (None, frames(raw(SETTINGS, 0, 0, setting(9, 2))), PROTOCOL),
    "6.5.3 ack that nobody asked for": (None, frames(raw(SETTINGS, ACK, 0)),
                                        Ends(h2.PROTOCOL_ERROR)),
    # 6.6 PUSH_PROMISE
    "6.6 from a client": (None, lambda c: [c.headers(1, POST),
                                           raw(PUSH_PROMISE, 4, 1, u32(2) + block(c))], PROTOCOL),
    # 6.7 PING
    "6.7 on a stream": (None, frames(raw(PING, 0, 1, b"12345678")), PROTOCOL),
    "6.7 wrong size": (None, frames(raw(PING, 0, 0, b"1234567")), SIZE),
    "6.7 answer that nobody asked for": (None, frames(raw(PING, ACK, 0, b"12345678")), Pong()),
    # 6.8 GOAWAY
    "6.8 on a stream": (None, frames(raw(GOAWAY, 0, 1, u32(0) + u32(0))), PROTOCOL),
    "6.8 too small": (None, frames(raw(GOAWAY, 0, 0, u32(0))), SIZE),
    # 6.9 WINDOW_UPDATE
    "6.9 zero on the connection": (None, frames(raw(WINDOW_UPDATE, 0, 0, u32(0))), PROTOCOL),
    "6.9 zero on a stream": (None, opened(raw(WINDOW_UPDATE, 0, 1, u32(0))),
                             Resets(h2.PROTOCOL_ERROR, may_end=True)),
    "6.9 wrong size": (None, frames(raw(WINDOW_UPDATE, 0, 0, b"\0\0\1")), SIZE),
    "6.9.1 connection window too large": (
        None, frames(raw(WINDOW_UPDATE, 0, 0, u32(2 ** 31 - 1)) * 2), FLOW),
    "6.9.1 stream window too large": (
        None, opened(raw(WINDOW_UPDATE, 0, 1, u32(2 ** 31 - 1)) * 2),
        Resets(h2.FLOW_CONTROL_ERROR)),
    "6.9.2 settings make a window too large": (
        None, opened(raw(WINDOW_UPDATE, 0, 1, u32(2 ** 30)),
                     raw(SETTINGS, 0, 0, setting(4, 2 ** 31 - 1))),
        Resets(h2.FLOW_CONTROL_ERROR, may_end=True)),
    # 6.10 CONTINUATION
    "6.10 behind a complete block": (None, ended(raw(CONTINUATION, 4, 1)), PROTOCOL),
    "6.10 on stream 0": (None, lambda c: [raw(HEADERS, END_STREAM, 1, block(c)),
                                          raw(CONTINUATION, 4, 0)], PROTOCOL),
    "6.10 behind data": (None, opened(raw(DATA, 0, 1), raw(CONTINUATION, 4, 1)), PROTOCOL),
    # 8.1 messages
    "8.1 trailers": (None, with_trailers(("x-sum", "7")), Serves()),
    "8.1 trailers that do not end": (
        None, lambda c: [c.headers(1, POST), c.data(1, b"a"), c.headers(1, [("x", "y")])],
        MALFORMED),
    "8.1 pseudo-header in trailers": (None, with_trailers((":method", "GET")), MALFORMED),
    "8.1.1 length larger than the data": (
        None, lambda c: [c.headers(1, POST + [("content-length", "4")]), c.data(1, b"abc", True)],
        MALFORMED),
    "8.1.1 length smaller than the data": (
        None, lambda c: [c.headers(1, POST + [("content-length", "2")]), c.data(1, b"abc", True)],
        MALFORMED),
    "8.1.1 length and several frames": (
        None, lambda c: [c.headers(1, POST + [("content-length", "4")]), c.data(1, b"abc"),
                         c.data(1, b"de", True)], MALFORMED),
    "8.1.1 length without data": (
        None, get(POST + [("content-length", "1")]), MALFORMED),
    "8.1.1 two lengths": (
        None, lambda c: [c.headers(1, POST + [("content-length", "3"), ("content-length", "4")]),
                         c.data(1, b"abc", True)], MALFORMED),
    "8.1.1 length that is none": (
        None, lambda c: [c.headers(1, POST + [("content-length", "+3")]), c.data(1, b"abc", True)],
        MALFORMED),
    "8.1.1 length that is right": (
        None, lambda c: [c.headers(1, POST + [("content-length", "3")]), c.data(1, b"abc", True)],
        Serves({"content-length": "3"})),
    # 8.2 fields
    "8.2 name in upper case": (None, plus(("X-Upper", "a")), MALFORMED),
    "8.2.1 empty name": (None, plus(("", "a")), MALFORMED),
    "8.2.1 space in a name": (None, plus(("x y", "a")), MALFORMED),
    "8.2.1 colon in a name": (None, plus(("x:y", "a")), MALFORMED),
    "8.2.1 line end in a name": (None, plus(("x\r\ny", "a")), MALFORMED),
    "8.2.1 8-bit name": (None, lambda c: [raw(HEADERS, 5, 1, block(c) + b"\x00\x02x\xe4\x01a")],
                         MALFORMED),
    "8.2.1 CRLF in a value": (None, plus(("x", "a\r\nx-evil: b")), MALFORMED),
    "8.2.1 LF in a value": (None, plus(("x", "a\nx-evil: b")), MALFORMED),
    "8.2.1 NUL in a value": (None, plus(("x", "a\0b")), MALFORMED),
    "8.2.1 space before a value": (None, plus(("x", " a")), MALFORMED),
    "8.2.1 space behind a value": (None, plus(("x", "a ")), MALFORMED),
    "8.2.2 Connection": (None, plus(("connection", "x-a"), ("x-a", "b")), MALFORMED),
    "8.2.2 Proxy-Connection": (None, plus(("proxy-connection", "keep-alive")), MALFORMED),
    "8.2.2 Keep-Alive": (None, plus(("keep-alive", "5")), MALFORMED),
    "8.2.2 Transfer-Encoding": (
        None, lambda c: [c.headers(1, POST + [("transfer-encoding", "chunked")]),
                         c.data(1, b"0\r\n\r\n", True)], MALFORMED),
    "8.2.2 Upgrade": (None, plus(("upgrade", "websocket")), MALFORMED),
    "8.2.2 TE": (None, plus(("te", "gzip")), MALFORMED),
    "8.2.2 TE of trailers": (None, plus(("te", "trailers")), Serves()),
    "8.2.3 cookies": (None, plus(("cookie", "a=b"), ("cookie", "c=d")),
                      Serves({"cookie": "a=b; c=d"})),
    # 8.3 pseudo-header fields
    "8.3 unknown": (None, get(HEAD + [(":x", "y")]), MALFORMED),
    "8.3 of an answer": (None, get(HEAD + [(":status", "200")]), MALFORMED),
    "8.3 behind a field": (None, get([*HEAD[:3], ("x", "y"), HEAD[3]]), MALFORMED),
    "8.3.1 no method": (None, without(":method"), MALFORMED),
    "8.3.1 no scheme": (None, without(":scheme"), MALFORMED),
    "8.3.1 no path": (None, without(":path"), MALFORMED),
    "8.3.1 no authority and no host": (None, without(":authority"), MALFORMED),
    "8.3.1 host alone": (None, get(HEAD[:3] + [("host", "weir.test")]),
                         Serves({"host": "weir.test"})),
    "8.3.1 host as the authority": (None, plus(("host", "weir.test")), Serves({"host": "weir.test"})),
    "8.3.1 host unlike the authority": (None, plus(("host", "evil.test")), MALFORMED),
    "8.3.1 two methods": (None, get([HEAD[0], *HEAD]), MALFORMED),
    "8.3.1 two schemes": (None, get([HEAD[1], *HEAD]), MALFORMED),
    "8.3.1 two paths": (None, get([HEAD[2], *HEAD]), MALFORMED),
    "8.3.1 two authorities": (None, get([HEAD[3], *HEAD]), MALFORMED),
    "8.3.1 empty path": (None, get([*HEAD[:2], (":path", ""), HEAD[3]]), MALFORMED),
    "8.3.1 path without a slash": (None, get([*HEAD[:2], (":path", "x"), HEAD[3]]), MALFORMED),
    "8.3.1 absolute path": (None, get([*HEAD[:2], (":path", "http://evil.test/"), HEAD[3]]),
                            MALFORMED),
    "8.3.1 star for GET": (None, get([*HEAD[:2], (":path", "*"), HEAD[3]]), MALFORMED),
    "8.3.1 star for OPTIONS": (None, get([(":method", "OPTIONS"), HEAD[1], (":path", "*"), HEAD[3]]),
                               Serves()),
    "8.3.1 space in the path": (None, get([*HEAD[:2], (":path", "/ HTTP/1.1"), HEAD[3]]), MALFORMED),
    "8.3.1 line end in the path": (
        None, get([*HEAD[:2], (":path", "/ HTTP/1.1\r\nx: y"), HEAD[3]]), MALFORMED),
    "8.3.1 fragment in the path": (None, get([*HEAD[:2], (":path", "/a#b"), HEAD[3]]), MALFORMED),
    "8.3.1 space in the method": (None, get([(":method", "GET /evil"), *HEAD[1:]]), MALFORMED),
    "8.3.1 line end in the method": (
        None, get([(":method", "GET / HTTP/1.1\r\nx: y\r\n"), *HEAD[1:]]), MALFORMED),
    "8.3.1 user in the authority": (None, get([*HEAD[:3], (":authority", "me@weir.test")]),
                                    MALFORMED),
    "8.3.1 space in the authority": (None, get([*HEAD[:3], (":authority", "a b")]), MALFORMED),
    "8.3.1 line end in the authority": (
        None, get([*HEAD[:3], (":authority", "a\r\nx: y")]), MALFORMED),
    "8.3.1 line end in the scheme": (
        None, get([HEAD[0], (":scheme", "http\r\nx: y"), *HEAD[2:]]), MALFORMED),
    # 8.5 CONNECT
    "8.5 CONNECT": (None, get([(":method", "CONNECT"), (":authority", "weir.test:80")], end=False),
                    Refused(405)),
    "8.5 CONNECT with a path": (
        None, get([(":method", "CONNECT"), *HEAD[1:]], end=False), MALFORMED),
    "8441 4 protocol without CONNECT": (None, get(HEAD + [(":protocol", "websocket")]), MALFORMED),
    "8441 4 no path": (None, get([(":method", "CONNECT"), (":protocol", "websocket"),
                                  (":scheme", "http"), (":authority", "a")], end=False), MALFORMED),
    "8.5 tunnel with a length": (
        None, get([(":method", "CONNECT"), (":protocol", "websocket"), *HEAD[1:],
                   ("content-length", "5")], end=False), MALFORMED),
    # 9110, 9112: what HTTP/1 refuses
    "9110 9.3.8 TRACE": (None, get([(":method", "TRACE"), *HEAD[1:]]), Refused(405)),
    "9110 10.1.1 unknown expectation": (None, plus(("expect", "a-pony")), Refused(417)),
    "9110 6.5.1 length in trailers": (None, with_trailers(("content-length", "7")), MALFORMED),
    "9110 6.5.1 host in trailers": (None, with_trailers(("host", "evil")), MALFORMED),
}


def pieces(data, count):
    size = -(-len(data) // count)
    return [data[i * size:(i + 1) * size] for i in range(count)]


def show(connection):
    """Answers with what it saw."""
    while request := connection.request():
        lines = [f"X-Seen: {name.lower()}={value}" for name, value in request.fields]
        connection.send(http1.response(200, *lines, body=b"fine"))


@pytest.fixture(scope="module", name="world")
def _world():
    with Backend(show) as backend, start(backend) as weir:
        yield backend, weir


@pytest.mark.parametrize("name", CASES)
def test_frames(world, name):
    backend, weir = world
    kind, make, after = CASES[name]
    before = {id(connection): len(connection.requests) for connection in backend.connections}
    with h2.Client(weir.address, greet=kind != "bare") as client:
        if kind == "many":
            for _ in range(120):
                client.ask("POST", "/", body=None, trailers=None)
            client.next = 1
            client.streams.clear()
            for number in range(1, 402, 2):
                client.send(client.headers(number + 300, POST))
            with pytest.raises(h2.Closed):
                while client.goaway is None and not any(
                        each.reset is not None for each in client.streams.values()):
                    client.frame()
                raise h2.Closed
        else:
            client.send(*make(client))
            after.check(client)
    if not isinstance(after, Serves):
        for connection in backend.connections:
            for request in connection.requests[before.get(id(connection), 0):]:
                assert not request.has("x-evil") and not request.has("x"), request
    assert weir.ask().status == 200


def test_there_are_enough():
    assert len(CASES) >= 120
