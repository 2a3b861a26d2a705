# SPDX-License-Identifier: Apache-2.0
"""A cookie leads a client back to its backend."""
import contextlib
import re

import pytest

from peers.backend import Backend, fixed
from peers.net import HOST, free_port
from peers.papers import TlsClient, papers
from peers.weir import Weir, settings, start

NAMES = "abc"
SECRET = "nobody knows this secret"


def backends(stack, names=NAMES):
    return [stack.enter_context(Backend(fixed(200, body=name.encode()))) for name in names]


@contextlib.contextmanager
def sticky(conf=None, pool=None, **rest):
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(start(
            *backends(stack), pool={"sticky": conf or {"secret": SECRET}, **(pool or {})}, **rest))


def cookie_of(response):
    """What a browser would send back, or None."""
    line = response.get("set-cookie")
    return line.split(";")[0] if line else None


def ask(weir, cookie=None, target="/", **rest):
    return weir.ask("GET", target, *([f"Cookie: {cookie}"] if cookie else []), **rest)


@pytest.mark.parametrize("algorithm", ["round_robin", "least_connections", "maglev", "random"])
def test_a_client_stays(algorithm):
    with sticky(pool={"algorithm": algorithm}, workers=2) as weir:
        for _ in range(6):
            first = ask(weir)
            cookie = cookie_of(first)
            assert re.fullmatch(r"weir=[A-Za-z0-9_-]{22}", cookie)
            for _ in range(6):
                again = ask(weir, cookie)
                assert again.text == first.text
                assert not again.has("set-cookie")


def test_others_are_spread_out():
    with sticky() as weir:
        answers = [ask(weir) for _ in range(6)]
        assert {answer.text for answer in answers} == set(NAMES)
        assert len({cookie_of(answer) for answer in answers}) == 3


def test_the_cookie_as_a_browser_gets_it():
    conf = {"name": "__Secure-id", "ttl": "90s", "path": "/shop", "secure": True,
            "same_site": "none", "secret": SECRET}
    with sticky() as weir:
        assert ask(weir).get("set-cookie").split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]
    with sticky(conf) as weir:
        line = ask(weir).get("set-cookie").split("; ")
        assert line[0].startswith("__Secure-id=")
        assert line[1:] == ["Path=/shop", "Max-Age=90", "HttpOnly", "SameSite=None", "Secure"]


def test_secure_where_the_client_came_by_tls():
    """One pool that clients come to in clear and by TLS."""
    conf = {"secret": SECRET}
    with contextlib.ExitStack() as stack:
        tree, clear = settings(backends(stack), pool={"sticky": conf},
                               certificates=[papers().files("site")])
        secure = f"{HOST}:{free_port()}"
        tree["frontends"]["tls"] = {"bind": secure, "pool": "app", "tls": True}
        weir = stack.enter_context(Weir(tree, address=clear))
        in_clear = ask(weir)
        with TlsClient(secure, papers().client_context()) as client:
            by_tls = client.ask("GET", "/")
            cookie = cookie_of(by_tls)
            again = client.ask("GET", "/", "Cookie: " + cookie)
        assert not in_clear.get("set-cookie").endswith("; Secure")
        assert by_tls.get("set-cookie").endswith("; SameSite=Lax; Secure")
        assert again.text == by_tls.text and not again.has("set-cookie")
        assert ask(weir, cookie).text == by_tls.text


def test_nothing_of_the_backend_shows():
    with contextlib.ExitStack() as stack:
        servers = backends(stack)
        named = [{"id": f"server-{server.port}", "address": server.address} for server in servers]
        weir = stack.enter_context(start(*named, pool={"sticky": {"secret": SECRET}}))
        line = ask(weir).get("set-cookie")
        assert not any(str(server.port) in line or "server" in line for server in servers)


def test_values_that_nobody_was_given():
    with sticky() as weir:
        good = cookie_of(ask(weir))
        for bad in ("weir=", "weir=a", "weir=" + "A" * 22, good + "A", good[:-1], "weir=" + good,
                    f"weir={NAMES[0]}", "x" + good, good.swapcase()):
            answers = [ask(weir, bad) for _ in range(3)]
            assert {answer.text for answer in answers} == set(NAMES)
            assert all(cookie_of(answer) for answer in answers)


@pytest.mark.parametrize("conf", [{"secret": SECRET}, "cookie"], ids=["secret", "machine"])
def test_another_start_knows_them(conf):
    with contextlib.ExitStack() as stack:
        tree, address = settings(backends(stack), pool={"sticky": conf})
        bound = {}
        with Weir(tree, address=address) as weir:
            for _ in range(3):
                answer = ask(weir)
                bound[cookie_of(answer)] = answer.text
        assert len(bound) == 3
        for workers in (1, 4):
            tree["runtime"]["workers"] = workers
            tree["pools"]["app"]["backends"].reverse()
            with Weir(tree, address=address) as weir:
                for _ in range(2):
                    for cookie, name in bound.items():
                        answer = ask(weir, cookie)
                        assert answer.text == name and not answer.has("set-cookie")


def test_another_secret_does_not():
    with contextlib.ExitStack() as stack:
        servers = backends(stack)
        with start(*servers, pool={"sticky": {"secret": SECRET}}) as weir:
            cookie = cookie_of(ask(weir))
        with start(*servers, pool={"sticky": {"secret": SECRET + "!"}}) as weir:
            assert cookie_of(ask(weir, cookie)) not in (None, cookie)


def test_a_backend_that_is_gone():
    with contextlib.ExitStack() as stack:
        servers = backends(stack)
        with start(*servers, pool={"sticky": {"secret": SECRET}}) as weir:
            first = ask(weir)
            servers[NAMES.index(first.text)].stop()
            second = ask(weir, cookie_of(first))
            assert second.status == 200 and second.text != first.text
            cookie = cookie_of(second)
            assert cookie not in (None, cookie_of(first))
            for _ in range(4):
                third = ask(weir, cookie)
                assert third.text == second.text and not third.has("set-cookie")


def test_a_backend_that_takes_no_more():
    with contextlib.ExitStack() as stack:
        servers = backends(stack)
        tree, address = settings(
            [{"address": server.address} for server in servers],
            pool={"sticky": {"secret": SECRET}})
        with Weir(tree, address=address) as weir:
            first = ask(weir)
        tree["pools"]["app"]["backends"][NAMES.index(first.text)]["weight"] = 0
        with Weir(tree, address=address) as weir:
            second = ask(weir, cookie_of(first))
            assert second.text != first.text
            assert cookie_of(second) not in (None, cookie_of(first))


def test_pools_do_not_mix():
    with contextlib.ExitStack() as stack:
        servers = backends(stack)
        addresses = [server.address for server in servers]
        routes = [{"match": {"path": "/one/*"}, "pool": "one"},
                  {"match": {"path": "/two/*"}, "pool": "two"}]
        pools = {name: {"backends": addresses, "sticky": {"secret": SECRET, "name": cookie}}
                 for name, cookie in (("one", "c"), ("two", "c"), ("three", "d"))}
        address = f"{HOST}:{free_port()}"
        tree = {"frontends": {"web": {"bind": address, "routes": routes, "pool": "three"}},
                "pools": pools}
        weir = stack.enter_context(Weir(tree, address=address))
        one, two, three = (ask(weir, None, target) for target in ("/one/", "/two/", "/three/"))
        both = f"{cookie_of(one)}; {cookie_of(three)}"
        for _ in range(3):
            assert ask(weir, both, "/one/").text == one.text
            assert ask(weir, both, "/three/").text == three.text
        # The cookie of pool one says nothing in pool two, though both call it the same.
        answers = [ask(weir, cookie_of(one), "/two/") for _ in range(3)]
        assert {answer.text for answer in answers} == set(NAMES)
        assert all(cookie_of(answer) for answer in answers)
        assert cookie_of(two) != cookie_of(one)


def test_answers_of_our_own_bind_nobody():
    with start(f"{HOST}:{free_port()}", pool={"sticky": {"secret": SECRET}}) as weir:
        answer = ask(weir)
        assert answer.status in (502, 503)
        assert not answer.has("set-cookie")


def test_the_cookies_of_a_backend_stay():
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Backend(fixed(
            200, "Set-Cookie: a=b", "Set-Cookie: c=d", body=b"x")))
        weir = stack.enter_context(start(server, pool={"sticky": {"secret": SECRET}}))
        lines = ask(weir).all("set-cookie")
        assert lines[:2] == ["a=b", "c=d"]
        assert lines[2].startswith("weir=")
        assert len(lines) == 3


def test_every_answer_on_a_connection():
    with sticky() as weir, weir.client() as client:
        cookies = [cookie_of(client.ask()) for _ in range(6)]
        assert None not in cookies
        names = [client.ask("GET", "/", f"Cookie: {cookies[0]}").text for _ in range(6)]
        assert len(set(names)) == 1
