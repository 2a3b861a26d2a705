# SPDX-License-Identifier: Apache-2.0
"""Pages that weir itself answers on the traffic port, and `weir healthcheck`, which asks them."""
import json
import signal
import socket
import threading

import pytest

from peers import http1
from peers.backend import Backend, Gate, fixed, raw
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import run, settings, start, Weir

HEALTH, STATS = "/lb-health", "/lb-stats"
ONE, TWO = "127.0.0.1", "127.0.0.2"
HEALTH_KEYS = ["address", "healthy", "connections", "response_time_ms"]
STATS_KEYS = ["address", "healthy", "connections", "weight", "response_time_ms",
              "last_health_check"]
CHECKED = {"health_check": {"type": "http", "interval": "1s", "fast_interval": "50ms",
                            "unhealthy_threshold": 1, "healthy_threshold": 1}}


def is_number(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def page(weir, target=HEALTH, status=200, **rest):
    """The page as a tree; its head and the form of everything in it are as promised."""
    answer = weir.ask("GET", target, **rest)
    assert answer.status == status, answer.body
    assert answer.get("content-type") == "application/json"
    assert answer.get("cache-control") == "no-store"
    assert 'details="builtin"' in answer.get("proxy-status")
    tree = json.loads(answer.body)
    for each in tree["backends"]:
        assert list(each) == (HEALTH_KEYS if "status" in tree else STATS_KEYS)
        assert isinstance(each["address"], str) and isinstance(each["healthy"], bool)
        assert is_number(each["connections"]) and is_number(each["response_time_ms"])
        if "status" not in tree:
            assert is_number(each["weight"])
            assert each["last_health_check"] is None or is_number(each["last_health_check"])
    if "status" in tree:
        assert list(tree)[:4] == ["status", "healthy_backends", "total_backends", "backends"]
        healthy = sum(each["healthy"] for each in tree["backends"])
        assert tree["healthy_backends"] == healthy or "listed_backends" in tree
        assert (tree["status"] == "ok") == (status == 200)
    else:
        assert list(tree)[:2] == ["algorithm", "backends"]
    return tree


def of(tree, key):
    return [each[key] for each in tree["backends"]]


# ---- What they say ------------------------------------------------------------------------------

def test_all_is_well():
    backends = [Backend() for _ in range(3)]
    with start(*backends, pool=CHECKED) as weir:
        tree = until(lambda: (tree := page(weir))["healthy_backends"] == 3 and
                     all(of(tree, "response_time_ms")) and tree, "three checks")
        assert tree["status"] == "ok" and tree["total_backends"] == 3
        assert of(tree, "address") == [backend.address for backend in backends]
        assert of(tree, "connections") == [0, 0, 0]
        tree = page(weir, STATS)
        assert tree["algorithm"] == "RoundRobin"
        assert of(tree, "weight") == [1, 1, 1]
        assert all(each < HANG_SECONDS for each in of(tree, "last_health_check"))
    for backend in backends:
        assert {head.target for head in backend.heads} == {"/health"}
        backend.stop()


def test_nobody_is_checked():
    """Then everybody gets requests, and is healthy."""
    with Backend() as backend, start(backend) as weir:
        assert of(page(weir), "response_time_ms") == [0]
        assert of(page(weir, STATS), "last_health_check") == [None]
        assert page(weir)["status"] == "ok"


def test_all_are_down_and_come_back():
    port = free_port()
    with start(f"{HOST}:{port}", pool=CHECKED) as weir:
        until(lambda: weir.ask("GET", HEALTH).status == 503, "the check to fail")
        tree = page(weir, status=503)
        assert (tree["status"], tree["healthy_backends"]) == ("unhealthy", 0)
        assert of(tree, "response_time_ms") == [0]
        assert of(page(weir, STATS), "healthy") == [False]
        assert is_number(of(page(weir, STATS), "last_health_check")[0])
        with Backend(host=HOST, port=port):
            until(lambda: weir.ask("GET", HEALTH).status == 200, "the check to pass")
            assert page(weir)["healthy_backends"] == 1


def test_one_is_down():
    with Backend() as backend, start(backend, f"{HOST}:{free_port()}", pool=CHECKED) as weir:
        tree = until(lambda: (tree := page(weir))["healthy_backends"] == 1 and tree, "the checks")
        assert of(tree, "healthy") == [True, False]
        assert tree["total_backends"] == 2


def test_who_waits_as_a_backup_is_healthy():
    backends = [f"{HOST}:{free_port()}" for _ in range(3)]
    pool = {"backends": [backends[0], {"address": backends[1], "backup": True},
                         {"address": backends[2], "weight": 0}]}
    with start("x:1", pool=pool) as weir:
        assert of(page(weir), "healthy") == [True, True, False]
        assert of(page(weir, STATS), "weight") == [1, 1, 0]


def test_an_open_breaker_is_not_healthy():
    with Backend(fixed(500, body=b"")) as backend:
        pool = {"circuit_breaker": {"failure_threshold": 1, "open_for": "5m", "max_ejected": "100%"},
                "panic_threshold": "none", "retry": {"max_attempts": 1}}
        with start(backend, pool=pool) as weir:
            assert page(weir)["status"] == "ok"
            assert weir.ask().status == 500
            until(lambda: weir.ask("GET", HEALTH).status == 503, "the breaker to open")
            assert of(page(weir, STATS), "healthy") == [False]


@pytest.mark.parametrize("name, shown", [
    ("round_robin", "RoundRobin"), ("weighted_round_robin", "RoundRobin"), ("random", "Random"),
    ("least_connections", "LeastConnections"), ("least_response_time", "LeastResponseTime"),
    ("power_of_two", "PowerOfTwo"), ("weighted_random", "WeightedRandom"), ("ip_hash", "IpHash"),
    ("consistent_hash", "ConsistentHash"), ("maglev", "Maglev"), ("rendezvous", "Rendezvous"),
    ("first", "First"), ("prequal", "Prequal")])
def test_the_algorithm(name, shown):
    with start(f"{HOST}:{free_port()}", pool={"algorithm": name}) as weir:
        assert page(weir, STATS)["algorithm"] == shown


def test_each_pool_of_the_frontend_once():
    """The default pool first, then those of routes, each with the one that takes over for it."""
    ports = [free_port() for _ in range(5)]
    one, two, three, four, other = (f"{HOST}:{port}" for port in ports)
    pools = {"a": {"backends": [one], "health_check": "none", "failover": "b"},
             "b": {"backends": [two], "health_check": "none"},
             "c": {"backends": [three, four], "health_check": "none", "algorithm": "random"},
             "d": {"backends": [other], "health_check": "none"}}
    routes = [{"match": {"path": "/x/*"}, "split": {"c": 1, "a": 1}},
              {"match": {"path": "/y"}, "pool": "b"}]
    tree, address = settings(pools=pools, frontend={"pool": "a", "routes": routes})
    tree["frontends"]["other"] = {"bind": f"{HOST}:{free_port()}", "pool": "d"}
    with Weir(tree, address=address) as weir:
        assert of(page(weir), "address") == [one, two, three, four]
        assert page(weir, STATS)["algorithm"] == "RoundRobin"
        assert of(page(weir, address=tree["frontends"]["other"]["bind"]), "address") == [other]


def test_a_frontend_without_a_pool():
    routes = [{"match": {"path": "/*"}, "redirect": "https://weir.test{path}"}]
    with start(frontend={"routes": routes}) as weir:
        tree = page(weir)
        assert (tree["status"], tree["total_backends"], tree["backends"]) == ("ok", 0, [])
        assert page(weir, STATS)["algorithm"] is None


def test_ten_thousand_backends():
    """The answer is bounded, says how many it shows, and counts all."""
    backends = [f"127.{i >> 8}.{i & 255}.1:1" for i in range(10000)]
    pool = {"backends": backends, "limits": {"idle_connections": 1}}
    with start("x:1", pool=pool) as weir:
        tree = page(weir)
        assert (tree["healthy_backends"], tree["total_backends"]) == (10000, 10000)
        assert tree["listed_backends"] == len(tree["backends"]) == 1000
        assert of(tree, "address") == backends[:1000]
        tree = page(weir, STATS)
        assert list(tree) == ["algorithm", "backends", "listed_backends", "total_backends"]
        assert tree["listed_backends"] == len(tree["backends"]) > 900
        assert len(weir.ask("GET", STATS).body) <= 128 * 1024
        with weir.client() as client:  # a thousand of them at once, and nobody reads
            client.send(http1.request("GET", STATS) * 1000)
            assert page(weir)["total_backends"] == 10000
            assert weir.rss() < 200 << 20


# ---- Requests in flight -------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
def test_requests_in_flight(workers):
    gate = Gate()
    backends = [Backend(gate), Backend(gate)]
    with start(*backends, workers=workers, pool={"timeouts": {"response": "1h"}}) as weir:
        clients = [weir.client() for _ in range(5)]
        for client in clients:
            client.send(http1.request())
        gate.wait(5)
        answers = []
        askers = [threading.Thread(
            target=lambda target: answers.append(page(weir, target)),
            args=(HEALTH if i % 2 else STATS,)) for i in range(100)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(HANG_SECONDS)
        assert len(answers) == 100
        assert [sum(of(tree, "connections")) for tree in answers] == [5] * 100
        assert sorted(of(answers[0], "connections")) == [2, 3]
        gate.let()
        until(lambda: sum(of(page(weir), "connections")) == 4, "one to end")
        gate.open()
        for client in clients:
            assert client.response().status == 200
        until(lambda: sum(of(page(weir), "connections")) == 0, "all to end")
    for backend in backends:
        backend.stop()


def test_until_the_last_byte_of_an_answer():
    more = threading.Event()

    def script(connection):
        if connection.request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            more.wait(HANG_SECONDS)
            connection.send(b"def")

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        assert client.reader.exactly(3) == b"abc"
        assert of(page(weir), "connections") == [1]
        more.set()
        assert client.reader.exactly(3) == b"def"
        until(lambda: of(page(weir), "connections") == [0], "the end")


# ---- Where they are -----------------------------------------------------------------------------

def test_other_methods_and_paths_are_the_backend_s():
    with Backend() as backend, start(backend) as weir:
        others = [("POST", HEALTH), ("PUT", STATS), ("DELETE", HEALTH), ("OPTIONS", STATS),
                  ("GET", HEALTH + "/"), ("GET", HEALTH + "x"), ("GET", "/LB-health"),
                  ("GET", "/x" + HEALTH), ("GET", "/lb-healtH"), ("GET", "/xx-health")]
        for method, target in others:
            assert weir.ask(method, target).status == 200
        assert [(head.method, head.target) for head in backend.heads] == others


@pytest.mark.parametrize("target", [
    HEALTH, HEALTH + "?x=1", "/lb%2Dhealth", "/lb%2dhealth", "/a/../lb-health", "/./lb-health",
    "http://elsewhere.test/lb-health"])
def test_spellings_of_the_path(target):
    with Backend() as backend, start(backend) as weir:
        assert page(weir, target)["status"] == "ok"
        assert not backend.heads


def test_head():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        for target in (HEALTH, STATS):
            long = client.ask("GET", target)
            short = client.ask("HEAD", target)
            assert (short.status, short.body) == (200, b"")
            assert short.get("content-length") == str(len(long.body))
        assert client.ask("HEAD", "/x").status == 200
        assert [head.target for head in backend.heads] == ["/x"]


def test_moved():
    builtin = {"health": "/-/ok", "stats": {"path": "/-/numbers"}}
    with Backend() as backend, start(backend, frontend={"builtin": builtin}) as weir:
        assert page(weir, "/-/ok")["status"] == "ok"
        assert page(weir, "/-/numbers")["algorithm"] == "RoundRobin"
        assert weir.ask("GET", HEALTH).status == weir.ask("GET", STATS).status == 200
        assert [head.target for head in backend.heads] == [HEALTH, STATS]


@pytest.mark.parametrize("length", [63, 64, 65, 128, 255])
def test_a_long_path(length):
    path = "/" + "p" * (length - 1)
    with Backend() as backend, start(backend, frontend={"builtin": {"health": path}}) as weir:
        assert page(weir, path)["status"] == "ok"
        assert weir.ask("GET", path[:-1] + "q").status == 200
        assert weir.ask("GET", path[:length % 64 or 64]).status == 200
        assert all(head.target != path for head in backend.heads)


def test_turned_off():
    builtin = {"health": "none", "stats": "none"}
    with Backend() as backend, start(backend, frontend={"builtin": builtin}) as weir:
        for target in (HEALTH, STATS):
            assert weir.ask("GET", target).status == 200
        assert [head.target for head in backend.heads] == [HEALTH, STATS]


def test_routes_come_second():
    routes = [{"name": "mine", "match": {"path": "/lb-health"}, "pool": "app"},
              {"match": {"path": "/*"}, "redirect": "/elsewhere"}]
    with Backend() as backend, start(backend, frontend={"routes": routes}) as weir:
        assert page(weir)["status"] == "ok"
        assert page(weir, STATS)["algorithm"]
        assert weir.ask("POST", HEALTH).status == 200
        assert weir.ask("GET", "/x").status == 308
        assert [(head.method, head.target) for head in backend.heads] == [("POST", HEALTH)]


def test_tcp_has_none():
    def script(connection):
        connection.send(connection.reader.exactly(20))

    with Backend(script) as backend, start(backend, protocol="tcp") as weir:
        with weir.client() as client:
            client.send(b"GET /lb-health HTTP/")
            assert client.reader.exactly(20) == b"GET /lb-health HTTP/"


# ---- Who may see them ---------------------------------------------------------------------------

def refused(weir, target, **rest):
    answer = weir.ask("GET", target, **rest)
    assert answer.status == 403, answer.body
    assert b"builtin_denied" in answer.body
    assert "error=http_request_denied" in answer.get("proxy-status")


def test_allowed():
    builtin = {"health": {"allow": TWO}, "stats": {"allow": [f"{ONE}/32", "10.0.0.0/8"]}}
    with Backend() as backend, start(backend, frontend={"builtin": builtin}) as weir:
        refused(weir, HEALTH, source=ONE)
        assert page(weir, HEALTH, source=TWO)["status"] == "ok"
        assert page(weir, STATS, source=ONE)["algorithm"]
        refused(weir, STATS, source=TWO)
        assert weir.ask("POST", STATS, source=TWO).status == 200  # not a page
        assert len(backend.heads) == 1


def test_who_a_trusted_proxy_says_it_is():
    """By default the health of all is for all, and the rest for those nearby."""
    frontend = {"client_ip": {"trusted_proxies": f"{ONE}/32"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        for client, may in (("192.0.2.1", False), ("10.1.2.3", True), ("172.16.0.1", True),
                            ("fc00::1", True), ("2001:db8::1", False), ("::1", True)):
            with weir.client(source=ONE) as far, weir.client(source=TWO) as near:
                field = f"X-Forwarded-For: {client}"
                assert far.ask("GET", STATS, field).status == (200 if may else 403)
                assert far.ask("GET", HEALTH, field).status == 200
                assert near.ask("GET", STATS, field).status == 200  # nobody believes it
        assert not backend.heads


def test_over_a_unix_socket(tmp_path_factory):
    address = f"unix:{tmp_path_factory.mktemp('s')}/front"
    builtin = {"health": {"allow": "192.0.2.1"}}
    with Backend() as backend, start(backend, bind=address, frontend={"builtin": builtin}) as weir:
        assert page(weir)["status"] == "ok"
        assert page(weir, STATS)["algorithm"]


# ---- In the life of a connection ----------------------------------------------------------------

def test_kept_alive_between_requests():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        for i in range(50):
            assert client.ask("GET", HEALTH).status == 200
            assert client.ask("GET", f"/{i}").status == 200
            assert client.ask("GET", STATS).status == 200
        assert [head.target for head in backend.heads] == [f"/{i}" for i in range(50)]


def test_pipelined():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        client.send((http1.request("GET", HEALTH) + http1.request("GET", "/x") +
                     http1.request("HEAD", STATS)) * 20)
        for _ in range(20):
            assert json.loads(client.response().body)["status"] == "ok"
            assert client.response().status == 200
            assert client.response("HEAD").get("content-type") == "application/json"
        assert len(backend.heads) == 20


def test_http_1_0_and_close():
    with start(f"{HOST}:{free_port()}") as weir:
        for request in (b"GET /lb-health HTTP/1.0\r\n\r\n",
                        b"GET /lb-health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            with weir.client() as client:
                client.send(request)
                assert json.loads(client.response().body)["status"] == "ok"
                assert client.is_closed()


def test_a_question_with_a_body():
    with start(f"{HOST}:{free_port()}") as weir, weir.client() as client:
        client.send(http1.request("GET", HEALTH, body=b"x" * 100000))
        assert json.loads(client.response().body)["status"] == "ok"


def test_draining_is_not_ready():
    """Who asks once more on a connection that is kept hears it."""
    gate = Gate()
    with Backend(gate) as backend, start(backend) as weir:
        with weir.client() as slow, weir.client() as asker:
            slow.send(http1.request())
            gate.wait()
            assert asker.ask("GET", HEALTH).status == 200
            weir.signal(signal.SIGTERM)
            weir.wait_log("signal: draining")
            answer = until(lambda: (answer := asker.ask("GET", HEALTH)).status == 503 and answer,
                           "the worker to hear of it")
            assert json.loads(answer.body)["status"] == "draining"
            gate.open()
            assert slow.response().status == 200
        weir.ended()


def test_what_the_access_log_says():
    access = {"log": {"access": {"format": "json", "output": "stdout"}}}
    with start(f"{HOST}:{free_port()}", frontend={"builtin": {"stats": {"allow": "10.0.0.0/8"}}},
               **access) as weir:
        page(weir)
        refused(weir, STATS)
        until(lambda: weir.stdout.count("\n") == 2, "two lines")
        first, second = map(json.loads, weir.stdout.splitlines())
        assert (first["outcome"], first["http.response.status_code"]) == ("builtin", 200)
        assert first["http.response.body.size"] > 100
        assert second["outcome"] == "builtin_denied"
        assert "failed" not in weir.stderr


# ---- weir healthcheck ---------------------------------------------------------------------------

def healthcheck(*args, env=None, code):
    """What it says, on one line, when it says anything."""
    got, out, err = run("healthcheck", *args, env=env)
    assert (got, out) == (code, ""), err
    assert err == "" if code == 0 else err.startswith("weir: ")
    if code == 69:
        assert err.count("\n") == 1
    return err


def test_healthcheck_of_the_traffic_port():
    with Backend() as backend, start(backend, pool=CHECKED) as weir:
        url = f"http://{weir.address}{HEALTH}"
        until(lambda: run("healthcheck", url)[0] == 0, "the check to pass")
        healthcheck(url, code=0)
        backend.stop()
        until(lambda: weir.ask("GET", HEALTH).status == 503, "the check to fail")
        said = healthcheck(url, code=69)
        assert url in said and "503" in said and "unhealthy" in said and "log" in said
        said = healthcheck(f"http://{weir.address}/elsewhere", code=69)
        assert "503" in said
    assert "onnection refused" in healthcheck(url, code=69)


def test_healthcheck_of_the_admin_address(tmp_path_factory):
    path, port = f"{tmp_path_factory.mktemp('s')}/admin.sock", free_port()
    gate = Gate()
    admin = {"bind": [f"unix:{path}", f"{HOST}:{free_port()}"]}
    with start(f"{HOST}:{port}", pool=CHECKED, admin=admin) as weir:
        until(lambda: run("healthcheck", "--admin", path)[0] == 69, "the check to fail")
        assert "no backend may get requests" in healthcheck("--admin", path, code=69)
        with Backend(gate, host=HOST, port=port), weir.client() as slow:
            gate.let("/health")
            until(lambda: run("healthcheck", "--admin", path)[0] == 0, "the check to pass")
            healthcheck("--admin", admin["bind"][1], code=0)
            slow.send(http1.request("GET", "/slow"))
            until(lambda: "/slow" in gate.wait(), "the request")
            weir.signal(signal.SIGTERM)
            weir.wait_log("signal: draining")
            until(lambda: run("healthcheck", "--admin", path)[0] == 69, "weir to drain")
            assert "draining" in healthcheck("--admin", path, code=69)
            gate.open()
            assert slow.response().status == 200
        weir.ended()


def test_healthcheck_over_unix_and_ipv6(tmp_path_factory):
    """A server that answers as a weir does."""
    path = f"{tmp_path_factory.mktemp('s')}/admin.sock"
    with Backend(fixed(200, body=b"ready\n"), path=path) as backend:
        healthcheck("--admin", f"unix:{path}", code=0)
        healthcheck("--admin", path, code=0)
        assert {head.target for head in backend.heads} == {"/readyz"}
        assert backend.last().get("host") == "localhost"
        healthcheck("--admin", path, env={"WEIR_TOKEN": "secret"}, code=0)
        assert backend.last().get("authorization") == "Bearer secret"
    said = healthcheck("--admin", f"unix:{path}", code=69)
    assert path in said and "No such file" in said
    with Backend(fixed(503, body=b"no backend may get requests\n"), host="::1") as backend:
        assert "no backend may get requests" in healthcheck("--admin", backend.address, code=69)
        assert backend.last().get("host") == backend.address


def test_healthcheck_finds_the_socket(tmp_path):
    with Backend(fixed(200, body=b""), path=f"{tmp_path}/admin.sock"):
        healthcheck(env={"RUNTIME_DIRECTORY": str(tmp_path)}, code=0)
    said = healthcheck("--admin", f"unix:{tmp_path}/admin.sock", code=69)
    assert "unable to connect" in said


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nup to the end", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
def test_healthcheck_reads_every_form(answer):
    with Backend(raw(answer)) as backend:
        healthcheck(f"http://{backend.address}/", code=0)


@pytest.mark.parametrize("answer, why", [
    (b"SSH-2.0-OpenSSH\r\n", "HTTP"), (b"", "closes the connection"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "cut short"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk"),
    (b"HTTP/1.1 200 O", "cut short"),
    (b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "Redirects"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "builtin.health"),
    (b"HTTP/1.1 503 Gone\r\nContent-Length: 7\r\n\r\na\x1b[31mb", "a?[31mb")])
def test_healthcheck_names_what_is_wrong(answer, why):
    with Backend(raw(answer)) as backend:
        assert why in healthcheck(f"http://{backend.address}/", code=69)


def test_healthcheck_asks_again_where_a_connection_ends_without_a_byte():
    """As in the moment in which another process takes over. Once, and not for ever."""
    asked = []

    def script(connection):
        asked.append(connection.request())
        if len(asked) > 1:
            connection.send(http1.response(200, body=b"ok"))

    with Backend(script) as backend:
        code, _, err = run("healthcheck", f"http://{backend.address}/")
        assert (code, err, len(asked)) == (0, "", 2)
    asked.clear()
    with Backend(lambda connection: asked.append(connection.request())) as backend:
        code, _, err = run("healthcheck", f"http://{backend.address}/")
        assert code == 69 and "it closes the connection" in err and len(asked) == 2


def test_healthcheck_does_not_wait_for_ever():
    with socket.create_server((HOST, 0)) as listener:
        address = f"{HOST}:{listener.getsockname()[1]}"
        said = healthcheck("--timeout", "200ms", f"http://{address}/", code=69)
        assert "0.2s" in said and "--timeout" in said
    dribble = threading.Event()

    def script(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not dribble.wait(0.02):
            connection.send(b"x")

    with Backend(script) as backend:
        assert "0.3s" in healthcheck("--timeout", "300ms", f"http://{backend.address}/", code=69)
        dribble.set()


@pytest.mark.parametrize("args, why", [
    (["ftp://x/"], "no address"), (["x"], "no address"), (["127.0.0.1:99999"], "65535"),
    (["127.0.0.1:0"], "65535"), (["https://127.0.0.1/"], "TLS"),
    (["http://a b/"], "spaces"), (["http://x:80/", "y"], "one word too many"),
    (["--timeout", "5"], "--timeout"), (["--timeout", "0s"], "--timeout"),
    (["--admin", "127.0.0.1:1", "http://x/"], "not both"),
    (["--token-file", "/nowhere"], "No such file"), (["--port", "1"], "does not take --port")])
def test_healthcheck_used_wrongly(args, why):
    assert why in healthcheck(*args, code=2)


def test_a_token_is_never_shown(tmp_path):
    file = tmp_path / "token"
    file.write_text("sesame\n")
    with Backend(fixed(401, body=b"")) as backend:
        said = healthcheck("--admin", backend.address, "--token-file", str(file), code=69)
        assert backend.last().get("authorization") == "Bearer sesame"
        assert "sesame" not in said
        healthcheck(f"http://{backend.address}/", env={"WEIR_TOKEN": "sesame"}, code=69)
        assert backend.last().get("authorization") is None  # any page might get it
    for bad in ("", "two words", "x" * 257, "a\rb"):
        file.write_text(bad)
        said = healthcheck("--admin", HOST + ":1", "--token-file", str(file), code=2)
        assert "holds no token" in said
