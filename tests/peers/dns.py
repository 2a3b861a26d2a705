# SPDX-License-Identifier: Apache-2.0
"""A name server that says what the test wants, by UDP: A, AAAA and SRV records with their lifetimes,
names that are not there, failures, silence."""
import ipaddress
import socket
import struct
import threading

from .net import HOST, free_port

A, AAAA, SRV, CNAME = 1, 28, 33, 5
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def _name(text):
    parts = [part.encode() for part in text.rstrip(".").split(".") if part]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _data(kind, value):
    if kind in (A, AAAA):
        return ipaddress.ip_address(value).packed
    if kind == CNAME:
        return _name(value)
    priority, weight, port, target = value
    return struct.pack("!HHH", priority, weight, port) + _name(target)


class Dns:
    """`records`: {(name, type): [values]}; change it whenever you like. `status`: for every
    question, when not None. `is_silent`: no answers."""

    def __init__(self, records=None, ttl=1):
        self.records = dict(records or {})
        self.ttl = ttl
        self.status = None
        self.is_silent = False
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((HOST, free_port()))
        self.address = "%s:%d" % self.sock.getsockname()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        values = self.records.get((name, kind), [])
        is_known = any(known == name for known, _ in self.records)
        status = self.status if self.status is not None else NOERROR if is_known else NXDOMAIN
        if status != NOERROR:
            values = []
        answers = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(_data(kind, value)))
            + _data(kind, value) for value in values)
        return (query[:2] + struct.pack("!HHHHH", 0x8180 | status, 1, len(values), 0, 0)
                + query[12:at + 5] + answers)

    def _serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            if len(query) < 13:
                return
            if not self.is_silent:
                self.sock.sendto(self._answer(query), peer)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"end", self.sock.getsockname())
        self.thread.join()
        self.sock.close()
