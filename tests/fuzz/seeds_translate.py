#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for the way from HTTP/2 to HTTP/1 to corpus/translate/
(what they say: fuzz_translate.c and fuzz_frames.h). Deterministic, as make_corpus.py."""
import hashlib
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
SEED = 11

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "FROB", "get", "G T", "G\r\nX", ""]
PATHS = ["/", "/a/../b", "/?q=1 2", "*", "a", "", "/%00", "/\r\nX: y", "http://b/", "//b", "/#f", "/\x7f",
         "/" + "p" * 5000, "/a\tb", "/ HTTP/1.1"]
AUTHORITIES = ["a", "a:80", "[::1]:443", "a b", "a\r\nX: y", "a@b", "", "A.EXAMPLE", "a,b", "a/b", "%61", "a:b"]
FIELDS = ["accept:*/*", "cookie:a=1", "cookie:b=2", "cookie:a=1; c=3", "host:a", "host:b", "host:",
          "content-length:5", "content-length:0", "content-length:05", "content-length:5, 5",
          "content-length:-1", "content-length:5\r\n", "transfer-encoding:chunked",
          "transfer-encoding: chunked", "Transfer-Encoding:chunked", "connection:close", "connection:x",
          "keep-alive:1", "upgrade:h2c", "proxy-connection:close", "te:trailers", "te:gzip", "te:trailers, x",
          "expect:100-continue", "expect:x", "x:\r\ny: z", "x: y", "x:y ", "x:", "x y:z", "X:y", "x\r\n:y",
          ":method:GET", ":x:y", "x:\0", "x:\x80", "http2-settings:AAMA", "sec-websocket-key:abc",
          "sec-websocket-version:13", "x-forwarded-for:1.2.3.4", "trailer:x", "priority:u=1, i",
          "x:" + "v" * 9000, "content-encoding:gzip", "range:bytes=0-1", "content-length :5",
          "content_length:5", "x:y\rz", "x:y\nz"]
BODIES = [[], ["=hello"], ["="], ["=he", "=llo"], ["=hello", "=more"], ["=GET / HTTP/1.1\r\nHost: b\r\n\r\n"],
          ["=0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n"], ["=" + "x" * 9000], ["=", "=", "=hello"], ["=h", "!"],
          ["!"], ["=5\r\n", "=hello"]]
TRAILERS = [[], ["x:y", "#"], ["content-length:5", "#"], [":status:200", "#"], ["host:b", "#"], ["x:\r\n", "#"],
            ["transfer-encoding:chunked", "#"], ["x:y", "#", "=z"], ["cookie:a", "set-cookie:b", "#"],
            ["connection:close", "#"], ["X:y", "#"]]


def request(method="GET", path="/", authority="a", more=(), body=(), trailers=()):
    records = [f":method:{method}", ":scheme:http", f":path:{path}"]
    if authority is not None:
        records.append(f":authority:{authority}")
    return records + [*more, *([] if not body and not trailers else ["#"]), *body, *trailers]


def requests(rng):
    yield from (request(method=method) for method in METHODS)
    yield from (request(path=path) for path in PATHS)
    yield from (request(authority=authority) for authority in [*AUTHORITIES, None])
    yield from (request(authority=None, more=[f"host:{authority}"]) for authority in AUTHORITIES)
    for field in FIELDS:
        yield request(more=[field])
        yield request(method="POST", more=["x-a:b", field], body=["=hello"])
    for body in BODIES:
        yield request(method="POST", body=body)
        yield request(method="POST", more=["content-length:5"], body=body)
    for trailers in TRAILERS:
        yield request(method="PUT", body=["=hello"], trailers=trailers)
        yield request(method="PUT", more=["content-length:5"], body=["=hello"], trailers=trailers)
        yield request(trailers=trailers)
    for protocol in ("websocket", "sim", "", "a b", "a\r\nX: y", "p" * 70):
        yield [":protocol:" + protocol, *request(method="CONNECT"), "#", "=frame"]
        yield [":protocol:" + protocol, *request(method="CONNECT", more=["sec-websocket-version:13"])]
        yield [":protocol:" + protocol, *request(method="GET")]
    for field in FIELDS:
        yield [":protocol:websocket", *request(method="CONNECT", more=[field]), "#", "=hello"]
    yield [":method:CONNECT", ":authority:a:443"]
    yield [":method:CONNECT", ":authority:a:443", "#", "=hello"]
    yield request()[1:]
    yield request()[:2] + request()[3:]
    yield request() + request()
    yield ["x:y"] + request()
    yield request(more=[f"x-{i}:y" for i in range(140)])
    yield request(more=[f"cookie:c{i}=1" for i in range(60)])
    for _ in range(60):
        yield request(rng.choice(METHODS[:8]), rng.choice(PATHS[:5]), rng.choice(AUTHORITIES[:3]),
                      rng.sample(FIELDS, rng.randint(0, 4)), rng.choice(BODIES), rng.choice(TRAILERS))


STATUSES = ["200", "204", "206", "304", "301", "404", "500", "599", "999", "100", "101", "103", "199", "99",
            "1000", "2xx", "", "+20", "000", "600"]
ANSWER_FIELDS = [*FIELDS, "content-length:3", "content-type:text/html", "set-cookie:a=1", "set-cookie:b=2",
                 "connection:upgrade", "upgrade:websocket", "sec-websocket-accept:x", "sec-websocket-protocol:a",
                 "www-authenticate:Basic", "date:x", "server:y", "grpc-status:0", "location:/\r\nx: y",
                 "retry-after:1", "content-length:18446744073709551616", "content-length:"]
ANSWER_BODIES = [*BODIES, ["=abc"], ["=a", "=b", "=c"], ["=abcd"], ["=ab"]]


def answer(status="200", more=(), body=(), trailers=(), interim=()):
    records = []
    for each in interim:
        records += [f":status:{each}", "link:x", "#"]
    if status is not None:
        records.append(f":status:{status}")
    return records + [*more, *([] if not body and not trailers else ["#"]), *body, *trailers]


def answers(rng):
    """Each stands for all streams of its input, since these are asked different questions."""
    yield from (answer(status) for status in [*STATUSES, None])
    yield from (answer(status, body=["=abc"]) for status in STATUSES[:14])
    yield from (answer(status, ["content-length:3"], ["=abc"]) for status in STATUSES[:8])
    yield from (answer(status, ["content-length:3"]) for status in STATUSES[:8])
    for field in ANSWER_FIELDS:
        yield answer(more=[field], body=["=abc"])
        yield answer(more=["x-a:b", field])
    for body in ANSWER_BODIES:
        yield answer(body=body)
        yield answer(more=["content-length:3"], body=body)
    for trailers in TRAILERS:
        yield answer(body=["=abc"], trailers=trailers)
        yield answer(more=["content-length:3"], body=["=abc"], trailers=trailers)
        yield answer(trailers=trailers)
    for interim in (["103"], ["100", "103"], ["103"] * 12, ["101"], ["199", "101"]):
        yield answer(interim=interim)
        yield answer(interim=interim, body=["=abc"])
    yield [":status:103", "#x"]
    yield answer() + answer()
    yield ["x:y"] + answer()
    yield answer(more=[":method:GET"])
    yield answer(more=[f"x-{i}:y" for i in range(140)])
    yield answer(more=["x:" + "v" * 9000] * 3)
    yield ["=abc", *answer()]
    for _ in range(60):
        yield answer(rng.choice(STATUSES[:12]), rng.sample(ANSWER_FIELDS, rng.randint(0, 4)),
                     rng.choice(ANSWER_BODIES), rng.choice(TRAILERS),
                     rng.choice(([], [], ["103"], ["100", "103"])))


def main():
    rng = random.Random(SEED)
    all_of_them = list(requests(rng))
    for _ in range(20):
        both = rng.sample(all_of_them, 2)
        all_of_them.append([*both[0], "%", *both[1]])
    inputs = [(number % 16, records) for number, records in enumerate(all_of_them)]
    inputs += [(32 | number % 16, records) for number, records in enumerate(all_of_them[:60])]
    for number, records in enumerate(answers(rng)):
        records = [*records, *(["%", *records] * 7)] if number % 3 else records
        inputs.append((16 | number % 16 | number % 8 << 5, records))
    folder = HERE / "corpus" / "translate"
    folder.mkdir(parents=True, exist_ok=True)
    for first, records in inputs:
        data = bytes([first]) + "\x1f".join(records).encode("latin-1")
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    print(f"{len(list(folder.iterdir()))} inputs")


if __name__ == "__main__":
    main()
