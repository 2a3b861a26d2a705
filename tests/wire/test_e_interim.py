# SPDX-License-Identifier: Apache-2.0
"""1xx answers, Expect, and answers that come before the request is complete."""
import subprocess
import threading

import pytest

from peers import http1
from peers.backend import Backend, serve
from peers.weir import start


def expecting(*fields, size=5):
    return http1.head("POST / HTTP/1.1", "Host: a", f"Content-Length: {size}",
                      "Expect: 100-continue", *fields)


def test_early_hints_pass():
    data = (http1.head("HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload", "X-A: b")
            + http1.head("HTTP/1.1 103 Early Hints", "Link: </b.css>")
            + http1.response(body=b"page"))
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        with weir.client() as client:
            for _ in range(2):
                response = client.ask()
                assert [each.status for each in response.interim] == [103, 103]
                assert response.interim[0].get("link") == "</a.css>; rel=preload"
                assert response.interim[1].get("link") == "</b.css>"
                assert response.body == b"page"
        assert len(backend.connections) == 1


def test_interim_answer_arrives_before_the_final_one():
    go = threading.Event()

    def script(connection):
        connection.request()
        connection.send(http1.head("HTTP/1.1 102 Processing"))
        go.wait(20)
        connection.send(http1.response(body=b"done"))

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.request())
        assert client.response(final=False).status == 102
        go.set()
        assert client.response().body == b"done"


def test_interim_answers_carry_no_length():
    data = http1.head("HTTP/1.1 103 Early Hints", "Content-Length: 5", "Link: x") \
        + http1.response(body=b"final")
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        response = weir.ask()
        assert not response.interim[0].has("content-length")
        assert response.body == b"final"


def test_a_flood_of_interim_answers_is_an_error():
    data = http1.head("HTTP/1.1 103 Early Hints") * 1000 + http1.response(body=b"final")
    with Backend(serve(lambda _: data)) as backend, start(backend) as weir:
        response = weir.ask()
        assert response.status == 502
        assert len(response.interim) <= 8


def test_expect_is_passed_on_and_100_comes_back():
    def script(connection):
        head = connection.head()
        assert head.get("expect").lower() == "100-continue"
        connection.send(http1.head("HTTP/1.1 100 Continue"))
        assert connection.reader.exactly(5) == b"hello"
        connection.send(http1.response(body=b"thanks"))

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(expecting())
        assert client.response(final=False).status == 100
        client.send(b"hello")
        assert client.response().body == b"thanks"
        assert backend.connections[0].error is None


def test_expect_with_a_body_that_does_not_wait():
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        client.send(expecting(), b"hello")
        assert '"length": 5' in client.response().text


def test_expect_and_a_final_answer_without_100():
    """The client never sends its body; the connection must not take what follows for one."""
    def script(connection):
        connection.head()
        connection.send(http1.response(417, body=b"no"))
        connection.reader.rest()

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(expecting(size=100))
        response = client.response()
        assert response.status == 417
        assert response.get("connection").lower() == "close"
        client.send(http1.request("GET", "/smuggled"))
        client.end()
        client.rest()
        assert backend.connections[0].closed.wait(20)
        assert b"smuggled" not in backend.connections[0].raw
        assert len(backend.heads) == 1


@pytest.mark.parametrize("expect", ["200-ok", "100-continue, x", "", "100-continue;q=1"])
def test_other_expectations_are_417(expect):
    with Backend() as backend, start(backend) as weir, weir.client() as client:
        response = client.ask("POST", "/", f"Expect: {expect}", body=b"x")
        assert response.status == 417
        assert backend.received == 0


def test_expect_of_http10_is_ignored():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("POST", "/", "Expect: 100-continue", body=b"x", minor=0).status == 200


def test_curl_expects_100():
    with Backend() as backend, start(backend) as weir:
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "30", "--expect100-timeout", "0.1", "-H",
             "Expect: 100-continue", "--data-binary",
             "@-", f"http://{weir.address}/"], input=b"x" * 100000, capture_output=True,
            check=False)
        assert done.returncode == 0, done.stderr
        assert b'"length": 100000' in done.stdout


def early(status, size):
    """Answers at once and never reads the body."""
    def script(connection):
        connection.head()
        connection.send(http1.response(status, body=b"e" * size))
        connection.reader.rest()
    return script


@pytest.mark.parametrize("length", ["length", "chunked"])
def test_early_answer_of_the_backend_reaches_a_client_that_still_uploads(length):
    with Backend(early(413, 100)) as backend, start(backend) as weir, weir.client() as client:
        if length == "length":
            client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 500000"))
        else:
            client.send(http1.head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
        client.send(http1.chunk(b"x" * 1000))
        response = client.response()
        assert response.status == 413 and response.body == b"e" * 100
        assert response.get("connection").lower() == "close"
        client.send(http1.chunk(b"y" * 400000))  # taken and dropped
        client.end()
        assert client.is_closed()
        assert len(backend.heads) == 1


def test_early_answer_by_a_backend_that_resets():
    """A server that answers and closes with unread bytes resets; its answer still counts."""
    def script(connection):
        connection.head()
        connection.send(http1.response(413, "Connection: close", body=b"too large"))

    with Backend(script) as backend, start(backend) as weir:
        seen = set()
        for _ in range(20):
            with weir.client() as client:
                client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 100000"),
                            b"x" * 1000)
                response = client.response()
                # When the reset overtakes the answer, there is none; weir says so.
                assert response.status in (413, 502)
                seen.add(response.status)
        assert 413 in seen


def test_our_own_413_reaches_a_client_that_uploads_without_looking():
    frontend = {"http": {"max_body_size": "10KB"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        with weir.client() as client:
            client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 900000"))
            client.send(b"x" * 900000)
            response = client.response()
            assert response.status == 413
            assert client.is_closed()
        assert backend.received == 0


def test_curl_sees_the_413_of_a_large_upload():
    frontend = {"http": {"max_body_size": "10KB"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}",
             "-H", "Expect:", "--data-binary", "@-", f"http://{weir.address}/"],
            input=b"x" * 900000, capture_output=True, check=False)
        assert done.stdout == b"413", done.stderr


def test_chunked_body_over_the_limit_is_413():
    frontend = {"http": {"max_body_size": "10KB"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        with weir.client() as client:
            client.send(http1.request("POST", "/", chunks=[b"x" * 4000] * 5))
            assert client.response().status == 413
            assert client.is_closed()
        for connection in backend.connections:
            assert connection.closed.wait(20)
            assert not connection.requests
        with weir.client() as client:
            assert client.ask("POST", "/", chunks=[b"x" * 2500] * 4).status == 200
            assert client.ask("POST", "/", body=b"x" * 10000).status == 200
            assert client.ask("POST", "/", body=b"x" * 10001).status == 413
            assert client.is_closed()


def test_bytes_behind_an_early_answer_are_no_request():
    """0.CL: what follows the head of a refused upload is its body, whatever it looks like."""
    frontend = {"http": {"max_body_size": "10B"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        with weir.client() as client:
            client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 100"),
                        http1.request("GET", "/smuggled"))
            assert client.response().status == 413
            client.end()
            assert client.is_closed()
        assert backend.received == 0


def test_early_final_answer_with_a_body_that_goes_on():
    """The answer is long and begins at once; the upload ends in the middle of it."""
    def script(connection):
        head = connection.head()
        connection.send(http1.head("HTTP/1.1 200 OK", "Content-Length: 400000"), b"a" * 200000)
        connection.reader.body(head, False)
        bodies.append(head.body)
        connection.send(b"b" * 200000)
        connection.reader.rest()

    bodies = []

    with Backend(script) as backend, start(backend) as weir, weir.client() as client:
        client.send(http1.head("POST / HTTP/1.1", "Host: a", "Content-Length: 300000"))
        response = client.reader.response_head()
        assert response.status == 200
        client.send(b"u" * 300000)
        assert client.reader.exactly(400000) == b"a" * 200000 + b"b" * 200000
        assert bodies == [b"u" * 300000]
