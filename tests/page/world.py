# SPDX-License-Identifier: Apache-2.0
"""What the browser tests look at: a weir, imagined (mock.py) or real (real.py), behind one interface.

serve() gives a world of a kind, with `url`, `api(path)`, `events()`, `fail(id)`, `heal(id)`, `freeze()` and
`close()`. Only the mock has scenarios, options and the rest. The real one needs TEST_WEIR in the
environment, as the tests in tests/wire do.
"""
import json
import os
import urllib.request

import pytest

from . import mock

KINDS = ("mock", pytest.param("real", marks=pytest.mark.skipif("TEST_WEIR" not in os.environ, reason="TEST_WEIR names no weir")))


def api(url, path, token=None):
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class MockWorld:
    is_mock = True

    def __init__(self, tick_s=1.0, **cluster):
        self.mock = mock.Mock(tick_s=tick_s, **cluster)
        self.cluster = self.mock.cluster
        self.url = self.mock.url

    def api(self, path):
        return api(self.url, path, self.cluster.token)

    def events(self):
        return self.api("/api/v1/events?limit=500")["events"]

    def fail(self, id):
        self.cluster.fail(id)

    def heal(self, id):
        self.cluster.heal(id)

    def freeze(self):
        """All figures stay as they are; they go on being sent."""
        with self.cluster.lock:
            self.cluster.frozen = True

    def cut(self):
        """Ends all streams."""
        self.mock.cut_streams()

    def change_elsewhere(self, id):
        """Another operator drains a backend."""
        self.cluster.drain_elsewhere(id)

    def calls(self, method):
        """(path, fields, body) of the calls that came in with this method."""
        return [(path, fields, body) for verb, path, fields, body in list(self.mock.seen) if verb == method]

    def close(self):
        self.mock.close()


def serve(kind="mock", backends=3, **options):
    if kind == "mock":
        return MockWorld(backends=backends, **options)
    from .real import RealWorld
    return RealWorld(backends, **options)
