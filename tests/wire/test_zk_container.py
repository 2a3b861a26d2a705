# SPDX-License-Identifier: Apache-2.0
"""The container's file list as a root folder of its own, since no image can be fetched here: the
program with its libraries and nothing else runs there, without rights, and answers its health check."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
import yaml

from peers.backend import Backend
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import BINARY, IO, IS_SANITIZED

ETC = pathlib.Path(__file__).resolve().parents[2] / "etc/container"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a root folder of its own takes root"),
    pytest.mark.skipif(IS_SANITIZED, reason="the image is not made of this build"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    for folder in (root, *root.parents):  # others must find the way, as in an image
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    subprocess.run([ETC / "collect", BINARY, root], check=True, timeout=HANG_SECONDS)
    return root


def chrooted(image, *words):
    """As the Dockerfile has it: that user, and an environment of its own."""
    env = {"PATH": "/usr/bin", "RUNTIME_DIRECTORY": "/run/weir", "STATE_DIRECTORY": "/var/lib/weir"}
    return ["/usr/sbin/chroot", "--userspec=65532:65532", "--groups=", str(image), "/usr/bin/weir",
            *words], env


class Contained:
    def __init__(self, image, config):
        (image / "etc/weir/weir.yaml").write_text(json.dumps(config))
        self.image, self.log = image, image / "tmp/log"
        words, env = chrooted(image, "run", "-c", "/etc/weir/weir.yaml", "--io", IO)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words, env=env, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: "serves" in self.log.read_text() or self.process.poll() is not None, "weir")

    def run(self, *words):
        words, env = chrooted(self.image, *words)
        return subprocess.run(words, env=env, capture_output=True, text=True,
                              timeout=HANG_SECONDS, check=False)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log.read_text())
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(HANG_SECONDS)
        assert kind or code == 0, self.log.read_text()


def test_it_serves_and_is_healthy(image):
    from peers.client import Client
    address = f"{HOST}:{free_port()}"
    with Backend() as backend:
        config = {"frontends": {"web": {"bind": address, "pool": "app"}},
                  "pools": {"app": {"backends": [backend.address], "health_check": "none"}},
                  "admin": {"bind": "unix:/run/weir/admin.sock"}}
        with Contained(image, config) as weir:
            with Client(address) as client:
                assert client.ask().status == 200
            done = weir.run("healthcheck")
            assert (done.returncode, done.stderr) == (0, "")
            status = pathlib.Path(f"/proc/{weir.process.pid}/status").read_text()
            assert "Uid:\t65532\t65532" in status and "CapEff:\t0000000000000000" in status
        done = weir.run("healthcheck", "--admin", "unix:/run/weir/admin.sock")
        assert done.returncode == 69


def test_names_are_looked_up(image):
    (image / "etc/hosts").write_text(f"{HOST} app-1\n")
    address = f"{HOST}:{free_port()}"
    with Backend(host=HOST) as backend:
        config = {"frontends": {"web": {"bind": address, "pool": "app"}}, "admin": {"bind": "none"},
                  "pools": {"app": {"backends": [f"app-1:{backend.port}"],
                                    "health_check": "none"}}}
        with Contained(image, config):
            from peers.client import Client
            with Client(address) as client:
                assert client.ask().status == 200


def test_there_is_no_shell_and_little_else(image):
    files = [path for path in image.rglob("*") if path.is_file()]
    executable = [path.name for path in files if path.parent.name in ("bin", "sbin")]
    assert executable == ["weir"]
    assert sum(path.stat().st_size for path in files) < 40_000_000


def test_the_files_of_compose_fit_together():
    compose = yaml.safe_load((ETC / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"weir", "app-1", "app-2", "app-3", "database", "prometheus", "grafana"}
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ETC / source).exists(), source
    token = services["weir"]["environment"]["WEIR_TOKEN"]
    done = subprocess.run([BINARY, "check", "-c", ETC / "weir.yaml"], capture_output=True,
                          text=True, timeout=HANG_SECONDS, check=False,
                          env={**os.environ, "WEIR_TOKEN": token})
    assert done.returncode == 0, done.stdout + done.stderr
    prometheus = yaml.safe_load((ETC / "prometheus.yaml").read_text())
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == ["weir:9901"]
    mounted = mounts(services["prometheus"])
    for rules in prometheus["rule_files"]:
        folder, _, name = rules.partition("/")
        assert (mounted[f"/etc/prometheus/{folder}"] / name).is_file()


def mounts(service):
    """{place in the container: ours}"""
    return {there: (ETC / ours).resolve()
            for ours, there in (volume.split(":")[:2] for volume in service["volumes"])}


def test_grafana_finds_its_source_and_its_dashboard():
    grafana = yaml.safe_load((ETC / "compose.yaml").read_text())["services"]["grafana"]
    mounted = mounts(grafana)
    provisioning = "/etc/grafana/provisioning"
    source, = yaml.safe_load(mounted[f"{provisioning}/datasources/weir.yaml"].read_text())["datasources"]
    assert source["type"] == "prometheus" and source["url"] == "http://prometheus:9090"
    provider, = yaml.safe_load(mounted[f"{provisioning}/dashboards/weir.yaml"].read_text())["providers"]
    dashboard = json.loads((mounted[provider["options"]["path"]] / "weir.json").read_text())
    variable = next(one for one in dashboard["templating"]["list"] if one["type"] == "datasource")
    assert variable["query"] == source["type"]
