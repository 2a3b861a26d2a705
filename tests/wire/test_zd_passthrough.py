# SPDX-License-Identifier: Apache-2.0
"""TLS that is passed through: routed by what its hello asks for, and not touched."""
import json
import shutil
import ssl
import subprocess

import pytest

from peers.backend import Backend, tcp_echo
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.tls import Talk, TlsBackend, alert_of, dial, line, recut
from peers.weir import CALM, Weir, settings, told

UNRECOGNIZED_NAME, DECODE_ERROR = 112, 50
INFO = {"level": "info", "format": "json"}


def passing(routes, pools, frontend=None, log=INFO, **top):
    """A weir whose frontend `web` passes TLS on by these routes; pools of one backend each."""
    tree, address = settings(frontend={"routes": routes, **(frontend or {})},
                             protocol="tls_passthrough", log=log, **top)
    tree["pools"] = {name: {"backends": [backend.address], **CALM} for name, backend in pools.items()}
    return Weir(tree, address=address)


@pytest.fixture(scope="module")
def backends():
    with TlsBackend("a") as a, TlsBackend("b", alpn=["h2", "http/1.1"]) as b, \
            TlsBackend("c", alpn=["h2", "http/1.1"]) as c:
        yield {"a": a, "b": b, "c": c}


ROUTES = [{"match": {"host": "a.weir.test"}, "pool": "a"},
          {"match": {"host": "*.weir.test", "alpn": "h2"}, "pool": "b"},
          {"match": {"host": "*.weir.test"}, "pool": "c"}]


@pytest.fixture(scope="module")
def weir(backends):
    with passing(ROUTES, backends, workers=2) as weir:
        yield weir


@pytest.fixture(scope="module")
def open_weir(backends):
    """One with a pool for everything else."""
    with Backend(tcp_echo) as plain, passing(
            ROUTES[:1], {"a": backends["a"], "plain": plain}, frontend={"pool": "plain"}) as weir:
        yield weir


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name, alpn, wanted", [
    ("a.weir.test", (), "a None"), ("A.Weir.Test", ["h2"], "a None"),
    ("x.weir.test", ["h2", "http/1.1"], "b h2"), ("x.y.weir.test", ["http/1.1"], "c http/1.1"),
    ("x.weir.test", (), "c None")])
def test_names_and_protocols_choose(weir, backends, name, alpn, wanted, newest):
    with dial(weir.address, name, alpn, newest=newest) as sock:
        assert line(sock) == wanted
        assert backends[wanted[0]].asked[-1].lower() == name.lower()
        sock.sendall(b"x" * 100000 + b"\n")
        assert line(sock) == "x" * 100000


def test_bytes_go_both_ways_untouched(weir):
    with dial(weir.address, "a.weir.test") as sock:
        line(sock)
        data = bytes(range(256)) * 8192  # long enough to be spliced
        got = b""
        for at in range(0, len(data), 1 << 18):
            sock.sendall(data[at:at + (1 << 18)])
            while len(got) < at + (1 << 18):
                got += sock.recv(1 << 18)
        assert got == data
        sock.unwrap()


@pytest.mark.parametrize("size", [1, 3, 100, 16384])
@pytest.mark.parametrize("step", [1, 7, 1000, 100000])
def test_a_hello_cut_anywhere(weir, size, step):
    """The backend answers a hello in many records as it would without weir between."""
    talk = Talk("a.weir.test")
    data = recut(talk.hello(), size)
    if len(data) > 16000:
        pytest.skip("larger than a hello may be")
    with weir.client() as client:
        for at in range(0, len(data), step):
            client.send(data[at:at + step])
        talk.go_on(client.sock)
        assert talk.go_on(client.sock, lambda tls: tls.read(6)) == b"a None"


def test_every_single_byte_alone(weir):
    talk = Talk("a.weir.test", newest=ssl.TLSVersion.TLSv1_2)
    with weir.client() as client:
        client.dribble(talk.hello())
        talk.go_on(client.sock)
        assert talk.go_on(client.sock, lambda tls: tls.read(6)) == b"a None"


@pytest.mark.parametrize("name", ["other.test", "weir.test", "b.a.weir.test.", None])
def test_an_unknown_name_hears_an_alert(backends, name):
    with passing(ROUTES[:1], {"a": backends["a"]}) as weir:
        with weir.client() as client:
            client.send(Talk(name).hello())
            assert alert_of(client.rest()) == UNRECOGNIZED_NAME
        with pytest.raises(ssl.SSLError) as error:
            dial(weir.address, name)
        assert "UNRECOGNIZED_NAME" in str(error.value).upper()
        lines = until(lambda: [each for each in weir.log() if each.get("outcome") == "name_unknown"],
                      "a line about it")
        assert lines[0]["msg"] == "failed to served connection"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\0"])
def test_what_is_no_tls(weir, data):
    with weir.client() as client:
        client.send(data)
        assert client.rest() == b""


@pytest.mark.parametrize("data", [
    b"\x16\3\1\0\0", b"\x16\3\1\0\4\2\0\0\0", b"\x16\3\1\0\4\1\xff\xff\xff", b"\x16\3\1\0\5\1\0\0\1x",
    b"\x16\3\1\0\1\1\x17\3\3\0\1x"])
def test_what_is_broken_tls(open_weir, data):
    with open_weir.client() as client:
        client.send(data)
        assert alert_of(client.rest()) == DECODE_ERROR


def test_a_pool_for_all_others(open_weir):
    with open_weir.client() as client:
        client.send(b"SSH-2.0-x\r\n")
        assert client.sock.recv(11) == b"SSH-2.0-x\r\n"
    hello = Talk("nobody.test").hello()
    with open_weir.client() as client:
        client.send(hello)
        client.end()
        assert client.rest() == hello
    with dial(open_weir.address, "a.weir.test") as sock:
        assert line(sock) == "a None"


def test_a_hello_that_does_not_come(backends):
    with passing(ROUTES, backends, frontend={"timeouts": {"client_header": "300ms"}}) as weir:
        with weir.client() as client:
            assert client.rest() == b""
        with weir.client() as client:
            client.send(Talk("a.weir.test").hello()[:100])
            assert client.rest() == b""
        until(lambda: sum(line.get("outcome") == "hello_timeout" for line in weir.log()) == 2,
              "a line about each")


def test_a_hello_in_time_ends_the_wait(backends):
    with passing(ROUTES, backends, frontend={"timeouts": {"client_header": "100ms"}}) as weir:
        with dial(weir.address, "a.weir.test") as sock:
            line(sock)
            with weir.client() as other:  # who says nothing is closed meanwhile, twice
                assert other.rest() == b""
            with weir.client() as other:
                assert other.rest() == b""
            sock.sendall(b"still there\n")
            assert line(sock) == "still there"


def test_a_client_that_leaves_early(weir):
    for data in (b"", b"\x16", Talk("a.weir.test").hello()[:-1]):
        with weir.client() as client:
            client.send(data)
        with weir.client() as client:
            client.send(data)
            client.reset()
        with weir.client() as client:
            client.send(data)
            client.end()
            assert client.rest() in (b"", b"\x15\3\3\0\2\2\x32")


def test_a_backend_that_is_down(backends):
    dead = f"{HOST}:{free_port()}"
    tree, address = settings(frontend={"routes": [{"match": {"host": "a.weir.test"}, "pool": "a"}]},
                             protocol="tls_passthrough", log=INFO)
    tree["pools"] = {"a": {"backends": [dead], **CALM}}
    with Weir(tree, address=address) as weir:
        with weir.client() as client, pytest.raises(ConnectionResetError):
            client.send(Talk("a.weir.test").hello())
            client.rest()
        until(lambda: told(weir.log(), "failed to served connection")[1] == 1, "a line about it")


def test_behind_a_proxy_header(backends):
    header = b"PROXY TCP4 192.0.2.7 192.0.2.80 4711 443\r\n"
    with passing(ROUTES, backends, frontend={"client_ip": {
            "proxy_protocol": "accept", "trusted_proxies": "127.0.0.1"}}) as weir:
        with dial(weir.address, "a.weir.test", header=header) as sock:
            assert line(sock) == "a None"
        talk = Talk("b.weir.test", ["h2"])
        with weir.client() as client:
            client.dribble(header + talk.hello())
            talk.go_on(client.sock)
            assert talk.go_on(client.sock, lambda tls: tls.read(4)) == b"b h2"


def test_the_access_log_tells(backends):
    with passing(ROUTES, backends, log={**INFO, "access": {"output": "stdout"}}) as weir:
        with dial(weir.address, "x.weir.test", ["h2"]) as sock:
            line(sock)
        with weir.client() as client:
            client.send(Talk("other.test").hello())
            client.rest()
        until(lambda: weir.stdout.count("\n") == 2, "both lines")
        good, bad = sorted((json.loads(line) for line in weir.stdout.splitlines()),
                           key=lambda line: line["outcome"] != "tunnel_closed")
        assert good["http.route"] == "web.routes[1]" and good["pool"] == "b", good
        assert bad["outcome"] == "name_unknown", bad


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl(weir, backends):
    """Its handshake is over when it says which protocol was agreed; no HTTP is spoken here."""
    host, port = weir.address.rsplit(":", 1)
    for name, wanted in (("a", b"did not agree"), ("x", b"accepted h2")):
        done = subprocess.run(
            ["curl", "-skv", "--http2", "-m", "1", "--resolve", f"{name}.weir.test:{port}:{host}",
             f"https://{name}.weir.test:{port}/"], stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=HANG_SECONDS)
        assert b"SSL connection using" in done.stderr and wanted in done.stderr, done.stderr
    assert "x.weir.test" in backends["b"].asked
