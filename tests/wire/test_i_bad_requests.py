# SPDX-License-Identifier: Apache-2.0
"""Malformed and ambiguous requests: refused with the connection closed, and never forwarded.

The catalogue follows the known classes of request smuggling. Each case is sent in one piece, byte by
byte, and behind a good request on the same connection; the backend keeps what it got.
"""
import pytest

from peers import http1
from peers.backend import Backend
from peers.weir import start

GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
# What a smuggler would have liked to get through.
PREY = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*fields, body=b""):
    return http1.head("POST / HTTP/1.1", "Host: a", *fields) + body


def get(*fields):
    return http1.head("GET / HTTP/1.1", "Host: a", *fields)


CASES = {
    # The request line
    "lf only": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "lf after request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "lf after field": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "lf at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "cr in request line": (b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "cr cr lf": (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "no version, with field": (b"GET /\r\nHost: a\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "method alone": (b"GET\r\n\r\n", 400),
    "two spaces before target": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two spaces before version": (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space behind version": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "space in target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tab as separator": (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "vt as separator": (b"GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space before method": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "three empty lines": (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "nul in method": (b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "nul in target": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "8-bit in target": (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "del in target": (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "8-bit in method": (b"G\xc3T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "colon in method": (b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "empty method": (b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "lower case version": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "http/1": (b"GET / HTTP/1\r\nHost: a\r\n\r\n", 400),
    "http/1.": (b"GET / HTTP/1.\r\nHost: a\r\n\r\n", 400),
    "http/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "http/01.1": (b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
    "http/1.1x": (b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400),
    "http/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "http/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "http/0.9": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "http/9.9": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk and more": (b"OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "authority form": (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "connect with path": (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "unknown scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "scheme without authority": (b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "scheme with one slash": (b"GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "userinfo in target": (b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tls hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 20, 400),
    "socks": (b"\x05\x01\x00\r\n", 400),
    # Host
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no host, absolute": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "two hosts": (get("Host: b"), 400),
    "two equal hosts": (get("Host: a"), 400),
    "host with comma": (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    "host with space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host with slash": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with userinfo": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "host with query": (b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400),
    "host with fragment": (b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", 400),
    "host with bad port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "host with port 0": (b"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", 400),
    "host with large port": (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
    "host with two ports": (b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
    "host with open bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "host with bad v6": (b"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", 400),
    "host with zone": (b"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400),
    "host with 8-bit": (b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400),
    "host with nul": (b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400),
    "host with bad escape": (b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", 400),
    "port only": (b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
    "bad host beside good target": (b"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400),
    # Fields
    "no colon": (get("NoColon"), 400),
    "empty name": (get(": value"), 400),
    "space before colon": (get("Name : value"), 400),
    "tab before colon": (get("Name\t: value"), 400),
    "space in name": (get("Na me: value"), 400),
    "nul in name": (get("Na\0me: value"), 400),
    "8-bit in name": (get("N\xe4me: value"), 400),
    "parenthesis in name": (get("Name(): value"), 400),
    "quote in name": (get('"Name": value'), 400),
    "slash in name": (get("Na/me: value"), 400),
    "first line folded": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "folded by space": (get("Name: a\r\n b"), 400),
    "folded by tab": (get("Name: a\r\n\tb"), 400),
    "folded empty": (get("Name: a\r\n "), 400),
    "nul in value": (get("Name: a\0b"), 400),
    "cr in value": (get("Name: a\rb"), 400),
    "lf in value": (get("Name: a\nb"), 400),
    "bell in value": (get("Name: a\x07b"), 400),
    "escape in value": (get("Name: \x1b[31m"), 400),
    "vt in value": (get("Name: a\x0bb"), 400),
    "del in value": (get("Name: a\x7fb"), 400),
    "cr at end of value": (get("Name: a\r"), 400),
    # Content-Length
    "cl empty": (post("Content-Length:"), 400),
    "cl space": (post("Content-Length: 1 0"), 400),
    "cl plus": (post("Content-Length: +5", body=b"12345"), 400),
    "cl minus": (post("Content-Length: -5"), 400),
    "cl hex": (post("Content-Length: 0x5", body=b"12345"), 400),
    "cl decimal point": (post("Content-Length: 5.0", body=b"12345"), 400),
    "cl exponent": (post("Content-Length: 1e1", body=b"1234567890"), 400),
    "cl underscore": (post("Content-Length: 1_0", body=b"1234567890"), 400),
    "cl quoted": (post('Content-Length: "5"', body=b"12345"), 400),
    "cl list": (post("Content-Length: 5, 5", body=b"12345"), 400),
    "cl list of two": (post("Content-Length: 5, 6", body=b"123456"), 400),
    "cl comma": (post("Content-Length: 5,", body=b"12345"), 400),
    "cl twice": (post("Content-Length: 5", "Content-Length: 6", body=b"123456"), 400),
    "cl twice the same": (post("Content-Length: 5", "Content-Length: 5", body=b"12345"), 400),
    "cl 2^63": (post("Content-Length: 9223372036854775808"), 400),
    "cl 2^64": (post("Content-Length: 18446744073709551616"), 400),
    "cl 2^64+5": (post("Content-Length: 18446744073709551621", body=b"12345"), 400),
    "cl very long": (post("Content-Length: " + "9" * 400), 400),
    "cl letters": (post("Content-Length: five", body=b"12345"), 400),
    "cl 8-bit digits": (post("Content-Length: \xb2"), 400),
    "cl empty and good": (post("Content-Length:", "Content-Length: 5", body=b"12345"), 400),
    "cl with vt": (post("Content-Length: \x0b5", body=b"12345"), 400),
    # Transfer-Encoding
    "cl and te": (post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "te and cl": (post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"), 400),
    "cl 0 and te": (post("Content-Length: 0", "Transfer-Encoding: chunked",
                         body=b"0\r\n\r\n"), 400),
    "te in http/1.0": (http1.head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked")
                       + b"0\r\n\r\n", 400),
    "te empty": (post("Transfer-Encoding:", body=b"0\r\n\r\n"), 400),
    "te identity": (post("Transfer-Encoding: identity"), 400),
    "te gzip": (post("Transfer-Encoding: gzip"), 400),
    "te gzip, chunked": (post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "te chunked, gzip": (post("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400),
    "te chunked, chunked": (post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
    "te chunked, identity": (post("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 400),
    "te chunked comma": (post("Transfer-Encoding: chunked,", body=b"0\r\n\r\n"), 400),
    "te comma chunked": (post("Transfer-Encoding: ,chunked", body=b"0\r\n\r\n"), 400),
    "te chunked;x": (post("Transfer-Encoding: chunked;x", body=b"0\r\n\r\n"), 400),
    "te chunked;x=y": (post("Transfer-Encoding: chunked;x=y", body=b"0\r\n\r\n"), 400),
    "te xchunked": (post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 400),
    "te chunkedx": (post("Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"), 400),
    "te chunked chunked": (post("Transfer-Encoding: chunked chunked", body=b"0\r\n\r\n"), 400),
    "te quoted": (post('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 400),
    "te single quoted": (post("Transfer-Encoding: 'chunked'", body=b"0\r\n\r\n"), 400),
    "te with vt": (post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), 400),
    "te with nul": (post("Transfer-Encoding: chunked\0", body=b"0\r\n\r\n"), 400),
    "te with cr": (post("Transfer-Encoding: chunked\r", body=b"0\r\n\r\n"), 400),
    "te with 8-bit": (post("Transfer-Encoding: chunk\xe9d", body=b"0\r\n\r\n"), 400),
    "te twice": (post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
                      body=b"0\r\n\r\n"), 400),
    "te twice, identity": (post("Transfer-Encoding: identity", "Transfer-Encoding: chunked",
                                body=b"0\r\n\r\n"), 400),
    "te twice, cow": (post("Transfer-Encoding: chunked", "Transfer-Encoding: cow",
                           body=b"0\r\n\r\n"), 400),
    "te space colon": (post("Transfer-Encoding : chunked", body=b"0\r\n\r\n"), 400),
    "te folded": (post("Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), 400),
    "te behind lf": (post("X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "te behind a bare cr": (post("X: y\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "te with a leading space": (post(" Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    # Others
    "expect": (post("Expect: 200-ok", "Content-Length: 5", body=b"12345"), 417),
    "options of connection": (get("Connection: " + ", ".join(f"a{i}" for i in range(300))), 400),
}


@pytest.fixture(scope="module")
def guarded():
    with Backend() as backend, start(backend) as weir:
        weir.backend = backend
        yield weir


def refused(client, status):
    response = client.response()
    wanted = status if isinstance(status, tuple) else (status,)
    assert response.status in wanted, response
    assert response.get("connection").lower() == "close"
    client.end()
    assert client.is_closed()


@pytest.mark.parametrize("name", CASES)
def test_refused(guarded, name):
    data, status = CASES[name]
    backend = guarded.backend
    before = backend.received
    with guarded.client() as client:
        client.send(data + PREY)
        refused(client, status)
    with guarded.client() as client:
        try:
            client.dribble(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before its last byte
        refused(client, status)
    assert backend.received == before, f"forwarded: {bytes(backend.connections[-1].raw)!r}"
    with guarded.client() as client:
        client.send(GOOD + data + PREY)
        assert client.response().status == 200
        refused(client, status)
    assert all(head.target == "/good" for head in backend.heads)


def test_lines_that_end_with_cr_only(guarded):
    """No line ever ends: byte by byte nothing may be said until the client gives up."""
    data = b"GET / HTTP/1.1\rHost: a\r\r"
    before = guarded.backend.received
    with guarded.client() as client:
        client.send(data)
        refused(client, 400)
    with guarded.client() as client:
        client.dribble(data).end()
        assert client.rest()[:12] in (b"", b"HTTP/1.1 400")
    assert guarded.backend.received == before


def test_the_weir_still_serves(guarded):
    """Last in this file: after all of the above the backend has seen good requests only."""
    assert guarded.ask("GET", "/good").status == 200
    assert {head.target for head in guarded.backend.heads} == {"/good"}


# Bodies: the head is on its way by then, so the backend must see a cut and never a whole request.

HEAD = http1.head("POST /chunky HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "letters": b"zz\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "junk behind": b"5 junk\r\nhello\r\n0\r\n\r\n",
    "tab": b"5\t\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "2^64": b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    "2^63": b"8000000000000000\r\nhello\r\n0\r\n\r\n",
    "all ones": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "lf behind size": b"5\nhello\r\n0\r\n\r\n",
    "cr behind size": b"5\rhello\r\n0\r\n\r\n",
    "cr cr lf": b"5\r\r\nhello\r\n0\r\n\r\n",
    "lf behind data": b"5\r\nhello\n0\r\n\r\n",
    "cr behind data": b"5\r\nhello\r0\r\n\r\n",
    "nothing behind data": b"5\r\nhello0\r\n\r\n",
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data too short": b"6\r\nhello\r\n0\r\n\r\n",
    "lf in the last line": b"5\r\nhello\r\n0\n\r\n",
    "lf at the very end": b"5\r\nhello\r\n0\r\n\n",
    "ext without name": b"5;\r\nhello\r\n0\r\n\r\n",
    "ext =": b"5;=a\r\nhello\r\n0\r\n\r\n",
    "ext name=": b"5;a=\r\nhello\r\n0\r\n\r\n",
    "ext with cr": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "ext with lf": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "ext quoted lf": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "ext open quote": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "ext nul": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "ext 8-bit": b"5;\xe4\r\nhello\r\n0\r\n\r\n",
    "ext flood": b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n",
    "many exts": b"1;a=b\r\nx\r\n" * 20000 + b"0\r\n\r\n",
    "trailer without colon": b"0\r\nnocolon\r\n\r\n",
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer space colon": b"0\r\nA : b\r\n\r\n",
    "trailer with lf": b"0\r\nA: b\n\r\n",
    "trailer with nul": b"0\r\nA: \0\r\n\r\n",
    "trailer cl": b"0\r\nContent-Length: 5\r\n\r\n",
    "trailer te": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer host": b"0\r\nHost: b\r\n\r\n",
    "trailer authorization": b"0\r\nAuthorization: x\r\n\r\n",
    "trailer flood": b"0\r\n" + b"A: b\r\n" * 50000 + b"\r\n",
    "long trailer": b"0\r\nA: " + b"b" * 200000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_refused_chunks(name):
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            try:
                client.send(HEAD, CHUNKS[name], PREY)
            except (BrokenPipeError, ConnectionResetError):
                pass
            response = client.response()
            assert response.status in (400, 431), response
            assert response.get("connection").lower() == "close"
        for connection in list(backend.connections):
            assert connection.closed.wait(20)
            assert not connection.requests, f"became whole: {connection.requests}"
            assert b"smuggled" not in connection.raw
        assert weir.ask("GET", "/good").status == 200


@pytest.mark.parametrize("name", [name for name, data in CHUNKS.items() if len(data) < 100])
def test_refused_chunks_byte_by_byte(name):
    with Backend() as backend, start(backend) as weir:
        with weir.client() as client:
            try:
                client.send(HEAD).dribble(CHUNKS[name])
                assert client.response().status == 400
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was refused before its last byte
        for connection in list(backend.connections):
            assert connection.closed.wait(20)
            assert not connection.requests
