# SPDX-License-Identifier: Apache-2.0
"""Alerts that fire: a real Prometheus evaluates the rules with windows of seconds instead of minutes,
and for each a weir has the fault that it is about. etc/prometheus/weir.test.yml has the rules as they
are, against series that are written down."""
import contextlib
import os
import pathlib
import re
import signal
import sys
import threading
import time

from peers import http1
from peers.backend import Backend, fixed, serve
from peers.net import HOST, connect, free_port, until
from peers.papers import Papers
from peers.prometheus import Prometheus
from peers.tls import Talk
from peers.weir import Weir, replace_program, run_as
from test_zb_prometheus import RULES

CHECK = {"type": "http", "path": "/health", "interval": "200ms", "timeout": "190ms",
         "fast_interval": "100ms", "healthy_threshold": 1, "unhealthy_threshold": 1}
NOBODY_JUDGES = {"outliers": {"errors": "none", "connect_failures": "none"}, "panic_threshold": "none",
                 "circuit_breaker": {"failure_threshold": 1000000}}
ONCE = {"retry": {"max_attempts": 1}}


def hurried(folder):
    """The rules with seconds instead of minutes."""
    text = RULES.read_text()
    text = re.sub(r"for: \d+[sm]", "for: 400ms", text)
    text = text.replace("offset 1h", "offset 6s")
    text = re.sub(r"\[(5m|1m)\]", "[4s]", text)
    text = re.sub(r"\[1[05]m\]", "[30s]", text)
    path = folder / "rules.yml"
    path.write_text(text)
    return path


def firing(prometheus):
    """{alert: [labels]}"""
    found = {}
    for one in prometheus.api("alerts")["alerts"]:
        if one["state"] == "firing":
            found.setdefault(one["labels"]["alertname"], []).append(one["labels"])
    return found


def wait_firing(prometheus, *names, **labels):
    for name in names:
        until(lambda one=name: [found for found in firing(prometheus).get(one, [])
                                if labels.items() <= found.items()],
              f"the alert {name} of {labels}")


class Visitors:
    """Threads that ask again and again, whatever they get."""

    def __init__(self):
        self.stopping = threading.Event()
        self.threads = []

    def go(self, visit, period_s=0.01, times=1):
        def run():
            while not self.stopping.wait(period_s):
                with contextlib.suppress(OSError, AssertionError):
                    visit()
        for _ in range(times):
            thread = threading.Thread(target=run)
            thread.start()
            self.threads.append(thread)

    def ask(self, weir, target, **rest):
        self.go(lambda: weir.ask("GET", target), **rest)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def sick(message):
    return http1.response(200 if message.target == "/health" else 500, body=b"?")


def slow(_message):
    time.sleep(1.3)
    return http1.response(200, body=b"!")


def narrow(_message):
    time.sleep(0.1)
    return http1.response(200, body=b"!")


class Flapping:
    """Its health is the other one every half second."""

    def __init__(self):
        self.begun = time.monotonic()

    def __call__(self, _message):
        well = int((time.monotonic() - self.begun) * 2) % 2
        return http1.response(200 if well else 503, body=b"?")


def pool(*backends, **more):
    return {"backends": list(backends), "health_check": "none", **NOBODY_JUDGES, **ONCE, **more}


def one(id, backend, **more):
    return {"id": id, "address": backend if isinstance(backend, str) else backend.address, **more}


def test_backends_in_trouble(tmp_path):
    web, api, dead = (f"{HOST}:{free_port()}" for _ in range(3))
    with contextlib.ExitStack() as stack:
        start = lambda script: stack.enter_context(Backend(script))
        good, bad, late = start(fixed(200, body=b"!")), start(serve(sick)), start(serve(slow))
        few, flapping = start(serve(narrow)), start(serve(Flapping()))
        pools = {
            "app": pool(one("good", good), one("bad", bad), one("dead", dead), health_check=CHECK),
            "broken": pool(one("open", bad), one("well", good), circuit_breaker={
                "failure_threshold": 5, "open_for": "60s", "max_ejected": "100%"}),
            "lost": pool(one("gone", dead), health_check=CHECK),
            "panic": pool(one("p1", bad), one("p2", bad), panic_threshold="50%",
                          outliers={"errors": 3, "eject_for": "60s"},
                          circuit_breaker={"failure_threshold": 1000000, "max_ejected": "100%"}),
            "flap": pool(one("f", flapping), health_check=CHECK),
            "slow": pool(one("s", late)),
            "narrow": pool(one("n", few, max_connections=1)),
            "retry": pool(one("r1", bad), one("r2", bad), retry={
                "max_attempts": 3, "when": [500], "budget": "1%", "budget_min": 0}),
        }
        weir = stack.enter_context(Weir({
            "frontends": {"web": {"bind": web, "pool": "app", "routes": [
                {"match": {"path": f"/{name}"}, "pool": name} for name in pools if name != "app"]}},
            "pools": pools, "admin": {"bind": [api]}}, address=web))
        prometheus = stack.enter_context(Prometheus(api, rules=[hurried(tmp_path)]))
        visitors = stack.enter_context(Visitors())
        for name in ("", "broken", "panic", "retry"):
            visitors.ask(weir, f"/{name}")
        visitors.ask(weir, "/slow", times=2)
        visitors.ask(weir, "/narrow", period_s=0.001, times=5)

        wait_firing(prometheus, "WeirPoolLost", pool="lost")
        wait_firing(prometheus, "WeirPoolPanic", pool="panic")
        wait_firing(prometheus, "WeirBackendDown", pool="app", backend="dead")
        wait_firing(prometheus, "WeirBackendFlapping", pool="flap", backend="f")
        wait_firing(prometheus, "WeirBreakerOpen", pool="broken", backend="open")
        wait_firing(prometheus, "WeirErrorsHigh", pool="app", frontend="web")
        wait_firing(prometheus, "WeirBackendErrorsHigh", pool="app", backend="bad")
        wait_firing(prometheus, "WeirLatencyHigh", pool="slow", frontend="web")
        wait_firing(prometheus, "WeirQueueBuilding", pool="narrow")
        wait_firing(prometheus, "WeirRetriesRefused")
        found = firing(prometheus)
        assert {labels["pool"] for labels in found["WeirPoolPanic"]} == {"panic"}
        assert {labels["backend"] for labels in found["WeirBreakerOpen"]} == {"open"}
        assert {labels["pool"] for labels in found["WeirQueueBuilding"]} == {"narrow"}
        assert not {labels["backend"] for labels in found["WeirBackendErrorsHigh"]} & {"good", "well", "s"}
        assert not set(found) & {"WeirRestarts", "WeirNoTraffic", "WeirConnectionsNearLimit",
                                 "WeirDescriptorsNearLimit", "WeirAcceptPauses", "WeirLogDropped",
                                 "WeirConfigRefused", "WeirCertificateExpires",
                                 "WeirOcspResponseExpires"}


def test_limits_are_near(tmp_path):
    """Connections, descriptors, accepting, and a reader of the log that hangs."""
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    read, write = os.pipe()
    config = {"runtime": {"workers": 1, "max_connections": 20},
              "log": {"access": {"output": "stdout"}},
              "frontends": {"web": {"bind": web, "pool": "app"}},
              "admin": {"bind": [api]}}
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(Backend())
        config["pools"] = {"app": pool(one("a", backend), limits={"idle_connections": 4})}
        weir = stack.enter_context(Weir(config, stdout=write, address=web))
        os.close(write)
        prometheus = stack.enter_context(Prometheus(api, rules=[hurried(tmp_path)]))
        until(lambda: prometheus.value("up") == 1, "a first scrape")
        assert not firing(prometheus)
        visitors = stack.enter_context(Visitors())
        held = [weir.client() for _ in range(19)]
        visitors.ask(weir, "/" + "x" * 2000, times=4)
        wait_firing(prometheus, "WeirConnectionsNearLimit", "WeirAcceptPauses")
        wait_firing(prometheus, "WeirLogDropped")
        for client in held:
            client.close()
        drain = threading.Thread(target=lambda: read_all(read), daemon=True)
        drain.start()  # so that weir can end with all it has to say
        until(lambda: "WeirConnectionsNearLimit" not in firing(prometheus), "room again")


def test_workers_are_full(tmp_path):
    """Two on one processor: each has half of it, or less beside others, and is ready for it all the
    time. Clients go away when they have the first bytes of an answer to their hello: a signature has
    been made by then, for which they have done nothing."""
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    names = Papers().make("site", "site.example", key="slow")
    hello = Talk("site.example").hello()
    processor = str(min(os.sched_getaffinity(0)))

    def greet():
        with connect(web) as sock:
            sock.sendall(hello)
            sock.recv(1)

    with Weir({"runtime": {"workers": 2}, "certificates": [names.files("site")],
               "frontends": {"web": {"bind": web, "pool": "app", "tls": True}},
               "pools": {"app": pool(f"{HOST}:9")}, "admin": {"bind": [api]}}, address=web,
              wrapper=("taskset", "-c", processor)), \
            Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
        until(lambda: prometheus.query("rate(lb_worker_busy_seconds_total[4s])"), "some scrapes")
        assert not firing(prometheus)
        with Visitors() as visitors:
            visitors.go(greet, period_s=0, times=50)
            wait_firing(prometheus, "WeirWorkerBusy", worker="0")
            until(lambda: len(firing(prometheus).get("WeirWorkerBusy", [])) == 2,
                  "the other one at the same time")
        until(lambda: "WeirWorkerBusy" not in firing(prometheus), "time left again")


def test_certificates_end(tmp_path):
    """Those that clients see and the one that a backend sees; a reload renews them. A response is renewed
    with its certificate, or it is none of it."""
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    names = Papers().make("old", "site.example", days=7).make("new", "site.example", days=60) \
        .make("me", "me.example", days=3)
    used = {end: tmp_path / f"site.{end}" for end in ("crt", "key")}

    def use(name):
        for end, path in used.items():
            path.write_bytes((names.folder / f"{name}.{end}").read_bytes())

    use("old")
    response = names.respond("old", "site.ocsp")
    site = {"cert": str(used["crt"]), "key": {"file": str(used["key"])}, "ocsp": response}
    config = {"runtime": {"workers": 1}, "admin": {"bind": [api]},
              "certificates": [site, names.files("new")],
              "frontends": {"web": {"bind": web, "pool": "app", "tls": True}},
              "pools": {"app": {"backends": ["https://127.0.0.1:9"], "tls": {
                  "verify": False, "cert": names.path("me.crt"), "key": names.path("me.key")}}}}
    with Weir(config, address=web) as weir, \
            Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
        for path in (used["crt"], names.path("me.crt")):
            wait_firing(prometheus, "WeirCertificateExpires", certificate=str(path))
        assert len(firing(prometheus)["WeirCertificateExpires"]) == 2
        assert "WeirOcspResponseExpires" not in firing(prometheus)
        of_new = 'lb_certificate_expiry_timestamp_seconds{certificate="%s"}' % names.path("new.crt")
        assert abs(prometheus.value(of_new) - time.time() - 60 * 86400) < 86400
        use("new")
        weir.signal(signal.SIGHUP)
        until(lambda: [labels["certificate"] for labels in
                       firing(prometheus).get("WeirCertificateExpires", [])] == [names.path("me.crt")],
              "the renewed certificate to be seen")
        wait_firing(prometheus, "WeirOcspResponseExpires", response=response)
        names.respond("new", "site.ocsp")
        weir.signal(signal.SIGHUP)
        until(lambda: "WeirOcspResponseExpires" not in firing(prometheus), "a response of it")


def read_all(read):
    while os.read(read, 65536):
        pass


# Opens so many files that weir inherits, before it runs it.
FILL = """
import os, sys
for _ in range(int(sys.argv[1])):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def test_descriptors_are_near_their_limit(tmp_path):
    """Of 256 all but some 40 are open from the start, and clients take half of those."""
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(Backend())
        weir = stack.enter_context(Weir({
            "runtime": {"workers": 1},
            "frontends": {"web": {"bind": web, "pool": "app"}},
            "pools": {"app": pool(one("a", backend))}, "admin": {"bind": [api]}},
            wrapper=(sys.executable, "-c", FILL, "190", "prlimit", "--nofile=256:256"),
            address=web))
        prometheus = stack.enter_context(Prometheus(api, rules=[hurried(tmp_path)]))
        until(lambda: prometheus.value("up") == 1, "a first scrape")
        held = [weir.client() for _ in range(30)]
        wait_firing(prometheus, "WeirDescriptorsNearLimit")
        for client in held:
            client.close()


def test_it_restarts_and_is_gone(tmp_path):
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    with Backend() as backend:
        config = {"frontends": {"web": {"bind": web, "pool": "app"}},
                  "pools": {"app": pool(one("a", backend))}, "admin": {"bind": [api]}}
        with Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
            seen = set()
            for _ in range(4):
                with Weir(config, address=web):
                    begun = "process_start_time_seconds and on (instance) up == 1"
                    until(lambda: prometheus.value(begun) not in seen | {None}, "its start in a scrape")
                    seen.add(prometheus.value(begun))
                    if len(seen) == 4:
                        wait_firing(prometheus, "WeirRestarts")
            wait_firing(prometheus, "WeirUnreachable")


def test_nobody_comes_any_more(tmp_path):
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    with Backend() as backend, Weir({
            "frontends": {"web": {"bind": web, "pool": "app"}},
            "pools": {"app": pool(one("a", backend))}, "admin": {"bind": [api]}}, address=web) as weir:
        with Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
            with Visitors() as visitors:
                visitors.ask(weir, "/")
                until(lambda: (prometheus.value("rate(lb_requests_begun_total[4s])") or 0) > 2,
                      "requests in the scrapes")
            wait_firing(prometheus, "WeirNoTraffic")


def test_a_configuration_is_refused(tmp_path):
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    with Backend() as backend, Weir({
            "frontends": {"web": {"bind": web, "pool": "app"}},
            "pools": {"app": pool(one("a", backend))}, "admin": {"bind": [api]}}, address=web) as weir, \
            Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
        good = pathlib.Path(weir.config_path).read_text()
        until(lambda: prometheus.value("lb_config_last_reload_success") == 1, "a first scrape")
        pathlib.Path(weir.config_path).write_text(good.replace('"pool"', '"pol"'))
        weir.signal(signal.SIGHUP)
        wait_firing(prometheus, "WeirConfigRefused")
        pathlib.Path(weir.config_path).write_text(good)
        weir.signal(signal.SIGHUP)
        until(lambda: "WeirConfigRefused" not in firing(prometheus), "a good one again")


def test_a_crash_and_an_upgrade_that_fails(tmp_path):
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    path = tmp_path / "weir"
    replace_program(path)
    with Backend() as backend, Weir({
            "frontends": {"web": {"bind": web, "pool": "app"}},
            "pools": {"app": pool(one("a", backend))}, "admin": {"bind": [api]}}, address=web,
            wrapper=run_as(path)) as weir, \
            Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
        until(lambda: prometheus.value("lb_restarts_total") == 0, "a first scrape")
        assert not firing(prometheus)
        replace_program(path, "#!/bin/sh\nexit 3\n")
        weir.signal(signal.SIGUSR2)
        wait_firing(prometheus, "WeirUpgradeFailed")
        replace_program(path)
        os.kill(weir.serving, signal.SIGKILL)
        wait_firing(prometheus, "WeirCrashed")


def test_a_provider_in_trouble(tmp_path):
    web, api = (f"{HOST}:{free_port()}" for _ in range(2))
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    with Backend() as backend, Backend() as other:
        for file in (kept, gone):
            file.write_text(f"{backend.address}\n{other.address}\n")
        with Weir({"frontends": {"web": {"bind": web, "pool": "app"}}, "admin": {"bind": [api]},
                   "pools": {"app": {"health_check": "none"}, "more": {"health_check": "none"}},
                   "providers": [{"name": "kept", "path": str(kept), "pool": "app"},
                                 {"name": "gone", "path": str(gone), "pool": "more",
                                  "refresh": "100ms"}]},
                  address=web, env={"XDG_STATE_HOME": str(tmp_path)}), \
                Prometheus(api, rules=[hurried(tmp_path)]) as prometheus:
            until(lambda: prometheus.value('lb_provider_up{provider="gone"}') == 1, "a scrape")
            assert not firing(prometheus)
            (tmp_path / "empty").write_text("")
            os.replace(tmp_path / "empty", kept)
            gone.unlink()
            wait_firing(prometheus, "WeirProviderHeld", provider="kept")
            wait_firing(prometheus, "WeirProviderDown", provider="gone")


def test_each_rule_has_its_fault():
    text = open(__file__, encoding="utf-8").read()
    for name in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert re.search(rf'wait_firing\([^)]*"{name}"', text), name
