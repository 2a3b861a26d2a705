# SPDX-License-Identifier: Apache-2.0
"""What a serving process gives up. That everything else works is seen by all other tests, which run
confined too; what fails inside is tested in tests/unit/control/test_confine.c."""
import os
import pathlib
import socket

import pytest

from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.weir import IS_SANITIZED, Weir, run, settings, start

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers make calls of their own")


def status_of(pid, task=None):
    path = f"/proc/{pid}/task/{task}/status" if task else f"/proc/{pid}/status"
    lines = pathlib.Path(path).read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def told(weir):
    line, = weir.wait_log('"confined"')
    return [entry for entry in weir.log() if entry["msg"] == "confined"][0], line


def test_every_thread_is_confined_and_the_keeper_is_not():
    with Backend() as backend, start(backend, workers=2, args=("-v",)) as weir:
        entry, _ = told(weir)
        if entry["calls"] != "seccomp":
            pytest.skip(entry["calls"])
        for task in weir.threads():
            status = status_of(weir.serving, task)
            assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status["Name"]
        assert status_of(weir.pid)["Seccomp"] == "0"
        assert weir.ask().status == 200


def test_none_is_none():
    with Backend() as backend, start(backend, runtime={"confine": "none"}) as weir:
        assert status_of(weir.serving)["Seccomp"] == "0"
        assert weir.ask().status == 200


def test_strict_serves_too(tmp_path):
    log = {"log": {"access": {"output": f"{tmp_path}/access.log"}}}
    with Backend() as backend, start(backend, runtime={"confine": "strict"}, **log) as weir:
        assert weir.ask().status == 200
        os.rename(tmp_path / "access.log", tmp_path / "access.log.1")
        weir.signal(10)  # USR1: logs are opened again
        until(lambda: (tmp_path / "access.log").exists(), "the new log")
        assert weir.ask().status == 200


def test_version_says_what_the_kernel_allows():
    code, out, _ = run("-VV")
    assert code == 0
    assert "confinement seccomp: " in out and "landlock: " in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_user_and_binds_low_ports():
    with socket.socket() as probe:
        try:
            probe.bind((HOST, 799))
        except OSError:
            pytest.skip("port 799 is taken")
    with Backend() as backend:
        with start(backend, bind=f"{HOST}:799", workers=2, runtime={"user": "nobody"}) as weir:
            status = status_of(weir.serving)
            assert status["Uid"].split() == ["65534"] * 4
            assert status["CapEff"] == "0000000000000400" == status["CapAmb"]
            assert status_of(weir.pid)["Uid"].split() == ["0"] * 4
            assert weir.ask().status == 200
            before = weir.serving
            os.kill(before, 9)
            until(lambda: weir.serving not in (before, weir.pid), "another one")
            assert weir.ask().status == 200
            assert status_of(weir.serving)["Uid"].split() == ["65534"] * 4


def test_a_user_that_is_not_there_ends_it():
    tree, _ = settings(["127.0.0.1:1"], bind=f"{HOST}:{free_port()}")
    tree["runtime"]["user"] = "no-such-user"
    with pytest.raises(AssertionError, match="there is no user 'no-such-user'"):
        Weir(tree)


@pytest.mark.skipif(os.geteuid() != 0, reason="it is only told to those who are not root")
def test_without_root_another_user_is_an_error():
    with pytest.raises(AssertionError, match="only root can become 'daemon'"):
        Weir(wrapper=("setpriv", "--reuid=65534", "--clear-groups"),
             args=("-b", "127.0.0.1:1", "--set", f"frontends.default.bind={HOST}:{free_port()}",
                   "--set", "runtime.user=daemon"))
