# SPDX-License-Identifier: Apache-2.0
"""Many tunnels at the same time whose bytes are numbered both ways: each end knows of every byte
which one must come next, so that one which is lost, doubled or changed is found where it happens."""
import asyncio
import random
import threading

from peers import http1
from peers.net import HANG_SECONDS, HOST, split_address

PERIOD = 65521
PATTERN = bytes(random.Random(7).randbytes(PERIOD)) * 3
PIECE = 64 * 1024
ASK = http1.request("GET", "/stream", "Connection: Upgrade", "Upgrade: thing/1",
                    "User-Agent: streams")
AGREE = http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: thing/1")


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
        self.stopping = False
        self.error = None

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
            self.got += len(data)
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


class Streams:
    """`count` tunnels through weir, which has `address` as a backend. `upgrade`: behind a 101, else
    TCP as it is."""

    def __init__(self, upgrade, kinds=KINDS):
        self.upgrade, self.kinds = upgrade, kinds
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

    async def accepted(self, reader, writer):
        try:  # the first bytes say which kind it is
            if self.upgrade:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(AGREE)
            number = (await reader.readexactly(1))[0]
        except (asyncio.IncompleteReadError, OSError):  # it was a health check
            writer.close()
            return
        kind = self.kinds[number % len(self.kinds)]
        end = End(reader, writer, kind[2], kind[3])
        self.backends.append(end)
        await end.run()

    async def open_one(self, weir, number):
        host, port = split_address(weir)[1]
        reader, writer = await asyncio.open_connection(host, port, limit=PIECE)
        if self.upgrade:
            writer.write(ASK)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
        writer.write(bytes([number % len(self.kinds)]))
        kind = self.kinds[number % len(self.kinds)]
        end = End(reader, writer, kind[0], kind[1])
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
