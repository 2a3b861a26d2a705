# SPDX-License-Identifier: Apache-2.0
"""What the drills take for a change of a backend's state, and what not."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from peers.states import CLOSED, DOWN, HALF_OPEN, OPEN, UP, changes, names, state_of, states


@pytest.mark.parametrize("line, state", [
    ({"msg": "breaker", "from": "closed", "to": "open"}, OPEN),
    ({"msg": "breaker of the backend is half-open: its time is over"}, HALF_OPEN),
    ({"msg": "circuit breaker closed, trial requests succeeded"}, CLOSED),
    ({"msg": "backend is down"}, DOWN),
    ({"msg": "health", "state": "healthy"}, UP),
    ({"msg": "the backend closed the connection before it answered"}, None),
    ({"msg": "opened client connection"}, None),
    ({"msg": "weir 1.0 serves", "state": "ready"}, None),
])
def test_state_of(line, state):
    assert state_of(line) == state


def test_names():
    assert names({"msg": "x", "backend": "one"}, "one")
    assert names({"msg": "backend one is down"}, "one")
    assert not names({"msg": "none", "backend": "one-more", "port": 1}, "one")


def test_changes_of_one_backend_in_order():
    class Weir:
        @staticmethod
        def log():
            return [{"msg": "m", "backend": backend, "to": to} for backend, to in (
                ("one", "open"), ("two", "down"), ("one", "open"), ("one", "half_open"),
                ("one", "serving"), ("one", "closed"))]

    assert states(Weir, "one") == [OPEN, HALF_OPEN, CLOSED]
    assert [state for state, _ in changes(Weir, "one", (OPEN,))] == [OPEN, OPEN]
    assert states(Weir, "two") == [DOWN]
