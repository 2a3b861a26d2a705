#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for TLS to corpus/tls/ (its steps: fuzz_tls.c).
Deterministic, as make_corpus.py."""
import hashlib
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
ALL, SOME, CHANGE, OWN, SAY, DROP, END, TALK, AGAIN, SAY_MUCH, TIME, TWIST, MEMORY = range(13)
HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(32))
ALERTS = [b"\x15\x03\x03\0\2\2\x28", b"\x15\x03\x03\0\2\1\0", b"\x14\x03\x03\0\1\1", b"\x17\x03\x03\x40\0",
          b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\0", b"\x80\x2e\x01\x03\x01", b"\0" * 40]


def step(what, server, much):
    return bytes([what << 1 | server, much])


def inputs(rng):
    talk = step(TALK, 0, 0)
    for server in (0, 1):
        for much in (1, 2, 3, 5, 7, 100, 255):
            yield step(ALL, 0, much) + step(ALL, 1, much) + step(ALL, 0, much)
            yield step(ALL, 0, 0) + step(ALL, server, much) + step(CHANGE, server, much) + talk
            yield step(SOME, server, much) + step(END, server, 0) + talk
            yield talk + step(SAY, server, much) + step(ALL, server, 1 + much % 9)
            yield talk + step(SAY, server, much) + step(CHANGE, server, much) + step(ALL, server, 0)
            yield talk + step(SAY, server, much) + step(DROP, server, much) + step(ALL, server, 0)
            yield talk + step(SAY, server, much) + step(SOME, server, much) + step(END, server, 0)
            yield talk + step(SAY, server, much) + step(END, server, 1) + talk
        for own in [HELLO, *ALERTS]:
            yield step(OWN, server, len(own)) + own
            yield step(ALL, 0, 0) + step(OWN, server, len(own)) + own
            yield talk + step(OWN, server, len(own)) + own
    for _ in range(130):
        yield b"".join(step(rng.choice((ALL, ALL, SOME, CHANGE, SAY, SAY, DROP, END, TALK)), rng.randint(0, 1),
                            rng.randint(0, 255)) for _ in range(rng.randint(3, 40)))


def again(server, client):
    return step(AGAIN, 0, server | client << 3)


def of_kinds(rng):
    """Every kind of server with every kind of client: twice, so that the second one may be resumed, and
    after hours; each with one thing that ours would not say."""
    talk = step(TALK, 0, 0)
    both = talk + step(SAY, 0, 9) + step(SAY, 1, 99) + talk
    for server in range(8):
        for client in range(8):
            once = again(server, client) + both
            yield once + once
            yield once + step(TIME, 1, rng.choice((7, 9, 17, 255))) + once + step(TIME, 1, 8) + once
            yield once + again(server ^ 1, client) + both
            yield again(server, client) + step(TWIST, 0, rng.randint(0, 255)) + both + step(END, 0, 1) + talk
    for server in (0, 1, 3):
        for much in range(0, 256, 8 if server else 5):
            for twist in (much, much | 1, much | 6):
                yield again(server, 0) + step(TWIST, 0, twist) + step(TWIST, 0, much >> 2) + both
        for much in range(8):
            opened = again(server, 1) + step(TWIST, 0, 0 if much & 4 else 3) + talk
            yield opened + step(TWIST, much & 1, much) + both + both
            yield opened + step(TWIST, 0, much) + step(TWIST, 1, much) + both
    for end in (0, 1):
        for much in (1, 20, 100, 130, 161, 194, 227, 255):
            opened = again(1, 1) + talk
            more = step(SAY_MUCH, end, much)
            yield opened + more + talk + more + talk + more
            yield opened + more + step(TIME, 0, 11) + more + step(ALL, end, 0)
            yield again(1, 1) + step(TWIST, 0, 1 | much & 0x18) + talk + more + talk + more + step(END, end, 1)
            yield opened + step(MEMORY, 0, 0) + more + talk + step(MEMORY, 1, 0) + talk
            yield opened + more + step(MEMORY, 0, 0) + talk
            yield opened + step(END, end, 1) + more + talk + step(CHANGE, end, much) + more
        yield again(1, 1) + step(MEMORY, 0, 0) + talk + step(MEMORY, 1, 0) + talk
        yield step(ALL, 0, 0) + step(MEMORY, 0, 0) + talk
        yield step(OWN, 0, 7) + b"GET / H" + step(OWN, 0, 7) + b"GET / H" + talk
        yield talk + step(SAY, end, 20) + step(CHANGE, end, 3) + step(ALL, end, 0) + step(SAY, end, 20) + talk


def main():
    folder = HERE / "corpus" / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(13)
    for data in [*inputs(rng), *of_kinds(rng)]:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    print(f"{len(list(folder.iterdir()))} inputs")


if __name__ == "__main__":
    main()
