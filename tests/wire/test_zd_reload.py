# SPDX-License-Identifier: Apache-2.0
"""Another configuration for a weir that serves: nobody who is connected may notice."""
import json
import shutil
import signal
import threading

import pytest

from peers import http1
from peers.backend import Backend, Gate, fixed
from peers.load import Fire as Load
from peers.net import HOST, free_port, until
from peers.papers import TlsBackend, papers
from peers.weir import CALM, IS_SANITIZED, Weir

from test_l_tunnels import ASK, echo_tunnel, upgrading

SECRET = "0123456789abcdef0123456789abcdef"
FEW = 5 if IS_SANITIZED else 20


def named(name):
    """A backend that says who it is."""
    return Backend(fixed(body=name.encode()))


class Town:
    """A weir with a configuration that can be changed, and its API."""

    def __init__(self, backends, workers=2, pool=None, **more):
        self.front, self.api = (f"{HOST}:{free_port()}" for _ in range(2))
        self.tree = {
            "runtime": {"workers": workers},
            "admin": {"bind": [self.api], "token": SECRET},
            "frontends": {"web": {"bind": [self.front], "pool": "app"}},
            "pools": {"app": {"backends": [self.entry(one) for one in backends], **CALM,
                              **(pool or {})}},
            **more}
        self.weir = Weir(self.tree, address=self.front)

    @staticmethod
    def entry(backend):
        return backend if isinstance(backend, (str, dict)) else backend.address

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *rest):
        self.weir.__exit__(*rest)

    def write(self, tree=None):
        text = tree if isinstance(tree, str) else json.dumps(tree or self.tree)
        with open(self.weir.config_path, "w", encoding="utf8") as file:
            file.write(text)

    def call(self, method, path, body=None, status=200, *fields):
        answer = self.weir.ask(method, path, f"Authorization: Bearer {SECRET}",
                               "X-Weir-Request: 1", *fields, address=self.api, host=self.api,
                               **({} if body is None else {"body": json.dumps(body).encode()}))
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    def reload(self, tree=None):
        self.write(tree)
        return self.call("POST", "/api/v1/reload")

    def state(self):
        return self.call("GET", "/api/v1/state")

    def backend(self, ident):
        return next(one for one in self.state()["backends"] if one["id"] == ident)


@pytest.fixture(name="pair")
def two_backends():
    with named("a") as first, named("b") as second:
        yield first, second


def test_a_signal_reads_it_again(pair):
    first, second = pair
    with Town([first]) as town:
        town.tree["pools"]["app"]["backends"] = [second.address]
        town.write()
        town.weir.signal(signal.SIGHUP)
        town.weir.wait_log("configuration is reloaded")
        assert town.weir.ask().body == b"b"
        assert town.state()["generation"] == 2


def test_a_client_connection_goes_on(pair):
    first, second = pair
    with Town([first], workers=1) as town, town.weir.client() as client:
        assert client.ask().body == b"a"
        town.tree["pools"]["app"]["backends"] = [second.address]
        town.reload()
        assert client.ask().body == b"b"
        assert len(town.state()["frontends"]) == 1


def test_a_broken_file_is_refused_with_its_place(pair):
    with Town([pair[0]]) as town:
        town.tree["pools"]["app"]["algorithm"] = "round_robbin"
        town.write(json.dumps(town.tree, indent=1))
        answer = town.call("POST", "/api/v1/reload", status=422)
        error = next(one for one in answer["errors"] if one["kind"] == "error")
        assert error["line"] > 1 and "round_robbin" in error["message"]
        assert town.weir.ask().body == b"a"
        assert town.state()["generation"] == 1 and town.state()["reload_failed"]
        page = town.weir.ask("GET", "/metrics", f"Authorization: Bearer {SECRET}",
                             address=town.api, host=town.api).body.decode()
        assert 'lb_config_reloads_total{result="failure"} 1' in page
        assert "lb_config_last_reload_success 0" in page
        town.weir.wait_log("configuration is refused")


def test_an_address_that_is_taken_refuses_all_of_it(pair):
    first, second = pair
    with Town([first]) as town, Backend() as other:
        town.tree["pools"]["app"]["backends"] = [second.address]
        town.tree["frontends"]["more"] = {"bind": [other.address], "pool": "app"}
        town.write()
        answer = town.call("POST", "/api/v1/reload", status=422)
        assert "unable to bind" in answer["text"]
        assert town.weir.ask().body == b"a"


def test_addresses_come_and_go(pair):
    first, second = pair
    other = f"{HOST}:{free_port()}"
    with Town([first]) as town:
        town.tree["pools"]["two"] = {"backends": [second.address], **CALM}
        town.tree["frontends"]["more"] = {"bind": [other], "pool": "two"}
        town.reload()
        assert town.weir.ask(address=other).body == b"b"
        with town.weir.client(other) as client:
            assert client.ask().body == b"b"
            del town.tree["frontends"]["more"], town.tree["pools"]["two"]
            town.reload()
            assert client.is_closed()
        with pytest.raises(ConnectionRefusedError):
            town.weir.ask(address=other)
        assert town.weir.ask().body == b"a"
        town.tree["pools"]["two"] = {"backends": [second.address], **CALM}
        town.tree["frontends"]["again"] = {"bind": [other], "pool": "two"}
        town.reload()
        assert town.weir.ask(address=other).body == b"b"


def test_a_request_that_runs_goes_on_where_its_backend_is_gone(pair):
    gate = Gate()
    with Backend(gate) as slow, Town([slow]) as town, town.weir.client() as client:
        client.send(http1.request("GET", "/"))
        gate.wait()
        town.tree["pools"]["app"]["backends"] = [pair[1].address]
        town.reload()
        assert town.weir.ask().body == b"b"
        gate.open()
        assert client.response().status == 200


@pytest.mark.parametrize("algorithm", ["round_robin", "least_connections", "maglev", "prequal"])
def test_no_request_fails_under_load(pair, algorithm):
    first, second = pair
    with named("c") as third, Town([first, second], pool={"algorithm": algorithm}) as town:
        lists = [[first, second, third], [second], [second, third], [first, second]]
        with Load(town.front, connections=16, pause=0.001) as load:
            for number in range(FEW):
                load.until_answers(len(load.answers) + 20)
                town.tree["pools"]["app"]["backends"] = [
                    one.address for one in lists[number % len(lists)]]
                town.reload()
        assert not load.bad(), load.outcomes()
        assert town.state()["generation"] == FEW + 1


def test_tunnels_stay_open():
    with Backend(upgrading(echo_tunnel)) as backend, Town([backend]) as town:
        clients = []
        for number in range(20):
            client = town.weir.client()
            client.send(http1.request("GET", "/chat", *ASK))
            assert client.response().status == 101
            clients.append(client)
        for number in range(100):
            town.tree["pools"]["app"]["timeouts"] = {"connect": f"{number + 1}s"}
            town.reload()
            data = b"%d" % number
            clients[number % 20].send(data)
            assert clients[number % 20].reader.exactly(len(data)) == data
        for client in clients:
            client.send(b"end")
            assert client.reader.exactly(3) == b"end"


def test_who_waits_for_a_place_gets_one_in_the_new_pool(pair):
    gate = Gate()
    with Backend(gate) as slow:
        one = {"id": "slow", "address": slow.address, "max_connections": 1}
        with Town([one], workers=1) as town:
            runs, waits = town.weir.client(), town.weir.client()
            runs.send(http1.request("GET", "/"))
            gate.wait()
            waits.send(http1.request("GET", "/"))
            until(lambda: town.state()["totals"]["queued"] == 1, "somebody waits")
            town.tree["pools"]["app"]["backends"] = [one, pair[0].address]
            town.reload()
            assert waits.response().body == b"a"
            gate.open()
            assert runs.response().status == 200


def test_what_is_known_stays(pair):
    first, second = pair
    checks = {"health_check": {"type": "http", "path": "/", "interval": "100ms",
                               "fast_interval": "50ms", "timeout": "90ms"}}
    dead = f"{HOST}:{free_port()}"
    with Town([first, second, dead], pool=checks) as town:
        until(lambda: town.backend(dead)["health"] == "down" and
              town.backend(first.address)["health"] == "up", "what there is to know")
        for _ in range(10):
            town.weir.ask()
        path = "/api/v1/pools/app/backends/"
        town.call("POST", path + first.address + "/drain")
        town.call("PUT", path + second.address + "/weight", {"weight": 7})
        before = town.backend(second.address)["requests_total"]
        town.tree["pools"]["app"]["timeouts"] = {"connect": "3s"}
        town.reload()
        assert town.backend(dead)["health"] == "down"
        assert town.backend(second.address)["health"] == "up"
        assert town.backend(first.address)["admin"] == "draining"
        assert town.backend(second.address)["weight"] == 7
        assert town.backend(second.address)["requests_total"] >= before
        assert {town.weir.ask().body for _ in range(4)} == {b"b"}
        town.weir.wait_log("configuration is reloaded")
        said = [line["msg"] for line in town.weir.log()]
        later = town.weir.log()[said.index("configuration is reloaded"):]
        assert not [line for line in later if line.get("from") == "unknown"]


# ---- One backend more, one less -----------------------------------------------------------------

PATH = "/api/v1/pools/app/backends"


def test_a_backend_is_added_and_removed(pair):
    first, second = pair
    with Town([first]) as town:
        town.call("POST", PATH, {"address": second.address, "id": "new"})
        assert {town.weir.ask().body for _ in range(4)} == {b"a", b"b"}
        town.call("DELETE", f"{PATH}/{first.address}")
        assert {town.weir.ask().body for _ in range(4)} == {b"b"}
        config = town.call("GET", "/api/v1/config")
        assert [one["address"] for one in config["pools"]["app"]["backends"]] == [second.address]


def test_edits_outlive_a_reload_and_are_taken_back(pair):
    first, second = pair
    with Town([first]) as town:
        added = town.call("POST", PATH, {"address": second.address})["event"]
        town.tree["pools"]["app"]["timeouts"] = {"connect": "3s"}
        town.reload()
        assert {town.weir.ask().body for _ in range(4)} == {b"a", b"b"}
        removed = town.call("DELETE", f"{PATH}/{first.address}")["event"]
        town.reload()
        assert {town.weir.ask().body for _ in range(4)} == {b"b"}
        town.call("POST", f"/api/v1/events/{removed}/undo")
        assert {town.weir.ask().body for _ in range(4)} == {b"a", b"b"}
        town.call("POST", f"/api/v1/events/{added}/undo")
        assert {town.weir.ask().body for _ in range(4)} == {b"a"}
        yaml = town.weir.ask("GET", "/api/v1/config?format=yaml",
                             f"Authorization: Bearer {SECRET}", address=town.api,
                             host=town.api).body
        assert b"# api" not in yaml


def test_its_origin_is_shown(pair):
    first, second = pair
    with Town([first]) as town:
        town.call("POST", PATH, {"address": second.address, "weight": 3})
        yaml = town.weir.ask("GET", "/api/v1/config?format=yaml",
                             f"Authorization: Bearer {SECRET}", address=town.api,
                             host=town.api).body.decode()
        assert f'address: "{second.address}"  # api' in yaml
        assert "weight: 3  # api" in yaml


@pytest.mark.parametrize("path,body,status", [
    (PATH, {"address": "nowhere:0"}, 422),
    (PATH, {"address": "10.0.0.1:80", "wieght": 3}, 422),
    (PATH, {"address": "10.0.0.1:80", "weight": 1001}, 422),
    (PATH, {"weight": 1}, 422),
    (PATH, [], 422),
    ("/api/v1/pools/nobody/backends", {"address": "10.0.0.1:80"}, 404),
])
def test_what_cannot_be_added(pair, path, body, status):
    with Town([pair[0]]) as town:
        town.call("POST", path, body, status)
        assert town.weir.ask().body == b"a"
        assert town.state()["generation"] == 1


def test_what_is_there_already_or_not_there(pair):
    first, _ = pair
    with Town([first]) as town:
        town.call("POST", PATH, {"address": first.address}, 409)
        town.call("DELETE", f"{PATH}/nobody", None, 404)
        town.call("DELETE", f"{PATH}/{first.address}", None, 412, 'If-Match: "99"')
        town.call("DELETE", f"{PATH}/{first.address}", None, 422)  # it is the last one


def test_adding_and_removing_under_load(pair):
    first, second = pair
    with Town([first]) as town:
        with Load(town.front, connections=16, pause=0.001) as load:
            for _ in range(FEW):
                load.until_answers(len(load.answers) + 10)
                town.call("POST", PATH, {"address": second.address})
                load.until_answers(len(load.answers) + 10)
                town.call("DELETE", f"{PATH}/{second.address}")
        assert not load.bad(), load.outcomes()


def test_a_new_backend_gets_nothing_before_it_passes(pair):
    """While another one is known to be healthy."""
    first, _ = pair
    checks = {"health_check": {"type": "http", "path": "/", "interval": "100ms",
                               "fast_interval": "50ms", "timeout": "90ms"}}
    with Town([first], pool=checks) as town:
        until(lambda: town.backend(first.address)["health"] == "up", "it is well")
        dead = f"{HOST}:{free_port()}"
        town.call("POST", PATH, {"address": dead})
        for _ in range(20):
            assert town.weir.ask().body == b"a"
        assert not [line for line in town.weir.log() if line["msg"] == "connect failed"]


# ---- For ever -----------------------------------------------------------------------------------

def test_memory_stays_flat(pair):
    first, second = pair
    with Town([first, second]) as town, Load(town.front, connections=8, pause=0.002) as load:
        def storm(count):
            for number in range(count):
                change = town.tree["pools"]["app"]
                change["timeouts"] = {"connect": f"{number % 50 + 1}s"}
                change["backends"] = [first.address, second.address][:number % 2 + 1]
                town.reload()
        storm(50)
        rss = town.weir.rss()
        storm(50 if IS_SANITIZED else 300)
        if not IS_SANITIZED:
            assert town.weir.rss() - rss < 2 << 20
        load.stop()
        assert not load.bad(), load.outcomes()


def test_many_who_ask_at_once(pair):
    """Orders and reloads from several threads, one after the other."""
    first, second = pair
    failed = []

    def ask(town, work):
        try:
            for _ in range(FEW):
                work(town)
        except AssertionError as error:
            failed.append(error)

    def edit(town):
        town.call("POST", PATH, {"address": second.address, "id": "x"})
        town.call("DELETE", f"{PATH}/x")

    with Town([first]) as town:
        works = [edit, lambda town: town.call("POST", "/api/v1/reload"),
                 lambda town: town.state(), lambda town: town.weir.ask()]
        threads = [threading.Thread(target=ask, args=(town, work)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert town.state()["generation"] == 1 + 3 * FEW


@pytest.mark.parametrize("field, value, detail", [
    ("weight", 1001, "'weight' is a whole number from 0 to 1000"),
    ("weight", -1, "'weight' is a whole number from 0 to 1000"),
    ("weight", "1", "'weight' is a whole number from 0 to 1000"),
    ("max_connections", -1, "'max_connections' is a whole number, 0 for no limit"),
    ("backup", 1, "'backup' is true or false"), ("id", "", "'address' and 'id' are texts"),
    ("tls", {}, "unknown field: it takes address, id, weight, max_connections and backup")])
def test_what_an_added_backend_may_not_have(pair, field, value, detail):
    first, second = pair
    with Town([first]) as town:
        answer = town.call("POST", "/api/v1/pools/app/backends", {"address": second.address, field: value}, 422)
        assert answer["detail"] == detail


# ---- What was learnt of backends that were reached in another way -------------------------------

LESSONS = {
    "ejected": ({"outliers": {"connect_failures": 1, "eject_for": "1h", "eject_for_max": "1h"}},
                "backend is ejected", "backend has returned"),
    "down": ({"health_check": {"type": "http", "path": "/", "interval": "1h", "fast_interval": "1h"}},
             "backend is down", "backend is to be checked anew"),
    "breaker": ({"circuit_breaker": {"failure_threshold": 1, "open_for": "1h", "open_for_max": "1h", "max_ejected": "100%"}},
                "circuit breaker opens", "circuit breaker closes"),
}


def mend_ca(app, _):
    app["tls"]["ca"] = papers().path("ca.crt")


def mend_file(app, _):
    shutil.copy(papers().path("ca.crt"), app["tls"]["ca"])


def mend_scheme(app, backend):
    app["backends"] = ["http://" + backend.address]


@pytest.mark.parametrize("mend", [mend_ca, mend_file, mend_scheme])
@pytest.mark.parametrize("lesson", LESSONS)
def test_what_was_learnt_of_another_way_is_forgotten(lesson, mend, tmp_path):
    pool, first, then = LESSONS[lesson]
    wrong = str(tmp_path / "ca.crt")
    shutil.copy(papers().path("other.crt"), wrong)
    with (named("a") if mend is mend_scheme else
          TlsBackend(fixed(body=b"a"), papers().server_context("site"))) as backend:
        pool = {**pool, "tls": {"ca": wrong, "server_name": "site.example"}}
        if mend is mend_scheme:
            del pool["tls"]
        with Town(["https://" + backend.address], pool=pool, workers=1) as town:
            assert town.weir.ask().status == 503
            town.weir.wait_log(first)
            town.reload()  # nothing is other: it stays as it is
            assert town.weir.ask().status == 503
            mend(town.tree["pools"]["app"], backend)
            town.reload()
            assert town.weir.ask().body == b"a"
            town.weir.wait_log(then)
