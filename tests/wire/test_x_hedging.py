# SPDX-License-Identifier: Apache-2.0
"""A slow request is sent to a second backend as well; the first answer counts, the other one is
cancelled, and all that is paid from the retry budget."""
import contextlib

import pytest

from peers import http1
from peers.backend import Backend, Gate, echo
from peers.net import until
from peers.weir import start

HEDGE = {"after": "50%", "delay_min": "50ms"}
RETRY = {"backoff": {"base": "0ms"}, "budget_window": "1h", "budget_min": 100}
WARM = 10  # requests to learn from


class Slow(Gate):
    """Lets everything through but what is called slow, until it is told."""

    def __init__(self, name, others=None):
        super().__init__(lambda message: http1.response(body=name))
        self.others = others

    def __call__(self, connection):
        while message := connection.request():
            if not message.target.startswith("/slow"):
                connection.send(self.answer(message))
            elif self.others:
                self.others(connection)
                return
            else:
                with self.condition:
                    self.waiting.append(message)
                    self.condition.notify_all()
                    self.condition.wait_for(
                        lambda: self.is_open or message not in self.waiting, 30)
                connection.send(self.answer(message))


@contextlib.contextmanager
def hedged(*gates, hedge=None, retry=None, warm=WARM, **rest):
    """A pool that has learned; its next request goes to the first backend."""
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(gate)) for gate in gates]
        # None of the requests to learn from has a copy, however slow the machine is.
        learns = {"samples_min": warm * len(gates)}
        pool = {"hedge": {**HEDGE, **learns, **(hedge or {})}, "retry": {**RETRY, **(retry or {})},
                **rest.pop("pool", {})}
        weir = stack.enter_context(start(*backends, pool=pool, **rest))
        with weir.client() as client:
            for _ in range(warm * len(backends)):
                assert client.ask().status == 200
        yield weir, backends
        for gate in gates:
            gate.open()


def slow(backend):
    """The slow requests that it got."""
    return [head for head in backend.heads if head.target.startswith("/slow")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_the_second_answers_first(method):
    gates = Slow("first"), Slow("second")
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request(method, "/slow"))
        gates[0].wait()
        gates[1].wait()
        gates[1].open()
        response = client.response(method)
        assert response.status == 200
        assert method == "HEAD" or response.text == "second"
        # The loser is cancelled, and the client's connection goes on.
        gates[0].open()
        assert slow(backends[0])[0].connection.closed.wait(20)
        assert client.ask().status == 200
        assert [len(slow(backend)) for backend in backends] == [1, 1]


def test_the_loser_hears_of_it():
    """Its connection is reset while it still works."""
    def works(connection):
        connection.reader.rest()  # to weir's end

    gates = Slow("first", works), Slow("second")
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[1].wait()
        gates[1].open()
        assert client.response().text == "second"
        assert slow(backends[0])[0].connection.closed.wait(20)


def test_the_first_answers_first():
    def works(connection):
        connection.reader.rest()

    gates = Slow("first"), Slow("second", works)
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[0].wait()
        backends[1].wait_connections(1)
        until(lambda: slow(backends[1]), "the copy")
        gates[0].open()
        assert client.response().text == "first"
        assert slow(backends[1])[0].connection.closed.wait(20)
        assert client.ask().status == 200


def test_fast_requests_have_no_copies():
    gates = Slow("a"), Slow("b")
    with hedged(*gates, hedge={"delay_min": "20s"}) as (weir, backends), weir.client() as client:
        for _ in range(50):
            assert client.ask().status == 200
        assert sum(len(backend.heads) for backend in backends) == 2 * WARM + 50


@pytest.mark.parametrize("method,body", [("POST", None), ("POST", b"x"), ("PATCH", b"x"),
                                         ("PUT", b"x"), ("DELETE", b"x"), ("LOCK", None)])
def test_what_has_no_copies(method, body):
    gates = Slow("first"), Slow("second")
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request(method, "/slow", body=body))
        gates[0].wait()
        assert not slow(backends[0])[0].connection.closed.wait(0.4)
        assert not slow(backends[1])
        gates[0].open()
        assert client.response().text == "first"


def test_an_upgrade_has_no_copy():
    gates = Slow("first"), Slow("second")
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow", "Upgrade: echo", "Connection: upgrade"))
        gates[0].wait()
        assert not slow(backends[0])[0].connection.closed.wait(0.4)
        assert not slow(backends[1])
        gates[0].open()
        assert client.response().text == "first"


def test_no_copy_before_anything_was_learned():
    gates = Slow("first"), Slow("second")
    with hedged(*gates, hedge={"samples_min": 1000}) as (weir, backends):
        with weir.client() as client:
            client.send(http1.request("GET", "/slow"))
            gates[0].wait()
            assert not slow(backends[0])[0].connection.closed.wait(0.4)
            assert not slow(backends[1])
            gates[0].open()
            assert client.response().text == "first"


def test_no_copy_to_the_same_backend():
    gate = Slow("only")
    with hedged(gate) as (weir, (backend,)), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gate.wait()
        assert not slow(backend)[0].connection.closed.wait(0.4)
        assert len(slow(backend)) == 1
        gate.open()
        assert client.response().text == "only"


def test_copies_are_paid_from_the_budget():
    """Two may be sent again; the third slow request waits for its only backend."""
    gates = Slow("first"), Slow("second")
    retry = {"budget_min": 2, "budget": "1%"}
    with hedged(*gates, retry=retry) as (weir, backends):
        clients = [weir.client() for _ in range(4)]
        for i, client in enumerate(clients):
            client.send(http1.request("GET", f"/slow{i}"))
        until(lambda: sum(len(slow(backend)) for backend in backends) == 6, "two copies")
        assert not slow(backends[0])[0].connection.closed.wait(0.3)
        assert sum(len(slow(backend)) for backend in backends) == 6
        for gate in gates:
            gate.open()
        for client in clients:
            assert client.response().status == 200


def test_a_copy_that_finds_no_place_costs_nothing():
    """Both backends are full. What the copies would have cost is there for a retry."""
    class Once(Slow):
        def __call__(self, connection):
            while message := connection.request():
                if message.target == "/fails" and not failed:
                    failed.append(message)
                    connection.send(http1.response(503, body=b"no"))
                elif message.target.startswith("/slow"):
                    with self.condition:
                        self.waiting.append(message)
                        self.condition.notify_all()
                        self.condition.wait_for(lambda: self.is_open, 30)
                    connection.send(self.answer(message))
                else:
                    connection.send(self.answer(message))

    failed, gates = [], (Once("a"), Once("b"))
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(gate)) for gate in gates]
        weir = stack.enter_context(start(
            *[{"address": each.address, "max_connections": 1} for each in backends],
            pool={"hedge": {**HEDGE, "samples_min": 2 * WARM},
                  "retry": {**RETRY, "budget_min": 2, "budget": "1%"}}))
        with weir.client() as client:
            for _ in range(2 * WARM):
                assert client.ask().status == 200
        clients = [weir.client() for _ in range(2)]
        for i, client in enumerate(clients):
            client.send(http1.request("GET", f"/slow{i}"))
        for gate in gates:
            gate.wait()
        assert not backends[0].connections[0].closed.wait(0.3)  # the copies' time has come
        for gate in gates:
            gate.open()
        for client in clients:
            assert client.response().status == 200
        assert weir.ask("GET", "/fails").status == 200
        assert failed


def test_a_copy_and_a_retry_share_the_budget():
    def resets(connection):
        connection.reset()

    gates = Slow("first"), Slow("second", resets)
    with hedged(*gates, retry={"budget_min": 1, "budget": "1%"}) as (weir, backends):
        with weir.client() as client:
            client.send(http1.request("GET", "/slow1"))  # its copy takes the last one
            gates[0].wait()
            until(lambda: slow(backends[1]), "the copy")
            gates[0].open()
            assert client.response().text == "first"
            assert sorted(client.ask("GET", "/slow2").status for _ in range(2)) == [200, 502]


@pytest.mark.parametrize("how", ["reset", "close", "503", "nonsense", "interim"])
def test_a_copy_that_fails_is_forgotten(how):
    def fails(connection):
        if how == "reset":
            connection.reset()
        elif how == "503":
            connection.send(http1.response(503, body=b"no"))
        elif how == "nonsense":
            connection.send(b"nonsense\r\n\r\n")
        elif how == "interim":
            connection.send(http1.head("HTTP/1.1 103 Early Hints"))

    gates = Slow("first"), Slow("second", fails)
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[0].wait()
        until(lambda: slow(backends[1]), "the copy")
        assert not slow(backends[0])[0].connection.closed.wait(0.2)
        gates[0].open()
        response = client.response()
        assert response.text == "first" and not response.interim
        assert len(slow(backends[0])) == len(slow(backends[1])) == 1


@pytest.mark.parametrize("how", ["reset", "close", "503"])
def test_the_copy_takes_over_when_the_first_fails(how):
    gates = Slow("first"), Slow("second")
    answer = {"503": lambda _: http1.response(503, body=b"no")}

    def fails(connection):
        gates[1].wait()  # the copy runs
        if how == "reset":
            connection.reset()
        elif how == "503":
            connection.send(answer[how](None))

    gates[0].others = fails
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[1].wait()
        assert slow(backends[0])[0].connection.closed.wait(20) or how == "503"
        assert not slow(backends[1])[0].connection.closed.wait(0.2)
        gates[1].open()
        assert client.response().text == "second"
        assert len(slow(backends[0])) == len(slow(backends[1])) == 1


def test_the_copy_has_its_own_time():
    """The first one's try_timeout ends the first one alone."""
    def works(connection):
        connection.reader.rest()

    gates = Slow("first", works), Slow("second")
    retry = {"try_timeout": "3s", "max_attempts": 3}
    hedge = {"delay_min": "1500ms"}
    with hedged(*gates, retry=retry, hedge=hedge) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[1].wait()
        assert slow(backends[0])[0].connection.closed.wait(20)  # it was given up
        assert not slow(backends[1])[0].connection.closed.wait(0.2)
        gates[1].open()
        assert client.response().text == "second"
        assert len(slow(backends[0])) == len(slow(backends[1])) == 1


def test_both_fail():
    gates = Slow("first"), Slow("second"), Slow("third")

    def fails(connection):
        connection.reset()

    def fails_later(connection):
        until(lambda: copies[0](), "the copy")
        connection.reset()

    gates[0].others, gates[1].others = fails_later, fails
    copies = []
    with hedged(*gates) as (weir, backends), weir.client() as client:
        copies.append(lambda: slow(backends[1]))
        client.send(http1.request("GET", "/slow"))
        gates[2].wait()  # a retry
        gates[2].open()
        assert client.response().text == "third"


def test_a_client_that_goes_away_cancels_both():
    def works(connection):
        connection.reader.rest()

    gates = Slow("first", works), Slow("second", works)
    with hedged(*gates) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        until(lambda: slow(backends[0]) and slow(backends[1]), "both")
        client.reset()
        for backend in backends:
            assert slow(backend)[0].connection.closed.wait(20)


def test_the_access_log_counts_both(tmp_path):
    log = {"access": {"format": "json", "output": str(tmp_path / "access")}}
    gates = Slow("first"), Slow("second")
    with hedged(*gates, log=log) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/slow"))
        gates[1].wait()
        gates[1].open()
        assert client.response().text == "second"
    lines = [line for line in (tmp_path / "access").read_text().splitlines() if "/slow" in line]
    assert len(lines) == 1
    assert '"tries":2' in lines[0].replace(" ", "")
    assert backends[1].address in lines[0]


def test_a_copy_that_cannot_connect():
    """The second backend dies after it has answered: the copy's connect is refused."""
    gates = Slow("first"), Slow("second")
    pool = {"limits": {"idle_connections": "none"}}
    with hedged(*gates, pool=pool) as (weir, backends), weir.client() as client:
        backends[1].stop()
        for _ in range(2):
            client.send(http1.request("GET", "/slow"))
            gates[0].wait()
            assert not slow(backends[0])[-1].connection.closed.wait(0.2)
            gates[0].let()
            assert client.response().text == "first"


def test_answers_are_not_mixed_up():
    """Many slow requests, in both orders of answers, on one connection each."""
    class Random(Slow):
        def __call__(self, connection):
            while message := connection.request():
                if "x" in message.target:
                    connection.closed.wait((hash((message.target, id(self))) % 120) / 1000)
                connection.send(echo(message))

    gates = Random("a"), Random("b"), Random("c")
    with hedged(*gates, retry={"budget_min": 1000}, hedge={"delay_min": "10ms"}) as (weir, _):
        clients = [weir.client() for _ in range(10)]
        for round_ in range(10):
            for i, client in enumerate(clients):
                client.send(http1.request("GET", f"/x{i}-{round_}"))
            for i, client in enumerate(clients):
                assert f'"/x{i}-{round_}"' in client.response().text
