# SPDX-License-Identifier: Apache-2.0
"""A strict reader of HTTP/1 messages, and a few ways to write them."""
import re

START = re.compile(rb"[\x20-\x7e]+\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\xff]+) HTTP/1\.([01])\Z")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
                   rb"((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                   rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*\Z")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})\Z")


class Malformed(AssertionError):
    """What came is not HTTP/1 by the letter."""


class Cut(AssertionError):
    """The byte stream ended inside a message. `got` is what came of its body."""

    def __init__(self, why, got=b""):
        super().__init__(why)
        self.got = got


class Message:
    """A request or a response with its whole body."""

    def __init__(self):
        self.line = b""
        self.minor = None
        self.method = self.target = None
        self.status = self.reason = None
        self.fields = []  # (name as sent, value), in order
        self.body = b""
        self.trailers = []
        self.framing = None  # "none", "length", "chunked", "close"
        self.interim = []  # the 1xx heads before a response
        self.raw_head = b""

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else default

    def has(self, name):
        return bool(self.all(name))

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.line!r} {self.fields} {len(self.body)} bytes>"


def parse_fields(lines):
    fields = []
    for line in lines:
        match = FIELD.match(line)
        if not match:
            raise Malformed(f"field line {line!r}")
        fields.append((match[1].decode(), match[2].decode("latin-1")))
    return fields


class Reader:
    """Reads messages from a socket; keeps what came behind them."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.ended = False
        self.total = 0  # bytes received
        self.record = None  # a bytearray that gets all of them, when set

    def fill(self):
        if self.ended:
            return False
        data = self.sock.recv(256 * 1024)
        if not data:
            self.ended = True
            return False
        self.total += len(data)
        self.buffer += data
        if self.record is not None:
            self.record += data
        return True

    def line(self):
        while True:
            end = self.buffer.find(b"\n")
            if end >= 0:
                line = bytes(self.buffer[:end + 1])
                del self.buffer[:end + 1]
                if not line.endswith(b"\r\n"):
                    raise Malformed(f"line without CRLF: {line!r}")
                return line[:-2]
            if not self.fill():
                raise Cut(f"end of stream inside a line: {bytes(self.buffer)!r}")

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                got = bytes(self.buffer)
                raise Cut(f"end of stream after {len(got)} of {count} bytes", got)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def rest(self):
        """Everything until the peer's end."""
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def at_end(self):
        """Nothing more comes, in good order."""
        return not self.buffer and not self.fill()

    def head_lines(self):
        lines = [self.line()]
        while True:
            line = self.line()
            if not line:
                return lines
            lines.append(line)

    def chunked(self, message):
        parts = []
        try:
            while True:
                line = self.line()
                match = CHUNK_SIZE.match(line)
                if not match:
                    raise Malformed(f"chunk line {line!r}")
                size = int(match[1], 16)
                if size == 0:
                    break
                parts.append(self.exactly(size))
                if self.exactly(2) != b"\r\n":
                    raise Malformed("chunk data not followed by CRLF")
            lines = []
            while True:
                line = self.line()
                if not line:
                    break
                lines.append(line)
        except Cut as cut:
            raise Cut(f"chunked body cut: {cut}", b"".join(parts) + cut.got) from None
        message.trailers = parse_fields(lines)
        message.body = b"".join(parts)

    def body(self, message, may_close):
        encoding = message.all("transfer-encoding")
        length = message.all("content-length")
        if encoding:
            if encoding != ["chunked"] or length:
                raise Malformed(f"framing {encoding} {length}")
            message.framing = "chunked"
            self.chunked(message)
        elif length:
            if len(length) != 1 or not length[0].isdigit():
                raise Malformed(f"Content-Length {length}")
            message.framing = "length"
            message.body = self.exactly(int(length[0]))
        elif may_close:
            message.framing = "close"
            message.body = self.rest()
        else:
            message.framing = "none"

    def head(self):
        lines = self.head_lines()
        message = Message()
        message.raw_head = b"\r\n".join(lines) + b"\r\n\r\n"
        message.line = lines[0]
        message.fields = parse_fields(lines[1:])
        return message

    def request_head(self):
        """The next request without its body, or None at the end of the stream."""
        if not self.buffer and not self.fill():
            return None
        message = self.head()
        match = REQUEST_LINE.match(message.line)
        if not match:
            raise Malformed(f"request line {message.line!r}")
        message.method, message.target = match[1].decode(), match[2].decode("latin-1")
        message.minor = int(match[3])
        return message

    def request(self):
        message = self.request_head()
        if message:
            self.body(message, False)
        return message

    def response_head(self):
        message = self.head()
        match = STATUS_LINE.match(message.line)
        if not match:
            raise Malformed(f"status line {message.line!r}")
        message.minor, message.status = int(match[1]), int(match[2])
        message.reason = match[3].decode("latin-1")
        return message

    def response(self, method="GET", final=True):
        """The next response; with `final`, the 1xx heads before it go into `.interim`."""
        interim = []
        while True:
            message = self.response_head()
            if not final or message.status >= 200 or message.status == 101:
                break
            interim.append(message)
        message.interim = interim
        if method == "HEAD" or message.status < 200 or message.status in (204, 304):
            message.framing = "none"
        else:
            self.body(message, True)
        return message


def to_bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def head(line, *fields):
    """A head of a start line and "Name: value" lines."""
    return b"".join(to_bytes(part) + b"\r\n" for part in (line, *fields)) + b"\r\n"


def request(method="GET", target="/", *fields, body=None, host="weir.test", chunks=None,
            trailers=(), minor=1):
    lines = list(fields)
    if host is not None:
        lines.insert(0, f"Host: {host}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
    data = head(f"{method} {target} HTTP/1.{minor}", *lines)
    if body is not None:
        data += body
    if chunks is not None:
        data += chunked(chunks, trailers)
    return data


def response(status=200, *fields, body=None, chunks=None, trailers=(), reason="Fine", minor=1):
    lines = list(fields)
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
    data = head(f"HTTP/1.{minor} {status} {reason}", *lines)
    if body is not None:
        data += to_bytes(body)
    if chunks is not None:
        data += chunked(chunks, trailers)
    return data


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(chunks, trailers=()):
    return (b"".join(chunk(data) for data in chunks if data) + b"0\r\n" +
            b"".join(to_bytes(line) + b"\r\n" for line in trailers) + b"\r\n")
