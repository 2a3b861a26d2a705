# SPDX-License-Identifier: Apache-2.0
"""PROXY headers: taken from those who are trusted, and whom they make the client."""
import json
import socket
import struct

import pytest

from peers import http1
from peers.backend import Backend, tcp_echo
from peers.net import HOST, connect, free_port, until
from peers.weir import run, settings, start, told

INFO = {"level": "info", "format": "json"}
REFUSED = "PROXY header refused"
PEER = "127.0.0.1"  # where clients come from
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="192.0.2.7", target="192.0.2.80", port=4711):
    word = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {word} {source} {target} {port} 80\r\n".encode()


def v2(source="192.0.2.7", port=4711, command=0x21, more=b""):
    if ":" in source:
        body = socket.inet_pton(socket.AF_INET6, source) + bytes(16)
    else:
        body = socket.inet_aton(source) + bytes(4)
    body += struct.pack(">HH", port, 80) + more
    return SIGNATURE + struct.pack(">BBH", command, 0x21 if ":" in source else 0x11, len(body)) + body


LOCAL = SIGNATURE + b"\x20\0\0\0"


def accepting(trusted=PEER, **more):
    client_ip = {"proxy_protocol": "accept", "trusted_proxies": trusted, **more.pop("client_ip", {})}
    return {"client_ip": client_ip, **more}


def forwarded(weir, header, *fields, **rest):
    """X-Forwarded-For as the backend gets it."""
    with weir.client(**rest) as client:
        client.send(header)
        assert client.ask("GET", "/", *fields).status == 200
        return weir.backend.last().get("x-forwarded-for")


def is_cut(weir, *parts, source=None):
    """Whether the connection is ended without a byte."""
    try:
        with weir.client(source=source) as client:
            client.send(*parts)
            return client.rest() == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


@pytest.fixture(scope="module")
def weir():
    with Backend() as backend, start(backend, frontend=accepting(), workers=2, log=INFO) as weir:
        weir.backend = backend
        yield weir


@pytest.mark.parametrize("header, client", [
    (v1(), "192.0.2.7"), (v1("2001:db8::7", "::1"), "2001:db8::7"), (v2(), "192.0.2.7"),
    (v2("2001:db8::7"), "2001:db8::7"), (v2("::ffff:192.0.2.9"), "192.0.2.9"),
    (b"PROXY UNKNOWN\r\n", PEER), (LOCAL, PEER), (SIGNATURE + b"\x21\0\0\0", PEER),
    (v2(more=b"\4\0\3abc\xee\0\0"), "192.0.2.7")], ids=[
        "v1", "v1-6", "v2", "v2-6", "v2-mapped", "unknown", "local", "unspec", "tlvs"])
def test_the_client_is_who_the_header_names(weir, header, client):
    assert forwarded(weir, header) == client


def test_more_requests_on_the_same_connection(weir):
    with weir.client() as client:
        client.send(v2())
        for _ in range(3):
            assert client.ask().status == 200
            assert weir.backend.last().get("x-forwarded-for") == "192.0.2.7"


@pytest.mark.parametrize("header", [v1(), v2(more=bytes(3) * 30)], ids=["v1", "v2"])
def test_the_header_comes_byte_by_byte(weir, header):
    with weir.client() as client:
        client.dribble(header + http1.request())
        assert client.response().status == 200


def test_header_and_request_in_one_piece(weir):
    with weir.client() as client:
        client.send(v1() + http1.request() + http1.request("POST", "/", body=b"x" * 50000))
        assert client.response().status == 200
        assert client.response().status == 200


def test_a_largest_header(weir):
    room = 4096 - 16 - 12
    more = b"\xee" + struct.pack(">H", room - 3) + bytes(room - 3)
    assert forwarded(weir, v2(more=more)) == "192.0.2.7"
    assert is_cut(weir, v2(more=more + b"\4\0\0"), http1.request())


@pytest.mark.parametrize("data", [
    http1.request(), b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n" + http1.request(),
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n" + http1.request(), b"PROXY " + b"x" * 200,
    SIGNATURE + b"\x31\x11\0\0" + http1.request(), v2(more=b"\1\0\5h2") + http1.request(),
    v2(more=b"\3\0\4nope") + http1.request(), b"\x16\3\1\0\0", b"\0"], ids=[
        "request", "zero", "no-cr", "long", "version", "tlv", "checksum", "tls", "nul"])
def test_garbage(weir, data):
    before, seen = told(weir.log(), REFUSED)[1], len(weir.backend.heads)
    assert is_cut(weir, data)
    until(lambda: told(weir.log(), REFUSED)[1] > before, "a line about it")
    assert len(weir.backend.heads) == seen


@pytest.mark.parametrize("family", [0x12, 0x22, 0x32])
def test_datagrams_are_no_connection(weir, family):
    """Who forwards UDP means another service than one that is reached by TCP (2.2)."""
    assert is_cut(weir, SIGNATURE + struct.pack(">BBH", 0x21, family, 216) + bytes(216)
                  + http1.request())
    weir.wait_log('"detail":"its client came by UDP, and what comes here is TCP"')


def test_one_cause_does_not_hide_another():
    causes = {b"GET / HTTP/1.1\r\n": "does not begin with", b"PROXY TCP4 x\r\n": "line is malformed",
              SIGNATURE + b"\x31\0\0\0": "version", v2(more=b"\3\0\4nope"): "checksum"}
    with Backend() as backend, start(backend, frontend=accepting(), log=INFO) as weir:
        for _ in range(3):
            for data in causes:
                assert is_cut(weir, data)
        until(lambda: told(weir.log(), REFUSED)[1] == 12, "all are told of")
    first = [line for line in weir.last_log if line["msg"] == REFUSED]
    for words in causes.values():
        assert [line for line in first if words in line["detail"]], words


def test_who_comes_and_goes_is_no_fault():
    with Backend() as backend, start(backend, frontend=accepting(), log=INFO) as weir:
        for _ in range(3):
            with weir.client() as client:
                client.end()
                assert client.is_closed()
        with weir.client() as client:
            client.send(b"PROXY ")
            client.end()
            assert is_cut(weir, b"x")
        until(lambda: told(weir.log(), REFUSED)[1] >= 2, "the lines about two of them")
    assert told(weir.last_log, REFUSED)[1] == 2


def test_late():
    with Backend() as backend, start(backend, log=INFO, frontend=accepting(
            timeouts={"client_header": "300ms"})) as weir:
        assert is_cut(weir)
        assert is_cut(weir, b"PROXY TCP4 ")
        until(lambda: told(weir.log(), REFUSED)[1] == 2, "both are told of")
        assert told(weir.log(), REFUSED)[0][0]["outcome"] == "proxy_header_timeout"


def test_others_are_refused():
    with Backend() as backend, start(backend, log=INFO, frontend=accepting("127.0.0.2/31")) as weir:
        for source in ("127.0.0.2", "127.0.0.3"):
            with weir.client(source=source) as client:
                client.send(v1())
                assert client.ask().status == 200
        for _ in range(3):
            assert is_cut(weir, v1(), http1.request(), source="127.0.0.1")
        until(lambda: told(weir.log(), "connection denied")[1] == 3, "they are told of")
        line = told(weir.log(), "connection denied")[0][0]
        assert line["client"] == "127.0.0.1"
        assert line["key"] == "frontends.web.client_ip.trusted_proxies"
        assert len(backend.heads) == 2


def test_lists_are_about_the_client():
    with Backend() as backend, start(backend, log=INFO, frontend=accepting(
            deny="192.0.2.0/28", allow="192.0.2.0/24")) as weir:
        weir.backend = backend
        assert forwarded(weir, v1("192.0.2.16")) == "192.0.2.16"
        assert is_cut(weir, v1("192.0.2.15"), http1.request())
        assert is_cut(weir, v2("198.51.100.1"), http1.request())
        assert is_cut(weir, LOCAL, http1.request())  # speaks for 127.0.0.1, which is not allowed
        until(lambda: told(weir.log(), "connection denied")[1] == 3, "they are told of")


def test_connections_of_one_client():
    with Backend() as backend, start(backend, frontend=accepting(
            limits={"per_ip_connections": 2})) as weir:
        weir.backend = backend
        one, two = weir.client(), weir.client()
        for client in (one, two):
            client.send(v1("192.0.2.1"))
            assert client.ask().status == 200
        assert is_cut(weir, v1("192.0.2.1"), http1.request())
        assert forwarded(weir, v1("192.0.2.2")) == "192.0.2.2"
        one.close()
        leaving = http1.request("GET", "/", "Connection: close")
        until(lambda: not is_cut(weir, v1("192.0.2.1"), leaving), "its place is free")


def test_who_is_trusted_further():
    """Fields of a request count when the one that the header names is trusted, too."""
    with Backend() as backend, start(backend, frontend=accepting([PEER, "192.0.2.7"])) as weir:
        weir.backend = backend
        field = "X-Forwarded-For: 203.0.113.9"
        assert forwarded(weir, v1("192.0.2.8"), field) == "192.0.2.8"
        assert forwarded(weir, v1("192.0.2.7"), field) == "203.0.113.9, 192.0.2.7"


def test_balancing_by_the_client():
    with Backend(name="a") as a, Backend(name="b") as b, start(
            a, b, frontend=accepting(), pool={"algorithm": "ip_hash"}) as weir:
        weir.backend = a
        seen = {}
        for i in range(20):
            for _ in range(3):
                before = len(a.heads)
                with weir.client() as client:
                    client.send(v2(f"192.0.2.{i}"))
                    assert client.ask().status == 200
                seen.setdefault(i, set()).add(len(a.heads) > before)
        assert all(len(where) == 1 for where in seen.values())
        assert len({next(iter(where)) for where in seen.values()}) == 2


def test_logs_know_both():
    with Backend() as backend, start(backend, frontend=accepting(), log={
            **INFO, "access": {"output": "stdout", "format": "json"}}) as weir:
        weir.backend = backend
        with weir.client() as client:
            port = client.sock.getsockname()[1]
            client.send(v1(port=4711))
            assert client.ask().status == 200
        until(lambda: '"192.0.2.7"' in weir.stdout, "the access line")
        weir.wait_log("served connection")
        assert any(line.get("peer_address") == f"{PEER}:{port}" for line in weir.log())


@pytest.mark.parametrize("header", [v1(), v2(), LOCAL], ids=["v1", "v2", "local"])
def test_tcp(header):
    with Backend(tcp_echo) as backend, start(backend, protocol="tcp", frontend=accepting()) as weir:
        with weir.client() as client:
            client.dribble(header + b"hello")
            assert client.sock.recv(5, socket.MSG_WAITALL) == b"hello"
            client.send(b"x" * 300000)
            client.end()
            assert client.rest() == b"x" * 300000
        assert is_cut(weir, b"hello")


def test_over_a_unix_socket(tmp_path):
    path = f"unix:{tmp_path}/weir.sock"
    with Backend() as backend, start(backend, bind=path, frontend={
            "client_ip": {"proxy_protocol": "accept"}}) as weir:
        weir.backend = backend
        assert forwarded(weir, v1()) == "192.0.2.7"


def test_metrics():
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, start(backend, frontend=accepting(), admin={"bind": [admin]}) as weir:
        weir.backend = backend
        forwarded(weir, v1())
        assert is_cut(weir, b"rubbish")
        text = weir.ask("GET", "/metrics", address=admin, host=admin).text
        assert 'lb_proxy_headers_total{result="taken"} 1' in text
        assert 'lb_proxy_headers_total{result="malformed"} 1' in text
        assert 'lb_outcomes_total{outcome="proxy_header_malformed",origin="client"} 1' in text


def test_draining_does_not_wait_for_a_header():
    with Backend() as backend, start(backend, frontend=accepting()) as weir:
        with connect(weir.address):
            weir.stop()


@pytest.mark.parametrize("frontend, words", [
    ({"client_ip": {"proxy_protocol": "accept"}}, "needs trusted_proxies"),
    ({"client_ip": {"proxy_protocol": "maybe"}}, "none, accept"),
    ({"protocol": "tcp", "client_ip": {"trusted_proxies": PEER}}, "'client_ip' means nothing")])
def test_what_is_said_about_the_configuration(tmp_path, frontend, words):
    tree, _ = settings(["127.0.0.1:1"], frontend=frontend)
    path = tmp_path / "weir.json"
    path.write_text(json.dumps(tree))
    code, _, err = run("check", "-c", str(path))
    assert code == 78 and words in err, err
