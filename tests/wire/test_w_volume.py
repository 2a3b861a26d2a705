# SPDX-License-Identifier: Apache-2.0
"""Long bodies: every byte, and no memory."""
import hashlib
import random
import socket
import threading

import pytest

from peers import http1
from peers.backend import Backend
from peers.net import split_address, until
from peers.weir import BUILD, IO, IS_SANITIZED, start

MB = 1 << 20
PIECE = random.Random(7).randbytes(MB)


def digest_of(pieces):
    sum_ = hashlib.sha256()
    for _ in range(pieces):
        sum_.update(PIECE)
    return sum_.hexdigest()


def read_length(reader, length):
    """Digest of `length` body bytes."""
    sum_ = hashlib.sha256(reader.buffer[:length])
    left = length - len(reader.buffer[:length])
    reader.buffer.clear()
    buffer = bytearray(MB)
    while left:
        count = reader.sock.recv_into(buffer, min(left, MB))
        assert count, "cut"
        sum_.update(memoryview(buffer)[:count])
        left -= count
    return sum_.hexdigest()


def read_chunked(reader):
    sum_ = hashlib.sha256()
    while size := int(reader.line(), 16):
        sum_.update(reader.exactly(size))
        reader.exactly(2)
    assert reader.line() == b""
    return sum_.hexdigest()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_100_mb_up(coding):
    def script(connection):
        connection.head()
        sums.append(read_length(connection.reader, 100 * MB) if coding == "length"
                    else read_chunked(connection.reader))
        connection.send(http1.response(body=b"ok"))
        connection.reader.rest()

    sums = []
    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        if coding == "length":
            client.send(http1.head("PUT / HTTP/1.1", "Host: a", f"Content-Length: {100 * MB}"))
            for _ in range(100):
                client.send(PIECE)
        else:
            client.send(http1.head("PUT / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
            for _ in range(100):
                client.send(http1.chunk(PIECE))
            client.send(b"0\r\n\r\n")
        assert client.response().body == b"ok"
        assert sums == [digest_of(100)]


@pytest.mark.parametrize("coding", ["length", "chunked", "close"])
def test_100_mb_down(coding):
    fields = {"length": [f"Content-Length: {100 * MB}"], "chunked": ["Transfer-Encoding: chunked"],
              "close": []}

    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", *fields[coding]))
        for _ in range(100):
            connection.send(http1.chunk(PIECE) if coding == "chunked" else PIECE)
        if coding == "chunked":
            connection.send(b"0\r\n\r\n")

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        head = client.reader.response_head()
        assert head.status == 200
        if coding == "length":
            assert read_length(client.reader, 100 * MB) == digest_of(100)
        else:
            assert head.get("transfer-encoding") == "chunked"
            assert read_chunked(client.reader) == digest_of(100)


# A gigabyte to a reader that reads when it likes. What weir holds for it must not grow: neither its
# memory nor what it took from the backend ahead of the reader.

def largest(name):
    with open(f"/proc/sys/net/ipv4/{name}") as file:
        return int(file.read().split()[2])


MARGIN = 40 * MB if IS_SANITIZED else 8 * MB
# The sockets of the kernel on both sides; a pipe, a window.
AHEAD = largest("tcp_rmem") + 2 * largest("tcp_wmem") + 8 * MB


@pytest.mark.parametrize("kind", ["length", "chunked", "tcp"])
def test_a_gigabyte_to_a_slow_reader(kind):
    size = 1024 if kind != "chunked" else 256

    def script(connection):
        if kind != "tcp":
            connection.request()
            connection.send(http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"
                                       if kind == "chunked" else f"Content-Length: {size * MB}"))
        data = http1.chunk(PIECE) if kind == "chunked" else PIECE
        for _ in range(size):
            connection.send(data)
            sent[0] += MB
        if kind == "chunked":
            connection.send(b"0\r\n\r\n")

    def stands_still():
        before = sent[0]
        threading.Event().wait(0.05)
        return sent[0] == before

    sent, got = [0], 0
    protocol = "tcp" if kind == "tcp" else "http"
    with Backend(script) as backend, start(backend, protocol=protocol) as weir:
        family, target = split_address(weir.address)
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
            sock.settimeout(60)
            sock.connect(target)
            before = weir.rss()
            if kind != "tcp":
                sock.sendall(http1.request())
            buffer = bytearray(MB)
            for burst in (0, 1, 5, 20):
                while got < burst * MB:
                    got += sock.recv_into(buffer)
                until(stands_still, "the backend to be held back")
                assert sent[0] - got < AHEAD
                assert weir.rss() - before < MARGIN
            while count := sock.recv_into(buffer):
                got += count
                assert sent[0] - got < AHEAD
                if sent[0] == size * MB and got >= size * MB:
                    break
            assert weir.rss() - before < MARGIN
            assert got >= size * MB


def test_a_gigabyte_to_a_slow_backend():
    """The same upwards: a client may not fill weir with what the backend does not read."""
    go = threading.Event()

    def script(connection):
        connection.head()
        go.wait(60)
        sums.append(read_length(connection.reader, 200 * MB))
        connection.send(http1.response(body=b"ok"))

    sums, sent = [], [0]
    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        before = weir.rss()

        def upload():
            client.send(http1.head("PUT / HTTP/1.1", "Host: a", f"Content-Length: {200 * MB}"))
            for _ in range(200):
                client.send(PIECE)
                sent[0] += MB

        thread = threading.Thread(target=upload)
        thread.start()

        def stands_still():
            count = sent[0]
            threading.Event().wait(0.1)
            return count and sent[0] == count

        until(stands_still, "the client to be held back")
        assert sent[0] < AHEAD
        assert weir.rss() - before < MARGIN
        go.set()
        thread.join()
        assert client.response().body == b"ok"
        assert sums == [digest_of(200)]
        assert weir.rss() - before < MARGIN


# Blocks that io_uring lends to the kernel in advance, and as many again that a standing receive of a
# backend may have filled before it is put down: at most this much per worker, whoever uses it.
LENT = 3 * 256 * 16 * 1024 if IO == "io_uring" else 0


@pytest.mark.skipif(BUILD == "build-tsan", reason="its shadow is several times the memory")
def test_many_slow_readers_share_a_bounded_memory():
    """A hundred readers that do not read: a window each, not a body each."""
    def script(connection):
        connection.request()
        try:
            connection.send(http1.head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"))
            for _ in range(100):
                connection.send(http1.chunk(PIECE))
        except OSError:
            pass

    with Backend(script) as backend, start(backend) as weir:
        before = weir.rss()
        socks = []
        family, target = split_address(weir.address)
        for _ in range(100):
            sock = socket.socket(family)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(target)
            sock.sendall(http1.request())
            socks.append(sock)
        backend.wait_connections(100)

        def stands_still():
            count = weir.cpu_seconds()
            threading.Event().wait(0.3)
            return weir.cpu_seconds() == count

        until(stands_still, "weir to stand still")
        assert weir.rss() - before < 100 * 200 * 1024 + LENT + MARGIN
        for sock in socks:
            sock.close()
