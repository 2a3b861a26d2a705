# SPDX-License-Identifier: Apache-2.0
"""Round robin with weights, exact across workers; several workers share the load."""
import collections
import contextlib
import threading

import pytest

from peers import http1
from peers.backend import Backend, fixed
from peers.client import Client
from peers.net import HOST, free_port, until
from peers.weir import Weir, settings, start


@contextlib.contextmanager
def pool_of(*names):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Backend(fixed(200, body=name.encode()))) for name in names]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_requests_in_turn(workers):
    """One after the other: request n+1 goes to the next backend, whichever worker took it."""
    with pool_of("a", "b", "c") as backends, start(*backends, workers=workers) as weir:
        with weir.client() as client:
            assert "".join(client.ask().text for _ in range(31)) == ("abc" * 11)[:31]
        order = "".join(weir.ask().text for _ in range(60))
        assert order == ("bca" * 20)


@pytest.mark.parametrize("workers", [1, 4])
def test_connections_in_turn(workers):
    """n backends: connection n+1 is the first one's again."""
    backends = [Backend(lambda c, i=i: (c.send(b"%d" % i), c.reader.rest())) for i in range(3)]
    with start(*backends, protocol="tcp", workers=workers) as weir:
        for n in range(31):
            with weir.client() as client:
                assert client.reader.exactly(1) == b"%d" % (n % 3)
    for backend in backends:
        backend.stop()


def test_shares_are_exact_under_concurrency():
    with pool_of("a", "b", "c") as backends, start(*backends, workers=4) as weir:
        clients = [weir.client() for _ in range(12)]
        for _ in range(10):
            for client in clients:
                client.send(http1.request() * 5)
            for client in clients:
                for _ in range(5):
                    assert client.response().status == 200
        counts = [len(backend.heads) for backend in backends]
        assert sum(counts) == 600
        assert max(counts) - min(counts) <= 1


def test_weights_interleave():
    with pool_of("a", "b", "c") as backends:
        weighted = [{"address": backend.address, "weight": weight}
                    for backend, weight in zip(backends, (5, 1, 1))]
        with start(*weighted) as weir, weir.client() as client:
            order = "".join(client.ask().text for _ in range(70))
            assert collections.Counter(order) == {"a": 50, "b": 10, "c": 10}
            assert order == order[:7] * 10
            assert "aaaaa" not in order  # smooth: five of seven, but never five in a row
            assert "bb" not in order and "cc" not in order


def test_weight_zero_takes_nothing():
    with pool_of("a", "b") as backends:
        weighted = [{"address": backends[0].address, "weight": 0}, backends[1]]
        with start(*weighted) as weir:
            assert "".join(weir.ask().text for _ in range(6)) == "bbbbbb"
            assert len(backends[0].connections) == 0


def test_one_that_is_dead_leaves_even_shares():
    with pool_of("a", "b") as backends:
        with start(backends[0], f"{HOST}:{free_port()}", backends[1]) as weir:
            order = "".join(weir.ask().text for _ in range(60))
            assert collections.Counter(order)["a"] >= 20
            assert collections.Counter(order)["b"] >= 20


def test_each_worker_gets_its_share_of_connections():
    """64 keep-alive connections over 4 workers. Each worker keeps idle connections of its own to the
    backend, so the number of those tells how many workers there are that serve."""
    with pool_of("a") as backends, start(*backends, workers=4) as weir:
        clients = [weir.client() for _ in range(64)]
        for client in clients:  # one at a time: a worker needs one backend connection only
            assert client.ask().status == 200
        assert len(backends[0].connections) == 4
        served = collections.Counter(head.connection.index for head in backends[0].heads)
        assert sum(served.values()) == 64
        assert min(served.values()) >= 8 and max(served.values()) <= 24


def test_more_workers_than_processors():
    with pool_of("a") as backends, start(*backends, workers=16) as weir:
        assert len([name for name in weir.threads()]) >= 17
        for _ in range(40):
            assert weir.ask().status == 200


def test_workers_pinned():
    with pool_of("a") as backends:
        with start(*backends, workers=2, runtime={"pin": True}) as weir:
            assert weir.ask().status == 200


def test_connections_that_come_while_it_starts():
    """The first worker takes connections before the last one runs."""
    with pool_of("a") as backends:
        tree, address = settings(backends, workers=8)
        stop, served = threading.Event(), []

        def knock():
            while not stop.is_set():
                try:
                    with Client(address) as client:
                        served.append(client.ask().status)
                except OSError:
                    pass  # nobody listens yet, or no more

        for _ in range(5):
            stop.clear()
            threads = [threading.Thread(target=knock) for _ in range(4)]
            for thread in threads:
                thread.start()
            with Weir(tree, address=address):
                count = len(served)
                until(lambda count=count: len(served) > count + 20, "answers")
                stop.set()
                for thread in threads:
                    thread.join()
        assert set(served) == {200}
