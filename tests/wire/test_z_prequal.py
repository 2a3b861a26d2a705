# SPDX-License-Identifier: Apache-2.0
"""Prequal by the load that backends tell themselves: in a field of their answers, or when they are
probed. What others than this weir send them is what it could not know otherwise."""
import contextlib
import re
import threading
import time

import pytest

from peers import http1
from peers.backend import Backend
from peers.net import HANG_SECONDS, until
from peers.weir import start

LIGHT = "in_flight=1, latency_ms=2"
HEAVY = "latency_ms=80, in_flight=90"
REQUESTS = 300


class Teller(Backend):
    """Answers with its name. `load` is the value of the field, None: without it. At /load it does
    what `page` says: a status, or "hang"."""

    def __init__(self, name, load=LIGHT, page=200, field="X-Weir-Load", everywhere=True, slow=0):
        self.load, self.page, self.field, self.everywhere = load, page, field, everywhere
        self.slow = slow  # seconds
        self.release = threading.Event()
        super().__init__(self.talk, name=name)

    def talk(self, connection):
        while message := connection.request():
            is_probe = message.target.startswith("/load")
            if is_probe and self.page == "hang":
                self.release.wait(HANG_SECONDS)
                return
            time.sleep(0 if is_probe else self.slow)
            fields = ()
            if self.load and (is_probe or self.everywhere):
                fields = (f"{self.field}: {self.load}",)
            connection.send(http1.response(self.page if is_probe else 200, *fields,
                                           body=self.name.encode()))

    def stop(self):
        self.release.set()
        super().stop()

    def probes(self):
        return [head for head in list(self.heads) if head.target.startswith("/load")]

    @property
    def served(self):
        return len(self.heads) - len(self.probes())


@contextlib.contextmanager
def weir_before(*tellers, workers=1, **prequal):
    with contextlib.ExitStack() as stack:
        for teller in tellers:
            stack.enter_context(teller)
        yield stack.enter_context(start(
            *tellers, workers=workers, pool={"algorithm": "prequal", "prequal": prequal}))


def ask_many(weir, count=REQUESTS):
    """One after the other, on one connection; all are answered."""
    with weir.client() as client:
        for _ in range(count):
            assert client.ask().status == 200


# ---- In answers ---------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 2])
def test_header_who_is_busy_gets_little(workers):
    tellers = [Teller("a", HEAVY), Teller("b"), Teller("c")]
    with weir_before(*tellers, workers=workers, load="header") as weir:
        ask_many(weir)
        assert tellers[0].served < REQUESTS / 10
        assert tellers[1].served > REQUESTS / 5 < tellers[2].served
        assert not any(teller.probes() for teller in tellers)


def test_header_changes_its_mind():
    tellers = [Teller("a", HEAVY), Teller("b"), Teller("c")]
    with weir_before(*tellers, load="header", age_max="200ms") as weir:
        ask_many(weir)
        before = tellers[0].served
        tellers[0].load, tellers[1].load = "in_flight=0, latency_ms=0.5", HEAVY
        until(lambda: ask_many(weir, 20) or tellers[0].served > before + 100,
              "requests for a backend that is not busy any more")
        before = tellers[1].served
        ask_many(weir)
        assert tellers[1].served - before < REQUESTS / 5


def test_header_of_another_name_passes():
    """What a backend tells is for whoever stands in front as well."""
    tellers = [Teller("a", HEAVY, field="x-BUSY"), Teller("b", field="x-BUSY")]
    with weir_before(*tellers, load="header", header="X-Busy") as weir:
        ask_many(weir)
        assert tellers[0].served < REQUESTS / 10
        assert weir.ask().get("x-busy") in (LIGHT, HEAVY)


@pytest.mark.parametrize("load", [None, "in_flight=many", "latency_ms=0.01", ""])
def test_header_missing_or_malformed(load):
    """Such a backend is known by what weir counts itself: here it is quick and idle."""
    with weir_before(Teller("a", "in_flight=5, latency_ms=500"),
                     Teller("b", "in_flight=5, latency_ms=500"), silent := Teller("c", load),
                     load="header") as weir:
        ask_many(weir)
        assert silent.served > REQUESTS / 5


def test_own_counts_are_deaf():
    """Without `load` only what weir sees itself counts."""
    tellers = [Teller("a", HEAVY), Teller("b", slow=0.02), Teller("c", slow=0.02)]
    with weir_before(*tellers) as weir:
        ask_many(weir, 60)
        assert tellers[0].served > 30


# ---- In probes ----------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 2])
def test_probe_who_is_busy_gets_little(workers):
    tellers = [Teller("a", HEAVY, everywhere=False), Teller("b", everywhere=False),
               Teller("c", everywhere=False)]
    with weir_before(*tellers, workers=workers, load="probe") as weir:
        ask_many(weir)
        assert tellers[0].served < REQUESTS / 6
        assert sum(teller.served for teller in tellers) == REQUESTS
        for teller in tellers:
            assert len(teller.probes()) > REQUESTS / 20


def test_probe_what_it_sends():
    tellers = [Teller("a", field="X-Busy")]
    with weir_before(*tellers, load="probe", probe="/load?deep=1", header="X-Busy") as weir:
        weir.ask()
        until(tellers[0].probes, "a probe")
        probe = tellers[0].probes()[0]
        assert (probe.method, probe.target) == ("GET", "/load?deep=1")
        assert probe.get("host") == tellers[0].address
        assert re.fullmatch(r"weir/\S+ load-probe", probe.get("user-agent"))
        assert not probe.has("x-forwarded-for") and not probe.has("connection")


@pytest.mark.parametrize("page", [404, 204, 200])
def test_probe_page_that_tells_nothing(page):
    """A backend without that page is known by what weir counts itself."""
    with weir_before(Teller("a", "in_flight=5, latency_ms=500"),
                     Teller("b", "in_flight=5, latency_ms=500"),
                     silent := Teller("c", None, page=page), load="probe") as weir:
        ask_many(weir)
        assert silent.served > REQUESTS / 5
        assert silent.probes()


@pytest.mark.parametrize("hanging", [1, 2, 3])
def test_probe_page_that_hangs(hanging):
    """It costs no request anything, and weir ends in order while it waits for such answers."""
    tellers = [Teller(name, page="hang" if index < hanging else 200)
               for index, name in enumerate("abc")]
    with weir_before(*tellers, load="probe") as weir:
        ask_many(weir)
        assert sum(teller.served for teller in tellers) == REQUESTS
        for index, teller in enumerate(tellers):
            assert teller.probes()
            # A few at a time to each, whatever comes; with its requests' own connection.
            assert index >= hanging or len(teller.connections) < 40
        weir.stop()


def test_probe_with_a_bound_on_connections():
    """A probe never takes the only connection."""
    tellers = [Teller("a"), Teller("b")]
    backends = [{"url": teller.address, "max_connections": 1} for teller in tellers]
    with contextlib.ExitStack() as stack:
        for teller in tellers:
            stack.enter_context(teller)
        weir = stack.enter_context(start(*backends, pool={
            "algorithm": "prequal", "prequal": {"load": "probe"}, "timeouts": {"queue": "5s"}}))
        ask_many(weir)
        assert sum(teller.served for teller in tellers) == REQUESTS
        assert not any(teller.probes() for teller in tellers)


def test_probe_failures_judge_nobody():
    """Connections that probes lose count neither for ejection nor for the breaker."""
    tellers = [Teller("a", page=500), Teller("b", page=500)]
    pool = {"algorithm": "prequal", "prequal": {"load": "probe"},
            "outliers": {"connect_failures": 1, "errors": 1, "timeouts": 1},
            "circuit_breaker": {"failure_threshold": 1}}
    with tellers[0], tellers[1], start(*tellers, pool=pool) as weir:
        ask_many(weir, 100)
        assert all(teller.probes() for teller in tellers)
        assert sum(teller.served for teller in tellers) == 100
        assert "ejected" not in weir.stderr
