# SPDX-License-Identifier: Apache-2.0
"""Backends: a listener whose connections are each served by a script on a thread, and which
remembers everything that it got."""
import json
import os
import socket
import struct
import threading
import time

from . import http1
from .net import HANG_SECONDS, HOST, reset, until


class Connection:
    """One connection from weir."""

    def __init__(self, backend, sock, index):
        self.backend, self.sock, self.index = backend, sock, index
        self.reader = http1.Reader(sock)
        self.reader.record = self.raw = bytearray()
        self.requests = []  # those that were read whole
        self.error = None  # what ended the script, if anything
        self.closed = threading.Event()

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(part)

    def head(self):
        """The next request's head; its body is still to be read."""
        message = self.reader.request_head()
        if message:
            self.backend.note(self, message)
        return message

    def request(self):
        """The next request with its body, or None when weir closed."""
        message = self.head()
        if message:
            self.reader.body(message, False)
            self.requests.append(message)
        return message

    def reset(self):
        reset(self.sock)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


class Backend:
    """Listens until stop(). `script(connection)` runs once per connection; when it returns, the
    connection is closed in order."""

    def __init__(self, script=None, host=HOST, port=0, path=None, name=None):
        self.script = script or serve(echo)
        self.name = name
        self.connections = []
        self.heads = []  # of all requests, in the order of their coming
        self.lock = threading.Lock()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind("\0" + path[1:] if path.startswith("@") else path)
            self.address = f"unix:{path}"
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, port))
            self.port = self.listener.getsockname()[1]
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.listener.listen(4096)
        self.stopping = False
        self.thread = threading.Thread(target=self.accept_all, daemon=True)
        self.thread.start()

    def accept_all(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                sock.close()
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(HANG_SECONDS)
            with self.lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
            self.accepted()
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def accepted(self):
        """A connection has just come."""

    def run(self, connection):
        try:
            self.script(connection)
        except (OSError, AssertionError) as error:
            connection.error = error
        finally:
            connection.close()
            connection.closed.set()

    def note(self, connection, message):
        message.connection = connection
        message.at = time.monotonic()
        with self.lock:
            self.heads.append(message)

    @property
    def served(self):
        """The heads of requests that were no health checks."""
        return [head for head in list(self.heads)
                if not (head.get("user-agent") or "").endswith(" health-check")]

    @property
    def received(self):
        """Bytes from weir over all connections."""
        return sum(connection.reader.total for connection in list(self.connections))

    def last(self):
        return self.heads[-1]

    def wait_connections(self, count):
        until(lambda: len(self.connections) >= count, f"{count} connections to the backend")

    def stop(self):
        """Refuses from here on; what runs is cut."""
        self.stopping = True
        try:  # wakes the accept
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(HANG_SECONDS)
        if self.address.startswith("unix:/"):
            os.unlink(self.address[5:])
        for connection in list(self.connections):
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.stopping:
            self.stop()


TCP_CLOSE = 7  # the state of a socket that was reset, or whose ends are both over


class Counting(Backend):
    """Knows how many of its connections were open at the same time, `open_most`. One counts from
    its accept until both sides have closed it, or a reset has come."""

    def __init__(self, *args, **rest):
        self.open_most = 0
        super().__init__(*args, **rest)

    def is_open(self, connection):
        try:
            info = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        except OSError:
            return False  # the script has closed it
        return struct.unpack("B", info)[0] != TCP_CLOSE

    def open(self):
        return sum(self.is_open(connection) for connection in list(self.connections))

    def accepted(self):
        self.open_most = max(self.open_most, self.open())


class Gate:
    """A script for requests that wait: each waits until it is let through, in any order; /free does
    not. `inside_most`: how many waited or were served at the same time."""

    def __init__(self, answer=None):
        self.answer = answer or echo
        self.condition = threading.Condition()
        self.waiting = []  # requests, in the order of their coming
        self.is_open = False
        self.inside = self.inside_most = 0

    def __call__(self, connection):
        while message := connection.request():
            if message.target == "/free":
                connection.send(self.answer(message))
                continue
            with self.condition:
                self.inside += 1
                self.inside_most = max(self.inside_most, self.inside)
                self.waiting.append(message)
                self.condition.notify_all()
                self.condition.wait_for(
                    lambda: self.is_open or message not in self.waiting, HANG_SECONDS)
                if message in self.waiting:
                    self.waiting.remove(message)
                self.inside -= 1
            connection.send(self.answer(message))

    def wait(self, count=1):
        """Until so many wait; gives their targets."""
        with self.condition:
            assert self.condition.wait_for(lambda: len(self.waiting) >= count, HANG_SECONDS), \
                f"waited in vain for {count} requests: {self.waiting}"
            return [message.target for message in self.waiting]

    def let(self, target=None):
        """Lets the oldest through, or the one for this target."""
        with self.condition:
            assert self.condition.wait_for(
                lambda: any(target in (None, each.target) for each in self.waiting), HANG_SECONDS)
            self.waiting.remove(next(
                each for each in self.waiting if target in (None, each.target)))
            self.condition.notify_all()

    def open(self):
        """Nobody waits any more."""
        with self.condition:
            self.is_open = True
            self.condition.notify_all()


def serve(answer):
    """A script that gives each request to `answer(request)` and sends the bytes it gives. An answer
    of None ends the connection; bytes with `Connection: close` end it after they are sent."""
    def script(connection):
        while True:
            message = connection.request()
            if not message:
                return
            data = answer(message)
            if data is None:
                return
            connection.send(data)
            if b"\r\nconnection: close\r\n" in data.split(b"\r\n\r\n")[0].lower() + b"\r\n":
                return
    return script


def described(message):
    """What a request was, as a JSON text."""
    return json.dumps({
        "method": message.method, "target": message.target, "fields": message.fields,
        "length": len(message.body), "trailers": message.trailers,
        "backend": message.connection.backend.name,
        "connection": message.connection.index,
    }).encode()


def echo(message):
    """Answers with a description of the request."""
    body = described(message)
    fields = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return http1.head("HTTP/1.1 200 OK", *fields) + (b"" if message.method == "HEAD" else body)


def fixed(status=200, *fields, **rest):
    """Always the same answer."""
    data = http1.response(status, *fields, **rest)
    return serve(lambda message: data)


def held(go, answer=echo):
    """Answers once the event `go` is set; after a while anyway, so that a test that failed ends."""
    def later(message):
        go.wait(20)
        return answer(message)

    return serve(later)


def raw(data, then="close"):
    """Answers the first request of a connection with these bytes, then closes, resets or waits for
    weir to close."""
    def script(connection):
        if not connection.request():
            return
        connection.send(data)
        if then == "reset":
            connection.reset()
        elif then == "wait":
            connection.reader.rest()
    return script


def tcp_echo(connection):
    """Sends back what comes, and its end."""
    while True:
        data = connection.sock.recv(256 * 1024)
        if not data:
            connection.sock.shutdown(socket.SHUT_WR)
            return
        connection.raw += data
        connection.reader.total += len(data)
        connection.sock.sendall(data)


def full_listener(host=HOST):
    """(socket, address, [sockets that fill it]): connecting to it neither succeeds nor fails."""
    listener = socket.socket()
    listener.bind((host, 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []
    for _ in range(2):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    return listener, f"{address[0]}:{address[1]}", fillers
