# SPDX-License-Identifier: Apache-2.0
"""What the browser tests look at: a weir, imagined or real, behind one interface.

serve() gives a world. Both have `url`, `api(path)`, `events()`, `fail(id)` and `heal(id)` and `close()`.
Only the mock has the rest (`freeze`, `cut`, `change_elsewhere`, scenarios); a test that needs it says
`serve(mock_only=True, …)` and is skipped with a real one.

A real weir joins by TEST_PAGE_WEIR=MODULE: a Python module with `open_world(backends)`, which starts
backends and a weir with its admin listener on 127.0.0.1 under some load, and returns an object with
the common part. `fail(id)` makes that backend refuse connections, `heal(id)` lets it answer again.
"""
import importlib
import json
import os
import urllib.request

import pytest

from . import mock

REAL = os.environ.get("TEST_PAGE_WEIR")


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
        return self.api("/api/v1/events?limit=1000")["events"]

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


def serve(mock_only=False, backends=3, **options):
    if not REAL:
        return MockWorld(backends=backends, **options)
    if mock_only or options:
        pytest.skip("needs the mock")
    return importlib.import_module(REAL).open_world(backends)
