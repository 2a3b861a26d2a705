# SPDX-License-Identifier: Apache-2.0
"""What is sent again, where to, how often, and who pays for it."""
import collections
import contextlib
import threading

import pytest

from peers import http1
from peers.backend import Backend, Gate, echo, fixed, serve
from peers.net import HOST, free_port, until
from peers.weir import start

AT_ONCE = {"backoff": {"base": "0ms"}}
PLENTY = {**AT_ONCE, "budget_min": 100000}  # the budget is no matter here
HOUR = {"budget_window": "1h"}  # nothing leaves the budget's window while a test runs


def dead():
    """An address that refuses."""
    return f"{HOST}:{free_port()}"


def resets(connection):
    """Takes a request and resets."""
    connection.request()
    connection.reset()


def closes(connection):
    """Takes a request and closes."""
    connection.request()


def silent(connection):
    """Takes a request and never answers."""
    connection.request()
    connection.reader.rest()


fails = fixed(503, "X-Whose: backend", body=b"not now")

FAILURES = {"reset_before_response": resets, "timeout": silent, "503": fails}


def hurry(failure):
    """A short first try, where it is to end so. The second one is the last, and has all the time."""
    return {"max_attempts": 2, **({"try_timeout": "150ms"} if failure == "timeout" else {})}


@contextlib.contextmanager
def weir_of(*scripts, retry=None, **rest):
    """Backends with these scripts (None echoes), in the order of round robin, and weir."""
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(script, name=str(i)))
                    for i, script in enumerate(scripts)]
        pool = rest.pop("pool", {})
        pool = {**pool, "retry": {**PLENTY, **(retry or {})}}
        weir = stack.enter_context(start(*backends, pool=pool, **rest))
        yield weir, backends


def counts(backends):
    return [len(backend.heads) for backend in backends]


# ---- Causes -------------------------------------------------------------------------------------

@pytest.mark.parametrize("script", [resets, closes])
def test_a_connection_that_ends_without_an_answer(script):
    with weir_of(script, None) as (weir, backends):
        assert weir.ask().status == 200
        assert counts(backends) == [1, 1]


def test_a_try_that_takes_too_long():
    with weir_of(silent, None, retry=hurry("timeout")) as (weir, backends):
        assert weir.ask().status == 200
        assert counts(backends) == [1, 1]
        assert backends[0].connections[0].closed.wait(20)  # it was given up


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_that_asks_for_it(status):
    with weir_of(fixed(status, body=b"no"), None) as (weir, backends):
        response = weir.ask()
        assert response.status == 200
        assert counts(backends) == [1, 1]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 501])
def test_other_answers_are_answers(status):
    with weir_of(fixed(status, body=b"no"), None) as (weir, backends):
        response = weir.ask()
        assert response.status == status and response.body == b"no"
        assert counts(backends) == [1, 0]


def test_statuses_by_name():
    retry = {"when": [429, 500]}
    with weir_of(fixed(429, body=b""), fixed(500, body=b""), None, retry=retry) as (weir, backends):
        assert weir.ask().status == 200
        assert counts(backends) == [1, 1, 1]
    with weir_of(fails, None, retry=retry) as (weir, backends):
        assert weir.ask().body == b"not now"
        assert counts(backends) == [1, 0]


@pytest.mark.parametrize("wanted", FAILURES)
@pytest.mark.parametrize("met", FAILURES)
def test_only_what_is_named_is_repeated(wanted, met):
    retry = {"when": [wanted], **hurry(met)}
    pool = {"timeouts": {"response": "400ms"}} if met == "timeout" != wanted else {}
    with weir_of(FAILURES[met], None, retry=retry, pool=pool) as (weir, backends):
        own = {"reset_before_response": 502, "timeout": 504, "503": 503}[met]
        assert weir.ask().status == (200 if wanted == met else own)
        assert counts(backends) == [1, int(wanted == met)]


def test_not_even_a_connect():
    with Backend() as backend:
        with start(dead(), backend, pool={"retry": {"when": ["timeout"]}}) as weir:
            assert weir.ask().status == 503
            assert weir.ask().status == 200
            assert len(backend.heads) == 1


def test_an_answer_that_is_no_http_is_not_asked_for_again():
    nonsense = serve(lambda message: b"nonsense\r\n\r\n")
    with weir_of(nonsense, None) as (weir, backends):
        response = weir.ask()
        assert response.status == 502 and "response_malformed" in response.text
        assert counts(backends) == [1, 0]


# ---- Never twice --------------------------------------------------------------------------------

@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_methods_that_may_be_repeated(method, failure):
    with weir_of(FAILURES[failure], None, retry=hurry(failure)) as (weir, backends):
        body = {"body": b"some"} if method == "PUT" else {}
        assert weir.ask(method, "/", **body).status == 200
        assert counts(backends) == [1, 1]
        if method == "PUT":
            assert backends[1].last().body == b"some"


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
def test_methods_that_may_not(method, failure):
    pool = {"timeouts": {"response": "300ms"}} if failure == "timeout" else {}
    with weir_of(FAILURES[failure], None, retry=hurry(failure), pool=pool) as (weir, backends):
        response = weir.ask(method, "/", body=b"once")
        assert response.status in (502, 503, 504)
        assert counts(backends) == [1, 0]
        if failure == "503":
            assert response.body == b"not now"


@pytest.mark.parametrize("failure", FAILURES)
def test_unless_any_method_may(failure):
    retry = {"methods": "any", **hurry(failure)}
    with weir_of(FAILURES[failure], None, retry=retry) as (weir, backends):
        assert weir.ask("POST", "/", body=b"twice").status == 200
        assert counts(backends) == [1, 1]
        assert backends[1].last().body == b"twice"


def test_a_post_of_which_nothing_was_sent():
    with Backend() as backend, start(dead(), dead(), backend) as weir:
        for _ in range(6):
            assert weir.ask("POST", "/", body=b"once").status == 200
        assert len(backend.heads) == 6


@pytest.mark.parametrize("begun", [
    b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"HTTP/1.1 503 No\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])
def test_nothing_once_an_answer_has_begun(begun):
    def script(connection):
        connection.request()
        connection.send(begun)

    with weir_of(script, None) as (weir, backends), weir.client() as client:
        client.send(http1.request())
        try:
            assert client.response().status == 502
        except http1.Cut:
            pass  # visibly
        assert counts(backends) == [1, 0]


# ---- How often and where to ---------------------------------------------------------------------

@pytest.mark.parametrize("most", [1, 2, 3, 5, 16])
def test_no_more_than_max_attempts(most):
    with weir_of(fails, fails, retry={"max_attempts": most}) as (weir, backends):
        response = weir.ask()
        assert response.status == 503 and response.body == b"not now"
        assert sum(counts(backends)) == most
        assert abs(len(backends[0].heads) - len(backends[1].heads)) <= 1


@pytest.mark.parametrize("algorithm", ["round_robin", "random", "power_of_two",
                                       "least_connections", "maglev", "first"])
def test_another_backend_first(algorithm):
    pool = {"algorithm": algorithm}
    with weir_of(*[fails] * 5, retry={"max_attempts": 5}, pool=pool) as (weir, backends):
        for i in range(10):
            assert weir.ask().status == 503
            assert counts(backends) == [i + 1] * 5


def test_the_last_backends_own_answer():
    """When all fail the client gets what the last one said, not a text of ours."""
    answers = [fixed(503, "X-Whose: " + name, body=name.encode()) for name in "abc"]
    with weir_of(*answers) as (weir, backends):
        response = weir.ask()
        assert response.status == 503 and response.reason == "Fine"
        assert response.text == response.get("x-whose") == "c"
        assert response.get("retry-after") is None
        assert counts(backends) == [1, 1, 1]


def test_pauses_grow_and_differ():
    """Full jitter: on average half of base x 2^n. Sums over many requests tell them apart."""
    retry = {"max_attempts": 4, "backoff": {"base": "60ms", "max": "10s"}}
    with weir_of(resets, retry=retry) as (weir, (backend,)):
        def ask(i):
            assert weir.ask("GET", f"/{i}").status == 502

        # A few at a time, so that the backend notes each head as it comes.
        for first in range(0, 40, 5):
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(first, first + 5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        moments = collections.defaultdict(list)
        for head in backend.heads:
            moments[head.target].append(head.at)
        assert [len(each) for each in moments.values()] == [4] * 40
        pauses = [[later - earlier for earlier, later in zip(each, each[1:])]
                  for each in moments.values()]
        first, second, third = (sum(each[n] for each in pauses) for n in range(3))
        assert first < second < third
        assert len({round(each[2], 3) for each in pauses}) > 10


def test_no_pause_after_a_refused_connect():
    """The other backend has done nothing wrong."""
    retry = {"backoff": {"base": "1h", "max": "1h"}}
    with Backend() as backend, start(dead(), backend, pool={"retry": retry}) as weir:
        for _ in range(4):
            assert weir.ask().status == 200


def test_a_backend_that_everybody_tried_is_tried_again():
    """It refuses and comes back while the request waits."""
    port = free_port()
    retry = {"max_attempts": 16, "backoff": {"base": "20ms", "max": "200ms"}}
    with start(f"{HOST}:{port}", pool={"retry": retry}) as weir:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(weir.ask().status))
        thread.start()
        weir.wait_log("connect failed")
        with Backend(port=port):
            thread.join()
        assert answers == [200]


# ---- Bodies -------------------------------------------------------------------------------------

LIMIT = 64 * 1024


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 1000, 20000, LIMIT - 1, LIMIT])
def test_a_body_is_sent_again_whole(size, coding):
    body = bytes(range(251)) * (size // 251) + b"z" * (size % 251)
    with weir_of(resets, closes, None) as (weir, backends):
        pieces = {"body": body} if coding == "length" else {
            "chunks": [body[at:at + 7000] for at in range(0, size, 7000)]}
        assert weir.ask("PUT", "/", **pieces).status == 200
        assert counts(backends) == [1, 1, 1]
        for backend in backends:
            assert backend.last().body == body
            assert backend.last().framing == coding


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("size", [LIMIT + 1, 200000, 2000000])
def test_a_longer_body_is_not(size, coding):
    """Nor is a part of it."""
    body = b"y" * size
    with weir_of(resets, None) as (weir, backends):
        pieces = {"body": body} if coding == "length" else {
            "chunks": [body[at:at + 16000] for at in range(0, size, 16000)]}
        assert weir.ask("PUT", "/", **pieces).status == 502
        assert counts(backends) == [1, 0]


def test_the_limit_of_bodies():
    for most, size, status in (("10B", 10, 200), ("10B", 11, 502), ("0B", 1, 502), ("0B", 0, 200),
                               ("1MiB", 1048576, 200)):
        with weir_of(resets, None, retry={"max_body_size": most}) as (weir, backends):
            assert weir.ask("PUT", "/", body=b"x" * size).status == status
            if status == 200:
                assert backends[1].last().body == b"x" * size


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_still_comes(coding):
    """The first backend breaks in the middle of the upload; the second one gets all of it, what came
    before, meanwhile and after."""
    def breaks(connection):
        connection.head()
        connection.reader.exactly(10)
        connection.reset()

    retry = {"backoff": {"base": "100ms"}}
    with weir_of(breaks, None, retry=retry) as (weir, backends), weir.client() as client:
        field = {"length": "Content-Length: 30000", "chunked": "Transfer-Encoding: chunked"}[coding]
        client.send(http1.head("PUT / HTTP/1.1", "Host: a", field))
        parts = [bytes([65 + i]) * 3000 for i in range(10)]
        for i, part in enumerate(parts):
            client.send(part if coding == "length" else http1.chunk(part))
            if i == 4:  # the pause has begun, or is over
                backends[0].wait_connections(1)
                assert backends[0].connections[0].closed.wait(20)
        if coding == "chunked":
            client.send(b"0\r\n\r\n")
        assert client.response().status == 200
        assert backends[1].last().body == b"".join(parts)
        assert counts(backends) == [1, 1]


def test_an_early_503_is_followed_by_the_whole_body():
    """The backend refuses before it has read the body."""
    def refuses(connection):
        connection.head()
        connection.send(http1.response(503, "Connection: close", body=b""))
        connection.reader.rest()

    with weir_of(refuses, None) as (weir, backends), weir.client() as client:
        client.send(http1.head("PUT / HTTP/1.1", "Host: a", "Content-Length: 20"), b"x" * 10)
        until(lambda: len(backends[1].connections) == 1, "the other backend")
        client.send(b"y" * 10)
        assert client.response().status == 200
        assert backends[1].last().body == b"x" * 10 + b"y" * 10


def test_trailers_are_sent_once():
    """They are not kept, so what had them is not repeated."""
    with weir_of(resets, None) as (weir, backends):
        response = weir.ask("PUT", "/", chunks=[b"abc"], trailers=("Check: sum",))
        assert response.status == 502
        assert counts(backends) == [1, 0]
        assert backends[0].last().trailers == [("Check", "sum")]


# ---- Special requests ---------------------------------------------------------------------------

def test_a_client_that_waits_for_100_continue():
    with Backend() as backend, start(dead(), backend) as weir, weir.client() as client:
        backend.script = continues
        for _ in range(2):
            client.send(http1.request("PUT", "/", "Expect: 100-continue", "Content-Length: 4"))
            assert client.response(final=False).status == 100
            client.send(b"body")
            assert client.response().status == 200
        assert [message.body for message in backend.heads] == [b"body"] * 2


def continues(connection):
    while message := connection.head():
        connection.send(http1.head("HTTP/1.1 100 Continue"))
        connection.reader.body(message, False)
        connection.send(echo(message))


def test_a_backend_that_breaks_before_100_continue():
    def breaks(connection):
        connection.head()
        connection.reset()

    with weir_of(breaks, continues) as (weir, backends), weir.client() as client:
        client.send(http1.request("PUT", "/", "Expect: 100-continue", "Content-Length: 4"))
        assert client.response(final=False).status == 100
        client.send(b"body")
        assert client.response().status == 200
        assert backends[1].last().body == b"body"


def test_a_backend_that_breaks_after_100_continue():
    """It may have taken something for an answer: the client knows of it."""
    def breaks(connection):
        connection.head()
        connection.send(http1.head("HTTP/1.1 100 Continue"))

    with weir_of(breaks, continues) as (weir, backends), weir.client() as client:
        client.send(http1.request("PUT", "/", "Expect: 100-continue", "Content-Length: 4"))
        assert client.response(final=False).status == 100
        client.send(b"body")
        assert client.response().status == 502
        assert counts(backends) == [1, 0]


def test_an_upgrade():
    def upgrades(connection):
        connection.head()
        connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Upgrade: echo",
                                   "Connection: upgrade"))
        connection.send(connection.reader.exactly(5))

    with weir_of(resets, upgrades) as (weir, backends), weir.client() as client:
        client.send(http1.request("GET", "/", "Upgrade: echo", "Connection: upgrade"))
        assert client.response().status == 101
        client.send(b"hello")
        assert client.reader.exactly(5) == b"hello"
        assert counts(backends) == [1, 1]


def test_head():
    with weir_of(resets, fails, None) as (weir, backends), weir.client() as client:
        assert client.ask("HEAD", "/").status == 200
        assert client.ask("GET", "/").status == 200
        assert counts(backends)[0] == 2 or counts(backends)[2] == 2


def test_requests_of_one_connection_are_answered_in_order():
    with weir_of(resets, fails, None, None) as (weir, backends), weir.client() as client:
        client.send(b"".join(http1.request("GET", f"/{i}") for i in range(20)))
        for i in range(20):
            response = client.response()
            assert response.status == 200 and f'"/{i}"' in response.text


def test_one_request_id_for_all_tries():
    with weir_of(resets, fails, None) as (weir, backends):
        assert weir.ask().status == 200
        ids = {backend.last().get("x-request-id") for backend in backends}
        assert len(ids) == 1


def test_each_backend_is_told_its_own_name():
    with weir_of(resets, None) as (weir, backends):
        assert weir.ask().status == 200
        for backend in backends:
            assert backend.last().get("x-backend-server") == backend.address


# ---- Deadlines ----------------------------------------------------------------------------------

def test_the_whole_request_has_a_deadline():
    pool = {"timeouts": {"request": "300ms"}}
    with weir_of(silent, silent, pool=pool) as (weir, backends):
        response = weir.ask()
        assert response.status == 504
        assert "request_timeout" in response.text
        assert response.get("proxy-status") == "weir; error=http_response_timeout"
        assert sum(counts(backends)) == 1
        assert backends[0].connections[0].closed.wait(20)


def test_over_all_tries():
    pool = {"timeouts": {"request": "400ms"}}
    retry = {"try_timeout": "150ms", "max_attempts": 16}
    with weir_of(silent, silent, pool=pool, retry=retry) as (weir, backends):
        response = weir.ask()
        assert response.status == 504 and "request_timeout" in response.text
        assert 2 <= sum(counts(backends)) <= 4


def test_a_pause_beyond_the_deadline_is_not_waited_for():
    """The answer is what went wrong: the pauses here are some minutes long."""
    pool = {"timeouts": {"request": "15s"}}
    retry = {"backoff": {"base": "1h", "max": "1h"}}
    with weir_of(resets, pool=pool, retry=retry) as (weir, backends):
        for _ in range(10):  # one of them may be below that, by chance
            assert weir.ask().status == 502
        assert 10 <= sum(counts(backends)) <= 12


def test_the_last_try_has_all_the_time():
    """try_timeout is for tries that another can follow."""
    gate = Gate()
    retry = {"try_timeout": "150ms", "max_attempts": 2}
    with weir_of(silent, gate, retry=retry) as (weir, backends), weir.client() as client:
        client.send(http1.request())
        gate.wait()
        assert not backends[1].connections[0].closed.wait(0.4)
        gate.open()
        assert client.response().status == 200
        assert counts(backends) == [1, 1]


def test_a_post_is_not_given_up_early():
    gate = Gate()
    with weir_of(gate, retry={"try_timeout": "100ms"}) as (weir, backends):
        with weir.client() as client:
            client.send(http1.request("POST", "/", body=b"x"))
            gate.wait()
            assert not backends[0].connections[0].closed.wait(0.3)
            gate.open()
            assert client.response().status == 200


def test_a_frontends_deadline_and_a_routes_own():
    routes = [{"match": {"path": "/long"}, "pool": "app", "timeouts": {"request": "none"}},
              {"match": {"path": "/short"}, "pool": "app", "timeouts": {"request": "100ms"}}]
    gate = Gate()
    with weir_of(gate, frontend={"timeouts": {"request": "200ms"}, "routes": routes},
                 pool={"timeouts": {"request": "300ms"}}) as (weir, (backend,)):
        with weir.client() as client:
            client.send(http1.request("GET", "/long"))
            gate.wait()
            assert weir.ask("GET", "/short").status == 504
            assert weir.ask("GET", "/").status == 504
            assert not backend.connections[0].closed.wait(0.4)
            gate.open()
            assert client.response().status == 200


# ---- Routes -------------------------------------------------------------------------------------

def test_a_route_says_it_differently():
    routes = [{"match": {"path": "/never/*"}, "pool": "app", "retry": {"max_attempts": 1}},
              {"match": {"path": "/any/*"}, "pool": "app",
               "retry": {**PLENTY, "methods": "any", "when": [503]}}]
    with weir_of(fails, fails, fails, frontend={"routes": routes}) as (weir, backends):
        assert weir.ask("GET", "/never/").status == 503
        assert sum(counts(backends)) == 1
        assert weir.ask("POST", "/any/", body=b"x").status == 503
        assert sum(counts(backends)) == 1 + 3
        assert weir.ask("POST", "/", body=b"x").status == 503
        assert sum(counts(backends)) == 4 + 1
        assert weir.ask("GET", "/").status == 503
        assert sum(counts(backends)) == 5 + 3


# ---- The budget ---------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("script,status", [(resets, 502), (fails, 503)])
def test_a_failing_pool_gets_little_more_than_its_clients_send(script, status, workers):
    """20 % of the requests and 10 in any case; then failures are passed on."""
    retry = {**HOUR, "budget_min": 10, "budget": "20%", "max_attempts": 16}
    with weir_of(script, script, retry=retry, workers=workers) as (weir, backends):
        for i in range(100):
            response = weir.ask()
            assert response.status == status
            if status == 503:
                assert response.body == b"not now"
            retries = sum(counts(backends)) - (i + 1)
            assert retries <= max(10, (i + 1) // 5)
        assert sum(counts(backends)) == 100 + 20


def test_many_at_once_keep_to_the_budget_too():
    retry = {**HOUR, "budget_min": 10, "budget": "20%", "max_attempts": 16}
    with weir_of(fails, fails, retry=retry, workers=4) as (weir, backends):
        def ask():
            with weir.client() as client:
                for _ in range(25):
                    assert client.ask().status == 503

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 400 + 10 <= sum(counts(backends)) <= 400 + 80


def test_no_budget_no_bound():
    retry = {"budget": "none", "max_attempts": 3}
    with weir_of(fails, fails, fails, retry=retry) as (weir, backends):
        for _ in range(50):
            assert weir.ask().status == 503
        assert sum(counts(backends)) == 150


def test_going_on_to_another_backend_is_not_charged():
    """Half of the pool is gone: its clients go to the other half, however many they are."""
    retry = {**HOUR, "budget_min": 0, "budget": "1%"}
    with Backend() as backend, start(dead(), backend, pool={"retry": retry}) as weir:
        for _ in range(60):
            assert weir.ask().status == 200


def test_the_replay_on_a_fresh_connection_is_not_charged():
    """Each kept connection turns out to be closed."""
    def script(connection):
        for _ in range(2):
            message = connection.request()
            if not message or len(connection.requests) == 2:
                return
            connection.send(echo(message))

    retry = {**HOUR, "budget_min": 0, "budget": "1%"}
    with weir_of(script, retry=retry) as (weir, backends), weir.client() as client:
        for _ in range(20):
            assert client.ask().status == 200


def test_routes_with_other_windows_share_one_budget():
    """A route's own window must not make the pool forget what was taken."""
    def rules(window):
        return {**AT_ONCE, "budget_min": 5, "budget": "1%", "budget_window": window,
                "max_attempts": 2}

    routes = [{"match": {"path": "/a"}, "pool": "app", "retry": rules("1h")},
              {"match": {"path": "/b"}, "pool": "app", "retry": rules("30m")}]
    with weir_of(fails, fails, retry=rules("1h"), frontend={"routes": routes}) as (weir, backends):
        for i in range(60):
            assert weir.ask("GET", "/a" if i % 2 else "/b").status == 503
        assert sum(counts(backends)) <= 60 + 5


def test_a_slow_answer_is_waited_for_when_the_budget_is_spent():
    """try_timeout makes room for another try. Where none may follow, the answer is worth more than a
    504."""
    retry = {**HOUR, "try_timeout": "100ms", "budget_min": 0, "budget": "1%"}
    gate = Gate()
    with weir_of(gate, None, retry=retry) as (weir, backends), weir.client() as client:
        client.send(http1.request())
        gate.wait()
        assert not backends[0].connections[0].closed.wait(0.4)
        gate.open()
        assert client.response().status == 200
        assert counts(backends) == [1, 0]


# ---- Together with breakers ---------------------------------------------------------------------

def test_another_backend_that_takes_no_request_now():
    """The second backend is on trial and its only trial runs. Who failed at the first one has nobody
    else to go to, and goes to the first one again."""
    gate = Gate()
    once = set()

    def first(message):
        failed = message.target.startswith("/x") and message.target not in once
        once.add(message.target)
        return http1.response(503 if failed else 200, body=b"first")

    def second(connection):
        if len(connection.backend.heads) == 0:
            connection.request()
            connection.send(http1.response(500, body=b"broken"))
        gate(connection)

    pool = {"circuit_breaker": {"failure_threshold": 1, "open_for": "50ms"}}
    with weir_of(serve(first), second, pool=pool) as (weir, backends):
        assert sorted(weir.ask().status for _ in range(2)) == [200, 500]
        asking = [weir.client()]
        asking[0].send(http1.request("GET", "/trial"))

        def is_on_trial():
            if gate.waiting:
                return True
            asking[0].sock.settimeout(0.05)
            try:
                asking[0].response()
                asking[0] = weir.client()
                asking[0].send(http1.request("GET", "/trial"))
            except TimeoutError:
                pass
            return False

        until(is_on_trial, "the trial")
        try:
            for i in range(5):
                response = weir.ask("GET", f"/x{i}")
                assert (response.status, response.text) == (200, "first")
        finally:
            gate.open()
