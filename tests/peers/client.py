# SPDX-License-Identifier: Apache-2.0
"""A client that sends any bytes and reads by the letter."""
import socket

from . import http1
from .net import connect, reset


class Client:
    def __init__(self, address, source=None):
        self.sock = connect(address, source)
        self.reader = http1.Reader(self.sock)

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(part)
        return self

    def dribble(self, data):
        """Byte by byte, each a segment of its own."""
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])
        return self

    def ask(self, method="GET", target="/", *fields, **rest):
        """Sends a request and gives the response."""
        self.send(http1.request(method, target, *fields, **rest))
        return self.reader.response(method)

    def response(self, method="GET", final=True):
        return self.reader.response(method, final)

    def end(self):
        """No more bytes from here on."""
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self):
        return self.reader.rest()

    def is_closed(self):
        """Whether weir ended the stream with nothing more to say (waits for it)."""
        return self.reader.at_end()

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
