#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz targets for what may come before a connection's first request,
to corpus/{proxy_header,client_hello}/. Deterministic, and names as make_corpus.py gives them; only
the client hellos of Python's own TLS are asked for with --hellos, since they differ each time.
"""
import hashlib
import pathlib
import random
import ssl
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
SEED = 11
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


# ---- PROXY headers ------------------------------------------------------------------------------

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def binary(command, family, body, length=None):
    return SIGNATURE + struct.pack(">BBH", command, family,
                                   len(body) if length is None else length) + body


def summed(command, family, body):
    whole = binary(command, family, body + tlv(3, bytes(4)))
    return whole[:-4] + struct.pack(">I", crc32c(whole))


def proxy_headers(rng):
    words = ["TCP4", "TCP6", "UNKNOWN", "TCP5", "UDP4", "tcp4", ""]
    fours = ["1.2.3.4", "255.255.255.255", "0.0.0.0", "01.2.3.4", "1.2.3", "1.2.3.256", "::1"]
    sixes = ["::1", "2001:db8::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "::1%1", "[::1]", ":::"]
    ports = ["0", "1", "80", "65535", "65536", "01", "+1", "-1", "", "1 "]
    lines = []
    for word in words:
        for _ in range(16):
            pool = sixes if word == "TCP6" else fours
            lines.append(" ".join(["PROXY", word, rng.choice(pool), rng.choice(pool),
                                   rng.choice(ports), rng.choice(ports)]) + "\r\n")
    lines += ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN" + "x" * 110, "PROXY\r\n", "PROXY \r\n",
              "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
              "GET / HTTP/1.1\r\n", "PROX", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / HTTP/1.1\r\n"]
    inputs = [line.encode() for line in lines]
    blocks = {0x00: b"", 0x11: bytes(range(12)), 0x12: bytes(range(12)), 0x21: bytes(range(36)),
              0x22: bytes(36), 0x31: b"/a".ljust(108, b"\0") * 2, 0x32: bytes(216), 0x13: b"",
              0x41: b"", 0x10: bytes(12)}
    tls = struct.pack(">BI", 7, 0) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"me") + tlv(0x23, b"AES")
    values = [tlv(1, b"h2"), tlv(1, b"http/1.1"), tlv(2, b"example.org"), tlv(4, bytes(5)),
              tlv(5, b"id"), tlv(5, bytes(128)), tlv(5, bytes(129)), tlv(2, b"a" * 256),
              tlv(0x20, tls), tlv(0x20, tls[:4]), tlv(0x20, tls[:-1]), tlv(0x30, b"ns"),
              tlv(0xee, b"?"), tlv(3, b"abcd"), tlv(3, b"abc"), b"\1", b"\1\0", b"\1\0\2x"]
    for family, block in blocks.items():
        for command in (0x20, 0x21, 0x22, 0x11):
            inputs.append(binary(command, family, block))
        inputs.append(binary(0x21, family, block[:-1]))
        inputs.append(summed(0x21, family, block))
        for _ in range(6):
            more = b"".join(rng.choice(values) for _ in range(rng.randint(1, 4)))
            inputs.append(binary(0x21, family, block + more))
            inputs.append(summed(0x21, family, block + more))
    inputs += [binary(0x21, 0x11, bytes(12), length) for length in (0, 11, 13, 4080, 4081, 65535)]
    inputs += [SIGNATURE[:n] for n in range(1, 12)]
    return inputs


def main():
    rng = random.Random(SEED)
    for name, make in (("proxy_header", proxy_headers),):
        folder = HERE / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        inputs = set(make(rng))
        for data in inputs:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
        print(f"{name}: {len(inputs)} inputs")


if __name__ == "__main__":
    main()
