# SPDX-License-Identifier: Apache-2.0
"""Clients with certificates: which route they take."""
import contextlib
import json
import ssl
import subprocess

import pytest

from peers.backend import Backend, fixed
from peers.net import HANG_SECONDS, HOST, free_port
from peers.papers import Papers, TlsClient, papers
from peers.weir import CALM, Weir, run, config_file

ROUTES = [
    {"match": {"client_cert": {"subject": ["CN=nobody", "CN=me"], "san": "DNS:ME.example"}},
     "pool": "mine"},
    {"match": {"path": "/admin/*", "client_cert": {"verified": True}}, "pool": "admin"},
    {"match": {"client_cert": {"san": ["IP:127.0.0.1", "DNS:nobody.example"]}}, "pool": "by-ip"},
    {"match": {"client_cert": {"verified": False}}, "pool": "strangers"},
]


@contextlib.contextmanager
def routed(routes=ROUTES, tests=(), client=None):
    names = {route["pool"] for route in routes} | {"rest"}
    with contextlib.ExitStack() as stack:
        backends = {name: stack.enter_context(Backend(fixed(200, body=name.encode())))
                    for name in names}
        address, admin = (f"{HOST}:{free_port()}" for _ in range(2))
        tree = {
            "runtime": {"workers": 1}, "admin": {"bind": [admin]}, "tests": list(tests),
            "certificates": [papers().files("site")],
            "frontends": {"web": {
                "bind": address, "routes": routes, "pool": "rest",
                "tls": {"client_certificates":
                        client or {"mode": "optional", "ca": papers().path("ca.crt")}}}},
            "pools": {name: {"backends": [backend.address], **CALM}
                      for name, backend in backends.items()}}
        weir = stack.enter_context(Weir(tree, address=address))
        weir.admin, weir.tree, weir.backends = admin, tree, backends
        yield weir


@pytest.fixture(scope="module", name="weir")
def fixture_weir():
    with routed() as weir:
        yield weir


def where(weir, own=None, target="/", *fields):
    with TlsClient(weir.address, papers().client_context(own)) as client:
        return client.ask("GET", target, *fields).text


@pytest.mark.parametrize("own, target, pool", [
    ("me", "/", "mine"), ("me", "/admin/x", "mine"), ("other", "/admin/x", "admin"),
    ("other", "/", "rest"), ("site", "/", "by-ip"), ("site", "/admin/x", "admin"),
    (None, "/", "strangers"), (None, "/admin/x", "strangers"),
])
def test_routes_by_certificate(weir, own, target, pool):
    assert where(weir, own, target) == pool


def test_what_a_client_says_about_itself_routes_nothing(weir):
    assert where(weir, None, "/", "X-Client-Cert-Subject: CN=me",
                 "X-Client-Cert-San: DNS:me.example") == "strangers"
    assert where(weir, "other", "/", "X-Client-Cert-San: IP:127.0.0.1") == "rest"


def test_each_request_of_a_connection_and_a_resumed_session(weir):
    context = papers().client_context("me")
    with TlsClient(weir.address, context) as client:
        assert [client.ask("GET", target).text for target in ("/", "/a", "/b")] == ["mine"] * 3
        session = client.sock.session
    with TlsClient(weir.address, context, session=session) as client:
        assert client.ask().text == "mine"
        assert client.sock.session_reused


def test_by_http2(weir):
    own = ["--cert", papers().path("me.crt"), "--key", papers().path("me.key")]
    port = weir.address.rpartition(":")[2]
    for words, pool in ((own, "mine"), ([], "strangers")):
        said = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", papers().path("ca.crt"), *words,
             "--resolve", f"site.example:{port}:{HOST}", "-w", " %{http_version}",
             f"https://site.example:{port}/"],
            capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
        assert said.stdout == f"{pool} 2"


def explain(weir, **question):
    with weir.client(weir.admin) as client:
        answer = client.ask("POST", "/api/v1/explain", host=weir.admin,
                            body=json.dumps({"url": "https://localhost/", **question}).encode())
    return answer.status, json.loads(answer.text)


def test_explain_says_what_happens(weir):
    _, said = explain(weir)
    assert said["route"] == "web.routes[3]"
    assert [(each["condition"], each["wanted"], each["got"]) for each in said["routes"][:3]] == [
        ("client_cert.verified", "true", "false"), ("path", "/admin/*", "/"),
        ("client_cert.verified", "true", "false")]
    _, said = explain(weir, client_cert={"subject": "CN=me", "san": ["IP:10.0.0.1", "DNS:me.example"]})
    assert said["route"] == "web.routes[0]"
    assert ["X-Client-Cert-San", "IP:10.0.0.1,DNS:me.example"] in said["sent"]["headers"]
    _, said = explain(weir, client_cert={"subject": "CN=you", "san": ["DNS:me.example"]})
    assert said["route"] in ("", None)
    assert [(each["condition"], each["wanted"], each["got"]) for each in said["routes"]] == [
        ("client_cert.subject", "CN=nobody or CN=me", "CN=you"), ("path", "/admin/*", "/"),
        ("client_cert.san", "IP:127.0.0.1 or DNS:nobody.example", "DNS:me.example"),
        ("client_cert.verified", "false", "true")]


@pytest.mark.parametrize("cert, words", [
    ("CN=me", "'client_cert' is an object"), ({"subject": 1}, "a text 'subject' and a list 'san'"),
    ({"san": "DNS:a"}, "a list of at most 64 texts"), ({"subject": "CN=a\r\nX: y"}, "has a line end"),
    ({"subject": "CN=" + "x" * 2000}, "too large")])
def test_questions_that_have_no_answer(weir, cert, words):
    status, said = explain(weir, client_cert=cert)
    assert status == 422 and words in said["detail"], said


def test_the_command(weir):
    def said(*words):
        code, out, err = run("explain", "GET", "https://localhost/", *words, "--admin", weir.admin)
        assert code == 0, err
        return out

    assert "web.routes[0]: no, it wants client_cert.subject CN=nobody or CN=me, and this is CN=a" \
        in said("--cert-subject", "CN=a")
    assert "web.routes[0] takes it" in said("--cert-subject", "CN=me", "--cert-san",
                                            "email:a@b, DNS:me.example")
    assert "web.routes[0]: no, it wants client_cert.verified true, and this is false" in said()
    assert "client_cert.san DNS:ME.example, which is not there" in said("--cert-subject", "CN=me")


def test_tests_of_a_configuration(weir):
    def checked(**cert):
        tree = {**weir.tree, "tests": [
            {"request": "GET https://localhost/", "client_cert": cert, "expect": {"pool": "mine"}}]}
        return run("check", "-c", config_file(tree))

    assert checked(subject="CN=me", san=["DNS:me.example"])[0] == 0
    code, _, err = checked(subject="CN=me", san="DNS:you.example")
    assert code == 78 and "the pool is rest, not mine" in err


def test_a_name_with_a_comma_is_no_two_names(tmp_path):
    """An alternative name that pretends to be two, as only a careless authority would sign it."""
    sly = papers()
    (sly.folder / "sly.cnf").write_text(
        "subjectAltName=@names\n[names]\nDNS.1=\"you.example,DNS:me.example\"\n")
    sly.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=me",
            "-keyout", "sly.key", "-out", "sly.csr")
    sly.run("x509", "-req", "-in", "sly.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "sly.cnf", "-days", "3", "-out", "sly.crt")
    with routed() as weir:
        assert where(weir, "sly") == "rest"
        seen = weir.backends["rest"].last().get("x-client-cert-san")
        assert seen == "DNS:you.example%2CDNS:me.example"


def test_a_certificate_of_a_stranger_gets_nowhere(weir):
    stranger = Papers().make("me", "DNS:me.example")
    context = papers().client_context()
    context.load_cert_chain(stranger.path("me.crt"), stranger.path("me.key"))
    with pytest.raises(OSError):
        with TlsClient(weir.address, context) as client:
            client.ask()
    line = json.loads(weir.wait_log('"reason":"certificate_unknown_issuer"')[0])
    assert line["cure"].startswith("Put its authority into tls.client_certificates.ca of the frontend")


def large(bytes_min):
    """Papers of somebody who has very many names."""
    made = papers()
    made.make("large", *(f"n{i}.large.example" for i in range(bytes_min // 20)))
    assert bytes_min < len(made.der("large")) < bytes_min * 1.2
    return made


def subject(weir, name, version=ssl.TLSVersion.TLSv1_3):
    context = papers().client_context(name)
    context.maximum_version = version
    with TlsClient(weir.address, context) as client:
        answer = client.ask()
        return weir.backends[answer.text].last().get("x-client-cert-subject"), client.sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [63_000, 110_000])
def test_a_certificate_that_is_too_large_is_called_so(size, version):
    """Also one that OpenSSL would take, and then fail to put into a ticket."""
    large(size)
    with routed() as weir:
        with pytest.raises(OSError):
            subject(weir, "large", version)
        line = json.loads(weir.wait_log('"msg":"TLS handshake failed"')[0])
        assert line["reason"] == "certificate_too_large" and line["cure"].startswith("Issue one with fewer")
        assert line["detail"] == "it has more than 61440 bytes"
        with weir.client(weir.admin) as client:
            page = client.ask("GET", "/metrics", host=weir.admin).text
        assert 'lb_tls_handshake_failures_total{reason="certificate_too_large"} 1\n' in page


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_large_certificate_is_taken_and_its_session_resumed(weir, version):
    large(51_000)
    said, session = subject(weir, "large", version)
    assert said == "CN=large" and session.has_ticket
    context = papers().client_context("large")
    context.maximum_version = version
    with TlsClient(weir.address, context) as client:
        assert client.ask().status == 200
        session = client.sock.session
    with TlsClient(weir.address, context, session=session) as client:
        assert client.ask().text == "rest" and client.sock.session_reused


def test_a_long_subject_is_cut(weir):
    made = papers()
    units = "".join(f"/OU={i:060}" for i in range(20))
    made.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN=me{units}",
             "-keyout", "long.key", "-out", "long.csr")
    made.run("x509", "-req", "-in", "long.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", "3", "-out", "long.crt")
    said, _ = subject(weir, "long")
    assert len(said) == 1024 and said.startswith(f"OU={19:060},OU={18:060}")
