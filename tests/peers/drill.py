# SPDX-License-Identifier: Apache-2.0
"""What the timed drills share: checks that print their figures, real servers, steady load.

A drill is a script. It prints one line per check and ends with 0 when all of them hold. Its figures
come again as rows of a Markdown table, for docs/drills.md.
"""
import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from .client import Client
from .http1 import request
from .net import HOST, until
from .weir import BINARY, IO


class Drill:
    def __init__(self, name):
        self.name, self.failed = name, 0
        self.rows = []
        print(f"{name}, {IO}")

    def check(self, what, figure, good):
        """Prints a figure and whether it is good enough."""
        self.failed += not good
        print(f"  {'ok  ' if good else 'FAIL'} {what}: {figure}", flush=True)

    def near(self, what, seconds, wanted):
        """Within a tenth of the configured time, or 250 ms; never early by more than a tick."""
        margin = max(wanted / 10, 0.25)
        self.check(what, f"{seconds:.3f} s (configured {wanted} s)",
                   wanted - 0.05 <= seconds <= wanted + margin)

    def row(self, what, figures):
        """A row of the table: what was done, and what came of it."""
        self.rows.append(f"| {self.name} | {IO} | {what} | {figures} |")

    @staticmethod
    def say(what):
        """A figure that no bound is put on."""
        print(f"       {what}", flush=True)

    def done(self):
        if self.rows:
            print("\n| drill | twin | what | figures |\n|---|---|---|---|")
            print("\n".join(self.rows) + "\n")
        print(f"{self.name}, {IO}: {'FAILED' if self.failed else 'passed'}", flush=True)
        sys.exit(1 if self.failed else 0)


def timed(action):
    """(seconds, result)"""
    began = time.monotonic()
    result = action()
    return time.monotonic() - began, result


class Server:
    """A `weir test-backend` of its own process, which may be killed, stopped, and told to fail."""

    def __init__(self, port=0, fault=None, host=HOST):
        self.output = tempfile.NamedTemporaryFile("w+")
        self.process = subprocess.Popen(
            [BINARY, "test-backend", f"{host}:{port}", "--steady",
             *(["--fault", fault] if fault else [])], stdout=self.output,
            stderr=subprocess.STDOUT)
        atexit.register(self.process.kill)  # whatever becomes of the drill
        self.address = re.search(r"http://(\S+?);", until(self.said, "the test backend"))[1]
        self.port = int(self.address.rpartition(":")[2])

    def said(self):
        with open(self.output.name) as file:
            text = file.read()
        return text if "listening on" in text else None

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def again(self):
        """Another one in its place, after kill()."""
        return Server(self.port)

    def control(self, method, words=""):
        with Client(self.address) as client:
            response = client.ask(method, f"/-/fault?{words}" if words else "/-/fault")
        assert response.status == 200, response.text
        return json.loads(response.body)

    def tell(self, words=""):
        """To fail like this from now on (src/cli/origin_faults.h); without words, not to."""
        self.control("POST", words)

    def counts(self):
        """What it has counted (src/cli/origin_control.h)."""
        return self.control("GET")

    def begin_counting(self):
        self.control("DELETE")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        self.output.close()


def named(*servers, **rest):
    """Backends of a configuration, `one` to `five`, for a log that is easy to read."""
    return [{"id": name, "address": server.address, **rest}
            for name, server in zip(("one", "two", "three", "four", "five"), servers)]


# Health checks that notice within a second, for pools whose changes a drill waits for.
QUICK_CHECKS = {"type": "http", "path": "/health", "interval": "1s", "fast_interval": "200ms",
                "timeout": "500ms", "unhealthy_threshold": 2, "healthy_threshold": 2,
                "jitter": "none"}
# Nothing takes a backend out but what the drill is about.
NO_BREAKER = {"failure_threshold": "none", "error_rate": "none"}
NO_OUTLIERS = {"connect_failures": "none", "errors": "none", "timeouts": "none"}


class Load:
    """Clients that ask one GET after the other over keep-alive connections, each at its pace, and
    note every answer and every failure with its time."""

    def __init__(self, address, clients=8, pause=0.005):
        self.address, self.pause = address, pause
        self.answers = []  # (when it began, seconds, status, which server)
        self.failures = []  # (when, error)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = None
        while not self.over.is_set():
            began = time.monotonic()
            try:
                client = client or Client(self.address)
                client.send(request("GET", "/"))
                response = client.response()
                self.answers.append((began, time.monotonic() - began, response.status))
                if (response.get("connection") or "").lower() == "close":
                    client.close()
                    client = None
            except (OSError, AssertionError) as error:
                self.failures.append((time.monotonic(), error))
                client = None
            time.sleep(self.pause)
        if client:
            client.close()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")
