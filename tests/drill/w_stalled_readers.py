#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for much and read nothing, as many as are needed to hold all buffers of a worker or
all its connections to backends: what another client feels of it, from their coming on."""
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import h2, http1
from peers.drill import Drill, Server, percentile, timed
from peers.h2 import SettingsFrame, WindowUpdateFrame
from peers.net import split_address
from peers.papers import Papers
from peers.weir import ONE_WORKER, start

drill = Drill("stalled readers")
SECONDS, STREAMS, WINDOW = 10, 100, 2 ** 31 - 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "weir.test"),
       (":path", "/crowd?size=100000000")]


def connect(address):
    family, target = split_address(address)
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(target)
    return sock


def streams(weir):
    sock = connect(weir.address)
    peer = h2.Peer(sock, quiet=True)
    peer.send(PREFACE, SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: WINDOW}),
              WindowUpdateFrame(0, WINDOW - 65535),
              *(peer.headers(2 * i + 1, GET, end=True) for i in range(STREAMS)))
    return sock


def reader(weir):
    sock = connect(weir.address)
    sock.sendall(http1.request("GET", "/crowd?size=100000000"))
    return sock


def secure(weir, context):
    sock = context.wrap_socket(connect(weir.address))
    sock.sendall(http1.request("GET", "/crowd?size=100000000"))
    return sock


def others(weir, seconds, context):
    """(latencies, failed) of one who is quick, each time on a connection of its own."""
    spans, failed, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        def ask():
            with weir.client() as client:
                if context:
                    client.sock = context.wrap_socket(client.sock)
                    client.reader = http1.Reader(client.sock)
                client.sock.settimeout(30)
                return client.ask()
        span, response = timed(ask)
        failed += response.status != 200
        spans.append(span)
        time.sleep(0.01)
    return spans, failed


def run(name, crowd, open_one, context=None, frontend=None):
    with Server() as quick, Server() as crowded:
        web = {**(frontend or {}),
               "routes": [{"match": {"path": "/crowd"}, "pool": [crowded.address]}]}
        with start(quick, frontend=web, runtime={"max_connections": 200}, env=ONE_WORKER) as weir:
            socks = [open_one(weir) for _ in range(crowd)]
            spans, failed = others(weir, SECONDS, context)
            worst = max(spans)
            ended = sum(line.get("times", 1) for line in weir.log()
                        if line["msg"].startswith("slow client ended"))
            for sock in socks:
                sock.close()
    figures = (f"{len(spans)} requests of another client, {failed} failed, p50 "
               f"{percentile(spans, 0.5) * 1000:.1f} ms, slowest {worst * 1000:.0f} ms; {ended} ended")
    # Those who hold on are looked at for a second, and for a quarter of one until the first look.
    drill.check(name, figures, worst < 2.5 and failed <= len(spans) / 5)
    drill.row(f"{crowd} {name}", figures)


run("connections of 100 streams each", 28, streams)
run("readers", 190, reader)
made = Papers().make("web", "weir.test")
trust = made.client_context()
trust.check_hostname = False
run("readers over TLS", 118, lambda weir: secure(weir, trust), trust,
    {"tls": {"certificates": [made.files("web")]}})

drill.done()
