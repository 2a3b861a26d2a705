# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that scrapes what we tell it to."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse

from . import http1
from .client import Client
from .net import HANG_SECONDS, HOST, free_port, until

SCRAPE = "200ms"


class Prometheus:
    """Scrapes `targets` (addresses, the job is `weir`) several times a second, evaluates `rules`."""

    def __init__(self, *targets, rules=()):
        assert shutil.which("prometheus"), "install Debian's package prometheus (tools/setup test)"
        self.address = f"{HOST}:{free_port()}"
        self.scratch = tempfile.TemporaryDirectory(prefix="weir-test-")
        folder = pathlib.Path(self.scratch.name)
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE,
                       "evaluation_interval": SCRAPE},
            "rule_files": [str(rule) for rule in rules],
            "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": targets}]}],
        }))
        self.log_path = folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address={self.address}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self.is_ready, "Prometheus to be ready")
        except AssertionError:
            self.stop()
            raise

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def get(self, path):
        with Client(self.address) as client:
            client.send(http1.request("GET", path, "Connection: close", host=self.address))
            return client.response()

    def is_ready(self):
        assert self.process.poll() is None, f"Prometheus ended:\n{self.log}"
        try:
            return self.get("/-/ready").status == 200
        except OSError:
            return False

    def api(self, path, **params):
        """The data of an answer of its API; fails with what it says."""
        answer = json.loads(self.get(f"/api/v1/{path}?{urllib.parse.urlencode(params)}").body)
        assert answer["status"] == "success", f"{path} {params}: {answer.get('error')}"
        return answer["data"]

    def query(self, expression):
        """[(labels, value)] now."""
        data = self.api("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression):
        """Of the one series that there is, None without one."""
        found = self.query(expression)
        return found[0][1] if found else None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.scratch.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"Prometheus said:\n{self.log}")
        self.stop()
