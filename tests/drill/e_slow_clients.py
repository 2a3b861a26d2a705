#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd of slow clients (heads, bodies, readers): the others do not feel it, and it is cut."""
import pathlib
import selectors
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import http1
from peers.drill import Drill, Server, percentile, timed
from peers.net import split_address, until
from peers.weir import start

drill = Drill("slow clients")
CROWD = 1000


def crowd(weir, data, receive_buffer=None):
    family, target = split_address(weir.address)
    socks = []
    for _ in range(CROWD):
        sock = socket.socket(family)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(target)
        sock.sendall(data)
        socks.append(sock)
    return socks


def closed(socks, seconds):
    """How many of them weir ends within that time, feeding each a byte twice a second."""
    selector, ended = selectors.DefaultSelector(), set()
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
    until = time.monotonic() + seconds
    feed = 0.0
    while time.monotonic() < until and len(ended) < len(socks):
        for key, _ in selector.select(0.1):
            try:
                more = key.fileobj.recv(65536)
            except OSError:
                more = b""
            if not more:
                selector.unregister(key.fileobj)
                ended.add(key.fileobj)
        if time.monotonic() > feed:
            feed = time.monotonic() + 0.5
            for sock in socks:
                if sock not in ended:
                    try:
                        sock.send(b"x")
                    except OSError:
                        pass
    return len(ended)


def others(weir, seconds):
    """Latencies of one who is quick."""
    spans, until = [], time.monotonic() + seconds
    with weir.client() as client:
        while time.monotonic() < until:
            seconds_, response = timed(client.ask)
            assert response.status == 200
            spans.append(seconds_)
            time.sleep(0.002)
    return percentile(spans, 0.99)


CASES = {
    "slow heads": (b"GET /crowd HTTP/1.1\r\nHost: a\r\nX-", None,
                   {"frontend": {"timeouts": {"client_header": "3s"}}}),
    "slow bodies": (http1.head("POST /crowd HTTP/1.1", "Host: a", "Content-Length: 1000000"), None,
                    {"frontend": {"http": {"max_body_size": "1MB"}}}),
    "slow readers": (http1.request("GET", "/crowd?size=100000000"), 4096,
                     {"pool": {"timeouts": {"response_idle": "3s"}}}),
}

def stands_still(weir):
    before = weir.cpu_seconds()
    time.sleep(0.5)
    return weir.cpu_seconds() - before < 0.05


def run(name, weir, data, receive_buffer):
    quiet = others(weir, 1)
    before = weir.rss()
    socks = crowd(weir, data, receive_buffer)
    drill.say("p99 while what the crowd may have is filled up: "
              f"{others(weir, 1) * 1000:.1f} ms, of which the test servers' own work is a part")
    until(lambda: stands_still(weir), "what the crowd may have to be full")
    busy = others(weir, 1)
    drill.check(f"{name}: p99 of another client",
                f"{busy * 1000:.1f} ms (quiet {quiet * 1000:.1f} ms)", busy <= max(5 * quiet, 0.1))
    each = (weir.rss() - before) / CROWD
    # A reader may have a window; 12 MB per worker are lent to io_uring or come early, whoever uses them.
    most = (220 if receive_buffer else 32) * 1024 + 24 * 1024 * 1024 / CROWD
    drill.check(f"{name}: memory for each of {CROWD}", f"{each / 1024:.1f} KiB", each < most)
    if name == "slow heads":  # bodies and readers that go on may go on
        count = closed(socks, 8)
        drill.check(f"{name}: cut at their deadline", f"{count} of {CROWD}", count == CROWD)
    cut = weir.stderr.count("response_cut") + weir.stderr.count("connection_reset")
    drill.check(f"{name}: answers that were cut", cut, cut == 0)
    for sock in socks:
        sock.close()
    last = others(weir, 0.5)
    drill.check(f"{name}: p99 when they are gone", f"{last * 1000:.1f} ms", last < 0.1)


for name, (data, receive_buffer, rest) in CASES.items():
    # Two servers, so that what is measured is weir and not a server with a crowd of its own.
    with Server() as quick, Server() as crowded:
        frontend = {**rest.get("frontend", {}),
                    "routes": [{"match": {"path": "/crowd"}, "pool": [crowded.address]}]}
        with start(quick, workers=2, **{**rest, "frontend": frontend}) as weir:
            run(name, weir, data, receive_buffer)

drill.done()
