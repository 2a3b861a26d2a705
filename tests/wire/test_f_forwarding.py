# SPDX-License-Identifier: Apache-2.0
"""What changes in a head on its way: hop-by-hop fields, forwarding fields, authority, paths."""
import pytest

from peers import http1
from peers.backend import Backend, fixed, serve
from peers.weir import start


@pytest.fixture(scope="module")
def plain():
    with Backend() as backend, start(backend) as weir:
        weir.backend = backend
        yield weir


def forwarded(weir, *fields, target="/", method="GET", **rest):
    """The request as the backend got it."""
    assert weir.ask(method, target, *fields, **rest).status == 200
    return weir.backend.last()


HOP = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade",
       "HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization"]


@pytest.mark.parametrize("name", [name for name in HOP if name != "Transfer-Encoding"])
def test_hop_by_hop_fields_of_a_request_are_removed(plain, name):
    value = {"Connection": "keep-alive", "TE": "trailers, deflate"}.get(name, "x")
    head = forwarded(plain, f"{name}: {value}", "X-Stays: 1")
    assert not head.has(name)
    assert head.get("x-stays") == "1"


@pytest.mark.parametrize("name", HOP)
def test_hop_by_hop_fields_of_an_answer_are_removed(name):
    value = {"Connection": "keep-alive", "Transfer-Encoding": "chunked"}.get(name, "x")
    data = http1.head("HTTP/1.1 200 OK", f"{name}: {value}", "X-Stays: 1",
                      *([] if name == "Transfer-Encoding" else ["Content-Length: 0"]))
    if name == "Transfer-Encoding":
        data += b"0\r\n\r\n"
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        response = weir.ask("GET", "/")
        assert response.get("x-stays") == "1"
        if name == "Transfer-Encoding":
            assert response.all(name) == ["chunked"]  # weir's own
        else:
            assert not response.has(name)


def test_fields_named_in_connection_are_removed(plain):
    head = forwarded(plain, "Connection: X-Secret, close, x-other", "X-Secret: 1", "X-SECRET: 2",
                     "X-Other: 3", "X-Stays: 4")
    assert not head.has("x-secret") and not head.has("x-other")
    assert head.get("x-stays") == "4"


def test_fields_named_in_several_connection_fields_are_removed(plain):
    head = forwarded(plain, "Connection: x-a", "Connection: x-b,,", "X-A: 1", "X-B: 2", "X-C: 3")
    assert not head.has("x-a") and not head.has("x-b") and head.get("x-c") == "3"


def test_fields_of_an_answer_named_in_its_connection_are_removed():
    answer = fixed(200, "Connection: x-secret", "X-Secret: 1", "X-Stays: 2", body=b"x")
    with Backend(answer) as backend, start(backend) as weir:
        response = weir.ask()
        assert not response.has("x-secret") and response.get("x-stays") == "2"


@pytest.mark.parametrize("name", ["Host", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto",
                                  "X-Forwarded-Host", "X-Forwarded-By", "X-Backend-Server",
                                  "X-Request-Id"])
def test_connection_cannot_remove_what_is_the_proxys_word(plain, name):
    assert plain.ask("POST", "/", f"Connection: {name}, x-a", "X-A: b", body=b"abc").status == 200
    head = plain.backend.last()
    assert len(head.all(name)) == 1
    assert not head.has("x-a")
    assert head.body == b"abc"


def test_many_connection_options_are_refused(plain):
    assert plain.ask("GET", "/", "Connection: " + ", ".join(f"x{i}" for i in range(500))).status \
        == 400


def test_forwarding_fields(plain):
    head = forwarded(plain, host="Some.Host:81")
    assert head.get("host") == "Some.Host:81"
    assert head.get("x-forwarded-for") == "127.0.0.1"
    assert head.get("x-forwarded-proto") == "http"
    assert head.get("x-forwarded-host") == "Some.Host:81"
    assert head.get("x-forwarded-by") == "weir"
    assert head.get("x-backend-server") == plain.backend.address
    assert len(head.get("x-request-id")) == 32
    assert not head.has("via")


FORGED = ["X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7, 8.8.8.8",
          "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-By: evil",
          "X-Backend-Server: evil", "X-Request-Id: evil", "X-Real-IP: 6.6.6.6",
          "Forwarded: for=6.6.6.6", "X-Client-Cert-Subject: evil", "X-Client-Cert-San: evil"]


def test_forged_forwarding_fields_are_overwritten(plain):
    head = forwarded(plain, *FORGED, *FORGED, "X-Stays: 1")
    assert head.get("x-forwarded-for") == "127.0.0.1"
    assert head.get("x-forwarded-proto") == "http"
    assert head.get("x-forwarded-host") == "weir.test"
    assert head.get("x-forwarded-by") == "weir"
    assert head.get("x-backend-server") == plain.backend.address
    assert head.get("x-request-id") != "evil"
    assert not head.has("x-real-ip") and not head.has("forwarded")
    assert not head.has("x-client-cert-subject") and not head.has("x-client-cert-san")
    assert b"evil" not in head.raw_head and b"6.6.6.6" not in head.raw_head
    assert head.get("x-stays") == "1"


def test_forged_fields_in_spellings_that_gateways_read_as_ours(plain):
    """CGI and WSGI make one variable of "-" and "_"."""
    alike = [field.split(":")[0].replace("-", "_") + ": evil" for field in FORGED]
    head = forwarded(plain, *alike, "X-Forwarded_For: evil", "x_forwarded-for: evil",
                     "X_Client_Cert-Subject: evil", "X-Client_Cert-San: evil", "X_Stays: 1",
                     "A_" + "x" * 100 + ": 2")
    assert not [name for name, value in head.fields if value == "evil" and "_" in name]
    assert head.get("x_stays") == "1" and head.get("a_" + "x" * 100) == "2"


def test_client_address_is_the_peers(plain):
    assert plain.ask("GET", "/", source="127.0.0.9").status == 200
    assert plain.backend.last().get("x-forwarded-for") == "127.0.0.9"


@pytest.fixture(scope="module")
def trusting():
    frontend = {"client_ip": {"trusted_proxies": ["127.0.0.0/24"]}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        weir.backend = backend
        yield weir


def test_trusted_peer_is_believed(trusting):
    head = forwarded(trusting, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7",
                     "X-Forwarded-Proto: https", "X-Forwarded-Host: outer.test",
                     "X-Request-Id: outer-id", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6",
                     "X-Client-Cert-Subject: CN=outer", "X-Client-Cert-San: DNS:outer.test")
    assert head.get("x-forwarded-for") == "6.6.6.6, 7.7.7.7, 127.0.0.1"
    assert head.get("x-forwarded-proto") == "https"
    assert head.get("x-forwarded-host") == "outer.test"
    assert head.get("x-request-id") == "outer-id"
    assert head.get("x-real-ip") == "6.6.6.6"
    assert head.get("forwarded") == "for=6.6.6.6"
    assert head.get("x-client-cert-subject") == "CN=outer"
    assert head.get("x-client-cert-san") == "DNS:outer.test"


def test_trusted_peer_without_fields(trusting):
    head = forwarded(trusting)
    assert head.get("x-forwarded-for") == "127.0.0.1"
    assert head.get("x-forwarded-proto") == "http"
    assert head.get("x-forwarded-host") == "weir.test"
    assert len(head.get("x-request-id")) == 32


def test_peer_outside_the_trusted_networks(trusting):
    assert trusting.ask("GET", "/", *FORGED, source="127.0.1.1").status == 200
    head = trusting.backend.last()
    assert head.get("x-forwarded-for") == "127.0.1.1"
    assert b"evil" not in head.raw_head and b"6.6.6.6" not in head.raw_head


def test_forwarding_fields_can_be_switched_off():
    frontend = {"headers": {"forwarded": "none", "identify": False, "request_id": "none"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        weir.ask("GET", "/", *FORGED)
        head = backend.last()
        for name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-by",
                     "x-backend-server"):
            assert not head.has(name), name


def test_without_forwarding_a_trusted_peer_is_left_alone():
    """All of its fields go on as they are; those of others are taken out."""
    frontend = {"headers": {"forwarded": "none"},
                "client_ip": {"trusted_proxies": ["127.0.0.0/24"]}}
    sent = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https",
            "x-forwarded-host": "outer.test", "x-real-ip": "6.6.6.7", "forwarded": "for=6.6.6.8"}
    fields = [f"{name}: {value}" for name, value in sent.items()]
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        weir.ask("GET", "/", *fields)
        assert {name: backend.last().get(name) for name in sent} == sent
        weir.ask("GET", "/", *fields, source="127.0.1.1")
        assert not [name for name in sent if backend.last().has(name)]


def test_names_can_be_chosen():
    frontend = {"headers": {"identify": "edge-7", "request_id": "x-trace"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        weir.ask("GET", "/", "X-Trace: forged", "X-TRACE: twice")
        head = backend.last()
        assert head.get("x-forwarded-by") == "edge-7"
        assert len(head.get("x-trace")) == 32
        assert not head.has("x-request-id")


def test_request_ids_differ(plain):
    seen = {forwarded(plain).get("x-request-id") for _ in range(100)}
    assert len(seen) == 100


# Authority

@pytest.mark.parametrize("target, host, authority, path", [
    ("http://other.test/a?b=c", "weir.test", "other.test", "/a?b=c"),
    ("http://other.test:99/", "weir.test", "other.test:99", "/"),
    ("http://other.test", "weir.test", "other.test", "/"),
    ("HTTP://Other.Test/A", "weir.test", "Other.Test", "/A"),
    ("https://[::1]:8443/x", "weir.test", "[::1]:8443", "/x"),
    ("http://other.test/", None, "other.test", "/"),
])
def test_absolute_form_wins_over_host(plain, target, host, authority, path):
    minor = 1 if host else 0
    assert plain.ask("GET", target, host=host, minor=minor).status == 200
    head = plain.backend.last()
    assert head.get("host") == authority
    assert head.target == path
    assert head.get("x-forwarded-host") == authority


@pytest.mark.parametrize("target", ["*", "http://other.test"])
def test_options_of_the_server(plain, target):
    assert plain.ask("OPTIONS", target).status == 200
    assert plain.backend.last().target == "*"


@pytest.mark.parametrize("host", ["a", "A.B", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:80",
                                  "under_score.test", "xn--a.test", "a%20b"])
def test_hosts_that_are_fine(plain, host):
    assert forwarded(plain, host=host).get("host") == host


def test_connect_and_trace_are_not_offered(plain):
    for method, target in (("CONNECT", "a.test:443"), ("TRACE", "/")):
        before = plain.backend.received
        with plain.client() as client:
            response = client.ask(method, target)
            assert response.status == 405
            assert response.has("allow")
        assert plain.backend.received == before


# Paths: routed by their normal form, forwarded as sent

@pytest.mark.parametrize("path", [
    "/", "//", "/a/../b", "/a/./b/", "/a//b", "/%41%2f%3F", "/%7euser", "/a;p=1", "/a%20b", "/\\",
    "/?q=/../..", "/a?b?c#".rstrip("#"), "/%E4%B8%AD", "/a/..", "/a/%2e%2e/b",
    "/" + "x" * 20000, "/'\"<>^`{|}",
])
def test_paths_are_forwarded_as_sent(plain, path):
    assert forwarded(plain, target=path).target == path


@pytest.mark.parametrize("path", [
    "/..", "/../", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/", "/.%2E/x", "/a/%2e%2e/%2e%2e/b",
    "/%00", "/a%00b", "/%", "/%4", "/%zz", "/%c0%ae%c0%ae/", "/%c0%af", "/%e0%80%af",
])
def test_paths_that_are_refused(plain, path):
    before = plain.backend.received
    with plain.client() as client:
        response = client.ask("GET", path)
        assert response.status == 400
    assert plain.backend.received == before


def test_a_nul_in_the_query_is_the_applications_business(plain):
    assert forwarded(plain, target="/?a=%00&b=%zz").target == "/?a=%00&b=%zz"


@pytest.mark.parametrize("upgrade", ["h2c", "H2C", "h2c, websocket", "h2"])
def test_upgrade_to_http2_in_the_clear_is_never_forwarded(plain, upgrade):
    head = forwarded(plain, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}",
                     "HTTP2-Settings: AAMAAABkAAQAAP__")
    assert not head.has("upgrade") and not head.has("http2-settings")
    assert not head.has("connection")
