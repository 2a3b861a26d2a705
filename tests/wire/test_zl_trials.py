# SPDX-License-Identifier: Apache-2.0
"""Configurations on probation: what trips their guard, and who decides when several do at once."""
import itertools
import json
import threading
import time

import pytest

from peers.weir import CALM
from peers.net import until

from test_zd_reload import SECRET as TOKEN, Town, named

QUICK = {"type": "tcp", "interval": "200ms", "fast_interval": "100ms", "timeout": "200ms",
         "unhealthy_threshold": 1, "healthy_threshold": 1, "jitter": "none"}
NOBODY = "127.0.0.1:1"
TAKEN_BACK = "configuration on probation is taken back"


def apply(town, tree, confirm, status=200):
    return town.call("POST", f"/api/v1/apply?confirm={confirm}", tree, status)


def last_reason(town):
    return next(one["reason"] for one in town.call("GET", "/api/v1/events")["events"]
                if one["text"] == TAKEN_BACK)


def two_pools(town, app, spare):
    tree = json.loads(json.dumps(town.tree))
    for name, backend in (("app", app), ("spare", spare)):
        tree["pools"][name] = {"backends": [backend], **CALM, "health_check": QUICK}
    tree["frontends"]["web"]["routes"] = [{"match": {"path": "/spare"}, "pool": "spare"}]
    return tree


def healthy(town):
    return {one["name"]: one["eligible"] > 0 for one in town.state()["pools"]}


@pytest.mark.parametrize("empty", ["app", "spare"])
def test_n5_the_guard_asks_which_pool_is_empty_and_not_how_many(empty):
    """Whichever of them comes first."""
    full = "spare" if empty == "app" else "app"
    with named("a") as backend, Town([backend]) as town:
        town.reload(two_pools(town, **{empty: NOBODY, full: backend.address}))
        until(lambda: healthy(town) == {empty: False, full: True}, "the checks")
        # The pool that had nobody before is no reason.
        still = two_pools(town, **{empty: NOBODY, full: backend.address})
        still["pools"][full]["timeouts"] = {"connect": "1s"}
        apply(town, still, "1h")
        time.sleep(4)
        assert town.state()["trial"] is not None
        town.call("POST", "/api/v1/confirm")
        # The other one is, although there is no more of them than before.
        apply(town, two_pools(town, **{empty: backend.address, full: NOBODY}), "1h")
        until(lambda: town.state()["trial"] is None, "it is taken back")
        assert last_reason(town) == f"pool '{full}' has no backend left that may get requests"
        until(lambda: healthy(town) == {empty: False, full: True}, "the checks")


def connect_timeout(town):
    return town.call("GET", "/api/v1/config")["pools"]["app"]["timeouts"]["connect"]


def timed(town, timeout):
    tree = json.loads(json.dumps(town.tree))
    tree["pools"]["app"]["timeouts"] = {"connect": timeout}
    return tree


class Edits:
    """Orders one after the other for a tenth of a second, so that whatever else is wanted has to wait;
    a few, since no more than sixteen generations are kept."""
    numbers = itertools.count()

    def __init__(self, town):
        self.town = town
        self.thread = threading.Thread(target=self.run)

    def run(self):
        for _ in range(10):
            self.town.call("POST", "/api/v1/pools/app/backends",
                           {"id": f"more{next(self.numbers)}", "address": NOBODY, "weight": 0})
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()


def settled(town, number):
    until(lambda: town.state()["trial"] is None, f"round {number}: the end of the trial")
    town.call("POST", "/api/v1/apply?look=1", town.tree)  # behind all that waits
    return connect_timeout(town)


def ask(town, path, body=None):
    """The status, whatever it is."""
    with town.weir.client(town.api) as client:
        return client.ask("POST", path, f"Authorization: Bearer {TOKEN}", "X-Weir-Request: 1",
                          host=town.api, body=json.dumps(body or {}).encode()).status


def test_n5_a_confirmation_counts_or_is_refused_at_any_moment():
    """Edits keep the one that takes it back waiting: who is told 200 keeps it, and nobody else."""
    with named("a") as first, Town([first], workers=1) as town:
        said = set()
        for number in range(8):
            before, new = f"{number + 1}s", f"{number + 11}s"
            town.reload(timed(town, before))
            apply(town, timed(town, new), "1s")
            time.sleep(0.93 + 0.01 * number)
            with Edits(town):
                time.sleep(0.03)
                status = ask(town, "/api/v1/confirm")
            assert settled(town, number) == (new if status == 200 else before), status
            said.add(status)
        assert said <= {200, 409}


def test_n5_a_rollback_in_the_moment_of_the_revert_is_what_counts():
    """Whichever of the two comes first."""
    with named("a") as first, Town([first], workers=1) as town:
        for number in range(6):
            goal = town.reload(timed(town, "7s"))["generation"]
            town.reload(timed(town, "8s"))
            apply(town, timed(town, "9s"), "1s")
            time.sleep(0.93 + 0.015 * number)
            with Edits(town):
                time.sleep(0.03)
                town.call("POST", "/api/v1/rollback", {"generation": goal})
            assert settled(town, number) == "7s"


def test_n5_a_rollback_ends_a_trial_and_nothing_comes_back_later():
    with named("a") as first, Town([first]) as town:
        town.reload(timed(town, "2s"))
        apply(town, timed(town, "3s"), "1s")
        assert apply(town, timed(town, "4s"), "1s", status=409)
        town.call("POST", "/api/v1/rollback", {"generation": 1})
        assert town.state()["trial"] is None and connect_timeout(town) == "5s"
        time.sleep(1.5)
        assert connect_timeout(town) == "5s"
        assert TAKEN_BACK not in [one["text"] for one in
                                  town.call("GET", "/api/v1/events")["events"]]
        # Without a number it goes back to what served before the trial.
        town.reload(timed(town, "2s"))
        apply(town, timed(town, "3s"), "1h")
        town.call("POST", "/api/v1/pools/app/backends", {"address": NOBODY})
        town.call("POST", "/api/v1/rollback")
        assert town.state()["trial"] is None and connect_timeout(town) == "2s"
