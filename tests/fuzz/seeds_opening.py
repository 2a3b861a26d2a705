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


# ---- Client hellos ------------------------------------------------------------------------------

def vector(size, data, wrong=0):
    return (len(data) + wrong).to_bytes(size, "big") + data


def extension(kind, data, wrong=0):
    return struct.pack(">H", kind) + vector(2, data, wrong)


def server_name(*names, kind=0):
    return extension(0, vector(2, b"".join(bytes([kind]) + vector(2, name) for name in names)))


def alpn(*names):
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def message(extensions, version=b"\3\3", session=b"", ciphers=b"\x13\1", compression=b"\0"):
    body = version + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, compression)
    if extensions is not None:
        body += vector(2, extensions)
    return b"\1" + vector(3, body)


def records(data, size=16384, version=b"\3\1"):
    return b"".join(b"\x16" + version + vector(2, data[at:at + size])
                    for at in range(0, len(data), size))


def client_hellos(rng):
    names = [b"a.b", b"www.example.org", b"WWW.Example.ORG.", b"*.x", b".", b"a\0b", b"a/b", b"a" * 255,
             b"a" * 256, b"", b"xn--bcher-kva.example", b"10.0.0.1"]
    protocols = [b"h2", b"http/1.1", b"acme-tls/1", b"x" * 255, b"", b"\x0a\x0a"]
    grease = [extension(0x0a0a * n, bytes(n)) for n in (1, 3, 15)]
    others = grease + [extension(43, b"\2\3\4"), extension(0xfe0d, bytes(20)), extension(51, bytes(70)),
                       extension(21, bytes(300))]
    messages = [message(None), message(b""), message(b"\0"), message(b"\0\0\0"),
                message(server_name(b"a.b") + server_name(b"c.d")), message(alpn(b"h2") + alpn(b"h2")),
                message(server_name(b"a", b"b")), message(server_name(b"a.b", kind=1)),
                message(b"", version=b"\2\0"), message(b"", session=bytes(32)),
                message(b"", session=bytes(33)), message(b"", ciphers=b""), message(b"", ciphers=b"\1"),
                message(b"", compression=b""), message(extension(0, b"")), message(extension(16, b"")),
                message(extension(0, vector(2, b"\0\0\1a", 1))),
                message(extension(0, vector(2, b"\0\0\1a", -1))),
                message(extension(16, vector(2, b"\2h2", 1))), message(extension(16, b"\0\3\2h2", 1)),
                message(alpn(*[b"abcdefg"] * 60))]
    messages += [message(server_name(name)) for name in names]
    messages += [message(alpn(name)) for name in protocols]
    for _ in range(60):
        parts = [server_name(rng.choice(names[:5] + names[10:])), alpn(*rng.sample(protocols[:4], 2))]
        parts += rng.sample(others, rng.randint(1, 4))
        rng.shuffle(parts)
        messages.append(message(b"".join(parts), session=bytes(rng.choice((0, 32))),
                                ciphers=bytes(2 * rng.randint(1, 40))))
    inputs = []
    for one in messages:
        inputs.append(records(one))
        inputs.append(records(one, rng.choice((1, 2, 3, 5, 40, 100))))
        inputs.append(records(one)[:rng.randint(1, len(one))])
    inputs += [b"GET / HTTP/1.1\r\n\r\n", b"\x16", b"\x16\3", b"\x16\3\1\0\0", b"\x16\3\1\x40\1",
               b"\x16\3\1\0\4\2\0\0\1", b"\x16\3\1\0\4\1\1\0\0", b"\x15\3\3\0\2\2\x70",
               b"\x80\x2e\1\3\1\0\x15", records(message(b"")) + b"\x17\3\3\0\1x",
               records(message(b"")) + records(message(b"")),
               records(message(b""))[:-4] + b"\x17\3\3\0\1x", b"\x16\3\1\0\2\1\0\x17\3\1\0\2\0\4"]
    return inputs


# What Python's own TLS says; a key and random bytes make another one each time.
def real_hellos():
    for protocols in ([], ["h2", "http/1.1"]):
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.maximum_version = False, newest
            context.verify_mode = ssl.CERT_NONE
            if protocols:
                context.set_alpn_protocols(protocols)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            try:
                context.wrap_bio(incoming, outgoing, server_hostname="www.example.org").do_handshake()
            except ssl.SSLWantReadError:
                yield outgoing.read()


def main():
    rng = random.Random(SEED)
    for name, make in (("proxy_header", proxy_headers), ("client_hello", client_hellos)):
        folder = HERE / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        inputs = set(make(rng))
        if name == "client_hello" and "--hellos" in sys.argv:
            inputs |= set(real_hellos())
        for data in inputs:
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
        print(f"{name}: {len(inputs)} inputs")


if __name__ == "__main__":
    main()
