# SPDX-License-Identifier: Apache-2.0
"""Backends that are spoken to by HTTP/2 over TLS: several streams on one connection, and what follows
when the backend does not agree on HTTP/2, ends at once, or never says a word."""
import json
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from peers import h2
from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.papers import TlsBackend, papers
from peers.weir import CALM, Weir, settings, start

BIG = bytes(range(256)) * 4096
TLS = {"ca": papers().path("ca.crt"), "server_name": "site.example"}


def site(handler=h2.echo, *, alpn=("h2",), ask=False, **rest):
    return TlsBackend(h2.serve(handler, **rest), papers().server_context("site", ask, alpn))


def by_h2(backend):
    return "h2://" + backend.address


def run(backend, tls=None, **pool):
    return start(by_h2(backend), pool={"tls": {**TLS, **(tls or {})}, **pool})


def seen(answer):
    return dict(line.split("=", 1) for line in answer.all("x-seen"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_backend_that_wants_a_certificate_says_so(version):
    backend = site(ask=True)
    backend.context.maximum_version = version
    with backend, run(backend) as weir:
        for _ in range(3):
            answer = weir.ask()
            assert answer.status == 503
            assert 'details="tls_failed"' in answer.get("proxy-status")
        line = json.loads(weir.wait_log('"msg":"TLS handshake with backend failed"')[0])
        assert line["reason"] in ("peer_refused", "own_certificate_missing") and "tls.cert" in line["cure"]
        assert " alert " in line["cause"]


# ---- Messages -----------------------------------------------------------------------------------

def test_many_streams_on_one_connection():
    with site() as backend, run(backend) as weir, h2.Client(weir.address) as client:
        streams = [client.ask("GET", f"/{i}", ("x-number", str(i))) for i in range(50)]
        for i, stream in enumerate(streams):
            assert seen(client.answer(stream))["x-number"] == str(i)
        assert len(backend.connections) == 1
        assert backend.connections[0].sock.selected_alpn_protocol() == "h2"


def test_the_scheme_is_that_of_the_connection():
    with site() as backend, run(backend) as weir:
        assert seen(weir.ask())[":scheme"] == "https"


@pytest.mark.parametrize("size", [1, 16383, 100_000, 1 << 20])
def test_bodies_and_trailers_pass_whole(size):
    data = (BIG * 2)[:size]
    with site() as backend, run(backend) as weir:
        for _ in range(2):
            answer = weir.ask("POST", "/", chunks=[data], trailers=["X-T: u"])
            assert answer.body == data
            assert answer.trailers in ([("X-T", "u")], [("x-t", "u")])


def test_a_second_connection_when_the_first_is_full():
    held = []

    def handler(peer, stream):
        held.append((peer, stream))
        if len(held) == 5:
            for each in held:
                h2.hello(*each)

    with site(handler, settings={3: 2}) as backend, run(backend) as weir, \
            h2.Client(weir.address) as client:
        streams = [client.ask("GET", f"/{i}") for i in range(5)]
        for stream in streams:
            assert client.answer(stream).body == b"hello"
        assert len(backend.connections) == 3


def test_the_protocol_of_a_pool():
    with site() as backend, \
            start(backend, pool={"protocol": "h2", "tls": TLS}) as weir:
        assert seen(weir.ask())[":scheme"] == "https"
    with Backend(h2.serve(h2.echo)) as backend, start(backend, pool={"protocol": "h2"}) as weir:
        assert seen(weir.ask())[":scheme"] == "http"


def test_sessions_are_resumed():
    def handler(peer, stream):
        h2.hello(peer, stream)
        peer.send(h2.GoAwayFrame(0, stream))

    with site(handler) as backend, run(backend) as weir:
        for _ in range(5):
            assert weir.ask().body == b"hello"
        until(lambda: len(backend.reused) == 5, "five connections")
        assert not backend.reused[0] and backend.reused.count(False) <= weir.workers


def test_we_show_a_certificate():
    own = {"cert": papers().path("me.crt"), "key": papers().path("me.key")}
    with site(ask=True) as backend, run(backend, own) as weir:
        assert weir.ask().status == 200
        assert ((("commonName", "me"),),) == backend.connections[0].sock.getpeercert()["subject"]


# ---- Real servers -------------------------------------------------------------------------------

def asked_of_a_server(port, folder):
    (folder / "big").write_bytes(BIG)
    return start(f"h2://{HOST}:{port}",
                 pool={"tls": TLS, "health_check": {"type": "http", "path": "/big", "interval": "1s"}})


def check_server(weir):
    until(lambda: weir.ask("GET", "/big").status == 200, "the server to be up")
    with h2.Client(weir.address) as client:
        streams = [client.ask("GET", "/big") for _ in range(5)]
        for stream in streams:
            assert client.answer(stream).body == BIG


@pytest.mark.skipif(not shutil.which("nghttpd"), reason="needs nghttp2-server")
def test_nghttpd(tmp_path):
    port = free_port()
    server = subprocess.Popen(
        ["nghttpd", "-d", str(tmp_path), "-a", HOST, str(port), papers().path("site.key"),
         papers().path("site.crt")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with asked_of_a_server(port, tmp_path) as weir:
            check_server(weir)
    finally:
        server.kill()
        server.wait()


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
def test_nginx(tmp_path):
    port = free_port()
    (tmp_path / "conf").write_text(f"""
daemon off; master_process off; pid {tmp_path}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{ access_log off;
  client_body_temp_path {tmp_path}/1; proxy_temp_path {tmp_path}/2; fastcgi_temp_path {tmp_path}/3;
  uwsgi_temp_path {tmp_path}/4; scgi_temp_path {tmp_path}/5;
  server {{ listen {HOST}:{port} ssl http2; root {tmp_path};
    ssl_certificate {papers().path("site.crt")}; ssl_certificate_key {papers().path("site.key")}; }} }}
""")
    server = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "conf")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with asked_of_a_server(port, tmp_path) as weir:
            check_server(weir)
    finally:
        server.kill()
        server.wait()


# ---- Who does not agree -------------------------------------------------------------------------

def refused(weir, cause):
    answer = weir.ask()
    assert answer.status == 503
    assert 'details="tls_protocol"' in answer.get("proxy-status")
    line = json.loads(weir.wait_log('"msg":"TLS handshake with backend failed"')[0])
    assert line["reason"] == "no_http2"
    assert cause in line["cause"]
    assert "https://" in line["cure"]


@pytest.mark.parametrize("alpn", [("http/1.1",), ()])
def test_a_backend_that_chooses_nothing(alpn):
    with site(alpn=alpn) as backend, run(backend) as weir:
        refused(weir, "it chose nothing by ALPN")
        with h2.Client(weir.address) as client:
            assert client.get().status == 503
        assert not any(connection.raw for connection in backend.connections)


def test_a_backend_that_refuses_by_an_alert():
    port = free_port()
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"{HOST}:{port}", "-alpn", "http/1.1", "-quiet",
         "-cert", papers().path("site.crt"), "-key", papers().path("site.key")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with start(f"h2://{HOST}:{port}", pool={"tls": TLS, **CALM}) as weir:
            until(lambda: 'tls_protocol' in weir.ask().get("proxy-status"), "the server to be up")
            weir.wait_log('"reason":"no_http2"')
    finally:
        server.kill()
        server.wait()


def test_checks_see_it():
    check = {"type": "tcp", "interval": "100ms", "fast_interval": "50ms"}
    with site(alpn=("http/1.1",)) as backend, run(backend, health_check=check) as weir:
        weir.wait_log('"reason":"the backend does not agree on HTTP/2 (ALPN)"')
        assert weir.ask().status == 503


def test_https_is_not_http2():
    with TlsBackend(None, papers().server_context("site", alpn=("h2", "http/1.1"))) as backend, \
            start(f"https://{backend.address}", pool={"tls": TLS}) as weir:
        assert weir.ask().status == 200
        assert backend.connections[0].sock.selected_alpn_protocol() == "http/1.1"


# ---- Who ends, or says nothing ------------------------------------------------------------------

def goes_at_once(connection):
    """GOAWAY before any request."""
    peer = h2.Peer(connection.sock)
    try:
        assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
        peer.send(h2.SettingsFrame(0, {}), h2.GoAwayFrame(0, 0))
        peer.finish()
    except OSError:
        pass


def test_goaway_at_once_and_then_service():
    serve = h2.serve(h2.echo)

    def script(connection):
        (goes_at_once if connection.index == 0 else serve)(connection)

    with TlsBackend(script, papers().server_context("site", alpn=("h2",))) as backend, \
            run(backend) as weir:
        assert weir.ask("POST", "/", body=b"abc").body == b"abc"
        assert len(backend.connections) == 2


def test_goaway_always():
    with TlsBackend(goes_at_once, papers().server_context("site", alpn=("h2",))) as backend, \
            run(backend, retry={"max_attempts": 3}) as weir:
        answer = weir.ask()
        assert answer.status in (502, 503)
        assert len(backend.connections) < 10


def silent(connection):
    try:
        while connection.sock.recv(65536):
            pass
    except OSError:
        pass
    connection.over = True


@pytest.mark.parametrize("shakes", [True, False])
def test_a_silent_backend_holds_no_connection(shakes):
    """The client goes before the handshake is over, or before the backend's first word."""
    context = papers().server_context("site", alpn=("h2",))
    with (TlsBackend(silent, context) if shakes else Backend(silent)) as backend, \
            run(backend, timeouts={"connect": "300ms"}, retry={"max_attempts": 1}) as weir:
        answer = weir.ask()
        assert answer.status in (503, 504)
        until(lambda: getattr(backend.connections[0], "over", False), "the connection to close")


@pytest.mark.parametrize("way", ["no handshake", "no first word", "no first word in clear"])
def test_a_stalled_connection_is_joined_by_nobody_behind_the_first_who_had_enough(way):
    """Requests that come one behind the other would keep it for ever, each of them, with its second
    try, waiting for what never comes."""
    context = papers().server_context("site", alpn=("h2",))
    serve = h2.serve(h2.hello)

    def script(connection):
        if connection.index == 0:
            if way == "no first word":
                connection.sock = context.wrap_socket(connection.sock, server_side=True)
            silent(connection)
            return
        if way != "no first word in clear":
            connection.sock = context.wrap_socket(connection.sock, server_side=True)
        serve(connection)

    with Backend(script) as backend:
        by = by_h2(backend) if way != "no first word in clear" else "h2c://" + backend.address
        pool = {"timeouts": {"connect": "1500ms"}, "retry": {"max_attempts": 2}, **CALM}
        if way != "no first word in clear":
            pool["tls"] = TLS
        with start(by, pool=pool) as weir, h2.Client(weir.address) as client:
            first = client.ask()
            backend.wait_connections(1)
            time.sleep(0.75)
            second = client.ask()  # waits for the same connection, longer than the first one
            assert client.answer(first).body == b"hello"
            third = client.ask()  # while the second one still waits for it
            assert client.answer(third).body == b"hello"
            assert client.answer(second).body == b"hello"
            assert len(backend.connections) == 2


# ---- Health checks, and other configurations ----------------------------------------------------

@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_checks(kind):
    check = {"type": kind, "interval": "100ms", "fast_interval": "50ms"}
    with site() as backend, run(backend, health_check=check) as weir:
        weir.wait_log("backends are checked")
        assert weir.ask().status == 200
        until(lambda: len(backend.connections) > 4, "checks")
        assert not backend.failures


@pytest.mark.parametrize("before, after", [("h2c://", "h2://"), ("h2://", "h2c://"),
                                           ("https://", "h2://"), ("http://", "https://")])
def test_another_way_from_the_next_configuration_on(before, after):
    """One address that is spoken to in all ways: no kept connection of the old kind serves on."""
    ways = []

    def script(connection):
        first = connection.sock.recv(1, 2)  # MSG_PEEK
        is_tls = first == b"\x16"
        if is_tls:
            context = papers().server_context("site", alpn=("h2", "http/1.1"))
            connection.sock = context.wrap_socket(connection.sock, server_side=True)
            connection.reader.sock = connection.sock
        is_h2 = is_tls and connection.sock.selected_alpn_protocol() == "h2" or first == b"P"
        ways.append({(False, False): "http://", (True, False): "https://", (False, True): "h2c://",
                     (True, True): "h2://"}[is_tls, is_h2])
        if is_h2:
            h2.serve(h2.hello)(connection)
        else:
            serve(connection)

    def serve(connection):
        while connection.request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with Backend(script) as backend:
        tree, address = settings([before + backend.address],
                                 pool={"tls": TLS} if "s://" in before or before == "h2://" else {})
        with Weir(tree, address=address) as weir:
            assert weir.ask().body == b"hello"
            tree["pools"]["app"]["backends"] = [after + backend.address]
            tree["pools"]["app"].pop("tls", None)
            if after in ("https://", "h2://"):
                tree["pools"]["app"]["tls"] = TLS
            with open(weir.config_path, "w", encoding="utf-8") as file:
                json.dump(tree, file)
            weir.signal(signal.SIGHUP)
            weir.wait_log("configuration is reloaded")
            for _ in range(3):
                assert weir.ask().body == b"hello"
            assert ways[0] == before and set(ways[1:]) == {after} and len(ways) <= 1 + weir.workers
