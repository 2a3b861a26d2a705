# SPDX-License-Identifier: Apache-2.0
"""Upgrade: after a 101 that was asked for, the connection is a tunnel."""
import asyncio
import hashlib
import random
import socket
import threading

import pytest
import websockets

from peers import http1
from peers.backend import Backend, echo, serve
from peers.net import HOST
from peers.weir import start

ASK = ("Connection: Upgrade", "Upgrade: thing/1")
AGREE = http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: thing/1",
                   "X-A: b")


def upgrading(then):
    """Agrees to the first upgrade, then runs `then(connection)`."""
    def script(connection):
        head = connection.head()
        if not head:
            return
        if head.get("upgrade") != "thing/1" or head.get("connection").lower() != "upgrade":
            connection.send(http1.response(400, body=b"no upgrade"))
            return
        connection.send(AGREE)
        then(connection)
    return script


def echo_tunnel(connection):
    connection.send(bytes(connection.reader.buffer))
    while data := connection.sock.recv(65536):
        connection.send(data)
    connection.sock.shutdown(socket.SHUT_WR)


def test_bytes_pass_both_ways():
    with Backend(upgrading(echo_tunnel)) as backend, start(backend) as weir:
        with weir.client() as client:
            client.send(http1.request("GET", "/chat", *ASK))
            response = client.response()
            assert response.status == 101
            assert response.get("upgrade") == "thing/1"
            assert response.get("connection").lower() == "upgrade"
            assert response.get("x-a") == "b"
            for i in range(100):
                data = b"\x00\xff\r\n\r\n" * (i + 1)
                client.send(data)
                assert client.reader.exactly(len(data)) == data
            client.end()
            assert client.is_closed()
        assert backend.last().get("x-forwarded-for") == "127.0.0.1"


def test_bytes_sent_right_behind_the_request():
    """The client does not wait for the 101: its bytes are not lost and not HTTP."""
    with Backend(upgrading(echo_tunnel)) as backend, start(backend) as weir:
        with weir.client() as client:
            client.send(http1.request("GET", "/", *ASK), b"GET /smuggled HTTP/1.1\r\n\r\n")
            assert client.response().status == 101
            assert client.reader.exactly(26) == b"GET /smuggled HTTP/1.1\r\n\r\n"
            client.end()
            assert client.is_closed()
        assert [head.target for head in backend.heads] == ["/"]


def test_bytes_sent_right_behind_the_101():
    def then(connection):
        connection.send(b"welcome")
        connection.reader.rest()

    with Backend(upgrading(then)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/", *ASK))
        assert client.response().status == 101
        assert client.reader.exactly(7) == b"welcome"


def test_half_close_by_the_client():
    def then(connection):
        got = connection.reader.rest()
        connection.send(b"got %d" % len(got))

    with Backend(upgrading(then)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/", *ASK))
        assert client.response().status == 101
        client.send(b"x" * 100000)
        client.end()
        assert client.rest() == b"got 100000"


def test_half_close_by_the_backend():
    def then(connection):
        connection.send(b"bye")
        connection.sock.shutdown(socket.SHUT_WR)
        heard.append(connection.reader.rest())
        done.set()

    heard, done = [], threading.Event()
    with Backend(upgrading(then)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/", *ASK))
        assert client.response().status == 101
        assert client.rest() == b"bye"
        client.send(b"and so on")
        client.end()
        assert done.wait(20)
        assert heard == [b"and so on"]


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_passes(who):
    def then(connection):
        connection.send(b"hi")
        if who == "backend":
            connection.reset()
            return
        try:
            connection.reader.rest()
            ends.append("in order")
        except ConnectionResetError:
            ends.append("reset")
        done.set()

    ends, done = [], threading.Event()
    with Backend(upgrading(then)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/", *ASK))
        assert client.response().status == 101
        if who == "client":
            assert client.reader.exactly(2) == b"hi"
            client.reset()
            assert done.wait(20)
            assert ends == ["reset"]
        else:
            with pytest.raises(ConnectionResetError):
                client.rest()


def test_long_streams_both_ways():
    data = random.Random(5).randbytes(1 << 20) * 16

    def then(connection):
        def send():
            connection.send(data)
            connection.sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        sums.append(hashlib.sha256(connection.reader.rest()).digest())
        sender.join()
        done.set()

    sums, done = [], threading.Event()
    with Backend(upgrading(then)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/", *ASK))
        assert client.response().status == 101

        def send():
            client.send(data)
            client.end()

        sender = threading.Thread(target=send)
        sender.start()
        assert hashlib.sha256(client.rest()).digest() == hashlib.sha256(data).digest()
        sender.join()
        assert done.wait(20)
        assert sums == [hashlib.sha256(data).digest()]


def test_an_offer_that_is_not_taken_is_plain_http():
    with Backend(serve(echo)) as backend, start(backend) as weir, weir.client() as client:
        for _ in range(2):
            response = client.ask("GET", "/", *ASK)
            assert response.status == 200
            assert backend.last().get("upgrade") == "thing/1"
        assert len(backend.connections) == 1


def test_bytes_before_the_101_stay_http():
    """A backend that answers 200 to the upgrade: what followed is the next request."""
    with Backend(serve(echo)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request("GET", "/one", *ASK), http1.request("GET", "/two"))
        assert '"/one"' in client.response().text
        assert '"/two"' in client.response().text


@pytest.mark.parametrize("status", [101, 200])
def test_upgrade_of_http10_is_ignored(status):
    with Backend(serve(echo)) as backend, start(backend) as weir:
        response = weir.ask("GET", "/", *ASK, minor=0)
        assert response.status == 200
        assert not backend.last().has("upgrade")


@pytest.mark.parametrize("taken, agrees", [
    (("Upgrade: other/2",), True), (("Upgrade: THING",), True), (("Upgrade: thing, other",), True),
    (("Upgrade: third",), False), (("Upgrade: thing, third",), False), (("Upgrade: ",), False),
    ((), False), (("Upgrade: thingy",), False), (("Upgrade: thing", "Upgrade: other"), False),
])
def test_a_101_must_take_up_what_was_offered(taken, agrees):
    """RFC 9110 7.8: a server must not switch to what was not asked for, and must name it."""
    def script(connection):
        connection.head()
        connection.send(http1.head("HTTP/1.1 101 Switching", "Connection: upgrade", *taken))
        connection.reader.rest()

    ask = http1.request("GET", "/", "Connection: upgrade", "Upgrade: thing/1, other")
    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        response = client.send(ask).response()
        assert response.status == (101 if agrees else 502)
        assert agrees or "upgrade_failed" in response.text


def test_upgrade_without_connection_is_ignored():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("GET", "/", "Upgrade: thing/1").status == 200
        assert not backend.last().has("upgrade")


def test_upgrade_behind_a_body_is_not_offered():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("POST", "/", *ASK, body=b"abc").status == 200
        assert not backend.last().has("upgrade")


def test_the_connection_of_a_tunnel_is_not_reused():
    with Backend(upgrading(lambda connection: None)) as backend, start(backend) as weir:
        for i in range(3):
            with weir.client() as client:
                client.send(http1.request("GET", "/", *ASK))
                assert client.response().status == 101
                assert client.is_closed()
            assert len(backend.connections) == i + 1


# WebSocket, with a library on both sides

class WebSocketServer:
    """Echoes messages; runs an event loop on a thread."""

    def __enter__(self):
        started = threading.Event()

        async def echo_all(socket_):
            async for message in socket_:
                await socket_.send(message)

        async def main():
            self.loop = asyncio.get_running_loop()
            self.over = asyncio.Event()
            server = await websockets.serve(echo_all, HOST, 0, max_size=None)
            port = server.sockets[0].getsockname()[1]
            self.address = f"{HOST}:{port}"
            started.set()
            await self.over.wait()
            server.close()
            await server.wait_closed()

        self.thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        self.thread.start()
        assert started.wait(20)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(20)


def test_websocket():
    async def talk(address):
        async with websockets.connect(f"ws://{address}/chat", max_size=None) as sock:
            for size in (0, 1, 125, 126, 65535, 65536, 1000000):
                await sock.send("x" * size)
                assert await sock.recv() == "x" * size
                await sock.send(b"\xff" * size)
                assert await sock.recv() == b"\xff" * size
            await (await sock.ping())

    with WebSocketServer() as server, start(server.address) as weir:
        asyncio.run(asyncio.wait_for(talk(weir.address), 60))


def test_many_websockets_at_once():
    async def talk(address, number):
        async with websockets.connect(f"ws://{address}/{number}") as sock:
            for i in range(20):
                await sock.send(f"{number} {i}")
                assert await sock.recv() == f"{number} {i}"

    async def all_of_them(address):
        await asyncio.gather(*[talk(address, number) for number in range(50)])

    with WebSocketServer() as server, start(server.address, workers=2) as weir:
        asyncio.run(asyncio.wait_for(all_of_them(weir.address), 60))
