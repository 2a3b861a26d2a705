# SPDX-License-Identifier: Apache-2.0
"""Files of certificates and keys that cannot be used: what is said of them, where, and whether the
command that is advised helps."""
import json
import pathlib
import re
import shlex

import pytest

from peers.backend import Backend
from peers.papers import Papers, TlsClient, openssl
from peers.weir import config_file, run, start


@pytest.fixture(name="own")
def fixture_own():
    """The same certificate in the forms in which people have it."""
    made = Papers().make("site", "site.example").make("other", "other.example")
    made.revoke()
    made.run("x509", "-in", "site.crt", "-outform", "DER", "-out", "site cert.der")
    made.run("pkey", "-in", "site.key", "-outform", "DER", "-out", "key.der")
    made.run("x509", "-in", "ca.crt", "-outform", "DER", "-out", "ca.der")
    made.run("crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl.der")
    made.run("pkey", "-in", "site.key", "-aes256", "-passout", "pass:pw", "-out", "locked.key")
    made.run("pkcs12", "-export", "-in", "site.crt", "-inkey", "site.key", "-passout", "pass:pw",
             "-out", "site.p12")
    made.run("crl2pkcs7", "-nocrl", "-certfile", "site.crt", "-out", "site.p7b")
    return made


def tree(own, cert="site.crt", key="site.key", ca=None, crl=None):
    tls = {"client_certificates": {"mode": "optional", "ca": own.path(ca), **(
        {"crl": own.path(crl)} if crl else {})}} if ca else True
    return {"certificates": [{"cert": own.path(cert), "key": {"file": own.path(key)}}],
            "frontends": {"web": {"bind": "127.0.0.1:1", "tls": tls, "pool": "app"}},
            "pools": {"app": {"backends": ["127.0.0.1:2"]}}}


def look(config, code):
    """What weir check --deep finds, as data."""
    got, out, err = run("check", "--deep", "--format", "json", config_file(config))
    assert got == code, out + err
    return json.loads(out)


@pytest.mark.parametrize("words", [
    {"cert": "site cert.der"}, {"key": "key.der"}, {"key": "locked.key"}, {"cert": "site.p12"},
    {"key": "site.p12"}, {"cert": "site.p7b"}, {"ca": "ca.der"},
    {"ca": "ca.crt", "crl": "crl.der"}])
def test_the_command_that_is_advised_makes_it_good(own, words):
    found, = look(tree(own, **words), 78)
    assert found["kind"] == "error" and found["line"] > 1 and found["column"] > 1
    assert found["code"] == ("E036" if "locked.key" in words.values() else "E035")
    command = shlex.split(re.search("`([^`]*)`", found["advice"])[1])
    assert command[0] == "openssl"
    asks = {"pkcs12": ["-passin", "pass:pw"], "pkey": ["-passin", "pass:pw"]}
    openssl(*command[1:], *asks.get(command[1], []), cwd=own.folder)
    made = pathlib.Path(command[command.index("-out") + 1])
    assert made.parent == own.folder
    word = list(words)[-1]
    assert not look(tree(own, **{**words, word: made.name}), 0)


def test_all_are_told_of_where_they_are_named(own, tmp_path):
    text = f"""certificates:
  - cert: {own.path("key.der")}
    key: {own.path("locked.key")}
  - {{cert: nowhere.pem, key: {{file: {own.path("other.key")}}}}}
  - {{cert: {own.path("site.crt")}, key: "{own.path("other.key")}"}}
frontends:
  web:
    bind: 127.0.0.1:1
    tls: {{client_certificates: {{mode: optional, ca: {own.path("site.key")}}}}}
    pool: app
pools:
  app: {{backends: ["https://127.0.0.1:2"], tls: {{ca: {own.path("ca.crt")}, crl: {own.path("ca.crt")}}}}}
"""
    config = tmp_path / "weir.yaml"
    config.write_text(text)
    for args, code in ((("check", "--deep"), 78), (("-c",), 1)):
        got, out, err = run(*args, str(config))
        assert got == code, out + err
        places = re.findall(r"weir.yaml:(\d+):(\d+): error\[(E\d+)\]: (\S+):", err)
        rows = text.splitlines()
        assert [(int(row), code) for row, _, code, _ in places] == [
            (2, "E037"), (3, "E036"), (4, "E034"), (5, "E038"), (9, "E037"), (12, "E037")]
        for row, column, _, file in places:
            assert rows[int(row) - 1][int(column) - 1:].lstrip('"').startswith(
                file if "nowhere" not in file else "nowhere.pem")
        assert "6 errors." in err


def test_as_many_as_are_kept_are_told_of(own):
    config = tree(own)
    config["certificates"] = [{"cert": own.path(f"none-{i}.pem")} for i in range(600)]
    assert len(look(config, 78)) == 500
    _, _, err = run("check", "--deep", config_file(config))
    assert "600 errors (the first 500 are shown)." in err


def test_dates_are_findings_too(own):
    own.make("late", "late.example", days=-1).revoke("other", days=-1)
    found = look(tree(own, "late.crt", "late.key", "ca.crt", "crl.pem"), 78)
    assert [each["code"] for each in found] == ["E040", "E040"]
    assert "late.crt (late.example): it expired 1 day ago" in found[0]["message"]
    assert "crl.pem (CN=Test authority): it is out of date since" in found[1]["message"]


def test_a_reload_is_refused_where_the_file_is_named(own):
    config = tree(own)
    with Backend() as backend, start(
            backend, certificates=config["certificates"], frontend={"tls": True}) as weir:
        (own.folder / "site.key").write_text((own.folder / "locked.key").read_text())
        weir.signal(1)
        line = json.loads(weir.wait_log("configuration is refused")[0])
        assert re.match(r"\S+\.json:\d+:\d+: \S+site.key: its private key is encrypted",
                        line["first"]), line
        assert line["errors"] == 1
        with TlsClient(weir.address, own.client_context()) as client:
            assert client.ask().status == 200


def test_two_certificates_of_one_name(own):
    """Of one kind of key the first is shown; of two kinds each client gets one."""
    own.make("twin", "site.example", "other.example", "own.example").make(
        "rsa", "site.example", key="rsa")
    names = ("site", "rsa", "other")
    config = tree(own)
    config["certificates"] = [own.files(name) for name in names]
    assert not look(config, 0)
    config["certificates"].append(own.files("twin"))
    found, = look(config, 0)
    assert found["code"] == "W129" and found["kind"] == "warning"
    assert re.search(r"twin.crt is never shown for other.example and 1 more name: \S+/other.crt comes first, and its "
                     r"key is of the same kind \(ECDSA\)$", found["message"]), found
    # Each frontend for itself.
    config["certificates"].pop()
    config["frontends"]["more"] = {"bind": "127.0.0.1:3", "pool": "app",
                                   "tls": {"certificates": [own.files("twin")]}}
    assert not look(config, 0)
