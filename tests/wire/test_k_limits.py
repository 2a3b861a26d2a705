# SPDX-License-Identifier: Apache-2.0
"""Heads, targets and bodies at and over their limits."""
import pytest

from peers import http1
from peers.backend import Backend
from peers.net import HOST, free_port
from peers.weir import Weir, settings, start


@pytest.fixture(scope="module")
def limited():
    frontend = {"http": {"max_header_size": "8KiB", "max_body_size": "20KB"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        weir.backend = backend
        yield weir


def head_of_size(size):
    rest = len(http1.request("GET", "/", "Name: "))
    return http1.request("GET", "/", "Name: " + "v" * (size - rest))


def test_the_largest_head_passes(limited):
    with limited.client() as client:
        assert len(head_of_size(8192)) == 8192
        client.send(head_of_size(8192))
        assert client.response().status == 200


@pytest.mark.parametrize("size", [8193, 9000, 70000, 1000000])
def test_a_larger_head_is_431(limited, size):
    before = limited.backend.received
    with limited.client() as client:
        client.send(head_of_size(size))
        response = client.response()
        assert response.status == 431
        assert "head_too_large" in response.text
        client.end()
        assert client.is_closed()
    assert limited.backend.received == before


def test_a_head_without_end_is_431(limited):
    with limited.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        try:
            for _ in range(1000):
                client.send(b"Name: value\r\n" * 100)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            assert client.response().status == 431
        except ConnectionResetError:
            pass  # megabytes behind the answer


def test_a_line_without_end_is_refused(limited):
    with limited.client() as client:
        client.send(b"A" * 100000)
        assert client.response().status in (400, 414, 431)
        client.end()
        assert client.is_closed()


@pytest.mark.parametrize("fields", [64, 100])
def test_many_fields_pass(fields):
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("GET", "/", *[f"N{i}: {i}" for i in range(fields)]).status == 200
        assert backend.last().get(f"n{fields - 1}") == str(fields - 1)


def test_too_many_fields_are_431():
    with Backend() as backend, start(backend) as weir:
        assert weir.ask("GET", "/", *[f"N{i}: {i}" for i in range(5000)]).status == 431
        assert backend.received == 0


def test_a_target_too_long_is_414(limited):
    with limited.client() as client:
        assert client.ask("GET", "/" + "x" * 5000).status == 414
        client.end()
        assert client.is_closed()


def test_a_head_in_two_halves_of_the_limit(limited):
    data = head_of_size(8192)
    for cut in (1, 100, 4095, 4096, 8190, 8191):
        with limited.client() as client:
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.response().status == 200


@pytest.mark.parametrize("size, status", [(20000, 200), (20001, 413), (1000000, 413)])
def test_body_by_length(limited, size, status):
    before = len(limited.backend.heads)
    with limited.client() as client:
        client.send(http1.request("POST", "/", body=b"x" * size))
        response = client.response()
        assert response.status == status
        if status == 413:
            assert "payload_too_large" in response.text
    assert len(limited.backend.heads) == before + (status == 200)


@pytest.mark.parametrize("size, status", [(20000, 200), (20001, 413), (400000, 413)])
def test_body_by_chunks(limited, size, status):
    with limited.client() as client:
        try:
            client.send(http1.request("POST", "/", chunks=[b"x" * 1000] * (size // 1000)
                                      + [b"y" * (size % 1000)]))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.response().status == status


def test_no_body_at_all_may_be_allowed():
    frontend = {"http": {"max_body_size": "0B"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        assert weir.ask("POST", "/", body=b"").status == 200
        assert weir.ask("POST", "/", body=b"x").status == 413
        assert weir.ask("POST", "/", chunks=[]).status == 200
        assert weir.ask("POST", "/", chunks=[b"x"]).status == 413


def test_each_frontend_has_its_own_limit_on_heads():
    """Of requests and of answers, also where both use the same connection to the backend."""
    def script(connection):
        while message := connection.request():
            size = 4000 if message.target == "/large" else 10
            connection.send(http1.response(200, "A: " + "a" * size, body=b"x"))

    small, large = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    with Backend(script) as backend:
        tree, _ = settings([backend])
        tree["frontends"] = {
            name: {"bind": bind, "pool": "app", "http": {"max_header_size": limit}}
            for name, bind, limit in (("a", small, "2KiB"), ("b", large, "8KiB"))}
        with Weir(tree, address=large) as weir:
            for _ in range(2):
                with weir.client(small) as client:
                    assert client.send(head_of_size(2048)).response().status == 200
                    assert client.send(head_of_size(2049)).response().status == 431
                with weir.client(large) as client:
                    assert client.send(head_of_size(8192)).response().status == 200
                    assert client.ask("GET", "/large").status == 200
                    assert client.send(head_of_size(8193)).response().status == 431
                response = weir.ask("GET", "/large", address=small)
                assert response.status == 502
                assert "response_head_too_large" in response.text
            assert len(backend.connections) == 2  # kept until an answer was too large
