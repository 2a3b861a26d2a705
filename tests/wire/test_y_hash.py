# SPDX-License-Identifier: Apache-2.0
"""Hash keys: the same part of a request leads to the same backend."""
import contextlib

import pytest

from peers import http1
from peers.backend import Backend, fixed
from peers.weir import start

KEYED = ["consistent_hash", "maglev", "rendezvous"]
NAMES = "abcd"


@contextlib.contextmanager
def hashing(by=None, algorithm="consistent_hash", workers=2, frontend=None, backends=None, **keys):
    """Four backends that say their names, and weir in front of them."""
    with contextlib.ExitStack() as stack:
        if backends is None:
            backends = four(stack)
        choice = {**({"by": by} if by else {}), **keys}
        pool = {"algorithm": algorithm, **({"hash": choice} if choice else {})}
        yield stack.enter_context(
            start(*backends, pool=pool, workers=workers, frontend=frontend))


def four(stack):
    return [stack.enter_context(Backend(fixed(200, body=name.encode()))) for name in NAMES]


def of_keys(weir, ask, count=64):
    """Which backend each of many keys leads to, asked twice; no key may lead to two."""
    first = [ask(weir, key) for key in range(count)]
    assert first == [ask(weir, key) for key in range(count)]
    assert set(first) == set(NAMES)  # 64 keys that leave one of four out: once in 10^8
    return "".join(first)


def by_header(weir, key):
    return weir.ask("GET", f"/{id(key) % 7}", f"X-User: user-{key}").text


def by_cookie(weir, key):
    return weir.ask("GET", "/", f"Cookie: other={key % 3}; sid=user-{key}").text


def by_query(weir, key):
    return weir.ask("GET", f"/path{key % 3}?x=1&user=user-{key}&y=2").text


def by_path(weir, key):
    return weir.ask("GET", f"/users/./{key}?q={key % 3}").text


def by_address(weir, key):
    return weir.ask(source=f"127.0.1.{key + 1}").text


@pytest.mark.parametrize("algorithm", KEYED)
def test_by_header(algorithm):
    with hashing("header:X-User", algorithm) as weir:
        of_keys(weir, by_header)


@pytest.mark.parametrize("by, ask", [("cookie:sid", by_cookie), ("query:user", by_query),
                                     ("path", by_path), ("client_ip", by_address)])
def test_by(by, ask):
    with hashing(by) as weir:
        of_keys(weir, ask)


def test_the_address_is_what_nobody_says():
    with hashing() as weir:
        of_keys(weir, by_address)


def test_a_cookie_in_a_second_field():
    with hashing("cookie:sid") as weir:
        for key in range(16):
            pieces = weir.ask("GET", "/", "Cookie: a=b", f"Cookie: c=d;sid=user-{key}").text
            assert pieces == by_cookie(weir, key)


def test_several_parts():
    with hashing(["client_ip", "header:x-user"]) as weir:
        assert len({by_header(weir, key) for key in range(64)}) == 4
        here = [weir.ask("GET", "/", f"X-User: {key}").text for key in range(64)]
        there = [weir.ask("GET", "/", f"X-User: {key}", source="127.0.1.1").text
                 for key in range(64)]
        assert here != there


def test_prefixes():
    with hashing(ipv4_prefix=24) as weir:
        assert len({by_address(weir, key) for key in range(32)}) == 1
        assert len({weir.ask(source=f"127.0.{key}.1").text for key in range(64)}) == 4


def test_ip_hash_takes_the_address_whatever_is_asked_for():
    with hashing("header:X-User", "ip_hash") as weir:
        assert len({by_header(weir, key) for key in range(32)}) == 1
        assert len({by_address(weir, key) for key in range(64)}) == 4


def test_a_trusted_proxy_tells_the_address():
    trust = {"client_ip": {"trusted_proxies": "loopback"}}
    with hashing(algorithm="ip_hash", frontend=trust) as weir:
        of_keys(weir, lambda weir, key: weir.ask(
            "GET", "/", f"X-Forwarded-For: 192.0.2.{key}").text)


def test_nobody_else_does():
    with hashing(algorithm="ip_hash") as weir:
        assert len({weir.ask("GET", "/", f"X-Forwarded-For: 192.0.2.{key}").text
                    for key in range(32)}) == 1


def test_requests_without_the_part_are_spread_out():
    with hashing("header:X-User") as weir:
        assert {weir.ask().text for _ in range(64)} == set(NAMES)
        assert len({weir.ask("GET", "/", "X-User:").text for _ in range(16)}) == 1


def test_tcp_has_only_the_address():
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(
            lambda connection, name=name: (connection.send(name.encode()),
                                           connection.reader.rest()))) for name in NAMES]
        weir = stack.enter_context(start(*backends, protocol="tcp",
                                         pool={"algorithm": "consistent_hash"}))

        def ask(weir, key):
            with weir.client(source=f"127.0.1.{key + 1}") as client:
                return client.reader.exactly(1).decode()

        of_keys(weir, ask)


def test_who_falls_out_moves_only_its_own():
    with contextlib.ExitStack() as stack:
        backends = four(stack)
        with hashing("header:x-user", backends=backends) as weir:
            before = of_keys(weir, by_header)
            backends[1].stop()
            after = [by_header(weir, key) for key in range(64)]
            assert all(new == old or old == "b" for old, new in zip(before, after))
            assert "b" not in after


def test_instances_agree():
    with contextlib.ExitStack() as stack:
        backends = four(stack)

        def assignment(**keys):
            with hashing("header:x-user", backends=backends, **keys) as weir:
                return of_keys(weir, by_header)

        plain = assignment()
        assert assignment() == plain
        secret = assignment(secret="nobody knows this secret")
        assert secret != plain
        assert assignment(secret="nobody knows this secret") == secret
        assert assignment(secret="nobody knows that secret") != secret


def test_many_requests_on_one_connection():
    with hashing("query:user") as weir, weir.client() as client:
        names = []
        for _ in range(2):
            client.send(b"".join(http1.request("GET", f"/?user={key}") for key in range(64)))
            names.append([client.response().text for _ in range(64)])
        assert names[0] == names[1]
        assert set(names[0]) == set(NAMES)  # as in of_keys
