# SPDX-License-Identifier: Apache-2.0
"""The admin address: who may, what is answered, and that it disturbs nobody."""
import json
import os
import pathlib
import re
import socket
import tempfile
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend, serve
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import Weir

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "0123456789abcdef0123456789abcdef"
READER = "fedcba9876543210fedcba9876543210"
FAST = {"type": "http", "path": "/health", "interval": "100ms", "fast_interval": "50ms",
        "timeout": "90ms"}


def start(backends, admin=None, pool=None, **more):
    """(weir, address of its API)"""
    front, api = (f"{HOST}:{free_port()}" for _ in range(2))
    config = {
        "frontends": {"web": {"bind": [front], "pool": "app"}},
        "pools": {"app": {"backends": [{"id": f"app-{i}", "address": backend}
                                       for i, backend in enumerate(backends)],
                          "health_check": {"type": "none"}, **(pool or {})}},
        "admin": {"bind": [api], **(admin or {})},
        **more}
    return Weir(config, address=front), api


def ask(weir, api, method, path, *fields, body=None):
    fields = [f"{name}: {value}" for name, value in fields]
    return weir.ask(method, path, *fields, address=api, host="unix" if "/" in api else api,
                    **({} if body is None else {"body": body}))


def tree(answer):
    return json.loads(answer.body)


def bearer(secret):
    return ("Authorization", f"Bearer {secret}")


CHANGE = ("X-Weir-Request", "1")


@pytest.fixture(name="backend")
def one_backend():
    with Backend() as backend:
        yield backend


def test_alive_and_ready(backend):
    weir, api = start([backend.address])
    with weir:
        assert ask(weir, api, "GET", "/livez").status == 200
        assert ask(weir, api, "GET", "/readyz").status == 200


def test_not_ready_without_backends():
    weir, api = start([f"{HOST}:{free_port()}"])
    with weir:
        weir.ask()
        until(lambda: ask(weir, api, "GET", "/readyz").status == 503, "not ready")
        assert ask(weir, api, "GET", "/livez").status == 200


def test_state_names_everything(backend):
    weir, api = start([backend.address, f"{HOST}:{free_port()}"])
    with weir:
        state = tree(ask(weir, api, "GET", "/api/v1/state"))
        assert state["ready"] is True and state["draining"] is False
        assert [pool["name"] for pool in state["pools"]] == ["app"]
        assert [one["id"] for one in state["backends"]] == ["app-0", "app-1"]
        assert state["frontends"][0]["binds"] == [weir.address]
        assert state["may"] == "read"


def test_head_and_keep_alive(backend):
    weir, api = start([backend.address])
    with weir, weir.client(api) as client:
        length = len(client.ask("GET", "/livez", host=api).body)
        answer = client.ask("HEAD", "/livez", host=api)
        assert answer.status == 200 and answer.body == b""
        assert answer.get("content-length") == str(length)
        assert client.ask("GET", "/readyz", host=api).status == 200


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1/", "/api/v1/stat", "/api/v1/state/x"])
def test_what_is_not_there(backend, path):
    weir, api = start([backend.address], {"dashboard": False})
    with weir:
        answer = ask(weir, api, "GET", path)
        assert answer.status == 404
        assert answer.get("content-type") == "application/problem+json"
        assert tree(answer)["cure"]


def test_wrong_method(backend):
    weir, api = start([backend.address])
    with weir:
        assert ask(weir, api, "DELETE", "/api/v1/state").status == 405


# Who may

def test_loopback_reads_and_changes_nothing(backend):
    weir, api = start([backend.address])
    with weir:
        path = "/api/v1/pools/app/backends/app-0/drain"
        answer = ask(weir, api, "POST", path, CHANGE)
        assert answer.status == 403 and "admin.token" in tree(answer)["cure"]
        assert tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]["admin"] == "enabled"


def test_tokens(backend):
    weir, api = start([backend.address], {
        "token": SECRET, "tokens": {"eyes": {"role": "read", "secret": READER}}})
    with weir:
        path = "/api/v1/pools/app/backends/app-0/drain"
        assert ask(weir, api, "GET", "/api/v1/state").status == 401
        assert ask(weir, api, "GET", "/livez").status == 200
        assert ask(weir, api, "GET", "/api/v1/state", bearer("no" * 16)).status == 401
        assert ask(weir, api, "GET", "/api/v1/state", bearer(SECRET[:-1])).status == 401
        assert ask(weir, api, "GET", "/api/v1/state", bearer(SECRET + "0")).status == 401
        assert ask(weir, api, "GET", "/api/v1/state", bearer(READER)).status == 200
        assert ask(weir, api, "POST", path, CHANGE, bearer(READER)).status == 403
        assert ask(weir, api, "POST", path, bearer(SECRET)).status == 403
        assert ask(weir, api, "POST", path, CHANGE, bearer(SECRET)).status == 200
        assert SECRET not in weir.stderr and READER not in weir.stderr


def test_without_token_operate(backend):
    weir, api = start([backend.address], {"without_token": "operate"})
    with weir:
        path = "/api/v1/pools/app/backends/app-0/drain"
        assert ask(weir, api, "POST", path).status == 403
        assert ask(weir, api, "POST", path, CHANGE).status == 200


def test_foreign_names_are_refused(backend):
    weir, api = start([backend.address], {"hosts": ["lb.example.com"]})
    with weir:
        for host, status in (("evil.example", 421), ("lb.example.com", 200),
                             ("LB.example.com:9900", 200), ("localhost", 200),
                             ("localhost.evil.example", 421), (api, 200), ("[::1]:1", 200)):
            with weir.client(api) as client:
                client.send(f"GET /api/v1/state HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert client.response().status == status, host


def test_unix_socket_operates(backend):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/admin.sock"
        weir, _ = start([backend.address], {"bind": [f"unix:{path}"]})
        with weir:
            assert os.stat(path).st_mode & 0o777 == 0o600
            answer = ask(weir, f"unix:{path}", "POST", "/api/v1/pools/app/backends/app-0/drain")
            assert answer.status == 200
        assert not os.path.exists(path)


def test_other_machines_need_a_token(backend):
    with pytest.raises(AssertionError, match="E023.*can be reached from other machines"):
        start([backend.address], {"bind": [f"0.0.0.0:{free_port()}"]})


def test_address_taken(backend):
    with socket.socket() as taken:
        taken.bind((HOST, free_port()))
        taken.listen()
        address = "{}:{}".format(*taken.getsockname())
        with pytest.raises(AssertionError, match="unable to listen for administration"):
            start([backend.address], {"bind": [address]})


# Orders

def operate(backends, **more):
    return start(backends, {"without_token": "operate"}, **more)


def order(weir, api, method, what, tree_=None, backend="app-0", fields=()):
    return ask(weir, api, method, f"/api/v1/pools/app/backends/{backend}/{what}", CHANGE, *fields,
               body=None if tree_ is None else json.dumps(tree_).encode())


def served(*backends):
    return [len(backend.served) for backend in backends]


def test_drain_and_enable():
    with Backend() as one, Backend() as two:
        weir, api = operate([one.address, two.address])
        with weir:
            assert tree(order(weir, api, "POST", "drain"))["changed"] is True
            for _ in range(6):
                assert weir.ask().status == 200
            assert served(one, two) == [0, 6]
            assert tree(order(weir, api, "POST", "drain"))["changed"] is False
            state = tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]
            assert state["state"] == "draining" and state["takes_requests"] is False
            order(weir, api, "POST", "enable")
            for _ in range(6):
                assert weir.ask().status == 200
            assert served(one, two) == [3, 9]


def test_what_runs_goes_on_while_it_drains():
    go_on = threading.Event()

    def answer(_):
        go_on.wait(HANG_SECONDS)
        return http1.response(200, body=b"done")

    with Backend(serve(answer)) as slow:
        weir, api = operate([slow.address])
        with weir, weir.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: slow.heads, "the request")
            order(weir, api, "POST", "drain")
            go_on.set()
            assert client.response().status == 200
            assert weir.ask().status == 503


@pytest.mark.parametrize("algorithm", ["round_robin", "weighted_random", "least_connections",
                                       "maglev", "consistent_hash", "rendezvous"])
def test_weight(algorithm):
    with Backend() as one, Backend() as two:
        weir, api = operate([one.address, two.address], pool={"algorithm": algorithm})
        with weir:
            assert order(weir, api, "PUT", "weight", {"weight": 0}).status == 200
            for _ in range(8):
                assert weir.ask().status == 200
            assert served(one, two) == [0, 8]
            order(weir, api, "PUT", "weight", {"weight": 3})
            state = tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]
            assert (state["weight"], state["weight_configured"]) == (3, 1)
            if algorithm == "round_robin":
                for _ in range(8):
                    weir.ask()
                assert served(one, two) == [6, 10]


def test_breaker_by_order():
    with Backend() as one, Backend() as two:
        weir, api = operate([one.address, two.address])
        with weir:
            order(weir, api, "PUT", "breaker", {"state": "open"})
            for _ in range(4):
                weir.ask()
            assert served(one, two) == [0, 4]
            state = tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]
            assert (state["breaker"], state["breaker_forced"]) == ("open", "open")
            assert (state["state"], state["reason"]) == ("open", "forced open by loopback")
            order(weir, api, "PUT", "breaker", {"state": "auto"})
            for _ in range(4):
                weir.ask()
            assert served(one, two) == [2, 6]


def test_stale_orders_are_refused(backend):
    weir, api = operate([backend.address])
    with weir:
        etag = tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]["etag"]
        match = ("If-Match", f'"{etag}"')
        assert order(weir, api, "PUT", "weight", {"weight": 2}, fields=[match]).status == 200
        assert order(weir, api, "PUT", "weight", {"weight": 3}, fields=[match]).status == 412
        assert tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]["weight"] == 2


def test_an_etag_moves_with_orders_only(backend):
    port = free_port()
    weir, api = operate([backend.address, f"{HOST}:{port}"],
                        pool={"health_check": {**FAST, "healthy_threshold": 1}})

    def one():
        return tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][1]

    with weir:
        until(lambda: one()["health"] == "down", "the backend down")
        match = ("If-Match", f'"{one()["etag"]}"')
        with Backend(port=port):
            until(lambda: one()["health"] == "up", "the backend up")
            answer = order(weir, api, "PUT", "weight", {"weight": 2}, "app-1", [match])
            assert answer.status == 200
        until(lambda: one()["health"] == "down", "the backend down again")
        # Of two who looked at the same state the second one is told, whatever he wants.
        for method, what, body in (("POST", "drain", None), ("PUT", "breaker", {"state": "open"})):
            assert order(weir, api, method, what, body, "app-1", [match]).status == 412
        assert (one()["weight"], one()["admin"], one()["breaker"]) == (2, "enabled", "closed")


@pytest.mark.parametrize("body, status", [
    (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"weight": "2"}', 422), (b'{"weight": 1001}', 422),
    (b'{"weight": -1}', 422), (b'{"weigth": 1}', 422), (b'{"weight": 1, "x": 1}', 422),
    (b'{"weight": 1, "weight": 2}', 400)])
def test_wrong_bodies(backend, body, status):
    weir, api = operate([backend.address])
    with weir:
        answer = ask(weir, api, "PUT", "/api/v1/pools/app/backends/app-0/weight", CHANGE, body=body)
        assert answer.status == status
        assert tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]["weight"] == 1


def test_unknown_names(backend):
    weir, api = operate([backend.address])
    with weir:
        assert order(weir, api, "POST", "drain", backend="nobody").status == 404
        assert ask(weir, api, "POST", "/api/v1/pools/x/backends/y/drain", CHANGE).status == 404


def test_log_level(backend):
    weir, api = operate([backend.address])
    with weir:
        level = json.dumps({"level": "debug"}).encode()
        assert ask(weir, api, "PUT", "/api/v1/log/level", CHANGE, body=level).status == 200
        assert tree(ask(weir, api, "GET", "/api/v1/state"))["log_level"] == "debug"
        weir.ask()
        weir.wait_log("serving connection")


# Not disturbed

def test_too_large_a_body(backend):
    weir, api = operate([backend.address])
    with weir:
        answer = ask(weir, api, "PUT", "/api/v1/log/level", CHANGE, body=b"x" * (2 << 20))
        assert answer.status == 413


def test_many_slow_askers_leave_traffic_alone(backend):
    weir, api = start([backend.address])
    with weir:
        slow = [weir.client(api) for _ in range(200)]
        for client in slow[:100]:
            client.send(b"GET /api/v1/state HTTP/1.1\r\nHo")
        for _ in range(20):
            assert weir.ask().status == 200
        for client in slow:
            client.close()

        def is_there():
            try:
                return ask(weir, api, "GET", "/livez").status == 200
            except ConnectionResetError:  # it has not seen all of them go yet
                return False

        until(is_there, "the API")


def test_it_ends_while_somebody_asks(backend):
    weir, api = start([backend.address])
    with weir:
        client = weir.client(api)
        client.send(b"GET /api/v1/sta")


# What is seen

def hit(weir, times=20):
    with weir.client() as client:
        for _ in range(times):
            assert client.ask().status == 200


def test_state_counts_requests(backend):
    weir, api = start([backend.address])
    with weir:
        hit(weir)
        until(lambda: tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]["requests_total"]
              == 20, "20 requests in the state")
        state = tree(ask(weir, api, "GET", "/api/v1/state"))
        assert state["totals"]["requests_total"] == state["pools"][0]["requests_total"] == 20
        assert state["pools"][0]["p99_us"] >= state["pools"][0]["p50_us"] > 0
        assert state["verdict"]["level"] == "ok"


def test_state_counts_retries(backend):
    weir, api = start([backend.address, f"{HOST}:{free_port()}"],
                      pool={"outliers": {"connect_failures": "none"}})
    with weir:
        def pool():
            assert weir.ask("GET", "/").status == 200
            return tree(ask(weir, api, "GET", "/api/v1/state"))["pools"][0]
        until(lambda: pool()["retries_per_s"] > 0, "retries")


def test_the_verdict_names_who_is_out():
    with Backend() as well:
        weir, api = start([well.address, f"{HOST}:{free_port()}"], pool={"health_check": FAST})
        with weir:
            state = until(lambda: (lambda it: it if it["verdict"]["level"] == "warn" else None)(
                tree(ask(weir, api, "GET", "/api/v1/state"))), "a warning")
            assert "app-1 of pool app is out" in state["verdict"]["text"]
            assert "connection refused" in state["verdict"]["text"]
            assert state["pools"][0]["state"] == "degraded"
            assert state["backends"][1]["state"] == "down"
            assert state["backends"][1]["last_check"]["reason"] == "connection refused"


def test_who_is_slow_is_said_everywhere():
    def late(_):
        time.sleep(0.05)
        return http1.response(200, body=b"late")

    with Backend() as one, Backend() as two, Backend(serve(late)) as slow:
        weir, api = start([one.address, two.address, slow.address])
        with weir:
            def state():
                for _ in range(3):
                    weir.ask()
                return tree(ask(weir, api, "GET", "/api/v1/state"))
            found = until(lambda: (lambda it: it if it["backends"][2]["oddities"] else None)(state()), "the slow one")
            assert found["backends"][2]["oddities"] == ["slow"]
            assert found["backends"][2]["slow_times"] >= 4
            assert found["backends"][2]["peers_p50_us"] * 4 <= found["backends"][2]["p50_us"]
            figures = r"p50 \d+ ms, its peers \d+(\.\d+)? ms"
            assert re.search(f"app-2 of pool app is slow: {figures}", found["verdict"]["text"])
            assert found["verdict"]["level"] == "warn"
            until(lambda: state() and "backend is slow beside its peers" in weir.stderr, "the line")
            line = weir.wait_log("backend is slow beside its peers")[0]
            assert '"backend":"app-2"' in line and re.search(f'"reason":"{figures}"', line)
            found = state()
            odd, = found["backends"][2]["odd"]
            assert odd["what"] == "slow" and re.fullmatch(figures, odd["text"])
            told, = [event for event in events(weir, api) if event["kind"] == "oddity"]
            assert (told["backend"], told["to"]) == ("app-2", "slow") and re.fullmatch(figures, told["reason"])
            assert 0 < told["at_ms"] - odd["since_at_ms"] < 60_000, "it has lasted when it is told"
            part, = [part for part in found["verdict"]["parts"] if "is slow" in part["text"]]
            assert part["since_at_ms"] == odd["since_at_ms"]


def test_who_fails_is_said_everywhere():
    with Backend() as one, Backend(serve(lambda _: http1.response(500, body=b"ill"))) as ill:
        weir, api = start([one.address, ill.address], pool={
            "retry": {"max_attempts": 1}, "circuit_breaker": {"failure_threshold": "none"}})
        with weir:
            def state():
                for _ in range(4):
                    weir.ask()
                return tree(ask(weir, api, "GET", "/api/v1/state"))
            found = until(lambda: (lambda it: it if "fails" in it["backends"][1]["oddities"] else None)(state()),
                          "the failing one")
            assert "fails" not in found["backends"][0]["oddities"]
            assert re.search(r"app-1 of pool app fails: \d+ % of its requests", found["verdict"]["text"])
            until(lambda: state() and "backend fails" in weir.stderr, "the line")


def test_who_flaps_is_said_everywhere():
    status = [200]

    def script(connection):
        if connection.request():
            connection.send(http1.response(status[0], body=b""))

    with Backend() as well, Backend(script) as other:
        weir, api = start([well.address, other.address], pool={
            "health_check": {**FAST, "healthy_threshold": 1, "unhealthy_threshold": 1}})
        with weir:
            def one():
                return tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][1]

            for state, answer in 2 * (("down", 503), ("up", 200)):
                status[0] = answer
                until(lambda state=state: one()["health"] == state, state)
            assert one()["oddities"] == ["flapping"] and one()["changes"] >= 4
            assert '"changes":4' in weir.wait_log("backend is flapping")[0]
            state = tree(ask(weir, api, "GET", "/api/v1/state"))
            assert re.search(r"app-1 of pool app is flapping: 4 changes within \d+ seconds?", state["verdict"]["text"])
            odd, = state["backends"][1]["odd"]
            assert odd["what"] == "flapping" and state["started_at_ms"] < odd["since_at_ms"] <= state["now_at_ms"]
            lines = weir.stderr.count("backend is down")
            status[0] = 503
            until(lambda: one()["health"] == "down", "down again")
            text = tree(ask(weir, api, "GET", "/api/v1/state"))["verdict"]["text"]
            assert "app-1 of pool app is flapping" in text and "is out" not in text, \
                "who comes and goes does not hide who is gone"
            assert weir.stderr.count("backend is down") == lines, "its single changes are told no more"
            assert "single changes are not told until it is calm" in weir.stderr
            kinds = [event["kind"] for event in events(weir, api) if event["backend"] == "app-1"]
            assert (kinds.count("health"), kinds.count("flapping")) == (4, 1)


def test_history(backend):
    weir, api = start([backend.address])
    with weir:
        hit(weir)

        def seen(query=""):
            got = tree(ask(weir, api, "GET", f"/api/v1/history?seconds=60{query}"))
            return got if sum(each or 0 for each in got["requests_per_s"]) >= 19 else None

        for query in ("", "&pool=app", "&pool=app&backend=app-0"):
            got = until(lambda query=query: seen(query), "the requests in the history")
            assert len(got["requests_per_s"]) == len(got["p99_us"]) == 60
            if "backend" not in query:
                rows = [row for row in got["heatmap"]["counts"] if row]
                assert sum(map(sum, rows)) == 20
                assert all(len(row) == len(got["heatmap"]["bounds_us"]) + 1 for row in rows)
        for query in ("seconds=0", "seconds=x", "seconds=86401"):
            assert ask(weir, api, "GET", f"/api/v1/history?{query}").status == 422
        assert ask(weir, api, "GET", "/api/v1/history?pool=x").status == 404


def test_stream(backend):
    weir, api = start([backend.address])
    with weir, weir.client(api) as client:
        client.send(http1.request("GET", "/api/v1/stream", host=api))
        head = client.reader.response_head()
        assert head.status == 200 and head.get("content-type") == "text/event-stream"
        got = b""
        while got.count(b"event: state\n") < 3:
            got += client.sock.recv(65536)


def test_stream_from_a_client_that_does_not_read(backend):
    weir, api = start([backend.address])
    with weir:
        clients = [weir.client(api) for _ in range(10)]
        for client in clients:
            client.send(http1.request("GET", "/api/v1/stream", host=api))
        for client in clients[:5]:
            client.reset()
        hit(weir)
        assert ask(weir, api, "GET", "/api/v1/state").status == 200


def test_too_many_streams(backend):
    weir, api = start([backend.address])
    with weir:
        clients = [weir.client(api) for _ in range(33)]
        statuses = []
        for client in clients:
            client.send(http1.request("GET", "/api/v1/stream", host=api))
            statuses.append(client.reader.response_head().status)
        assert statuses == [200] * 32 + [503]


def test_metrics(backend):
    weir, api = start([backend.address])
    with weir:
        hit(weir)
        answer = ask(weir, api, "GET", "/metrics")
        assert answer.status == 200
        assert answer.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        labels = 'frontend="web",pool="app",backend="app-0",method="GET",status="200"'
        assert f"lb_requests_total{{{labels}}} 20\n" in answer.text
        answer = ask(weir, api, "GET", "/metrics",
                     ("Accept", "application/openmetrics-text;version=1.0.0"))
        assert answer.get("content-type").startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


def test_metrics_elsewhere(backend):
    port = free_port()
    weir, api = start([backend.address], {"token": SECRET},
                      metrics={"path": "/numbers", "port": port})
    with weir:
        own = f"127.0.0.1:{port}"
        assert ask(weir, api, "GET", "/metrics", bearer(SECRET)).status == 404
        assert ask(weir, api, "GET", "/numbers").status == 401
        assert ask(weir, api, "GET", "/numbers", bearer(SECRET)).status == 200
        assert ask(weir, own, "GET", "/numbers").status == 200
        assert ask(weir, own, "GET", "/api/v1/state", bearer(SECRET)).status == 404


def test_the_port_of_metrics_is_taken(backend):
    """Whether the file names it or not: it is what its owner expects to find there."""
    with socket.socket() as taken:
        taken.bind((HOST, free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"unable to listen for metrics on port {port}"):
            start([backend.address], metrics={"port": port})


def test_no_metrics(backend):
    weir, api = start([backend.address], metrics={"enabled": False})
    with weir:
        hit(weir)
        assert ask(weir, api, "GET", "/metrics").status == 404
        assert ask(weir, api, "GET", "/api/v1/state").status == 200


def test_openapi(backend):
    weir, api = start([backend.address])
    with weir:
        answer = tree(ask(weir, api, "GET", "/api/v1/openapi.json"))
        assert answer["openapi"] == "3.1.0"
        drain = answer["paths"]["/api/v1/pools/{pool}/backends/{backend}/drain"]["post"]
        assert [each["name"] for each in drain["parameters"]] == ["pool", "backend"]
        for path, operations in answer["paths"].items():
            for method in operations:
                if "{" not in path and method == "get" and "stream" not in path:
                    assert ask(weir, api, "GET", path).status == 200, path


def told_calls(text):
    """(method, path) of every call in the tables, each parameter as {}."""
    prefix = "/api/v1/pools/{}/backends/{}"
    for row in re.findall(r"^\| ((?:`[^`|]+`(?:, )?)+) \|", text, re.MULTILINE):
        for method, path in re.findall(r"`([A-Z]+) ([^`?]+)[^`]*`", row):
            path = "/".join("{}" if part.isupper() else part for part in path.split("/"))
            yield method, path.replace("\u2026", prefix)


def test_every_call_is_documented(backend):
    weir, api = start([backend.address])
    told = set(told_calls((ROOT / "docs/api.md").read_text()))
    with weir:
        paths = tree(ask(weir, api, "GET", "/api/v1/openapi.json"))["paths"]
    offered = {(method.upper(), re.sub(r"\{\w+\}", "{}", path))
               for path, methods in paths.items() for method in methods}
    assert len(offered) > 15
    assert offered - told == set()
    assert told - offered == {("GET", "/metrics")}  # where the configuration wants it


def test_disable_closes_kept_connections():
    with Backend() as one, Backend() as two:
        weir, api = operate([one.address, two.address])
        with weir:
            for _ in range(4):
                assert weir.ask().status == 200

            def kept():
                state = tree(ask(weir, api, "GET", "/api/v1/state"))
                return [each["connections"] for each in state["backends"]]

            assert all(kept())
            order(weir, api, "POST", "drain")
            assert all(kept())
            order(weir, api, "POST", "disable")
            until(lambda: kept()[0] == 0 and kept()[1] > 0, "its connections are closed")
            state = tree(ask(weir, api, "GET", "/api/v1/state"))
            assert (state["backends"][0]["state"], state["backends"][0]["admin"]) == (
                "disabled", "disabled")
            order(weir, api, "POST", "enable")
            for _ in range(4):
                assert weir.ask().status == 200
            assert all(kept())


# Events, records, explanations

def events(weir, api, query=""):
    return tree(ask(weir, api, "GET", f"/api/v1/events{query}"))["events"]


def test_orders_are_events_that_can_be_taken_back():
    with Backend() as one, Backend() as two:
        weir, api = operate([one.address, two.address])
        with weir:
            number = tree(order(weir, api, "PUT", "weight", {"weight": 7}))["event"]
            event = events(weir, api)[0]
            assert (event["number"], event["kind"], event["backend"]) == (number, "steering", "app-0")
            assert event["by"] == "loopback" and event["undo"]["body"] == {"weight": 1}
            undo = event["undo"]
            answer = ask(weir, api, undo["method"], undo["path"], CHANGE,
                         body=json.dumps(undo["body"]).encode())
            assert answer.status == 200
            number = tree(order(weir, api, "POST", "drain"))["event"]
            assert ask(weir, api, "POST", f"/api/v1/events/{number}/undo", CHANGE).status == 200
            state = tree(ask(weir, api, "GET", "/api/v1/state"))["backends"][0]
            assert (state["weight"], state["admin"]) == (1, "enabled")
            assert [each["kind"] for each in events(weir, api, "?limit=4")] == ["steering"] * 4
            assert events(weir, api, f"?after={number}")[0]["number"] == number + 1
            assert ask(weir, api, "POST", "/api/v1/events/999/undo", CHANGE).status == 404
            assert ask(weir, api, "POST", "/api/v1/events/x/undo", CHANGE).status == 422


def test_what_changes_by_itself_is_an_event():
    with Backend() as well:
        weir, api = start([well.address, f"{HOST}:{free_port()}"], pool={"health_check": FAST})
        with weir:
            got = until(lambda: [each for each in events(weir, api) if each["to"] == "down" and each["backend"] == "app-1"],
                        "an event")[0]
            assert (got["backend"], got["to"], got["reason"]) == (
                "app-1", "down", "connection refused")


def test_why(backend):
    weir, api = start([backend.address])
    with weir:
        weir.ask("GET", "/some/path?secret=1")
        id_ = backend.heads[-1].get("x-request-id")
        record = until(lambda: (lambda got: tree(got) if got.status == 200 else None)(
            ask(weir, api, "GET", f"/api/v1/requests/{id_}")), "the record")
        assert record["path"] == "/some/path" and record["picked"] == "app-0"
        assert record["outcome"] == "ok" and record["text"]
        assert "secret" not in json.dumps(record)
        assert ask(weir, api, "GET", "/api/v1/requests/nobody").status == 404
        assert tree(ask(weir, api, "GET", "/api/v1/requests?limit=1"))["requests"][0]["id"] == id_
        assert tree(ask(weir, api, "GET", "/api/v1/failures"))["failures"] == []


def test_failures():
    weir, api = start([f"{HOST}:{free_port()}"])
    with weir:
        assert weir.ask("GET", "/x").status == 503
        failures = until(
            lambda: tree(ask(weir, api, "GET", "/api/v1/failures"))["failures"], "the failure")
        assert failures[0]["status"] == 503 and failures[0]["outcome"] == "connection_refused"
        assert failures[0]["tries"][0]["ended"] == "connection_refused"


@pytest.mark.parametrize("algorithm", ["round_robin", "first", "ip_hash", "maglev", "rendezvous",
                                       "least_connections"])
def test_explain_says_what_happens(algorithm):
    with Backend() as one, Backend() as two, Backend() as three:
        backends = [one, two, three]
        weir, api = start([each.address for each in backends], pool={"algorithm": algorithm},
                          runtime={"workers": 1})
        with weir:
            for i in range(6):
                question = json.dumps({"method": "GET", "url": f"/{i}", "from": "127.0.0.1"})
                said = tree(ask(weir, api, "POST", "/api/v1/explain", body=question.encode()))
                weir.ask("GET", f"/{i}")
                took = [f"app-{at}" for at, each in enumerate(backends)
                        if any(head.target == f"/{i}" for head in each.heads)]
                assert [said["pick"]["backend"]] == took, said


@pytest.mark.parametrize("question, status", [
    (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"url": "/", "from": "x"}', 422),
    (b'{"url": "/", "nonsense": "x"}', 422), (b'{"url": "/", "headers": {"a": 1}}', 422),
    (b'{"url": "/", "frontend": "nobody"}', 422)])
def test_wrong_questions(backend, question, status):
    weir, api = start([backend.address])
    with weir:
        assert ask(weir, api, "POST", "/api/v1/explain", body=question).status == status


def test_stream_tells_what_happens():
    with Backend() as well:
        weir, api = operate([well.address])
        with weir, weir.client(api) as client:
            order(weir, api, "PUT", "weight", {"weight": 2})
            client.send(http1.request("GET", "/api/v1/stream?tail=1", host=api))
            assert client.reader.response_head().status == 200
            order(weir, api, "PUT", "weight", {"weight": 3})
            weir.ask("GET", "/seen")
            got = b""
            while b"event: event\n" not in got or b"event: request\n" not in got:
                got += client.sock.recv(65536)
            assert b'"/seen"' in got
            order(weir, api, "POST", "drain")
            assert weir.ask("GET", "/lost").status == 503
            while b"event: failure\n" not in got:
                got += client.sock.recv(65536)


def test_the_dashboard(backend):
    weir, api = start([backend.address])
    with weir:
        answer = ask(weir, api, "GET", "/")
        assert answer.status == 200 and answer.get("content-type").startswith("text/html")
        policy = answer.get("content-security-policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        etag = answer.get("etag")
        assert ask(weir, api, "GET", "/", ("If-None-Match", etag)).status == 304
        for name in ("style.css", "app.js"):
            assert ask(weir, api, "GET", f"/{name}").status == 200
        assert ask(weir, api, "GET", "/nothing.js").status == 404
