#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The admin API of docs/api.md over an imagined cluster, for states of the dashboard that are hard to
make with a real one. Steering takes effect, time can be made to run faster, and everything that is
random comes from a seed.

    tests/page/mock.py --scenario down --backends 12 --port 9900
"""
import argparse
import collections
import hashlib
import http.server
import json
import math
import pathlib
import random
import threading
import time
import urllib.parse

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "src/admin/page"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8"}
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
SCENARIOS = ("well", "down", "slow", "flapping", "breaker", "lost", "draining", "mixed", "hostile")
BOUNDS_US = [int(64 * 2 ** (i / 2)) for i in range(37)]  # 64 µs to 16 s, two in each doubling
PARTIAL_ABOVE = 200
TAIL_PER_S = 50
HOUR, DAY_MINUTES = 3600, 1440
DETECT_S = 2  # from the first refused request until the backend is out
METHODS = ["GET"] * 14 + ["POST"] * 4 + ["PUT", "DELETE"]
PATHS = ["/v1/items/{}", "/v1/orders/{}", "/v1/users/{}/cart", "/assets/app.{}.js", "/search?q=term{}", "/login",
         "/v1/reports/2026/09/{}/summary-of-everything-that-was-sold.json", "/"]


class Problem(Exception):
    """An answer of problem+json."""

    def __init__(self, status, title, detail, cure=None):
        super().__init__(detail)
        self.status = status
        self.body = {"title": title, "status": status, "detail": detail, "cure": cure}


# -- arithmetic of latencies ------------------------------------------------------------------------

LOGS = [math.log(bound) for bound in BOUNDS_US]


def lognormal_shares(median_us, sigma):
    """The share of requests in each row of the histogram."""
    below = [0.5 * (1 + math.erf((log - math.log(median_us)) / (sigma * math.sqrt(2)))) for log in LOGS]
    return [high - low for low, high in zip([0.0] + below, below + [1.0])]


class Shares(dict):
    """lognormal_shares, remembered for medians within a few percent of each other."""

    def __missing__(self, key):
        step, sigma = key
        self[key] = lognormal_shares(math.exp(step / 32), sigma)
        return self[key]

    def of(self, median_us, sigma):
        return self[(round(math.log(median_us) * 32), sigma)]


def quantile(counts, q):
    total = sum(counts)
    if not total:
        return None
    left = q * total
    for row, count in enumerate(counts):
        if count and left <= count:
            high = BOUNDS_US[row] if row < len(BOUNDS_US) else BOUNDS_US[-1] * 1.5
            low = BOUNDS_US[row - 1] if row else BOUNDS_US[0] / 2
            return round(low * (high / low) ** (left / count))
        left -= count
    return round(BOUNDS_US[-1] * 1.5)


def about(chance, mean):
    """A whole number near mean, as many independent arrivals would have it."""
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    whole = int(mean)
    return sum(1 for _ in range(whole * 4) if chance.random() < 0.25) + int(chance.random() < mean - whole)


# -- the cluster ------------------------------------------------------------------------------------

class Backend:
    def __init__(self, pool, number, chance):
        self.pool, self.number = pool, number
        self.id = f"{pool.name}-{number}"
        self.address = f"10.{pool.number}.{number // 250}.{number % 250 + 11}:8080"
        self.weight = self.weight_configured = 2 if number % 7 == 3 else 1
        self.limit = 64 if pool.number == 1 else None
        self.speed = chance.uniform(0.85, 1.2)   # its median over the pool's
        self.admin, self.forced = "enabled", None
        self.mode, self.mode_at = "well", 0        # what is wrong with it, unknown to the balancer at first
        self.state, self.reason, self.since = "up", None, 0
        self.breaker, self.streak = "closed", 900
        self.etag = 0
        self.requests_total, self.rate, self.errors = 0, 0.0, 0.0
        self.in_flight, self.running = 0, 0.0
        self.p50 = self.p99 = None
        self.spark = collections.deque([0.0] * 30, maxlen=30)
        self.check_at, self.check_next, self.check_us = 0, 0, 900
        self.shown = None

    @property
    def takes_requests(self):
        return self.state in ("up", "half_open", "unchecked", "panic") and self.weight > 0

    def factor(self):
        return self.speed * {"slow": 40.0, "failing": 3.0}.get(self.mode, 1.0)


class Pool:
    def __init__(self, number, name, algorithm, rate, median_us, size, chance):
        self.number, self.name, self.algorithm = number, name, algorithm
        self.rate, self.median_us = rate, median_us
        self.failover = None
        self.backends = [Backend(self, i + 1, chance) for i in range(size)]
        self.seconds = collections.deque(maxlen=HOUR)
        self.minutes = collections.deque(maxlen=DAY_MINUTES)
        self.requests_total = 0
        self.state = "ok"
        self.known_trouble = None  # set while nothing about it changes, because it is asked for often

    def eligible(self):
        return [one for one in self.backends if one.takes_requests]

    def troubled(self):
        return self.known_trouble if self.known_trouble is not None else [one for one in self.backends if one.mode != "well"]


class Sample:
    """What a second (or a minute) of a pool was like."""
    __slots__ = ("rate", "errors", "client_errors", "retries", "counts", "max_us")

    def __init__(self, rate, errors, client_errors, retries, counts, max_us):
        self.rate, self.errors, self.client_errors = rate, errors, client_errors
        self.retries, self.counts, self.max_us = retries, counts, max_us


def add_samples(samples):
    return Sample(sum(s.rate for s in samples), sum(s.errors for s in samples), sum(s.client_errors for s in samples),
                  sum(s.retries for s in samples), [sum(row) for row in zip(*(s.counts for s in samples))],
                  max((s.max_us for s in samples if s.max_us), default=None))


class Cluster:
    def __init__(self, backends=3, scenario="well", seed=1, rate=None, role="operate", token=None,
                 history_s=86400):
        self.lock = threading.Condition(threading.RLock())
        self.chance = random.Random(seed)
        self.shares = Shares()
        self.scenario, self.role, self.token = scenario, role, token
        self.now_ms = int(time.time()) * 1000
        self.started_ms = self.now_ms - min(history_s, 273_600) * 1000
        self.history_s = history_s
        self.frozen = False
        self.log_level, self.draining = "notice", False
        self.providers = []
        self.turn = 0
        self.changes = {}
        self.events, self.failures = collections.deque(maxlen=2000), collections.deque(maxlen=500)
        self.requests = collections.deque(maxlen=2000)
        self.numbers = 0
        self.busy = 0.31
        self.pools = self.make_pools(backends, rate)
        self.event("life", None, None, None, "serving", "weir 0.1.0 serves", at_ms=self.started_ms)
        self.begin_scenario()
        self.fill_history()
        for _ in range(3):
            self.second(live=True)

    # ---- making it ----

    def make_pools(self, size, rate):
        chance = self.chance
        if size <= 4:
            plan = [("app", "round_robin", 12400, 900, size)]
        elif size <= 40:
            big = max(3, size // 2)
            plan = [("app", "least_connections", 9100, 900, big), ("api", "round_robin", 2600, 4200, max(1, (size - big) // 2)),
                    ("static", "consistent_hash", 4800, 240, max(1, size - big - max(1, (size - big) // 2)))]
        else:
            parts = [size // 2, size // 4, size // 8, size // 16]
            names = [("app", "prequal", 420000, 900), ("api", "least_connections", 96000, 4200),
                     ("static", "consistent_hash", 150000, 240), ("search", "round_robin", 22000, 21000)]
            plan = [(*name, part) for name, part in zip(names, parts)]
            plan.append(("upload", "random", 900, 180000, size - sum(parts)))
        pools = [Pool(i + 1, *one, chance) for i, one in enumerate(plan)]
        if rate:
            scale = rate / sum(pool.rate for pool in pools)
            for pool in pools:
                pool.rate *= scale
        if len(pools) > 1:
            pools[1].failover = pools[0].name
        if self.scenario == "hostile":
            evil = "<img src=x onerror=alert(1)>\"'&amp;" + "w" * 60
            pools[0].backends[0].id = evil
            pools[0].backends[1].address = "a-very-long-name-of-a-host.in-some-department.of-a-large.example.com:65535"
            pools[0].name = "<b>bold</b>-with-a-long-name-that-does-not-fit-anywhere"
        return pools

    def backends(self):
        return [one for pool in self.pools for one in pool.backends]

    def find(self, id, pool=None):
        for one in self.backends():
            if one.id == id and pool in (None, one.pool.name):
                return one
        raise Problem(404, "Not found", f"There is no backend {id}.", "GET /api/v1/state lists them.")

    def begin_scenario(self):
        """What went wrong before now, in the order in which it did."""
        everyone, chance = self.backends(), self.chance
        first, second, third = (everyone * 3)[:3]
        past = []  # (seconds ago, backend, mode)
        for one in everyone:
            one.since = self.started_ms
        if self.scenario in ("down", "hostile"):
            past = [(252, first, "down")]
        elif self.scenario == "slow":
            past = [(490, second, "slow")]
        elif self.scenario == "flapping":
            past = [(600, third, "flapping")]
        elif self.scenario == "breaker":
            past = [(188, second, "failing")]
        elif self.scenario == "lost":
            past = [(95 - 4 * i, one, "down") for i, one in enumerate(self.pools[-1].backends)]
        elif self.scenario == "draining":
            past = [(12, second, "drained")]
        elif self.scenario == "mixed":
            dice = [("down", 3000)] * 3 + [("slow", 1500)] * 2 + [("failing", 900), ("flapping", 400), ("disabled", 7200)]
            for one in chance.sample(everyone, max(1, len(everyone) // 40)):
                mode, most = chance.choice(dice)
                past.append((chance.randrange(60, most), one, mode))
            past.append((40, third, "drained"))
        for ago in range(max((what[0] for what in past), default=-1), -1, -1):
            at_ms = self.now_ms - ago * 1000
            for begun, one, mode in past:
                if begun == ago and mode in ("drained", "disabled"):
                    what = "draining" if mode == "drained" else mode
                    self.steer_event(one, "enabled", what, f"is {what}", ("POST", "enable", None), at_ms)
                    one.admin = one.state = what
                    one.reason, one.since, one.running = f"{mode} by an operator", at_ms, 40.0 if ago < 60 else 0.0
                elif begun == ago:
                    one.mode, one.mode_at = mode, at_ms
                elif begun > ago:
                    self.find_out(one, at_ms)

    def fill_history(self):
        """The hour and the day before now, with what the scenario did to them."""
        shown_s = min(self.history_s, HOUR - 4)
        for pool in self.pools:
            pool.known_trouble = pool.troubled()
            for i in range(min(self.history_s // 60, DAY_MINUTES), 0, -1):
                pool.minutes.append(self.sample(pool, self.now_ms - i * 60_000, 60))
            for i in range(HOUR - 4, 0, -1):
                pool.seconds.append(self.sample(pool, self.now_ms - i * 1000, 1) if i <= shown_s else None)
            now = self.sample(pool, self.now_ms, 1)
            for one in pool.backends:
                one.requests_total = int(now.rate / len(pool.backends) * (self.now_ms - self.started_ms) / 1000)
            pool.requests_total = sum(one.requests_total for one in pool.backends)
            pool.known_trouble = None
            for _ in range(30):
                self.share_out(pool, now.rate)
                for one in pool.backends:
                    one.spark.append(round(one.rate, 1))
        for back in range(60, 0, -1):
            self.make_requests(self.now_ms - back * 1000)

    # ---- what happens ----

    def event(self, kind, pool, backend, before, after, text, reason=None, by=None, undo=None, at_ms=None, streak=None):
        self.numbers += 1
        event = {"number": self.numbers, "at_ms": at_ms or self.now_ms, "kind": kind, "pool": pool, "backend": backend,
                 "from": before, "to": after, "reason": reason, "streak": streak, "next_ms": None, "text": text,
                 "by": by, "undo": undo}
        self.events.appendleft(event)
        return event

    def steer_event(self, one, before, after, words, undo, at_ms=None):
        """`undo`: (method, last part of the path, body) of the call that takes it back."""
        method, call, body = undo
        path = f"/api/v1/pools/{urllib.parse.quote(one.pool.name, '')}/backends/{urllib.parse.quote(one.id, '')}/{call}"
        return self.event("steering", one.pool.name, one.id, before, after, f"backend {words} by order", None, "token ops",
                          {"method": method, "path": path, "body": body}, at_ms)

    def set_mode(self, one, mode):
        """Something happens to a backend; the balancer finds out by itself."""
        one.mode, one.mode_at = mode, self.now_ms

    def move(self, one, state, reason, kind, text, at_ms=None):
        if one.state == state:
            return
        at_ms = at_ms or self.now_ms
        before, one.state, one.reason, one.since = one.state, state, reason, at_ms
        if state == "open":
            one.breaker = "open"
        elif state == "half_open":
            one.breaker = "half_open"
        elif before in ("open", "half_open"):
            one.breaker = "closed"
        self.event(kind, one.pool.name, one.id, before, state, text, reason, at_ms=at_ms, streak=3)

    def find_out(self, one, at_ms):
        """What health checks, breakers and operators come to, in the order of the contract."""
        age_s = (at_ms - one.mode_at) / 1000
        if one.admin != "enabled":
            self.quiet_state(one, one.admin, f"{one.admin} by an operator")
        elif one.forced == "open":
            one.breaker = "open"
            self.quiet_state(one, "open", "held open by an operator")
        elif one.mode == "down":
            if age_s >= DETECT_S:
                self.move(one, "down", "connection refused", "health", "backend is down", at_ms)
        elif one.mode == "flapping" and one.forced != "closed":
            if int(age_s) // 20 % 2:
                self.move(one, "up", None, "health", "backend is healthy", at_ms)
            else:
                self.move(one, "down", "no answer in time", "health", "backend is down", at_ms)
        elif one.mode == "failing" and one.forced != "closed":
            if age_s >= DETECT_S and int(age_s) % 30 >= 5:
                self.move(one, "open", "share of failures in the window", "breaker", "circuit breaker opens", at_ms)
            elif age_s > 30:
                self.move(one, "half_open", "time open is over", "breaker",
                          "circuit breaker lets trial requests through", at_ms)
        elif one.state in ("open", "half_open"):
            self.move(one, "up", "trial requests succeeded", "breaker", "circuit breaker closes", at_ms)
            one.breaker, one.reason = "closed", None
        elif one.state == "down":
            self.move(one, "up", None, "health", "backend is healthy", at_ms)
        else:
            self.quiet_state(one, "up", None)

    def quiet_state(self, one, state, reason):
        if one.state != state:
            one.state, one.reason, one.since = state, reason, self.now_ms
            if state == "up":
                one.breaker = "closed"

    def hidden_trouble(self, pool, at_ms):
        """(share of requests on backends that are down and not yet out, slow share, failing share)"""
        troubled = pool.troubled()
        if not troubled:
            return 0.0, 0.0, 0.0
        total = sum(one.weight for one in pool.backends) or 1
        refused = slow = failing = 0.0
        for one in troubled:
            age_s = (at_ms - one.mode_at) / 1000
            if age_s < 0 or one.admin != "enabled":
                continue
            share = one.weight / total
            if one.mode == "down" and age_s < DETECT_S:
                refused += share
            elif one.mode == "flapping" and age_s % 40 < DETECT_S:
                refused += share
            elif one.mode == "slow":
                slow += share
            elif one.mode == "failing" and age_s % 30 < 5:
                failing += share * (1.0 if age_s < 5 else 0.1)
        return refused, slow, failing

    @staticmethod
    def is_lost(pool, at_ms):
        if pool.known_trouble is not None and len(pool.known_trouble) < len(pool.backends):
            return False
        return all((one.mode == "down" and at_ms - one.mode_at > DETECT_S * 1000) or one.admin != "enabled"
                   for one in pool.backends)

    def sample(self, pool, at_ms, seconds):
        day = math.sin((at_ms / 1000 + 3600 * 3) / 86400 * 2 * math.pi)
        wave = 1 + 0.16 * day + 0.05 * math.sin(at_ms / 197_000) + 0.03 * math.sin(at_ms / 31_000 + pool.number)
        mean = pool.rate * wave
        n = about(self.chance, mean * seconds)
        refused, slow, failing = self.hidden_trouble(pool, at_ms)
        lost = self.is_lost(pool, at_ms)
        busy = 1 + 0.12 * wave + 0.1 * self.chance.random()
        parts = [(1 - slow - failing, pool.median_us * busy, 0.42), (0.025, pool.median_us * 7 * busy, 0.5),
                 (slow, pool.median_us * 40, 0.35), (failing, pool.median_us * 2, 0.5)]
        if lost:
            parts = [(1.0, 90, 0.25)]
        means = [0.0] * (len(BOUNDS_US) + 1)
        for weight, median, sigma in parts:
            if weight > 0:
                for row, share in enumerate(self.shares.of(median, sigma)):
                    means[row] += share * weight * n
        counts = [about(self.chance, mean) if mean > 1e-3 else 0 for mean in means]
        errors = about(self.chance, n * (refused * 0.08 + failing * 0.6 + 0.00002 + (1.0 if lost else 0.0)))
        top = next((row for row in range(len(BOUNDS_US), -1, -1) if counts[row]), None)
        max_us = None if top is None else round(BOUNDS_US[min(top, len(BOUNDS_US) - 1)] * self.chance.uniform(0.75, 1))
        return Sample(n / seconds, min(errors, n) / seconds, about(self.chance, n * 0.004) / seconds,
                      about(self.chance, n * (refused + failing * 0.3)) / seconds, counts, max_us)

    def share_out(self, pool, rate):
        takers = pool.eligible()
        total = sum(one.weight * (0.05 if one.state == "half_open" else 1) for one in takers) or 1
        for one in pool.backends:
            part = one.weight * (0.05 if one.state == "half_open" else 1) / total if one in takers else 0
            if one.mode == "slow" and pool.algorithm in ("least_connections", "prequal"):
                part *= 0.2
            # Quantised, so that of a thousand backends not all change in every second.
            one.rate = round(rate * part * self.chance.uniform(0.93, 1.07), 1 if rate < 50000 else 0)

    def second(self, live=False):
        """One second passes."""
        if self.frozen and not live:
            return
        if not live:
            self.now_ms += 1000
        self.turn += 1
        for pool in self.pools:
            for one in pool.backends:
                self.find_out(one, self.now_ms)
            sample = self.sample(pool, self.now_ms, 1)
            pool.seconds.append(sample)
            if self.turn % 60 == 0:
                pool.minutes.append(self.sample(pool, self.now_ms, 60))
            self.share_out(pool, sample.rate)
            self.update_backends(pool, sample)
            self.update_pool(pool, sample)
        self.busy = round(0.31 + 0.04 * math.sin(self.now_ms / 40_000) + self.chance.uniform(-0.01, 0.01), 3)
        self.make_requests(self.now_ms)

    def update_backends(self, pool, sample):
        n = max(1, len(pool.eligible()))
        for one in pool.backends:
            median = pool.median_us * one.factor()
            one.requests_total += int(one.rate)
            one.errors = round(one.rate * 0.6, 1) if one.mode == "failing" and one.takes_requests else 0.0
            if one.mode in ("down", "flapping") and one.takes_requests and one.state == "up" and self.hidden_trouble(pool, self.now_ms)[0]:
                one.errors = round(sample.errors / max(1, sum(1 for b in pool.backends if b.mode == "down")), 1)
            if one.rate > 0:
                one.p50 = round(median * self.chance.uniform(0.98, 1.02), -1)
                one.p99 = round(median * 7 * self.chance.uniform(0.9, 1.15), -2)
                one.running = one.rate * median * 2.2 / 1e6
            else:
                one.running *= 0.72
                if not one.takes_requests:
                    one.p50 = one.p99 = None
            one.in_flight = round(one.running)
            if self.turn % 2 == 0:
                one.spark.append(round(one.rate, 1))
            period = 5000 if one.state != "down" else 1000
            if self.now_ms >= one.check_next:
                one.check_at, one.check_next = self.now_ms, self.now_ms + period + one.number * 137 % 900
                one.check_us = round(500 * one.factor() * self.chance.uniform(0.8, 1.3))
                one.streak = one.streak + 1 if one.streak < 1000 else one.streak
        pool.share = n

    def update_pool(self, pool, sample):
        pool.requests_total += int(sample.rate)
        eligible = len(pool.eligible())
        state = "lost" if eligible == 0 else "ok" if all(one.state in ("up", "backup") for one in pool.backends) else "degraded"
        if state == "lost" and pool.state != "lost":
            self.event("pool", pool.name, None, "available", "unavailable", "pool has lost its last backend")
        if state != "lost" and pool.state == "lost":
            self.event("pool", pool.name, None, "unavailable", "available", "pool has a backend again")
        pool.state = state

    # ---- single requests ----

    def make_requests(self, at_ms):
        for pool in self.pools:
            if not pool.seconds or pool.seconds[-1] is None:
                continue
            sample = self.sample(pool, at_ms, 1) if at_ms < self.now_ms else pool.seconds[-1]
            for i in range(max(2, TAIL_PER_S // len(self.pools))):
                self.requests.appendleft(self.record(pool, at_ms + i * 1000 // TAIL_PER_S, None))
            for i in range(min(4, round(sample.errors))):
                bad = self.record(pool, at_ms + i * 200, self.cause(pool))
                self.failures.appendleft(bad)
                self.requests.appendleft(bad)

    def cause(self, pool):
        modes = {one.mode for one in pool.backends}
        if self.is_lost(pool, self.now_ms):
            return "no_backend_available"
        return "connection_refused" if "down" in modes or "flapping" in modes else "connection_reset" if "failing" in modes else "response_timeout"

    def record(self, pool, at_ms, failure):
        chance = self.chance
        words = {"connection_refused": (503, "the backend refused the connection"),
                 "no_backend_available": (503, "no backend of the pool may be asked"),
                 "connection_reset": (502, "the backend closed the connection before it answered"),
                 "response_timeout": (504, "the backend did not begin its answer in time")}
        takers = pool.eligible() or pool.backends
        bad = [one for one in pool.backends if one.mode != "well"]
        picked = chance.choice(takers)
        method, path = chance.choice(METHODS), chance.choice(PATHS).format(chance.randrange(100, 9999))
        took = round(chance.lognormvariate(math.log(pool.median_us * picked.factor()), 0.5))
        tries, text = [], [f"{method} {path.split('?')[0]} came to web; route {pool.name} took it to pool {pool.name}"]
        status, outcome, cause = (200, "ok", "answered in full") if chance.random() > 0.004 else (404, "ok", "answered in full")
        if failure:
            status, cause = words[failure]
            outcome = failure
            if failure != "no_backend_available":
                culprit = chance.choice(bad or takers)
                tries.append({"backend": culprit.id, "at_us": 12, "took_us": took, "ended": failure, "hedge": False})
                text.append(f"{culprit.id} was picked: {cause}")
                text.append("it was not sent again: the budget for retries is spent")
            else:
                text.append("nobody was left to be asked: all backends of the pool are down")
            picked = None
        else:
            if bad and chance.random() < 0.05:
                tries.append({"backend": bad[0].id, "at_us": 9, "took_us": 180, "ended": "connection_refused", "hedge": False})
                text.append(f"{bad[0].id} was picked first and refused the connection; the request was sent again")
            tries.append({"backend": picked.id, "at_us": 210 if tries else 11, "took_us": took, "ended": "ok", "hedge": False})
            text.append(f"{picked.id} was picked by {pool.algorithm} among {len(takers)} that could be chosen")
        text.append(f"answered with {status} after {took / 1000:.1f} ms")
        return {"id": f"{chance.getrandbits(64):016x}", "at_ms": at_ms, "worker": chance.randrange(2), "frontend": "web",
                "route": pool.name, "pool": pool.name, "method": method, "path": path,
                "client": f"192.0.2.{chance.randrange(1, 255)}", "status": status, "outcome": outcome, "ended": outcome, "cause": cause,
                "total_us": took + (210 if len(tries) > 1 else 0), "queue_us": 0, "connect_us": 0,
                "first_byte_us": round(took * 0.93), "bytes_in": 0, "bytes_out": chance.randrange(80, 40000), "reused": True,
                "tries": tries, "picked": picked.id if picked else None, "algorithm": pool.algorithm,
                "candidates": [{"backend": one.id, "cost": round(chance.uniform(1, 9), 1), "verdict": "compared"} for one in takers[:8]],
                "eligible": len(takers), "of": len(pool.backends), "text": text}

    # ---- what the API tells ----

    @staticmethod
    def slow_text(one):
        return f"p50 {one.p50 / 1000:.0f} ms, its peers {one.pool.median_us / 1000:.1f} ms"

    def backend_state(self, one):
        passed = one.mode not in ("down", "flapping") or one.state == "up"
        measured = one.takes_requests and one.p50 and len(one.pool.backends) > 1
        changes = self.changes[one.pool.name, one.id]
        reason = "passed" if passed else one.reason or "connection refused"
        odd = [{"what": "flapping", "text": f"{changes} changes within 10 minutes", "since_at_ms": one.mode_at}] * (changes >= 4)
        if measured and one.mode == "slow":
            odd.append({"what": "slow", "text": self.slow_text(one), "since_at_ms": one.mode_at})
        return {"pool": one.pool.name, "id": one.id, "address": one.address, "etag": str(one.etag), "state": one.state,
                "since_at_ms": one.since, "reason": one.reason or "may get requests", "takes_requests": one.takes_requests,
                "weight": one.weight, "weight_configured": one.weight_configured, "share_ratio": 1.0, "backup": False,
                "admin": one.admin, "health": "up" if passed else "down", "streak": one.streak,
                "next_check_at_ms": one.check_next,
                "last_check": {"passed": passed, "reason": reason, "latency_us": one.check_us if passed else None,
                               "at_ms": one.check_at},
                "breaker": one.breaker, "breaker_forced": one.forced, "ejected": None, "ejected_until_at_ms": None,
                "oddities": [each["what"] for each in odd], "odd": odd, "changes": changes, "changes_span_ms": 600_000, "slow_times": 40 if measured and one.mode == "slow" else None, "peers_p50_us": one.pool.median_us if measured else None,
                "peers_p99_us": one.pool.median_us * 3 if measured else None,
                "connections": one.in_flight + (6 if one.takes_requests else 0), "idle": 6 if one.takes_requests else 0,
                "connections_max": one.limit, "in_flight": one.in_flight,
                "requests_total": one.requests_total, "requests_per_s": one.rate,
                "errors_per_s": one.errors, "p50_us": one.p50, "p90_us": one.p99,
                "p99_us": one.p99, "max_us": one.p99, "spark": list(one.spark)}

    def pool_state(self, pool):
        now = pool.seconds[-1]
        eligible = len(pool.eligible())
        return {"name": pool.name, "algorithm": pool.algorithm, "state": pool.state, "backends": len(pool.backends),
                "eligible": eligible, "up": sum(one.state == "up" for one in pool.backends), "panic": False,
                "failover": pool.failover, "check": "http", "queued": 0,
                "in_flight": sum(one.in_flight for one in pool.backends), "requests_total": pool.requests_total,
                "requests_per_s": now.rate, "errors_per_s": now.errors, "retries_per_s": now.retries,
                **self.quantiles(now)}

    @staticmethod
    def quantiles(sample):
        return {"p50_us": quantile(sample.counts, 0.5), "p90_us": quantile(sample.counts, 0.9),
                "p99_us": quantile(sample.counts, 0.99), "max_us": sample.max_us}

    def verdict(self, now):
        rate = now.rate
        parts = [(0, f"Serving {f'{rate / 1000:.1f}k' if rate >= 10000 else f'{rate:.0f}'} requests/s", None, None)]
        percent = 100 * now.errors / rate if rate else 0
        if percent >= 5:
            parts.append((2, f"{percent:.0f} % of requests fail", None, None))
        for pool in self.pools:
            out = sorted((one for one in pool.backends if one.state in ("down", "open")), key=lambda b: b.since)
            slow = [one for one in pool.backends if one.mode == "slow"]
            since, reason = (out[0].since, out[0].reason) if out else (None, None)
            if not pool.eligible():
                parts.append((2, f"pool {pool.name} has no backend left", since, reason))
            elif out:
                who = f"{out[0].id} of pool {pool.name} is out" if len(out) == 1 else \
                    f"{len(out)} of {len(pool.backends)} backends of pool {pool.name} are out, the first"
                parts.append((1, who, since, reason))
            if slow:
                parts.append((1, f"{slow[0].id} of pool {pool.name} is slow", slow[0].mode_at, self.slow_text(slow[0])))
        if len(parts) == 1:
            parts.append((0, "all backends are well", None, None))
        words = ("ok", "warn", "bad")
        level = max(part[0] for part in parts)
        return {"level": words[level], "text": "; ".join(part[1] + (f": {part[3]}" if part[3] else "") for part in parts[:4]),
                "since_at_ms": min((part[2] for part in parts if part[0] == level and part[2]), default=None),
                "parts": [{"level": words[part[0]], "text": part[1], "reason": part[3], "since_at_ms": part[2]} for part in parts[:4]]}

    def state(self, pool=None):
        with self.lock:
            now = add_samples([p.seconds[-1] for p in self.pools])
            pools = [p for p in self.pools if pool in (None, p.name)]
            self.changes = collections.Counter((e["pool"], e["backend"]) for e in self.events
                                               if e["kind"] == "health" and e["at_ms"] > self.now_ms - 600000)
            in_flight = sum(one.in_flight for one in self.backends())
            rate = now.rate
            return {
                "version": "0.1.0", "instance": "lb-1", "pid": 4711, "generation": 1, "now_at_ms": self.now_ms,
                "started_at_ms": self.started_ms, "draining": self.draining,
                "ready": any(one.takes_requests for one in self.backends()),
                "log_level": self.log_level, "may": self.role, "verdict": self.verdict(now),
                "totals": {"requests_total": sum(p.requests_total for p in self.pools), "requests_per_s": rate,
                           "errors_per_s": now.errors, "errors_ratio": now.errors / rate if rate else 0.0,
                           "client_errors_per_s": now.client_errors, **self.quantiles(now),
                           "connections": 3100 + in_flight, "connections_max": 524288, "in_flight": in_flight,
                           "queued": 0, "tunnels": 0, "received_bytes_per_s": rate * 420.0,
                           "sent_bytes_per_s": rate * 5900.0, "retries_per_s": now.retries},
                "process": {"workers": 2, "io": "io_uring", "busy_ratio": self.busy, "descriptors": 3300 + in_flight,
                            "descriptors_max": 1048576, "memory_bytes": 41_000_000, "log_dropped_total": 0},
                "workers": [{"busy_ratio": self.busy, "connections": 1550, "requests_per_s": rate / 2}] * 2,
                "frontends": [{"name": "web", "protocol": "http", "binds": [":8080"], "connections": 3100,
                               "connections_max": None, "requests_total": 1, "requests_per_s": rate,
                               "errors_per_s": now.errors, "p99_us": None}],
                "providers": self.providers, "restarts": 0, "restart_reason": None, "upgrades": 0,
                "upgrades_failed": 0, "upgrade_reason": None,
                "pools": [self.pool_state(p) for p in pools],
                "backends": [self.backend_state(one) for p in pools for one in p.backends]}

    def history(self, seconds, pool=None, backend=None):
        with self.lock:
            pools = [p for p in self.pools if pool in (None, p.name)]
            if not pools:
                raise Problem(404, "Not found", f"There is no pool {pool}.")
            step = 1 if seconds <= HOUR else 60
            n = min(seconds // step, HOUR if step == 1 else DAY_MINUTES)
            rows = [list(p.seconds if step == 1 else p.minutes)[-n:] for p in pools]
            length = min(len(row) for row in rows)
            points = [None if any(s is None for s in point) else point[0] if len(point) == 1 else add_samples(point)
                      for point in zip(*(row[-length:] for row in rows))]
            if backend:
                points = self.backend_points(self.find(backend, pool), points)
            values = [None if s is None else self.quantiles(s) for s in points]

            def column(name):
                return [None if v is None else v[name] for v in values]
            return {"from_at_ms": self.now_ms - (length - 1) * step * 1000, "step_ms": step * 1000,
                    "thinned": bool(backend) and len(self.backends()) > PARTIAL_ABOVE,
                    "requests_per_s": [None if s is None else s.rate for s in points],
                    "errors_per_s": [None if s is None else s.errors for s in points],
                    "connections": [None if s is None else 3100 for s in points],
                    "p50_us": column("p50_us"), "p90_us": column("p90_us"), "p99_us": column("p99_us"),
                    "max_us": column("max_us"),
                    "heatmap": None if backend else {"bounds_us": BOUNDS_US, "counts": [None if s is None else s.counts for s in points]}}

    def backend_points(self, one, points):
        part = one.weight / sum(b.weight for b in one.pool.backends)
        shares = self.shares.of(one.pool.median_us * one.factor(), 0.5)
        chance = random.Random(one.id)
        made = []
        for i, s in enumerate(points):
            at_ms = self.now_ms - (len(points) - 1 - i) * 1000
            out = s is None or (one.state not in ("up", "half_open") and at_ms > one.since)
            rate = 0.0 if out else s.rate * part * chance.uniform(0.9, 1.1)
            counts = [about(chance, rate * share) if rate * share > 1e-3 else 0 for share in shares]
            made.append(None if s is None else Sample(rate, 0.0, 0.0, 0.0, counts, quantile(counts, 1.0)))
        return made

    def config(self):
        """As `weir config show --origin` writes it."""
        file = "/etc/weir/weir.yaml"
        lines = ["runtime:", "  workers: auto  # default", f"  shutdown_timeout: 30s  # {file}:4:21", "log:", "  level: notice  # default",
                 "  access:", f"    format: json  # {file}:8:20", "admin:", "  bind:", "    - auto  # default", f'  token: "***"  # {file}:71:14',
                 "frontends:", "  web:", "    bind:", f'      - ":8080"  # {file}:11:11', f'      - "[::1]:8443"  # {file}:12:11', "    timeouts:",
                 "      client_header: 10s  # default", "pools:"]
        for pool in self.pools:
            lines += [f'  "{pool.name}":', f"    algorithm: {pool.algorithm}  # {file}:31:16", "    retry:",
                      "      attempts: 2  # WEIR_POOLS__RETRY__ATTEMPTS", "    backends:"]
            for i, one in enumerate(pool.backends):
                lines += [f'      - id: "{one.id}"  # {file}:{40 + i}:12', f'        address: "{one.address}"  # {file}:{40 + i}:30',
                          f"        weight: {one.weight_configured}  # default"]
        return "\n".join(lines) + "\n"

    def explain(self, ask):
        for name in ("method", "url", "from"):
            if not isinstance(ask.get(name, ""), str):
                raise Problem(422, "Unprocessable Content", "all but 'headers' are texts")
        url = urllib.parse.urlsplit(ask["url"])
        if not url.netloc:
            raise Problem(422, "Unprocessable Content", f"'{ask['url']}' is not a URL", "Write it as http://HOST/PATH.")
        path, client = url.path or "/", ask.get("from") or "127.0.0.1"
        pool = next((p for p in self.pools[1:] if path.startswith("/" + p.name)), self.pools[0])
        routes = [{"name": p.name, "matched": p is pool, "condition": None if p is pool else "path",
                   "wanted": None if p is pool else f"/{p.name}/*", "got": None if p is pool else path} for p in self.pools[1:]]
        routes.append({"name": "everything", "matched": pool is self.pools[0], "condition": "host", "wanted": "*", "got": None})
        takers = pool.eligible()
        pick = min(takers, key=lambda b: (b.in_flight / b.weight, b.number)) if takers else None
        words = {"down": "its health checks fail", "draining": "it is being drained", "open": "its circuit breaker is open",
                 "disabled": "it is disabled"}
        backends = [{"id": one.id, "address": one.address, "eligible": one in takers,
                     "why": "may get requests" if one in takers else words.get(one.state, one.state), "full": False,
                     "weight": one.weight, "in_flight": one.in_flight, "picked": one is pick,
                     "cost": round((one.in_flight + 1) / one.weight, 2) if one in takers else None} for one in pool.backends[:64]]
        headers = [["Host", url.netloc], *ask.get("headers", {}).items(), ["X-Forwarded-For", client],
                   ["X-Forwarded-Proto", "http"], ["x-request-id", "2315d6ab2a32e58f8ae34ccc4f331791"]]
        answer = None if pick else {"status": 503, "outcome": "no_backend_available", "cause": "no backend of the pool may be asked",
                                    "cure": "Look at the pool's backends.", "location": None}
        return {"end": "sent" if pick else "answered", "frontend": "web", "protocol": "http", "generation": 1,
                "client": {"peer": client, "address": client, "trusted": False, "may_connect": True, "why": "may connect", "key": None},
                "method": ask["method"], "host": url.netloc, "path": path, "routes": routes, "routes_left_out": 0,
                "route": next(r["name"] for r in routes if r["matched"]), "shares": [], "answer": answer,
                "pools": [{"name": pool.name, "algorithm": pool.algorithm, "picked": bool(pick),
                           "why": "one of its backends takes it" if pick else "none of its backends may get it",
                           "of": len(pool.backends), "eligible": len(takers), "candidates": [], "backends": backends}],
                "pick": {"pool": pool.name, "backend": pick.id, "address": pick.address, "trial": False} if pick else None,
                "chance": pool.algorithm == "random",
                "sent": {"line": f"{ask['method']} {path}{'?' + url.query if url.query else ''} HTTP/1.1", "headers": headers} if pick else None}

    # ---- steering ----

    def steer(self, one, what, body):
        """Carries out a change and returns the event that tells of it, or None when nothing changed."""
        settings = {"drain": "draining", "enable": "enabled", "disable": "disabled"}
        back = {after: call for call, after in settings.items()}
        if what in settings:
            before, after = one.admin, settings[what]
            words, undo = f"is {after}", ("POST", back[before], None)
        elif what == "weight":
            before, after = one.weight, body.get("weight")
            if not isinstance(after, int) or not 0 <= after <= 1000:
                raise Problem(422, "Unprocessable Content", "the field 'weight' is a whole number from 0 to 1000")
            words, undo = "has another weight", ("PUT", "weight", {"weight": before})
        elif what == "breaker":
            before, after = one.forced or "auto", body.get("state")
            if after not in ("open", "closed", "auto"):
                raise Problem(422, "Unprocessable Content", "the field 'state' is open, closed or auto")
            words, undo = f"has its breaker {after}", ("PUT", "breaker", {"state": before})
        else:
            raise Problem(404, "Not Found", f"there is no call {what}")
        if before == after:
            return None
        if what in settings:
            one.admin = after
        elif what == "weight":
            one.weight = after
        else:
            one.forced = None if after == "auto" else after
        one.etag += 1
        event = self.steer_event(one, str(before), str(after), words, undo)
        self.find_out(one, self.now_ms)
        return event

    # ---- for tests ----

    def fail(self, id):
        with self.lock:
            self.set_mode(self.find(id), "down")

    def heal(self, id):
        with self.lock:
            self.set_mode(self.find(id), "well")

    def drain_elsewhere(self, id):
        """Another operator does something."""
        with self.lock:
            self.steer(self.find(id), "drain", {})


# -- HTTP -------------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a small answer must not wait for the client's acknowledgement

    def log_message(self, *_):
        pass

    @property
    def mock(self):
        return self.server.mock

    def reply(self, status, body, kind="application/json", fields=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in fields:
            self.send_header(name, value)
        if "no-cache" not in str(fields):
            self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def file(self, path):
        name = "index.html" if path == "/" else path[1:]
        file = PAGE / name
        if "/" in name or not file.is_file() or file.suffix not in TYPES:
            raise Problem(404, "Not found", f"There is nothing at {path}.")
        data = file.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        fields = [("ETag", tag), ("Cache-Control", "no-cache"), ("Content-Security-Policy", f"{CSP}; report-uri /-/csp"),
                  ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin")]
        if self.headers.get("If-None-Match") == tag:
            self.reply(304, b"", TYPES[file.suffix], fields)
        else:
            self.reply(200, data, TYPES[file.suffix], fields)

    def handle_one(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size) if size else b""
        cluster = self.mock.cluster
        self.mock.seen.append((self.command, self.path, dict(self.headers), raw.decode(errors="replace")))
        try:
            if url.path == "/-/csp":
                self.mock.csp_reports.append(raw.decode(errors="replace"))
                self.reply(204, b"")
                return
            if not url.path.startswith("/api/"):
                self.file(url.path)
                return
            if cluster.token and self.headers.get("Authorization") != f"Bearer {cluster.token}":
                raise Problem(401, "Unauthorized", "This needs a token.", "Send Authorization: Bearer TOKEN.")
            if self.command == "GET":
                self.read(url.path, query)
            else:
                self.change(url.path, raw)
        except Problem as problem:
            self.reply(problem.status, problem.body, "application/problem+json")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

    def read(self, path, query):
        cluster = self.mock.cluster
        limit, seconds = int(query.get("limit", 100)), int(query.get("seconds", 900))
        if not 1 <= limit <= 500 or not 1 <= seconds <= 86400:
            raise Problem(422, "Unprocessable Content", "limit is from 1 to 500, seconds from 1 to 86400")
        with cluster.lock:
            if path == "/api/v1/state":
                answer = cluster.state(query.get("pool"))
            elif path == "/api/v1/history":
                answer = cluster.history(seconds, query.get("pool"), query.get("backend"))
            elif path == "/api/v1/events":
                after = int(query.get("after", 0))
                answer = {"newest": cluster.numbers, "events": [e for e in cluster.events if e["number"] > after][:limit]}
            elif path == "/api/v1/failures":
                answer = {"failures": list(cluster.failures)[:limit]}
            elif path == "/api/v1/requests":
                answer = {"requests": list(cluster.requests)[:limit]}
            elif path.startswith("/api/v1/requests/"):
                answer = next((r for r in cluster.requests if r["id"] == path.rsplit("/", 1)[1]), None)
                if not answer:
                    raise Problem(404, "Not found", "There is no record of this request.")
            elif path == "/api/v1/config":
                answer = cluster.config().encode()
            elif path == "/api/v1/stream":
                answer = None
            else:
                raise Problem(404, "Not found", f"There is nothing at {path}.")
        if answer is None:
            self.stream("tail" in query)
        else:
            self.reply(200, answer, "application/yaml" if isinstance(answer, bytes) else "application/json")

    def change(self, path, raw):
        cluster = self.mock.cluster
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            raise Problem(400, "Bad request", "The body is not JSON.") from None
        if path == "/api/v1/explain":
            with cluster.lock:
                answer = cluster.explain(body)
            self.reply(200, answer)
            return
        if self.headers.get("X-Weir-Request") != "1":
            raise Problem(403, "Forbidden", "The field X-Weir-Request is missing.")
        if cluster.role != "operate":
            raise Problem(403, "Forbidden", "The role read may not steer.", "Use a token with the role operate.")
        with cluster.lock:
            event = self.carry_out(path, body)
            cluster.lock.notify_all()
        self.reply(200, {"changed": event is not None, "event": event and event["number"]})

    def carry_out(self, path, body):
        cluster = self.mock.cluster
        parts = [urllib.parse.unquote(part) for part in path.split("/")[3:]]
        if parts == ["log", "level"]:
            before, cluster.log_level = cluster.log_level, body.get("level")
            return cluster.event("steering", None, None, before, cluster.log_level, "log level is set", None, "token ops")
        if len(parts) == 5 and parts[0] == "pools" and parts[2] == "backends":
            one = cluster.find(parts[3], parts[1])
            wanted = self.headers.get("If-Match")
            if wanted and wanted.strip('"') != str(one.etag):
                raise Problem(412, "Precondition Failed", "somebody else has changed this backend meanwhile", "Read the backend again and decide anew.")
            return cluster.steer(one, parts[4], body)
        raise Problem(404, "Not found", f"There is nothing at {path}.")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def tell(self, name, value):
        self.chunk(f"event: {name}\ndata: {json.dumps(value)}\n\n".encode())

    def stream(self, tail):
        cluster, mock = self.mock.cluster, self.mock
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        shown, newest, newest_failure, newest_request = {}, None, None, None
        mock.streams += 1
        generation = mock.generation
        try:
            while mock.running and generation == mock.generation:
                with cluster.lock:
                    state = cluster.state()
                    events = [e for e in cluster.events if newest is not None and e["number"] > newest]
                    newest = cluster.numbers
                    failures = self.since(cluster.failures, newest_failure)
                    newest_failure = cluster.failures[0]["id"] if cluster.failures else ""
                    requests = self.since(cluster.requests, newest_request) if tail else []
                    newest_request = cluster.requests[0]["id"] if cluster.requests else ""
                if len(state["backends"]) > PARTIAL_ABOVE and shown:
                    state["partial"] = True
                    state["backends"] = [b for b in state["backends"] if shown.get(b["id"]) != b]
                shown.update((b["id"], b) for b in state["backends"])
                self.tell("state", state)
                for event in reversed(events):
                    self.tell("event", event)
                for failure in reversed(failures):
                    self.tell("failure", failure)
                for request in list(reversed(requests))[:TAIL_PER_S]:
                    self.tell("request", request)
                self.wfile.flush()
                with cluster.lock:
                    turn, number = cluster.turn, cluster.numbers
                    cluster.lock.wait_for(lambda: cluster.turn != turn or cluster.numbers != number or not mock.running
                                          or generation != mock.generation, 2)
        except OSError:
            pass
        finally:
            mock.streams -= 1
            self.close_connection = True

    @staticmethod
    def since(records, newest):
        if newest is None:
            return []
        fresh = []
        for record in records:
            if record["id"] == newest:
                break
            fresh.append(record)
        return fresh


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a browser that goes away is no news


class Mock:
    """A running mock. `tick_s` is how long one of its seconds takes."""

    def __init__(self, port=0, tick_s=1.0, **cluster):
        self.cluster = Cluster(**cluster)
        self.tick_s = tick_s
        self.running, self.generation, self.streams = True, 0, 0
        self.csp_reports = []
        self.seen = collections.deque(maxlen=5000)
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.mock = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.threads = [threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True),
                        threading.Thread(target=self.run, daemon=True)]
        for thread in self.threads:
            thread.start()

    def run(self):
        due = time.monotonic()
        while self.running:
            due += self.tick_s
            time.sleep(max(0, due - time.monotonic()))
            with self.cluster.lock:
                self.cluster.second()
                if self.cluster.frozen:
                    self.cluster.turn += 1
                self.cluster.lock.notify_all()

    def cut_streams(self):
        with self.cluster.lock:
            self.generation += 1
            self.cluster.lock.notify_all()

    def close(self):
        self.running = False
        self.cut_streams()
        self.server.shutdown()
        self.server.server_close()
        for thread in self.threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9900)
    parser.add_argument("--backends", type=int, default=3, help="1 to 2000")
    parser.add_argument("--scenario", choices=SCENARIOS, default="well")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="requests per second")
    parser.add_argument("--role", choices=("read", "operate"), default="operate")
    parser.add_argument("--token", help="ask for this token")
    parser.add_argument("--tick", type=float, default=1.0, help="how long a second takes")
    parser.add_argument("--history", type=int, default=86400, help="seconds for which it has run")
    options = parser.parse_args()
    mock = Mock(options.port, options.tick, backends=max(1, min(2000, options.backends)), scenario=options.scenario,
                seed=options.seed, rate=options.rate, role=options.role, token=options.token, history_s=options.history)
    print(mock.url, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        mock.close()


if __name__ == "__main__":
    main()
