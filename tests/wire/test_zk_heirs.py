# SPDX-License-Identifier: Apache-2.0
"""Tunnels on their way to a process that does not answer, or answers late, or dies; and several
upgrades, stops and ends of tunnels at the same time. No tunnel has two owners, and none has none."""
import contextlib
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from peers import http1, streams
from peers.backend import Backend, tcp_echo
from peers.drill import Server
from peers.heir import CLAIMS, CLAIMS_LATE, DIES, SILENT, Heir
from peers.load import Fire
from peers.net import refuses, until
from peers.process import is_pending
from peers.streams import AGREE, agreed, echoes
from peers.weir import CALM, Weir, replace_program, run_as, settings, start

LOG = {"access": {"format": "json", "output": "stdout"}}
LATE = "the process that serves does not take tunnels"


def tunnel(weir):
    client = streams.tunnel(weir)
    echoes(client, b"at first")
    return client


def installed(folder, backend, **rest):
    """A weir from a copy of its binary; gives (weir, the copy's path)."""
    path = pathlib.Path(folder, "weir")
    replace_program(path)
    tree, address = settings([backend], log=LOG, **rest)
    return Weir(tree, wrapper=run_as(path), address=address), path


def told(weir, text):
    return [line for line in weir.log() if line["msg"].startswith(text)]


def moved(weir):
    return [(line["given"], line["kept"]) for line in told(weir, "tunnels went over")]


def alone(weir, number=1):
    until(lambda: weir.stderr.count("this process serves alone") == number, "an upgrade")


@contextlib.contextmanager
def stopped(pid):
    """It does nothing meanwhile, and hears behind it what was said."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# ---- An heir that is not as it should be --------------------------------------------------------

@contextlib.contextmanager
def handing_over(folder, then, *, said="whole", tunnels=1, version=2, **rest):
    """A weir, the heir that its tunnels go to, their clients, and their backend, when the heir has
    said this word."""
    with Backend(agreed) as backend:
        weir, path = installed(folder, backend, **rest)
        with weir:
            clients = [tunnel(weir) for _ in range(tunnels)]
            heir = Heir(path, then, version=version)
            weir.signal(signal.SIGUSR2)
            if said:
                heir.wait_said(said)
            yield weir, heir, clients, backend


def test_without_an_answer_they_go_on_where_they_were(tmp_path):
    """Also their end is heard, though somebody else still has copies of their sockets."""
    with handing_over(tmp_path, CLAIMS_LATE, tunnels=2, runtime={"shutdown_timeout": "8s"}) as (
            weir, heir, (first, second), _):
        heir.leave()
        first.send(b"meanwhile")
        assert first.reader.exactly(9) == b"meanwhile"
        line, = told(weir, LATE)
        assert line["waited_ms"] == 5000
        echoes(second, b"this one, too")
        first.end()
        assert first.is_closed()
        assert second.reader.rest() == b""  # shutdown_timeout
        weir.wait_log("shutdown_timeout passed")
        heir.go()
        heir.wait_said("too late")
        assert moved(weir) == [(0, 2)]
        until(lambda: weir.stdout.count("\n") == 2, "an access line for each")


def test_what_is_claimed_is_not_taken_back(tmp_path):
    with handing_over(tmp_path, CLAIMS, said="claimed") as (weir, heir, (client,), _):
        heir.leave()
        until(lambda: told(weir, LATE), "the end of the old one's patience")
        until(lambda: moved(weir) == [(1, 0)], "the tunnel to be gone")
        assert client.reader.exactly(4) == b"mine"
        until(lambda: told(weir, "stopped"), "the old one to be gone")
        assert weir.stdout == ""  # it is the other's to tell


def test_the_death_of_who_was_to_take_it_changes_nothing(tmp_path):
    with handing_over(tmp_path, DIES) as (weir, heir, (client,), _):
        heir.leave()
        client.send(b"mean")
        heir.go()
        assert client.reader.exactly(4) == b"mean"
        echoes(client, b"while")
        with tunnel(weir) as other:  # by who follows the dead one
            other.end()
            assert other.is_closed()
        client.end()
        assert client.is_closed()


def test_who_knows_another_version_only_gets_none(tmp_path):
    with handing_over(tmp_path, SILENT, said=None, version=1) as (weir, heir, (client,), _):
        until(lambda: told(weir, "upgraded: another process serves"), "the promotion")
        heir.leave()
        for _ in range(20):
            echoes(client, b"as before")
        assert "whole" not in heir.said()
        client.end()
        assert client.is_closed()


@pytest.mark.parametrize("claimed", [False, True])
def test_a_tunnel_on_its_way_has_one_owner_when_it_is_cut(claimed, tmp_path):
    """The old process stops at once while the heir has the parcel: what that one has claimed stays
    open, and what it has not is closed for the client."""
    then, said = (CLAIMS, "claimed") if claimed else (CLAIMS_LATE, "whole")
    with handing_over(tmp_path, then, said=said) as (weir, heir, (client,), _):
        weir.signal(signal.SIGTERM)
        until(lambda: not is_pending(weir.pid, signal.SIGTERM), "the keeper to have it")
        weir.signal(signal.SIGTERM)  # now the leaving one hears it, too
        if claimed:
            assert client.reader.exactly(4) == b"mine"
            weir.ended()
            assert weir.stdout == ""
        else:
            assert client.reader.rest() == b""
            heir.go()
            heir.wait_said("too late")
            weir.ended()
            line, = weir.stdout.splitlines()
            assert json.loads(line)["outcome"] == "draining"


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_ends_meanwhile_is_heard_by_who_goes_on(how, tmp_path):
    with handing_over(tmp_path, CLAIMS_LATE) as (weir, heir, (client,), backend):
        heir.leave()
        client.send(b"last words")
        client.end() if how == "end" else client.reset()
        assert backend.connections[0].closed.wait(30)
        until(lambda: weir.stdout.count("\n") == 1, "its access line")
        assert json.loads(weir.stdout)["outcome"] == "tunnel_closed"
        if how == "end":
            assert client.reader.rest() == b"last words"
        heir.go()
        heir.wait_said("too late")
        assert moved(weir) == [(0, 1)]


# ---- Several at the same time -------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("upgrades", [2, 3])
def test_upgrades_while_tunnels_are_on_their_way_lose_none(upgrades, workers):
    """The first process gives them when those behind it are told to leave already: each of these waits
    for what is still to come by way of it, and passes it on."""
    with Backend(agreed) as backend, start(backend, workers=workers) as weir:
        clients = [tunnel(weir) for _ in range(5)]
        served = [weir.serving]
        with stopped(served[0]):
            for number in range(1, upgrades + 1):
                weir.signal(signal.SIGUSR2)
                alone(weir, number)
                served.append(weir.serving)
            assert len(set(served)) == upgrades + 1
        for client in clients:
            echoes(client, b"on the way")
        until(lambda: len(told(weir, "stopped")) == upgrades, "all but the last to be gone")
        assert moved(weir) == [(5, 0)] * upgrades
        for client in clients:
            echoes(client, b"in the last")


def test_a_shutdown_timeout_of_nothing_cuts_none_that_can_go():
    with Backend(agreed) as backend, start(backend, runtime={"shutdown_timeout": "0s"}) as weir:
        clients = [tunnel(weir) for _ in range(100)]
        for number in range(1, 3):
            weir.signal(signal.SIGUSR2)
            alone(weir, number)
            until(lambda n=number: len(told(weir, "stopped")) == n, "the old one to be gone")
            for client in clients:
                echoes(client, b"still there")
        assert moved(weir) == [(100, 0), (100, 0)]
        for client in clients:
            client.end()
            assert client.is_closed()


@pytest.mark.parametrize("workers", [1, 2])
def test_tunnels_that_end_while_they_move_end_once(workers):
    """At every moment around the handing over, in order and by reset: each has one access line, and
    its backend hears the end."""
    count = 120
    with Backend(agreed) as backend, start(backend, workers=workers, log=LOG) as weir:
        clients = [tunnel(weir) for _ in range(count)]
        weir.signal(signal.SIGUSR2)
        until(lambda: told(weir, "upgraded: another process serves"), "the promotion")
        for number, client in enumerate(clients):
            if number % 3 == 0:
                client.reset()
            elif number % 3 == 1:
                client.end()
            else:
                client.send(b"bye")
                client.close()
        until(lambda: told(weir, "stopped"), "the old one to be gone")
        until(lambda: weir.stdout.count("\n") == count, "an access line for each")
        for connection in backend.connections:
            assert connection.closed.wait(30)
        weir.ask(target="/none")
        until(lambda: weir.stdout.count("\n") == count + 1, "one more line")


# ---- Signals at bad moments ---------------------------------------------------------------------

def children(weir):
    return pathlib.Path(f"/proc/{weir.pid}/task/{weir.pid}/children").read_text().split()


def held_or_echo(go):
    """A request to /slow has its answer when `go` is set; others become tunnels."""
    def script(connection):
        head = connection.head()
        while head and head.target == "/slow":
            go.wait(30)
            connection.send(http1.response(200, body=b"at last"))
            head = connection.head()
        if head:
            connection.send(AGREE)
            tcp_echo(connection)
    return script


@pytest.mark.parametrize("moment", ["starting", "on trial"])
def test_a_stop_while_the_next_one_is_tried(moment, tmp_path):
    """Both of them end, what runs is finished, and nobody listens any more."""
    go = threading.Event()
    with Backend(held_or_echo(go)) as backend:
        weir, path = installed(tmp_path, backend)
        with weir, weir.client() as slow, tunnel(weir) as client:
            slow.send(http1.request("GET", "/slow"))
            until(lambda: [head for head in backend.heads if head.target == "/slow"], "the request")
            if moment == "starting":
                replace_program(tmp_path / "real")
                replace_program(path, f'#!/bin/sh\nsleep 1\nexec {tmp_path / "real"} "$@"\n')
            weir.signal(signal.SIGUSR2)
            if moment == "starting":
                until(lambda: len(children(weir)) == 2, "the new one")
            else:
                until(lambda: len(told(weir, "weir ")) == 2, "the new one to serve")
            weir.signal(signal.SIGTERM)
            until(lambda: refuses(weir.address), "nobody to listen")
            echoes(client, b"as before")
            assert weir.process.poll() is None
            go.set()
            assert slow.response().body == b"at last"
            client.end()
            assert client.is_closed()
            weir.ended()
            assert "this process serves alone" not in weir.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_orders_to_upgrade_come_at_any_moment(workers):
    """A storm of them, also in the moment in which the next one is promoted and the keeper becomes
    what it has started: upgrades follow each other, no request fails and no tunnel is lost."""
    with Server() as server, Backend(agreed) as backend:
        tree, address = settings([server], workers=workers, frontend={
            "routes": [{"match": {"path": "/stream"}, "pool": "streams"}]})
        tree["pools"]["streams"] = {"backends": [backend.address], **CALM}
        with Weir(tree, address=address) as weir:
            clients = [tunnel(weir) for _ in range(10)]
            with Fire(address, connections=4, rate=50) as fire:
                fire.until_answers(10)
                end = time.monotonic() + 5
                while time.monotonic() < end:
                    weir.signal(signal.SIGUSR2)
                    time.sleep(0.02)
                for client in clients:
                    echoes(client, b"in the storm")
                until(lambda: len(children(weir)) == 1, "one process, that serves")
                fire.stop()
                assert fire.bad() == []
            for client in clients:
                echoes(client, b"behind it")
            done = weir.stderr.count("this process serves alone")
            assert done >= 2
            assert len(told(weir, "stopped")) == done
            refused = told(weir, "the upgrade failed")
            assert refused and all(
                line["error"] == "another upgrade is on its way" for line in refused)
            assert moved(weir) == [(10, 0)] * done
            for client in clients:
                client.end()
                assert client.is_closed()
