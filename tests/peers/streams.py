# SPDX-License-Identifier: Apache-2.0
"""Many tunnels at the same time whose bytes are numbered both ways: each end knows of every byte
which one must come next, so that one which is lost, doubled or changed is found where it happens."""
import asyncio
import base64
import hashlib
import random
import re
import struct
import threading
import time

from peers import http1
from peers.backend import tcp_echo
from peers.net import HANG_SECONDS, HOST, split_address

PERIOD = 65521
PATTERN = bytes(random.Random(7).randbytes(PERIOD)) * 3
PIECE = 64 * 1024
ASK = http1.request("GET", "/stream", "Connection: Upgrade", "Upgrade: thing/1",
                    "User-Agent: streams")
AGREE = http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: thing/1")


def agreed(connection):
    """A script for peers.backend.Backend: agrees to become a tunnel, and sends back what comes, and
    its end."""
    if connection.head():
        connection.send(AGREE)
        tcp_echo(connection)


def tunnel(weir):
    client = weir.client()
    client.send(ASK)
    assert client.response().status == 101
    return client


def echoes(client, text):
    client.send(text)
    assert client.reader.exactly(len(text)) == text


def piece(offset, length):
    start = offset % PERIOD
    return PATTERN[start:start + length]


class End:
    """One end of a tunnel. `pace`: bytes that are sent at once, and the seconds between; `reads`:
    the same of bytes that are read, or None: as fast as they come."""

    def __init__(self, reader, writer, pace, reads):
        self.reader, self.writer = reader, writer
        self.pace, self.reads = pace, reads
        self.sent = self.got = 0
        self.silence = 0.0  # the longest between two pieces
        self.heard_at = time.monotonic()
        self.stopping = False
        self.error = None

    def count(self, length):
        self.got += length
        now = time.monotonic()
        self.silence = max(self.silence, now - self.heard_at)
        self.heard_at = now

    async def send(self):
        length, pause = self.pace
        while not self.stopping:
            self.writer.write(piece(self.sent, length))
            self.sent += length
            await self.writer.drain()
            await asyncio.sleep(pause)
        await self.writer.drain()
        self.writer.write_eof()

    async def receive(self):
        length, pause = self.reads or (PIECE, 0)
        while data := await self.reader.read(length):
            if data != piece(self.got, len(data)):
                raise AssertionError(f"wrong bytes behind {self.got}")
            self.count(len(data))
            if pause and not self.stopping:
                await asyncio.sleep(pause)

    async def run(self):
        try:
            await asyncio.gather(self.send(), self.receive())
        except (OSError, AssertionError) as error:
            self.error = error
        finally:
            self.writer.close()


LONG = (PIECE, 0.01)  # enough to be spliced
KINDS = [  # of pace and reads, at the client and at the backend
    ((100, 0.01), None, (100, 0.01), None),  # a chat
    (LONG, None, (50, 0.05), None),          # an upload
    ((50, 0.05), None, LONG, None),          # a download
    ((50, 0.05), (4096, 0.02), LONG, None),  # ... to a slow reader
    (LONG, None, (50, 0.05), (4096, 0.02)),
]


class Framed(End):
    """The same in binary frames of WebSocket (RFC 6455 5.2), those of a client masked."""

    BINARY, CLOSE = 0x82, 0x88

    def __init__(self, *rest, masks):
        super().__init__(*rest)
        self.masks = masks

    @staticmethod
    def masked(data, key):
        keys = (key * (len(data) // 4 + 1))[:len(data)]
        return (int.from_bytes(data) ^ int.from_bytes(keys)).to_bytes(len(data))

    def frame(self, first, data):
        """Always with the longest form of a length, which is all that receive() knows."""
        head = struct.pack("!BBQ", first, 127 | self.masks << 7, len(data))
        if not self.masks:
            return head + data
        key = random.randbytes(4)
        return head + key + self.masked(data, key)

    async def send(self):
        length, pause = self.pace
        while not self.stopping:
            self.writer.write(self.frame(self.BINARY, piece(self.sent, length)))
            self.sent += length
            await self.writer.drain()
            await asyncio.sleep(pause)
        self.writer.write(self.frame(self.CLOSE, b""))
        await self.writer.drain()
        self.writer.write_eof()

    async def receive(self):
        while True:
            first, flag, length = struct.unpack("!BBQ", await self.reader.readexactly(10))
            assert flag == 127 | (not self.masks) << 7, f"no frame behind {self.got}"
            key = b"" if self.masks else await self.reader.readexactly(4)
            data = await self.reader.readexactly(length)
            if first == self.CLOSE:
                break
            if (self.masked(data, key) if key else data) != piece(self.got, length):
                raise AssertionError(f"wrong bytes behind {self.got}")
            self.count(length)
        if await self.reader.read(1):
            raise AssertionError("bytes behind the last frame")

    async def run(self):
        try:
            await super().run()
        except asyncio.IncompleteReadError:
            self.error = AssertionError(f"it ended within a frame, behind {self.got}")


def ask_websocket(number):
    key = base64.b64encode(random.randbytes(16))
    return http1.request("GET", f"/stream?{number}", "Connection: Upgrade", "Upgrade: websocket",
                         "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key.decode()}"), key


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def agree_websocket(head):
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
    return http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade",
                      "Upgrade: websocket", f"Sec-WebSocket-Accept: {accept_of(key).decode()}")


class Streams:
    """`count` tunnels through weir, which has `address` as a backend. `upgrade`: behind a 101, else
    TCP as it is. `websocket`: that 101 is WebSocket's, and so are the bytes behind it."""

    def __init__(self, upgrade, kinds=KINDS, websocket=False):
        self.upgrade, self.kinds, self.websocket = upgrade, kinds, websocket
        self.clients, self.backends = [], []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.call(asyncio.start_server(self.accepted, HOST, 0, limit=PIECE))
        port = self.server.sockets[0].getsockname()[1]
        self.address = f"{HOST}:{port}"
        self.tasks = []

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(HANG_SECONDS * 6)

    def end(self, *rest, masks):
        return Framed(*rest, masks=masks) if self.websocket else End(*rest)

    async def begin_backend(self, reader, writer):
        """Gives the number of the tunnel."""
        if self.websocket:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(agree_websocket(head))
            return int(head.split()[1].rpartition(b"?")[2])
        if self.upgrade:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(AGREE)
        return (await reader.readexactly(1))[0]

    async def begin_client(self, reader, writer, number):
        if self.websocket:
            ask, key = ask_websocket(number)
            writer.write(ask)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ") and accept_of(key) in head, head
            return
        if self.upgrade:
            writer.write(ASK)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
        writer.write(bytes([number % len(self.kinds)]))

    async def accepted(self, reader, writer):
        try:  # the first bytes say which kind it is
            number = await self.begin_backend(reader, writer)
        except (asyncio.IncompleteReadError, OSError):  # it was a health check
            writer.close()
            return
        kind = self.kinds[number % len(self.kinds)]
        end = self.end(reader, writer, kind[2], kind[3], masks=False)
        self.backends.append(end)
        await end.run()

    async def open_one(self, weir, number):
        host, port = split_address(weir)[1]
        reader, writer = await asyncio.open_connection(host, port, limit=PIECE)
        await self.begin_client(reader, writer, number)
        kind = self.kinds[number % len(self.kinds)]
        end = self.end(reader, writer, kind[0], kind[1], masks=True)
        self.clients.append(end)
        self.tasks.append(self.loop.create_task(end.run()))

    async def open_all(self, weir, count):
        for number in range(count):
            await self.open_one(weir, number)

    def open(self, weir, count):
        self.call(self.open_all(weir, count))

    @property
    def ends(self):
        return self.clients + self.backends

    def errors(self):
        return [end.error for end in self.ends if end.error]

    def passed(self):
        return [end.got for end in self.ends]

    def silence(self):
        return max(end.silence for end in self.ends)

    async def finish_all(self):
        for end in self.ends:
            end.stopping = True
        await asyncio.gather(*self.tasks)
        while any(not end.writer.is_closing() for end in self.backends):
            await asyncio.sleep(0.01)

    def finish(self):
        """Each end stops sending, and reads to the end; gives what is wrong."""
        self.call(self.finish_all())
        wrong = [str(error) or repr(error) for error in self.errors()]
        sent = lambda ends: sorted(end.sent for end in ends)
        got = lambda ends: sorted(end.got for end in ends)
        if sent(self.clients) != got(self.backends):
            wrong.append("what clients sent is not what backends got")
        if sent(self.backends) != got(self.clients):
            wrong.append("what backends sent is not what clients got")
        return wrong

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(HANG_SECONDS)
