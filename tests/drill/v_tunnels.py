#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A hundred tunnels, half of them TCP and half WebSocket, through ten binary upgrades under light
load: each byte is numbered both ways, and passes before, while and after each process takes over;
the sockets stay what they were. Tunnels over TLS finish in the process that has them."""
import contextlib
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.backend import Backend, tcp_echo
from peers.drill import Drill, Server, named
from peers.load import Fire
from peers.net import HOST, free_port, until
from peers.papers import TlsClient, papers
from peers.streams import AGREE, ASK, LONG, Streams
from peers.weir import CALM, Weir

drill = Drill("tunnels")
OF_EACH, TLS, UPGRADES, RATE, SHUTDOWN_S = 50, 4, 10, 100, 60
CHAT = ((100, 0.2), None, (100, 0.2), None)
SLOW = (LONG[0], 0.2)
KINDS = [CHAT] * 8 + [(SLOW, None, (50, 0.2), None), ((50, 0.2), None, SLOW, None)]


def agreed(connection):
    if connection.head():
        connection.send(AGREE)
        tcp_echo(connection)


def echoes(client, text):
    client.send(text)
    return client.reader.exactly(len(text)) == text


def make(tcp, websocket, echo, server, workers):
    web, secure, raw = (f"{HOST}:{free_port()}" for _ in range(3))
    pool = lambda address: {"backends": [address], **CALM}
    tree = {"runtime": {"workers": workers, "shutdown_timeout": f"{SHUTDOWN_S}s"},
            "certificates": [papers().files("site")],
            "frontends": {
                "web": {"bind": web, "pool": "app",
                        "routes": [{"match": {"path": "/stream"}, "pool": "websocket"}]},
                "secure": {"bind": secure, "tls": True, "pool": "echo"},
                "raw": {"bind": raw, "protocol": "tcp", "pool": "tcp"}},
            "pools": {"app": {"backends": named(server), **CALM},
                      "websocket": pool(websocket.address), "tcp": pool(tcp.address),
                      "echo": pool(echo.address)}}
    return Weir(tree, address=web), web, secure, raw


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}/exe") and os.access(f"/proc/{pid}/exe", os.F_OK)


def judge(workers):
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(Streams(upgrade=False, kinds=KINDS))
        websocket = stack.enter_context(Streams(upgrade=True, kinds=KINDS, websocket=True))
        echo, server = stack.enter_context(Backend(agreed)), stack.enter_context(Server())
        weir, web, secure, raw = make(tcp, websocket, echo, server, workers)
        stack.enter_context(weir)
        both = (tcp, websocket)
        tcp.open(raw, OF_EACH)
        websocket.open(web, OF_EACH)
        tls = []
        for _ in range(TLS):
            tls.append(stack.enter_context(
                TlsClient(secure, papers().client_context(), "site.example")))
            tls[-1].send(ASK)
            assert tls[-1].response().status == 101
        first, moves = weir.serving, []

        def all_pass(what):
            """Bytes in both directions of every tunnel, from now on."""
            before = [one.passed() for one in both]
            until(lambda: any(one.errors() for one in both) or all(
                now > then for one, was in zip(both, before)
                for now, then in zip(one.passed(), was)), what)

        fire = stack.enter_context(Fire(web, connections=10, rate=RATE))
        fire.until_answers(RATE)
        stayed = True
        for number in range(1, UPGRADES + 1):
            all_pass("bytes before an upgrade")
            weir.signal(signal.SIGUSR2)
            all_pass("bytes while the next one is tried")
            until(lambda n=number: weir.stderr.count("this process serves alone") == n, "an upgrade")
            all_pass("bytes behind it")
            stayed &= is_alive(first) and all(echoes(one, b"%d" % number) for one in tls)
            until(lambda n=number: weir.stderr.count("tunnels went over") == n, "tunnels to go over")
            moves.append([(line["given"], line["kept"]) for line in weir.log()
                          if line["msg"].startswith("tunnels went over")][-1])
        fire.stop()
        what = f"{workers} worker{'s' if workers > 1 else ''}"
        drill.check(f"{what}: tunnels that went over, of {2 * OF_EACH} at each upgrade",
                    sorted(set(moves)), set(moves) == {(2 * OF_EACH, 0)})
        drill.check(f"{what}: {TLS} tunnels over TLS go on in the first process",
                    stayed, stayed)
        for one in tls:
            one.end()
        ended = all(one.reader.rest() == b"" for one in tls)
        drill.check(f"{what}: they end in order, and then that process is gone", ended, ended)
        until(lambda: not is_alive(first), "the first process to be gone")
        opened = sum(len(one.backends) for one in both)
        drill.check(f"{what}: connections that backends have seen", opened, opened == 2 * OF_EACH)
        silence = max(one.silence() for one in both)
        wrong = tcp.finish() + websocket.finish()
        passed = sum(sum(one.passed()) for one in both)
        drill.check(f"{what}: bytes lost, doubled or out of order", wrong or "none", not wrong)
        bad = fire.bad()
        drill.check(f"{what}: failed requests", f"{len(bad)} of {len(fire.answers)}",
                    not bad and len(fire.answers) > UPGRADES * RATE)
        drill.row(f"{what}, {OF_EACH} TCP and {OF_EACH} WebSocket, {UPGRADES} upgrades",
                  f"all stayed open on the same sockets, {passed / 1e6:.0f} MB in order, at most "
                  f"{silence * 1000:.0f} ms without a byte (one is due every 200 ms); {len(bad)} of "
                  f"{len(fire.answers)} requests failed; {TLS} over TLS finished in the first process")


for count in (1, 2):
    judge(count)
drill.done()
