# SPDX-License-Identifier: Apache-2.0
"""Traces: what backends are told of them, and the spans that a collector gets."""
import json
import re
import signal
import time

import pytest

from peers import http1
from peers.backend import Backend, echo, fixed, serve
from peers.net import HOST, free_port, until
from peers.otlp import CLIENT, SERVER, Collector
from peers.weir import run, start

from test_l_tunnels import ASK, echo_tunnel, upgrading

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, OTHER = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
ENV = {name: "" for name in (
    "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")}


def traced(collector, *backends, env=None, **rest):
    tracing = {"otlp": collector if isinstance(collector, str) else collector.url,
               **rest.pop("tracing", {})}
    return start(*backends, tracing=tracing, env={**ENV, **(env or {})}, **rest)


def parts(message):
    """(trace id, parent id, flags) that a backend was told."""
    match = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", message.get("traceparent"))
    assert match, message.get("traceparent")
    return match.groups()


def dead():
    return f"{HOST}:{free_port()}"


# ---- The fields ---------------------------------------------------------------------------------

@pytest.mark.parametrize("parent", [SAMPLED, OTHER, "nonsense", "", f"ff-{TRACE}-{PARENT}-01"])
def test_off_everything_passes(parent):
    lines = [f"Traceparent: {parent}", "tracestate: A=1,,b= 2", "tracestate: nonsense"]
    with Backend() as backend, start(backend, env=ENV) as weir:
        weir.ask("GET", "/", *lines)
        fields = [(name, value) for name, value in backend.last().fields
                  if name.lower().startswith("trace")]
        assert fields == [("Traceparent", parent), ("tracestate", "A=1,,b= 2"),
                          ("tracestate", "nonsense")]


def test_a_trace_goes_on():
    with Collector() as collector, Backend() as backend, traced(collector, backend) as weir:
        weir.ask("GET", "/a", f"traceparent: {SAMPLED}", "tracestate: x=1 , y=2")
        trace, parent, flags = parts(backend.last())
        assert (trace, flags) == (TRACE, "01") and parent != PARENT
        assert backend.last().get("tracestate") == "x=1 , y=2"
        server, client = collector.wait(2)
        assert (server.kind, server.trace, server.parent) == (SERVER, TRACE, PARENT)
        assert (client.kind, client.trace, client.parent) == (CLIENT, TRACE, server.id)
        assert client.id == parent


def test_who_does_not_record_is_followed():
    with Collector() as collector, Backend() as backend, traced(collector, backend) as weir:
        weir.ask("GET", "/a", f"traceparent: {OTHER}", "tracestate: x=1")
        assert backend.last().get("traceparent") == OTHER
        assert backend.last().get("tracestate") == "x=1"
        weir.ask("GET", "/b", f"traceparent: {SAMPLED}")
        collector.wait(2)
        time.sleep(0.5)
        assert len(collector.spans) == 2


def test_a_trace_begins():
    with Collector() as collector, Backend() as backend, traced(collector, backend) as weir:
        traces = set()
        for lines in ([], ["traceparent: 00"], [f"traceparent: {SAMPLED}"] * 2, ["tracestate: a=1"]):
            weir.ask("GET", "/", *lines)
            trace, _, flags = parts(backend.last())
            assert trace != TRACE and flags == "03"
            assert not backend.last().has("tracestate")
            traces.add(trace)
        assert len(traces) == 4
        spans = collector.wait(8)
        assert {span.trace for span in spans} == traces
        assert {span.parent for span in spans if span.kind == SERVER} == {None}


def test_strangers_begin_a_trace_of_their_own():
    trust = {"tracing": {"trust": "trusted_proxies"}}
    believed = {"client_ip": {"trusted_proxies": ["127.0.0.2"]}}
    with Collector() as collector, Backend() as backend, \
            traced(collector, backend, frontend=believed, **trust) as weir:
        weir.ask("GET", "/", f"traceparent: {SAMPLED}", "tracestate: a=1")
        assert parts(backend.last())[0] != TRACE and not backend.last().has("tracestate")
        weir.ask("GET", "/", f"traceparent: {SAMPLED}", source="127.0.0.2")
        assert parts(backend.last())[0] == TRACE


def test_a_long_state_is_shortened():
    with Collector() as collector, Backend() as backend, traced(collector, backend) as weir:
        weir.ask("GET", "/", f"traceparent: {SAMPLED}", f"tracestate: a={'x' * 250},b=1",
                 f"tracestate: c={'y' * 250},d=2")
        assert backend.last().get("tracestate") == f"a={'x' * 250},b=1,d=2"


def test_nothing_is_sampled():
    tracing = {"tracing": {"sample": "0%"}}
    with Collector() as collector, Backend() as backend, \
            traced(collector, backend, **tracing) as weir:
        weir.ask("GET", "/")
        assert parts(backend.last())[2] == "02"  # and those behind us do not record either
        weir.ask("GET", "/", f"traceparent: {SAMPLED}")
        assert [span.trace for span in collector.wait(2)] == [TRACE] * 2


# ---- Spans --------------------------------------------------------------------------------------

def test_the_spans_of_a_request():
    routes = [{"name": "api", "match": {"path": "/v1/*"}, "pool": "app"}]
    with Collector() as collector, Backend() as backend, \
            traced(collector, backend, frontend={"routes": routes}) as weir:
        response = weir.ask("POST", "/v1/x?secret=1", "User-Agent: tester", body=b"hello")
        server, client = collector.wait(2)
        host, port = backend.address.rsplit(":", 1)
        assert server.name == "POST /v1/*" and client.name == "POST"
        assert not server.is_error and not client.is_error
        for span in (server, client):
            assert span["http.request.method"] == "POST"
            assert span["http.response.status_code"] == 200
            assert span["network.protocol.version"] == "1.1"
            assert span["weir.pool"] == "app" and span["weir.backend"] == backend.address
            assert span.get("error.type") is None
            assert "secret" not in repr(span)
            assert span.resource["service.name"] == "weir"
            assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                                span.resource["service.instance.id"])
        assert server["http.route"] == "/v1/*" and server["weir.route"] == "api"
        assert server["url.path"] == "/v1/x" and server["url.scheme"] == "http"
        assert server["client.address"] == "127.0.0.1" and server["network.peer.port"] > 0
        assert server["user_agent.original"] == "tester"
        assert server["http.request.body.size"] == 5
        assert server["http.response.body.size"] == len(response.body)
        assert server["weir.outcome"] == "ok" and server["weir.frontend"] == "web"
        assert server["weir.request_id"] == backend.last().get("x-request-id")
        assert client["server.address"] == host and client["server.port"] == int(port)
        assert client["url.full"] == f"http://{backend.address}/v1/x"
        assert client.get("http.request.resend_count") is None
        assert client["weir.connection.reused"] is False
        assert client["weir.connect_us"] >= 0 and client["weir.first_byte_us"] > 0
        assert server.begun <= client.begun and client.ended <= server.ended
        assert abs(server.begun / 1e9 - time.time()) < 60
        assert server.flags & 0x303 == 0x103  # nobody's child
        assert client.flags & 0x303 == 0x103  # its parent is in this process


def test_a_request_that_is_retried():
    """Every try is a span of its own, and what each backend was told names its own."""
    gone = dead()
    answers = [fixed(503), serve(echo)]
    with Collector() as collector, Backend(answers[0]) as bad, Backend(answers[1]) as good, \
            traced(collector, gone, bad, good, pool={
                "algorithm": "first",
                "retry": {"max_attempts": 3, "backoff": {"base": "1ms"}}}) as weir:
        assert weir.ask("GET", "/x", f"traceparent: {SAMPLED}").status == 200
        spans = collector.wait(4)
        server, tries = spans[0], spans[1:]
        assert [span.kind for span in spans] == [SERVER] + [CLIENT] * 3
        assert {span.trace for span in spans} == {TRACE}
        assert {span.parent for span in tries} == {server.id}
        assert [span.get("http.request.resend_count") for span in tries] == [None, 1, 2]
        assert [span["weir.backend"] for span in tries] == [gone, bad.address, good.address]
        assert [span.get("error.type") for span in tries] == ["connection_refused", "503", None]
        assert [span.get("http.response.status_code") for span in tries] == [None, 503, 200]
        assert [span.is_error for span in tries] == [True, True, False]
        assert not server.is_error and server["http.response.status_code"] == 200
        assert parts(bad.last())[1] == tries[1].id
        assert parts(good.last())[1] == tries[2].id
        assert tries[0].ended <= tries[1].begun <= tries[1].ended <= tries[2].begun


def test_a_request_that_is_replayed():
    """A kept connection turns out to be closed: the same backend twice."""
    def script(connection):
        message = connection.request()
        connection.send(echo(message))
        if connection.index == 0:
            connection.request()  # and closes
            return
        connection.request()

    with Collector() as collector, Backend(script) as backend, traced(collector, backend) as weir:
        with weir.client() as client:
            assert client.ask("GET", "/1").status == 200
            assert client.ask("GET", "/2").status == 200
        spans = [span for span in collector.wait(5) if span.kind == CLIENT][1:]
        assert [span.get("http.request.resend_count") for span in spans] == [None, 1]
        assert [span.get("error.type") for span in spans] == ["connection_reset", None]
        assert [span["weir.connection.reused"] for span in spans] == [True, False]
        told = [parts(message)[1] for message in backend.heads[1:]]
        assert told == [span.id for span in spans]


def test_a_request_that_is_hedged():
    def slow(connection):
        while message := connection.request():
            if message.target == "/slow":
                connection.reader.rest()
                return
            connection.send(echo(message))

    with Collector() as collector, Backend(slow) as first, Backend() as second, \
            traced(collector, first, second, pool={
                "algorithm": "first", "hedge": {"after": "50%", "samples_min": 1},
                "retry": {"budget_min": 1000}}) as weir:
        with weir.client() as client:
            for _ in range(5):
                assert client.ask("GET", "/fast").status == 200
            assert client.ask("GET", "/slow").status == 200
        until(lambda: any(span.get("weir.hedge") for span in collector.spans), "a hedge's span")
        server, = (span for span in collector.spans if span.get("url.path") == "/slow")
        loser, winner = sorted((span for span in collector.spans if span.parent == server.id),
                               key=lambda span: span.begun)
        assert winner["weir.hedge"] is True and winner["http.response.status_code"] == 200
        assert winner["http.request.resend_count"] == 1
        assert loser["weir.overtaken"] is True and not loser.is_error
        assert loser.get("http.response.status_code") is None
        # A request before it may have been hedged, too, and its head be read behind this one's.
        asked = [[parts(message)[1] for message in backend.heads if message.target == "/slow"]
                 for backend in (first, second)]
        assert asked == [[loser.id], [winner.id]]


def test_requests_that_we_answer():
    with Collector() as collector, traced(collector, dead(), pool={
            "retry": {"max_attempts": 1}}) as weir:
        assert weir.ask("GET", "/x").status == 503
        with weir.client() as client:
            assert client.send(b"nonsense\r\n\r\n").response().status == 400
        with weir.client() as client:
            assert client.send(http1.request("BREW", "/")).response().status == 503
        spans = {span.get("weir.outcome", span.kind): span for span in collector.wait(5)}
        failed = spans["connection_refused"]
        assert failed.is_error and failed["error.type"] == "connection_refused"
        bad = spans["bad_request"]
        assert not bad.is_error and bad["error.type"] == "bad_request"
        assert bad["http.response.status_code"] == 400 and bad.name == "HTTP"
        other, = (span for span in collector.spans
                  if span.kind == SERVER and span.get("http.request.method_original"))
        assert other["http.request.method"] == "_OTHER" and other.name == "HTTP"
        assert other["http.request.method_original"] == "BREW"


def test_a_client_that_goes_away():
    def script(connection):
        connection.request()
        connection.reader.rest()

    with Collector() as collector, Backend(script) as backend, traced(collector, backend) as weir:
        client = weir.client()
        client.send(http1.request())
        until(lambda: backend.heads, "the request")
        client.reset()
        server, client = collector.wait(2)
        assert server["weir.outcome"] == server["error.type"] == "client_aborted"
        assert not server.is_error
        assert client["error.type"] == "client_aborted"


def test_health_checks_have_no_spans():
    with Collector() as collector, Backend() as backend, \
            traced(collector, backend, pool={"health_check": {"interval": "50ms"}}) as weir:
        until(lambda: len(backend.heads) > 3, "checks")
        assert not backend.heads[0].has("traceparent")
        weir.ask()
        assert len(collector.wait(2)) == 2


# ---- The collector ------------------------------------------------------------------------------

def test_by_name_and_by_path():
    with Collector(path="/here/traces", host="127.0.0.1") as collector, Backend() as backend, \
            traced(f"http://localhost:{collector.backend.port}/here/traces", backend) as weir:
        weir.ask()
        collector.wait(2)
        assert collector.backend.last().get("host") == f"localhost:{collector.backend.port}"


def test_one_that_comes_late():
    port = free_port()
    with Backend() as backend, traced(f"http://{HOST}:{port}", backend) as weir:
        for _ in range(5):
            assert weir.ask().status == 200
        lines = weir.wait_log("spans cannot be sent")
        assert "refused" in lines[0]
        with Collector(port=port) as collector:
            collector.wait(10)
            weir.wait_log("takes spans again")
            assert len(weir.wait_log("spans cannot be sent")) == 1


def test_one_that_is_busy():
    with Collector(503, 200) as collector, Backend() as backend, traced(collector, backend) as weir:
        weir.ask()
        collector.wait(2)
        assert collector.requests == 2


def test_a_tunnel_that_goes_over_has_the_spans_of_its_whole_life():
    """One pair of them, told by the process that saw its end."""
    with Collector() as collector, Backend(upgrading(echo_tunnel)) as backend, \
            traced(collector, backend, log={"access": {"format": "json", "output": "stdout"}}) as weir:
        with weir.client() as client:
            client.send(http1.request("GET", "/stream", *ASK, f"traceparent: {SAMPLED}"))
            assert client.response().status == 101
            _, told, _ = parts(backend.last())
            for number in range(1, 3):
                weir.signal(signal.SIGUSR2)
                until(lambda n=number: weir.stderr.count('"stopped"') == n, "an upgrade")
                client.send(b"hello")
                assert client.reader.exactly(5) == b"hello"
            assert collector.spans == []
            client.end()
            assert client.is_closed()
        server, client = collector.wait(2)
        assert (server.trace, server.parent) == (TRACE, PARENT)
        assert (client.trace, client.parent, client.id) == (TRACE, server.id, told)
        for span in (server, client):
            assert span.ended - span.begun > 1_900_000_000  # two upgrades, each tried for a second
            assert span["http.response.status_code"] == 101
        assert server["weir.outcome"] == "tunnel_closed"
        assert server["http.request.body.size"] == server["http.response.body.size"] == 10
        line = json.loads(weir.stdout)
        assert (line["trace_id"], line["span_id"]) == (TRACE, server.id)


def test_nothing_is_lost_at_the_end():
    with Collector() as collector, Backend() as backend:
        with traced(collector, backend, workers=2) as weir:
            with weir.client() as client:
                for _ in range(100):
                    client.ask()
        assert len(collector.spans) == 200
        collector.check()


def test_a_dead_collector_costs_nothing():
    with Backend() as backend, traced(f"http://{dead()}", backend) as weir:
        with weir.client() as client:
            for _ in range(2000):
                assert client.ask().status == 200
        assert len([line for line in weir.log() if "spans" in line["msg"]]) <= 1


# ---- The environment ----------------------------------------------------------------------------

def test_the_environment_says_where():
    with Collector() as collector, Backend() as backend:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "edge",
               "OTEL_RESOURCE_ATTRIBUTES": "zone=a%2Cb,service.name=x,service.instance.id=me"}
        with start(backend, env={**ENV, **env}) as weir:
            weir.ask()
            server, _ = collector.wait(2)
            assert server.resource["service.name"] == "edge"
            assert server.resource["zone"] == "a,b"
            assert server.resource["service.instance.id"] == "me"


@pytest.mark.parametrize("env", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"},
                                 {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
                                 {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://x"}])
def test_the_environment_says_no(env):
    with Backend() as backend:
        env = {**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{dead()}", **env}
        with start(backend, env=env) as weir:
            weir.ask("GET", "/", f"traceparent: {SAMPLED}")
            assert backend.last().get("traceparent") == SAMPLED


def test_the_configuration_wins():
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{dead()}", "OTEL_SDK_DISABLED": "true",
           "OTEL_TRACES_SAMPLER": "always_off", "OTEL_SERVICE_NAME": "x"}
    with Collector() as collector, Backend() as backend, \
            traced(collector, backend, env=env, tracing={"sample": "100%", "service": "edge"}) as weir:
        weir.ask()
        assert collector.wait(2)[0].resource["service.name"] == "edge"


def test_config_show_says_where_it_is_from():
    code, out, err = run("config", "show", "--origin", "-b", "127.0.0.1:1", env={
        **ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://10.0.0.9:4318/",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    assert code == 0, err
    assert "otlp: http://10.0.0.9:4318/v1/traces  # environment OTEL_EXPORTER_OTLP_ENDPOINT" in out
    assert 'sample: "25%"  # environment OTEL_TRACES_SAMPLER' in out
    assert "sampler: parent" in out
    assert json.dumps("") not in err
