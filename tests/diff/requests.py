# SPDX-License-Identifier: Apache-2.0
"""Requests made by chance from a seed: valid ones by the grammar of RFC 9110 and 9112, and odd
ones.

A valid case knows what a reader must find in it. An odd case is a template of a known attack or a
valid case with some bytes changed, and knows nothing: some of them are valid by luck.
"""
import random
import string

TCHAR = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
UNRESERVED = string.ascii_letters + string.digits + "-._~"
SUB_DELIMS = "!$&'()*+;="  # without the comma: see the notes in run.py
PCHAR = UNRESERVED + SUB_DELIMS + ",:@"
VALUE = "".join(chr(c) for c in range(0x21, 0x7f)) + "".join(chr(c) for c in range(0x80, 0x100))
# CONNECT is refused by weir as a matter of policy and is among the odd ones.
METHODS = ("DELETE GET HEAD POST PUT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH "
           "UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY "
           "SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK").split()
NAMES = ("Accept Accept-Encoding Accept-Language Authorization Cache-Control Content-Type Cookie "
         "Date DNT ETag Forwarded From If-Match If-None-Match Origin Pragma Range Referer "
         "Sec-Fetch-Mode User-Agent Via Warning X-Forwarded-For X-Request-Id x_under_score").split()
# Node does not skip a tab behind the values of these; see LAXER in run.py.
SPACES_ONLY = ("connection", "content-length", "transfer-encoding")
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n"


class Case:
    """`data` is sent; a valid one expects method, target, minor, fields, body and trailers."""

    def __init__(self, label, data, expect=None):
        self.label, self.data, self.expect = label, data, expect

    @property
    def valid(self):
        return self.expect is not None


def latin(text):
    return text.encode("latin-1")


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def chance(self, share):
        return self.rng.random() < share

    def word(self, alphabet, low, high):
        return "".join(self.rng.choice(alphabet) for _ in range(self.rng.randint(low, high)))

    def any_case(self, text):
        return "".join(c.upper() if self.chance(0.5) else c.lower() for c in text)

    def escaped(self, alphabet, low, high):
        """Characters of `alphabet`, some of them as percent-escapes of anything."""
        return "".join(f"%{self.rng.randrange(256):02{self.rng.choice('xX')}}"
                       if self.chance(0.05) else self.rng.choice(alphabet)
                       for _ in range(self.rng.randint(low, high)))

    def blank(self):
        return self.word(" \t", 0, 3) if self.chance(0.3) else " "

    # -- parts of a request -----------------------------------------------------------------------

    def path(self):
        parts = [self.escaped(PCHAR, 0, 12) for _ in range(self.rng.randint(1, 5))]
        query = "?" + self.escaped(PCHAR + "/?", 0, 40) if self.chance(0.3) else ""
        return "/" + "/".join(parts) + query

    def host(self):
        kind = self.rng.randrange(5)
        if kind == 0:
            host = ".".join(str(self.rng.randrange(256)) for _ in range(4))
        elif kind == 1:
            host = self.rng.choice(["[::1]", "[2001:db8::7]", "[fe80::1:2]", "[::ffff:1.2.3.4]"])
        elif kind == 2:
            host = self.escaped(UNRESERVED + SUB_DELIMS, 1, 20)
        else:
            host = ".".join(self.word(string.ascii_letters + string.digits + "-", 1, 20)
                            for _ in range(self.rng.randint(1, 4)))
        if self.chance(0.4):
            host += ":" + self.rng.choice(["80", "8080", "1", "65535", "00443", ""])
        return host

    def value(self):
        """Inner white space is allowed, at the ends it would be stripped."""
        words = [self.word(VALUE, 1, 20) for _ in range(self.rng.randint(0, 5))]
        return self.rng.choice([" ", "\t", "  ", " \t "]).join(words)

    def fields(self, count_max=12):
        list_ = []
        for _ in range(self.rng.randint(0, count_max)):
            name = self.rng.choice(NAMES) if self.chance(0.7) else "Q" + self.word(TCHAR, 0, 25)
            list_.append((self.any_case(name) if self.chance(0.5) else name, self.value()))
        return list_

    def lines(self, fields):
        text = ""
        for name, value in fields:
            behind = self.blank()
            if name.lower() in SPACES_ONLY:
                behind = behind.replace("\t", " ")
            text += f"{name}:{self.blank()}{value}{behind}\r\n"
        return text

    def extension(self):
        text = ""
        for _ in range(self.rng.randint(1, 3)):
            text += ";" + self.word(TCHAR, 1, 8)
            if self.chance(0.5):
                text += "=" + self.word(TCHAR, 1, 8)
            elif self.chance(0.3):
                text += '="' + self.word(VALUE.replace('"', "").replace("\\", "") + " ", 0, 8) + '"'
        return text

    def chunked(self, body):
        text = b""
        while body:
            size = self.rng.randint(1, len(body))
            digits = f"{size:x}" if self.chance(0.5) else f"{size:04X}"
            text += latin(digits + (self.extension() if self.chance(0.2) else "") + "\r\n")
            text += body[:size] + b"\r\n"
            body = body[size:]
        trailers = [("Q" + self.word(TCHAR, 0, 12), self.value())
                    for _ in range(self.rng.randint(1, 3))] if self.chance(0.3) else []
        last = self.rng.choice(["0", "00", "000"])
        return text + latin(last + "\r\n" + self.lines(trailers) + "\r\n"), trailers

    def body(self):
        return bytes(self.rng.randrange(256) for _ in range(self.rng.choice([0, 1, 5, 40, 300])))

    # -- whole requests ---------------------------------------------------------------------------

    def valid(self):
        minor = 0 if self.chance(0.15) else 1
        method = self.rng.choice(METHODS) if self.chance(0.6) else "GET"
        target = self.path()
        if method == "OPTIONS" and self.chance(0.5):
            target = "*"
        elif self.chance(0.15):
            scheme = self.rng.choice(["http", "https", "HTTP"])
            target = f"{scheme}://{self.host()}" + ("" if self.chance(0.2) else self.path())
        fields = self.fields()
        if minor == 1 or self.chance(0.7):
            fields.insert(self.rng.randint(0, len(fields)), (self.any_case("Host"), self.host()))
        connection = self.rng.choice([None, None, None, "keep-alive", "close", "Keep-Alive, x",
                                      "x, CLOSE", ""])
        if connection is not None:
            fields.insert(self.rng.randint(0, len(fields)), ("Connection", connection))
        return self.framed(method, target, minor, fields)

    def framed(self, method, target, minor, fields):
        body, wire, trailers = b"", b"", []
        kind = self.rng.choice(["none", "length", "chunked"] if minor else ["none", "length"])
        place = self.rng.randint(0, len(fields))
        if kind == "length":
            body = wire = self.body()
            digits = f"{len(body)}" if self.chance(0.9) else f"{len(body):06}"
            fields.insert(place, (self.any_case("Content-Length"), digits))
        elif kind == "chunked":
            body = self.body()
            wire, trailers = self.chunked(body)
            fields.insert(place, (self.any_case("Transfer-Encoding"), self.any_case("chunked")))
        if body and minor and self.chance(0.1):
            fields.append(("Expect", "100-continue"))
        empty = "\r\n" * self.rng.randint(1, 2) if self.chance(0.05) else ""
        head = f"{empty}{method} {target} HTTP/1.{minor}\r\n{self.lines(fields)}\r\n"
        expect = {"method": latin(method), "target": latin(target), "minor": minor,
                  "fields": [(latin(n), latin(v)) for n, v in fields], "body": body,
                  "trailers": [(latin(n), latin(v)) for n, v in trailers]}
        return Case(f"valid {kind}", latin(head) + wire, expect)

    SPICE = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x0b", b"\x7f", b"\x80", b"\xff",
             b"#",
             b"%", b"@", b",", b";", b"=", b'"', b"/", b"0", b"1", b"5", b"a", b"x", b"-", b"_",
             b"\r\n ", b"\n\n", b"chunked", b"Content-Length: 1\r\n",
             b"Transfer-Encoding: chunked\r\n",
             b"Host: b\r\n", b"HTTP/1.0", b"\r\n\r\n"]

    def changed(self):
        data = bytearray(self.valid().data)
        for _ in range(self.rng.randint(1, 3)):
            at = self.rng.randrange(len(data))
            kind = self.rng.randrange(5)
            if kind == 0:
                data[at:at + 1] = self.rng.choice(self.SPICE)
            elif kind == 1:
                data[at:at] = self.rng.choice(self.SPICE)
            elif kind == 2:
                del data[at:at + self.rng.randint(1, 4)]
            elif kind == 3:
                data[at] ^= 1 << self.rng.randrange(8)
            else:
                size = self.rng.randint(1, 30)
                data[at:at] = data[at:at + size]
            if not data:
                break
        return Case("changed", bytes(data))


def templates():
    """Known attacks, each in the places where it can stand."""
    get, post = "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\n"
    chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
    for coding in ("chunked", " chunked", "\tchunked", "chunked ", "\x0bchunked", "chunked\x0b",
                   "xchunked", "chunked;x", "chunked;x=y", '"chunked"', "chunked,", ",chunked",
                   "chunked, chunked", "chunked, identity", "identity, chunked", "gzip, chunked",
                   "gzip,chunked", "gzip", "identity", "", ",", "chunked\0", "\0chunked", "cHuNkEd",
                   "chunked\x80", "chunked\r\nTransfer-Encoding: chunked",
                   "chunked\r\nTransfer-Encoding: identity",
                   "identity\r\nTransfer-Encoding: chunked",
                   "\r\n chunked", "chunked\r\n ", "chunked\n", "chunked\rX: y", "chunked, ,gzip"):
        for name in ("Transfer-Encoding", "transfer-encoding", "Transfer-Encoding ",
                     "Transfer_Encoding", "Transfer-Encoding\t", " Transfer-Encoding",
                     "Transfer\rEncoding", "Transfer-Encoding\0", "\x80Transfer-Encoding"):
            for length in ("", "Content-Length: 5\r\n", "Content-Length: 0\r\n"):
                yield "coding", f"{post}{length}{name}:{coding}\r\n\r\n0\r\n\r\n"
    for length in ("0", "5", "+5", "-5", "5,5", "5, 5", "5 5", "0x5", "5h", "5.", "5e0", "05",
                   "\xb2", "",
                   " ", "5\r\nContent-Length: 5", "5\r\nContent-Length: 6",
                   "5\r\nContent-Length: 0",
                   "9223372036854775807", "9223372036854775808", "9223372036854775813",
                   "18446744073709551615", "18446744073709551616", "18446744073709551621",
                   "99999999999999999999999", "5\x0b", "\x0b5", "5\0", "5\x80", "five", "'5'", "5;",
                   "5_0",
                   "4294967301", "\t5\t", "5\r\n 5", "5\n", "1 \r\nX: y"):
        for name in ("Content-Length", "content-length", "Content-Length ", "Content_Length",
                     "Content\rLength", " Content-Length", "Content-Length\0",
                     "Content-Length\x80"):
            yield "length", f"{post}{name}: {length}\r\n\r\nhello"
    for size in ("0x5", "+5", "-5", " 5", "5 ", "5\t", "5 5", "5 junk", "5;", "5;a", "5;a=b",
                 "5; a=b",
                 "5 ;a", '5;a="b"', '5;a="b', '5;a="\n"', "5;;a", "5;a;", "5;a b", "5;\x80",
                 "5;a=\0", "5,",
                 "1_0", "g", "", "\0", "05", "0000000000000005", "00000000000000000000000000000005",
                 "10000000000000005", "ffffffffffffffff", "8000000000000005", "5\r", "5\n", "5\r\r",
                 "\xb2",
                 "5;a\r", "5;a\n", "5;\n", "5;a=\"\r\n\"", "5\x0b", "5\x80", "5#", "5=a"):
        for line_end in ("\r\n", "\n", "\r", "\r\r\n", ""):
            yield "chunk size", f"{chunked}{size}{line_end}hello\r\n0\r\n\r\n"
            yield "last chunk", f"{chunked}5\r\nhello\r\n{size.replace('5', '0')}{line_end}\r\n"
    for behind in ("", "\r", "\n", "\n\r", "X\r\n", "\r\n\r\n", " \r\n", "\r\r\n", "\0\r\n", "XX",
                   "\r\n \r\n"):
        yield "chunk end", f"{chunked}5\r\nhello{behind}0\r\n\r\n"
    for trailer in ("X: y\r\n", "X : y\r\n", " X: y\r\n", "X\r\n", "Content-Length: 5\r\n",
                    "Host: b\r\n",
                    "Transfer-Encoding: chunked\r\n", "X: \0\r\n", "X: y\n", "\n", "X: y\r\n z\r\n",
                    ": y\r\n"):
        yield "trailer", f"{chunked}0\r\n{trailer}\r\n"
    for target in ("/", "", "*", "a", "/#b", "/\x80", "/\x7f", "/\x01", "/ ", " /", "//", "/a b",
                   "/\t", "/\0",
                   "http://b/", "http://b", "http://b?c", "http://u@b/", "http:///", "http:/b",
                   "ftp://b/",
                   "http://b:x/", "http://b:99999/", "b:80", "?a", "/a\\b", "/<>\"{}|^`",
                   "http://[::1]/",
                   "http://[::1", "http://b c/", "HTTP://B/", "ws://b/", "/%", "/%00", "/..",
                   "/\xe9"):
        for method in ("GET", "OPTIONS", "CONNECT"):
            yield "target", f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"
    for version in ("HTTP/1.0", "HTTP/1.2", "HTTP/1.10", "HTTP/2.0", "HTTP/0.9", "HTTP/1", "HTTP/",
                    "http/1.1",
                    "HTTP/1.1 ", " HTTP/1.1", "HTTP/01.1", "HTTP/1.1\0", "HTTP 1.1", "HTCPCP/1.0",
                    "",
                    "HTTP/1.1\tx", "HTTPS/1.1", "RTSP/1.0", "ICE/1.0", "HTTP/3.0", "HTTP/1.\xb2"):
        for line_end in ("\r\n", "\n", "\r", "\r\r\n", " \r\n"):
            yield "version", f"GET / {version}{line_end}Host: a\r\n\r\n"
    for method in ("get", "G ET", "GET\t", " GET", "", "G\0ET", "GETT", "G", "FOO", "PRI",
                   "DESCRIBE", "SETUP",
                   "SOURCE", "QUERY", "G@T", "\x80", "\x16\x03\x01"):
        yield "method", f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n"
    for host in ("Host:", "Host: ", "Host: b c", "Host: b,c", "Host: u@b", "Host: b/", "Host: b:x",
                 "Host: b:99999",
                 "Host: \0", "Host: b\x0b", "Host : b", " Host: b", "Host: [::1",
                 "Host: b\r\nHost: b",
                 "Host: b\r\nhost: c", "X: y", "Host: http://b/", "Host: b#c", "Host: b?c",
                 "Host: \x80"):
        for minor in (0, 1):
            yield "host", f"GET / HTTP/1.{minor}\r\n{host}\r\n\r\n"
    for line in ("X : y", "X\t: y", ": y", "X", "X y", "X\0: y", "X(: y", "X@: y", "X\x80: y",
                 "X\x7f: y", "[X]: y",
                 "X: y\0", "X: y\x01", "X: y\x1f", "X: y\x7f", "X: \x80", "X: y\rz", "X: y\nz: w",
                 "X:\n y", "X: y\r\n z",
                 "X: y\r\n\tz", " X: y", "\tX: y", "X:", "X: ", "X:\t", "\r", "\n", "\rX: y",
                 "X: y\r", "{X}: y", "X/Y: z",
                 "X\rY: z", "\"X\": y", "X;: y", "X=: y", "X\x0b: y", "X: \x0b", "X: y\x0c",
                 "Upgrade: h2c",
                 "Connection: upgrade\r\nUpgrade: websocket", "Connection: close", "Expect: x",
                 "Expect: 100-continue", "Connection: keep-alive\r\nConnection: close"):
        for line_end in ("\r\n", "\n", "\r", "\r\r\n"):
            yield "field", f"{get}{line}{line_end}\r\n"
            yield "field with body", f"{post}Content-Length: 5\r\n{line}{line_end}\r\nhello"
    for line in ("Connection: close", "Content-Length: 5", "Transfer-Encoding: chunked"):
        yield "tab", f"{post}{line}\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for start in ("\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\n", "\r", " ", "\0", "\r\r\n", "\n\n",
                  "\r\n ", "\t"):
        yield "start", f"{start}{get}\r\n"
    for end in ("\n", "\r", "\r\r\n", "\n\r\n", "\0\r\n", " \r\n", ""):
        yield "head end", f"{get}{end}"


def make(seed, valid_count, changed_count):
    """Deterministic: the same arguments give the same cases. No two have the same bytes."""
    maker = Maker(seed)
    cases = [maker.valid() for _ in range(valid_count)]
    cases += [Case(label, latin(text)) for label, text in templates()]
    cases += [maker.changed() for _ in range(changed_count)]
    seen, distinct = set(), []
    for case in cases:
        if case.data not in seen:
            seen.add(case.data)
            distinct.append(case)
    return distinct
