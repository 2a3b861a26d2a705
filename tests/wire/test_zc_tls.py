# SPDX-License-Identifier: Apache-2.0
"""Clients that come by TLS: versions, certificates, sessions, ends, and everything that they do
wrong."""
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from peers import http1
from peers.backend import Backend, fixed, raw, serve, tcp_echo
from peers.client import Client
from peers.net import HOST, free_port, until
from peers.papers import Papers, TlsClient, openssl, papers
from peers.tls import KeyChanger
from peers.weir import IS_SANITIZED, ONE_WORKER, Weir, config_file, run, settings, start, told


def secure(*names, protocol=None, top=None, frontend=None, **tls):
    """Words for start(): a frontend with these certificates."""
    words = {"certificates": [papers().files(name) for name in names or ["site"]],
             "frontend": {"tls": tls or True, **(frontend or {})}, **(top or {})}
    if protocol:
        words["protocol"] = protocol
    return words


def client(weir, name="site.example", context=None, **rest):
    made = TlsClient(weir.address, context or papers().client_context(), name, **rest)
    weir.clients.append(made)
    return made


def limited(newest, oldest=None):
    context = papers().client_context()
    context.minimum_version = oldest or newest
    context.maximum_version = newest
    return context


# ---- Versions and bodies ------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_by_both_versions(version):
    with Backend() as backend, start(backend, **secure()) as weir, \
            client(weir, context=limited(version)) as tls:
        for target in ("/one", "/two"):
            answer = json.loads(tls.ask("POST", target, body=b"hello").body)
            assert answer["target"] == target and answer["length"] == 5
        assert backend.last().get("x-forwarded-proto") == "https"
        assert tls.sock.version() == version.name.replace("_", ".")
        assert len([each for each in backend.connections if each.requests]) == 1


@pytest.mark.parametrize("word", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused_with_an_alert(word):
    with Backend() as backend, start(backend, **secure()) as weir:
        said = openssl("s_client", word, "-cipher", "ALL:@SECLEVEL=0", "-connect", weir.address,
                       text="", code=None)
        assert "alert protocol version" in said
        weir.wait_log('"reason":"version"')


def test_only_1_3_when_asked_for():
    with Backend() as backend, start(backend, **secure(min_version="1.3")) as weir:
        with pytest.raises(ssl.SSLError, match="(?i)alert.protocol.version"):
            client(weir, context=limited(ssl.TLSVersion.TLSv1_2))
        assert client(weir).ask().status == 200


def test_old_ciphers_are_refused():
    with Backend() as backend, start(backend, **secure("site-rsa")) as weir:
        for cipher in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"):
            said = openssl("s_client", "-tls1_2", "-cipher", cipher, "-connect", weir.address,
                           text="", code=None)
            assert "handshake failure" in said
        weir.wait_log('"reason":"cipher"')


@pytest.mark.parametrize("size", [1, 1368, 1369, 1370, 16256, 100_000, 5_000_000])
def test_bodies_pass_whole_in_both_directions(size):
    data = hashlib.shake_128(str(size).encode()).digest(size)

    def mirror(message):
        return http1.response(200, body=message.body)

    with Backend(serve(mirror)) as backend, start(backend, **secure()) as weir, \
            client(weir) as tls:
        for _ in range(3):
            assert tls.ask("POST", "/", body=data).body == data


def test_a_request_that_drips_in():
    with Backend() as backend, start(backend, **secure()) as weir, client(weir) as tls:
        tls.dribble(http1.request("GET", "/slowly"))
        assert json.loads(tls.response().body)["target"] == "/slowly"


def test_pipelined_requests():
    with Backend() as backend, start(backend, **secure()) as weir, client(weir) as tls:
        tls.send(b"".join(http1.request("GET", f"/{i}") for i in range(50)))
        for i in range(50):
            assert json.loads(tls.response().body)["target"] == f"/{i}"


def test_a_reader_that_stops_costs_little_memory():
    body = bytes(64 << 20)
    with Backend(fixed(200, body=body)) as backend, start(backend, **secure()) as weir, \
            client(weir) as tls:
        before = weir.rss()
        tls.send(http1.request("GET", "/"))
        until(lambda: backend.connections, "the request")
        time.sleep(1)
        assert IS_SANITIZED or weir.rss() - before < 4 << 20
        assert tls.response().body == body


# ---- Certificates -------------------------------------------------------------------------------


def shown(weir, name, context=None):
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with client(weir, name, context) as tls:
        der = tls.sock.getpeercert(True)
    return next(each for each in ("site", "site-rsa", "wild", "other") if papers().der(each) == der)


def test_the_name_chooses_the_certificate():
    with Backend() as backend, \
            start(backend, **secure("site", "site-rsa", "wild", "other")) as weir:
        assert shown(weir, "site.example") == "site"
        assert shown(weir, "SITE.example") == "site"
        assert shown(weir, "a.wild.example") == "wild"
        assert shown(weir, "other.example") == "other"
        assert shown(weir, "nobody.example") == "site"
        assert shown(weir, None) == "site"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        assert shown(weir, "site.example", old) == "site-rsa"


def test_a_host_of_another_certificate_is_misdirected():
    with Backend() as backend, start(backend, **secure("site", "other")) as weir, \
            client(weir) as tls:
        answer = tls.ask("GET", "/", "Host: other.example", host=None)
        assert answer.status == 421
        assert answer.get("proxy-status").endswith('details="misdirected"')
        assert client(weir).ask("GET", "/", "Host: site.example:8443", host=None).status == 200
        assert client(weir, "other.example").ask("GET", "/", "Host: other.example",
                                                 host=None).status == 200
        assert client(weir).ask("GET", "/", "Host: nobody.example", host=None).status == 200
        assert len(backend.served) == 3


def test_who_names_nobody_was_shown_the_first_certificate():
    context = papers().client_context()
    context.check_hostname = False
    with Backend() as backend, start(backend, **secure("site", "other")) as weir:
        for host, status in (("site.example", 200), ("other.example", 421), ("nobody.example", 200)):
            answer = client(weir, "nobody.example", context).ask("GET", "/", f"Host: {host}", host=None)
            assert answer.status == status, host


def test_records_as_small_as_a_client_asks_for():
    """RFC 6066 4: 512 bytes each, and nothing of the answer is missing."""
    body = "".join(f"{i:07}\n" for i in range(10000))
    ask = "GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"
    with Backend(fixed(200, body=body.encode())) as backend, start(backend, **secure()) as weir:
        said = openssl("s_client", "-maxfraglen", "512", "-quiet", "-ign_eof", "-connect", weir.address,
                       text=ask, code=None)
        assert body in said


# ---- Sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_every_worker(version):
    context = limited(version)
    with Backend() as backend, \
            start(backend, workers=2, **secure()) as weir:
        with client(weir, context=context) as tls:
            assert tls.ask().status == 200
            assert not tls.sock.session_reused
            session = tls.sock.session
        kept = []
        for _ in range(12):
            tls = client(weir, context=context, session=session)
            assert tls.ask().status == 200
            assert tls.sock.session_reused
            session = tls.sock.session
            kept.append(tls)  # both workers get some
        for tls in kept:
            tls.close()


def test_no_tickets_when_not_wanted():
    with Backend() as backend, start(backend, **secure(tickets=False)) as weir:
        with client(weir) as tls:
            assert tls.ask().status == 200
            assert not tls.sock.session.has_ticket


def test_early_data_is_off():
    with Backend() as backend, start(backend, **secure()) as weir:
        said = openssl("s_client", "-connect", weir.address, text="", code=None)
        assert "Max Early Data: 0" in said or "Early data was not sent" in said


# ---- Client certificates ------------------------------------------------------------------------


def asked(mode):
    return secure(client_certificates={"mode": mode, "ca": papers().path("ca.crt")})


def test_a_certificate_may_be_required():
    with Backend() as backend, start(backend, **asked("required")) as weir:
        with client(weir, context=papers().client_context("me")) as tls:
            assert tls.ask("GET", "/", "X-Client-Cert-Subject: CN=boss").status == 200
        assert backend.last().get("x-client-cert-subject") == "CN=me"
        assert backend.last().get("x-client-cert-san") == "email:me@example.com,DNS:me.example"
        with pytest.raises((ssl.SSLError, ConnectionError), match="(?i)certificate.required|reset"):
            with client(weir) as tls:
                tls.ask()
        weir.wait_log('"reason":"certificate_missing"')
        assert len(backend.served) == 1


def test_a_certificate_may_be_optional():
    with Backend() as backend, start(backend, **asked("optional")) as weir:
        with client(weir) as tls:
            assert tls.ask("GET", "/", "X-Client-Cert-Subject: CN=boss").status == 200
        assert not backend.last().has("x-client-cert-subject")
        with client(weir, context=papers().client_context("me")) as tls:
            assert tls.ask().status == 200
            assert tls.ask().status == 200
        assert backend.last().get("x-client-cert-subject") == "CN=me"


def test_where_certificates_are_asked_for_nobody_claims_one_at_another_frontend_either():
    """Backends cannot tell by which frontend a request came; so nobody is trusted with it there."""
    words = asked("optional")
    plain = f"{HOST}:{free_port()}"
    tree, address = settings(["BACKEND"], **words)
    tree["frontends"]["plain"] = {
        "bind": plain, "pool": "app", "client_ip": {"trusted_proxies": ["127.0.0.0/8"]}}
    with Backend() as backend:
        tree["pools"]["app"]["backends"] = [backend.address]
        with Weir(tree, address=address) as weir:
            for name in ("X-Client-Cert-Subject", "X-CLIENT-CERT-SAN", "x_client_cert_subject"):
                with Client(plain) as other:
                    assert other.ask("GET", "/", f"{name}: CN=boss", "X-Stays: 1").status == 200
                assert b"boss" not in backend.last().raw_head, name
                assert backend.last().get("x-stays") == "1"
            with client(weir, context=papers().client_context("me")) as tls:
                assert tls.ask().status == 200
            assert backend.last().get("x-client-cert-subject") == "CN=me"


def test_what_was_resumed_is_still_who_it_was():
    context = papers().client_context("me")
    with Backend() as backend, start(backend, **asked("required")) as weir:
        with client(weir, context=context) as tls:
            tls.ask()
            session = tls.sock.session
        with client(weir, context=context, session=session) as tls:
            assert tls.ask().status == 200
            assert tls.sock.session_reused
        assert backend.last().get("x-client-cert-subject") == "CN=me"


# ---- Ends ---------------------------------------------------------------------------------------


def test_our_ends_are_said():
    with Backend() as backend, start(backend, **secure()) as weir:
        with client(weir) as tls:
            tls.ask("GET", "/", "Connection: close")
            assert tls.is_closed()  # by close_notify: without it the socket raises
        with client(weir) as tls:
            tls.send(b"nonsense\r\n\r\n")
            assert tls.response().status == 400
            assert tls.is_closed()


def test_an_idle_connection_ends_with_a_word():
    frontend = {"timeouts": {"client_idle": "100ms"}}
    with Backend() as backend, start(backend, **secure(frontend=frontend)) as weir, \
            client(weir) as tls:
        assert tls.ask().status == 200
        assert tls.is_closed()


def test_a_client_may_go_without_a_word():
    with Backend() as backend, start(backend, **secure()) as weir:
        with client(weir) as tls:
            assert tls.ask().status == 200
        with client(weir) as tls:
            assert tls.ask().status == 200
            tls.end()
        assert client(weir).ask().status == 200


def test_an_answer_without_length_that_ends_in_order_ends_in_order():
    data = http1.head("HTTP/1.1 200 OK") + b"x" * 70000
    with Backend(raw(data)) as backend, start(backend, **secure()) as weir, client(weir) as tls:
        assert tls.ask().body == b"x" * 70000


def test_tcp_by_tls():
    with Backend(tcp_echo) as backend, start(backend, protocol="tcp", **secure()) as weir:
        with client(weir) as tls:
            for size in (1, 20_000, 300_000):
                data = bytes(range(256)) * (size // 256 + 1)
                tls.sock.sendall(data)
                got = b""
                while len(got) < len(data):
                    got += tls.sock.recv(65536)
                assert got == data


# ---- What goes wrong ----------------------------------------------------------------------------


def test_plain_http_is_told_so():
    with Backend() as backend, start(backend, **secure()) as weir:
        answer = weir.ask("GET", "/")
        assert answer.status == 400
        assert b"use https://" in answer.body
        assert not answer.has("strict-transport-security")
        weir.wait_log('"reason":"plain_http"')
        assert not backend.served


def test_garbage_gets_an_alert_and_one_line():
    with Backend() as backend, start(backend, **secure()) as weir:
        for _ in range(30):
            with weir.client() as plain:
                plain.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
                assert plain.rest()[:3] == b"\x15\x03\x03"  # an alert
        with client(weir) as tls:
            assert tls.ask().status == 200
    lines, times = told(weir.last_log, "TLS handshake failed")
    assert times == 30
    assert len(lines) < 20


def test_a_handshake_has_its_time():
    frontend = {"timeouts": {"tls_handshake": "200ms"}}
    with Backend() as backend, start(backend, args=["-v"], **secure(frontend=frontend)) as weir:
        with weir.client() as plain:
            plain.send(b"\x16\x03\x01")
            assert plain.is_closed()
        weir.wait_log('"reason":"timeout"')


def test_handshakes_are_bounded():
    frontend = {"limits": {"handshakes": 5}}
    with Backend() as backend, \
            start(backend, **secure(frontend=frontend), env=ONE_WORKER) as weir:
        kept = [client(weir) for _ in range(8)]  # done: these do not count
        waiting = [weir.client() for _ in range(5)]
        until(lambda: _is_refused(weir), "a refused handshake")
        weir.wait_log('"reason":"busy"')
        for plain in waiting:
            plain.close()
        until(lambda: _works(weir), "room for a handshake")
        assert all(each.ask().status == 200 for each in kept)


def _is_refused(weir):
    try:
        with weir.client() as plain:
            plain.send(b"\x15")
            plain.rest()
    except ConnectionError:
        return True
    return False


def _works(weir):
    try:
        with client(weir) as tls:
            return tls.ask().status == 200
    except (OSError, AssertionError):
        return False


def test_a_crowd_at_once_is_served_in_order():
    with Backend() as backend, start(backend, **secure()) as weir:
        plains = [weir.client() for _ in range(60)]
        kept = []
        for plain in plains:
            context = papers().client_context()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname="site.example")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            kept.append((plain, tls, incoming, outgoing))
        for plain, _, _, outgoing in kept:
            plain.send(outgoing.read())
        for plain, tls, incoming, outgoing in kept:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    data = plain.sock.recv(65536)
                    assert data
                    incoming.write(data)
            plain.send(outgoing.read())
            plain.close()


def _excesses(weir, admin, reason):
    text = weir.ask("GET", "/metrics", address=admin, host=admin).text
    name = f'lb_tls_handshake_failures_total{{reason="{reason}"}} '
    return next(int(line[len(name):]) for line in text.splitlines() if line.startswith(name))


def test_renegotiation_ends_the_connection():
    """It is told no, and does not get to ask again."""
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, \
            start(backend, **secure(top={"admin": {"bind": admin}}), env=ONE_WORKER) as weir, \
            client(weir) as other:
        said = openssl("s_client", "-tls1_2", "-connect", weir.address, text="R\n", code=None)
        assert "no renegotiation" in said
        weir.wait_log('"reason":"renegotiation"')
        assert _excesses(weir, admin, "renegotiation") == 1
        assert other.ask().status == 200


def test_keys_change_between_requests():
    with Backend() as backend, start(backend, **secure(), env=ONE_WORKER) as weir:
        changer = KeyChanger(socket.create_connection(weir.address.rsplit(':', 1)))
        for _ in range(100):
            assert changer.change() and changer.write(http1.request("GET", "/"))
            assert changer.read().startswith(b"HTTP/1.1 200")
        changer.close()


@pytest.mark.parametrize("between", [b"", b"x"])
def test_keys_that_change_without_end(between):
    """With nothing between, or with a byte of a body each; and no answer is read."""
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, \
            start(backend, **secure(top={"admin": {"bind": admin}}), env=ONE_WORKER) as weir, \
            client(weir) as other:
        changer = KeyChanger(socket.create_connection(weir.address.rsplit(':', 1)))
        changer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert changer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        while changer.change() and (not between or changer.write(between)):
            pass
        changer.close()
        weir.wait_log('"reason":"key_updates"')
        assert _excesses(weir, admin, "key_updates") == 1
        assert other.ask().status == 200


def test_an_unknown_protocol_is_refused():
    context = papers().client_context()
    context.set_alpn_protocols(["acme-tls/1"])
    with Backend() as backend, start(backend, **secure()) as weir:
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            client(weir, context=context)
        weir.wait_log('"reason":"protocol"')


def agreed(weir, *offered):
    context = papers().client_context()
    context.set_alpn_protocols(offered)
    return client(weir, context=context).sock.selected_alpn_protocol()


def test_protocols_are_agreed_on():
    with Backend() as backend, start(backend, **secure()) as weir:
        assert agreed(weir, "http/1.1", "h2") == "h2"  # what the frontend prefers
        assert agreed(weir, "http/1.1") == "http/1.1"
    with Backend() as backend, start(backend, **secure(alpn=["http/1.1", "h2"])) as weir:
        assert agreed(weir, "h2", "http/1.1") == "http/1.1"
    with Backend() as backend, \
            start(backend, **secure(frontend={"http": {"h2": False}})) as weir:
        assert agreed(weir, "h2", "http/1.1") == "http/1.1"


def curl_h2(weir, *words):
    port = weir.address.rpartition(":")[2]
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", papers().path("ca.crt"), "--resolve",
         f"site.example:{port}:{HOST}", "-w", "\n%{http_version} %{http_code}", *words,
         f"https://site.example:{port}/path"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout.rpartition("\n")[::2]


def test_http_2_by_alpn():
    with Backend() as backend, start(backend, **secure("site", "other")) as weir:
        body, rest = curl_h2(weir, "-d", "hello")
        assert rest == "2 200" and json.loads(body)["target"] == "/path"
        seen = backend.last()
        assert seen.get("x-forwarded-proto") == "https"
        assert seen.get("host").startswith("site.example:")
        assert curl_h2(weir, "-H", "Host: other.example")[1] == "2 421"


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs nghttp2-client")
def test_h2load_by_tls():
    with Backend() as backend, start(backend, **secure()) as weir:
        done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "50", "--connect-to",
                               weir.address, "https://site.example/"], capture_output=True,
                              text=True, check=True)
        assert "2000 succeeded, 0 failed" in done.stdout and "h2" in done.stdout


def test_resets_at_every_moment():
    hello = _hello()
    with Backend() as backend, start(backend, **secure()) as weir:
        for at in range(0, len(hello) + 1, 7):
            plain = weir.client()
            plain.send(hello[:at])
            plain.reset()
        with client(weir) as tls:
            assert tls.ask().status == 200


def _hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = papers().client_context().wrap_bio(incoming, outgoing, server_hostname="site.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


# ---- Around it ----------------------------------------------------------------------------------


def test_to_https_and_to_stay_there():
    clear = f"{HOST}:{free_port()}"
    with Backend() as backend:
        config, address = settings([backend], **secure(hsts="2h"))
        config["frontends"]["clear"] = {"bind": clear, "redirect_https": True}
        with Weir(config, address=address) as weir:
            port = address.rpartition(":")[2]
            answer = weir.ask("GET", "/a?b=c", "Host: site.example:81", host=None, address=clear)
            assert answer.status == 308
            assert answer.get("location") == f"https://site.example:{port}/a?b=c"
            assert not answer.has("strict-transport-security")
            answer = client(weir).ask()
            assert answer.get("strict-transport-security") == "max-age=7200"
            assert weir.ask("GET", "/lb-health", address=clear).status == 200
            assert len(backend.served) == 1


def test_draining_lets_requests_end():
    with Backend() as backend, start(backend, **secure()) as weir:
        tls = client(weir)
        assert tls.ask().status == 200
        weir.signal(15)
        weir.wait_log("draining")
        answer = tls.ask()
        assert answer.get("connection") == "close"
        assert tls.is_closed()
        weir.ended()


def test_files_that_cannot_be_used_are_named(tmp_path):
    words = secure()
    words["certificates"][0]["key"] = {"file": papers().path("other.key")}
    with Backend() as backend:
        config, _ = settings([backend], **words)
        code, _, said = run("-c", config_file(config))
    assert code == 1
    assert "other.key: this key belongs to another certificate" in said


def test_a_certificate_to_try_it_out_with(tmp_path):
    folder = tmp_path / "tls"
    code, said, _ = run("cert", str(folder))
    assert code == 0 and "site.crt" in said
    assert (folder / "site.key").stat().st_mode & 0o077 == 0
    files = {"cert": str(folder / "site.crt"), "key": {"file": str(folder / "site.key")}}
    with Backend() as backend, \
            start(backend, certificates=[files], frontend={"tls": True}) as weir:
        context = ssl.create_default_context(cafile=str(folder / "site.crt"))
        assert client(weir, "localhost", context).ask().status == 200
    code, _, said = run("cert", str(folder))
    assert code == 1 and "File exists" in said


def test_a_look_at_certificates(tmp_path):
    old = Papers().make("old", "old.example", days=-1)
    for files, code, words in (
            (papers().files("site"), 0, "site.crt (site.example localhost): good for 29 days"),
            (old.files("old"), 78, "it expired"),
            ({"cert": papers().path("site.crt"), "key": papers().path("other.key")}, 78,
             "this key belongs to another certificate"),
            ({"cert": str(tmp_path / "none")}, 78, "it cannot be opened")):
        config, _ = settings(["127.0.0.1:1"], certificates=[files], frontend={"tls": True})
        got, out, err = run("check", "--deep", config_file(config))
        assert (got, words in out + err) == (code, True), out + err


def test_the_access_log_tells_of_tls():
    log = {"log": {"access": {"output": "stdout"}}}
    with Backend() as backend, start(backend, **secure(top=log)) as weir:
        with client(weir) as tls:
            tls.ask()
        until(lambda: weir.stdout, "an access line")
        line = json.loads(weir.stdout.splitlines()[0])
    assert line["tls.protocol.version"] == "1.3"
    assert line["tls.cipher"].startswith("TLS_")
    assert line["tls.client.server_name"] == "site.example"


def test_certificates_are_read_again(tmp_path):
    def use(name):
        for end in ("crt", "key"):
            (tmp_path / f"use.{end}").write_bytes(
                (papers().folder / f"{name}.{end}").read_bytes())

    use("site")
    files = {"cert": str(tmp_path / "use.crt"), "key": {"file": str(tmp_path / "use.key")}}
    with Backend() as backend, \
            start(backend, certificates=[files], frontend={"tls": True}, workers=2) as weir:
        kept = client(weir)
        assert kept.ask().status == 200
        use("other")
        weir.signal(1)
        weir.wait_log("configuration is reloaded")
        until(lambda: shown(weir, "other.example") == "other", "the new certificate")
        assert kept.ask().status == 200
        (tmp_path / "use.key").write_text("no key")
        weir.signal(1)
        weir.wait_log("configuration is refused")
        assert shown(weir, "other.example") == "other"
        assert kept.ask().status == 200
