# SPDX-License-Identifier: Apache-2.0
"""Backends that are spoken to by TLS: who is believed, what is said when not, sessions, checks."""
import hashlib
import json
import os
import ssl

import pytest

from peers import http1
from peers.backend import Backend, fixed, raw, serve, tcp_echo
from peers.net import HOST, free_port, until
from peers.papers import Papers, TlsBackend, papers
from peers.tls import KeyChanger
from peers.weir import run, start, told


def ca():
    return papers().path("ca.crt")


def site(script=None, **rest):
    return TlsBackend(script, papers().server_context("site"), **rest)


def by_tls(**tls):
    return {"pool": {"tls": {"ca": ca(), "server_name": "site.example", **tls}}}


def test_requests_reuse_one_connection():
    with site() as backend, start(backend, **by_tls()) as weir, weir.client() as client:
        for i in range(5):
            answer = client.ask("POST", f"/{i}", body=b"x" * i)
            assert json.loads(answer.body)["length"] == i
        assert len(backend.connections) == 1
        assert backend.last().get("x-forwarded-proto") == "http"


def test_the_scheme_alone_is_enough_to_verify():
    with site() as backend, start(f"https://{backend.address}") as weir:
        assert weir.ask().status == 503
        line = json.loads(weir.wait_log('"reason":"certificate_unknown_issuer"')[0])
        assert line["cure"].startswith("Name its authority as tls.ca of the pool")
        assert not backend.served


@pytest.mark.parametrize("size", [1, 16383, 100_000, 5_000_000])
def test_bodies_pass_whole_in_both_directions(size):
    data = hashlib.shake_128(str(size).encode()).digest(size)
    with site(serve(lambda message: http1.response(200, body=message.body))) as backend, \
            start(backend, **by_tls()) as weir, weir.client() as client:
        for _ in range(3):
            assert client.ask("POST", "/", body=data).body == data


def refused(context, reason, words, tls=None, outcome="tls_certificate"):
    with TlsBackend(None, context) as backend, start(backend, **by_tls(**(tls or {}))) as weir:
        answer = weir.ask()
        assert answer.status == 503
        assert f'details="{outcome}"' in answer.get("proxy-status")
        line = json.loads(weir.wait_log('"msg":"TLS handshake with backend failed"')[0])
        assert line["reason"] == reason
        assert words in line["cause"]
        assert line["cure"]
        assert not backend.served


def test_an_expired_certificate():
    old = Papers().make("site", "site.example", days=-1)
    refused(old.server_context("site"), "certificate_expired", "certificate has expired",
            {"ca": old.path("ca.crt")})


def test_a_certificate_for_another_name():
    refused(papers().server_context("other"), "certificate_hostname",
            "hostname mismatch: the certificate is for DNS:other.example")


def test_a_certificate_of_a_stranger():
    stranger = Papers().make("site", "site.example", stranger=True)
    refused(stranger.server_context("site"), "certificate_self_signed", "self-signed certificate")


def test_a_certificate_that_is_too_large():
    wide = Papers().make("site", *(f"n{i}.site.example" for i in range(6000)))
    refused(wide.server_context("site"), "certificate_too_large", "it has more than 102400 bytes",
            {"ca": wide.path("ca.crt")})


def test_a_backend_that_speaks_no_tls():
    with Backend(raw(b"HTTP/1.1 400 Bad\r\n\r\n")) as backend, \
            start(f"https://{backend.address}") as weir:
        answer = weir.ask()
        assert answer.status == 503
        assert 'details="tls_failed"' in answer.get("proxy-status")


def test_an_old_backend():
    context = papers().server_context("site")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    refused(context, "version", "", {"min_version": "1.3"},
            outcome="tls_failed")


def test_the_name_is_told_and_may_be_set():
    context = papers().server_context("site")
    names = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    with TlsBackend(None, context, host="127.0.0.1") as backend:
        with start(backend, **by_tls()) as weir:
            assert weir.ask().status == 200
        port = backend.address.rpartition(":")[2]
        with start(f"https://localhost:{port}", pool={"tls": {"ca": ca()}}) as weir:
            until(lambda: weir.ask().status == 200, "an answer")
    assert names[0] == "site.example"
    assert names[-1] == "localhost"


def test_without_verification_anybody_will_do():
    with TlsBackend(None, papers().server_context("other")) as backend, \
            start(backend, pool={"tls": {"verify": False}}) as weir:
        assert weir.ask().status == 200


def test_we_show_a_certificate():
    own = {"cert": papers().path("me.crt"), "key": papers().path("me.key")}
    with TlsBackend(None, papers().server_context("site", ask=True)) as backend:
        with start(backend, **by_tls(**own)) as weir:
            assert weir.ask().status == 200
            peer = backend.connections[0].sock.getpeercert()
            assert ((("commonName", "me"),),) == peer["subject"]
        with start(backend, **by_tls()) as weir:
            assert weir.ask().status >= 500


# With TLS 1.3 our own handshake is over before the backend has seen our certificate, or that there
# is none; its alert comes where an answer should.
BOTH_VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def choosy(version):
    context = papers().server_context("site", ask=True)
    context.maximum_version = version
    return context


MISSING = ["peer_refused: sslv3 alert handshake failure", "own_certificate_missing: tlsv13 alert certificate required"]
REFUSED = ["own_certificate_refused: tlsv1 alert unknown ca"]


def unwelcome(weir, words):
    line = json.loads(weir.wait_log('"msg":"TLS handshake with backend failed"')[0])
    assert f'{line["reason"]}: {line["cause"]}' in words
    assert "tls.cert" in line["cure"]


@BOTH_VERSIONS
@pytest.mark.parametrize("method, size", [("GET", 0), ("POST", 50_000), ("PUT", 500_000)])
def test_a_backend_that_wants_a_certificate_says_so(version, method, size):
    with TlsBackend(None, choosy(version)) as backend, start(backend, **by_tls()) as weir:
        for _ in range(3):
            answer = weir.ask(method, "/", body=bytes(size))
            assert answer.status == 503
            assert 'details="tls_failed"' in answer.get("proxy-status")
        unwelcome(weir, MISSING)
        assert not backend.served


@BOTH_VERSIONS
def test_a_backend_that_does_not_trust_our_certificate_says_so(version):
    stranger = Papers().make("me", "me.example")
    own = {"cert": stranger.path("me.crt"), "key": stranger.path("me.key")}
    with TlsBackend(None, choosy(version)) as backend, start(backend, **by_tls(**own)) as weir:
        assert 'details="tls_failed"' in weir.ask().get("proxy-status")
        unwelcome(weir, REFUSED)


@BOTH_VERSIONS
def test_whom_one_backend_does_not_take_another_may(version):
    pool = by_tls()["pool"]
    with TlsBackend(None, choosy(version)) as one, site() as other, \
            start(one, other, pool=pool) as weir:
        for _ in range(6):  # a method that is not sent twice, where it may have been heard
            assert weir.ask("POST", "/", body=b"x" * 3000).status == 200
        assert one.failures and not one.served


@BOTH_VERSIONS
def test_a_tunnel_to_a_backend_that_wants_a_certificate(version):
    with TlsBackend(tcp_echo, choosy(version)) as backend, \
            start(backend, protocol="tcp", **by_tls()) as weir:
        with weir.client() as client:
            client.send(b"hello")
            try:
                assert client.rest() == b""
            except ConnectionError:
                pass
        unwelcome(weir, MISSING)
        weir.wait_log('"outcome":"tls_failed"')


@BOTH_VERSIONS
def test_sessions_are_resumed(version):
    context = papers().server_context("site")
    context.maximum_version = version
    close = fixed(200, "Connection: close", body=b"x")
    with TlsBackend(close, context) as backend, start(backend, **by_tls()) as weir:
        for _ in range(6):
            assert weir.ask().status == 200
        until(lambda: len(backend.reused) == 6, "six connections")
        assert not backend.reused[0] and backend.reused.count(False) <= weir.workers


def test_backends_of_one_pool_have_sessions_of_their_own():
    close = fixed(200, "Connection: close", body=b"x")
    with site(close) as one, site(close) as two, start(one, two, **by_tls()) as weir:
        for _ in range(8):
            assert weir.ask().status == 200
        until(lambda: len(one.reused) + len(two.reused) == 8, "eight connections")
        assert abs(len(one.reused) - len(two.reused)) <= weir.workers
        for each in (one, two):
            assert not each.reused[0] and each.reused.count(False) <= weir.workers


def test_a_cut_answer_is_not_a_whole_one():
    """A body that ends with the connection, which ends without close_notify."""
    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK") + b"x" * 5000)
        os.close(connection.sock.detach())

    with site(script) as backend, start(backend, **by_tls()) as weir, weir.client() as client:
        client.send(http1.request())
        with pytest.raises((AssertionError, ConnectionError)):
            client.response()


def test_a_whole_answer_needs_no_goodbye():
    data = http1.response(200, body=b"y" * 3000)

    def script(connection):
        connection.request()
        connection.send(data)

    with site(script) as backend, start(backend, **by_tls()) as weir:
        for _ in range(3):
            assert weir.ask().body == b"y" * 3000


def test_an_end_in_order_is_a_whole_answer():
    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK") + b"z" * 3000)
        try:
            connection.sock.unwrap()
        except OSError:
            pass

    with site(script) as backend, start(backend, **by_tls()) as weir:
        assert weir.ask().body == b"z" * 3000


def test_idle_connections_end_with_a_word():
    ends = []

    def script(connection):
        serve(lambda message: http1.response(200, body=b"x"))(connection)
        ends.append("in order")

    with site(script) as backend, \
            start(backend, pool={**by_tls()["pool"], "timeouts": {"upstream_idle": "100ms"}}) as weir:
        backend.context.options |= ssl.OP_NO_TICKET
        assert weir.ask().status == 200
        until(lambda: ends, "the end of the connection")
        assert backend.connections[0].error is None


def test_tcp_to_tls():
    with site(tcp_echo) as backend, start(backend, protocol="tcp", **by_tls()) as weir, \
            weir.client() as client:
        data = bytes(range(256)) * 1000
        client.sock.sendall(data)
        got = b""
        while len(got) < len(data):
            got += client.sock.recv(65536)
        assert got == data


def test_both_sides_by_tls():
    from peers.papers import TlsClient
    words = {"certificates": [papers().files("site")], "frontend": {"tls": True}, **by_tls()}
    data = bytes(1 << 20)
    with site(serve(lambda message: http1.response(200, body=message.body))) as backend, \
            start(backend, **words) as weir:
        with TlsClient(weir.address, papers().client_context()) as client:
            assert client.ask("POST", "/", body=data).body == data


def test_a_handshake_that_stops_is_a_connection_that_does_not_come():
    def silent(connection):
        while connection.sock.recv(65536):
            pass

    with Backend(silent) as backend, \
            start(f"https://{backend.address}",
                  pool={"timeouts": {"connect": "200ms"}, "retry": {"max_attempts": 1}}) as weir:
        answer = weir.ask()
        assert answer.status == 503
        assert 'details="connection_timeout"' in answer.get("proxy-status")


# ---- Health checks ------------------------------------------------------------------------------


def checked(kind, **tls):
    return {"tls": {"ca": ca(), "server_name": "site.example", **tls},
            "health_check": {"type": kind, "path": "/", "interval": "100ms", "fast_interval": "50ms"}
            if kind == "http" else {"type": kind, "interval": "100ms", "fast_interval": "50ms"}}


@pytest.mark.parametrize("kind", ["http", "tcp", "auto"])
def test_checks_by_tls(kind):
    with site() as backend, start(backend, pool=checked(kind)) as weir:
        weir.wait_log("backends are checked")
        assert weir.ask().status == 200
        until(lambda: len(backend.connections) > 4, "checks")
        assert not backend.failures
    assert '"up":1' in [line for line in map(json.dumps, weir.last_log)
                        if "backends are checked" in line][0].replace(" ", "")


def limited(version):
    context = papers().server_context("site")
    context.maximum_version = version
    return context


NOT_TRUSTED = [
    ("tcp", lambda: papers().server_context("other"), {},
     "hostname mismatch: the certificate is for another name"),
    ("http", lambda: papers().server_context("other"), {},
     "hostname mismatch: the certificate is for another name"),
    ("http", lambda: papers().server_context("site"), {"ca": papers().path("other.crt")},
     "nobody here knows who issued the peer's certificate"),
    ("http", lambda: limited(ssl.TLSVersion.TLSv1_2), {"min_version": "1.3"},
     "no version of TLS that both sides allow"),
    ("http", lambda: choosy(ssl.TLSVersion.TLSv1_2), {}, "the peer refused the handshake"),
    ("http", lambda: choosy(ssl.TLSVersion.TLSv1_3), {},
     "the peer wants a certificate and got none"),
]


@pytest.mark.parametrize("kind, context, tls, words", NOT_TRUSTED)
def test_checks_say_why_a_handshake_fails(kind, context, tls, words):
    with TlsBackend(None, context()) as backend, \
            start(backend, pool=checked(kind, **tls)) as weir:
        weir.wait_log(f'"reason":"{words}"')
        assert weir.ask().status == 503


def test_checks_say_that_a_certificate_has_expired():
    old = Papers().make("site", "site.example", days=-1)
    with TlsBackend(None, old.server_context("site")) as backend, \
            start(backend, pool=checked("http", ca=old.path("ca.crt"))) as weir:
        weir.wait_log('"reason":"the peer\'s certificate has expired"')


@pytest.mark.parametrize("kind", ["http", "none"])
def test_status_says_why_a_handshake_fails(kind):
    admin = f"{HOST}:{free_port()}"
    pool = {**by_tls()["pool"], "outliers": {"connect_failures": 1},
            "health_check": {"type": kind, "interval": "1h"} if kind == "http" else {"type": kind}}
    with TlsBackend(None, papers().server_context("other")) as backend, \
            start(backend, pool=pool, admin={"bind": [admin]}) as weir:
        assert weir.ask().status == 503
        until(lambda: "hostname mismatch: the certificate is for another name"
              in run("status", "--admin", admin)[1], "the cause")


def test_what_requests_met_is_said_of_a_backend_that_is_not_checked():
    pool = {**by_tls()["pool"], "health_check": {"type": "none"},
            "outliers": {"connect_failures": 1}}
    with TlsBackend(None, papers().server_context("other")) as backend, \
            start(backend, pool=pool) as weir:
        assert weir.ask().status == 503
        weir.wait_log('"reason":"hostname mismatch: the certificate is for another name"')


# ---- Behind the handshake ------------------------------------------------------------------------


def changing(times):
    """A backend that answers, and changes its keys so often before the end of its answer."""
    def script(connection):
        changer = KeyChanger(connection.sock, papers().path("site.crt"), papers().path("site.key"))
        while b"\r\n\r\n" in changer.read():
            changer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
            for _ in range(times):
                if not changer.change():
                    break
            changer.write(b"lo")
        changer.close()
    return Backend(script)


def test_a_backend_may_change_its_keys():
    with changing(20) as backend, start(backend, **by_tls()) as weir, weir.client() as client:
        for _ in range(10):
            assert client.ask().body == b"hello"
        assert len(backend.connections) == 1
        assert "TLS connection with backend ended" not in weir.stderr


def test_a_backend_that_changes_its_keys_without_end():
    """Its connection ends, and the log says which one's it was and why; not once for each."""
    with changing(100_000) as backend, start(backend, **by_tls()) as weir:
        for count in range(1, 6):
            with weir.client() as client:
                client.send(http1.request())
                client.rest()
            until(lambda: told(weir.log(), "TLS connection with backend ended")[1] == count, "the ends to be told of")
        lines, _ = told(weir.log(), "TLS connection with backend ended")
        first = lines[0]
        assert first["level"] == "warn" and first["reason"] == "key_updates"
        assert first["pool"] == "app" and first["backend"] == first["address"] == backend.address
        assert first["cause"] and first["cure"]
        assert all(line["reason"] == "key_updates" for line in lines)
