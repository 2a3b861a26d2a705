# SPDX-License-Identifier: Apache-2.0
"""The process that was started keeps the sockets, and another one serves: crashes, signals, and
what happens when either of them is gone."""
import json
import os
import pathlib
import re
import signal
import socket
import threading

import pytest

from peers import http1
from peers.backend import Backend, held, tcp_echo
from peers.net import HOST, connect, free_port, refuses, until
from peers.weir import IS_SANITIZED, Weir, run, settings, start


def name(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def is_gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def listeners(pid):
    """Inodes of sockets that a process holds."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            inodes.add(target)
    return inodes


def crash(weir, number=signal.SIGKILL):
    """Kills the serving process and gives the pid of the one that follows."""
    before = weir.serving
    os.kill(before, number)
    return until(lambda: weir.serving not in (before, weir.pid) and weir.serving,
                 "another serving process")


def starting(backend, **rest):
    """A weir whose serving process is there and waits for the first health check."""
    check = {"type": "http", "interval": "30s", "timeout": "15s"}
    weir = start(backend, pool={"health_check": check}, ready="", **rest)
    until(lambda: backend.heads and weir.serving != weir.pid, "the first check")
    assert "serves" not in weir.stderr
    return weir


def test_a_signal_for_a_reload_that_comes_early_is_heard_later():
    go = threading.Event()
    with Backend(held(go)) as backend, starting(backend) as weir:
        weir.signal(signal.SIGHUP)
        go.set()
        weir.wait_log("signal: reloading")


def test_a_signal_for_an_upgrade_that_comes_early_is_heard_later():
    go = threading.Event()
    with Backend(held(go)) as backend, starting(backend) as weir:
        before = weir.serving
        weir.signal(signal.SIGUSR2)
        go.set()
        weir.wait_log("upgraded: this process serves alone")
        until(lambda: weir.serving != before, "another one")
        assert weir.ask().status == 200


def test_the_one_that_was_started_serves_nobody():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask().status == 200
        assert weir.serving != weir.pid
        assert name(weir.pid) == "weir-keeper"
        assert len(os.listdir(f"/proc/{weir.pid}/task")) == 1


def test_without_a_keeper_there_is_one_process():
    with Backend() as backend, start(backend, runtime={"keeper": False}) as weir:
        assert weir.ask().status == 200
        assert weir.serving == weir.pid
        weir.signal(signal.SIGUSR2)
        weir.wait_log("an upgrade needs a keeper")
        assert weir.ask().status == 200


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.skipif(
    IS_SANITIZED, reason="a sanitizer ends by an exit of its own"))])
def test_a_serving_process_that_dies_is_followed_by_another(number, workers):
    with Backend() as backend, start(backend, workers=workers) as weir:
        assert weir.ask().status == 200
        # What the keeper was sent is on its way, and is read before anything that happens later.
        until(lambda: len(listeners(weir.pid) & listeners(weir.serving)) == workers, "kept sockets")
        kept = listeners(weir.pid) & listeners(weir.serving)
        crash(weir, number)
        assert weir.ask().status == 200
        assert kept == listeners(weir.pid) & listeners(weir.serving)  # they never closed
        weir.wait_log("started again")
        line, = [line for line in weir.log() if line["msg"].startswith("started again")]
        assert f"killed by signal {number}" in line["end"] and line["restarts"] == 1
        if number == signal.SIGSEGV:  # that it died by one is what the test did, and is reported
            weir.signal(signal.SIGTERM)
            assert weir.wait() == 0


def test_connections_wait_while_nobody_serves():
    """The keeper's copies stay open: what connects meanwhile is served by the next one."""
    with Backend() as backend, start(backend, workers=2) as weir:
        crash(weir)  # the first is followed at once, the second after a pause
        until(lambda: weir.ask().status == 200, "the next one")
        before = weir.serving
        os.kill(before, signal.SIGKILL)
        weir.wait_log("2 times in a row")
        with weir.client() as client:
            client.send(http1.request())
            assert client.response().status == 200
        assert weir.serving != before


def test_a_unix_socket_survives_too(tmp_path):
    with Backend() as backend, start(backend, bind=f"unix:{tmp_path}/front") as weir:
        inode = os.stat(tmp_path / "front").st_ino
        crash(weir)
        assert weir.ask().status == 200
        assert os.stat(tmp_path / "front").st_ino == inode
    assert not (tmp_path / "front").exists()


def test_what_served_serves_again_whatever_the_file_says_by_now():
    with Backend() as backend, start(backend) as weir:
        pathlib.Path(weir.config_path).write_text("{ nonsense")
        crash(weir)
        assert weir.ask().status == 200
        weir.wait_log("what served before")


def test_a_secret_is_kept_and_never_shown():
    sticky = {"sticky": {"by": "cookie", "name": "s", "secret": "only-for-this-very-test-0123"}}
    with Backend() as backend, start(backend, pool=sticky) as weir:
        with weir.client() as client:
            cookie = client.ask().get("set-cookie").partition(";")[0]
        pathlib.Path(weir.config_path).write_text("{ nonsense")
        crash(weir)
        with weir.client() as client:  # signed with the same secret: no new one is needed
            assert client.ask("GET", "/", f"Cookie: {cookie}").get("set-cookie") is None
        assert "only-for-this" not in weir.stderr.replace('"secret": "only-for-this', "")


def test_an_address_that_is_taken_is_told_once_and_ends_it():
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = run("--port", str(port), env={"WEIR_FRONTENDS__DEFAULT__BIND":
                                                     f"{HOST}:{port}",
                                                     "WEIR_ADMIN__BIND": "none"})
    assert code == 1
    assert err.count("unable to bind") == 1


def test_only_the_keepers_signals_count():
    with Backend() as backend, start(backend) as weir:
        os.kill(weir.serving, signal.SIGTERM)
        weir.wait_log("signals go to the keeper")
        assert weir.ask().status == 200


def test_a_signal_to_the_whole_group_is_one_signal():
    """As a terminal sends it, or a manager that knows no better: not twice to who serves."""
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend, wrapper=("setsid",)) as weir:
        with weir.client() as client:
            client.send(http1.request())
            until(lambda: backend.heads, "the request")
            os.killpg(os.getpgid(weir.serving), signal.SIGINT)
            weir.wait_log("signal: draining")
            weir.wait_log("signals go to the keeper")
            go.set()
            assert client.response().status == 200
        weir.wait()
        assert "second signal" not in weir.stderr


def test_without_its_keeper_it_lets_go_of_its_ports_and_finishes():
    with Backend(tcp_echo) as backend, start(backend, protocol="tcp", workers=2) as weir:
        serving = weir.serving
        with weir.client() as client:
            client.send(b"one")
            assert client.reader.exactly(3) == b"one"
            weir.process.kill()
            weir.process.wait()
            until(lambda: refuses(weir.address), "the listeners to close")
            client.send(b"two")
            assert client.reader.exactly(3) == b"two"
        until(lambda: is_gone(serving), "the serving process to end")
        assert "the keeper is gone" in weir.stderr


def test_a_crash_at_the_start_is_the_end():
    """Nothing has served yet, so there is nothing to go back to."""
    tree, _ = settings(["127.0.0.1:1"])
    tree["frontends"]["web"]["bind"] = ["127.0.0.1:1", f"{HOST}:{free_port()}"]
    tree["log"] = {"output": "/nowhere/at/all.log"}
    with pytest.raises(AssertionError, match="weir ended with 1"):
        Weir(tree)


def test_nothing_is_listened_on_once_it_was_told_to_stop():
    """The keeper's copies go first."""
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        weir.signal(signal.SIGTERM)
        until(lambda: refuses(weir.address), "the listener to close")
        with pytest.raises(ConnectionRefusedError):
            connect(weir.address)
        go.set()
        assert client.response().status == 200
        weir.ended()


def metric(weir, admin, name):
    text = weir.ask("GET", "/metrics", address=admin, host=admin).text
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


def test_a_crash_is_counted_and_told():
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, start(backend, admin={"bind": [admin]}) as weir:
        assert metric(weir, admin, "lb_restarts_total") == 0
        assert "started again" not in run("status", "--admin", admin)[1]
        crash(weir)
        until(lambda: not refuses(admin), "the admin address again")
        assert metric(weir, admin, "lb_restarts_total") == 1
        said = run("status", "--admin", admin)[1]
        assert "the serving process was started again 1 time; the last one killed by signal 9" in said
        state = json.loads(weir.ask("GET", "/api/v1/state", address=admin, host=admin).body)
        assert state["restarts"] == 1 and state["restart_reason"].startswith("killed by signal 9")
        assert "weir serves again after a crash" in run("events", "--admin", admin)[1]
