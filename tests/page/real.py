# SPDX-License-Identifier: Apache-2.0
"""A real weir as a world (world.py): backends that can be taken away, and some load."""
import pathlib
import sys
import threading
import time

from .world import api

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.backend import Backend  # noqa: E402
from peers.net import HOST, free_port  # noqa: E402
from peers.weir import Weir  # noqa: E402

PERIOD_S = 0.03  # between two requests
HEALTH = {"type": "tcp", "interval": "300ms", "fast_interval": "100ms", "timeout": "250ms"}


class RealWorld:
    is_mock = False

    def __init__(self, backends, admin=None, role="operate"):
        self.ports = [free_port() for _ in range(backends)]
        self.backends = {f"app-{i + 1}": Backend(port=port) for i, port in enumerate(self.ports)}
        self.front, admin_address = (f"{HOST}:{free_port()}" for _ in range(2))
        self.url = f"http://{admin_address}"
        self.weir = Weir({
            "frontends": {"web": {"bind": [self.front], "pool": "app"}},
            "pools": {"app": {"algorithm": "round_robin", "health_check": HEALTH,
                              "backends": [{"id": id, "address": backend.address}
                                           for id, backend in self.backends.items()]}},
            "admin": {"bind": [admin_address], "without_token": role, **(admin or {})}}, address=self.front)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.load, daemon=True)
        self.thread.start()

    def load(self):
        number = 0
        while not self.stopping.wait(PERIOD_S):
            number += 1
            try:
                with self.weir.client() as client:
                    client.ask("GET", f"/items/{number}")
            except (OSError, AssertionError):
                time.sleep(0.1)

    def api(self, path):
        return api(self.url, path)

    def events(self):
        return self.api("/api/v1/events?limit=500")["events"]

    def fail(self, id):
        self.backends[id].stop()

    def heal(self, id):
        port = self.ports[list(self.backends).index(id)]
        self.backends[id] = Backend(port=port)

    def freeze(self):
        """Without requests the figures come to rest."""
        self.stopping.set()
        self.thread.join()

    def close(self):
        self.freeze()
        self.weir.stop()
        for backend in self.backends.values():
            backend.stop()
