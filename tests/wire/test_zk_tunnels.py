# SPDX-License-Identifier: Apache-2.0
"""Tunnels stay open while another binary takes over: the same sockets, and every byte once."""
import json
import pathlib
import signal
import socket
import threading

import pytest

from peers import http1
from peers.backend import Backend
from peers.net import until
from peers.papers import TlsClient, papers
from peers.streams import AGREE, ASK, Streams, agreed, echoes, tunnel
from peers.weir import start


def told(weir, text):
    return [line for line in weir.log() if line["msg"].startswith(text)]


def begin_upgrade(weir, number=1):
    weir.signal(signal.SIGUSR2)
    until(lambda: weir.stderr.count("this process serves alone") == number, "an upgrade")


def upgrade(weir, number=1):
    """The number'th; gives how many tunnels went over, and how many did not."""
    begin_upgrade(weir, number)
    until(lambda: len(told(weir, "stopped")) == number, "the old one to be gone")
    line = told(weir, "tunnels went over")[-1]
    return line["given"], line["kept"]


def moves_on(streams):
    before = streams.passed()
    until(lambda: streams.errors() or all(
        now > then for now, then in zip(streams.passed(), before)), "bytes in every tunnel")
    assert not streams.errors()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("protocol", ["http", "websocket", "tcp"])
def test_every_byte_passes_once(protocol, workers):
    """tests/drill/v_tunnels.py does more of it."""
    with Streams(upgrade=protocol == "http", websocket=protocol == "websocket") as streams:
        with start(streams.address, protocol="tcp" if protocol == "tcp" else "http",
                   workers=workers) as weir:
            streams.open(weir.address, 25)
            moves_on(streams)
            for number in range(1, 4):
                assert upgrade(weir, number) == (25, 0)
                moves_on(streams)
            assert streams.finish() == []


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize("first", ["client", "backend"])
def test_a_half_that_has_ended_stays_ended(first, protocol):
    """And the old process goes on with what else it has, until its end."""
    go = threading.Event()

    def script(connection):
        if protocol == "http":
            connection.head()
            connection.send(AGREE)
        if first == "backend":
            connection.sock.shutdown(socket.SHUT_WR)
        connection.send_later = connection.reader.rest()
        go.wait(30)
        if first == "client":
            connection.send(b"got " + connection.send_later)

    with Backend(script) as backend, start(backend, protocol=protocol) as weir:
        with tunnel(weir) if protocol == "http" else weir.client() as client:
            client.send(b"hello")
            backend.wait_connections(1)
            if first == "client":
                client.end()
                until(lambda: getattr(backend.connections[0], "send_later", None), "the end")
            else:
                assert client.reader.rest() == b""
            assert upgrade(weir) == (1, 0)
            if first == "backend":
                client.send(b" and more").end()
                until(lambda: getattr(backend.connections[0], "send_later", None), "the end")
                assert backend.connections[0].send_later == b"hello and more"
            go.set()
            if first == "client":
                assert client.reader.rest() == b"got hello"
        until(lambda: told(weir, "stopped"), "the old one to be gone")


def test_the_client_of_a_unix_socket_goes_over_too(tmp_path):
    with Backend(agreed) as backend:
        with start(backend, bind=f"unix:{tmp_path}/web.sock") as weir:
            with tunnel(weir) as client:
                echoes(client, b"before")
                assert upgrade(weir) == (1, 0)
                echoes(client, b"behind")


def test_no_bound_of_its_client_keeps_one_here():
    """What there is already goes over, though in the new process its client has as many by then."""
    limits = {"limits": {"per_ip_connections": 2}}
    with Backend(agreed) as backend, start(backend, frontend=limits) as weir:
        with tunnel(weir) as first, tunnel(weir) as second:
            assert upgrade(weir) == (2, 0)
            echoes(first, b"first")
            echoes(second, b"second")


def test_its_line_in_the_access_log_is_of_its_whole_life():
    log = {"access": {"format": "json", "output": "stdout"}}
    with Backend(agreed) as backend, start(backend, log=log) as weir:
        with tunnel(weir) as client:
            echoes(client, b"before")
            upgrade(weir)
            echoes(client, b"behind")
            assert weir.stdout == ""
            client.end()
            assert client.is_closed()
        until(lambda: weir.stdout.count("\n"), "an access line")
        line, = [json.loads(each) for each in weir.stdout.splitlines()]
        assert line["http.request.method"] == "GET" and line["url.path"] == "/stream"
        assert line["http.response.status_code"] == 101
        assert line["user_agent.original"] == "streams"
        assert line["request_id"] == backend.last().get("x-request-id")
        assert line["http.request.body.size"] == line["http.response.body.size"] == 12
        assert (line["frontend"], line["pool"], line["backend"]) == ("web", "app", backend.address)
        assert line["outcome"] == "tunnel_closed" and line["tries"] == 1
        assert line["total_us"] > 900_000  # the second in which the new one was watched


def test_it_counts_for_the_bound_of_its_backend():
    with Backend(agreed) as backend:
        bounded = {"address": backend.address, "max_connections": 1}
        with start(bounded, pool={"timeouts": {"queue": "100ms"}}) as weir:
            with tunnel(weir) as client:
                for number in range(1, 3):
                    assert upgrade(weir, number) == (1, 0)
                    assert weir.ask().status == 503
                client.end()
                assert client.is_closed()
            with tunnel(weir) as client:
                echoes(client, b"there is a place again")


def test_what_has_lost_its_backend_stays_with_the_old_one():
    with Backend(agreed) as backend, Backend() as other, start(backend) as weir:
        with tunnel(weir) as client:
            tree = json.loads(pathlib.Path(weir.config_path).read_text())
            tree["pools"]["app"]["backends"] = [other.address]
            pathlib.Path(weir.config_path).write_text(json.dumps(tree))
            begin_upgrade(weir)
            until(lambda: weir.ask().status == 200, "the old one to accept no more")
            for _ in range(20):
                echoes(client, b"as before")
            assert told(weir, "stopped") == []
            client.end()
            assert client.is_closed()
        until(lambda: told(weir, "stopped"), "the old one to be gone")
        line, = told(weir, "tunnels went over")
        assert (line["given"], line["kept"]) == (0, 1)


def test_tls_stays_with_the_old_one():
    with Backend(agreed) as backend:
        with start(backend, certificates=[papers().files("site")],
                   frontend={"tls": True}) as weir:
            with TlsClient(weir.address, papers().client_context(), "site.example") as client:
                client.send(ASK)
                assert client.response().status == 101
                begin_upgrade(weir)
                for _ in range(20):
                    echoes(client, b"as before")
                assert told(weir, "stopped") == []
            until(lambda: told(weir, "stopped"), "the old one to be gone")
            assert told(weir, "tunnels went over") == []


def test_one_that_is_silent_keeps_the_time_of_its_silence():
    """Upgrades take longer than it may be silent, each of them does not."""
    with Backend(agreed) as backend, \
            start(backend, frontend={"timeouts": {"tunnel_idle": "3s"}}) as weir:
        with tunnel(weir) as client:
            number = 0
            while not told(weir, "tunnels went over") or told(weir, "tunnels went over")[-1]["given"]:
                number += 1
                assert number < 10
                begin_upgrade(weir, number)
                until(lambda: len(told(weir, "stopped")) == number, "the old one to be gone")
                if len(told(weir, "tunnels went over")) < number:
                    break
            with pytest.raises((http1.Cut, OSError)):
                client.reader.exactly(1)
