# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for much and take nothing: when they hold most of what a worker has, they are ended,
and nobody else waits for them. Without that all would wait for response_idle, which is an hour here."""
import shutil
import socket
import subprocess
import threading
import time

import pytest

from peers import h2, http1
from peers.backend import Backend
from peers.h2 import SettingsFrame, WindowUpdateFrame
from peers.net import HOST, free_port, split_address, until
from peers.weir import ONE_WORKER, start, told

STREAMS = 100  # of one connection, which is what SETTINGS allow
WINDOW = 2 ** 31 - 1
BIG = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENDED = "slow client ended"
PATIENT = {"timeouts": {"response_idle": "1h", "response": "1h"}}


def stalled(weir, path="/big", streams=STREAMS, window=WINDOW):
    """A connection that asks on all streams, lets so much come, and reads nothing."""
    family, target = split_address(weir.address)
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(target)
    peer = h2.Peer(sock, quiet=True)
    head = [(":method", "GET"), (":scheme", "http"), (":authority", "weir.test"), (":path", path)]
    peer.send(PREFACE, SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: window}),
              WindowUpdateFrame(0, WINDOW - 65535),
              *(peer.headers(2 * i + 1, head, end=True) for i in range(streams)))
    return sock


def big_or_small(connection):
    while True:
        message = connection.request()
        if message is None:
            return
        if message.target == "/slow":
            connection.backend.go_on.wait()
        if message.target != "/big":
            connection.send(http1.response(body=b"x" * 1100 if message.target == "/short" else b"small"))
            continue
        connection.send(http1.head("HTTP/1.1 200 OK", f"Content-Length: {BIG}"))
        for _ in range(BIG // 16384):
            connection.send(b"x" * 16384)


def is_served(weir):
    return weir.ask("GET", "/small").status == 200


def wait_ended(weir):
    lines = until(lambda: told(weir.log(), ENDED)[0], "a slow client to be ended")
    assert lines[0]["held_bytes"] >= 16384 and lines[0]["frontend"] == "web" and lines[0]["cure"]


def test_streams_that_hold_all_connections_to_backends():
    limits = {"max_connections": 16}  # and 96 to backends
    with Backend(big_or_small) as backend, \
            start(backend, pool=PATIENT, runtime=limits, env=ONE_WORKER) as weir:
        assert is_served(weir)
        with stalled(weir):
            until(lambda: weir.ask("GET", "/small").status == 503, "the connections to be in use")
            wait_ended(weir)
            until(lambda: is_served(weir), "another client to be served")
        assert is_served(weir)


def test_who_reads_slowly_is_left_alone():
    """It takes a little at a time, and all of it, while others are ended."""
    limits = {"max_connections": 16}
    with Backend(big_or_small) as backend, \
            start(backend, pool=PATIENT, runtime=limits, env=ONE_WORKER) as weir:
        with weir.client() as reader:
            reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            reader.sock.sendall(http1.request("GET", "/big"))
            with stalled(weir):
                got = 0
                while got < BIG:
                    more = reader.sock.recv(16384)
                    assert more, "the slow reader was ended"
                    got += len(more)
                    time.sleep(0.03)
                wait_ended(weir)
                until(lambda: is_served(weir), "another client to be served")


def test_short_answers_that_hold_a_block_each():
    """1,100 bytes keep the 16 KiB that they came in. Who waits for a slow backend is not to blame."""
    with Backend(big_or_small) as backend, \
            start(backend, pool=PATIENT, runtime={"max_connections": 200}, env=ONE_WORKER) as weir, \
            weir.client() as patient:
        backend.go_on = threading.Event()
        patient.send(http1.request("PUT", "/slow", body=b"p" * 20000))
        until(lambda: len(backend.heads) == 1, "the backend to have the slow request")
        socks = []
        for count in range(1, 151):
            socks.append(stalled(weir, "/short", 14, 0))
            # As many are answered as there are blocks.
            until(lambda count=count: len(backend.heads) > 14 * count or told(weir.log(), ENDED)[1],
                  "the backend to have answered")
        wait_ended(weir)
        until(lambda: is_served(weir), "another client to be served")
        backend.go_on.set()
        assert patient.response("PUT").status == 200
        for sock in socks:
            sock.close()


@pytest.mark.skipif(not shutil.which("nghttpd"), reason="needs nghttp2-server")
def test_streams_that_hold_all_blocks(tmp_path):
    """Over few connections to a backend of HTTP/2."""
    port = free_port()
    (tmp_path / "big").write_bytes(b"x" * BIG)
    (tmp_path / "small").write_bytes(b"small")
    server = subprocess.Popen(
        ["nghttpd", "--no-tls", "-d", str(tmp_path), "-a", HOST, str(port), "-m", "1000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with start(f"h2c://{HOST}:{port}", pool=PATIENT, runtime={"max_connections": 64},
                   env=ONE_WORKER) as weir:
            until(lambda: is_served(weir), "the server to be up")
            socks = [stalled(weir) for _ in range(28)]
            wait_ended(weir)
            until(lambda: is_served(weir), "another client to be served")
            for sock in socks:
                sock.close()
            assert is_served(weir)
    finally:
        server.kill()
        server.wait()
