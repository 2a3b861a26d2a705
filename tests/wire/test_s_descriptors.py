# SPDX-License-Identifier: Apache-2.0
"""Descriptors and connections run out: nothing dies, accepting pauses and goes on."""
import datetime
import re
import select
import sys
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.weir import REPORTS, Weir, settings, start, told


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


FILL = """
import os, sys
for _ in range(int(sys.argv[1])):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def few_descriptors(left, **rest):
    """A wrapper that leaves weir so many open files to inherit that `left` descriptors are free."""
    limit = 256
    with Backend() as backend, start(backend, wrapper=limited(limit), **rest) as weir:
        own = weir.fds()
    return sys.executable, "-c", FILL, str(limit - own - left), *limited(limit)


def readable(clients):
    return select.select([client.sock for client in clients], [], [], 0)[0]


def test_descriptors_run_out_and_come_back():
    wrapper = few_descriptors(8)
    pool = {"limits": {"idle_connections": "none"}}
    with Backend() as backend, start(backend, pool=pool, wrapper=wrapper) as weir:
        first = [weir.client() for _ in range(3)]
        for client in first:
            assert client.ask().status == 200
        extra = [weir.client() for _ in range(10)]
        for client in extra:
            client.send(http1.request("GET", "/extra"))
        # One that was let in frees the descriptor for its backend again, until all eight are
        # clients'.
        until(lambda: len(readable(extra)) == 5, "five more to have an answer")
        weir.wait_log("accepting pauses")
        # A running connection goes on, although there is no descriptor for its backend.
        response = first[0].ask()
        assert response.status == 503
        assert "overloaded" in response.text
        # It is tried again all the time, and told only when it had succeeded in between.
        time.sleep(1.2)
        _, pauses = told(weir.log(), "accepting pauses")
        assert pauses <= 1 + 5
        for client in first:
            client.close()
        for client in extra:
            assert client.response().status in (200, 503)
            client.close()
        assert weir.ask().status == 200


def test_a_drought_that_comes_and_goes_is_told_once_a_second():
    """Each connection that closes lets another in, and then there is no descriptor again."""
    wrapper = few_descriptors(8)
    pool = {"limits": {"idle_connections": "none"}}
    with Backend() as backend, start(backend, pool=pool, wrapper=wrapper) as weir:
        clients = [weir.client() for _ in range(40)]
        weir.wait_log("accepting pauses")
        for client in clients:
            client.close()
            time.sleep(0.06)
    lines, pauses = told(weir.last_log, "accepting pauses")
    assert pauses >= 5
    assert len(lines) < pauses
    at = [datetime.datetime.fromisoformat(line["time"].rstrip("Z")) for line in lines]
    spans = [(after - before).total_seconds() for before, after in zip(at, at[1:])]
    # The end tells the rest as soon as it comes.
    assert all(span >= 0.9 for span in spans[:-1]), spans


def test_descriptors_run_out_for_a_tunnel():
    wrapper = few_descriptors(5, protocol="tcp")
    with Backend(lambda c: c.reader.rest()) as backend:
        with start(backend, protocol="tcp", wrapper=wrapper) as weir:
            good = [weir.client() for _ in range(2)]
            backend.wait_connections(2)
            try:
                client = weir.client()  # a descriptor for itself, and none for its backend
                assert client.is_closed()
            except ConnectionResetError:
                pass
            weir.wait_log("Too many open files")
            for client in good:
                client.send(b"x")
            until(lambda: backend.received == 2, "the others to go on")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_frontends_connections_are_limited(workers):
    """Exactly, over all workers; the others wait and have their turn."""
    frontend = {"limits": {"connections": 5}}
    with Backend() as backend, start(backend, frontend=frontend, workers=workers) as weir:
        first = [weir.client() for _ in range(5)]
        for client in first:
            assert client.ask().status == 200
        waiting = [weir.client() for _ in range(10)]
        for client in waiting:
            client.send(http1.request("GET", "/waited"))
        for client in first:
            for _ in range(20):
                assert client.ask().status == 200
        assert "/waited" not in [head.target for head in backend.heads]
        for client in first:
            client.close()

        def take_turn(client):
            served.append(client.response().status)
            client.close()

        served = []
        threads = [threading.Thread(target=take_turn, args=(client,)) for client in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served == [200] * 10


def test_the_limit_of_one_frontend_does_not_touch_another():
    limited_one, free = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    with Backend() as backend:
        tree, _ = settings([backend], bind=limited_one, frontend={"limits": {"connections": 1}})
        tree["frontends"]["free"] = {"bind": free, "pool": "app"}
        with Weir(tree, address=free) as weir:
            clients = [weir.client(limited_one) for _ in range(5)]
            assert clients[0].ask().status == 200
            for _ in range(50):
                assert weir.ask().status == 200


def test_workers_that_run_end_when_another_cannot_start():
    """There are enough for all listeners, and for the loops of some workers. What the others use is
    given back only when they have ended."""
    workers, few = 32, limited(60)
    with Backend() as backend, pytest.raises(AssertionError, match="cannot start") as failed:
        start(backend, workers=workers, wrapper=few, env={"WEIR_RUNTIME__WORKERS": str(workers)},
              runtime={"keeper": False})
    said = str(failed.value)
    assert "weir ended with 1:" in said
    assert re.search("worker [1-9][0-9]* cannot start", said)
    for word in REPORTS:
        assert word not in said


@pytest.mark.parametrize("number", [100, 90])
def test_very_few_descriptors(number):
    with Backend() as backend, start(backend, wrapper=limited(number)) as weir:
        for _ in range(20):
            assert weir.ask().status == 200
