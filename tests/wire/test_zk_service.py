# SPDX-License-Identifier: Apache-2.0
"""What a service manager gives and hears: a stand-in for systemd's socket, LISTEN_FDS and FDSTORE."""
import array
import os
import re
import signal
import socket
import sys

import pytest

from peers.backend import Backend
from peers.net import HOST, free_port, split_address, until
from peers.process import Stopped
from peers.weir import Weir, settings, start


class Manager:
    """The socket that NOTIFY_SOCKET names. Collects messages, and the descriptors to be stored."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.setblocking(False)
        self.heard, self.stored = [], {}

    def listen(self):
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(4096, 1024)
            except BlockingIOError:
                return self
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            for _, _, rights in control:
                fds = array.array("i")
                fds.frombytes(rights)
                assert len(fds) == 1
                self.stored[message["FDNAME"]] = fds[0]
            if message.get("FDSTOREREMOVE"):
                os.close(self.stored.pop(message["FDNAME"]))
            self.heard.append(message)

    def wait(self, key, value=None):
        def find():
            return [m for m in self.listen().heard
                    if key in m and (value is None or m[key] == value)]
        return until(find, f"{key} from weir; heard {self.heard}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        for fd in self.stored.values():
            os.close(fd)


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path / "notify") as manager:
        yield manager


# Runs a program with sockets as a manager would: from descriptor 3 on, and LISTEN_PID is its own.
GIVE = """
import os, socket, sys
count = int(sys.argv[1])
kept, names = [], []
for spec in sys.argv[2:2 + count]:
    name, _, where = spec.partition("=")
    if where.startswith("fd:"):
        sock = socket.socket(fileno=int(where[3:]))
    elif where.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(where)
        sock.listen()
    else:
        host, _, port = where.rpartition(":")
        v6 = host.startswith("[")
        sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host.strip("[]"), int(port)))
        sock.listen()
    kept.append(sock)
    names.append(name)
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(kept)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count),
                  LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def given(*specs):
    return (sys.executable, "-c", GIVE, str(len(specs)), *specs)


# ---- Notifications ------------------------------------------------------------------------------

def test_ready_and_stopping_are_told(manager):
    env = {"NOTIFY_SOCKET": manager.path}
    with Backend() as backend, start(backend, env=env) as weir:
        ready, = manager.wait("READY")
        assert ready["READY"] == "1" and int(ready["MAINPID"]) == weir.pid
        assert ready["STATUS"]
        assert not [m for m in manager.heard if "FDNAME" in m]  # nobody said that it stores
        weir.signal(signal.SIGTERM)
        assert manager.wait("STOPPING")[0]["STOPPING"] == "1"
        weir.ended()


def test_a_long_drain_asks_for_more_time(manager):
    """The manager's TimeoutStopSec may be shorter than shutdown_timeout."""
    env = {"NOTIFY_SOCKET": manager.path}
    with Backend() as backend, start(backend, env=env,
                                     runtime={"shutdown_timeout": "10m"}) as weir:
        manager.wait("READY")
        weir.signal(signal.SIGTERM)
        stopping, = manager.wait("STOPPING")
        assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 10 * 60 * 1_000_000
        weir.ended()


def test_without_a_keeper_it_tells_by_itself(manager):
    env = {"NOTIFY_SOCKET": manager.path}
    with Backend() as backend, start(backend, env=env, runtime={"keeper": False}) as weir:
        assert int(manager.wait("READY")[0]["MAINPID"]) == weir.pid


def test_an_abstract_socket_is_one_too():
    path = f"weir-test-{os.getpid()}-{free_port()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + path)
        sock.settimeout(20)
        with Backend() as backend, start(backend, env={"NOTIFY_SOCKET": "@" + path}):
            assert b"READY=1" in sock.recv(4096)


def test_a_socket_that_nobody_reads_harms_nobody(tmp_path):
    with Backend() as backend, start(backend, env={"NOTIFY_SOCKET": str(tmp_path / "no")}) as weir:
        assert weir.ask().status == 200


def test_after_an_upgrade_the_new_one_says_ready(manager):
    env = {"NOTIFY_SOCKET": manager.path}
    with Backend() as backend, start(backend, env=env) as weir:
        manager.wait("READY")
        weir.signal(signal.SIGUSR2)
        until(lambda: len(manager.wait("READY")) == 2, "the second READY")
        assert {int(m["MAINPID"]) for m in manager.wait("READY")} == {weir.pid}
        assert not [m for m in manager.heard if "STOPPING" in m]  # the old one's end is not weir's


def test_a_reload_is_told_from_its_begin_to_its_end(manager):
    env = {"NOTIFY_SOCKET": manager.path}
    with Backend() as backend, start(backend, env=env) as weir:
        manager.wait("READY")
        weir.signal(signal.SIGHUP)
        begun, = manager.wait("RELOADING")
        assert int(begun["MONOTONIC_USEC"]) > 0
        until(lambda: len(manager.wait("READY")) == 2, "the second READY")
        with open(weir.config_path, "w") as file:
            file.write("nonsense: [")
        weir.signal(signal.SIGHUP)
        until(lambda: len(manager.wait("READY")) == 3, "the third READY")
        assert "refused" in manager.wait("READY")[-1]["STATUS"]
        assert weir.ask().status == 200


@pytest.mark.parametrize("keeper", [True, False])
def test_the_watchdog_is_fed(manager, keeper):
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"}
    with Backend() as backend, start(backend, env=env, workers=2,
                                     runtime={"keeper": keeper}) as weir:
        until(lambda: len(manager.wait("WATCHDOG")) >= 3, "three signs of life")
        assert weir.ask().status == 200


def test_the_watchdog_is_not_fed_while_a_worker_stands_still(manager):
    """One thread of several is stopped in its place by a debugger's means."""
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "100000"}
    with Backend() as backend, start(backend, env=env, workers=2) as weir:
        manager.wait("WATCHDOG")
        tid = next(int(t) for t in weir.threads()
                   if open(f"/proc/{weir.serving}/task/{t}/comm").read().strip() == "weir/1")
        with Stopped(tid):
            manager.listen()
            seen = len(manager.wait("WATCHDOG"))
            # One may have been on its way; then none may come, however long we wait.
            until(Periods(10, 0.1), "ten times that span")
            assert len(manager.wait("WATCHDOG")) <= seen + 1
        until(lambda: len(manager.wait("WATCHDOG")) > seen + 2, "signs of life again")


def threads_of(pid):
    """{name: number} of its threads."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/comm") as comm:
                found[comm.read().strip()] = int(tid)
        except FileNotFoundError:
            pass  # has just ended
    return found


def test_an_upgrade_drains_while_a_worker_stands_still(manager):
    """What the watchdog has asked it, nobody waits for: the other worker is idle and ends."""
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "100000"}
    with Backend() as backend, start(backend, env=env, workers=2, log={"level": "info"}) as weir:
        before = weir.serving
        with Stopped(threads_of(before)["weir/1"]):
            until(Periods(5, 0.1), "a question that is not answered")
            weir.signal(signal.SIGUSR2)
            weir.wait_log("another process serves, this one drains")
            weir.wait_log('"worker ended"')
        until(lambda: not os.path.exists(f"/proc/{before}"), "the end of the old process")
        assert weir.ask().status == 200


class Periods:
    """True after so many spans of time."""

    def __init__(self, count, seconds):
        import time
        self.clock, self.end = time.monotonic, time.monotonic() + count * seconds

    def __call__(self):
        return self.clock() >= self.end


# ---- Sockets ------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 3])
def test_a_given_socket_is_served(workers):
    tree, address = settings(bind=f"{HOST}:{free_port()}")
    with Backend() as backend, start(backend, bind=address, workers=workers,
                                     wrapper=given(f"web={address}")) as weir:
        for _ in range(8):
            assert weir.ask().status == 200
        crash_and_ask(weir)


def crash_and_ask(weir):
    """The keeper has it too."""
    before = weir.serving
    os.kill(before, signal.SIGKILL)
    until(lambda: weir.serving not in (before, weir.pid), "another serving process")
    assert weir.ask().status == 200


def test_given_sockets_are_told_apart_by_their_address(tmp_path):
    one, path = f"{HOST}:{free_port()}", f"{tmp_path}/front"
    with Backend() as backend:
        with start(backend, bind=[f"unix:{path}", one],
                   wrapper=given(f"a={one}", f"b={path}")) as weir:
            assert weir.ask(address=one).status == 200
            assert weir.ask(address=f"unix:{path}").status == 200


def test_a_socket_for_both_families_is_that_of_a_bare_port():
    port = free_port()
    with Backend() as backend:
        with start(backend, bind=f":{port}", wrapper=given(f"web=[::]:{port}")) as weir:
            assert weir.ask(address=f"127.0.0.1:{port}").status == 200
            assert weir.ask(address=f"[::1]:{port}").status == 200


def test_a_given_socket_that_is_not_configured_is_an_error():
    given_one, configured = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    with pytest.raises(AssertionError) as caught:
        start("127.0.0.1:1", bind=configured, wrapper=given(f"web={given_one}"))
    assert f"gave a socket for {given_one}" in str(caught.value)
    assert f"configuration binds {configured}" in str(caught.value)


def test_sockets_for_another_process_are_left_alone():
    address = f"{HOST}:{free_port()}"
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web"}
    with Backend() as backend, start(backend, bind=address, env=env) as weir:
        assert weir.ask().status == 200


def test_listeners_are_stored_and_come_back(manager):
    """As over a restart by systemd: what is stored keeps the queue of connections, and the next weir
    takes it, on as many workers as before."""
    address = f"{HOST}:{free_port()}"
    env = {"NOTIFY_SOCKET": manager.path, "FDSTORE": "512"}
    with Backend() as backend:
        with start(backend, bind=address, workers=2, env=env) as weir:
            until(lambda: len(manager.listen().stored) == 2, "both listeners")
            assert all(re.fullmatch(r"weir-[!-9;-~]+", name) for name in manager.stored)
            assert weir.ask().status == 200
        family, target = split_address(address)
        with socket.socket(family) as waiting:  # nobody serves now
            waiting.settimeout(20)
            waiting.connect(target)
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            specs = [f"{name}=fd:{fd}" for name, fd in manager.stored.items()]
            tree, _ = settings([backend], bind=address, workers=2)
            with Passing(tree, address, given(*specs), manager.stored.values()) as weir:
                assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
                for _ in range(4):
                    assert weir.ask().status == 200


class Passing(Weir):
    """A weir that inherits descriptors of the test."""

    def __init__(self, tree, address, wrapper, fds):
        import subprocess
        real = subprocess.Popen
        subprocess.Popen = lambda *a, **k: real(*a, pass_fds=tuple(fds), **k)
        try:
            super().__init__(tree, wrapper=wrapper, address=address)
        finally:
            subprocess.Popen = real
