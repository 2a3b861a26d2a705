#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for HTTP/2 to corpus/h2/: the frames of every case of the
wire tests, for either role, behind the byte that chooses role and pieces. Deterministic, as
make_corpus.py."""
import hashlib
import pathlib
import sys

import hpack

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "wire")]
import test_zd_h2_client_frames as of_clients  # noqa: E402
import test_ze_h2_backend_frames as of_backends  # noqa: E402
from peers import h2  # noqa: E402

SIZE_MAX = 20000


def peer():
    """One that only packs."""
    made = object.__new__(h2.Peer)
    made.encoder, made.used = hpack.Encoder(), {}
    return made


def flat(parts):
    data = b""
    for part in parts:
        if isinstance(part, (list, tuple)):
            data += flat(part)
        else:
            data += part if isinstance(part, bytes) else part.serialize()
    return data


def head(stream, block, flags=5):
    return h2.raw(1, flags, stream, block)


def more(settings):
    """What the session does by itself, and what no case of the wire tests says."""
    get = b"\x82\x84\x86\x41\x06a.test"
    value = b"v" * 3000
    listed = b"\x40\x01x\x7f\xb9\x16" + value + b"\xbe" * 1000
    pong = h2.raw(6, 1, 0, b"draining")
    connect = b"\x02\x07CONNECT\x86\x84\x41\x06a.test\x00\x09:protocol\x09websocket"
    path = b"\x82\x86\x41\x06a.test\x04\x7f\xa1\x26/" + b"p" * 4999
    pieces = head(1, get, 1) + b"".join(h2.raw(9, 4 * (i == 2), 1) for i in range(3))
    flood = head(1, get, 1) + b"".join(h2.raw(9, 0, 1) for i in range(12))
    answer, agreed = head(1, b"\x88", 4), head(7, b"\x88", 4)
    refused = head(7, b"\x08\x03403", 4) + h2.raw(0, 1, 7, b"no")
    trailers = head(1, b"\x00\x01t\x01u", 5)
    length = head(7, b"\x08\x03403\x0f\x0d\x013", 4)
    window = h2.raw(8, 0, 0, b"\0\2\0\0") + h2.raw(8, 0, 1, b"\0\2\0\0")
    for_server = [head(1, get) + window + window, head(1, get) + head(3, get) + h2.raw(3, 0, 1, b"\0\0\0\x08"),
                  h2.raw(4, 0, 0, b"\0\4\0\0\0\0") + head(1, get) + window, head(1, get, 4) + h2.raw(0, 0, 1, b"12345"),
                  h2.raw(4, 0, 0, b"\0\1\0\0\0\0") + head(1, get) + head(3, get), head(1, get) * 40,
                  b"".join(head(2 * i + 1, get) for i in range(8)) + window + h2.raw(7, 0, 0, bytes(8)),
                  head(1, get) + pong, pong + head(1, get), head(1, listed), head(1, get + listed),
                  head(1, connect, 4) + h2.raw(0, 0, 1, b"tunnel") + h2.raw(0, 1, 1), head(1, path), pieces,
                  flood, head(1, get, 4) + h2.raw(0, 0, 1) * 300, head(1, get, 4) + trailers,
                  h2.raw(4, 0, 0) * 80, h2.raw(6, 0, 0, bytes(8)) * 300, h2.raw(2, 0, 1, bytes(5)) * 700,
                  h2.raw(0x42, 0, 0) * 300, h2.raw(6, 1, 0, bytes(8)), h2.raw(7, 0, 0, bytes(8))]
    for_client = [agreed + h2.raw(0, 0, 7, b"tunnel") + h2.raw(0, 1, 7), refused, agreed + h2.raw(0, 1, 7, b"x"),
                  answer + h2.raw(0, 0, 1, b"abc") + trailers, head(1, b"\x88" + listed), pong,
                  h2.raw(7, 0, 0, bytes(8)) + answer, h2.raw(3, 0, 1, b"\0\0\0\7"),
                  h2.raw(7, 0, 0, b"\0\0\0\1" + bytes(4)), head(1, b"\x08\x03101", 5),
                  length + h2.raw(0, 1, 7, b"no"), length + h2.raw(0, 0, 7, b"more"),
                  length + h2.raw(0, 0, 7, b"abc") + h2.raw(0, 1, 7), length + head(7, b"\x00\x01t\x01u", 5),
                  head(7, b"\x08\x03403\x0f\x0d\x013", 5), head(7, b"\x88", 5),
                  h2.raw(8, 0, 0, b"\0\1\0\0") + h2.raw(8, 0, 5, b"\0\1\0\0") + head(5, b"\x88", 5),
                  h2.raw(4, 0, 0, b"\0\4\0\0\0\1") + answer, h2.raw(4, 0, 0, b"\0\1\0\0\0\0") + answer,
                  h2.raw(4, 0, 0, b"\0\3\0\0\0\0") + answer]
    return [("more", bytes([flags | number % 4 << 1]) + settings + data)
            for inputs, role in ((for_server, 0), (for_client, 1)) for number, data in enumerate(inputs)
            for flags in (role, role | 16, role | 32, role | 56, role | 64, role | 192)]


def main():
    inputs = []
    settings = h2.SettingsFrame(0).serialize()
    for number, (name, (kind, make, _)) in enumerate(of_clients.CASES.items()):
        if make and kind != "bare":
            data = settings + flat(make(peer()))
            inputs.append((name, bytes([number % 4 << 1]) + data))
            if number % 3 == 0:
                inputs.append((name, bytes([64 | 128 * (number % 2) | number % 4 << 1]) + data))
    for number, (name, (make, _)) in enumerate(of_backends.CASES.items()):
        for stream in (1, 5):
            data = settings + flat(make(peer(), stream))
            inputs.append((name, bytes([1 | number % 4 << 1]) + data))
            inputs.append((name, bytes([1 | (64, 128, 192)[number % 3] | number % 4 << 1]) + data))
    inputs += more(settings)
    folder = HERE / "corpus" / "h2"
    folder.mkdir(parents=True, exist_ok=True)
    for _, data in inputs:
        if len(data) <= SIZE_MAX:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    print(f"{len(list(folder.iterdir()))} inputs")


if __name__ == "__main__":
    main()
