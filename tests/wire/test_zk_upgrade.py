# SPDX-License-Identifier: Apache-2.0
"""Another binary takes over: by signal and by command, on the same sockets, and only when it can."""
import json
import os
import pathlib
import shutil
import signal
import threading

import pytest

from peers import http1
from peers.backend import Backend, held
from peers.net import until
from peers.weir import (BINARY, Weir, replace_program, run, run_as, settings,
                        start)


def upgraded(weir, before):
    """Waits until another process serves alone, and gives its pid."""
    def alone():
        weir.wait_log("upgraded: this process serves alone")
        pid = weir.serving
        return pid not in (before, weir.pid) and pid
    return until(alone, "another serving process")


def installed(folder):
    """A copy of the binary, which a test may replace."""
    path = pathlib.Path(folder, "weir")
    shutil.copy(BINARY, path)
    return path


class Installed(Weir):
    """A weir started from its own copy of the binary."""

    def __init__(self, path, backends, **rest):
        tree, address = settings(backends, **rest)
        super().__init__(tree, wrapper=run_as(path),
                         address=address)


@pytest.mark.parametrize("workers", [1, 3])
def test_by_signal_another_process_serves_on_the_same_sockets(workers):
    with Backend() as backend, start(backend, workers=workers) as weir:
        with weir.client() as client:
            assert client.ask().status == 200
            before = weir.serving
            weir.signal(signal.SIGUSR2)
            upgraded(weir, before)
            weir.wait_log("stopped")
        assert weir.ask().status == 200
        again = weir.serving
        weir.signal(signal.SIGUSR2)  # and once more, by the keeper that has become the new binary
        until(lambda: weir.stderr.count("this process serves alone") == 2, "the second upgrade")
        until(lambda: weir.serving != again, "another one")
        assert weir.ask().status == 200
        until(lambda: pathlib.Path(f"/proc/{weir.pid}/comm").read_text() == "weir-keeper\n",
              "the keeper to be one again")


def test_what_runs_is_finished_by_the_old_one():
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        before = weir.serving
        weir.signal(signal.SIGUSR2)
        weir.wait_log("upgraded: this process serves alone")
        assert len(pathlib.Path(f"/proc/{weir.pid}/task/{weir.pid}/children")
                   .read_text().split()) == 2
        go.set()
        assert client.response().status == 200
        assert client.is_closed()  # at once, or after a moment where the answer did not say so yet
        upgraded(weir, before)
        weir.wait_log("stopped")


def test_a_stop_while_the_old_one_drains_waits_for_it():
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        weir.signal(signal.SIGUSR2)
        weir.wait_log("upgraded: this process serves alone")
        weir.signal(signal.SIGTERM)
        weir.wait_log("stopped")  # the new one; the old one has something to do
        assert weir.process.poll() is None
        go.set()
        assert client.response().status == 200
        weir.ended()


@pytest.mark.parametrize("text, why", [
    ("#!/bin/sh\nexit 3\n", "ended with code 3"),
    ("#!/bin/sh\nkill -SEGV $$\n", "killed by signal 11"),
    ("this is no program", "cannot be started"),
])
def test_a_new_one_that_fails_changes_nothing(tmp_path, text, why):
    path = installed(tmp_path)
    with Backend() as backend, Installed(path, [backend]) as weir:
        before = weir.serving
        replace_program(path, text)
        weir.signal(signal.SIGUSR2)
        weir.wait_log("the upgrade failed")
        lines = [line for line in weir.log() if line["msg"].startswith("the upgrade failed")]
        assert len(lines) == 1 and why in lines[0]["error"], lines
        assert weir.serving == before
        assert weir.ask().status == 200
        replace_program(path)  # and then a good one
        weir.signal(signal.SIGUSR2)
        upgraded(weir, before)
        assert weir.ask().status == 200


def test_a_new_one_that_crashes_when_it_serves_changes_nothing(tmp_path):
    path = installed(tmp_path)
    with Backend() as backend, Installed(path, [backend]) as weir:
        before = weir.serving
        real = installed(pathlib.Path(weir.scratch.name))
        # It is ready, and dies within the second that it is watched.
        replace_program(path, f'#!/bin/sh\n(sleep 0.4; kill -KILL $$) &\nexec {real} "$@"\n')
        weir.signal(signal.SIGUSR2)
        weir.wait_log("the upgrade failed")
        assert weir.serving == before
        assert weir.ask().status == 200


def test_a_configuration_that_is_refused_changes_nothing():
    with Backend() as backend, start(backend) as weir:
        before = weir.serving
        good = pathlib.Path(weir.config_path).read_text()
        pathlib.Path(weir.config_path).write_text('{"frontends": {"web": {"bnid": ":80"}}}')
        weir.signal(signal.SIGUSR2)
        weir.wait_log("the upgrade failed")
        line, = [line for line in weir.log() if line["msg"].startswith("the upgrade failed")]
        assert "ended with code 78" in line["error"]
        assert "did you mean 'bind'" in weir.stderr
        assert weir.serving == before and weir.ask().status == 200
        pathlib.Path(weir.config_path).write_text(good)


def test_listeners_follow_the_new_configuration():
    """One more, and one less."""
    from peers.net import HOST, free_port, refuses
    first, second, third = (f"{HOST}:{free_port()}" for _ in range(3))
    with Backend() as backend, start(backend, bind=[first, second], workers=2) as weir:
        tree = json.loads(pathlib.Path(weir.config_path).read_text())
        tree["frontends"]["web"]["bind"] = [second, third]
        pathlib.Path(weir.config_path).write_text(json.dumps(tree))
        before = weir.serving
        weir.signal(signal.SIGUSR2)
        upgraded(weir, before)
        until(lambda: refuses(first), "what is bound no more to be closed")
        for address in (second, third):
            assert weir.ask(address=address).status == 200


def test_a_crash_after_an_upgrade_is_followed_with_the_new_configuration():
    with Backend() as first, Backend() as second, start(first) as weir:
        tree = json.loads(pathlib.Path(weir.config_path).read_text())
        tree["pools"]["app"]["backends"] = [second.address]
        pathlib.Path(weir.config_path).write_text(json.dumps(tree))
        before = weir.serving
        weir.signal(signal.SIGUSR2)
        serving = upgraded(weir, before)
        weir.wait_log("stopped")  # until then the old one may have taken a connection
        assert weir.ask().status == 200 and not first.heads and second.heads
        os.kill(serving, signal.SIGKILL)
        weir.wait_log("started again")
        assert weir.ask().status == 200 and not first.heads


@pytest.fixture
def admin(tmp_path):
    return f"unix:{tmp_path}/admin.sock"


def steer(admin, *words):
    return run("upgrade", *words, "--admin", admin)


def test_the_command_waits_until_the_new_one_serves(admin):
    with Backend() as backend, start(backend, admin={"bind": admin}) as weir:
        for _ in range(2):
            before = weir.serving
            code, out, err = steer(admin)
            assert (code, err) == (0, "")
            assert f"process {before} finishes" in out
            upgraded(weir, before)
        code, out, _ = run("status", "--json", "--admin", admin)
        state = json.loads(out)
        assert code == 0
        assert state["pid"] == weir.pid and state["serving_pid"] == weir.serving
    assert not os.path.exists(admin.removeprefix("unix:"))


def test_the_command_takes_another_binary_and_says_why_it_cannot(admin, tmp_path):
    path = installed(tmp_path)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    with Backend() as backend, start(backend, admin={"bind": admin}) as weir:
        before = weir.serving
        code, out, err = steer(admin, str(broken))
        assert code == 1 and out == ""
        assert "the upgrade failed: ended with code 9" in err
        code, _, err = steer(admin, str(tmp_path / "nothing"))
        assert code == 1 and "cannot be started: No such file" in err
        assert weir.serving == before
        code, _, err = steer(admin, str(path))
        assert (code, err) == (0, "")
        upgraded(weir, before)
        assert os.readlink(f"/proc/{weir.serving}/exe") == str(path)
        until(lambda: os.readlink(f"/proc/{weir.pid}/exe") == str(path), "the keeper to follow")


def test_who_comes_over_the_network_cannot_choose_the_binary():
    from peers.net import HOST, free_port
    bind = f"{HOST}:{free_port()}"
    rules = {"bind": bind, "without_token": "operate"}
    with Backend() as backend, start(backend, admin=rules) as weir:
        before = weir.serving
        code, _, err = run("upgrade", "/bin/sh", "--admin", bind)
        assert code == 1 and "not for whoever comes over the network" in err
        code, _, err = run("upgrade", "--admin", bind)
        assert (code, err) == (0, "")
        upgraded(weir, before)


def test_without_a_keeper_the_command_says_so(admin):
    with Backend() as backend:
        with start(backend, admin={"bind": admin}, runtime={"keeper": False}):
            code, _, err = steer(admin)
            assert code == 1 and "needs a keeper" in err


def test_upgrades_are_counted_over_processes(admin, tmp_path):
    path = installed(tmp_path)
    with Backend() as backend, Installed(path, [backend], admin={"bind": admin}) as weir:
        def state():
            return json.loads(run("status", "--json", "--admin", admin)[1])

        replace_program(path, "#!/bin/sh\nexit 3\n")
        weir.signal(signal.SIGUSR2)
        weir.wait_log("the upgrade failed")
        assert (state()["upgrades"], state()["upgrades_failed"]) == (0, 1)
        assert state()["upgrade_reason"] == "ended with code 3"
        assert "1 upgrade failed; the last one: ended with code 3" in run(
            "status", "--admin", admin)[1]
        replace_program(path)
        before = weir.serving
        weir.signal(signal.SIGUSR2)
        upgraded(weir, before)
        assert (state()["upgrades"], state()["upgrades_failed"]) == (1, 1)
        os.kill(weir.serving, signal.SIGKILL)
        weir.wait_log("started again")
        until(lambda: run("status", "--json", "--admin", admin)[0] == 0, "its admin address")
        after = state()
        assert (after["upgrades"], after["upgrades_failed"], after["restarts"]) == (1, 1, 1)
