# SPDX-License-Identifier: Apache-2.0
"""Descriptors and connections run out: nothing dies, accepting pauses and goes on."""
import resource

import pytest

from peers import http1
from peers.backend import Backend, echo, serve
from peers.net import until
from peers.weir import start


def limited(number):
    return ("prlimit", f"--nofile={number}:{number}")


def test_the_hard_limit_is_taken():
    with Backend() as backend:
        with start(backend, wrapper=("prlimit", "--nofile=256:2048")) as weir:
            line, = [line for line in weir.log() if "serves" in line["msg"]]
            assert line["descriptors"] == 2048
            assert 256 < line["max_connections"] < 1024


def test_max_connections_beyond_the_descriptors_is_lowered_with_a_warning():
    runtime = {"max_connections": 100000}
    with Backend() as backend, start(backend, wrapper=limited(1024), runtime=runtime) as weir:
        warning, = [line for line in weir.log() if line["level"] == "warn"]
        assert warning["wanted"] == 100000
        assert warning["max_connections"] < 512
        assert weir.ask().status == 200


def test_more_clients_than_connections_wait_for_their_turn():
    with Backend() as backend:
        with start(backend, runtime={"max_connections": 16}) as weir:
            first = [weir.client() for _ in range(16)]
            for client in first:
                assert client.ask().status == 200
            waiting = [weir.client() for _ in range(20)]  # in the kernel's queue
            for client in waiting:
                client.send(http1.request("GET", "/waited"))
            for client in first:
                assert client.ask().status == 200
            for client in first:
                client.close()
            for client in waiting:
                assert '"/waited"' in client.response().text
                client.close()


def test_descriptors_run_out_and_come_back():
    with Backend(serve(echo)) as backend, start(backend, pool={"limits": {
            "idle_connections": "none"}}) as weir:
        client = weir.client()
        assert client.ask().status == 200
        before = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (weir.fds(), before[1]))
        extra = [weir.client() for _ in range(5)]
        for each in extra:
            each.send(http1.request("GET", "/extra"))
        weir.wait_log("accepting pauses")
        # A running connection goes on, although it gets no descriptor for a backend.
        assert client.ask().status == 503
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, before)
        for each in extra:
            assert each.response().status == 200
        assert client.ask().status == 200
        assert len([line for line in weir.log() if line["msg"] == "accepting pauses"]) < 5


def test_descriptors_run_out_for_a_tunnel():
    with Backend(lambda c: c.reader.rest()) as backend:
        with start(backend, protocol="tcp") as weir:
            before = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (weir.fds() + 1, before[1]))
            client = weir.client()  # its own descriptor, and none for the backend
            try:
                assert client.is_closed()
            except ConnectionResetError:
                pass
            resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, before)
            with weir.client() as client:
                client.send(b"x")
                until(lambda: backend.received == 1, "the byte")


@pytest.mark.parametrize("number", [100, 90])
def test_very_few_descriptors(number):
    with Backend() as backend, start(backend, wrapper=limited(number)) as weir:
        for _ in range(20):
            assert weir.ask().status == 200
