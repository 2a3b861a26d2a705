# SPDX-License-Identifier: Apache-2.0
"""Bounds on backends and pools: never more sockets than max_connections, requests wait in order, and
those who cannot wait hear so at once."""
import collections
import contextlib
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend, Counting, Gate, echo, fixed, serve
from peers.net import HOST, free_port, until
from peers.weir import start


@contextlib.contextmanager
def bounded(script=None, sockets=1, count=1, **rest):
    """Weir in front of `count` counting backends with so many sockets each."""
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Counting(script, name=str(i))) for i in range(count)]
        weir = stack.enter_context(start(
            *[{"address": each.address, "max_connections": sockets} for each in backends], **rest))
        try:
            yield weir, *backends
        finally:
            if isinstance(script, Gate):
                script.open()


def together(work, count):
    """Runs work(0), work(1), ... in threads and raises what they raise."""
    errors = []

    def run(i):
        try:
            work(i)
        except BaseException as error:  # told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def ask_all(clients):
    """One request on each client, one after the other."""
    for i, client in enumerate(clients):
        client.send(http1.request("GET", f"/{i}"))


# ---- Sockets ------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("sockets", [1, 3])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_never_more_sockets_than_may_be(sockets, workers, method):
    """Many clients, some on new connections (whose POSTs want fresh connections to the backend)."""
    with bounded(None, sockets, workers=workers) as (weir, backend):
        def work(i):
            body = {"body": b"x" * i} if method == "POST" else {}
            with weir.client() as client:
                for n in range(10):
                    response = client.ask(method, f"/{i}-{n}", **body)
                    assert response.status == 200 and f'"/{i}-{n}"' in response.text
            for n in range(5):
                assert weir.ask(method, f"/once-{i}-{n}", **body).status == 200

        together(work, 16)
        assert backend.open_most <= sockets
        assert len(backend.heads) == 16 * 15
        targets = collections.Counter(head.target for head in backend.heads)
        assert set(targets.values()) == {1}  # nothing was asked twice


@pytest.mark.parametrize("workers", [1, 4])
def test_over_several_backends(workers):
    with bounded(None, 2, count=3, workers=workers) as (weir, *backends):
        def work(i):
            with weir.client() as client:
                for n in range(15):
                    assert client.ask("GET", f"/{i}-{n}").status == 200

        together(work, 20)
        assert max(backend.open_most for backend in backends) <= 2
        assert sum(len(backend.heads) for backend in backends) == 300
        assert min(len(backend.heads) for backend in backends) > 30


def test_all_places_are_used():
    gate = Gate()
    with bounded(gate, 3) as (weir, backend):
        clients = [weir.client() for _ in range(6)]
        ask_all(clients)
        gate.wait(3)
        assert backend.open_most == 3
        gate.open()
        for client in clients:
            assert client.response().status == 200
        assert backend.open_most == 3
        assert len(backend.connections) == 3


@pytest.mark.parametrize("end", ["close", "reset", "length"])
@pytest.mark.parametrize("workers", [1, 4])
def test_connections_that_end_in_any_way_leave_their_place(end, workers):
    def script(connection):
        message = connection.request()
        if not message:
            return
        if end == "close":
            connection.send(http1.response(200, "Connection: close", body=b"x"))
        elif end == "reset":
            connection.reset()
        else:
            connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 10") + b"cut")

    pool = {"retry": {"max_attempts": 1}}
    with bounded(script, 1, workers=workers, pool=pool) as (weir, backend):
        def work(_):
            for _ in range(5):
                try:
                    assert weir.ask().status == (200 if end == "close" else 502)
                except http1.Cut:
                    assert end == "length"

        together(work, 8)
        assert len(backend.heads) == 40
        assert backend.open_most == 1


def test_an_idle_connection_of_another_worker_is_no_obstacle():
    """One at a time, on whichever worker: the only place idles in the last one's."""
    with bounded(None, 1, workers=4) as (weir, backend):
        for i in range(40):
            assert weir.ask("GET", f"/{i}").status == 200
        assert backend.open_most == 1


def test_a_backend_that_closes_idle_connections():
    """A GET on the only connection, which has just been closed: its replay has the same place."""
    def script(connection):
        message = connection.request()
        connection.send(echo(message))

    with bounded(script, 1) as (weir, backend), weir.client() as client:
        for i in range(20):
            assert client.ask("GET", f"/{i}").status == 200
        assert backend.open_most == 1


def test_an_upgraded_connection_holds_its_place():
    def script(connection):
        message = connection.head()
        if message and message.target == "/up":
            connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Upgrade: echo",
                                       "Connection: upgrade"))
            connection.reader.rest()
        elif message:
            connection.send(echo(message))

    with bounded(script, 1) as (weir, backend), weir.client() as tunnel, weir.client() as client:
        tunnel.send(http1.request("GET", "/up", "Upgrade: echo", "Connection: upgrade"))
        assert tunnel.response().status == 101
        client.send(http1.request())
        assert not backend.connections[0].closed.wait(0.2)
        assert len(backend.heads) == 1
        tunnel.end()
        assert tunnel.is_closed()
        assert client.response().status == 200
        assert backend.open_most == 1


# ---- Order --------------------------------------------------------------------------------------

@pytest.mark.parametrize("sockets", [1, 2])
def test_first_come_first_served(sockets):
    """One worker: the queue drains in the order in which the requests came."""
    gate = Gate()
    with bounded(gate, sockets) as (weir, backend), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(weir.client()) for _ in range(12)]
        for client in clients:
            assert client.ask("GET", "/free").status == 200
        # Weir hears of what comes in the order in which it comes.
        ask_all(clients)
        for i in range(12):
            gate.let(f"/{i}")
            assert clients[i].response().status == 200
        # Two that are under way at the same time may be noted in either order.
        order = [int(head.target[1:]) for head in backend.heads[12:]]
        assert sorted(order) == list(range(12))
        assert max(abs(place - i) for i, place in enumerate(order)) < sockets


def test_who_goes_away_while_it_waits_is_not_asked_for():
    gate = Gate()
    with bounded(gate, 1) as (weir, backend):
        clients = [weir.client() for _ in range(5)]
        ask_all(clients)
        gate.wait()
        fds = weir.fds()
        for i in (1, 3):
            clients[i].reset()
        until(lambda: weir.fds() == fds - 2, "weir to see them go")
        gate.open()
        for i in (0, 2, 4):
            assert clients[i].response().status == 200
        assert sorted(head.target for head in backend.heads) == ["/0", "/2", "/4"]


def test_a_request_body_is_not_read_while_it_waits():
    gate = Gate(lambda message: http1.response(body=b"%d" % len(message.body)))
    with bounded(gate, 1) as (weir, backend), weir.client() as first, weir.client() as second:
        first.send(http1.request())
        gate.wait()
        second.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 300000"))
        thread = threading.Thread(target=lambda: second.send(b"x" * 300000))
        thread.start()
        assert not backend.connections[0].closed.wait(0.2)
        gate.open()
        thread.join()
        assert first.response().text == "0"
        assert second.response().text == "300000"
        assert backend.open_most == 1


# ---- Who may not wait ---------------------------------------------------------------------------

def test_a_full_queue_is_503_at_once():
    gate = Gate()
    pool = {"limits": {"queue": 2}}
    with bounded(gate, 1, pool=pool) as (weir, backend):
        waiting = [weir.client() for _ in range(3)]
        for i, client in enumerate(waiting):
            client.send(http1.request("GET", f"/{i}"))
        gate.wait()
        until(lambda: told_full(weir), "a full queue")
        response = weir.ask("GET", "/refused")
        assert response.status == 503
        assert "queue_full" in response.text
        assert int(response.get("retry-after")) >= 1
        assert response.get("proxy-status") == "weir; error=connection_limit_reached"
        gate.open()
        for client in waiting:
            assert client.response().status == 200
        assert weir.ask().status == 200


def told_full(weir):
    response = weir.ask("GET", "/probe")
    return response.status == 503 and "queue_full" in response.text


def test_nobody_may_wait():
    gate = Gate()
    with bounded(gate, 1, pool={"limits": {"queue": 0}}) as (weir, backend):
        with weir.client() as client:
            client.send(http1.request())
            gate.wait()
            for _ in range(5):
                assert "queue_full" in weir.ask().text
            gate.open()
            assert client.response().status == 200
        assert weir.ask().status == 200


@pytest.mark.parametrize("workers", [1, 4])
def test_waiting_has_an_end(workers):
    gate = Gate()
    pool = {"timeouts": {"queue": "200ms"}}
    with bounded(gate, 1, pool=pool, workers=workers) as (weir, backend), weir.client() as first:
        first.send(http1.request())
        gate.wait()
        with weir.client() as second:
            for _ in range(2):
                response = second.ask("GET", "/late")
                assert response.status == 503
                assert "queue_timeout" in response.text
                assert int(response.get("retry-after")) >= 1
                assert response.get("proxy-status") == "weir; error=connection_limit_reached"
            gate.open()
            assert first.response().status == 200
            until(lambda: second.ask().status == 200, "a place")
        assert not [head for head in backend.heads if head.target == "/late"]


def test_the_whole_requests_deadline_counts_while_it_waits():
    gate = Gate()
    routes = [{"match": {"path": "/late"}, "pool": "app", "timeouts": {"request": "300ms"}}]
    with bounded(gate, 1, frontend={"routes": routes}) as (weir, backend):
        with weir.client() as first, weir.client() as second:
            first.send(http1.request("GET", "/hold"))
            gate.wait()
            for _ in range(3):
                response = weir.ask("GET", "/late")
                assert response.status == 504
                assert "request_timeout" in response.text
            second.send(http1.request("GET", "/waits"))
            for _ in range(3):  # behind another one
                assert weir.ask("GET", "/late").status == 504
            gate.open()
            assert first.response().status == 200
            assert second.response().status == 200
        assert weir.ask("GET", "/fine").status == 200
        assert [head.target for head in backend.heads] == ["/hold", "/waits", "/fine"]


def test_a_standing_queue_is_shed():
    """Nobody waits long in a queue that does not empty; a short burst is no such queue."""
    gate = Gate()
    pool = {"limits": {"shed": {"target": "100ms", "interval": "200ms"}},
            "timeouts": {"queue": "20s"}}
    with bounded(gate, 1, pool=pool) as (weir, backend):
        clients = [weir.client() for _ in range(6)]
        ask_all(clients)
        gate.wait()
        for client in clients[1:]:
            response = client.response()
            assert response.status == 503 and "shed" in response.text
            assert int(response.get("retry-after")) >= 1
        gate.open()
        assert clients[0].response().status == 200
        assert len(backend.heads) == 1
        assert weir.ask().status == 200


def test_a_burst_is_not_shed():
    gate = Gate()
    pool = {"limits": {"shed": {"target": "1ms", "interval": "20s"}}}
    with bounded(gate, 1, pool=pool) as (weir, backend):
        clients = [weir.client() for _ in range(6)]
        ask_all(clients)
        gate.wait()
        assert not backend.connections[0].closed.wait(0.3)
        gate.open()
        for client in clients:
            assert client.response().status == 200


# ---- Bounds on requests -------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
def test_a_pool_serves_so_many_at_a_time(workers):
    gate = Gate()
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(gate)) for _ in range(2)]
        weir = stack.enter_context(
            start(*backends, pool={"limits": {"requests": 3}}, workers=workers))
        clients = [weir.client() for _ in range(12)]
        ask_all(clients)
        gate.wait(3)
        for _ in range(6):
            gate.let()
            gate.wait(3)
        gate.open()
        for client in clients:
            assert client.response().status == 200
        assert gate.inside_most == 3
        together(lambda _: [weir.ask() for _ in range(5)], 8)
        assert gate.inside_most == 3


def test_places_of_a_pool_come_back_after_any_end():
    scripts = {"/ok": echo, "/none": lambda _: None, "/bad": lambda _: b"nonsense\r\n\r\n"}
    pool = {"limits": {"requests": 1}, "retry": {"max_attempts": 1}}
    with Backend(serve(lambda message: scripts[message.target](message))) as backend:
        with start(backend, dead(), pool=pool) as weir:
            for _ in range(5):
                for target in scripts:
                    weir.ask("GET", target)
                weir.client().send(http1.request("GET", "/ok")).reset()
            until(lambda: weir.ask("GET", "/ok").status == 200, "an answer")


def dead():
    return f"{HOST}:{free_port()}"


def test_the_adaptive_limit_serves_all():
    """Whatever it finds, nobody is lost, and the bound holds."""
    gate = Gate()
    pool = {"limits": {"adaptive": {"enabled": True, "min": 1, "max": 4, "start": 2}}}
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(Backend(gate))
        weir = stack.enter_context(start(backend, pool=pool, workers=2))
        clients = [weir.client() for _ in range(8)]
        ask_all(clients)
        gate.wait(2)
        assert not backend.connections[0].closed.wait(0.2)
        assert len(gate.waiting) == 2
        gate.open()
        for client in clients:
            assert client.response().status == 200

        def work(i):
            with weir.client() as client:
                for n in range(50):
                    assert client.ask("GET", f"/{i}-{n}").status == 200

        together(work, 12)
        assert gate.inside_most <= 4
        assert len(backend.heads) == 8 + 600


# ---- Together with retries ----------------------------------------------------------------------

def test_a_retry_that_waits_for_another_backend_holds_up_nobody():
    """The first backend fails, the second is full: the retry waits for that one. Meanwhile the first
    one serves whoever comes."""
    gate = Gate()
    failing = fixed(503, body=b"no")

    def first(connection):
        while message := connection.request():
            connection.send(http1.response(503, body=b"no") if message.target == "/fails"
                            else http1.response(body=b"first"))

    with Counting(first) as one, Counting(gate) as two:
        pool = {"algorithm": "first", "retry": {"backoff": {"base": "0ms"}},
                "limits": {"requests": 50}}
        backends = [{"address": each.address, "max_connections": 1} for each in (one, two)]
        with start(*backends, pool=pool) as weir, contextlib.ExitStack() as stack:
            stack.callback(gate.open)
            holder, retried, other = (stack.enter_context(weir.client()) for _ in range(3))
            holder.send(http1.request("GET", "/fails"))  # goes on to the second, and stays there
            gate.wait()
            retried.send(http1.request("GET", "/fails"))
            until(lambda: len(one.heads) == 2, "the first try")
            began = weir.cpu_seconds()
            for i in range(10):
                assert other.ask("GET", f"/{i}").text == "first"
            time.sleep(0.5)
            assert weir.cpu_seconds() - began < 0.25  # it sleeps while it waits
            assert len(two.heads) == 1
            gate.open()
            assert holder.response().status == 200
            assert retried.response().status == 200
            assert [head.target for head in two.heads] == ["/fails"] * 2
            assert one.open_most == two.open_most == 1
    assert failing


@pytest.mark.parametrize("workers", [1, 4])
def test_failing_backends_with_bounds(workers):
    """Retries, queues and bounds at once: every request has one answer, no bound is passed."""
    def script(connection):
        while message := connection.request():
            turn = len(connection.backend.heads) % 7
            if turn == 0:
                connection.reset()
                return
            if turn == 1:
                connection.send(http1.response(503, "Connection: close", body=b"no"))
                return
            connection.send(echo(message))

    pool = {"retry": {"max_attempts": 8, "backoff": {"base": "1ms"}, "budget_min": 100000}}
    with bounded(script, 2, count=3, workers=workers, pool=pool) as (weir, *backends):
        def work(i):
            with weir.client() as client:
                for n in range(25):
                    response = client.ask("GET", f"/{i}-{n}")
                    assert response.status == 200 and f'"/{i}-{n}"' in response.text

        together(work, 12)
        assert max(backend.open_most for backend in backends) <= 2


def test_a_replay_keeps_its_turn():
    """The only connection goes stale under a request while others wait: they have waited for that
    request, and it did not have its answer."""
    hold = threading.Event()

    def script(connection):
        message = connection.request()
        connection.send(echo(message))
        if connection.index == 0:
            connection.request()
            hold.wait(30)
            return
        serve(echo)(connection)

    with bounded(script, 1) as (weir, backend), contextlib.ExitStack() as stack:
        stack.callback(hold.set)
        clients = [stack.enter_context(weir.client()) for _ in range(5)]
        assert clients[0].ask("GET", "/first").status == 200
        clients[0].send(http1.request("GET", "/0"))
        until(lambda: len(backend.heads) == 2, "the request on the kept connection")
        for i, client in enumerate(clients[1:]):
            client.send(http1.request("GET", f"/{i + 1}"))
        assert not backend.connections[0].closed.wait(0.2)
        hold.set()
        for client in clients:
            assert client.response().status == 200
        assert [head.target for head in backend.heads[1:3]] == ["/0", "/0"]
        assert backend.open_most == 1
