# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes weir: the dashboard has something to show in every panel, the alert rules
can be evaluated and see the faults that are there, and the numbers are those of the clients."""
import contextlib
import json
import pathlib
import re
import subprocess
import threading
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from peers import http1
from peers.backend import Backend, fixed, serve, tcp_echo
from peers.net import HOST, free_port, until
from peers.otlp import Collector
from peers.prometheus import Prometheus
from peers.weir import Weir, start

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DASHBOARD = ROOT / "etc" / "grafana" / "weir.json"
RULES = ROOT / "etc" / "prometheus" / "weir.rules.yml"
FIRST, REQUESTS = 6, 60
# The README of the program that these metric names are from.
QUERIES_OF_SEED = [
    "rate(lb_requests_total[5m])",
    "histogram_quantile(0.95, rate(lb_request_duration_seconds_bucket[5m]))",
    "lb_backend_health_status",
    "lb_circuit_breaker_state == 1",
]


def sick(message):
    """Well to those who ask, not to those who want something."""
    return http1.response(200 if message.target == "/health" else 500, body=b"?")


def slow(_message):
    time.sleep(0.1)
    return http1.response(200, body=b"!")


@contextlib.contextmanager
def town():
    """(weir, address of its metrics): a pool with a good, a sick and a dead backend, one with too
    little room, one that is lost, and TCP."""
    web, tcp, api = (f"{HOST}:{free_port()}" for _ in range(3))
    dead = f"{HOST}:{free_port()}"
    check = {"type": "http", "path": "/health", "interval": "200ms", "timeout": "190ms",
             "fast_interval": "100ms"}
    with Backend(fixed(200, body=b"x" * 1000)) as good, Backend(serve(sick)) as bad, \
            Backend(serve(slow)) as narrow, Backend(tcp_echo) as echo:
        config = {
            "runtime": {"workers": 2},
            "frontends": {
                "web": {"bind": web, "pool": "app", "routes": [
                    {"match": {"path": "/narrow"}, "pool": "narrow"},
                    {"match": {"path": "/lost"}, "pool": "lost"}]},
                "tcp": {"bind": tcp, "protocol": "tcp", "pool": "raw"}},
            "pools": {
                "app": {"backends": [{"id": "good", "address": good.address},
                                     {"id": "bad", "address": bad.address},
                                     {"id": "dead", "address": dead}],
                        "health_check": check, "outliers": {"errors": "none"},
                        "retry": {"max_attempts": 1}, "panic_threshold": "none",
                        "circuit_breaker": {"failure_threshold": 8, "open_for": "60s",
                                            "max_ejected": "100%"}},
                "narrow": {"backends": [{"id": "n", "address": narrow.address,
                                         "max_connections": 1}], "health_check": "none"},
                "lost": {"backends": [{"id": "dead", "address": dead}], "health_check": check},
                "raw": {"backends": [{"id": "echo", "address": echo.address}],
                        "health_check": "none"}},
            "admin": {"bind": [api]}}
        with Weir(config, address=web) as weir:
            weir.tcp = tcp
            yield weir, api


def crowd(weir, stop):
    """Clients that want more of the narrow pool than it has room for."""
    def want():
        with weir.client() as client:
            while not stop.is_set():
                client.ask("GET", "/narrow")
    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    return threads


def traffic(weir, after_first=lambda count: None):
    """What the clients saw: {status: count}. A rate needs a counter that was seen to grow: the first
    requests are scraped before the others come."""
    seen = {}
    with weir.client() as client:
        for number in range(REQUESTS):
            status = client.ask("GET", "/").status
            seen[status] = seen.get(status, 0) + 1
            if number + 1 == FIRST:
                after_first(FIRST)
    weir.ask("POST", "/", body=b"hello")
    assert weir.ask("GET", "/lost").status == 503
    with weir.client(weir.tcp) as client:
        client.send(b"ping").end()
        assert client.rest() == b"ping"
    return seen


def panel_queries():
    """(title, query) of every panel, with what Grafana would fill in."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in (("$__rate_interval", "10s"), ("$instance", ".*"), ("$pool", ".*")):
                query = query.replace(name, value)
            assert "$" not in query, query
            yield panel["title"], query


def variable_queries():
    """(name, series, label) of every variable that Grafana fills from Prometheus."""
    for one in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if one["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", one["definition"]).groups()
            yield one["name"], series.replace("$instance", ".*"), label


def test_dashboard_shows_the_queries_of_the_seed():
    queries = [query for _, query in panel_queries()]
    assert set(QUERIES_OF_SEED) <= set(queries)


def check_panels(prometheus):
    for title, query in panel_queries():
        until(lambda one=query: prometheus.query(one), f"a series in the panel {title!r}: {query}")
    for name, series, label in variable_queries():
        assert all(label in labels for labels, _ in prometheus.query(series)), name
        assert prometheus.query(series), name
    for one in json.loads(DASHBOARD.read_text())["annotations"]["list"]:
        prometheus.query(one["expr"].replace("$instance", ".*").replace("$pool", ".*"))


def alerts(prometheus):
    """{alert: [labels of those that fire, or will when this lasts]}"""
    found = {}
    for group in prometheus.api("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] in ("ok", "unknown"), f"{rule['name']}: {rule.get('lastError')}"
            if rule["health"] == "ok":
                found[rule["name"]] = [one["labels"] for one in rule["alerts"]]
    return found


def check_alerts(prometheus):
    """The faults that are there are seen, and nothing else."""
    wanted = {"WeirBackendDown", "WeirBreakerOpen", "WeirErrorsHigh", "WeirQueueBuilding",
              "WeirPoolLost"}
    for name in wanted:
        until(lambda one=name: alerts(prometheus).get(one), f"the alert {name}")
    seen = alerts(prometheus)
    assert {one["backend"] for one in seen["WeirBackendDown"]} == {"dead"}
    assert {one["backend"] for one in seen["WeirBreakerOpen"]} == {"bad"}
    assert {one["pool"] for one in seen["WeirQueueBuilding"]} == {"narrow"}
    assert {one["pool"] for one in seen["WeirPoolLost"]} == {"lost"}
    for name in ("WeirUnreachable", "WeirRestarts", "WeirPoolPanic", "WeirLogDropped",
                 "WeirDescriptorsNearLimit", "WeirConnectionsNearLimit", "WeirConfigRefused"):
        assert seen[name] == [], name


def check_numbers(prometheus, seen):
    for status, count in seen.items():
        query = f'sum(lb_requests_total{{pool="app",method="GET",status="{status}"}})'
        until(lambda q=query, n=count: prometheus.value(q) == n, f"{query} to be {count}")
    assert prometheus.value('lb_requests_total{pool="lost",status="503"}') == 1
    assert prometheus.value('lb_tcp_connections_total{result="ok"}') == 1
    assert prometheus.value('sum(lb_request_size_bytes_sum{pool="app"})') == len(b"hello")
    assert prometheus.value('lb_backend_health_status{pool="app",backend="dead"}') == 0
    assert prometheus.value('lb_backend_health_status{pool="app",backend="good"}') == 1
    assert prometheus.value('lb_healthy_backends{pool="app"}') == 2
    assert prometheus.value('lb_circuit_breaker_state{pool="app",backend="bad"}') == 1
    assert prometheus.value('lb_circuit_breaker_openings_total{pool="app",backend="bad"}') == 1


def test_prometheus_scrapes_weir():
    stop = threading.Event()
    with town() as (weir, api), Prometheus(api, rules=[RULES]) as prometheus:
        until(lambda: prometheus.value("up") == 1, "a first scrape")
        threads = crowd(weir, stop)
        try:
            query = 'sum(lb_requests_total{pool="app"})'
            seen = traffic(weir, lambda count: until(lambda: prometheus.value(query) == count,
                                                     "the first requests in a scrape"))
            check_numbers(prometheus, seen)
            check_alerts(prometheus)
            check_panels(prometheus)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        # A scrape that a busy machine held up for too long is none of weir's errors; the next one is
        # whole, or none ever is.
        until(lambda: [(target["health"], target["lastError"])
                       for target in prometheus.api("targets")["activeTargets"]] == [("up", "")],
              "a scrape without an error")
        with weir.client() as held, weir.client():
            held.ask("GET", "/")
            until(lambda: prometheus.value("lb_active_connections") == 2, "two connections")
            assert prometheus.value('lb_frontend_connections_active{frontend="web"}') == 2


# ---- Formats -------------------------------------------------------------------------------------

OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0"


def exemplars(body):
    """[(sample, exemplar)] by the parser of the reference client, which is strict."""
    return [(sample, sample.exemplar)
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples if sample.exemplar]


def test_exemplars_name_a_trace_that_a_collector_has():
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    api = f"{HOST}:{free_port()}"

    with Collector() as collector, Backend(serve(slow)) as backend, \
            start(backend, tracing={"otlp": collector.url}, admin={"bind": [api]}) as weir:
        ask = lambda *fields: weir.ask("GET", "/metrics", *fields, address=api, host=api).body
        weir.ask("GET", "/", f"traceparent: 00-{trace}-00f067aa0ba902b7-00")
        assert not exemplars(ask(OPENMETRICS))  # its client does not record it, and so nobody does
        before = time.time()
        weir.ask("GET", "/?secret=1", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
        collector.wait(2)
        (sample, exemplar), = exemplars(ask(OPENMETRICS))
        assert sample.name == "lb_request_duration_seconds_bucket"
        assert sample.labels["frontend"] == "web" and sample.labels["pool"] == "app"
        assert exemplar.labels == {"trace_id": trace}
        assert 0.1 <= exemplar.value <= float(sample.labels["le"])
        assert before - 0.002 <= float(exemplar.timestamp) <= time.time()
        assert {span.trace for span in collector.spans} == {trace}
        assert trace.encode() not in ask()  # the older format has no place for it


def test_exemplars_are_of_what_was_traced_last():
    api = f"{HOST}:{free_port()}"
    ids = [f"{number:032x}" for number in range(1, 40)]

    with Collector() as collector, Backend() as backend, \
            start(backend, workers=2, tracing={"otlp": collector.url},
                  admin={"bind": [api]}) as weir:
        for trace in ids:
            if trace == ids[-1]:
                time.sleep(0.1)  # the clocks of two workers agree to some milliseconds
            weir.ask("GET", "/", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
        found = exemplars(weir.ask("GET", "/metrics", OPENMETRICS, address=api, host=api).body)
        assert [one.labels["trace_id"] for _, one in found][0] == ids[-1]
        assert len(found) == 1


@pytest.mark.parametrize("accept, kind", [
    (None, "text/plain; version=0.0.4"), ("application/openmetrics-text", "application/openmetrics")])
def test_promtool_has_nothing_to_say(accept, kind):
    with town() as (weir, api):
        traffic(weir)
        fields = [f"Accept: {accept}"] if accept else []
        answer = weir.ask("GET", "/metrics", *fields, address=api, host=api)
        assert answer.status == 200 and answer.get("content-type").startswith(kind)
        assert (b"# EOF\n" in answer.body) == bool(accept)
        if accept:
            assert not exemplars(answer.body)  # nobody traces
            return
        done = subprocess.run(["promtool", "check", "metrics"], input=answer.body,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
