#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz targets for HTTP/1 and what is in its fields, to
corpus/{request,response,chunked,load_report,trace_context}/.

Deterministic: a second run writes the same files and removes none. Names are those libFuzzer gives
(SHA-1 of the content), so that what a fuzzer finds later lies beside them.
"""
import hashlib
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "diff"))
import requests  # noqa: E402  (the generator of the comparison with Node)

SEED = 7


def short(maker):
    """A valid request of at most 600 bytes."""
    while True:
        case = maker.valid()
        if len(case.data) <= 600:
            return case


def some(rng, cases, count):
    cases = list(cases)
    return cases if len(cases) <= count else rng.sample(cases, count)


def templates(*labels):
    return [requests.latin(text) for label, text in requests.templates() if label in labels]


def request_inputs(rng, maker):
    heads = [short(maker).data.partition(b"\r\n\r\n") for _ in range(80)]
    inputs = [head + end for head, end, _ in heads]
    inputs += some(rng, templates("target"), 60) + some(rng, templates("version"), 30)
    inputs += templates("method", "start", "head end") + some(rng, templates("host"), 30)
    inputs += some(rng, templates("field"), 60) + some(rng, templates("coding"), 40)
    inputs += some(rng, templates("length"), 40)
    for path in ("/a/../b", "/../a", "/%2e%2E/", "/a/./b/.", "/%00", "/%c0%ae", "/%e0%80%80", "/a%",
                 "//a/..",
                 "/%61%2f%5c", "/.a/..b", "/%F0%80%80%80", "/a/..?b"):
        inputs.append(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    many = "".join(f"f{i}: {i}\r\n" for i in range(140))
    inputs.append(f"GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n".encode())
    inputs.append(b"GET /" + b"a" * 4096 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    inputs.append(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 16384 + b"\r\n\r\n")
    inputs.append(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + b"a," * 33 + b"\r\n\r\n")
    for lines in ("Connection: x, cookie\r\nX: 1\r\nCookie: 2", "Connection: close",
                  "Connection: Keep-Alive",
                  "Connection: upgrade\r\nUpgrade: websocket",
                  "Connection: upgrade\r\nUpgrade: a, h2c",
                  "Connection: host, x-forwarded-for\r\nX-Forwarded-For: 1.2.3.4",
                  "Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2", "TE: trailers\r\nKeep-Alive: 5",
                  "Expect: 100-continue\r\nContent-Length: 5", "Expect: 200-ok",
                  "Expect: x\r\nExpect: y",
                  "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip,, chunked"):
        for minor in (0, 1):
            inputs.append(f"POST / HTTP/1.{minor}\r\nHost: a\r\n{lines}\r\n\r\n".encode())
    for lines in ("Cookie: a=1; b=2", "Cookie: a=;b", "Cookie:  a = \"x;y\" ;=", "Cookie: ;a=1",
                  "Cookie: a=1\r\nX: y\r\nCookie: a=2; c=3"):
        for query in ("?a", "?a=1&b=2", "?=&&a=b=c?d", "?"):
            inputs.append(f"GET /{query} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n".encode())
    for host in ("a%2Eb:80", "a%2", "[::1]:443", "[::1", "a!b", "a:0", "a:65536", "a:",
                 "A-LONG-NAME.EXAMPLE:8080"):
        inputs.append(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    inputs.append(b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Accept: x\r\nVia: y\r\n"
                  b"Transfer-Encodinq: z\r\n\r\n")
    return inputs


def response_inputs(rng, maker):
    lines = [f"HTTP/1.{minor} {status} {reason}" for minor in (0, 1)
             for status in (100, 101, 103, 200, 204, 206, 301, 304, 404, 500, 599, 999)
             for reason in ("", "Fine", "two words\t\x80")]
    odd = ["HTTP/1.1 200", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2", "HTTP/1.1 20 OK",
           "HTTP/1.1 2000 OK",
           "HTTP/1.1 099 x", "HTTP/1.1 2x0 x", "HTTP/1.1  200 x", "HTTP/1.1\t200 x",
           "HTTP/1.1 200\tx",
           "HTTP/1.1 200OK", "HTTP/1.2 200 x", "HTTP/2.0 200 x", "HTTP/0.9 200 x", "HTTP/2 200",
           "HTTP/1.10 200 x",
           "http/1.1 200 x", "ICY 200 OK", "HTTP/1.1 200 \0", "HTTP/1.1 200 \x7f",
           "HTTP/1.1 200 x\r", "",
           "\r\nHTTP/1.1 200 x", " HTTP/1.1 200 x", "HTTP/1.1 -20 x", "HTTP/1.1 200 x\nX: y",
           "<html>"]
    framings = ["", "Content-Length: 5\r\n", "Content-Length: 0\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: x\r\n",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: gzip\r\n",
                "Transfer-Encoding: gzip, chunked\r\n", "Connection: close\r\n",
                "Connection: keep-alive\r\nContent-Length: 9\r\n",
                "Connection: upgrade\r\nUpgrade: websocket\r\n",
                "Connection: upgrade\r\nUpgrade: h2c\r\n",
                "Content-Length: 9223372036854775808\r\n"]
    texts = [f"{line}\r\n{rng.choice(framings)}\r\n" for line in lines]
    texts += [f"{line}\r\n{framing}\r\n" for line in rng.sample(lines, 5) for framing in framings]
    texts += [f"{line}\r\n\r\n" for line in odd]
    texts += [f"HTTP/1.1 200 OK\r\n{maker.lines(maker.fields(6))}{rng.choice(framings)}\r\n"
              for _ in range(60)]
    inputs = [requests.latin(text) for text in texts]
    inputs += [b"HTTP/1.1 200 OK\r\n" + text.partition(b"\r\n")[2]
               for text in some(rng, templates("field"), 50)]
    return inputs


def chunked_inputs(rng, maker):
    inputs = some(rng, templates("chunk size"), 110) + some(rng, templates("last chunk"), 90)
    inputs += templates("chunk end", "trailer")
    inputs = [text.partition(b"\r\n\r\n")[2] for text in inputs]
    for _ in range(80):
        inputs.append(maker.chunked(maker.body())[0])
    inputs.append((b"1;" + b"a" * 200 + b"\r\nx\r\n") * 90 + b"0\r\n\r\n")
    inputs.append(b"0\r\n" + b"".join(b"f%d: x\r\n" % i for i in range(130)) + b"\r\n")
    return inputs


def load_report_inputs(rng, _maker):
    numbers = ["0", "1", "12", "3.5", "0.000001", "007", "1000000", "1000000.0", "1000001", "3600000",
               "3600000.5", "3.5000000000000001", "", ".5", "5.", "1.2.3", "-1", "+1", "1e3", "0x1",
               "nan", "1 2", "18446744073709551616", "9" * 32, "0" * 33, "1." + "0" * 32]
    texts = [f"in_flight={number}" for number in numbers]
    texts += [f"in_flight=1, latency_ms={number}" for number in numbers]
    texts += [f"latency_ms={number},in_flight={number}" for number in numbers]
    texts += [f"cpu={number}, in_flight = 4\t;x" for number in numbers]
    texts += ["a," * count + "in_flight=1" for count in (1, 2, 29, 30, 31, 32, 33)]
    texts += ["in_flight=1,in_flight=1", "latency_ms=1,latency_ms=1,in_flight=1", "IN_FLIGHT=1",
              'in_flight=1,x="a,b"', "=", ",", "=,=", "in_flight", "latency_ms=1", "in_flight==1",
              "\x80=1,in_flight=1", "in_flight=1\0", "in_flight\0=1"]
    members = ["in_flight", "latency_ms", "cpu", "in_flight ", ""]
    for _ in range(130):
        count = rng.randint(1, 5)
        texts.append(rng.choice((",", ", ", " ,\t")).join(
            rng.choice(members) + rng.choice(("=", " = ", "")) + rng.choice(numbers[:12])
            for _ in range(count)))
    return [requests.latin(text) for text in texts]


def trace_context_inputs(rng, _maker):
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    parents = [f"{version}-{trace}-{span}-{flags}{more}" for version in ("00", "01", "cc", "ff", "0x")
               for flags in ("00", "01", "02", "03", "ff", "0", "0g") for more in ("", "-", "-x", "x")]
    parents += [f"00-{'0' * 32}-{span}-01", f"00-{trace}-{'0' * 16}-01", f"00-{trace.upper()}-{span}-01",
                f"00-{trace}--{span}-01", f"00-{trace[1:]}-{span}-01", "", "00", f"00-{trace}-{span}"]
    states = ["", "a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "foo=1 \t , \t bar=2", "a=1,,b=2,",
              "foo@vendor=1", "foo =1", "FOO=1", "@foo=1", "foo=1=2", "foo=", "=1", "foo", "a=\x80",
              "a=1\nb=2\n\nc=3", ",".join(["a=1"] * 32), ",".join(["a=1"] * 33),
              "k" * 256 + "=" + "v" * 256, "k" * 257 + "=v", "k=" + "v" * 257, "a= b", "a=b "]
    for _ in range(60):
        states.append(rng.choice((",", ", ", "\n")).join(
            f"k{i}={'v' * rng.choice((1, 5, 126, 127, 128, 200))}" for i in range(rng.randint(1, 12))))
    texts = parents + [f"{rng.choice(parents)}\n{state}" for state in states]
    return [requests.latin(text) for text in texts]


def main():
    rng, maker = random.Random(SEED), requests.Maker(SEED)
    for name, make in (("request", request_inputs), ("response", response_inputs),
                       ("chunked", chunked_inputs), ("load_report", load_report_inputs),
                       ("trace_context", trace_context_inputs)):
        folder = HERE / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        inputs = set(make(rng, maker))
        for data in inputs:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
        print(f"{name}: {len(inputs)} inputs")


if __name__ == "__main__":
    main()
