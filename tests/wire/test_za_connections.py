# SPDX-License-Identifier: Apache-2.0
"""GET /api/v1/connections: who is connected, and what each of them does."""
import contextlib
import json
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend, tcp_echo
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import Weir

AGREE = http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: thing/1")


class Town:
    """web (HTTP: /held waits until `go`, /tunnel becomes one) and raw (TCP), each on two addresses'
    worth of workers."""

    def __init__(self, stack, workers=1, web=None):
        self.go = threading.Event()
        address, raw, self.api = (f"{HOST}:{free_port()}" for _ in range(3))
        http = stack.enter_context(Backend(self.serve))
        echo = stack.enter_context(Backend(tcp_echo))
        off = {"health_check": "none"}
        config = {
            "runtime": {"workers": workers},
            "frontends": {
                "web": {"bind": [address], "pool": "app", **(web or {}),
                        "routes": [{"name": "slow", "match": {"path": "/held/*"}, "pool": "app"}]},
                "raw": {"bind": [raw], "protocol": "tcp", "pool": "echo"}},
            "pools": {"app": {"backends": [{"id": "app-0", "address": http.address}], **off},
                      "echo": {"backends": [{"id": "echo-0", "address": echo.address}], **off}},
            "admin": {"bind": [self.api]}}
        self.weir = stack.enter_context(Weir(config, address=address))
        self.raw = raw

    def serve(self, connection):
        while True:
            head = connection.request()
            if head is None:
                return
            if head.target.startswith("/held"):
                assert self.go.wait(HANG_SECONDS)
            if head.target == "/tunnel":
                connection.send(AGREE)
                while connection.sock.recv(100):
                    pass
                return
            connection.send(http1.response(200, body=b"hello"))

    def ask(self, query="", status=200):
        answer = self.weir.ask("GET", f"/api/v1/connections{query}", address=self.api,
                               host=self.api)
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    def when(self, query, wanted):
        """The answer once so many match."""
        return until(lambda: (lambda got: got if got["matching"] == wanted else None)(
            self.ask(query)), f"{wanted} connections of {query or 'all'}")

    def one(self, query):
        return self.when(query, 1)["connections"][0]


@pytest.fixture(name="town")
def some_town():
    with contextlib.ExitStack() as stack:
        yield Town(stack)


def test_nobody(town):
    got = town.ask()
    assert (got["total"], got["matching"], got["connections"]) == (0, 0, [])


def test_what_they_do(town):
    before = int(time.time())
    new = town.weir.client()
    assert town.one("?state=new")["requests_total"] == 0
    idle = town.weir.client()
    assert idle.ask("GET", "/a").status == 200 and idle.ask("GET", "/b").status == 200
    head = town.weir.client()
    head.send(b"GET / HTT")
    held = town.weir.client()
    held.send(http1.request("POST", "/held/x?token=secret", "Authorization: Bearer secret",
                            "Cookie: a=secret", body=b"hello"))
    tunnel = town.weir.client()
    tunnel.send(http1.request("GET", "/tunnel", "Connection: Upgrade", "Upgrade: thing/1"))
    assert tunnel.response().status == 101
    tcp = town.weir.client(town.raw)
    tcp.send(b"12345")
    assert tcp.sock.recv(5)

    for state, frontend, requests in (("new", "web", 0), ("idle", "web", 2), ("head", "web", 0),
                                      ("request", "web", 1), ("tunnel", "web", 1), ("tcp", "raw", 0)):
        got = town.one(f"?state={state}")
        assert (got["state"], got["frontend"], got["requests_total"]) == (state, frontend, requests)
        assert got["client"] == "127.0.0.1" or got["client"] == HOST
        assert (before - 1) * 1000 <= got["since_at_ms"] <= time.time() * 1000
        assert len(got["running"]) == (state in ("request", "tunnel", "tcp"))
    assert {one["port"] for one in town.ask()["connections"]} == {
        one.sock.getsockname()[1] for one in (new, idle, head, held, tunnel, tcp)}

    got = town.one("?state=request")
    run, = got["running"]
    assert (run["method"], run["path"], run["path_is_cut"]) == ("POST", "/held/x", False)
    assert (run["route"], run["pool"], run["backend"]) == ("slow", "app", "app-0")
    assert run["step"] == "await" and run["attempts"] == 1 and len(run["id"]) == 32
    assert run["client"] == got["client"] and run["age_us"] >= 0
    assert town.one("?state=request")["running"][0]["age_us"] > run["age_us"]
    assert got["bytes_in"] > 100
    assert "secret" not in json.dumps(town.ask())
    run, = town.one("?state=tcp")["running"]
    assert (run["method"], run["path"], run["id"], run["step"]) == (None, None, None, "tunnel")
    assert (run["pool"], run["backend"]) == ("echo", "echo-0")
    assert [town.one("?state=tcp")[key] for key in ("bytes_in", "bytes_out")] == [5, 5]
    town.go.set()
    assert held.response("POST").status == 200
    town.when("?state=request", 0)


def test_a_long_path_is_cut(town):
    client = town.weir.client()
    client.send(http1.request("GET", "/held/" + "x" * 1000))
    run, = town.one("?state=request")["running"]
    assert run["path"] == "/held/" + "x" * 194 and run["path_is_cut"]
    town.go.set()
    assert client.response().status == 200


def test_filters(town):
    web = [town.weir.client() for _ in range(3)]
    raw = town.weir.client(town.raw)
    raw.send(b"x")
    assert raw.sock.recv(1)
    web[0].send(http1.request("GET", "/held/1"))
    town.when("?state=request", 1)
    for query, wanted in (
            ("", 4), ("?frontend=web", 3), ("?frontend=raw", 1), ("?backend=echo-0", 1),
            ("?backend=app-0", 1), ("?backend=app/app-0", 1), ("?backend=echo/echo-0", 1),
            ("?pool=app", 1), ("?pool=echo&backend=echo-0", 1), ("?frontend=web&pool=echo", 0),
            ("?client=127.0.0.0/8", 4), ("?client=10.0.0.0/8", 0), ("?client=10.0.0.1", 0),
            ("?client=::/0", 0), ("?client=unix:", 0), ("?state=idle", 0)):
        got = town.ask(query)
        assert (got["total"], got["matching"], len(got["connections"])) == (4, wanted, wanted), query
    own = town.ask()["connections"][0]["client"]
    assert town.ask(f"?client={own}")["matching"] == 4
    town.go.set()


def test_the_client_that_a_proxy_tells_of():
    trust = {"client_ip": {"trusted_proxies": ["127.0.0.0/8"]}}
    with contextlib.ExitStack() as stack:
        town = Town(stack, web=trust)
        client = town.weir.client()
        client.send(http1.request("GET", "/held/1", "X-Forwarded-For: 203.0.113.9"))
        got = town.one("?client=203.0.113.9")
        assert got["running"][0]["client"] == "203.0.113.9" and got["client"] != "203.0.113.9"
        assert town.one("?client=203.0.113.0/24") and town.one("?client=127.0.0.0/8")
        town.go.set()


def test_by_a_unix_socket(tmp_path):
    with contextlib.ExitStack() as stack:
        town = Town(stack, web={"bind": [f"unix:{tmp_path}/web"]})
        town.weir.client(f"unix:{tmp_path}/web")
        assert town.one("?client=unix:")["port"] is None


@pytest.mark.parametrize("query, status, says", [
    ("?limit=0", 422, "limit"), ("?limit=1001", 422, "limit"), ("?limit=x", 422, "limit"),
    ("?frontend=web2", 404, "web2"), ("?backend=app-1", 404, "app-1"), ("?pool=apps", 404, "apps"),
    ("?backend=app/echo-0", 404, "app/echo-0"), ("?pool=app&backend=echo-0", 404, "echo-0"),
    ("?client=300.1.1.1", 422, "client"), ("?client=10.0.0.1/8", 422, "client"),
    ("?state=busy", 422, "state"), ("?order=best", 422, "order")])
def test_wrong_questions(town, query, status, says):
    assert says in town.ask(query, status)["detail"]


def test_order_and_limit():
    with contextlib.ExitStack() as stack:
        town = Town(stack, workers=2)
        first = town.weir.client()
        town.when("", 1)
        time.sleep(1.1)  # moments are whole seconds
        rest = [town.weir.client() for _ in range(20)]
        town.when("", 21)
        port = first.sock.getsockname()[1]
        assert town.ask("?order=oldest&limit=1")["connections"][0]["port"] == port
        newest = town.ask("?order=newest&limit=20")
        assert (newest["total"], newest["matching"]) == (21, 21)
        assert port not in {one["port"] for one in newest["connections"]}
        assert len(newest["connections"]) == len(rest)
        assert {one["worker"] for one in newest["connections"]} == {0, 1}
        moments = [one["since_at_ms"] for one in town.ask()["connections"]]
        assert moments == sorted(moments, reverse=True)


def test_many_while_others_come_and_go():
    """Those that are there all the time are told once, in slices or not."""
    with contextlib.ExitStack() as stack:
        town = Town(stack, workers=2)
        steady = [town.weir.client() for _ in range(700)]
        town.when("", 700)
        ports = {one.sock.getsockname()[1] for one in steady}
        stop = threading.Event()

        def churn():
            while not stop.is_set():
                with town.weir.client() as client:
                    client.ask("GET", "/")

        threads = [threading.Thread(target=churn) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for order in ("newest", "oldest") * 5:
                for query in ("client=127.0.0.0/8&", "frontend=web&", ""):
                    got = town.ask(f"?{query}order={order}&limit=1000")
                    told = [one["port"] for one in got["connections"]]
                    assert len(told) == len(set(told)) and ports <= set(told)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_it_is_said_to_be_busy_rather_than_to_disturb(town):
    """Many who ask at once get an answer, or are told to ask again."""
    clients = [town.weir.client(town.api) for _ in range(20)]
    for client in clients:
        client.send(http1.request("GET", "/api/v1/connections?state=idle", host=town.api))
    seen = {client.response().status for client in clients}
    assert 200 in seen and seen <= {200, 503}
