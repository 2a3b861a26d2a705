# SPDX-License-Identifier: Apache-2.0
"""Load whose every request is accounted for: what came of it, after how long, from which server.

One thread with an event loop of its own, so that the drill goes on meanwhile. Closed: each
connection sends its next request when it has its answer. Open (`rate`): requests are due at fixed
times and late ones count from when they were due, so that a stall is not hidden by fewer requests.
"""
import asyncio
import collections
import itertools
import re
import threading
import time
import typing

from .drill import percentile
from .http1 import request

# What may come of a request besides the status of a whole answer.
CUT = "cut"  # the connection ended within the answer: its head had begun
LOST = "lost"  # the connection ended before a byte of the answer
REFUSED = "refused"  # there was no connection
LATE = "late"  # nothing decisive within the client's patience
WRONG = "wrong"  # an answer that HTTP does not know, or with other bytes than were asked for

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
SERVER = re.compile(rb'"server_port":([0-9]+)')
CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")

# As `weir test-backend` answers to ?size=.
PATTERN = b"".join(b"%c" % digit * 63 + b"\n" for digit in b"0123456789abcdef") * 1024


class Ask(typing.NamedTuple):
    """A request to send."""
    data: bytes
    tag: object = None  # given back with the answer
    size: int = None  # the answer is the first bytes of PATTERN, when its status is 200
    closes: bool = False  # on a connection of its own


class Answer(typing.NamedTuple):
    began: float  # time.monotonic()
    seconds: float
    outcome: object  # a status, or one of the words above
    server: int  # the port of the test backend that answered, as its JSON says; None
    tag: object
    retry_after: bool

    @property
    def good(self):
        return self.outcome == 200


GET = Ask(request("GET", "/"))


def sized(size, chunked=False, tag=None):
    """A GET whose answer has this many bytes, all of them checked."""
    return Ask(request("GET", f"/?size={size}" + ("&chunked=1" if chunked else "")), tag, size)


class Wire(asyncio.Protocol):
    """A connection with at most one request on it."""

    def __init__(self):
        self.buffer = bytearray()
        self.body = bytearray()
        self.ask = self.done = self.transport = None
        self.head = None
        self.left = 0  # of a body with a length, or of the chunk that comes
        self.is_open = True

    def connection_made(self, transport):
        self.transport = transport

    def send(self, ask):
        """A future of (outcome, server, retry_after)."""
        self.ask, self.head = ask, None
        self.body.clear()
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(ask.data)
        return self.done

    def end(self, outcome):
        if outcome == 200 and self.ask.size is not None and \
                self.body != PATTERN[:self.ask.size]:
            outcome = WRONG
        server = SERVER.search(self.body) if self.ask.size is None else None
        head = self.head or b""
        if not isinstance(outcome, int) or CLOSES.search(head):
            self.close()
        if not self.done.done():
            self.done.set_result((outcome, int(server[1]) if server else None,
                                  b"\r\nretry-after:" in head.lower()))
        self.ask = None

    def close(self):
        self.is_open = False
        self.transport.abort()

    def connection_lost(self, _error):
        self.is_open = False
        if self.ask:
            self.end(CUT if self.head or self.buffer else LOST)

    def data_received(self, data):
        self.buffer += data
        if not self.ask:
            self.close()  # bytes that nobody asked for; the next request sees it closed
            return
        while self.ask and self.advance():
            pass

    def advance(self):
        """Takes what has come a step further; false: more must come first."""
        if not self.head:
            return self.take_head()
        if CHUNKED.search(self.head):
            return self.take_chunk()
        taken = self.buffer[:self.left]
        self.body += taken
        self.left -= len(taken)
        del self.buffer[:len(taken)]
        if not self.left:
            self.end(WRONG if self.buffer else self.status)
        return False

    def take_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[:end + 4])
        del self.buffer[:end + 4]
        line, length = STATUS_LINE.match(head), LENGTH.search(head)
        if not line:
            self.end(WRONG)
            return False
        self.status = int(line[1])
        if self.status < 200:
            return True
        self.head = head
        self.left = int(length[1]) if length else 0
        if not length and not CHUNKED.search(head) and self.status not in (204, 304):
            self.end(WRONG)  # its end would say nothing
        return True

    def take_chunk(self):
        line = CHUNK.match(self.buffer)
        if not line:
            return False
        size, start = int(line[1], 16), line.end()
        if len(self.buffer) < start + size + 2:
            return False
        self.body += self.buffer[start:start + size]
        good = self.buffer[start + size:start + size + 2] == b"\r\n"
        del self.buffer[:start + size + 2]
        if not good:
            self.end(WRONG)
        elif size == 0:
            self.end(WRONG if self.buffer else self.status)
        return True


class Fire:
    """Runs from `with` to stop(), or until `count` requests are answered (wait()).

    make(connection, number) gives the Ask of the number-th request, of all connections together.
    source(connection) gives the address that the connection comes from.
    """

    def __init__(self, address, connections=100, make=lambda connection, number: GET, rate=None,
                 count=None, pause=0.0, source=None, patience=20.0):
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.connections, self.make, self.rate, self.count = connections, make, rate, count
        self.pause, self.source, self.patience = pause, source, patience
        self.answers = []
        self.error = None
        self.over = False
        self.numbers = itertools.count()
        self.thread = threading.Thread(target=self.run, daemon=True)

    # -- the drill's side

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No further request; what runs comes to its end."""
        self.over = True
        return self.wait()

    def wait(self):
        self.thread.join()
        if self.error:
            raise self.error
        return self

    def until_answers(self, count):
        while len(self.answers) < count and self.thread.is_alive():
            time.sleep(0.001)

    def outcomes(self, since=0.0):
        return dict(collections.Counter(answer.outcome for answer in self.answers
                                        if answer.began >= since))

    def bad(self, allowed=(200,)):
        return [answer for answer in self.answers if answer.outcome not in allowed]

    def percentile(self, share, since=0.0, until=float("inf")):
        return percentile([answer.seconds for answer in self.answers
                           if since <= answer.began < until], share)

    def servers(self, since=0.0):
        """Whole answers by the port of who gave them."""
        return collections.Counter(answer.server for answer in self.answers
                                   if answer.good and answer.began >= since)

    # -- the loop's side

    def run(self):
        try:
            asyncio.run(self.all())
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def next(self):
        """The number of the next request, or None when there is to be none."""
        if self.over:
            return None
        number = next(self.numbers)
        return None if self.count is not None and number >= self.count else number

    async def all(self):
        due = asyncio.Queue() if self.rate else None
        work = [self.one(index, due) for index in range(self.connections)]
        if due:
            work.append(self.clock(due))
        await asyncio.gather(*work)

    async def clock(self, due):
        began = time.monotonic()
        while (number := self.next()) is not None:
            when = began + number / self.rate
            if when > time.monotonic():
                await asyncio.sleep(when - time.monotonic())
            due.put_nowait((number, when))
        for _ in range(self.connections):
            due.put_nowait(None)

    async def one(self, index, due):
        wire = None
        while True:
            if due:
                job = await due.get()
            else:
                number = self.next()
                job = None if number is None else (number, time.monotonic())
            if job is None:
                break
            wire = await self.exchange(index, wire, *job)
            if self.pause:
                await asyncio.sleep(self.pause)
        if wire:
            wire.close()

    async def connect(self, index):
        local = (self.source(index), 0) if self.source else None
        _, wire = await asyncio.get_running_loop().create_connection(
            Wire, self.host, self.port, local_addr=local)
        return wire

    async def exchange(self, index, wire, number, began):
        """One request; gives the connection for the next one, or None."""
        ask = self.make(index, number)
        server, retry_after = None, False
        try:
            async with asyncio.timeout(self.patience):
                if not wire or not wire.is_open:
                    wire = await self.connect(index)
                outcome, server, retry_after = await wire.send(ask)
        except TimeoutError:
            outcome = LATE
        except OSError:
            outcome = REFUSED
        self.answers.append(Answer(began, time.monotonic() - began, outcome, server, ask.tag,
                                   retry_after))
        if outcome == REFUSED:
            await asyncio.sleep(0.01)
        if wire and (ask.closes or outcome in (LATE, REFUSED)):
            wire.close()
        return wire if wire and wire.is_open else None
