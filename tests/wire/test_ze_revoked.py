# SPDX-License-Identifier: Apache-2.0
"""Certificates that were revoked, of clients and of backends, and lists of them that change while
weir runs; and other changes of how backends are spoken to, which kept connections must obey."""
import json
import pathlib
import re
import ssl
import threading

import pytest

from peers import h2, http1
from peers.net import HANG_SECONDS, until
from peers.papers import Papers, TlsBackend, TlsClient
from peers.weir import ONE_WORKER, config_file, run, settings, start, told

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(name="own")
def fixture_own():
    """An authority of its own: what it revokes is its own business."""
    made = Papers().make("site", "site.example").make("me", "DNS:me.example")
    made.make("you", "DNS:you.example").make("old", "site.example")
    made.revoke("you", "old")
    return made


def reload(weir):
    count = weir.stderr.count("configuration is reloaded")
    weir.signal(1)
    until(lambda: weir.stderr.count("configuration is reloaded") > count, "another configuration")


def rewrite(weir, tree):
    with open(weir.config_path, "w", encoding="utf8") as file:
        json.dump(tree, file)
    reload(weir)


def lines(weir, reason):
    return [line for line in weir.log() if line.get("reason") == reason]


# ---- Clients ------------------------------------------------------------------------------------


def asking(own, mode="required", **more):
    return {"certificates": [own.files("site")], "frontend": {"tls": {"client_certificates": {
        "mode": mode, "ca": own.path("ca.crt"), "crl": own.path("crl.pem"), **more}}}}


def context_of(own, name, version=ssl.TLSVersion.TLSv1_3):
    context = own.client_context(name)
    context.maximum_version = version
    return context


def refused(weir, own, name, version, **rest):
    """It is, and with which alert."""
    with pytest.raises(ssl.SSLError) as failure:
        with TlsClient(weir.address, context_of(own, name, version), **rest) as client:
            client.ask()
    return str(failure.value).lower().replace("_", " ")


@pytest.mark.parametrize("mode", ["required", "optional"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_client_is_refused(own, version, mode):
    """RFC 5246 7.2.2, RFC 8446 6.2: certificate_revoked; one line, and how often it happened."""
    with TlsBackend(None, own.server_context("site")) as unused, \
            start(f"https://{unused.address}", **asking(own, mode)) as weir:
        times = 1 + 2 * weir.workers
        for _ in range(times):
            assert "certificate revoked" in refused(weir, own, "you", version)
        weir.wait_log('"reason":"certificate_revoked"')
        until(lambda: told(lines(weir, "certificate_revoked"), "TLS handshake failed")[1] == times,
              "all of them")
        first = lines(weir, "certificate_revoked")[0]
        assert first["detail"] == "certificate revoked (CN=you)"
        assert first["cure"] == "It needs a new one."
        assert len(lines(weir, "certificate_revoked")) <= 2 * weir.workers


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_that_changes(own, version):
    """Who is on the new list gets no new connection, resumed or not; nobody loses one."""
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool={"tls": {"ca": own.path("ca.crt"), "server_name": "site.example"}},
                  **asking(own)) as weir, \
            TlsClient(weir.address, context_of(own, "me", version)) as here:
        assert here.ask().status == 200
        session = here.sock.session
        context = here.sock.context
        with TlsClient(weir.address, context, session=session) as again:
            assert again.ask().status == 200 and again.sock.session_reused
        own.revoke("you", "me")
        reload(weir)
        assert here.ask().status == 200  # a connection that stands stays
        assert "certificate revoked" in refused(weir, own, "me", version)
        with pytest.raises(ssl.SSLError, match="(?i)certificate.revoked"):
            with TlsClient(weir.address, context, session=session) as again:
                again.ask()
        assert here.ask().status == 200
        own.revoke("me")
        reload(weir)
        with TlsClient(weir.address, context_of(own, "you", version)) as other:
            assert other.ask().status == 200  # pardoned
        assert here.ask().status == 200


def test_a_session_lives_while_nothing_changes(own):
    context = context_of(own, "me")
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool={"tls": {"verify": False}}, **asking(own)) as weir:
        with TlsClient(weir.address, context) as client:
            assert client.ask().status == 200
            session = client.sock.session
        reload(weir)
        with TlsClient(weir.address, context, session=session) as client:
            assert client.ask().status == 200 and client.sock.session_reused


def test_a_list_that_is_out_of_date(own):
    own.revoke(days=-1)
    with TlsBackend(None, own.server_context("site")) as unused, \
            start(f"https://{unused.address}", **asking(own)) as weir:
        assert "alert" in refused(weir, own, "me", ssl.TLSVersion.TLSv1_3)
        weir.wait_log('"reason":"certificate_crl"')


def test_a_list_that_cannot_be_read_changes_nothing(own):
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool={"tls": {"verify": False}}, **asking(own)) as weir:
        (own.folder / "crl.pem").write_text("nothing\n")
        weir.signal(1)
        weir.wait_log("crl.pem: it holds no list of revoked certificates")
        assert "certificate revoked" in refused(weir, own, "you", ssl.TLSVersion.TLSv1_3)
        with TlsClient(weir.address, context_of(own, "me")) as client:
            assert client.ask().status == 200


# ---- Backends -----------------------------------------------------------------------------------


def pool(own, **more):
    return {"tls": {"ca": own.path("ca.crt"), "server_name": "site.example", **more}}


def test_a_revoked_backend_is_refused(own):
    with TlsBackend(None, own.server_context("old")) as backend, \
            start(backend, pool=pool(own, crl=own.path("crl.pem"))) as weir:
        for _ in range(1 + 2 * weir.workers):
            answer = weir.ask()
            assert answer.status == 503 and 'details="tls_certificate"' in answer.get("proxy-status")
        weir.wait_log('"reason":"certificate_revoked"')
        assert len(lines(weir, "certificate_revoked")) <= 2 * weir.workers
        assert not backend.served
        until(lambda: backend.failures, "what the backend heard")
        assert "revoked" in str(backend.failures[0]).lower()


def test_a_backend_that_is_revoked_while_it_serves(own):
    """The answer that is on its way comes; after it nothing is sent to it any more."""
    came, go = threading.Event(), threading.Event()

    def slow(connection):
        while message := connection.request():
            if message.target == "/slow":
                came.set()
                go.wait(HANG_SECONDS)
            connection.send(http1.response(200, body=b"x"))

    with TlsBackend(slow, own.server_context("site")) as backend, \
            start(backend, pool=pool(own, crl=own.path("crl.pem"))) as weir, \
            weir.client() as client:
        assert weir.ask().status == 200
        client.send(http1.request("GET", "/slow"))
        assert came.wait(HANG_SECONDS)
        own.revoke("site")
        reload(weir)
        assert weir.ask().status == 503
        go.set()
        assert client.response().status == 200
        assert client.ask().status == 503
        weir.wait_log('"reason":"certificate_revoked"')


# ---- Other settings -----------------------------------------------------------------------------


def changes(own):
    stranger = Papers().make("stranger", "site.example")
    return {
        "ca": {"ca": stranger.path("ca.crt")},
        "server_name": {"server_name": "wrong.example"},
        "crl": {"crl": own.revoke("site", file="site.pem")},
        "min_version": {"min_version": "1.3"},
    }


@pytest.mark.parametrize("by_h2", [False, True])
@pytest.mark.parametrize("which", ["ca", "server_name", "crl", "min_version"])
def test_kept_connections_obey_new_settings(own, which, by_h2):
    script = h2.serve(h2.echo) if by_h2 else None
    context = own.server_context("site", alpn=("h2",) if by_h2 else ("http/1.1",))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    words = pool(own)
    if by_h2:
        words["protocol"] = "h2"
    with TlsBackend(script, context) as backend, start(backend, pool=words) as weir:
        assert {weir.ask().status for _ in range(3)} == {200}
        assert len(backend.connections) <= weir.workers
        reload(weir)
        assert weir.ask().status == 200
        assert len(backend.connections) <= weir.workers  # nothing has changed: they go on
        tree = json.load(open(weir.config_path, encoding="utf8"))
        tree["pools"]["app"]["tls"].update(changes(own)[which])
        rewrite(weir, tree)
        until(lambda: all(each.closed.is_set() for each in backend.connections),
              "the end of the kept connections")
        assert weir.ask().status == 503


@pytest.mark.parametrize("by_h2", [False, True])
def test_another_certificate_of_ours(own, by_h2):
    script = h2.serve(h2.echo) if by_h2 else None
    context = own.server_context("site", ask=True, alpn=("h2",) if by_h2 else ("http/1.1",))
    words = pool(own, cert=own.path("me.crt"), key=own.path("me.key"))
    if by_h2:
        words["protocol"] = "h2"

    def shown(backend):
        return dict(pair[0] for pair in backend.connections[-1].sock.getpeercert()["subject"])["commonName"]

    with TlsBackend(script, context) as backend, start(backend, pool=words) as weir:
        assert weir.ask().status == 200
        assert shown(backend) == "me"
        tree = json.load(open(weir.config_path, encoding="utf8"))
        tree["pools"]["app"]["tls"].update({"cert": own.path("you.crt"), "key": own.path("you.key")})
        rewrite(weir, tree)
        assert weir.ask().status == 200
        assert shown(backend) == "you"
        # The same files with another certificate in them.
        own.make("you", "DNS:you2.example")
        reload(weir)
        assert weir.ask().status == 200
        assert len(backend.connections) == 3


def test_verification_that_begins(own):
    """What nobody had verified is not used once somebody wants it to be."""
    stranger = Papers().make("site", "site.example")
    with TlsBackend(None, stranger.server_context("site")) as backend, \
            start(backend, pool={"tls": {"verify": False}}) as weir:
        assert weir.ask().status == 200
        tree = json.load(open(weir.config_path, encoding="utf8"))
        tree["pools"]["app"]["tls"] = pool(own)["tls"]
        rewrite(weir, tree)
        assert weir.ask().status == 503


def test_a_busy_connection_finishes_and_is_not_kept(own):
    """One HTTP/2 connection with a request in flight: it ends well, others go to a new one."""
    came, go = threading.Event(), threading.Event()

    def slow(peer, stream):
        if (":path", "/slow") in peer.stream(stream).fields:
            came.set()
            go.wait(HANG_SECONDS)
        return h2.hello(peer, stream)

    context = own.server_context("site", alpn=("h2",))
    with TlsBackend(h2.serve(slow), context) as backend, \
            start(backend, pool={**pool(own), "protocol": "h2"}, env=ONE_WORKER) as weir, \
            weir.client() as client:
        assert weir.ask().status == 200
        client.send(http1.request("GET", "/slow"))
        assert came.wait(HANG_SECONDS)
        tree = json.load(open(weir.config_path, encoding="utf8"))
        tree["pools"]["app"]["tls"]["min_version"] = "1.3"
        rewrite(weir, tree)
        assert weir.ask().status == 200
        assert len(backend.connections) == 2
        go.set()
        assert client.response().status == 200
        assert client.ask().status == 200
        assert len(backend.connections) == 2
        until(backend.connections[0].closed.is_set, "the end of the old one")


# ---- A look before -------------------------------------------------------------------------------


def look(own, client=None, **tls):
    """weir check --deep with this TLS of a pool, or of clients: (exit code, what it said)."""
    more = {"certificates": [own.files("site")], "frontend": {"tls": {"client_certificates": {
        "mode": "required", "ca": own.path("ca.crt"), **client}}}} if client else {}
    tree, _ = settings(["https://127.0.0.1:1"], pool={"tls": {"ca": own.path("ca.crt"), **tls}}, **more)
    code, out, err = run("check", "--deep", config_file(tree))
    return code, out + err


def test_a_look_at_what_backends_are_shown(own):
    me = {"cert": own.path("me.crt"), "key": own.path("me.key")}
    code, said = look(own, **me)
    assert code == 0
    assert re.search(r"me.crt \(CN=me\), shown to backends of pool 'app': good for (29|30) days; its chain "
                     "is whole$", said, re.M), said
    code, said = look(own, **{**me, "ca": Papers().path("ca.crt")})
    assert code == 0 and "its chain leads to no authority known here" in said
    code, said = look(own, **{**me, "key": own.path("you.key")})
    assert code == 78 and "this key belongs to another certificate" in said
    own.make("late", "DNS:late.example", days=-1)
    code, said = look(own, cert=own.path("late.crt"), key=own.path("late.key"))
    assert code == 78 and re.search(r"error\[E040\]: \S+late.crt \(CN=late\): it expired 1 day ago", said), said


def test_a_look_at_lists_of_revoked_certificates(own):
    lists = {"crl": own.path("crl.pem")}
    for words in ({"client": lists}, lists):
        code, said = look(own, **words)
        assert code == 0
        assert re.search(r"crl.pem \(CN=Test authority, 2 revoked\): good for (29|30) days$", said, re.M), said
    own.revoke("me", days=-1)
    for words in ({"client": lists}, lists):
        code, said = look(own, **words)
        assert code == 78
        assert re.search(r"error\[E040\]: \S+crl.pem \(CN=Test authority\): it is out of date", said), said
    (own.folder / "crl.pem").write_text("nothing\n")
    code, said = look(own, **lists)
    assert code == 78 and "it holds no list of revoked certificates that can be read" in said
    code, said = look(own, crl=str(own.folder / "none"))
    assert code == 78 and "none: it cannot be opened" in said


def rewritten_list(own, keep_name):
    """A list by another key: of the same name, or of a name that is in no file."""
    other = Papers().make("you", "DNS:you.example")
    if not keep_name:
        other.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Elsewhere",
                  "-keyout", "ca.key", "-out", "ca.crt")
    pathlib.Path(own.path("crl.pem")).write_bytes(pathlib.Path(other.revoke()).read_bytes())


@pytest.mark.parametrize("of_client", [True, False])
def test_a_look_at_who_has_signed_a_list(own, of_client):
    """RFC 5280 6.3.3 (g): the issuer's key has to verify it."""
    lists = {"crl": own.path("crl.pem")}
    words = {"client": lists} if of_client else lists
    code, said = look(own, **words)
    assert code == 0 and "E033" not in said and "W126" not in said, said
    rewritten_list(own, True)
    code, said = look(own, **words)
    assert code == 78
    assert re.search(r"error\[E033\]: \S+crl.pem \(CN=Test authority\): its signature is not by the key of this "
                     r"authority in \S+/ca.crt,", said), said
    assert "put in a list that this key has signed" in said
    rewritten_list(own, False)
    code, said = look(own, **words)
    assert code == 0
    assert re.search(r"warning\[W126\]: \S+crl.pem \(CN=Elsewhere\): its authority is not in \S+/ca.crt,", said), said
    assert "name it there, or put in a list" in said
    assert re.search(r"crl.pem \(CN=Elsewhere, 0 revoked\): good for (29|30) days$", said, re.M), said
    # An authority that has got another key is in the file twice.
    rewritten_list(own, True)
    crl = pathlib.Path(own.path("crl.pem")).read_bytes()
    old = pathlib.Path(own.path("ca.crt")).read_text()
    next_one = Papers()
    pathlib.Path(own.path("crl.pem")).write_bytes(pathlib.Path(next_one.revoke()).read_bytes())
    assert crl != pathlib.Path(own.path("crl.pem")).read_bytes()
    pathlib.Path(own.path("ca.crt")).write_text(old + pathlib.Path(next_one.path("ca.crt")).read_text())
    code, said = look(own, **words)
    assert code == 0 and "E033" not in said and "W126" not in said, said


@pytest.mark.parametrize("keep_name", [True, False])
def test_a_list_that_its_authority_has_not_signed_lets_nobody_in(own, keep_name):
    rewritten_list(own, keep_name)
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool=pool(own), **asking(own)) as weir:
        assert "alert" in refused(weir, own, "me", ssl.TLSVersion.TLSv1_3)
        line = json.loads(weir.wait_log('"msg":"TLS handshake failed"')[0])
        assert line["reason"] == "certificate_crl"
        assert ("signature" if keep_name else "unable to get certificate CRL") in line["detail"]
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool=pool(own, crl=own.path("crl.pem"))) as weir:
        assert weir.ask().status == 503
        weir.wait_log('"reason":"certificate_crl"')
        assert not backend.served


def test_a_list_of_an_authority_that_peers_send_along(own):
    """Why a list of somebody who is not in `ca` is a warning only."""
    def write(name, text):
        (own.folder / name).write_text(text)

    write("between.ext", "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n")
    for name, signer, ext in (("between", "ca", ["-extfile", "between.ext"]), ("far", "between", []),
                              ("gone", "between", [])):
        own.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        own.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.crt", "-CAkey", f"{signer}.key",
                "-CAcreateserial", "-days", "3", *ext, "-out", f"{name}.crt")
    write("index", "")
    write("between.cnf", "[ca]\ndefault_ca=own\n[own]\ndatabase=index\ndefault_md=sha256\n")
    by = ["ca", "-config", "between.cnf", "-keyfile", "between.key", "-cert", "between.crt"]
    own.run(*by, "-revoke", "gone.crt")
    own.run(*by, "-gencrl", "-crldays", "3", "-out", "crl.pem")
    between = pathlib.Path(own.path("between.crt")).read_text()
    for name in ("far", "gone"):
        write(f"{name}.crt", pathlib.Path(own.path(f"{name}.crt")).read_text() + between)
    code, said = look(own, client={"crl": own.path("crl.pem")})
    assert code == 0 and re.search(r"warning\[W126\]: \S+ \(CN=between\): its authority is not in", said), said
    with TlsBackend(None, own.server_context("site")) as backend, \
            start(backend, pool=pool(own), **asking(own)) as weir:
        with TlsClient(weir.address, context_of(own, "far")) as client:
            assert client.ask().status == 200
        assert "certificate revoked" in refused(weir, own, "gone", ssl.TLSVersion.TLSv1_3)
        assert "alert" in refused(weir, own, "me", ssl.TLSVersion.TLSv1_3)
        weir.wait_log('"reason":"certificate_crl"')
