# SPDX-License-Identifier: Apache-2.0
"""Health checks of gRPC (grpc.health.v1.Health/Check) at a real gRPC server, in clear and by TLS, and
at backends that answer by hand what no server would."""
import json
from concurrent import futures

import pytest

from peers import h2
from peers.backend import Backend
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.papers import TlsBackend, papers
from peers.weir import config_file, run, start

grpc = pytest.importorskip("grpc")

CHECK = "/grpc.health.v1.Health/Check"
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)
TLS = {"ca": papers().path("ca.crt"), "server_name": "site.example"}


def message(status):
    """A HealthCheckResponse; zero is said by silence."""
    return bytes([8, status]) if status else b""


class Health(grpc.GenericRpcHandler):
    """Says of each service what `states` has; what else is asked is echoed."""

    def __init__(self, **states):
        self.states, self.asked, self.metadata = states, [], []

    def service(self, details):
        if details.method != CHECK:
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
        if self.states is None:
            return None
        return grpc.unary_unary_rpc_method_handler(self.check)

    def check(self, request, context):
        name = request[2:].decode()
        assert not request or request[:2] == bytes([10, len(name)])
        self.asked.append(name)
        self.metadata.append(dict(context.invocation_metadata()))
        if name not in self.states:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        if isinstance(self.states[name], grpc.StatusCode):
            context.abort(self.states[name], "as it was told")
        return message(self.states[name])


class Server:
    def __init__(self, health, tls=False):
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((health,))
        self.address = f"{HOST}:{free_port()}"
        if tls:
            pair = [(papers().folder / f"site.{end}").read_bytes() for end in ("key", "crt")]
            self.server.add_secure_port(self.address, grpc.ssl_server_credentials([tuple(pair)]))
        else:
            self.server.add_insecure_port(self.address)
        self.address = ("h2://" if tls else "h2c://") + self.address
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None)


def checked(*backends, service=None, **pool):
    check = {"type": "grpc", "interval": "100ms", "fast_interval": "50ms", "unhealthy_threshold": 1,
             "healthy_threshold": 1}
    if service:
        check["service"] = service
    return start(*backends, pool={"health_check": check, **pool})


def says(weir, reason):
    line = json.loads(weir.wait_log(f'"reason":"{reason}"')[0])
    assert line["to"] == "down"


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_serves(tls):
    health = Health(**{"": SERVING})
    with Server(health, tls) as server, checked(server.address, tls=TLS) as weir:
        weir.wait_log("backends are checked")
        until(lambda: len(health.asked) > 3, "checks")
        assert set(health.asked) == {""}
        assert health.metadata[0]["user-agent"].endswith("health-check")
        with grpc.insecure_channel(weir.address) as channel:
            assert channel.unary_unary("/t.T/Echo")(b"abc", timeout=HANG_SECONDS) == b"abc"


def test_it_comes_and_goes():
    health = Health(**{"": SERVING})
    with Server(health) as server, checked(server.address) as weir:
        weir.wait_log("backends are checked")
        health.states[""] = NOT_SERVING
        says(weir, "gRPC: it is not serving")
        until(lambda: weir.ask().status == 503, "the backend to be out")
        health.states[""] = SERVING
        weir.wait_log('"to":"up","reason":"passed"')


@pytest.mark.parametrize("state, reason", [
    (UNKNOWN, "gRPC: its status is unknown"),
    (NOT_SERVING, "gRPC: it is not serving"),
    (SERVICE_UNKNOWN, "gRPC: it does not know the service"),
    (grpc.StatusCode.NOT_FOUND, "gRPC: it does not know the service"),
    (grpc.StatusCode.UNIMPLEMENTED, "gRPC: it has no health service"),
    (grpc.StatusCode.INTERNAL, "gRPC: it answered with an error"),
])
def test_every_other_answer_is_told(state, reason):
    with Server(Health(**{"": state})) as server, checked(server.address) as weir:
        says(weir, reason)
        assert weir.ask().status == 503


def test_a_server_without_the_service():
    health = Health()
    health.states = None
    with Server(health) as server, checked(server.address) as weir:
        says(weir, "gRPC: it has no health service")


def test_one_service_of_several():
    health = Health(**{"": NOT_SERVING, "shop.v1.Cart": SERVING})
    with Server(health) as server, checked(server.address, service="shop.v1.Cart") as weir:
        weir.wait_log("backends are checked")
        until(lambda: len(health.asked) > 2, "checks")
        assert set(health.asked) == {"shop.v1.Cart"}
        assert '"to":"down"' not in weir.stderr


# ---- By hand ------------------------------------------------------------------------------------

HEAD = [(":status", "200"), ("content-type", "application/grpc")]
FINE = b"\0\0\0\0\2\x08\x01"


def hand(*frames):
    """A script that answers each request so; a frame is made by (peer, stream)."""
    return h2.serve(lambda peer, stream: peer.send(*[make(peer, stream) for make in frames]))


def head(*fields, end=False):
    return lambda peer, stream: peer.headers(stream, list(fields), end=end)


def body(data, end=False):
    return lambda peer, stream: peer.data(stream, data, end)


GOOD_END = head(("grpc-status", "0"), end=True)
NOT_GRPC = "the answer is not valid gRPC"


@pytest.mark.parametrize("frames, reason", [
    ([head((":status", "404"), end=True)], "status 404 instead of 200"),
    ([head((":status", "503")), body(b"no", True)], "status 503 instead of 200"),
    ([head((":status", "200"), ("content-type", "text/html")), body(FINE), GOOD_END], NOT_GRPC),
    ([head(*HEAD), body(FINE, True)], NOT_GRPC),
    ([head(*HEAD, end=True)], NOT_GRPC),
    ([head(*HEAD, ("grpc-status", "0"), end=True)], NOT_GRPC),
    ([head(*HEAD), body(FINE), head(("grpc-status", "x"), end=True)], NOT_GRPC),
    ([head(*HEAD), body(FINE[:-1]), GOOD_END], NOT_GRPC),
    ([head(*HEAD), body(b"\1" + FINE[1:]), GOOD_END], NOT_GRPC),
    ([head(*HEAD), body(b"x" * 5000), GOOD_END], NOT_GRPC),
    ([head(*HEAD), body(FINE), head(("grpc-status", "14"), end=True)],
     "gRPC: it answered with an error"),
    ([lambda peer, stream: h2.raw(3, 0, stream, b"\0\0\0\2")],
     "connection closed without answer"),
])
def test_what_no_server_says(frames, reason):
    with Backend(hand(*frames)) as backend, checked("h2c://" + backend.address) as weir:
        says(weir, reason)


def test_a_message_in_pieces():
    frames = [head(*HEAD), *[body(FINE[i:i + 1]) for i in range(len(FINE))], GOOD_END]
    with Backend(hand(*frames)) as backend, checked("h2c://" + backend.address) as weir:
        weir.wait_log("backends are checked")
        until(lambda: len(backend.connections) > 3, "checks")
        assert '"to":"down"' not in weir.stderr


def test_a_server_by_tls_that_speaks_no_http2():
    context = papers().server_context("site", alpn=("http/1.1",))
    with TlsBackend(None, context) as backend, \
            checked("h2://" + backend.address, tls=TLS) as weir:
        says(weir, "the backend does not agree on HTTP/2 (ALPN)")


def test_a_server_that_never_answers():
    with Backend(h2.serve(lambda peer, stream: None)) as backend, \
            start("h2c://" + backend.address, pool={"health_check": {
                "type": "grpc", "interval": "200ms", "timeout": "100ms",
                "unhealthy_threshold": 1}}) as weir:
        says(weir, "no answer in time")


# ---- Configuration ------------------------------------------------------------------------------

@pytest.mark.parametrize("pool, code", [
    ({"backends": ["a:1"]}, 78),
    ({"backends": ["h2c://a:1", "a:2"]}, 78),
    ({"backends": ["https://a:1"]}, 78),
    ({"backends": ["h2c://a:1", "h2://a:2"]}, 0),
    ({"backends": ["a:1"], "protocol": "h2"}, 0),
    ({"backends": ["https://a:1"], "protocol": "h2"}, 0),
])
def test_only_where_http2_is_spoken(pool, code):
    got, out, err = run("check", config_file({
        "pools": {"app": {"health_check": {"type": "grpc"}, **pool}},
        "frontends": {"web": {"bind": ":1", "pool": "app"}}}))
    assert got == code, out + err
    if code:
        assert "protocol: h2 for the whole pool" in out + err
