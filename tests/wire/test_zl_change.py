# SPDX-License-Identifier: Apache-2.0
"""Changes that can be looked at before, tested, taken back and written down."""
import json
import os
import random
import signal

import pytest

from peers.net import HOST, free_port, refuses, until
from peers.weir import CALM, Weir, run

from test_zd_reload import SECRET, Town, named


@pytest.fixture(name="pair")
def two_backends():
    with named("a") as first, named("b") as second:
        yield first, second

FILE = {"frontends": {"web": {"bind": ["127.0.0.1:1"], "pool": "app"}},
        "pools": {"app": {"backends": ["10.0.0.1:80", {"id": "b", "address": "10.0.0.2:80"}]}}}


def write(folder, name, tree):
    path = folder / name
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return str(path)


@pytest.fixture(name="files")
def two_files(tmp_path):
    other = json.loads(json.dumps(FILE))
    other["pools"]["app"]["backends"][1]["weight"] = 9
    return write(tmp_path, "a.json", FILE), write(tmp_path, "b.json", other)


def test_diff_says_what_changes_and_ends_like_diff(files, tmp_path):
    first, second = files
    assert run("diff", first, first) == (
        0, "no change; as before: 1 frontend, 1 pool, 2 backends\n", "")
    code, text, _ = run("diff", first, second)
    assert code == 1
    assert "~ backend app/b\n    ~ weight: 1 → 9  (kept:" in text
    told = json.loads(run("diff", "--json", first, second)[1])
    assert [told["same"], told["count"], told["changes"][0]["effect"]] == [False, 1, "kept"]
    broken = write(tmp_path, "c.json", "{")
    assert run("diff", first, broken)[0] == 2
    assert run("diff", first, str(tmp_path / "nowhere.json"))[0] == 2
    assert run("diff", first)[0] == 2


# ---- Tests in the configuration -------------------------------------------------------------------

TESTED = """
frontends:
  web:
    bind: 127.0.0.1:1
    routes:
      - {name: api, match: {host: api.example.com}, pool: app}
      - {name: old, match: {path: /old}, redirect: {to: /new, status: 301}}
pools:
  app: {backends: [10.0.0.1:80]}
tests:
  - {request: GET http://api.example.com/x, expect: {route: api, pool: app}}
  - name: the old path
    request: GET http://www.example.com/old
    expect:
      status: %s
"""


def test_n6_check_tries_what_the_configuration_expects(tmp_path):
    good = write(tmp_path, "good.yaml", TESTED % 301)
    code, text, error = run("check", good)
    assert (code, error) == (0, "")
    assert text.endswith("1 backend; 2 tests passed\n")
    bad = write(tmp_path, "bad.yaml", TESTED % 308)
    code, text, error = run("check", bad)
    assert (code, text) == (78, "")
    assert (f"{bad}:15:15: error[E032]: test 'the old path' fails: the status is 301, not 308"
            in error)
    found = json.loads(run("check", "--format", "json", bad)[1])
    assert [(one["line"], one["column"], one["code"]) for one in found] == [(15, 15, "E032")]


def test_n6_a_reload_with_a_test_that_fails_is_refused_as_a_whole():
    with named("a") as backend, Town([backend]) as town:
        other = {**town.tree, "tests": [
            {"request": "GET http://any/", "expect": {"pool": "app"}},
            {"request": "GET http://any/lb-health", "expect": {"pool": "app"}}]}
        other["pools"]["app"]["timeouts"] = {"connect": "1s"}
        town.write(other)
        told = town.call("POST", "/api/v1/reload", status=422)
        assert [one["code"] for one in told["errors"]
                if one["kind"] == "error"] == ["E032"]
        assert "the pool is none, not app" in told["text"]
        assert town.state()["generation"] == 1
        # An edit through the API goes on what the files said when they were taken.
        town.call("POST", "/api/v1/pools/app/backends", {"address": "127.0.0.1:9"})
        other["tests"].pop()
        town.write(other)
        assert town.call("POST", "/api/v1/reload")["generation"] == 3


# ---- Generations, rollback, probation -------------------------------------------------------------

def put_new(town, **more):
    """A configuration with another default pool timeout, as `weir apply` would send it."""
    tree = json.loads(json.dumps(town.tree))
    tree["pools"]["app"].update(more)
    return tree


def ask(town, *words):
    code, text, error = run(*words, "--admin", town.api, env={"WEIR_TOKEN": SECRET})
    return code, text, error


def numbers(town):
    return [one["number"] for one in town.call("GET", "/api/v1/generations")["generations"]]


def connect_timeout(town):
    return town.call("GET", "/api/v1/config")["pools"]["app"]["timeouts"]["connect"]


def test_n5_generations_are_kept_and_rolled_back_to(tmp_path):
    with named("a") as first, named("b") as second, Town([first]) as town:
        assert numbers(town) == [1]
        assert town.call("POST", "/api/v1/rollback", status=404)["detail"]
        town.reload(put_new(town, timeouts={"connect": "1s"}))
        town.call("POST", "/api/v1/pools/app/backends", {"address": second.address})
        town.reload(put_new(town, timeouts={"connect": "2s"}))
        assert numbers(town) == [4, 3, 2, 1]
        kept = town.call("GET", "/api/v1/generations")["generations"]
        assert [one["in_effect"] for one in kept] == [True, False, False, False]
        assert kept[1]["about"] == f"app/{second.address}" and kept[1]["by"].startswith("token")
        # Back to where the backend was there, and to where it was not.
        told = town.call("POST", "/api/v1/rollback")
        assert told["generation"] == 5 and connect_timeout(town) == "1s"
        assert len(town.state()["backends"]) == 2
        town.call("POST", "/api/v1/rollback", {"generation": 2})
        assert len(town.state()["backends"]) == 1 and connect_timeout(town) == "1s"
        code, text, _ = ask(town, "rollback", "1")
        assert code == 0 and "rolled back: configuration 7 is in effect" in text
        assert connect_timeout(town) == "5s"
        code, text, _ = ask(town, "generations")
        assert code == 0 and "configuration of before is in effect again" in text
        assert ask(town, "rollback", "99")[0] == 1
        assert [one["by"] for one in town.call("GET", "/api/v1/events")["events"]
                if "in effect again" in one["text"]] == ["token token"] * 3
        # It is a reload like any other: the files count from the next one on.
        assert town.reload(put_new(town, timeouts={"connect": "3s"}))["generation"] == 8
        assert connect_timeout(town) == "3s"


def test_n5_only_the_last_sixteen_are_kept():
    with named("a") as first, Town([first]) as town:
        for number in range(20):
            town.reload(put_new(town, timeouts={"connect": f"{number + 1}s"}))
        assert numbers(town) == list(range(21, 5, -1))
        town.call("POST", "/api/v1/rollback", {"generation": 5}, status=404)
        town.call("POST", "/api/v1/rollback", {"generation": 6})
        assert connect_timeout(town) == "5s"


def test_n5_apply_goes_back_by_itself_unless_confirmed(tmp_path):
    with named("a") as first, Town([first]) as town:
        path = write(tmp_path, "new.json", put_new(town, timeouts={"connect": "1s"}))
        code, text, error = ask(town, "apply", path, "--confirm", "2s")
        assert code == 0, error
        assert connect_timeout(town) == "1s"
        trial = town.state()["trial"]
        assert [trial["generation"], trial["before"], trial["by"]] == [2, 1, "token token"]
        until(lambda: town.state()["trial"] is None, "it is taken back")
        assert connect_timeout(town) == "5s" and town.state()["generation"] == 3
        last = town.call("GET", "/api/v1/events")["events"][0]
        assert last["text"] == "configuration on probation is taken back"
        assert last["reason"] == "it was not confirmed in time"
        assert ask(town, "confirm")[0] == 1


def test_n5_what_is_confirmed_stays(tmp_path):
    with named("a") as first, Town([first]) as town:
        path = write(tmp_path, "new.json", put_new(town, timeouts={"connect": "1s"}))
        assert ask(town, "apply", path, "--confirm", "1h")[0] == 0
        # One at a time.
        assert ask(town, "apply", path, "--confirm", "1h")[0] == 1
        code, text, _ = ask(town, "confirm")
        assert code == 0 and "confirmed: configuration 2 is in effect" in text
        assert town.state()["trial"] is None and connect_timeout(town) == "1s"
        assert ask(town, "apply", write(tmp_path, "old.json", town.tree))[0] == 0
        assert connect_timeout(town) == "5s"


def test_n5_apply_that_breaks_all_routes_goes_back_before_its_time(tmp_path):
    with named("a") as first, Town([first]) as town:
        broken = put_new(town)
        broken["pools"]["app"]["backends"] = ["127.0.0.1:1"]
        path = write(tmp_path, "broken.json", broken)
        assert ask(town, "apply", path, "--confirm", "1h")[0] == 0

        def is_back():
            for _ in range(10):
                town.weir.ask()
            return town.state()["trial"] is None

        until(is_back, "it is taken back")
        last = next(one for one in town.call("GET", "/api/v1/events")["events"]
                    if one["text"] == "configuration on probation is taken back")
        assert last["reason"] in ("too many requests failed",
                                  "pool 'app' has no backend left that may get requests")
        assert town.weir.ask().status == 200


def test_n5_after_a_crash_the_configuration_before_serves(tmp_path):
    with named("a") as first, Town([first]) as town:
        path = write(tmp_path, "new.json", put_new(town, timeouts={"connect": "1s"}))
        assert ask(town, "apply", path, "--confirm", "1h")[0] == 0
        # Neither does a change meanwhile carry it over.
        town.call("POST", "/api/v1/pools/app/backends", {"address": "127.0.0.1:9"})
        dead = town.weir.serving
        os.kill(dead, signal.SIGKILL)
        until(lambda: town.weir.serving not in (dead, town.weir.pid), "another one is started")
        until(lambda: not refuses(town.api), "it serves")
        assert town.state()["trial"] is None and connect_timeout(town) == "5s"


def test_apply_refuses_what_check_would_refuse(tmp_path):
    with named("a") as first, Town([first]) as town:
        bad = {**put_new(town), "tests": [
            {"request": "GET http://any/", "expect": {"pool": "none"}}]}
        code, _, error = ask(town, "apply", write(tmp_path, "bad.json", bad))
        assert code == 78 and "the pool is app, not none" in error
        assert ask(town, "apply", write(tmp_path, "worse.json", "{"))[0] == 78
        town.call("POST", "/api/v1/apply", status=422)
        assert numbers(town) == [1]


def test_diff_live_compares_with_what_serves(tmp_path):
    with named("a") as first, named("b") as second, Town([first]) as town:
        # What the command line says counts over the file, and is not in it.
        town.tree["runtime"]["io"] = town.call("GET", "/api/v1/config")["runtime"]["io"]
        path = write(tmp_path, "same.json", town.tree)
        code, text, error = ask(town, "diff", "--live", path)
        assert (code, text) == (0, "no change; as before: 1 frontend, 1 pool, 1 backend\n"), text + error
        # What was added by hand stays over a reload, so it is no change either.
        town.call("POST", "/api/v1/pools/app/backends", {"address": second.address})
        assert ask(town, "diff", "--live", path)[0] == 0
        other = write(tmp_path, "other.json", put_new(town, timeouts={"connect": "1s"}))
        code, text, _ = ask(town, "diff", "--live", other)
        assert code == 1 and "~ timeouts.connect: 5s → 1s  (the pool is replaced" in text
        told = json.loads(ask(town, "diff", "--live", "--json", other)[1])
        assert told["changes"][0]["effect"] == "replaced"
        assert ask(town, "diff", "--live", str(tmp_path / "nowhere.json"))[0] == 2
        assert numbers(town) == [2, 1]


# ---- What is ordered ------------------------------------------------------------------------------


class Twin(Town):
    """Another weir with the same configuration on other ports."""

    def __init__(self, exported):
        self.front, self.api = (f"{HOST}:{free_port()}" for _ in range(2))
        self.tree = json.loads(exported.replace("***", SECRET))  # no secret is exported
        self.tree["frontends"]["web"]["bind"] = [self.front]
        self.tree["admin"]["bind"] = [self.api]
        self.weir = Weir(self.tree, address=self.front)


def export(town):
    answer = town.weir.ask("GET", "/api/v1/export?format=json", f"Authorization: Bearer {SECRET}",
                           address=town.api, host=town.api)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def effective(town):
    """What orders can change."""
    state = town.state()
    backends = [[one[key] for key in ("pool", "id", "address", "weight", "admin", "backup",
                                      "connections_max")] for one in state["backends"]]
    return [state["log_level"], sorted(backends)]


class Hand:
    """Somebody who orders this and that."""

    def __init__(self, town, seed):
        self.town, self.rng = town, random.Random(seed)

    def backend(self):
        one = self.rng.choice(self.town.state()["backends"])
        return f"/api/v1/pools/{one['pool']}/backends/{one['id']}"

    def add(self):
        body = {"address": f"127.0.0.1:{self.rng.randrange(1, 30)}",
                "weight": self.rng.randrange(0, 5), "backup": self.rng.random() < 0.2,
                "max_connections": self.rng.choice([0, 7])}
        if self.rng.random() < 0.5:
            body["id"] = f"id-{self.rng.randrange(8)}"
        return "POST", f"/api/v1/pools/{self.rng.choice(['app', 'more'])}/backends", body

    def remove(self):
        return "DELETE", self.backend(), None

    def steer(self):
        return "POST", self.backend() + self.rng.choice(["/drain", "/enable", "/disable"]), None

    def weight(self):
        return "PUT", self.backend() + "/weight", {"weight": self.rng.randrange(0, 9)}

    def level(self):
        return "PUT", "/api/v1/log/level", {"level": self.rng.choice(["info", "debug", "notice"])}

    def order(self):
        method, path, body = self.rng.choices(
            [self.add, self.remove, self.steer, self.weight, self.level], [3, 2, 4, 3, 1])[0]()
        answer = self.town.weir.ask(
            method, path, f"Authorization: Bearer {SECRET}", "X-Weir-Request: 1",
            address=self.town.api, host=self.town.api,
            **({} if body is None else {"body": json.dumps(body).encode()}))
        # Refused is what would be wrong: an id twice, a pool without backends.
        assert answer.status in (200, 409, 422), answer.body
        told = json.loads(answer.body)
        return told["event"] if answer.status == 200 and told["changed"] else None


@pytest.mark.parametrize("seed", range(6))
def test_n15_what_is_exported_reproduces_the_state(seed):
    backends = ["127.0.0.1:1", {"id": "b", "address": "127.0.0.1:2", "weight": 3}]
    pools = {"pools": {"app": {"backends": backends, **CALM},
                       "more": {"backends": ["127.0.0.1:3", "127.0.0.1:4"], **CALM}}}
    with Town(backends, **pools) as town:
        hand = Hand(town, seed)
        before = effective(town)
        done = [event for event in (hand.order() for _ in range(50)) if event]
        exported = export(town)
        assert json.loads(export(town)) == json.loads(exported)
        with Twin(exported) as twin:
            assert effective(twin) == effective(town), exported
            assert twin.call("GET", "/api/v1/journal")["journal"] == []
        for event in reversed(done):
            town.call("POST", f"/api/v1/events/{event}/undo")
        assert effective(town) == before and town.call("GET", "/api/v1/journal")["journal"] == []


def test_n15_the_journal_says_who_ordered_what(pair):
    first, second = pair
    with Town([first]) as town:
        town.call("POST", "/api/v1/pools/app/backends", {"address": second.address})
        town.call("POST", f"/api/v1/pools/app/backends/{first.address}/drain")
        town.call("PUT", f"/api/v1/pools/app/backends/{second.address}/weight", {"weight": 7})
        town.call("PUT", f"/api/v1/pools/app/backends/{second.address}/breaker",
                  {"state": "closed"})
        town.call("PUT", "/api/v1/log/level", {"level": "info"})
        told = town.call("GET", "/api/v1/journal")["journal"]
        assert sorted((one["kind"], one["backend"], one["value"]) for one in told
                      if one["backend"]) == sorted([
                          ("add", second.address, None), ("state", first.address, "drain"),
                          ("weight", second.address, "7"), ("breaker", second.address, "closed")])
        assert told[-1]["kind"] == "log_level" and told[-1]["value"] == "info"
        assert {one["by"] for one in told} == {"token token"}
        assert all(one["at_ms"] and one["event"] for one in told)
        code, text, _ = ask(town, "journal")
        assert code == 0 and "weight 7" in text and f"app/{second.address}" in text
        code, text, _ = ask(town, "export")
        assert code == 0 and "state: drain" in text
        assert f"# breaker app/{second.address} closed: a configuration cannot hold" in text
        # What is taken back is in force no more.
        for one in reversed(sorted(told, key=lambda one: one["event"])):
            town.call("POST", f"/api/v1/events/{one['event']}/undo")
        assert town.call("GET", "/api/v1/journal")["journal"] == []


def test_a_level_of_the_file_is_nobodys_order(pair):
    """It counts from the next start, so that what is in force is another one; nobody has ordered that."""
    with Town([pair[0]], log={"level": "notice"}) as town:
        town.tree["log"] = {"level": "debug"}
        assert "log" in town.reload()["restart"]
        assert town.state()["log_level"] == "notice"
        assert town.call("GET", "/api/v1/journal")["journal"] == []
        assert json.loads(export(town))["log"]["level"] == "debug"
        town.call("PUT", "/api/v1/log/level", {"level": "info"})
        told = town.call("GET", "/api/v1/journal")["journal"]
        assert [(one["kind"], one["value"]) for one in told] == [("log_level", "info")]
        assert json.loads(export(town))["log"]["level"] == "info"


def test_a_backend_begins_as_the_configuration_says(pair):
    first, second = pair
    entry = {"address": second.address, "state": "drain"}
    with Town([first, entry]) as town:
        assert [one["admin"] for one in town.state()["backends"]] == ["enabled", "draining"]
        assert {town.weir.ask().body for _ in range(4)} == {b"a"}
        # An order holds over a reload that says nothing new, and not over one that does.
        town.call("POST", f"/api/v1/pools/app/backends/{second.address}/enable")
        town.reload(put_new(town, timeouts={"connect": "1s"}))
        assert {town.weir.ask().body for _ in range(4)} == {b"a", b"b"}
        town.tree["pools"]["app"]["backends"][1]["state"] = "disabled"
        town.reload()
        assert town.backend(second.address)["admin"] == "disabled"
        del town.tree["pools"]["app"]["backends"][1]["state"]
        town.reload()
        assert town.backend(second.address)["admin"] == "enabled"
