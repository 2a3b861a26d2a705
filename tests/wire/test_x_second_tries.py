# SPDX-License-Identifier: Apache-2.0
"""What follows a try that failed: retries, copies of slow requests, failover, waiting for a place."""
import json
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend, echo, serve
from peers.weir import CALM, settings, Weir, start


def silent(connection):
    """Takes requests and answers none."""
    connection.request()
    connection.reader.rest()


def answers_after(seconds, body=b"late"):
    def answer(_message):
        time.sleep(seconds)
        return http1.response(body=body)
    return serve(answer)


def two_pools(first, second, **pools):
    """A frontend with the pool `app` of these backends, which fails over to the pool `spare`."""
    tree, address = settings(first, pool={"failover": "spare", **pools.get("app", {})})
    tree["pools"]["spare"] = {"backends": [backend.address for backend in second], **CALM,
                              **pools.get("spare", {})}
    return Weir(tree, address=address)


# ---- Time limits ---------------------------------------------------------------------------------

def test_a_request_whose_time_is_over_while_it_waits_for_a_place():
    pool = {"timeouts": {"request": "300ms"}}
    with Backend(silent) as backend:
        with start({"address": backend.address, "max_connections": 1}, pool=pool) as weir:
            clients = [weir.client() for _ in range(4)]
            for client in clients:
                client.send(http1.request())
            for client in clients:
                response = client.response()
                assert response.status == 504
                assert "request_timeout" in response.text


def test_a_pool_that_takes_over_has_time_limits_of_its_own():
    """The first pool ends tries early; the second one, which has no try_timeout, does not."""
    app = {"retry": {"try_timeout": "200ms", "budget": "none"},
           "circuit_breaker": {"failure_threshold": 1, "max_ejected": "100%"},
           "panic_threshold": "none"}
    with Backend(silent) as slow, Backend(answers_after(0.5)) as well:
        with two_pools([slow], [well], app=app) as weir:
            response = weir.ask()
            assert response.status == 200
            assert response.body == b"late"
            assert len(well.heads) == 1


def learn(weir, client, times=3):
    for _ in range(times):
        assert client.ask().status == 200


HEDGED = {"hedge": {"after": "50%", "samples_min": 1, "delay_min": "250ms"},
          "retry": {"budget_min": 1000}}


def by_turns(first, second):
    """A script for both of two backends: the first request with /x goes to `first`, and a second one
    to `second`, whichever backend they meet; others are answered at once."""
    lock, met = threading.Lock(), []

    def script(connection):
        while True:
            message = connection.request()
            if not message:
                return
            if message.target != "/x":
                connection.send(echo(message))
                continue
            with lock:
                met.append(connection)
                which = first if len(met) == 1 else second
            which(connection)
    return script


def test_a_copy_that_takes_over_is_the_last_try():
    """What came first is ended by try_timeout; the copy has timeouts.response."""
    def late(connection):
        time.sleep(0.8)
        connection.send(http1.response(body=b"copy"))

    pool = {**HEDGED, "retry": {"budget_min": 1000, "try_timeout": "400ms", "max_attempts": 2}}
    script = by_turns(lambda connection: connection.reader.rest(), late)
    with Backend(script) as one, Backend(script) as two:
        with start(one, two, pool=pool) as weir, weir.client() as client:
            learn(weir, client)
            response = client.ask("GET", "/x")
            assert response.status == 200
            assert response.body == b"copy"


def test_a_slow_upload_that_takes_too_long_is_not_the_backends_fault():
    pool = {"timeouts": {"request": "200ms"}, "outliers": {"timeouts": 2},
            "circuit_breaker": {"max_ejected": "100%"}, "panic_threshold": "none"}
    with Backend() as backend, start(backend, pool=pool) as weir:
        for _ in range(4):
            with weir.client() as client:
                client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 10"), b"x")
                assert client.response().status == 504
        assert weir.ask().status == 200
        assert "backend is ejected" not in weir.stderr


# ---- Copies --------------------------------------------------------------------------------------

def test_a_copy_whose_answer_is_no_good_changes_nothing():
    def switches(connection):
        connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Connection: upgrade",
                                   "Upgrade: other"))
        connection.reader.rest()

    def late(connection):
        time.sleep(0.8)
        connection.send(http1.response(body=b"first"))

    script = by_turns(late, switches)
    with Backend(script) as one, Backend(script) as two:
        with start(one, two, pool=HEDGED) as weir, weir.client() as client:
            learn(weir, client)
            response = client.ask("GET", "/x")
            assert response.status == 200
            assert response.body == b"first"


def test_a_copy_that_finds_no_room_takes_nothing_from_the_budget():
    failed = threading.Event()

    def script(connection):
        while True:
            message = connection.request()
            if not message:
                return
            if message.target == "/slow":
                time.sleep(0.6)
            if message.target == "/fails" and not failed.is_set():
                failed.set()
                connection.send(http1.response(503, body=b"no"))
            else:
                connection.send(echo(message))

    pool = {**HEDGED, "retry": {"budget": "1%", "budget_min": 1, "backoff": {"base": "1ms"}}}
    with Backend(script) as one, Backend(script) as two:
        backends = [{"address": each.address, "max_connections": 1} for each in (one, two)]
        with start(*backends, pool=pool) as weir:
            clients = [weir.client() for _ in range(2)]
            for client in clients:
                learn(weir, client)
            for client in clients:
                client.send(http1.request("GET", "/slow"))
            for client in clients:
                assert client.response().status == 200
            assert weir.ask("GET", "/fails").status == 200
            assert failed.is_set()


# ---- Where to ------------------------------------------------------------------------------------

def test_a_retry_that_finds_no_other_backend_goes_to_the_same_one():
    """The other one is on trial, and has no trial left."""
    failed = threading.Event()

    def ill(connection):
        connection.request()
        if connection.index == 0:
            connection.send(http1.response(500))
        else:
            connection.reader.rest()

    def shaky(connection):
        message = connection.request()
        if failed.is_set():
            connection.send(echo(message))
        else:
            failed.set()
            connection.reset()

    pool = {"algorithm": "first", "retry": {"when": ["reset_before_response"]},
            "circuit_breaker": {"failure_threshold": 1, "open_for": "100ms"}}
    with Backend(ill) as first, Backend(shaky) as second:
        with start(first, second, pool=pool) as weir, weir.client() as trial:
            assert weir.ask().status == 500
            weir.wait_log("trial requests")
            trial.send(http1.request())
            first.wait_connections(2)
            assert weir.ask().status == 200
            assert [len(first.heads), len(second.heads)] == [2, 2]
            trial.reset()


# ---- What is said --------------------------------------------------------------------------------

@pytest.mark.parametrize("method, retry, reason", [
    ("POST", {}, "the method may not be repeated"),
    ("GET", {"max_attempts": 2, "backoff": {"base": "0ms"}}, "retry.max_attempts is reached"),
    ("GET", {"budget": "1%", "budget_min": 0}, "the retry budget of the pool is used up"),
    ("GET", {"when": ["connect"]}, "retry.when does not name this failure"),
])
def test_why_a_request_was_not_sent_again(method, retry, reason):
    def script(connection):
        connection.request()
        connection.reset()

    with Backend(script) as backend, start(backend, pool={"retry": retry}) as weir:
        assert weir.ask(method).status == 502
        line, = [json.loads(line) for line in weir.wait_log('"request failed"')]
        assert line["outcome"] == "connection_reset"
        assert line["no_retry"] == reason
