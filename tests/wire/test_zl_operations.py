# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md: each of its commands does what stands there, in their order."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from peers.backend import Backend
from peers.client import Client
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import BINARY, IO, IS_SANITIZED, Weir, replace_program, run, run_as, start

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/operations.md"

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="upgrades are not steady under sanitizers yet")


def commands(text):
    """What stands behind each `$` of the blocks, without what is said about it."""
    return [re.sub(r"\s+#.*", "", line[2:]) for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
            for line in block.splitlines() if line.startswith("$ ")]


class Place:
    """A folder with all that the document speaks of, and a weir that runs there."""

    def __init__(self, folder, backends):
        self.folder, self.admin = folder, f"unix:{folder}/admin.sock"
        self.env = {**os.environ, "RUNTIME_DIRECTORY": str(folder), "XDG_STATE_HOME": str(folder / "state"),
                    "PATH": f"{folder}:{os.environ['PATH']}", "WEIR_RUNTIME__IO": IO}
        self.address = f"{HOST}:{free_port()}"
        self.config = folder / "weir.yaml"
        self.config.write_text(json.dumps({
            "frontends": {"web": {"bind": self.address, "pool": "app", "routes": [
                {"match": {"path": "/lost"}, "pool": "lost"}]}},
            "pools": {"app": {"health_check": "none", "backends": [
                {"id": name, "address": one.address} for name, one in zip(("b1", "b2"), backends)]},
                "lost": {"backends": [f"{HOST}:{free_port()}"], "health_check": "none"}},
            "admin": {"bind": self.admin}}))
        (folder / "new.yaml").write_text(self.config.read_text().replace('"id": "b1"', '"weight": 2, "id": "b1"'))
        (folder / ".env").write_text("DATABASE_URL=sqlite:workers.db\n")
        shutil.copytree(ROOT / "etc/migrations/sqlite", folder / "migrations")
        self.binary = folder / "weir"
        replace_program(self.binary)
        self.weir = Weir(args=["-c", str(self.config)], cwd=folder, address=self.address, io=None,
                         env={**self.env, "WEIR_ADMIN__BIND": self.admin}, wrapper=run_as(self.binary))

    def shell(self, command):
        return subprocess.run(["sh", "-c", command], cwd=self.folder, env=self.env, text=True,
                              capture_output=True, timeout=HANG_SECONDS, check=False)

    def json(self, path):
        """By the socket, as curl would."""
        with Client(self.admin) as client:
            return json.loads(client.ask("GET", path).body)

    def meant(self, command):
        """With what is there in the place of the examples."""
        if " why" in command:  # of this process: an upgrade may have come before
            assert self.weir.ask("GET", "/lost").status in (502, 503)
        if re.search(r"\bwhy [0-9a-f]{32}$", command):
            command = re.sub(r"[0-9a-f]{32}$", self.json("/api/v1/failures?limit=1")["failures"][0]["id"],
                             command)
        if re.search(r"\bundo \d+$", command):
            orders = [one for one in self.json("/api/v1/events")["events"] if one["undo"]]
            command = re.sub(r"\d+$", str(max(one["number"] for one in orders)), command)
        return command.replace("/usr/local/bin/weir.old", str(self.binary))


def test_each_command_of_the_document(tmp_path):
    wanted = commands(DOCUMENT.read_text())
    assert len(wanted) >= 25 and all("weir" in one or one.startswith(("cp ", "sqlite3 ")) for one in wanted)
    with Backend() as one, Backend() as two:
        place = Place(tmp_path, (one, two))
        with place.weir as weir:
            assert weir.ask().status == 200
            for command in wanted:
                done = place.shell(place.meant(command))
                differs = command.startswith("weir diff --live")  # as the document says
                assert done.returncode == int(differs), (command, done.stdout, done.stderr)
                if " why " in command or command.endswith("status"):
                    assert done.stdout
            assert weir.ask().status == 200
            kept = subprocess.run(["sqlite3", str(tmp_path / "workers.db.backup"),
                                   "SELECT count(*) FROM workers"], capture_output=True, text=True, check=True)
            assert kept.stdout.strip() == "5"


# ---- The table of what survives what ------------------------------------------------------------

def of_backends(admin):
    state = json.loads(run("status", "--json", "--admin", admin)[1])
    return {one["address"]: (one["admin"], one["weight"]) for one in state["backends"]}, state["log_level"]


@pytest.mark.parametrize("how", ["reload", "crash", "upgrade"])
def test_what_survives_what(how, tmp_path):
    """Backends that were added stay, and so do orders."""
    admin = f"unix:{tmp_path}/admin.sock"
    with Backend() as one, Backend() as two, Backend() as more:
        with start({"id": "one", "address": one.address}, {"id": "two", "address": two.address},
                   admin={"bind": admin}) as weir:
            for words in (("backends", "add", "app", more.address), ("drain", "two"),
                          ("weight", "one", "7"), ("log-level", "info")):
                assert run(*words, "--admin", admin)[0] == 0
            before = weir.serving
            if how == "crash":
                os.kill(before, signal.SIGKILL)
                until(lambda: weir.serving not in (before, weir.pid), "the next one")
                until(lambda: run("status", "--admin", admin)[0] == 0, "its admin address")
            else:
                assert run(how, "--admin", admin)[0] == 0
                until(lambda: run("status", "--admin", admin)[0] == 0, "its admin address")
            backends, level = of_backends(admin)
            assert more.address in backends
            assert backends[two.address] == ("draining", 1)
            assert backends[one.address][1] == 7
            assert level == "info"


def test_the_document_names_what_there_is():
    text = DOCUMENT.read_text()
    rules = (ROOT / "etc/prometheus/weir.rules.yml").read_text()
    metrics = (ROOT / "docs/metrics.md").read_text()
    for name in re.findall(r"`(Weir[A-Z]\w+)`", text):
        assert f"alert: {name}\n" in rules, name
    for name in re.findall(r"`(lb_\w+)`", text):
        assert f"`{name}`" in metrics, name
    for path in re.findall(r"`((?:docs|etc)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    assert pathlib.Path(BINARY).exists()
