# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames as a test wants them, in either role. Nothing is checked on the way out."""
import socket
import struct

import hpack
from hyperframe import frame as frames
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame,
                              PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)

from .net import connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM = range(12)


def raw(kind, flags, stream, payload=b""):
    """A frame of any type, with any flags, as bytes."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


class Closed(AssertionError):
    """The peer ended the connection while something was waited for."""


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.interim = []
        self.fields = None
        self.trailers = None
        self.body = b""
        self.ended = False
        self.reset = None  # the code of its RST_STREAM

    @property
    def status(self):
        return int(dict(self.fields)[":status"])

    def get(self, name, default=None):
        return dict(self.fields).get(name, default)

    def all(self, name):
        return [value for key, value in self.fields if key == name]


class Peer:
    """One end of a connection. SETTINGS and PING are answered as they come, and windows given back,
    unless `quiet`."""

    def __init__(self, sock, quiet=False):
        self.sock, self.quiet = sock, quiet
        self.buffer = b""
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.streams = {}
        self.goaway = None  # the last one
        self.goaways = []
        self.settings = {}
        self.acks = 0
        self.pongs = []
        self.was_reset = False
        self.block = None  # a header block that is not complete: [stream, end, bytes]
        self.given, self.used = {0: 65535}, {}  # bytes of bodies by stream; 0: of all of them

    # Out

    def send(self, *parts):
        data = b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was sent before may have been enough

    def pack(self, fields):
        return self.encoder.encode(fields)

    def headers(self, stream, fields, end=False, **rest):
        frame = HeadersFrame(stream, self.pack(fields), **rest)
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def room(self, stream):
        """How many bytes of a body may be sent on it now."""
        initial = self.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535)
        return min(self.given[0] - self.used.get(0, 0),
                   initial + self.given.get(stream, 0) - self.used.get(stream, 0))

    def data(self, stream, data=b"", end=False):
        for each in (0, stream):
            self.used[each] = self.used.get(each, 0) + len(data)
        frame = DataFrame(stream, data)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    # In

    def exactly(self, count):
        while len(self.buffer) < count:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                self.was_reset = True
                data = b""
            if not data:
                raise Closed(f"the peer ended; GOAWAY {self.goaway}")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def frame(self):
        """The next frame, noted in what is known of its stream."""
        head = memoryview(self.exactly(9))
        frame, length = Frame.parse_frame_header(head)
        frame.parse_body(memoryview(self.exactly(length)))
        self.note(frame)
        return frame

    def stream(self, number):
        return self.streams.setdefault(number, Answer())

    def note(self, frame):
        if isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.acks += 1
            else:
                self.settings.update(frame.settings)
                if not self.quiet:
                    self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs.append(frame.opaque_data)
            elif not self.quiet:
                self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, WindowUpdateFrame):
            self.given[frame.stream_id] = \
                self.given.get(frame.stream_id, 0) + frame.window_increment
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame
            self.goaways.append(frame)
        elif isinstance(frame, RstStreamFrame):
            self.stream(frame.stream_id).reset = frame.error_code
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self.note_block(frame)
        elif isinstance(frame, DataFrame):
            answer = self.stream(frame.stream_id)
            answer.body += frame.data
            answer.ended |= "END_STREAM" in frame.flags
            if frame.flow_controlled_length and not self.quiet:
                self.send(WindowUpdateFrame(0, frame.flow_controlled_length))
                if not answer.ended:
                    self.send(WindowUpdateFrame(
                        frame.stream_id, frame.flow_controlled_length))

    def note_block(self, frame):
        if isinstance(frame, HeadersFrame):
            self.block = [frame.stream_id, "END_STREAM" in frame.flags, b""]
        self.block[2] += frame.data
        if "END_HEADERS" not in frame.flags:
            return
        stream, end, data = self.block
        fields = [(str(name), str(value)) for name, value in self.decoder.decode(data)]
        answer = self.stream(stream)
        status = dict(fields).get(":status", "200")
        if answer.fields is not None:
            answer.trailers = fields
        elif status.startswith("1"):
            answer.interim.append(fields)
        else:
            answer.fields = fields
        answer.ended |= end

    def until(self, condition):
        """Reads until `condition()` holds."""
        while not condition():
            self.frame()

    def finish(self):
        """Reads until the peer ends."""
        try:
            while True:
                self.frame()
        except Closed:
            pass

    def answer(self, stream):
        """Everything that comes on it."""
        answer = self.stream(stream)
        self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client(Peer):
    """Connected, its preface sent."""

    def __init__(self, address, settings=None, quiet=False, greet=True, source=None):
        super().__init__(connect(address, source), quiet)
        self.next = 1
        if greet:
            self.send(PREFACE, SettingsFrame(0, settings or {}))

    def ask_frames(self, method="GET", path="/", *fields, body=None, trailers=None, scheme="http",
                   authority="weir.test"):
        """(stream, frames) of a request."""
        stream, self.next = self.next, self.next + 2
        head = [(":method", method), (":scheme", scheme), (":authority", authority),
                (":path", path), *fields]
        out = [self.headers(stream, head, end=body is None and trailers is None)]
        if body is not None:
            for at in range(0, max(len(body), 1), 16384):
                piece = body[at:at + 16384]
                out.append(self.data(stream, piece,
                                     end=trailers is None and at + 16384 >= len(body)))
        if trailers is not None:
            out.append(self.headers(stream, trailers, end=True))
        return stream, out

    def ask(self, *args, **rest):
        """Sends a request; gives its stream."""
        stream, out = self.ask_frames(*args, **rest)
        self.send(*out)
        return stream

    def get(self, *args, **rest):
        """A request and its whole answer."""
        return self.answer(self.ask(*args, **rest))


def serve(handler, settings=None):
    """A script for peers.backend.Backend: greets, and calls `handler(peer, stream)` for each request
    that is complete. The request's fields, body and trailers are peer.stream(stream)."""
    def script(connection):
        peer = Peer(connection.sock)
        connection.peer = peer
        try:
            assert peer.exactly(len(PREFACE)) == PREFACE
            peer.send(SettingsFrame(0, settings or {}))
            served = set()
            while True:
                peer.frame()
                for number, request in list(peer.streams.items()):
                    if request.ended and number not in served:
                        served.add(number)
                        handler(peer, number)
        except Closed:
            pass
        except OSError:
            pass
    return script


def hello(peer, stream):
    peer.send(peer.headers(stream, [(":status", "200"), ("content-type", "text/plain")]),
              peer.data(stream, b"hello", end=True))


def echo(peer, stream):
    """Sends back what came: the body, and the fields as x-seen lines."""
    request = peer.stream(stream)
    fields = [(":status", "200")] + [("x-seen", f"{name}={value}")
                                     for name, value in request.fields]
    peer.send(peer.headers(stream, fields))
    send_body(peer, stream, request.body, end=request.trailers is None)
    if request.trailers is not None:
        peer.send(peer.headers(stream, request.trailers, end=True))


def send_body(peer, stream, body, end=True):
    """In pieces, as the windows allow."""
    if not body:
        peer.send(peer.data(stream, b"", end=end))
    for at in range(0, len(body), 16384):
        piece = body[at:at + 16384]
        peer.until(lambda size=len(piece): peer.room(stream) >= size)
        peer.send(peer.data(stream, piece, end=end and at + 16384 >= len(body)))


__all__ = ["Client", "Peer", "Closed", "serve", "hello", "echo", "send_body", "raw", "frames",
           "ContinuationFrame", "DataFrame", "GoAwayFrame", "HeadersFrame", "PingFrame",
           "PriorityFrame", "RstStreamFrame", "SettingsFrame", "WindowUpdateFrame", "socket"]
