# SPDX-License-Identifier: Apache-2.0
"""Which pool a request goes to, weighted splits, redirects, 404."""
import collections
import contextlib

import pytest

from peers import http1
from peers.backend import Backend, fixed
from peers.net import HOST, free_port
from peers.weir import CALM, Weir, start


@contextlib.contextmanager
def routed(routes, names, pool="rest"):
    """A weir with these routes; each named pool has one backend that answers with its name."""
    with contextlib.ExitStack() as stack:
        backends = {name: stack.enter_context(Backend(fixed(200, body=name.encode())))
                    for name in names}
        address = f"{HOST}:{free_port()}"
        web = {"bind": address, "routes": routes}
        if pool:
            web["pool"] = pool
        tree = {"runtime": {"workers": 1}, "frontends": {"web": web},
                "pools": {name: {"backends": [backend.address], **CALM}
                          for name, backend in backends.items()}}
        weir = stack.enter_context(Weir(tree, address=address))
        weir.backends = backends
        yield weir


def where(weir, *args, **rest):
    response = weir.ask(*args, **rest)
    return response.text if response.status == 200 else response.status


@pytest.fixture(scope="module")
def by_host():
    with routed([
        {"match": {"host": "API.Example.com"}, "pool": "api"},
        {"match": {"host": "*.example.org"}, "pool": "wild"},
    ], ["api", "wild", "rest"]) as weir:
        yield weir


@pytest.mark.parametrize("host, pool", [
    ("api.example.com", "api"), ("API.EXAMPLE.COM", "api"), ("api.example.com:8080", "api"),
    ("xapi.example.com", "rest"), ("api.example.com.evil", "rest"), ("example.com", "rest"),
    ("a.example.org", "wild"), ("A.b.Example.org:1", "wild"), ("example.org", "rest"),
    ("aexample.org", "rest"), ("[::1]", "rest"),
])
def test_host(by_host, host, pool):
    assert where(by_host, host=host) == pool


def test_host_of_the_absolute_form(by_host):
    assert where(by_host, "GET", "http://api.example.com/", host="other.test") == "api"


@pytest.fixture(scope="module")
def by_path():
    with routed([
        {"match": {"path": "/exact"}, "pool": "exact"},
        {"match": {"path": "/v1/*"}, "pool": "prefix"},
    ], ["exact", "prefix", "rest"]) as weir:
        yield weir


@pytest.mark.parametrize("path, pool", [
    ("/exact", "exact"), ("/exact?a=b", "exact"), ("/exact/", "rest"), ("/Exact", "rest"),
    ("/exactly", "rest"), ("/e%78act", "exact"), ("/a/../exact", "exact"), ("/./exact", "exact"),
    ("/v1/a", "prefix"), ("/v1/", "prefix"), ("/v1", "prefix"), ("/v1?x", "prefix"),
    ("/v1/a/b/c", "prefix"), ("/v10", "rest"), ("/v1/../a", "rest"), ("/v2/../v1/a", "prefix"),
    ("/%76%31/a", "prefix"), ("/v1%2fa", "rest"), ("/x/v1/a", "rest"), ("/", "rest"),
    ("/v1/%2e%2e/a", "rest"),
])
def test_path(by_path, path, pool):
    """On the normal form: no spelling of a path gets past a route."""
    assert where(by_path, "GET", path) == pool


def test_method():
    with routed([{"match": {"methods": ["POST", "PURGE"]}, "pool": "write"}],
                ["write", "rest"]) as weir:
        assert where(weir, "POST", "/", body=b"") == "write"
        assert where(weir, "PURGE", "/") == "write"
        assert where(weir, "GET", "/") == "rest"
        assert where(weir, "post", "/", body=b"") == "rest"


def test_header():
    with routed([{"match": {"header": {"x-canary": "1", "X-Other": "a b"}}, "pool": "canary"}],
                ["canary", "rest"]) as weir:
        assert where(weir, "GET", "/", "X-Canary: 1", "x-other: a b") == "canary"
        assert where(weir, "GET", "/", "X-Canary: 2", "X-Canary: 1", "x-other:a b ") == "canary"
        assert where(weir, "GET", "/", "X-Canary: 1") == "rest"
        assert where(weir, "GET", "/", "X-Canary: 11", "x-other: a b") == "rest"
        assert where(weir, "GET", "/", "X-Canary: 1", "x-other: A b") == "rest"


def test_all_conditions_must_hold_and_the_first_route_wins():
    routes = [
        {"match": {"host": "a.test", "path": "/x/*", "methods": "GET", "header": {"k": "v"}},
         "pool": "all"},
        {"match": {"path": "/x/*"}, "pool": "first"},
        {"match": {"path": "/x/y"}, "pool": "never"},
    ]
    with routed(routes, ["all", "first", "never", "rest"]) as weir:
        assert where(weir, "GET", "/x/y", "K: v", host="a.test") == "all"
        assert where(weir, "GET", "/x/y", "K: v", host="b.test") == "first"
        assert where(weir, "POST", "/x/y", "K: v", host="a.test", body=b"") == "first"
        assert where(weir, "GET", "/x/y", host="a.test") == "first"
        assert where(weir, "GET", "/z", "K: v", host="a.test") == "rest"


def test_one_connection_many_routes():
    routes = [{"match": {"path": f"/{name}"}, "pool": name} for name in "abc"]
    with routed(routes, ["a", "b", "c", "rest"]) as weir, weir.client() as client:
        for name in "abcabccba":
            assert client.ask("GET", f"/{name}").text == name
        assert [len(backend.connections) for backend in weir.backends.values()] == [1, 1, 1, 0]


def test_nothing_matches():
    with routed([{"match": {"path": "/a"}, "pool": "a"}], ["a"], pool=None) as weir:
        with weir.client() as client:
            response = client.ask("GET", "/b")
            assert response.status == 404
            assert "no_route" in response.text
            assert client.ask("GET", "/a").status == 200  # the connection goes on
            assert client.ask("POST", "/b", body=b"x" * 100000).status == 404


def test_split_by_weight():
    """Random per request: 2,000 draws of 1:3, within five standard deviations."""
    with routed([{"match": {}, "split": {"a": 1, "b": 3, "c": 0}}], ["a", "b", "c"],
                pool=None) as weir, weir.client() as client:
        seen = collections.Counter()
        for _ in range(20):
            client.send(http1.request() * 100)
            for _ in range(100):
                seen[client.response().text] += 1
        assert seen["c"] == 0
        assert abs(seen["a"] - 500) < 100
        assert seen["a"] + seen["b"] == 2000


REDIRECTS = [
    ("/fixed", "/old", "/fixed"),
    ("https://{host}{path}{query}", "/old?a=b", "https://weir.test/old?a=b"),
    ("https://{host}{path}{query}", "/old", "https://weir.test/old"),
    ("https://new.test{path}", "/o%6Cd", "https://new.test/o%6Cd"),
]


@pytest.mark.parametrize("to, target, location", REDIRECTS)
def test_redirect(to, target, location):
    with routed([{"match": {"path": "/old"}, "redirect": {"to": to}}], ["rest"]) as weir:
        response = weir.ask("GET", target)
        assert response.status == 308
        assert response.get("location") == location
        assert weir.backends["rest"].received == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_status(status):
    routes = [{"match": {"path": "/old/*"}, "redirect": {"to": "/new/{rest}{query}",
                                                        "status": status}}]
    with routed(routes, ["rest"]) as weir, weir.client() as client:
        for target, location in (("/old/a/b?c=d", "/new/a/b?c=d"), ("/old/", "/new/"),
                                 ("/old", "/new/"), ("/old/x/../y", "/new/y")):
            response = client.ask("GET", target)
            assert response.status == status
            assert response.get("location") == location
        assert client.ask("HEAD", "/old/a").status == status
        assert client.ask("GET", "/").text == "rest"
        response = client.ask("POST", "/old/a", body=b"abc")
        assert response.status == status
        assert response.get("location") == "/new/a"


@pytest.mark.parametrize("target", ["/old/%0d%0aX-Evil:%201", "/old/a%0d%0a%0d%0a<script>",
                                    "/old/?x=%0d%0aSet-Cookie:a=b"])
def test_redirect_splits_no_answer(target):
    routes = [{"match": {"path": "/old/*"}, "redirect": {"to": "/new/{rest}{query}"}}]
    with routed(routes, ["rest"]) as weir:
        response = weir.ask("GET", target)
        assert response.status == 308
        assert not response.has("x-evil") and not response.has("set-cookie")


def test_two_frontends_share_a_pool():
    first, second = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    with Backend() as backend:
        tree = {"frontends": {"one": {"bind": first, "pool": "p"},
                              "two": {"bind": second, "pool": "p"}},
                "pools": {"p": {"backends": [backend.address], **CALM}}, "runtime": {"workers": 1}}
        with Weir(tree, address=first) as weir:
            assert weir.ask().status == 200
            assert weir.ask(address=second).status == 200
            assert len(backend.connections) == 1


def test_several_addresses_of_one_frontend():
    binds = [f"{HOST}:{free_port()}" for _ in range(3)]
    with Backend() as backend, start(backend, bind=binds) as weir:
        for address in binds:
            assert weir.ask(address=address).status == 200


ERRORS = {
    "text/plain": "text/plain; charset=utf-8",
    "text/html,application/xhtml+xml": "text/html; charset=utf-8",
    "application/json": "application/problem+json",
    None: "text/plain; charset=utf-8",
}


@pytest.mark.parametrize("accept", ERRORS)
def test_form_of_local_answers(accept):
    with routed([{"match": {"path": "/a"}, "pool": "a"}], ["a"], pool=None) as weir:
        response = weir.ask("GET", "/<script>", *([f"Accept: {accept}"] if accept else []))
        assert response.status == 404
        assert response.get("content-type") == ERRORS[accept]
        assert "no_route" in response.text
        assert "<script>" not in response.text
        head = weir.ask("HEAD", "/x", *([f"Accept: {accept}"] if accept else []))
        assert head.status == 404 and head.body == b""
