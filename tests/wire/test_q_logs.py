# SPDX-License-Identifier: Apache-2.0
"""The log and the access log: levels, forms, outcomes, hostile bytes, rotation."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from peers import http1
from peers.backend import Backend, full_listener, raw, tcp_echo
from peers.net import HOST, free_port, until
from peers.weir import BINARY, CALM, settings, start, told

SHORT = "150ms"


def access(weir, count):
    """The first `count` lines of an access log on standard output."""
    until(lambda: weir.stdout.count("\n") >= count, f"{count} access lines")
    return weir.stdout.splitlines()


def with_access(kind, output="stdout"):
    return {"log": {"access": {"format": kind, "output": output}}}


def json_line(weir):
    return json.loads(access(weir, 1)[0])


@pytest.mark.parametrize("flag, levels", [
    ("-qq", set()), ("-q", set()), (None, {"notice"}), ("-v", {"notice", "info"}),
    ("-vv", {"notice", "info", "debug"}), ("-vvv", {"notice", "info", "debug", "trace"}),
])
def test_levels(flag, levels):
    ready = "" if not levels else "serves"
    with Backend() as backend, start(backend, args=[flag] if flag else [], ready=ready) as weir:
        if not levels:
            until(lambda: connects(weir), "weir to listen")
        assert weir.ask().status == 200
        if "info" in levels:
            weir.wait_log("served connection")
    # Higher levels may have nothing to say in so short a life; lower ones must not speak.
    order = ["error", "warn", "notice", "info", "debug", "trace"]
    got = {line["level"] for line in weir.last_log}
    assert got <= levels | {"error", "warn"}
    assert levels <= got | set(order[4:])


def connects(weir):
    try:
        weir.client().close()
        return True
    except ConnectionRefusedError:
        return False


def test_json_line_of_a_good_request():
    with Backend() as backend, start(backend, **with_access("json")) as weir:
        with weir.client() as client:
            client.ask("POST", "/a/b?secret=1", "User-Agent: tester", "Referer: http://r/?s=2",
                       body=b"hello")
        line = json_line(weir)
        head = backend.last()
        assert line["client.address"] == "127.0.0.1"
        assert line["http.request.method"] == "POST"
        assert line["url.path"] == "/a/b"
        assert line["server.address"] == "weir.test"
        assert line["network.protocol.version"] == "1.1"
        assert line["http.response.status_code"] == 200
        assert line["http.request.body.size"] == 5
        assert line["http.response.body.size"] > 0
        assert line["user_agent.original"] == "tester"
        assert line["request_id"] == head.get("x-request-id")
        assert line["outcome"] == "ok"
        assert line["frontend"] == "web" and line["pool"] == "app"
        assert line["backend"] == backend.address
        assert line["tries"] == 1
        for timer in ("connect_us", "first_byte_us", "total_us"):
            assert line[timer] > 0
        # It came in one piece, had a place at once, and the connection was a new one.
        assert not line.keys() & {"head_us", "queue_us", "reused"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert "secret" not in weir.stdout and "s=2" not in weir.stdout


@pytest.mark.parametrize("before", [False, True], ids=["first", "second"])
def test_the_time_that_a_head_takes(before):
    """It is counted from the head's first byte, not from the accept or from the answer before."""
    head = http1.request("GET", "/slow")
    with Backend() as backend, start(backend, **with_access("json")) as weir:
        with weir.client() as client:
            if before:
                assert client.ask().status == 200
            time.sleep(1.5)
            client.send(head[:9])
            time.sleep(0.2)
            assert client.send(head[9:]).response().status == 200
        line = json.loads(access(weir, 1 + before)[-1])
        assert line["url.path"] == "/slow"
        assert 1000 < line["head_us"] < 1_500_000
        assert line["total_us"] >= line["head_us"] + line["first_byte_us"]
        assert line.get("queue_us", 0) <= line["total_us"] - line["head_us"]


def test_the_head_of_a_408_took_its_time():
    settings_ = {"frontend": {"timeouts": {"client_header": SHORT}}, **with_access("json")}
    with Backend() as backend, start(backend, **settings_) as weir, weir.client() as client:
        assert client.send(b"GET / HT").response().status == 408
        line = json_line(weir)
        assert 1000 < line["head_us"] <= line["total_us"]


QUOTED = r'"((?:[^"\\]|\\.)*)"'
COMBINED = re.compile(
    r"(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] " + QUOTED +
    r" (\d{3}) (\d+) " + QUOTED + " " + QUOTED + r'( [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+))+\Z')


def test_combined_line_of_a_good_request():
    with Backend() as backend, start(backend, **with_access("combined")) as weir:
        weir.ask("GET", "/a?b=c", "User-Agent: tester")
        line = access(weir, 1)[0]
        match = COMBINED.match(line)
        assert match, line
        assert match[1] == "127.0.0.1"
        assert match[3].startswith("GET /a") and match[3].endswith(" HTTP/1.1")
        assert match[4] == "200" and int(match[5]) > 0
        assert match[7] == "tester"
        assert " outcome=ok " in line and f"backend={backend.address}" in line


HAPROXY = re.compile(
    r"127\.0\.0\.1:(\d+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\] (\S+) (\S+)/(\S+) "
    r"(-?\d+)/(-?\d+)/(-?\d+)/(-?\d+)/(\d+) (-?\d+) (\d+) - - (..)-- \d+/0/0/0/(\d+) 0/0 " +
    QUOTED + r"\Z")


def test_haproxy_line_of_a_good_request():
    with Backend() as backend, start(backend, **with_access("haproxy")) as weir:
        weir.ask("GET", "/a?b=c")
        line = access(weir, 1)[0]
        match = HAPROXY.match(line)
        assert match, line
        assert match[3] == "web" and match[4] == "app" and match[5] == backend.address
        assert match[11] == "200" and int(match[12]) > 0
        assert match[13] == "--" and match[14] == "0"
        assert match[15] == "GET /a?[redacted] HTTP/1.1"


def test_haproxy_line_of_failures():
    with start(dead(), dead(), pool={"retry": {"max_attempts": 2}},
               **with_access("haproxy")) as weir:
        weir.ask()
        with weir.client() as client:
            client.send(b"nonsense\r\n\r\n").response()
        refused, bad = (HAPROXY.match(line) for line in access(weir, 2))
        assert (refused[11], refused[13], refused[14]) == ("503", "SC", "1")
        assert (bad[5], bad[11], bad[13], bad[15]) == ("<NOSRV>", "400", "PR", "<BADREQ>")


def test_haproxy_line_of_tcp():
    with Backend(tcp_echo) as backend:
        with start(backend, protocol="tcp", **with_access("haproxy")) as weir:
            with weir.client() as client:
                client.send(b"hello").end()
                assert client.rest() == b"hello"
            assert re.fullmatch(r"127\.0\.0\.1:\d+ \[\S+\] web app/\S+ \d+/\d+/\d+ 5 -- "
                                r"\d+/0/0/0/0 0/0", access(weir, 1)[0])


def test_ecs_line():
    with Backend() as backend, start(backend, **with_access("ecs")) as weir:
        weir.ask("GET", "/a?b=c", "User-Agent: tester", "traceparent: "
                 "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        line = json_line(weir)
        assert line["http.response.status_code"] == 200 and line["url.path"] == "/a"
        assert line["event.outcome"] == "success" and line["event.duration"] > 0
        assert line["source.ip"] == "127.0.0.1" and line["user_agent.original"] == "tester"
        assert line["weir.backend"] == backend.address
        assert line["trace.id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("on", [False, True], ids=["off", "on"])
def test_a_line_names_its_trace(on):
    tracing = {"tracing": {"otlp": f"http://{dead()}"}} if on else {}
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with Backend() as backend, start(backend, **tracing, **with_access("json")) as weir:
        weir.ask("GET", "/", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
        weir.ask("GET", "/", "traceparent: nonsense")
        first, second = map(json.loads, access(weir, 2))
        assert first["trace_id"] == trace
        assert ("trace_id" in second) == on and ("span_id" in second) == on
        assert ("span_id" in first) == on
        if on:
            assert second["trace_id"] == backend.last().get("traceparent").split("-")[1]


def test_a_sample_of_lines():
    """All of a trace or none; on every instance; and what went wrong always."""
    settings_ = {"log": {"access": {"output": "stdout", "sample": "30%"}}}
    seen = []
    for _ in range(2):
        with Backend() as backend, start(backend, **settings_) as weir, weir.client() as client:
            for i in range(200):
                trace = f"{i:032x}"[:15] + f"{i * 0x147ae147ae147a & 0xffffffffffffff:014x}" + "abc"
                client.ask("GET", f"/{i}", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
            assert weir.ask("TRACE", "/end").status == 405
            until(lambda: "/end" in weir.stdout, "the last line")
            seen.append([json.loads(line)["url.path"] for line in weir.stdout.splitlines()])
    assert seen[0] == seen[1]
    assert 20 < len(seen[0]) < 110


def test_requests_without_a_trace_are_sampled_by_their_id():
    settings_ = {"log": {"access": {"output": "stdout", "sample": "50%"}},
                 "frontend": {"client_ip": {"trusted_proxies": ["loopback"]}}}
    with Backend() as backend, start(backend, **settings_) as weir, weir.client() as client:
        for _ in range(2):
            for i in range(100):
                client.ask("GET", f"/{i}", f"X-Request-Id: id-{i}")
        assert weir.ask("TRACE", "/end").status == 405
        until(lambda: "/end" in weir.stdout, "the last line")
        paths = [json.loads(line)["url.path"] for line in weir.stdout.splitlines()][:-1]
    assert len(paths) % 2 == 0 and paths[:len(paths) // 2] == paths[len(paths) // 2:]
    assert 40 < len(paths) < 160


def test_a_filter_of_lines():
    filter_ = {"status_min": 400, "slower_than": "150ms", "outcomes": ["client"]}
    settings_ = {"log": {"access": {"output": "stdout", "filter": filter_}}}

    def script(connection):
        while message := connection.request():
            time.sleep(0.3 if message.target == "/slow" else 0)
            connection.send(http1.response(404 if message.target == "/lost" else 200, body=b"x"))

    with Backend(script) as backend, start(backend, **settings_) as weir:
        for path in ("/fast", "/slow", "/lost", "/fast"):
            weir.ask("GET", path)
        weir.ask("TRACE", "/trace")
        until(lambda: "/trace" in weir.stdout, "the last line")
        assert [json.loads(line)["url.path"] for line in weir.stdout.splitlines()] == \
            ["/slow", "/lost", "/trace"]


def dead():
    return f"{HOST}:{free_port()}"


def close_at_once(connection):
    connection.request()


def cut(connection):
    connection.request()
    connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 10"), b"abc")


def silent(connection):
    connection.request()
    connection.reader.rest()


def upgrade(connection):
    connection.request()
    connection.send(http1.head("HTTP/1.1 101 Switching", "Connection: upgrade", "Upgrade: x"))


REDIRECT = {"routes": [{"match": {"path": "/old"}, "redirect": {"to": "/new"}}]}
OUTCOMES = {
    # outcome: (script or None, bytes to send, status in the log, further settings)
    "ok": (None, http1.request(), 200, {}),
    "bad_request": (None, b"nonsense\r\n\r\n", 400, {}),
    "head_too_large": (None, http1.request("GET", "/", "A: " + "b" * 100000), 431, {}),
    "payload_too_large": (None, http1.request("POST", "/", body=b"x" * 100), 413,
                          {"frontend": {"http": {"max_body_size": "10B"}}}),
    "expectation_failed": (None, http1.request("POST", "/", "Expect: x", body=b"x"), 417, {}),
    "method_not_allowed": (None, http1.request("TRACE"), 405, {}),
    "version": (None, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, {}),
    "not_implemented": (None, http1.head("POST / HTTP/1.1", "Host: a",
                                         "Transfer-Encoding: gzip, chunked"), 501, {}),
    "no_route": (None, http1.request("GET", "/x"), 404,
                 {"backends": False, "frontend": {"routes": [
                     {"match": {"path": "/a"}, "pool": ["127.0.0.1:1"]}]}}),
    "redirected": (None, http1.request("GET", "/old"), 308, {"frontend": REDIRECT}),
    "no_backend_available": ("nobody.invalid:80", http1.request(), 503, {}),
    "connection_refused": (dead(), http1.request(), 503, {}),
    "connect_failed": ("unix:/nonexistent/weir-test", http1.request(), 503, {}),
    "upgrade_failed": (raw(http1.head("HTTP/1.1 101 Switching", "Connection: upgrade",
                                      "Upgrade: y")),
                       http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"), 502, {}),
    "connection_reset": (close_at_once, http1.request(), 502, {}),
    "response_malformed": (raw(b"nonsense\r\n\r\n"), http1.request(), 502, {}),
    "response_head_too_large": (raw(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200000 + b"\r\n\r\n"),
                                http1.request(), 502, {}),
    "response_timeout": (silent, http1.request(), 504,
                         {"pool": {"timeouts": {"response": SHORT}}}),
    "response_cut": (cut, http1.request(), 200, {}),
    "upstream_idle_timeout": (lambda c: (c.request(), c.send(
        http1.head("HTTP/1.1 200 OK", "Content-Length: 10"), b"abc"), c.reader.rest()),
                              http1.request(), 200,
                              {"pool": {"timeouts": {"response_idle": SHORT}}}),
    "client_timeout_header": (None, b"GET / HT", 408,
                              {"frontend": {"timeouts": {"client_header": SHORT}}}),
    "client_body_timeout": (None, http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 9"),
                            408, {"frontend": {"timeouts": {"request_body_idle": SHORT}}}),
    "tunnel_closed": (upgrade, http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"),
                      101, {}),
    "tunnel_idle_timeout": (lambda c: (c.request(), c.send(http1.head(
        "HTTP/1.1 101 Switching", "Connection: upgrade", "Upgrade: x")), c.reader.rest()),
                            http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"), 101,
                            {"frontend": {"timeouts": {"tunnel_idle": SHORT}}}),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcome(outcome):
    script, data, status, rest = OUTCOMES[outcome]
    rest = {**rest, **with_access("json")}
    elsewhere = script if isinstance(script, str) else None
    with Backend(None if elsewhere else script) as backend:
        backends = [elsewhere or backend] if rest.pop("backends", True) else []
        with start(*backends, **rest) as weir, weir.client() as client:
            client.send(data)
            try:
                client.rest() if "tunnel" in outcome else client.response()
            except (http1.Cut, ConnectionResetError):
                pass
            client.close()
            line = json_line(weir)
            assert line["outcome"] == outcome, line
            assert line["http.response.status_code"] == status


@pytest.mark.parametrize("when", ["before the answer", "in the answer"])
def test_outcome_client_aborted(when):
    def script(connection):
        connection.request()
        if when == "in the answer":
            connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 10"), b"abc")
        connection.reader.rest()

    with Backend(script) as backend, start(backend, **with_access("json")) as weir:
        client = weir.client()
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        if when == "in the answer":
            client.reader.response_head()
        client.reset()
        assert json_line(weir)["outcome"] == "client_aborted"


def test_bytes_of_a_long_answer_that_was_aborted():
    """It is spliced; what the client read was sent, and is counted."""
    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 1000000000"))
        try:
            while True:
                connection.send(b"x" * 100000)
        except OSError:
            pass

    with Backend(script) as backend, start(backend, **with_access("json")) as weir:
        client = weir.client().send(http1.request())
        assert client.reader.response_head().status == 200
        client.reader.exactly(3_000_000)
        client.reset()
        line = json_line(weir)
        assert line["outcome"] == "client_aborted"
        assert line["http.response.body.size"] >= 3_000_000


def test_outcome_of_tcp():
    with Backend(tcp_echo) as backend:
        with start(backend, protocol="tcp", **with_access("json")) as weir:
            with weir.client() as client:
                client.send(b"hello").end()
                assert client.rest() == b"hello"
            line = json_line(weir)
            assert line["outcome"] == "tunnel_closed"
            assert line["http.request.body.size"] == 5
            assert line["http.response.body.size"] == 5
            assert line["backend"] == backend.address


def test_connect_timeout_is_logged_with_its_backend():
    listener, address, fillers = full_listener()
    with start(address, pool={"timeouts": {"connect": SHORT}}) as weir:
        response = weir.ask()
        assert response.status == 503
        assert "outcome: connection_timeout" in response.text
        line, = [json.loads(line) for line in weir.wait_log("connect failed")]
        assert line["backend"] == address and "timed out" in json.dumps(line).lower()
    for sock in (listener, *fillers):
        sock.close()


HOSTILE = {
    "User-Agent": ['a"b', "a\\b", "a\tb", "a\xe4\xffb", "]}\"'<>", "\\x0a", "\\", '"', "a" * 5000],
    "Referer": ['http://x/"', "a\\", "\xff" * 1000],
}


@pytest.mark.parametrize("kind", ["json", "combined"])
def test_nothing_forges_a_line(kind):
    """One line per request whatever is in it, every line of the right form, only visible ASCII."""
    requests = [http1.request("GET", "/", f"{name}: {value}")
                for name, values in HOSTILE.items() for value in values]
    requests += [http1.request("GET", path) for path in (
        "/%0a127.0.0.1%20-%20-", '/"quoted"', "/\\", "/%0d%0a", "/'`|", "/" + "y" * 20000,
        '/"%20200%200%20"')]
    requests += [http1.request(host=host) for host in ("a:80", "[::1]", "x" * 200)]
    with Backend() as backend, start(backend, **with_access(kind)) as weir:
        for data in requests:
            with weir.client() as client:
                client.send(data)
                assert client.response().status == 200
        for data in (b"\x1b[2J\r\n\r\n", b"GET /\n\n", b"G\"T / HTTP/1.1\r\n\r\n"):
            with weir.client() as client:
                client.send(data)
                assert client.response().status == 400
        until(lambda: weir.stdout.count("\n") >= len(requests) + 3, "all lines")
        lines = weir.stdout_path.read_bytes().split(b"\n")
        assert lines.pop() == b""
        assert len(lines) == len(requests) + 3
        for line in lines:
            assert re.fullmatch(rb"[\x20-\x7e]+", line), line
            if kind == "json":
                assert json.loads(line)["client.address"] == "127.0.0.1"
            else:
                assert COMBINED.match(line.decode()), line


def test_hostile_bytes_in_the_log_itself():
    """A failed request is logged with its target."""
    with start(dead()) as weir:
        weir.ask("GET", '/%0a"\\x?token=secret')
        line, = [json.loads(line) for line in weir.wait_log("request failed")]
        assert line["target"].endswith("\\x") and "secret" not in weir.stderr
        assert line["outcome"] == "connection_refused" and line["status"] == 503
        assert re.fullmatch(r"[\x20-\x7e\n]+", weir.stderr)


def test_a_thousand_failed_requests_are_told_by_number():
    """A handful of lines, and all thousand are in them: the end tells what was not told before."""
    with start(dead(), dead(), pool={"retry": {"max_attempts": 2}}) as weir:
        began = time.monotonic()
        for _ in range(10):
            with weir.client() as client:
                for _ in range(100):
                    assert client.ask().status == 503
        seconds = time.monotonic() - began
    requests, failed = told(weir.last_log, "request failed")
    assert failed == 1000
    assert len(requests) <= 3 + seconds
    assert {line["outcome"] for line in requests} == {"connection_refused"}
    connects_, failed = told(weir.last_log, "connect failed")
    assert failed == 2000
    assert len(connects_) <= 2 * (3 + seconds)
    for backend in {line["backend"] for line in connects_}:
        of_one = [line for line in connects_ if line["backend"] == backend]
        assert told(of_one, "connect failed")[1] == 1000
        assert all("refused" in line["error"] for line in of_one)


def test_what_is_counted_is_told_after_a_second():
    with start(dead(), pool={"retry": {"max_attempts": 1}}) as weir:
        for _ in range(3):
            assert weir.ask().status == 503
        weir.wait_log("request failed again")
        assert told(weir.log(), "request failed")[1] == 3
        assert told(weir.log(), "connect failed")[1] == 3


def test_each_outcome_is_told_by_itself():
    def script(connection):
        connection.request()

    with Backend(script) as backend:
        routes = [{"match": {"path": "/dead"}, "pool": "dead"}]
        pools = {"dead": {"backends": [dead()], **CALM}}
        with start(backend, frontend={"routes": routes}, pools=pools) as weir:
            for _ in range(5):
                assert weir.ask("GET", "/dead").status == 503
                assert weir.ask("GET", "/").status == 502
    lines, failed = told(weir.last_log, "request failed")
    assert failed == 10
    for outcome in ("connection_refused", "connection_reset"):
        assert told([line for line in lines if line["outcome"] == outcome],
                    "request failed")[1] == 5


def test_failed_tcp_connections_are_told_by_number():
    with start(dead(), protocol="tcp") as weir:
        began = time.monotonic()
        for _ in range(100):
            try:
                with weir.client() as client:
                    assert client.rest() == b""
            except ConnectionResetError:
                pass
        seconds = time.monotonic() - began
    lines, failed = told(weir.last_log, "failed to served connection")
    assert failed == 100
    assert len(lines) <= 3 + seconds
    assert {line["level"] for line in lines} == {"error"}


@pytest.mark.parametrize("which", ["log", "access"])
def test_usr1_reopens_a_file(which, tmp_path):
    path, moved = tmp_path / "file.log", tmp_path / "file.log.1"
    log = {"access": {"output": str(path)}, "level": "info"} if which == "access" \
        else {"output": str(path), "level": "info"}
    with Backend() as backend:
        weir = start(backend, log=log, ready="" if which == "log" else "serves")
        with weir:
            until(lambda: connects(weir), "weir to listen")
            weir.ask("GET", "/before")
            mark = "/before" if which == "access" else "served connection"
            until(lambda: mark in path.read_text(), "the first line")
            os.rename(path, moved)
            before = moved.read_text()
            weir.signal(signal.SIGUSR1)
            until(path.exists, "the new file")
            weir.ask("GET", "/after")
            mark = "/after" if which == "access" else "served connection"
            until(lambda: mark in path.read_text(), "a line in the new file")
            assert moved.read_text().startswith(before)


@pytest.mark.parametrize("which", ["log", "access"])
def test_a_log_that_cannot_be_opened(which, tmp_path):
    path = str(tmp_path / "none" / "file.log")
    log = {"output": path} if which == "log" else {"access": {"output": path}}
    with Backend() as backend:
        with pytest.raises(AssertionError, match=re.escape(path)):
            start(backend, log=log)


def test_a_full_disk_harms_no_request():
    """Lines are dropped and counted; no request is ever stalled."""
    long = "User-Agent: " + "x" * 400
    with Backend() as backend, start(backend, **with_access("json", "/dev/full")) as weir:
        with weir.client() as client:
            for _ in range(20):
                client.send(http1.request("GET", "/", long) * 100)
                for _ in range(100):
                    assert client.response().status == 200
        lost = [json.loads(line) for line in weir.wait_log("log lines were lost")]
        assert lost[0]["output"] == "/dev/full" and lost[0]["lines"] > 0
        assert "No space left" in lost[0]["error"]
        assert weir.ask().status == 200


SYSLOG = re.compile(r"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (\S+) (\d+) (\S+) - (.*)\Z",
                    re.DOTALL)


def syslog_socket(kind, tmp_path):
    """(socket, what the configuration says of it)."""
    if kind == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        address = f"udp://{HOST}:{sock.getsockname()[1]}"
    else:
        path = "@weir-test-syslog-" + str(os.getpid()) if kind == "abstract" else str(tmp_path / "log")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind("\0" + path[1:] if path[0] == "@" else path)
        address = "unix:" + path
    sock.settimeout(30)
    return sock, address


@pytest.mark.parametrize("kind", ["unix", "abstract", "udp"])
def test_syslog(kind, tmp_path):
    sock, address = syslog_socket(kind, tmp_path)
    log = {"output": {"syslog": address, "app_name": "edge-1", "facility": "local3"},
           "access": {"output": {"syslog": address}}}
    with sock, Backend() as backend:
        with start(backend, log=log, ready="") as weir:
            match = SYSLOG.match(sock.recv(65536).decode())
            assert match, "no syslog line"
            assert int(match[1]) == 19 * 8 + 5  # local3, notice
            assert match[4] == "edge-1" and int(match[5]) == weir.serving and match[6] == "-"
            assert match[7].startswith('msg="weir ') and "\n" not in match[7]
            until(lambda: connects(weir), "weir to listen")
            assert weir.ask("GET", "/", "User-Agent: a\x80\"").status == 200
            match = SYSLOG.match(sock.recv(65536).decode())
            assert int(match[1]) == 3 * 8 + 6  # daemon, info
            assert match[4] == "weir" and match[6] == "access"
            assert json.loads(match[7])["outcome"] == "ok"


def test_syslog_that_is_not_there_harms_no_request(tmp_path):
    path = str(tmp_path / "nobody")
    log = {"access": {"output": {"syslog": "unix:" + path}}}
    with Backend() as backend, start(backend, log=log) as weir:
        for _ in range(20):
            assert weir.ask().status == 200
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.settimeout(30)
        sock.bind(path)
        with sock:  # what waited is not lost
            for _ in range(20):
                assert SYSLOG.match(sock.recv(65536).decode())[6] == "access"


def test_priorities_for_the_journal():
    """Where standard error is the stream that JOURNAL_STREAM names, and only there."""
    script = 'export JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2); exec "$@"'
    wrapper = ["/bin/bash", "-c", script, "x"]
    with Backend() as backend:
        with start(backend, wrapper=wrapper) as weir:
            lines = [line for line in weir.stderr.splitlines() if "serves" in line]
            assert lines[0].startswith('<5>{"time"'), lines
        with start(backend, env={"JOURNAL_STREAM": "8:1234"}) as weir:
            lines = [line for line in weir.stderr.splitlines() if "serves" in line]
            assert lines[0].startswith('{"time"'), lines


def test_a_reader_that_hangs_harms_no_request():
    """The access log goes to a pipe that nobody reads: lines are dropped and counted."""
    read, write = os.pipe()
    with Backend() as backend, start(backend, stdout=write, **with_access("json")) as weir:
        os.close(write)
        with weir.client() as client:
            for _ in range(100):
                client.send(http1.request("GET", "/", "User-Agent: " + "x" * 200) * 50)
                for _ in range(50):
                    assert client.response().status == 200
        got = b""
        while got.count(b"\n") < 20:
            got += os.read(read, 65536)
        for line in got.split(b"\n")[:-1]:
            assert json.loads(line)["outcome"] == "ok"
        assert weir.ask().status == 200
        # From here on it is read, so that weir can end with all it has to say.
        reader = subprocess.Popen(["cat"], stdin=read, stdout=subprocess.DEVNULL)
        os.close(read)
    reader.wait()


def test_human_lines_on_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    with Backend() as backend:
        tree, address = settings([backend])
        path = tmp_path / "weir.json"
        path.write_text(json.dumps(tree))
        with subprocess.Popen([BINARY, "-v", "-c", path], stdin=theirs, stdout=theirs,
                              stderr=theirs) as child:
            os.close(theirs)
            text = ""
            while "listening for connections" not in text:
                text += os.read(ours, 65536).decode()
            child.terminate()
            while "stopped" not in text:
                text += os.read(ours, 65536).decode()
            os.close(ours)
            assert child.wait(60) == 0
    plain = re.sub("\x1b\\[[0-9;]*m", "", text).replace("\r", "")
    stamp = r"^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3} +"
    assert re.search(stamp + r"NOTICE weir \S+ serves ", plain, re.MULTILINE), plain
    assert re.search(stamp + r"INFO frontend\{local_address=" + re.escape(address) +
                     r"\}: \S+: listening for connections", plain, re.MULTILINE), plain
