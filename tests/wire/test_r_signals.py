# SPDX-License-Identifier: Apache-2.0
"""Signals: draining, stopping at once, and those that change nothing."""
import os
import pathlib
import signal
import socket
import threading

import pytest

from peers import h2, http1
from peers.backend import Backend, echo, fixed, held, tcp_echo
from peers.net import HOST, free_port, refuses, until
from peers.papers import papers
from peers.process import Stopped
from peers.weir import start

STOP = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


@pytest.mark.parametrize("number", STOP)
def test_idle_it_ends(number):
    with Backend() as backend, start(backend, workers=2) as weir:
        assert weir.ask().status == 200
        weir.signal(number)
        weir.ended()
        messages = [line["msg"] for line in weir.log()]
        assert any(message.startswith("signal: draining") for message in messages)
        assert messages[-1] == "stopped"


@pytest.mark.parametrize("number", STOP)
def test_what_runs_is_finished(number):
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        weir.signal(number)
        until(lambda: refuses(weir.address), "the listener to close")
        go.set()
        response = client.response()
        assert response.status == 200
        assert response.get("connection").lower() == "close"
        assert client.is_closed()
        weir.ended()


def test_an_answer_that_has_begun_is_finished():
    go = threading.Event()

    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 1000000"), b"a" * 500000)
        go.wait(20)
        connection.send(b"b" * 500000)

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        weir.signal(signal.SIGTERM)
        until(lambda: refuses(weir.address), "the listener to close")
        go.set()
        assert client.reader.exactly(1000000) == b"a" * 500000 + b"b" * 500000
        assert client.is_closed()
        weir.ended()


def test_an_idle_connection_has_a_moment_for_a_request_on_its_way():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        assert client.ask().status == 200
        weir.signal(signal.SIGTERM)
        weir.wait_log("signal: draining")
        response = client.ask("GET", "/late")
        assert response.status == 200
        assert response.get("connection").lower() == "close"
        assert client.is_closed()
        weir.ended()


def test_an_idle_connection_is_closed_in_order():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        assert client.ask().status == 200
        weir.signal(signal.SIGTERM)
        assert client.is_closed()
        weir.ended()


def test_connections_waiting_to_be_accepted_are_served():
    """Those the kernel completed before the signal must not be reset."""
    with Backend() as backend, start(backend) as weir:
        clients = [weir.client() for _ in range(50)]
        for client in clients:
            client.send(http1.request())
        weir.signal(signal.SIGTERM)
        for client in clients:
            assert client.response().status == 200
        weir.ended()


@pytest.mark.parametrize("first", STOP)
@pytest.mark.parametrize("second", STOP)
def test_a_second_signal_stops_at_once(first, second):
    with Backend(lambda c: (c.request(), c.reader.rest())) as backend, start(backend) as weir:
        with weir.client() as client:
            client.send(http1.request())
            until(lambda: backend.heads, "the request")
            weir.signal(first)
            weir.wait_log("signal: draining")
            weir.signal(second)
            weir.ended()
            assert any("second signal" in line["msg"] for line in weir.log())
            with pytest.raises((http1.Cut, ConnectionResetError)):
                client.response()


def waits_for_the_end(weir, name):
    """Is that thread through with its work?"""
    for task in pathlib.Path(f"/proc/{weir.serving}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return (task / "syscall").read_text().split()[0] == "202"  # futex
    return False


def test_a_second_signal_in_the_moment_of_the_end_changes_nothing():
    """The thread that hears signals learns in the same turn that the last worker has ended."""
    go = threading.Event()
    with Backend(held(go)) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        weir.signal(signal.SIGTERM)
        weir.wait_log("signal: draining")
        with Stopped(weir.serving):
            go.set()
            assert client.response().status == 200
            until(lambda: waits_for_the_end(weir, "weir/0"), "the worker to be through")
            weir.signal(signal.SIGTERM)
        weir.ended()
        assert weir.log()[-1]["msg"] == "stopped"


def test_shutdown_timeout_cuts_what_is_left():
    runtime = {"shutdown_timeout": "200ms"}
    with Backend(lambda c: (c.request(), c.reader.rest())) as backend:
        with start(backend, runtime=runtime) as weir, weir.client() as client:
            client.send(http1.request())
            until(lambda: backend.heads, "the request")
            weir.signal(signal.SIGTERM)
            weir.ended()
            assert any("shutdown_timeout" in line["msg"] for line in weir.log())
            with pytest.raises((http1.Cut, ConnectionResetError)):
                client.response()


def half(connection):
    if connection.request().target == "/half":
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 1000") + b"x" * 500)
    connection.reader.rest()


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_cut_of_http2_is_said(tls):
    words = {"certificates": [papers().files("site")], "frontend": {"tls": True}} if tls else {}
    with Backend(half) as backend, \
            start(backend, runtime={"shutdown_timeout": "200ms"}, **words) as weir, \
            h2.Client(weir.address, greet=not tls) as client:
        if tls:
            context = papers().client_context()
            context.set_alpn_protocols(["h2"])
            client.sock = context.wrap_socket(client.sock, server_hostname="site.example")
            client.send(h2.PREFACE, h2.SettingsFrame(0))
        streams = [client.ask("GET", path) for path in ("/never", "/half", "/never")]
        client.until(lambda: len(client.stream(streams[1]).body) == 500)
        until(lambda: len(backend.heads) == 3, "the requests")
        weir.signal(signal.SIGTERM)
        client.finish()
        assert [client.stream(each).reset for each in streams] == [2, 2, 2]  # INTERNAL_ERROR
        assert client.goaway.error_code == 0 and not client.was_reset
        weir.ended()


def test_who_takes_nothing_of_http2_is_not_waited_for():
    with Backend(fixed(200, body=bytes(1 << 20))) as backend, \
            start(backend, runtime={"shutdown_timeout": "200ms"}) as weir, \
            h2.Client(weir.address, settings={4: (1 << 31) - 1}) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(h2.WindowUpdateFrame(0, 1 << 30))
        for i in range(40):
            client.ask("GET", f"/{i}")
        until(lambda: len(backend.heads) > 5, "some of the requests")
        weir.signal(signal.SIGTERM)
        weir.ended()


def test_tcp_connections_may_finish():
    with Backend(tcp_echo) as backend, start(backend, protocol="tcp", workers=2) as weir:
        clients = [weir.client() for _ in range(8)]
        for client in clients:
            client.send(b"one")
            assert client.reader.exactly(3) == b"one"
        weir.signal(signal.SIGTERM)
        until(lambda: refuses(weir.address), "the listener to close")
        for client in clients:
            client.send(b"two").end()
            assert client.reader.exactly(3) == b"two"
            assert client.is_closed()
        weir.ended()


def test_an_upload_may_finish():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 300000"),
                    b"x" * 100000)
        until(lambda: backend.heads, "the request")
        weir.signal(signal.SIGTERM)
        until(lambda: refuses(weir.address), "the listener to close")
        client.send(b"x" * 200000)
        assert '"length": 300000' in client.response().text
        weir.ended()


def test_a_unix_socket_is_removed(tmp_path):
    path = f"{tmp_path}/s"
    with Backend() as backend, start(backend, bind=f"unix:{path}") as weir:
        assert os.path.exists(path)
        weir.signal(signal.SIGTERM)
        weir.ended()
        assert not os.path.exists(path)


def test_the_address_is_free_again():
    with Backend() as backend:
        port = free_port()
        for _ in range(3):
            with start(backend, bind=f"{HOST}:{port}") as weir:
                assert weir.ask().status == 200


@pytest.mark.parametrize("number, level", [
    (signal.SIGHUP, "notice"), (signal.SIGUSR1, "notice")])
def test_signals_that_do_not_end_it_say_what_they_do(number, level):
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        assert client.ask().status == 200
        weir.signal(number)
        name = signal.Signals(number).name[3:]
        until(lambda: any(line.get("signal") == name for line in weir.log()), "its line")
        line, = [line for line in weir.log() if line.get("signal") == name]
        assert line["level"] == level
        assert client.ask().status == 200


def test_sigpipe_is_nothing():
    with Backend() as backend, start(backend) as weir:
        weir.signal(signal.SIGPIPE)
        assert weir.ask().status == 200


def test_many_connections_at_the_end():
    """Keep-alive connections, half heads, running requests and tunnels, all at one signal."""
    def script(connection):
        while message := connection.request():
            if message.has("upgrade"):
                connection.send(http1.head("HTTP/1.1 101 Switching", "Connection: upgrade",
                                           "Upgrade: x"))
                connection.reader.rest()
                return
            if message.target == "/never":
                connection.reader.rest()
                return
            connection.send(echo(message))

    runtime = {"shutdown_timeout": "300ms"}
    with Backend(script) as backend, start(backend, workers=2, runtime=runtime) as weir:
        for _ in range(10):
            weir.client().ask()
            weir.client().send(b"GET / HT")
            weir.client().send(http1.request("GET", "/never"))
            tunnel = weir.client()
            tunnel.send(http1.request("GET", "/", "Connection: upgrade", "Upgrade: x"))
            assert tunnel.response().status == 101
            weir.client()
        weir.signal(signal.SIGTERM)
        weir.ended()


def test_a_stop_in_the_middle_of_a_transfer():
    def script(connection):
        connection.request()
        try:
            connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 1000000000"))
            while True:
                connection.send(b"x" * 100000)
        except OSError:
            pass

    with Backend(script) as backend, start(backend) as weir:
        client = weir.client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(http1.request())
        assert client.reader.response_head().status == 200
        weir.signal(signal.SIGTERM)
        weir.wait_log("signal: draining")
        weir.signal(signal.SIGTERM)
        weir.ended()
