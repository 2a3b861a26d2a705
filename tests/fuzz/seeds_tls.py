#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for TLS to corpus/tls/ (its steps: fuzz_tls.c).
Deterministic, as make_corpus.py."""
import hashlib
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
ALL, SOME, CHANGE, OWN, SAY, DROP, END, TALK = range(8)
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


def main():
    folder = HERE / "corpus" / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs(random.Random(13)):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    print(f"{len(list(folder.iterdir()))} inputs")


if __name__ == "__main__":
    main()
