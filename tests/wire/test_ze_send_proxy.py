# SPDX-License-Identifier: Apache-2.0
"""PROXY headers that backends get: who the client is, first on each connection, and for nobody else."""
import socket
import struct
import threading

import pytest

from peers import h2, http1
from peers.backend import Backend, echo, tcp_echo
from peers.net import free_port, until
from peers.papers import TlsClient, papers
from peers.tls import Talk
from peers.weir import CALM, Weir, settings, start

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def values(data):
    """{type: value} of type-length-values."""
    found = {}
    while data:
        kind, size = struct.unpack(">BH", data[:3])
        assert kind not in found and len(data) >= 3 + size
        found[kind], data = data[3:3 + size], data[3 + size:]
    return found


class Header:
    """A PROXY header, read from a socket and no further."""

    def __init__(self, sock):
        start = exactly(sock, 8)
        self.command, self.source, self.target, self.tlvs = 1, None, None, {}
        if start.startswith(b"PROXY "):
            while not start.endswith(b"\r\n"):
                start += exactly(sock, 1)
            self.version, words = 1, start.decode().split()
            if words[1] != "UNKNOWN":
                self.source, self.target = (words[2], int(words[4])), (words[3], int(words[5]))
            return
        self.version = 2
        start += exactly(sock, 8)
        assert start[:12] == SIGNATURE and start[12] >> 4 == 2, start
        self.command, family, size = start[12] & 15, start[13], struct.unpack(">H", start[14:])[0]
        body = exactly(sock, size)
        ip = {0x11: 4, 0x21: 16}.get(family, 0)
        if ip:
            kind = socket.AF_INET if ip == 4 else socket.AF_INET6
            ports = struct.unpack(">HH", body[2 * ip:2 * ip + 4])
            self.source = (socket.inet_ntop(kind, body[:ip]), ports[0])
            self.target = (socket.inet_ntop(kind, body[ip:2 * ip]), ports[1])
        self.tlvs = values(body[2 * ip + 4:] if ip else body)
        if 3 in self.tlvs:
            whole = start + body
            at = whole.rindex(b"\3\0\4" + self.tlvs[3]) + 3
            assert struct.unpack(">I", self.tlvs[3])[0] == crc32c(
                whole[:at] + bytes(4) + whole[at + 4:])


class Told(Backend):
    """Wants a header on each connection, and keeps them in `told`."""

    def __init__(self, script=None, **rest):
        self.told, self.then = [], script
        super().__init__(self.serve, **rest)

    def serve(self, connection):
        connection.header = Header(connection.sock)
        self.told.append(connection.header)
        if self.then:
            self.then(connection)
            return
        while message := connection.request():
            connection.send(echo(message))

    @property
    def clients(self):
        return [each for each in self.told if each.source]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_backends_are_told(version):
    with Told() as backend, start(backend, pool={"send_proxy": version}) as weir:
        host, port = weir.address.rsplit(":", 1)
        with weir.client(source="127.0.0.5") as client:
            assert client.ask().status == 200
            assert backend.told[-1].version == int(version[1])
            assert backend.told[-1].source == ("127.0.0.5", client.sock.getsockname()[1])
            assert backend.told[-1].target == (host, int(port))


def test_ipv6():
    with Told() as backend, start(backend, bind=f"[::1]:{free_port()}",
                                  pool={"send_proxy": "v2"}) as weir:
        with weir.client() as client:
            assert client.ask().status == 200
            assert backend.told[-1].source == ("::1", client.sock.getsockname()[1])


def test_requests_of_one_client_share_a_connection():
    with Told() as backend, start(backend, pool={"send_proxy": "v2"}) as weir:
        with weir.client() as client:
            for _ in range(5):
                assert client.ask().status == 200
            assert client.ask("POST", "/", body=b"x" * 50000).status == 200
        assert len(backend.told) == 1


def test_no_client_gets_the_connection_of_another():
    with Told() as backend, start(backend, pool={"send_proxy": "v2"}, workers=2) as weir:
        clients = [weir.client(source=f"127.0.0.{10 + i % 3}") for i in range(12)]
        for _ in range(4):
            for client in clients:
                assert client.ask().status == 200
                told = backend.last().connection.header
                assert told.source == client.sock.getsockname()
        assert len(backend.told) == len(clients)


def test_a_kept_connection_goes_with_its_client():
    with Told() as backend, start(backend, pool={"send_proxy": "v1"}) as weir:
        with weir.client() as client:
            assert client.ask().status == 200
        backend.connections[0].closed.wait(10)
        assert backend.connections[0].closed.is_set()
        assert weir.ask().status == 200
        assert len(backend.told) == 2


def test_a_connection_that_is_stale_is_told_again():
    def once(connection):
        connection.send(echo(connection.request()))

    with Told(once) as backend, start(backend, pool={"send_proxy": "v2"}) as weir:
        with weir.client() as client:
            for _ in range(4):
                assert client.ask().status == 200
            assert all(each.source == client.sock.getsockname() for each in backend.told)
        assert len(backend.told) == 4


def test_a_bound_on_connections_holds():
    with Told() as backend:
        address = {"address": backend.address, "max_connections": 1}
        with start(address, pool={"send_proxy": "v2"}, workers=2) as weir:
            clients = [weir.client() for _ in range(6)]
            for _ in range(3):
                for client in clients:
                    assert client.ask().status == 200
                    assert backend.last().connection.header.source == client.sock.getsockname()


def test_values():
    tlvs = ["alpn", "authority", "unique_id", "ssl", "crc32c"]
    with Told() as backend, start(
            backend, pool={"send_proxy": {"version": "v2", "tlvs": tlvs}}) as weir:
        assert weir.ask(host="Shop.Example:8080").status == 200
        told = backend.told[-1].tlvs
        assert told[1] == b"http/1.1"
        assert told[2] == b"shop.example"
        assert told[5].decode() == backend.last().get("x-request-id")
        assert told[0x20] == bytes((0, 0, 0, 0, 1))
        assert 3 in told  # and is right: Header has looked


def tls_values(told):
    """(bits, verify, {type: text}) of what is said of the client's TLS."""
    data = told.tlvs[0x20]
    return data[0], struct.unpack(">I", data[1:5])[0], values(data[5:])


ALL_OF_TLS = {"send_proxy": {"version": "v2", "tlvs": ["alpn", "authority", "ssl"]}}


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_what_is_said_of_a_client_by_tls(protocol):
    asks = {"mode": "optional", "ca": papers().path("ca.crt")}
    with Told() as backend, start(
            backend, protocol=protocol, certificates=[papers().files("site")], pool=ALL_OF_TLS,
            frontend={"tls": {"client_certificates": asks} if protocol == "http" else True}) as weir:
        with TlsClient(weir.address, papers().client_context()) as client:
            assert client.ask().status == 200
            version, cipher = client.sock.version(), client.sock.cipher()[0]
        bits, verify, texts = tls_values(backend.told[-1])
        assert (bits, verify) == (1, 1)
        assert texts == {0x21: version.encode(), 0x23: cipher.encode()}
        assert backend.told[-1].tlvs.get(1) == (b"http/1.1" if protocol == "http" else None)
        if protocol == "tcp":
            return
        context = papers().client_context("me")
        context.set_alpn_protocols(["http/1.1"])
        with TlsClient(weir.address, context) as client:
            assert client.ask().status == 200
            session = client.sock.session
        bits, verify, texts = tls_values(backend.told[-1])
        assert (bits, verify, texts[0x22]) == (7, 0, b"me")
        with TlsClient(weir.address, context, session=session) as client:
            assert client.ask().status == 200
            assert client.sock.session_reused
        assert tls_values(backend.told[-1])[0] == 5


def test_a_client_by_http2():
    with Told() as backend, start(backend, pool=ALL_OF_TLS) as weir, h2.Client(weir.address) as client:
        assert client.get().status == 200
        assert backend.told[-1].tlvs[1] == b"h2c"
        assert tls_values(backend.told[-1])[:2] == (0, 1)


@pytest.mark.parametrize("scheme", ["https", "h2"])
def test_below_tls(scheme):
    """The header comes first and in clear, then the handshake; one connection for each client."""
    context = papers().server_context("site", alpn=("h2",) if scheme == "h2" else ("http/1.1",))

    def script(connection):
        connection.sock = context.wrap_socket(connection.sock, server_side=True)
        connection.reader.sock = connection.sock
        if scheme == "h2":
            h2.serve(h2.hello)(connection)
            return
        while message := connection.request():
            connection.send(echo(message))

    check = {"type": "tcp", "interval": "50ms", "fast_interval": "50ms"}
    with Told(script) as backend, start(
            f"{scheme}://{backend.address}",
            pool={"send_proxy": "v2", "health_check": check,
                  "tls": {"ca": papers().path("ca.crt"), "server_name": "site.example"}}) as weir:
        for _ in range(2):
            with weir.client() as client:
                for _ in range(3):
                    assert client.ask().status == 200
                assert backend.clients[-1].source == client.sock.getsockname()
        assert len(backend.clients) == 2
        until(lambda: len(backend.told) > 4, "checks")


def test_a_header_goes_on():
    """Who the header of the proxy in front names is who backends hear of, target and all."""
    frontend = {"client_ip": {"proxy_protocol": "accept", "trusted_proxies": "127.0.0.1"}}
    with Told() as backend, start(backend, frontend=frontend, pool={"send_proxy": "v1"}) as weir:
        with weir.client() as client:
            client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n")
            assert client.ask().status == 200
            assert backend.told[-1].source == ("192.0.2.7", 4711)
            assert backend.told[-1].target == ("198.51.100.1", 443)
        with weir.client() as client:
            client.send(b"PROXY UNKNOWN\r\n")
            assert client.ask().status == 200
            assert backend.told[-1].source == client.sock.getsockname()


def test_tcp():
    with Told(tcp_echo) as backend, start(
            backend, protocol="tcp", pool={"send_proxy": {"version": "v2", "tlvs": "unique_id"}}) as weir:
        with weir.client() as client:
            client.send(b"x" * 500000)
            client.end()
            assert client.rest() == b"x" * 500000
            assert backend.told[-1].source == client.sock.getsockname()
            assert len(backend.told[-1].tlvs[5]) == 32


def test_tls_that_is_passed_through():
    with Told(tcp_echo) as backend:
        tree, address = settings(protocol="tls_passthrough", frontend={"routes": [
            {"match": {"host": "a.weir.test"}, "pool": "a"}]})
        tree["pools"] = {"a": {"backends": [backend.address], **CALM, "send_proxy": {
            "version": "v2", "tlvs": ["authority", "crc32c"]}}}
        hello = Talk("a.weir.test").hello()
        with Weir(tree, address=address) as weir, weir.client() as client:
            client.send(hello)
            client.end()
            assert client.rest() == hello
            assert backend.told[-1].source == client.sock.getsockname()
            assert backend.told[-1].tlvs[2] == b"a.weir.test"


def test_over_a_unix_socket_nothing_is_known(tmp_path):
    with Told() as backend, start(backend, bind=f"unix:{tmp_path}/s",
                                  pool={"send_proxy": "v1"}) as weir:
        assert weir.ask().status == 200
        assert backend.told[-1].source is None


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_health_checks_speak_for_nobody(version, kind):
    check = {"type": kind, "interval": "50ms", "fast_interval": "50ms"}
    with Told() as backend, start(
            backend, pool={"send_proxy": version, "health_check": check}) as weir:
        until(lambda: len(backend.told) >= 3, "some checks")
        assert all(each.source is None for each in backend.told)
        assert all(each.command == (1 if version == "v1" else 0) for each in backend.told)
        assert weir.ask().status == 200
        assert len(backend.clients) == 1
        assert not [each.error for each in backend.connections if each.error]


def test_a_second_try_tells_the_other_backend():
    def refuse(connection):
        connection.request()
        connection.send(http1.response(503))

    with Told(refuse) as bad, Told() as good, start(
            bad, good, pool={"send_proxy": "v2", "retry": {"max_attempts": 3}}) as weir:
        for _ in range(4):
            with weir.client() as client:
                assert client.ask().status == 200
                assert good.told[-1].source == client.sock.getsockname()
        assert bad.clients


def test_hedges_are_told():
    gate = threading.Event()

    def slow(connection):
        message = connection.request()
        gate.wait(5)
        connection.send(echo(message))

    with Told() as quick, Told(slow) as late, start(late, quick, pool={
            "send_proxy": "v2", "algorithm": "first",
            "hedge": {"after": "50%", "samples_min": 1, "delay_min": "1ms"}}) as weir:
        gate.set()
        assert weir.ask().status == 200
        gate.clear()
        with weir.client() as client:
            assert client.ask().status == 200
            assert quick.told and quick.told[-1].source == client.sock.getsockname()
        gate.set()
