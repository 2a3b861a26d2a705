# SPDX-License-Identifier: Apache-2.0
"""OCSP responses: which are stapled, and what is said of the others."""
import re
import time

import pytest

from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.papers import Papers, TlsClient, openssl
from peers.weir import config_file, run, settings, start

HOUR, DAY = 3600, 24 * 3600


@pytest.fixture(name="own")
def fixture_own():
    made = Papers().make("site", "site.example").make("other", "other.example")
    for name in ("site", "other"):
        (made.folder / f"{name}-chain.crt").write_text(
            (made.folder / f"{name}.crt").read_text() + (made.folder / "ca.crt").read_text())
    return made


def entry(own, name="site", chain=True, response=None):
    return {"cert": own.path(f"{name}-chain.crt" if chain else f"{name}.crt"),
            "key": {"file": own.path(f"{name}.key")}, "ocsp": response or own.path(f"{name}.ocsp")}


def words(*entries, **top):
    return {"certificates": list(entries), "frontend": {"tls": True}, **top}


def seen(weir, own, name="site.example"):
    """What a client is shown that wants a response, None: nothing. It looks at the signature."""
    said = openssl("s_client", "-status", "-servername", name, "-connect", weir.address,
                   "-CAfile", own.path("ca.crt"), text="", code=None)
    if "OCSP response: no response sent" in said:
        return None
    assert "OCSP Response Status: successful" in said, said
    return said


def log_of(weir):
    return [line for line in weir.log() if line["msg"].startswith("OCSP")]


def look(one):
    """weir check --deep: (exit code, what it said)."""
    code, out, err = run("check", "--deep", config_file(settings([f"{HOST}:9"], **words(one))[0]))
    return code, out + err


def reload(weir):
    count = weir.stderr.count("configuration is reloaded")
    weir.signal(1)
    until(lambda: weir.stderr.count("configuration is reloaded") > count, "another configuration")


def test_a_good_one_is_stapled(own):
    own.respond("site")
    own.respond("other")
    with Backend() as backend, \
            start(backend, **words(entry(own), entry(own, "other", chain=False))) as weir:
        for name in ("site", "other"):
            said = seen(weir, own, f"{name}.example")
            serial = own.run("x509", "-in", f"{name}.crt", "-noout", "-serial").split("=")[1].strip()
            assert f"Serial Number: {serial}" in said and "Cert Status: good" in said
        with TlsClient(weir.address, own.client_context()) as client:  # wants none
            assert client.ask().status == 200
        assert not log_of(weir)


def write(own, content):
    (own.folder / "site.ocsp").write_bytes(content)


WRONG = {
    "unopened": lambda own: None,
    "unreadable": lambda own: write(own, b"-----BEGIN CERTIFICATE-----\n"),
    "unsuccessful": lambda own: write(own, b"\x30\x03\x0a\x01\x03"),  # "tryLater"
    "other_certificate": lambda own: own.respond("other", "site.ocsp"),
    "unknown": lambda own: own.respond("site", status="unknown"),
    "signature": lambda own: own.respond("site", until=time.time() + DAY),
    "expired": lambda own: own.respond("site", since=time.time() - DAY, until=time.time() - HOUR),
    "not_yet_valid": lambda own: own.respond("site", since=time.time() + HOUR),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_one_is_left_out_and_told_of(own, reason):
    """Whatever it is, the certificate is shown without it. What is written over a signed date is told
    from a forgery only where the authority is not there."""
    WRONG[reason](own)
    one = entry(own, chain=reason not in ("expired", "not_yet_valid"))
    with Backend() as backend, start(backend, **words(one)) as weir:
        assert seen(weir, own) is None
        with TlsClient(weir.address, own.client_context()) as client:
            assert client.ask().status == 200
        (line,) = log_of(weir)
        assert line["level"] == "warn" and line["msg"] == "OCSP response is not stapled"
        assert line["reason"] == reason
        assert line["file"] == one["ocsp"] and line["certificate"] == one["cert"]
        assert line["error"] and line["cure"]
        # The next one is good.
        own.respond("site")
        reload(weir)
        assert "Cert Status: good" in seen(weir, own)
        weir.wait_log('"msg":"OCSP response is stapled"')
        # And wrong again; a reload of it by hand says so each time.
        (own.folder / "site.ocsp").unlink()
        WRONG[reason](own)
        for _ in range(2):
            reload(weir)
            assert seen(weir, own) is None
        until(lambda: len(log_of(weir)) == 4, "the line once more for each reload")
    code, said = look(one)
    assert code == 78
    assert f"error[E041]: {one['ocsp']} (site.example): {line['error']}, so it is not stapled" in said, said
    assert line["cure"] in said


def test_a_look_at_good_ones(own):
    def is_good(one):
        code, said = look(one)
        assert code == 0 and "E041" not in said, said
        return said

    own.respond("site")
    said = is_good(entry(own))
    assert re.search(rf"OCSP response {own.path('site.ocsp')}: good for [67] days$", said, re.M), said
    said = is_good(entry(own, chain=False))
    assert " days; its authority is not in the certificate's file" in said
    own.respond("site", until=time.time() + HOUR + 60)
    assert "site.ocsp: warning: only good for 1 hour" in is_good(entry(own, chain=False))
    own.respond("site", status="revoked")
    said = is_good(entry(own))
    assert f"warning[W130]: {own.path('site.ocsp')} (site.example): it says that the certificate is revoked" in said


def test_a_revoked_certificate(own):
    """Who hides it would deceive its clients."""
    own.respond("site", status="revoked")
    with Backend() as backend, start(backend, **words(entry(own))) as weir:
        assert "Cert Status: revoked" in seen(weir, own)
        (line,) = log_of(weir)
        assert line["level"] == "warn" and "revoked" in line["msg"] and line["cure"]


@pytest.mark.parametrize("workers", [1, 2])
def test_one_ends_while_weir_serves(own, workers):
    """Before that moment it is stapled, from then on it is not, and that is said once."""
    end = int(time.time()) + 6
    own.respond("site", until=end)
    with Backend() as backend, \
            start(backend, workers=workers, **words(entry(own, chain=False))) as weir:
        while True:
            said, now = seen(weir, own), time.time()
            if now < end:
                assert said
            elif said is None:
                break
            assert now < end + 60
        weir.wait_log('"reason":"expired"')
        for _ in range(4):
            assert seen(weir, own) is None
        (line,) = log_of(weir)
        assert line["file"] == own.path("site.ocsp") and "reload" in line["cure"]


def test_one_begins_while_weir_serves(own):
    """Clocks may differ by five minutes."""
    begin = int(time.time()) + 300 + 4
    own.respond("site", since=begin)
    with Backend() as backend, start(backend, **words(entry(own, chain=False))) as weir:
        assert [line["reason"] for line in log_of(weir)] == ["not_yet_valid"]
        until(lambda: seen(weir, own), "its time")
        weir.wait_log('"msg":"OCSP response is stapled"')
        assert len(log_of(weir)) == 2


def test_changes_of_backends_repeat_nothing(own, tmp_path):
    own.respond("other", "site.ocsp")
    admin = f"unix:{tmp_path}/admin.sock"
    with Backend() as backend, Backend() as more, \
            start(backend, admin={"bind": admin}, **words(entry(own))) as weir:
        assert run("backends", "add", "app", more.address, "--admin", admin)[0] == 0
        weir.wait_log('"msg":"backend is added by order"')
        assert len(log_of(weir)) == 1


def test_metrics(own):
    """When each ends; 0 for what cannot be stapled at all."""
    api = f"{HOST}:{free_port()}"
    own.respond("site")
    own.respond("site", "wrong.ocsp")
    files = [entry(own), entry(own, "other", response=own.path("wrong.ocsp"))]
    with Backend() as backend, \
            start(backend, **words(*files, admin={"bind": [api]})) as weir:
        rows = [line for line in weir.ask("GET", "/metrics", address=api, host=api).body.decode().splitlines()
                if line.startswith("lb_ocsp_response_expiry_timestamp_seconds{")]
        ends = {row.split('"')[1]: float(row.split()[-1]) for row in rows}
        assert set(ends) == {own.path("site.ocsp"), own.path("wrong.ocsp")}
        assert abs(ends[own.path("site.ocsp")] - time.time() - 7 * DAY) < HOUR
        assert ends[own.path("wrong.ocsp")] == 0
