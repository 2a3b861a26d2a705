#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures weir against bare relays, nginx and HAProxy, and says which figures fall short.

The main figure is the CPU time of the whole proxy process per request: on two cores the generator
and the origin are as busy as the proxy, so requests per second would measure them. README.md in
this folder explains the scenarios. Needs nothing but the standard library; ends by itself; ends
every process it started, by its id, whatever happens.
"""

import argparse
import contextlib
import itertools
import json
import mmap
import os
import re
import resource
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import report
from process import (BenchError, Child, core_times, cpu_ns, cpu_ticks, family, free_port,
                     private_bytes, speed_probe_ms, wait_listening)

FOREIGN_MAX = 0.10  # share of the proxy's core that others may take before a run is repeated
STEAL_MAX = 0.01
SLOWER_MAX = 1.25  # of the machine, against its best
RETRIES = 1
READY_SECONDS = 60
IDLE_FEW, IDLE_MANY = 2000, 8000
CALLS_FEW, CALLS_MANY = 2000, 12000
MALLOC_REQUESTS = 10000


def say(text=""):
    print(text, flush=True)


# ---- what is measured -------------------------------------------------------------------------

NGINX_HEAD = """\
daemon off; {master} worker_processes 1; worker_rlimit_nofile {files};
error_log stderr error; pid {work}/nginx.pid; {user} {modules}
events {{ worker_connections 18000; }}
"""
NGINX_HTTP = NGINX_HEAD + """\
http {{
    access_log off; keepalive_timeout 300s; keepalive_requests 1000000000;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
    upstream app {{
        server 127.0.0.1:{origin};
        keepalive 4096; keepalive_requests 1000000000; keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""
NGINX_TCP = NGINX_HEAD + """\
stream {{
    server {{ listen 127.0.0.1:{port} backlog=8192; proxy_pass 127.0.0.1:{origin}; }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn {connections}
defaults
    mode {mode}
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    {http_only}
    {splice}
frontend web
    bind 127.0.0.1:{port} backlog 8192
    default_backend app
backend app
    {reuse}
    server origin 127.0.0.1:{origin}
"""
WEIR = """\
runtime: {{workers: {workers}, io: {io}}}
log: {{level: error, access: {{output: none}}}}
frontends:
  web: {{bind: "127.0.0.1:{port}", protocol: {mode}, pool: app}}
pools:
  app: {{backends: ["127.0.0.1:{origin}"]}}
"""


@dataclass(frozen=True)
class Subject:
    """Something that stands between the generator and the origin."""

    name: str
    kind: str  # weir, relay, nginx, haproxy, direct
    engine: str = ""
    workers: int = 1
    splice: bool = False

    def command(self, bench, port, origin, work, tcp=False, single=False):
        """argv, after writing its configuration. single: one process, for valgrind."""
        return getattr(self, "command_" + self.kind)(bench, port, origin, work, tcp, single)

    def command_weir(self, bench, port, origin, work, tcp, _single):
        config = WEIR.format(workers=self.workers, io=self.engine, port=port, origin=origin,
                             mode="tcp" if tcp else "http")
        return [bench.args.weir, "-c", write(work / "weir.yaml", config)]

    def command_relay(self, bench, port, origin, _work, _tcp, _single):
        return [bench.tool("bench-relay"), "--listen", f"127.0.0.1:{port}", "--upstream",
                f"127.0.0.1:{origin}", "--mode", self.engine, *bench.relay_sizes]

    def command_nginx(self, bench, port, origin, work, tcp, single):
        config = (NGINX_TCP if tcp else NGINX_HTTP).format(
            port=port, origin=origin, work=work, files=bench.files,
            user="user root;" if os.geteuid() == 0 else "",
            master="master_process off;" if single else "",
            modules=f"load_module {bench.nginx_stream};" if tcp and bench.nginx_stream else "")
        return [bench.nginx, "-p", str(work), "-e", "stderr", "-c",
                write(work / "nginx.conf", config)]

    def command_haproxy(self, bench, port, origin, work, tcp, _single):
        config = HAPROXY.format(
            port=port, origin=origin, mode="tcp" if tcp else "http",
            http_only="" if tcp else "timeout http-keep-alive 300s\n    option http-keep-alive",
            reuse="" if tcp else "http-reuse always",
            # Its pipes count against the limit of descriptors.
            connections=4000 if self.splice else 9000,
            splice="option splice-auto" if self.splice else "")
        return [bench.haproxy, "-db", "-f", write(work / "haproxy.cfg", config)]


def write(path, text):
    text = "\n".join(line for line in text.splitlines() if line.strip()) + "\n"
    path.write_text(text)
    return str(path)


SUBJECTS = {subject.name: subject for subject in [
    Subject("weir-epoll", "weir", "epoll"),
    Subject("weir-uring", "weir", "io_uring"),
    Subject("weir-epoll-2", "weir", "epoll", workers=2),
    Subject("weir-uring-2", "weir", "io_uring", workers=2),
    Subject("relay-epoll", "relay", "epoll"),
    Subject("relay-epoll-again", "relay", "epoll"),
    Subject("relay-uring", "relay", "uring"),
    Subject("relay-multishot", "relay", "uring-multishot"),
    Subject("relay-splice", "relay", "splice"),
    Subject("nginx", "nginx"),
    Subject("haproxy", "haproxy"),
    Subject("haproxy-splice", "haproxy", splice=True),
    Subject("direct", "direct"),
]}
WEIRS = ["weir-epoll", "weir-uring"]
PEERS = ["nginx", "haproxy"]


@dataclass
class Run:
    """One measured part."""

    cpu_us: float
    rate: float
    answered: int
    latency_us: dict
    foreign: float  # share of the proxy's core taken by others
    steal: float
    probe_ms: float = 0.0  # see speed_probe_ms
    disturbed: bool = False


@dataclass
class Check:
    """One line of the table that is judged."""

    row: str
    what: str
    must: float  # None: the row has only an aim
    aim: float = None
    unit: str = "x"
    values: list = field(default_factory=list)
    basis: str = ""
    missing: str = ""

    def value(self):
        return statistics.median(self.values)

    def verdict(self):
        if not self.values:
            return "not measured: " + self.missing
        if self.aim is not None and self.value() <= self.aim:
            return "aim met"
        if self.must is None:
            return "aim missed"
        return "must met" if self.value() <= self.must else "FALLS SHORT"

    def figure(self, number):
        if number is None:
            return ""
        digits = 2 if self.unit in ("x", "per request") else 0
        return f"{number:,.{digits}f} {self.unit}"

    def shown(self):
        if not self.values:
            return "-"
        spread = f" ({min(self.values):,.2f} to {max(self.values):,.2f})"
        return self.figure(self.value()) + (spread if len(self.values) > 1 else "")


class Bench:
    """The options, the tools, and the results so far."""

    def __init__(self, args, work):
        self.args = args
        self.work = work
        self.figures = []  # for the report: scenario, load, subject, list of Run or numbers
        self.checks = []
        self.problems = []
        self.disturbed = 0
        self.probe_ms = None  # the best so far
        self.relay_sizes = []
        self.serial = itertools.count()
        self.nginx = find_program("nginx")
        self.haproxy = find_program("haproxy")
        self.valgrind = find_program("valgrind")
        self.nginx_stream = stream_module()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.files = hard if hard != resource.RLIM_INFINITY else soft
        cpus = sorted(os.sched_getaffinity(0))
        self.all_cpus = set(cpus)
        self.proxy_cpus = {cpus[0]}
        self.load_cpus = set(cpus[1:]) or {cpus[0]}
        os.sched_setaffinity(0, self.load_cpus)
        self.rounds = args.pairs
        self.seconds = args.seconds / (5 if args.quick else 1)
        self.absent = {}
        self.origins = {}

    def tool(self, name):
        return str(Path(self.args.tools, name))

    def why_absent(self, name):
        """Why a subject cannot be measured here, or ''. Said once."""
        if name not in self.absent:
            self.absent[name] = self.probe(SUBJECTS[name])
            if self.absent[name]:
                say(f"skipped: {name}: {self.absent[name]}")
                if SUBJECTS[name].kind == "weir" and os.path.exists(self.args.weir):
                    self.problems.append(f"{name}: {self.absent[name]}")
        return self.absent[name]

    def probe(self, subject):
        if subject.kind == "direct":
            return ""
        if subject.kind == "nginx" and not self.nginx:
            return "nginx is not installed"
        if subject.kind == "haproxy" and not self.haproxy:
            return "haproxy is not installed"
        if subject.kind == "weir" and not os.access(self.args.weir, os.X_OK):
            return f"{self.args.weir} does not exist"
        try:
            with Proxy(self, subject):
                return ""
        except BenchError as error:
            return f"does not start: {error}"

    def present(self, names):
        return [name for name in names if not self.why_absent(name)]

    def origin(self, tcp=False):
        """The port of a running origin, started at its first use."""
        if tcp not in self.origins:
            port = free_port()
            argv = [self.tool("bench-origin"), f"127.0.0.1:{port}"] + (["--tcp"] if tcp else [])
            child = Child(argv, self.load_cpus, self.work / f"origin-{port}.log")
            wait_listening(child, port)
            self.origins[tcp] = port
        return self.origins[tcp]


def configurations(bench):
    """What the main subjects are run with, ports by name: [(file name, text)]."""
    texts = []
    for name in ("weir-uring", "nginx", "haproxy"):
        work = bench.work / f"shown-{name}"
        work.mkdir(exist_ok=True)
        path = SUBJECTS[name].command(bench, "PORT", "ORIGIN", work)[-1]
        texts.append((os.path.basename(path),
                      Path(path).read_text().replace(str(work), "WORK")))
    return texts


def find_program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def stream_module():
    path = "/usr/lib/nginx/modules/ngx_stream_module.so"
    return path if os.path.exists(path) else None


class Proxy:
    """A running subject. Each start takes a new port: a closed one may be in use for a while."""

    def __init__(self, bench, subject, tcp=False, valgrind=None, env=None):
        self.pids = []
        if subject.kind == "direct":
            self.port = bench.origin(tcp)
            self.child = None
            return
        self.port = free_port()
        work = bench.work / f"{subject.name}-{next(bench.serial)}"
        work.mkdir()
        argv = subject.command(bench, self.port, bench.origin(tcp), work, tcp,
                               single=bool(valgrind))
        self.child = Child((valgrind or []) + argv, bench.proxy_cpus, work / "log", env)
        try:
            wait_listening(self.child, self.port, 90 if valgrind else 10)
            time.sleep(0.2)  # its start is over; its probe connection is gone
            self.pids = family(self.child.pid)
        except BaseException:
            self.child.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        if self.child:
            self.child.end()


class Load:
    """A running generator, warmed up and waiting."""

    def __init__(self, bench, port, argv):
        argv = [bench.tool("bench-load"), "--to", f"127.0.0.1:{port}", "--sync", *map(str, argv)]
        self.child = Child(argv, bench.load_cpus, bench.work / f"load-{port}.log", pipes=True)
        try:
            line = self.child.line(READY_SECONDS)
            if line != "ready":
                raise BenchError(f"unexpected: {line}")
        except BaseException:
            self.child.end()
            raise

    def measure(self, seconds):
        self.child.go_on()
        result = json.loads(self.child.line(seconds))
        if result["errors"]:
            raise BenchError(f"wrong answers: {result['errors']}")
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.child.end()


def timed(bench, load, pids):
    """The measured part of a load, with the CPU time of the given processes over it."""
    core = min(bench.proxy_cpus)
    busy, steal = core_times(core)
    ticks, clock, start = cpu_ticks(pids), cpu_ns(pids), time.monotonic()
    result = load.measure(bench.seconds + 60)
    used = cpu_ns(pids) - clock
    elapsed = max(time.monotonic() - start, 1e-6)
    ticked = cpu_ticks(pids) - ticks
    now_busy, now_steal = core_times(core)
    if abs(ticked - used) > 0.05 * used + 40e6:
        raise BenchError(f"the two clocks differ: {used / 1e6:.0f} and {ticked / 1e6:.0f} ms")
    if not result["answered"]:
        raise BenchError("nothing was answered")
    if result["unsent"]:
        raise BenchError(f"cannot keep up: {result['unsent']} requests were never sent")
    foreign = ((now_busy - busy) - used / 1e9) / elapsed
    return Run(used / 1e3 / result["answered"], result["rate"], result["answered"],
               result["latency_us"], foreign, (now_steal - steal) / elapsed)


def measure_once(bench, subject, argv, tcp):
    with Proxy(bench, subject, tcp) as proxy, Load(bench, proxy.port, argv) as load:
        run = timed(bench, load, proxy.pids)
    if subject.kind == "direct":
        run.foreign = 0.0
    return run


def undisturbed(bench, measure):
    """What measure() gives, repeated when others disturbed it. The last one counts, marked."""
    core = min(bench.proxy_cpus)
    for attempt in range(RETRIES + 1):
        before = speed_probe_ms(core)
        run = measure()
        run.probe_ms = max(before, speed_probe_ms(core))
        bench.probe_ms = min(run.probe_ms, bench.probe_ms or run.probe_ms)
        slack = 0.03 / bench.seconds  # two ticks of /proc/stat
        run.disturbed = (run.foreign > FOREIGN_MAX + slack or run.steal > STEAL_MAX + slack
                         or run.probe_ms > bench.probe_ms * SLOWER_MAX)
        if not run.disturbed or attempt == RETRIES:
            bench.disturbed += run.disturbed
            return run
    raise AssertionError


def rounds(bench, scenario, names, loads, tcp=False):
    """Runs every load on every subject, A B .. B A .., each time on a fresh process.

    Gives {load: {subject: [Run of each round]}}. A subject that fails once is left out."""
    names = bench.present(names)
    results = {load: {name: [] for name in names} for load in loads}
    failed = set()
    for index in range(bench.rounds):
        order = names if index % 2 == 0 else names[::-1]
        for name, (load, argv) in itertools.product(order, loads.items()):
            if name in failed:
                continue
            try:
                results[load][name].append(undisturbed(
                    bench, lambda: measure_once(bench, SUBJECTS[name], argv, tcp)))
            except BenchError as error:
                failed.add(name)
                bench.problems.append(f"{scenario}, {load}, {name}: {error}")
                say(f"failed: {bench.problems[-1]}")
        show_progress(scenario, index + 1, bench.rounds)
    for load in loads:
        for name in failed:
            results[load].pop(name, None)
    for load, runs in results.items():
        for name, of_name in runs.items():
            bench.figures.append((scenario, load, name, of_name))
    show_runs(results)
    return results


def show_progress(scenario, done, of):
    print(f"  {scenario}: round {done} of {of}", file=sys.stderr, flush=True)


def show_runs(results):
    for load, runs in results.items():
        if not runs:
            continue
        say(f"  {load}:")
        for name, of_name in runs.items():
            cpu = [run.cpu_us for run in of_name]
            rate = statistics.median(run.rate for run in of_name)
            say(f"    {name:18} {statistics.median(cpu):9.2f} us/request "
                f"({min(cpu):.2f} to {max(cpu):.2f}), {rate:,.0f} requests/s")


def cpu_of(runs, name):
    return [run.cpu_us for run in runs.get(name, [])]


def best_of(runs, names):
    """The subject among names with the lowest median, or None."""
    known = [name for name in names if cpu_of(runs, name)]
    return min(known, key=lambda name: statistics.median(cpu_of(runs, name)), default=None)


def divide(over, under):
    return [a / b for a, b in zip(over, under)]


def check(bench, row, what, over, under, must, aim, basis, missing=""):
    """A judged ratio of two lists of the same rounds."""
    values = divide(over, under)
    if not values:
        missing = missing or "one of the two has no figures"
    bench.checks.append(Check(row, what, must, aim, values=values, basis=basis, missing=missing))
    show_check(bench.checks[-1])


def show_check(item):
    limits = [f"{word} {item.figure(limit)}" for word, limit in
              (("must", item.must), ("aim", item.aim)) if limit is not None]
    say(f"  {item.what}: {item.shown()}; {', '.join(limits)}: {item.verdict()}")


# ---- scenarios --------------------------------------------------------------------------------

SMALL = {64: ["--warm", 60], 512: ["--warm", 8], 2000: ["--warm", 3]}


def closed(bench, connections, *more):
    return ["--connections", connections, "--seconds", f"{bench.seconds:.2f}", *more]


def scenario_spread(bench):
    """The relay against itself: what a ratio means here."""
    loads = {"64 connections": closed(bench, 64, *SMALL[64])}
    runs = rounds(bench, "spread", ["relay-epoll", "relay-epoll-again"], loads)["64 connections"]
    values = divide(cpu_of(runs, "relay-epoll-again"), cpu_of(runs, "relay-epoll"))
    if values:
        say(f"  A/A ratio: {statistics.median(values):.3f} ({min(values):.3f} to "
            f"{max(values):.3f}): smaller differences say nothing")


def scenario_small(bench):
    """Keep-alive GET, 100 bytes, with 64, 512 and 2,000 connections."""
    names = WEIRS + ["relay-epoll", "relay-uring", "relay-multishot"] + PEERS
    loads = {f"{count} connections": closed(bench, count, *warm) for count, warm in SMALL.items()}
    results = rounds(bench, "small", names, loads)
    few = results["64 connections"]
    row = "CPU/request, 64 connections, 100 B"
    for name, relays in (("weir-epoll", ["relay-epoll"]),
                         ("weir-uring", ["relay-uring", "relay-multishot"])):
        best = best_of(few, relays)
        check(bench, row, f"{name} / bare relay", cpu_of(few, name), cpu_of(few, best), 1.15, 1.08,
              f"{best}", bench.why_absent(name))
    for peer, must in (("nginx", 0.85), ("haproxy", 0.80)):
        check(bench, row, f"weir-uring / {peer}", cpu_of(few, "weir-uring"), cpu_of(few, peer),
              must, None, peer, bench.why_absent("weir-uring"))
    for count in (512, 2000):
        many = results[f"{count} connections"]
        for name in WEIRS:
            check(bench, f"the same, {count} connections", f"{name}, {count} / 64",
                  cpu_of(many, name), cpu_of(few, name), 1.25, 1.1, "its own figure with 64",
                  bench.why_absent(name))
        for name in many:
            if name not in WEIRS and many[name]:
                ratio = statistics.median(divide(cpu_of(many, name), cpu_of(few, name)))
                say(f"  (for comparison) {name}, {count} / 64: {ratio:.2f} x")


def bodies(bench, scenario, size, text, warm):
    names = WEIRS + ["relay-splice", "relay-epoll", "relay-multishot"] + PEERS + ["haproxy-splice"]
    bench.relay_sizes = ["--block", "65536", "--blocks", "64"]
    load = f"{text}, 16 connections"
    try:
        runs = rounds(bench, scenario, names,
                      {load: closed(bench, 16, "--size", size, "--warm", warm)})[load]
    finally:
        bench.relay_sizes = []
    peers = [cpu_of(runs, peer) for peer in PEERS if cpu_of(runs, peer)]
    better = [min(of_round) for of_round in zip(*peers)]
    for name in WEIRS:
        check(bench, f"{text} bodies", f"{name} / better of nginx and HAProxy", cpu_of(runs, name),
              better, 0.70, None, best_of(runs, PEERS), bench.why_absent(name))
        check(bench, f"{text} bodies", f"{name} / splice relay", cpu_of(runs, name),
              cpu_of(runs, "relay-splice"), None, 1.2, "relay-splice",
              bench.why_absent(name))


def scenario_body64k(bench):
    """Keep-alive GET, 64 KiB bodies, 16 connections."""
    bodies(bench, "body64k", 65536, "64 KiB", 50)


def scenario_body1m(bench):
    """Keep-alive GET, 1 MiB bodies, 16 connections."""
    bodies(bench, "body1m", 1 << 20, "1 MiB", 8)


def scenario_tcp(bench):
    """TCP proxying, answers of 1 MiB to a line, 16 connections."""
    names = WEIRS + ["relay-splice", "relay-epoll", "haproxy", "haproxy-splice"]
    if bench.nginx_stream:
        names.append("nginx")
    load = "1 MiB answers, 16 connections"
    argv = closed(bench, 16, "--tcp", "--size", 1 << 20, "--warm", 8)
    runs = rounds(bench, "tcp", names, {load: argv}, tcp=True)[load]
    for name in WEIRS:
        check(bench, "TCP proxying, 1 MB answers", f"{name} / splice relay", cpu_of(runs, name),
              cpu_of(runs, "relay-splice"), 1.15, 1.05, "relay-splice", bench.why_absent(name))


def scenario_close(bench):
    """One connection per request, 100 bytes, 64 at a time."""
    load = "64 at a time"
    runs = rounds(bench, "close", WEIRS + PEERS,
                  {load: closed(bench, 64, "--close", "--warm", 20)})[load]
    for name in WEIRS:
        check(bench, "one connection per request", f"{name} / nginx", cpu_of(runs, name),
              cpu_of(runs, "nginx"), 0.85, 0.7, "nginx", bench.why_absent(name))


def half_load(bench, names):
    """Half of what the slowest of them can do, so that none is beyond its half."""
    rates = {}
    for name in list(names):
        argv = ["--connections", 64, "--seconds", f"{min(1.0, bench.seconds):.2f}", "--warm", 60]
        try:
            rates[name] = measure_once(bench, SUBJECTS[name], argv, False).rate
        except BenchError as error:
            bench.problems.append(f"latency, {name}: {error}")
            names.remove(name)
    slowest = min(rates, key=rates.get)
    say(f"  half load: {rates[slowest] / 2:,.0f} requests/s (half of {slowest})")
    return rates[slowest] / 2


def scenario_latency(bench):
    """Added latency at half load: open loop, intended times, 64 connections, 100 bytes."""
    names = bench.present(["direct"] + WEIRS + PEERS)
    rate = half_load(bench, names)
    load = f"{rate:,.0f} requests/s"
    runs = rounds(bench, "latency", names, {load: closed(bench, 64, "--rate", f"{rate:.1f}",
                                                         "--warm", 60)})[load]
    added = {}
    for name, quantile in itertools.product(names, ("p50", "p99")):
        if name == "direct" or not runs.get(name):
            continue
        values = [run.latency_us[quantile] - base.latency_us[quantile]
                  for run, base in zip(runs[name], runs["direct"])]
        added[name, quantile] = values
        bench.figures.append(("latency", f"added {quantile}, us", name, values))
        say(f"    {name:18} added {quantile} {statistics.median(values):8.1f} us "
            f"({min(values):.1f} to {max(values):.1f})")
    for name, quantile in itertools.product(WEIRS, ("p50", "p99")):
        peers = [added[peer, quantile] for peer in PEERS if (peer, quantile) in added]
        better = [max(min(of_round), 1.0) for of_round in zip(*peers)]
        check(bench, "added latency at half load", f"{name} / better peer, added {quantile}",
              added.get((name, quantile), []), better, 1.0, None, "better of nginx and HAProxy",
              bench.why_absent(name))


def pin_busiest(pids, cpus):
    """Pins the busiest threads of the given processes, one to each core."""
    threads = []
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            used = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
            threads.append((used, int(thread)))
    for (_used, thread), cpu in zip(sorted(threads, reverse=True), sorted(cpus)):
        os.sched_setaffinity(thread, {cpu})


def measure_parallel(bench, names):
    """Two workers that really run at the same time, one on each core, beside origin and load.

    names: one subject with two workers, or two subjects with one each."""
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(bench, SUBJECTS[name])) for name in names]
        argv = closed(bench, 64, *SMALL[64], "--also", f"127.0.0.1:{proxies[-1].port}")
        load = stack.enter_context(Load(bench, proxies[0].port, argv))
        pids = sum((proxy.pids for proxy in proxies), [])
        for pid in pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), bench.all_cpus)
        pin_busiest(pids, bench.all_cpus)
        run = timed(bench, load, pids)
    run.foreign = 0.0  # origin and load share the cores by design
    return run


def parallel_rounds(bench, name):
    """Two workers of one process, and two processes of one worker: (runs, runs)."""
    arms = ([name + "-2"], [name, name])
    found = {0: [], 1: []}
    for index in range(bench.rounds):
        for arm in (0, 1) if index % 2 == 0 else (1, 0):
            try:
                found[arm].append(undisturbed(
                    bench, lambda: measure_parallel(bench, arms[arm])))
            except BenchError as error:
                bench.problems.append(f"workers, both cores, {arms[arm]}: {error}")
                say(f"failed: {bench.problems[-1]}")
                return [], []
        show_progress(f"workers, both cores, {name}", index + 1, bench.rounds)
    load = "64 connections, a worker on each core"
    results = {load: {f"{name}-2": found[0], f"{name}, two processes": found[1]}}
    show_runs(results)
    for subject, runs in results[load].items():
        bench.figures.append(("workers", load, subject, runs))
    return found[0], found[1]


def scenario_workers(bench):
    """Two workers against one: taking turns on one core, and side by side on two."""
    load = "64 connections, one core"
    names = [name + end for name in WEIRS for end in ("", "-2")]
    runs = rounds(bench, "workers", names, {load: closed(bench, 64, *SMALL[64])})[load]
    for name in WEIRS:
        row = "CPU/request with 2 workers"
        missing = bench.why_absent(name)
        check(bench, row, f"{name}, 2 / 1 workers, one core", cpu_of(runs, name + "-2"),
              cpu_of(runs, name), 1.10, 1.02, "its own with 1 worker", missing)
        shared, apart = ([], []) if missing else parallel_rounds(bench, name)
        check(bench, row, f"{name}, 2 workers / 2 processes, two cores",
              [run.cpu_us for run in shared], [run.cpu_us for run in apart], 1.10, 1.02,
              "two processes with 1 worker", missing)


def settled_bytes(pids):
    """Private bytes once they stand still (within 0.1 % for half a second), or after 8 seconds."""
    deadline = time.monotonic() + 8
    last = 0
    while True:
        time.sleep(0.5)
        now = private_bytes(pids)
        if abs(now - last) <= now / 1000 or time.monotonic() > deadline:
            return now
        last = now


def idle_slope(bench, subject):
    """Private bytes that one more idle connection costs."""
    def opened(count):
        return ["--connections", count, "--warm", 1, "--warm-only"]

    with Proxy(bench, subject) as proxy, Load(bench, proxy.port, opened(IDLE_FEW)):
        few = settled_bytes(proxy.pids)
        with Load(bench, proxy.port, opened(IDLE_MANY - IDLE_FEW)):
            many = settled_bytes(proxy.pids)
            if proxy.child.died():
                raise BenchError(f"ended early: {proxy.child.complaint()}")
    return (many - few) / (IDLE_MANY - IDLE_FEW)


def repeat(bench, scenario, load, names, count, one):
    """Numbers that are no runs: {subject: [numbers]}."""
    results = {}
    for name in bench.present(names):
        try:
            results[name] = [one(SUBJECTS[name]) for _ in range(count)]
        except BenchError as error:
            bench.problems.append(f"{scenario}, {load}, {name}: {error}")
            say(f"failed: {bench.problems[-1]}")
            continue
        bench.figures.append((scenario, load, name, results[name]))
        low, high = min(results[name]), max(results[name])
        say(f"    {name:18} {statistics.median(results[name]):12,.2f} ({low:,.2f} to {high:,.2f})")
    return results


def check_number(bench, row, name, values, must, aim, unit):
    missing = bench.why_absent(name) or "no figures"
    bench.checks.append(Check(row, name, must, aim, unit, values, "", missing))
    show_check(bench.checks[-1])


def scenario_idle(bench):
    """Private memory per idle keep-alive connection: the slope from 2,000 to 8,000."""
    row = "idle keep-alive connection"
    results = repeat(bench, "idle", "bytes per connection", WEIRS + PEERS, min(bench.rounds, 3),
                     lambda subject: idle_slope(bench, subject))
    for name in WEIRS:
        check_number(bench, row, name, results.get(name, []), 600, 400, "bytes")


def instructions(bench, subject, argv):
    """User-space instructions per request: the difference of two runs under callgrind."""
    totals = []
    for requests in (CALLS_FEW, CALLS_MANY):
        out = bench.work / f"callgrind-{next(bench.serial)}"
        valgrind = [bench.valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]
        load_argv = ["--connections", 64, "--warm", 2, "--requests", requests, *argv]
        with Proxy(bench, subject, valgrind=valgrind) as proxy:
            with Load(bench, proxy.port, load_argv) as load:
                answered = load.measure(300)["answered"]
            proxy.child.end(60)
            complaint = proxy.child.complaint()
        found = re.search(r"^(?:totals|summary): (\d+)", out.read_text() if out.exists() else "",
                          re.MULTILINE)
        if not found or answered != requests:
            raise BenchError(f"callgrind gave no total: {complaint}")
        totals.append(int(found.group(1)))
    return (totals[1] - totals[0]) / (CALLS_MANY - CALLS_FEW)


def scenario_instructions(bench):
    """User-space instructions per request under callgrind, epoll."""
    rows = [("instructions/request, small keep-alive GET", [], 5000, 3000),
            ("the same with 12 request and 8 response fields",
             ["--fields", 12, "--answer-fields", 8], 9000, 6000)]
    if not bench.valgrind:
        say("skipped: valgrind is not installed")
    for row, argv, must, aim in rows:
        say(f"  {row}:")
        results = {}
        if bench.valgrind:
            results = repeat(bench, "instructions", row, ["weir-epoll", "relay-epoll"] + PEERS, 1,
                             lambda subject: instructions(bench, subject, argv))
        check_number(bench, row, "weir-epoll", results.get("weir-epoll", []), must, aim,
                     "instructions")


def malloc_calls(bench, subject):
    path = bench.work / f"malloc-{next(bench.serial)}"
    path.write_bytes(bytes(16))
    path.chmod(0o666)
    env = {"LD_PRELOAD": os.path.abspath(bench.tool("bench-malloc-count.so")),
           "MALLOC_COUNT_FILE": str(path)}
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 16) as counts:
        with Proxy(bench, subject, env=env) as proxy:
            argv = ["--connections", 64, "--warm", 30, "--requests", MALLOC_REQUESTS]
            with Load(bench, proxy.port, argv) as load:
                before = struct.unpack_from("=Q", counts)[0]
                if not before:
                    raise BenchError("the counter was not loaded")
                answered = load.measure(60)["answered"]
                return (struct.unpack_from("=Q", counts)[0] - before) / answered


def scenario_malloc(bench):
    """Calls of malloc per keep-alive request."""
    results = repeat(bench, "malloc", "calls per request", WEIRS + PEERS, 1,
                     lambda subject: malloc_calls(bench, subject))
    for name in WEIRS:
        check_number(bench, "malloc calls per keep-alive request", name, results.get(name, []),
                     0, 0, "per request")


SCENARIOS = {name.removeprefix("scenario_"): function for name, function in list(globals().items())
             if name.startswith("scenario_")}


def summary(bench):
    short = [item for item in bench.checks if item.verdict() == "FALLS SHORT"]
    missing = [item for item in bench.checks if not item.values]
    say(f"\n{len(bench.checks)} figures judged: {len(short)} fall short, {len(missing)} not "
        f"measured; {bench.disturbed} runs disturbed, {len(bench.problems)} failed")
    for item in short:
        say(f"  falls short: {item.row}: {item.what}: {item.shown()}, must "
            f"{item.figure(item.must)}")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weir", default="build/weir", help="the binary (%(default)s)")
    parser.add_argument("--tools", default="build/bench",
                        help="folder of bench-relay, -origin, -load (%(default)s)")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), metavar="SCENARIO",
                        help="one of: " + ", ".join(SCENARIOS) + " (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="runs of a fifth of the length")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of A B .. B A (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of a run (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write every run")
    parser.add_argument("--markdown", metavar="FILE", help="write the table")
    args = parser.parse_args()
    args.weir = os.path.abspath(args.weir)  # a bare name would be looked for in PATH
    if args.pairs < 1 or not 0.5 <= args.seconds <= 120:
        parser.error("--pairs must be at least 1, --seconds between 0.5 and 120")
    for tool in ("bench-relay", "bench-origin", "bench-load", "bench-malloc-count.so"):
        if not Path(args.tools, tool).exists():
            parser.error(f"{args.tools}/{tool} is missing: meson compile -C build bench-tools")
    return args


def stop(_signal, _frame):
    raise KeyboardInterrupt


def main():
    args = parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)
        bench = Bench(args, Path(folder))
        try:
            for name in args.only or SCENARIOS:
                say(f"\n{name}: {SCENARIOS[name].__doc__.splitlines()[0]}")
                SCENARIOS[name](bench)
            summary(bench)
            if args.json:
                report.write_json(bench, args.json)
            if args.markdown:
                report.write_markdown(bench, args.markdown, configurations(bench))
        except KeyboardInterrupt:
            say("\nstopped")
            return 130
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            Child.end_all()
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
