# SPDX-License-Identifier: Apache-2.0
"""Failures and bounds of TCP pools: a connection has only its connect to repeat."""
import contextlib
import threading

import pytest

from peers.backend import Backend, Counting, full_listener, tcp_echo
from peers.net import HOST, free_port, until
from peers.weir import start


def dead():
    return f"{HOST}:{free_port()}"


def tcp(*backends, **rest):
    return start(*backends, protocol="tcp", **rest)


def bounded(backend, most):
    return {"address": backend.address, "max_connections": most}


def turns_away(weir):
    """A new connection ends without a word: closed or reset, perhaps while it is being made."""
    try:
        with weir.client() as client:
            return client.rest() == b""
    except ConnectionResetError:
        return True


def echoes(client, data=b"hello"):
    client.send(data)
    return client.reader.exactly(len(data)) == data


# ---- Connects -----------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
def test_a_backend_that_refuses_is_passed_over(workers):
    with Backend(tcp_echo) as backend, tcp(dead(), backend, dead(), workers=workers) as weir:
        for i in range(12):
            with weir.client() as client:
                assert echoes(client, b"%d" % i)
        assert len(backend.connections) == 12


def test_what_the_client_has_sent_meanwhile_is_not_lost():
    with Backend(tcp_echo) as backend, tcp(dead(), dead(), backend) as weir:
        for _ in range(6):
            with weir.client() as client:
                client.send(b"x" * 50000).end()
                assert client.rest() == b"x" * 50000


def test_one_that_does_not_answer_is_passed_over():
    listener, silent, fillers = full_listener()
    pool = {"timeouts": {"connect": "200ms"}}
    with Backend(tcp_echo) as backend, tcp(silent, backend, pool=pool) as weir:
        for _ in range(4):
            with weir.client() as client:
                assert echoes(client)
    for sock in (listener, *fillers):
        sock.close()


def test_all_refuse():
    pool = {"retry": {"max_attempts": 4, "backoff": {"base": "1ms"}}}
    with tcp(dead(), dead(), pool=pool) as weir:
        assert turns_away(weir)
        weir.wait_log("connection_refused")


def test_one_that_comes_while_the_connection_waits():
    port = free_port()
    pool = {"retry": {"max_attempts": 16, "backoff": {"base": "20ms", "max": "200ms"}}}
    with tcp(f"{HOST}:{port}", pool=pool) as weir, weir.client() as client:
        client.send(b"early")
        weir.wait_log("connect failed")
        with Backend(tcp_echo, port=port):
            assert client.reader.exactly(5) == b"early"
            assert echoes(client)
            client.end()
            assert client.is_closed()


def test_a_backend_that_closes_at_once_is_no_failure_to_connect():
    """Its end is passed on; the connection is not made again, because it may have said something."""
    with Backend(lambda connection: None) as one, Backend(tcp_echo) as two, tcp(one, two) as weir:
        with weir.client() as client:
            assert client.is_closed()
        assert len(one.connections) == 1 and not two.connections


# ---- Bounds -------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("most", [1, 3])
def test_never_more_connections_than_may_be(most, workers):
    with Counting(tcp_echo) as backend, tcp(bounded(backend, most), workers=workers) as weir:
        def work(i):
            for n in range(8):
                with weir.client() as client:
                    data = b"%d-%d" % (i, n)
                    assert echoes(client, data)
                    client.end()
                    assert client.is_closed()

        errors = []

        def run(i):
            try:
                work(i)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert backend.open_most <= most
        assert len(backend.connections) == 80


def test_who_waits_is_served_in_order():
    """With what it has sent so far."""
    with Counting(tcp_echo) as backend, tcp(bounded(backend, 1)) as weir:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(weir.client()) for _ in range(6)]
            for i, client in enumerate(clients):
                client.send(b"%d" % i)
            for i, client in enumerate(clients):
                assert client.reader.exactly(1) == b"%d" % i
                assert len(backend.connections) == i + 1
                client.end()
                assert client.is_closed()
        assert backend.open_most == 1


def test_who_waits_too_long_is_closed():
    pool = {"timeouts": {"queue": "200ms"}}
    with Counting(tcp_echo) as backend, tcp(bounded(backend, 1), pool=pool) as weir:
        with weir.client() as first:
            assert echoes(first)
            for _ in range(3):
                assert turns_away(weir)
            assert echoes(first)
        until(lambda: backend.open() == 0, "the end")
        with weir.client() as third:
            assert echoes(third)
        assert len(backend.connections) == 2


def test_nobody_may_wait():
    pool = {"limits": {"queue": 0}}
    with Counting(tcp_echo) as backend, tcp(bounded(backend, 1), pool=pool) as weir:
        with weir.client() as first:
            assert echoes(first)
            assert turns_away(weir)
            assert echoes(first)


def test_who_goes_away_while_it_waits_is_in_nobodys_way():
    with Counting(tcp_echo) as backend, tcp(bounded(backend, 1)) as weir:
        before = weir.fds()
        with weir.client() as first:
            assert echoes(first)
            fds = weir.fds()
            waiting = [weir.client() for _ in range(3)]
            until(lambda: weir.fds() == fds + 3, "three who wait")
            waiting[0].reset()
            waiting[2].reset()
            first.end()
            assert first.is_closed()
            assert echoes(waiting[1])
            waiting[1].end()
            assert waiting[1].is_closed()
            until(lambda: weir.fds() == before, "all descriptors to come back")
        assert backend.open_most == 1


def test_connections_of_a_pool():
    with Backend(tcp_echo) as one, Backend(tcp_echo) as two:
        with tcp(one, two, pool={"limits": {"requests": 3}}) as weir:
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(weir.client()) for _ in range(5)]
                for client in clients[:3]:
                    assert echoes(client)
                for client in clients[3:]:
                    client.send(b"wait")
                assert not one.connections[0].closed.wait(0.2)
                assert len(one.connections) + len(two.connections) == 3
                for i in (0, 1):
                    clients[i].reset()
                for client in clients[3:]:
                    assert client.reader.exactly(4) == b"wait"


def test_a_connection_that_breaks_leaves_its_place():
    def script(connection):
        connection.reader.exactly(1)
        connection.reset()

    with Counting(script) as backend, tcp(bounded(backend, 1)) as weir:
        for _ in range(10):
            with weir.client() as client:
                client.send(b"x")
                try:
                    assert client.rest() == b""
                except ConnectionResetError:
                    pass
        assert len(backend.connections) == 10
        assert backend.open_most == 1
