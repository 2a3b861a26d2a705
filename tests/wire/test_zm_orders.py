# SPDX-License-Identifier: Apache-2.0
"""What was ordered while weir runs, and the configurations of before, outlive the serving process: a
crash, upgrades, and, with a state folder, a restart of everything."""
import json
import os
import pathlib
import signal
import stat
import threading
import time

import pytest

from peers.backend import held
from peers.net import until
from peers.papers import TlsBackend, papers
from peers.weir import Weir, replace_program, run, run_as

from test_zd_reload import SECRET, Town, named
from test_zk_upgrade import installed

HELD = {"health_check": {"type": "http", "interval": "30s", "timeout": "15s"}}


def crash(town):
    """Kills the serving process; gives the seconds until the next one answers."""
    before = town.weir.serving
    os.kill(before, signal.SIGKILL)
    begun = time.monotonic()
    until(lambda: town.weir.serving not in (before, town.weir.pid), "another serving process")
    assert town.weir.ask().status == 200
    took = time.monotonic() - begun
    until(lambda: answers(town), "its admin address")
    return took


def upgrade(town):
    begun(town)
    ended(town)


def begun(town):
    """Another process is on trial."""
    told = town.weir.stderr.count("upgrading: another process starts")
    town.weir.signal(signal.SIGUSR2)
    until(lambda: town.weir.stderr.count("upgrading: another process starts") > told, "the trial")


def ended(town):
    """It serves, and the old one is gone: until then that one may have taken a connection."""
    until(lambda: children(town) == 1 and answers(town), "one process that serves alone")


def children(town):
    path = pathlib.Path(f"/proc/{town.weir.pid}/task/{town.weir.pid}/children")
    return len(path.read_text().split())


def answers(town):
    """The admin address may be on its way from one process to the next."""
    try:
        return town.state()["serving_pid"] == town.weir.serving
    except (OSError, AssertionError):
        return False


def journal(town):
    return town.call("GET", "/api/v1/journal")


def orders(town):
    return sorted((one["kind"], one["backend"], one["value"], one["by"], one["at_ms"])
                  for one in journal(town)["journal"])


def exported(town):
    answer = town.weir.ask("GET", "/api/v1/export", f"Authorization: Bearer {SECRET}",
                           address=town.api, host=town.api)
    assert answer.status == 200
    return answer.body.decode()


def generations(town):
    got = town.call("GET", "/api/v1/generations")["generations"]
    return [(one["number"], one["text"], one["by"], one["about"], one["at_ms"]) for one in got]


def steer(town, backend, what, body=None, status=200):
    method = "POST" if body is None else "PUT"
    return town.call(method, f"/api/v1/pools/app/backends/{backend}/{what}", body, status)


def order_all(town, first, second, third):
    steer(town, first.address, "drain")
    steer(town, second.address, "weight", {"weight": 7})
    steer(town, second.address, "breaker", {"state": "closed"})
    town.call("PUT", "/api/v1/log/level", {"level": "info"})
    town.call("POST", "/api/v1/pools/app/backends", {"address": third.address, "weight": 3})


def assert_in_force(town, first, second, third):
    assert town.backend(first.address)["state"] == "draining"
    assert town.backend(second.address)["weight"] == 7
    assert town.backend(third.address)["weight"] == 3
    assert {town.weir.ask().body for _ in range(20)} == {b"b", b"c"}


@pytest.fixture(name="three")
def three_backends():
    with named("a") as first, named("b") as second, named("c") as third:
        yield first, second, third


# ---- Orders ---------------------------------------------------------------------------------------

def test_orders_outlive_a_crash(three):
    with Town(three[:2]) as town:
        order_all(town, *three)
        assert_in_force(town, *three)
        before, text, kept = orders(town), exported(town), generations(town)
        assert len(before) == 5
        for _ in range(2):
            crash(town)
            assert_in_force(town, *three)
            assert orders(town) == before
            assert exported(town) == text
            assert generations(town) == kept
        events = town.call("GET", "/api/v1/events")["events"]
        assert [one["to"] for one in events
                if one["text"] == "orders of the process before are taken over"] == ["5"]
        assert [one["by"] for one in events if "taken over from" in (one["reason"] or "")] == [
            "token token"] * 4
        # As before a backend that was added is on top of the files, and not in them.
        town.call("PUT", "/api/v1/log/level", {"level": "notice"})
        town.call("POST", "/api/v1/reload")
        assert town.backend(third_of(three))["weight"] == 3
        town.call("DELETE", f"/api/v1/pools/app/backends/{third_of(three)}")
        steer(town, three[0].address, "enable")
        crash(town)
        assert [kind for kind, *_ in orders(town)] == ["breaker", "weight"]
        assert len(town.state()["backends"]) == 2


def third_of(three):
    return three[2].address


def test_orders_outlive_two_upgrades_and_a_crash(three):
    with Town(three[:2]) as town:
        order_all(town, *three)
        before, text, kept = orders(town), exported(town), generations(town)
        for step in (upgrade, upgrade, crash):
            step(town)
            assert_in_force(town, *three)
            assert orders(town) == before
            assert exported(town) == text
            assert generations(town) == kept
        # An event of each takes it back.
        drained = next(one for one in journal(town)["journal"] if one["kind"] == "state")
        town.call("POST", f"/api/v1/events/{drained['event']}/undo")
        assert town.backend(three[0].address)["state"] != "draining"


def test_what_does_not_apply_any_more_is_dropped_and_told(three):
    first, second, third = three
    with Town([first, second]) as town:
        order_all(town, *three)
        town.tree["pools"]["app"]["backends"] = [first.address]
        town.write()
        upgrade(town)
        assert {kind for kind, *_ in orders(town)} == {"add", "log_level", "state"}
        assert journal(town)["dropped"] == 2
        lines = [line for line in town.weir.log()
                 if line["msg"] == "an order of before does not apply any more"]
        assert sorted((line["order"], line["backend"], line["value"], line["reason"])
                      for line in lines) == [
            ("breaker", second.address, "closed", "there is no such backend"),
            ("weight", second.address, "7", "there is no such backend")]
        code, text, _ = run("journal", "--admin", town.api, env={"WEIR_TOKEN": SECRET})
        assert code == 0 and "2 orders of before do not apply any more" in text


def test_what_was_ordered_before_is_written_down_by_nobody_twice(three):
    """What the next configuration says itself is no order any more."""
    first, second, _ = three
    with Town([first, second]) as town:
        steer(town, first.address, "weight", {"weight": 7})
        town.tree["pools"]["app"]["backends"] = [{"address": first.address, "weight": 7},
                                                 second.address]
        town.write()
        upgrade(town)
        assert orders(town) == [] and town.backend(first.address)["weight"] == 7
        assert journal(town)["dropped"] == 0


def test_orders_about_backends_of_a_list(three, tmp_path):
    first, second, third = three
    path = tmp_path / "list"
    path.write_text("".join(f"{one.address}\n" for one in three))
    with Town([], providers=[{"pool": "app", "path": str(path)}]) as town:
        steer(town, first.address, "drain")
        town.call("DELETE", f"/api/v1/pools/app/backends/{second.address}")
        before = orders(town)
        assert {kind for kind, *_ in before} == {"remove", "state"}
        for step in (crash, upgrade):
            step(town)
            assert orders(town) == before
            assert {town.weir.ask().body for _ in range(6)} == {b"c"}
        # The list says who is there, after a crash too.
        path.write_text(f"{first.address}\n{second.address}\n")
        until(lambda: [one["id"] for one in town.state()["backends"]] == [first.address],
              "the other list")
        steer(town, first.address, "enable")
        town.call("POST", "/api/v1/pools/app/backends", {"address": second.address})
        until(lambda: {town.weir.ask().body for _ in range(6)} == {b"a", b"b"}, "both")
        assert journal(town)["dropped"] == 0


def test_an_order_waits_for_a_list_that_is_late(three, tmp_path):
    first, second, _ = three
    path = tmp_path / "list"
    path.write_text(f"{first.address}\n{second.address}\n")
    with Town([], providers=[{"pool": "app", "path": str(path)}]) as town:
        steer(town, first.address, "drain")
        path.unlink()
        for kept in pathlib.Path(town.weir.state).rglob("*.rows"):
            kept.unlink()
        crash_unasked(town)
        assert journal(town) == {"journal": [], "dropped": 0, "waiting": 1}
        crash_unasked(town)
        assert journal(town)["waiting"] == 1
        path.write_text(f"{first.address}\n{second.address}\n")
        until(lambda: len(town.state()["backends"]) == 2, "the list")
        assert [kind for kind, *_ in orders(town)] == ["state"]
        assert journal(town)["waiting"] == 0
        assert {town.weir.ask().body for _ in range(6)} == {b"b"}


def crash_unasked(town):
    before = town.weir.serving
    os.kill(before, signal.SIGKILL)
    until(lambda: town.weir.serving not in (before, town.weir.pid), "another serving process")
    until(lambda: answers(town), "its admin address")


# ---- During an upgrade ----------------------------------------------------------------------------

def test_an_order_during_the_trial_is_carried_over(three):
    first, second, third = three
    with Town([first, second]) as town:
        steer(town, first.address, "drain")
        steer(town, second.address, "weight", {"weight": 9})
        begun(town)
        steer(town, first.address, "enable")
        steer(town, second.address, "drain")
        steer(town, second.address, "weight", {"weight": 8})
        town.call("POST", "/api/v1/pools/app/backends", {"address": third.address})
        before = orders(town)
        ended(town)
        until(lambda: len(town.state()["backends"]) == 3, "the backend that was added")
        assert orders(town) == before
        assert {kind for kind, *_ in before} == {"add", "state", "weight"}
        assert {town.weir.ask().body for _ in range(10)} == {b"a", b"c"}
        crash(town)
        assert orders(town) == before


def test_a_configuration_during_the_trial_is_refused_with_the_cure(three):
    first, second, _ = three
    with Town([first]) as town:
        town.reload({**town.tree, "pools": {"app": {"backends": [first.address, second.address]}}})
        begun(town)
        for path in ("reload", "rollback"):
            told = town.call("POST", f"/api/v1/{path}", status=409)
            assert "an upgrade is in trial" in told["detail"], told
        ended(town)
        town.call("POST", "/api/v1/reload")


def test_a_failed_upgrade_loses_no_order(three, tmp_path):
    first, second, _ = three
    path = installed(tmp_path)

    class Own(Town):
        def __init__(self, *rest):
            super().__init__(*rest)
            self.weir.stop()
            self.weir.done()
            self.weir = Weir(self.tree, address=self.front, wrapper=run_as(path))

    with Own([first, second]) as town:
        replace_program(path, "#!/bin/sh\nsleep 1; exit 3\n")
        begun(town)
        steer(town, first.address, "drain")
        town.weir.wait_log("the upgrade failed")
        town.call("POST", "/api/v1/reload")
        before = orders(town)
        replace_program(path)
        crash(town)
        assert orders(town) == before and len(before) == 1


def test_an_order_counts_when_the_old_one_dies_before_the_new_one_is_ready(three):
    go = threading.Event()
    go.set()
    first, second, _ = three
    from peers.backend import Backend
    with Backend(held(go)) as slow, Town([first, second]) as town:
        town.tree["pools"]["slow"] = {"backends": [slow.address], **HELD}
        town.reload()
        until(lambda: slow.heads, "its check")
        go.clear()
        begun(town)
        steer(town, first.address, "drain")
        os.kill(town.call("GET", "/api/v1/state")["serving_pid"], signal.SIGKILL)
        time.sleep(0.2)
        go.set()
        until(lambda: answers(town), "its admin address")
        until(lambda: town.backend(first.address)["state"] == "draining", "the order")


def test_a_configuration_that_came_during_the_trial_is_shown_after_it(three):
    first, second, _ = three
    with Town([first]) as town:
        begun(town)
        until(lambda: town.weir.stderr.count('"msg":"weir ') == 2, "the new one to serve")
        town.tree["pools"]["app"]["backends"].append(second.address)
        town.write()
        town.weir.signal(signal.SIGHUP)
        ended(town)
        until(lambda: len(town.state()["backends"]) == 2, "the other backend")
        assert {town.weir.ask().body for _ in range(10)} == {b"a", b"b"}
        assert [number for number, *_ in generations(town)] == [2, 1]


# ---- Generations ----------------------------------------------------------------------------------

def timeouts(town, connect):
    tree = json.loads(json.dumps(town.tree))
    tree["pools"]["app"]["timeouts"] = {"connect": connect}
    return tree


def connect_timeout(town):
    return town.call("GET", "/api/v1/config")["pools"]["app"]["timeouts"]["connect"]


@pytest.mark.parametrize("step", [crash, upgrade])
def test_rollback_reaches_over_the_end_of_a_process(three, step):
    first, second, third = three
    with Town([first, second]) as town:
        town.reload(timeouts(town, "1s"))
        town.call("POST", "/api/v1/pools/app/backends", {"address": third.address})
        town.reload(timeouts(town, "2s"))
        kept = generations(town)
        assert [number for number, *_ in kept] == [4, 3, 2, 1]
        step(town)
        assert generations(town) == kept and town.state()["generation"] == 4
        assert town.call("POST", "/api/v1/rollback")["generation"] == 5
        assert connect_timeout(town) == "1s" and len(town.state()["backends"]) == 3
        step(town)
        town.call("POST", "/api/v1/rollback", {"generation": 2})
        assert connect_timeout(town) == "1s" and len(town.state()["backends"]) == 2


def test_an_upgrade_with_other_files_is_a_generation(three):
    first, second, _ = three
    with Town([first, second]) as town:
        town.write(timeouts(town, "1s"))
        upgrade(town)
        assert [(number, text) for number, text, *_ in generations(town)] == [
            (2, "start"), (1, "start")]
        assert connect_timeout(town) == "1s"
        town.call("POST", "/api/v1/rollback")
        assert connect_timeout(town) == "5s"
        crash(town)
        assert connect_timeout(town) == "5s" and town.state()["generation"] == 3


def test_a_crash_on_probation_goes_back_and_keeps_orders(three):
    first, second, third = three
    with Town([first, second]) as town:
        town.call("POST", "/api/v1/apply?confirm=60s", timeouts(town, "1s"))
        steer(town, first.address, "drain")
        town.call("POST", "/api/v1/pools/app/backends", {"address": third.address})
        assert connect_timeout(town) == "1s"
        crash(town)
        assert connect_timeout(town) == "5s"
        assert {kind for kind, *_ in orders(town)} == {"add", "state"}
        assert [number for number, *_ in generations(town)] == [1]


class Stored(Town):
    """A town with a state folder, which can be started again."""

    def __init__(self, folder, *rest):
        super().__init__(*rest)
        self.folder = folder
        self.path = folder / "weir.json"
        self.path.write_text(json.dumps(self.tree))
        self.weir.stop()
        self.weir.done()
        self.begin()

    def begin(self):
        self.weir = Weir(args=("-c", str(self.path)), address=self.front,
                         env={"STATE_DIRECTORY": str(self.folder), "WEIR_ADMIN__BIND": self.api})

    def again(self):
        self.weir.stop()
        self.weir.done()
        self.begin()

    def reload(self, tree=None):
        self.path.write_text(json.dumps(tree or self.tree))
        return self.call("POST", "/api/v1/reload")

    def stored(self):
        return list(pathlib.Path(self.folder).glob("*.generations"))


def test_generations_are_stored_where_there_is_a_state_folder(three, tmp_path):
    first, second, third = three
    with Stored(tmp_path, [first, second]) as town:
        town.reload(timeouts(town, "1s"))
        town.call("POST", "/api/v1/pools/app/backends", {"address": third.address})
        steer(town, first.address, "drain")
        kept = generations(town)
        town.again()
        file, = town.stored()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert generations(town) == kept
        # A restart of everything is told what to do by the files alone, and not by orders.
        assert orders(town) == [] and len(town.state()["backends"]) == 2
        town.call("POST", "/api/v1/rollback", {"generation": 1})
        assert connect_timeout(town) == "5s"
        for text, why in (("weir generations 9\nx", "it is of version 9, and this weir reads version 1"),
                          (file.read_text()[:-9], "cut off or damaged"),
                          ("rubbish", "its first line is not 'weir generations 1'")):
            town.weir.stop()
            town.weir.done()
            file.write_text(text)
            town.begin()
            line, = [line for line in town.weir.log()
                     if line["msg"] == "configurations of before are not known"]
            assert why in line["error"]
            assert len(generations(town)) == 1


def test_without_a_state_folder_nothing_is_stored(three, tmp_path):
    with Stored(tmp_path, list(three[:2])) as town:
        until(town.stored, "the first one")
        town.folder = tmp_path / "missing"
        town.again()
        town.reload(timeouts(town, "1s"))
        assert not town.folder.exists()


# ---- A removal that is taken back -----------------------------------------------------------------


def secure():
    return TlsBackend(None, papers().server_context("site"))


def with_own(backend):
    """What only its own entry says: by TLS, checked at a page of its own."""
    return {"id": "own", "address": backend.address, "weight": 2, "slow_start": "7s",
            "health_check": {"path": "/own"},
            "tls": {"ca": papers().path("ca.crt"), "server_name": "site.example"}}


def shown(town, with_origins=True):
    """The backend in the effective configuration, with where each value comes from."""
    answer = town.weir.ask("GET", "/api/v1/config?format=yaml", f"Authorization: Bearer {SECRET}",
                           address=town.api, host=town.api)
    text = answer.body.decode()
    begin = text.index("      - id: own")
    ends = [at for at in (text.find("\n      - ", begin), text.find("\n    protocol:", begin)) if at > 0]
    return text[begin:min(ends)] if with_origins else "\n".join(
        line.partition("  #")[0] for line in text[begin:min(ends)].splitlines())


def removed(town):
    return town.call("DELETE", "/api/v1/pools/app/backends/own")["event"]


def taken_back(town, event):
    told = next(one for one in town.call("GET", "/api/v1/events")["events"] if one["number"] == event)
    assert told["undo"] == {"method": "POST", "path": f"/api/v1/events/{event}/undo", "body": None}
    town.call("POST", told["undo"]["path"])


def nothing(town, _):
    del town


def without_it(town, _):
    town.tree["pools"]["app"]["backends"].pop()
    town.reload()


def another_of_its_name(town, _):
    """Whoever was added and removed under its name meanwhile."""
    with named("other") as other:
        town.call("POST", "/api/v1/pools/app/backends", {"id": "own", "address": other.address})
        removed(town)


@pytest.mark.parametrize("meanwhile", [nothing, another_of_its_name, without_it])
def test_a_removal_that_is_taken_back(meanwhile):
    """With its own TLS and its own check, and, where it is still written, just as it is written."""
    is_written = meanwhile is not without_it
    pool = {"health_check": {"type": "http", "interval": "1s"}}
    with secure() as backend, Town(["127.0.0.1:1", with_own(backend)], pool=pool) as town:
        until(lambda: town.backend("own")["health"] == "up", "its first check")
        before = shown(town, is_written)
        event = removed(town)
        assert "own" not in [one["id"] for one in town.state()["backends"]]
        meanwhile(town, backend)
        probes = len(backend.heads)
        taken_back(town, event)
        assert shown(town, is_written) == before
        until(lambda: len(backend.heads) > probes, "another check")
        assert backend.heads[probes].line.startswith(b"GET /own ")
        until(lambda: town.weir.ask().status == 200, "an answer by TLS")
        kinds = [one["kind"] for one in journal(town)["journal"]]
        assert kinds == ([] if is_written else ["add"])
        if is_written:
            return
        # It outlives the process, and another removal.
        crash(town)
        assert shown(town, False) == before
        taken_back(town, removed(town))
        assert shown(town, False) == before
        until(lambda: town.weir.ask().status == 200, "an answer by TLS")
