# SPDX-License-Identifier: Apache-2.0
"""What answers say about their way: Proxy-Status, Server-Timing, and who is named in them."""
import json
import re

import pytest

from peers import http1
from peers.backend import Backend, fixed, serve
from peers.net import HOST, free_port
from peers.weir import start

STATUS = re.compile(r'weir(?:; error=([a-z_]+))?(?:; received-status=(\d{3}))?'
                    r'(?:; details="([a-z_]+)")?(?:; next-hop="((?:[ !#-\[\]-~]|\\["\\])*)")?\Z')
TIMING = re.compile(r"weir-(queue|connect|first-byte);dur=(\d+\.\d{3})")


def dead():
    return f"{HOST}:{free_port()}"


def status_of(response):
    """(error, received status, details, next hop)"""
    match = STATUS.match(response.get("proxy-status"))
    assert match, response.get("proxy-status")
    return match.groups()


def timing_of(response):
    found = {}
    for metric in response.get("server-timing").split(", "):
        match = TIMING.fullmatch(metric)
        assert match, metric
        found[match[1]] = float(match[2])
    return found


def headers(**rest):
    return {"frontend": {"headers": rest}}


def test_our_own_answers_say_why_with_the_word_of_the_log():
    routes = {"routes": [{"match": {"path": "/old"}, "redirect": {"to": "/new"}}]}
    log = {"log": {"access": {"output": "stdout"}}}
    with start(dead(), frontend=routes, **log) as weir:
        refused = weir.ask()
        moved = weir.ask("GET", "/old")
        with weir.client() as client:
            bad = client.send(b"nonsense\r\n\r\n").response()
    assert status_of(refused) == ("connection_refused", None, "connection_refused", None)
    assert status_of(moved) == (None, None, "redirected", None)
    assert status_of(bad) == ("http_request_error", None, "bad_request", None)
    assert not refused.has("server-timing")


def test_answers_of_backends_pass_as_they_are():
    with Backend(fixed(200, "Proxy-Status: other; error=x", "Server-Timing: db;dur=1", body=b"x")) as backend, \
            start(backend) as weir:
        response = weir.ask()
        assert response.get("proxy-status") == "other; error=x"
        assert response.get("server-timing") == "db;dur=1"


def test_proxy_status_on_all_answers():
    settings = headers(proxy_status=True)
    with Backend(fixed(404, "Proxy-Status: other", body=b"x")) as backend, start(backend, **settings) as weir:
        assert weir.ask().all("proxy-status") == ["other", "weir; received-status=404"]


def test_the_backend_is_named_where_that_is_wanted():
    settings = headers(proxy_status=True, tell_backend=True)
    names = [{"id": 'a"b\\<c>&\u00e4', "address": dead()}]
    with start(*names, **settings) as weir:
        text = weir.ask()
        assert status_of(text)[3] == 'a\\"b\\\\<c>&??'
        assert 'backend: a"b\\<c>&\u00e4\n' in text.text
        page = weir.ask("GET", "/", "Accept: text/html")
        assert 'backend: a"b\\&lt;c&gt;&amp;\u00e4<br>' in page.text
        problem = json.loads(weir.ask("GET", "/", "Accept: application/json").body)
        assert problem["backend"] == 'a"b\\<c>&\u00e4'
        assert problem["outcome"] == "connection_refused"
    with Backend() as backend, start(backend, **settings) as weir:
        assert status_of(weir.ask()) == (None, "200", None, backend.address)
    with start(dead()) as weir:
        assert "backend:" not in weir.ask().text


def test_a_name_of_the_greatest_length():
    settings = headers(tell_backend=True, server_timing=True)
    with start({"id": '"' * 128, "address": dead()}, **settings) as weir:
        assert status_of(weir.ask())[3] == '\\"' * 128
        for accept in ("text/html", "application/json"):
            assert '"' * 100 in weir.ask("GET", "/", f"Accept: {accept}").text.replace("\\", "")


def test_server_timing():
    settings = headers(server_timing=True)
    with Backend() as backend, start(backend, **settings) as weir, weir.client() as client:
        first = timing_of(client.ask())
        assert set(first) == {"queue", "connect", "first-byte"}
        second = timing_of(client.ask())
        assert second["connect"] == 0 and second["first-byte"] > 0
    with start(dead(), **settings) as weir:
        assert set(timing_of(weir.ask())) == {"queue"}  # of the last try
        with weir.client() as client:
            assert not client.send(b"nonsense\r\n\r\n").response().has("server-timing")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_with_everything_else(method):
    """Next to a cookie and another's field, in an answer without a body too."""
    settings = {"frontend": {"headers": {"server_timing": True, "proxy_status": True}},
                "pool": {"sticky": {"by": "cookie", "secret": "x" * 16}}}

    def answer(message):
        return http1.head("HTTP/1.1 200 OK", "Server-Timing: db;dur=1", "Content-Length: 2") + \
            (b"" if message.method == "HEAD" else b"ok")

    with Backend(serve(answer)) as backend, start(backend, **settings) as weir:
        response = weir.ask(method)
        assert response.get("proxy-status") == "weir; received-status=200"
        assert response.has("set-cookie")
        assert len(response.all("server-timing")) == 2
        assert response.body == (b"" if method == "HEAD" else b"ok")
