# SPDX-License-Identifier: Apache-2.0
"""Runs of a subject between generator and origin, what is read from the clocks around them, and the
figures that are judged. What is run is for run.py and balancing.py to say."""

import itertools
import json
import os
import re
import resource
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from process import (BenchError, Child, core_times, cpu_ns, cpu_ticks, family, free_port,
                     private_bytes, speed_probe_ms, wait_listening)
from subjects import SUBJECTS

FOREIGN_MAX = 0.10  # share of the proxy's core that others may take before a run is repeated
STEAL_MAX = 0.01
SLOWER_MAX = 1.25  # of the machine, against its best
RETRIES = 1
READY_SECONDS = 60
CALLGRIND_SECONDS = 300


def say(text=""):
    print(text, flush=True)


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
        digits = {"x": 2, "per request": 2, "ms": 1, "ratio": 4}.get(self.unit, 0)
        return f"{number:,.{digits}f} {self.unit}"

    def shown(self):
        if not self.values:
            return "-"
        digits = 4 if self.unit == "ratio" else 2
        spread = f" ({min(self.values):,.{digits}f} to {max(self.values):,.{digits}f})"
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

    def origin(self, tcp=False, everywhere=False):
        """The port of a running origin, started at its first use."""
        if (tcp, everywhere) not in self.origins:
            port = free_port("0.0.0.0" if everywhere else "127.0.0.1")
            argv = [self.tool("bench-origin"), f"{'0.0.0.0' if everywhere else '127.0.0.1'}:{port}"]
            child = Child(argv + (["--tcp"] if tcp else []), self.load_cpus,
                          self.work / f"origin-{port}.log")
            wait_listening(child, port)
            self.origins[tcp, everywhere] = port
        return self.origins[tcp, everywhere]


def find_program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def stream_module():
    path = "/usr/lib/nginx/modules/ngx_stream_module.so"
    return path if os.path.exists(path) else None


class Proxy:
    """A running subject. Each start takes a new port: a closed one may be in use for a while."""

    def __init__(self, bench, subject, tcp=False, valgrind=None, env=None):
        self.pids = []
        self.work = None
        if subject.kind == "direct":
            self.port = bench.origin(tcp)
            self.child = None
            return
        self.port = free_port()
        self.work = bench.work / f"{subject.name}-{next(bench.serial)}"
        self.work.mkdir()
        argv = subject.command(bench, self.port, bench.origin(tcp, subject.everywhere), self.work,
                               tcp, single=bool(valgrind))
        self.child = Child((valgrind or []) + argv, bench.proxy_cpus, self.work / "log", env)
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
            (self.work / "access.log").unlink(missing_ok=True)  # it may be large


class Load:
    """A running generator, warmed up and waiting."""

    def __init__(self, bench, port, argv, seconds=READY_SECONDS):
        argv = [bench.tool("bench-load"), "--to", f"127.0.0.1:{port}", "--sync", *map(str, argv)]
        self.child = Child(argv, bench.load_cpus, bench.work / f"load-{port}.log", pipes=True)
        try:
            line = self.child.line(seconds)
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


def rounds(bench, scenario, names, loads, tcp=False, measure=measure_once):
    """Runs every load on every subject, A B .. B A .., each time on a fresh process.

    measure: how one of them is measured, as measure_once.
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
                    bench, lambda: measure(bench, SUBJECTS[name], argv, tcp)))
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


def idle_slope(bench, subject, few, many, more=()):
    """Private bytes that one more idle connection costs, between so few and so many of them."""
    def opened(count):
        return ["--connections", count, "--warm", 1, "--warm-only", *more]

    with Proxy(bench, subject) as proxy, Load(bench, proxy.port, opened(few)):
        small = settled_bytes(proxy.pids)
        with Load(bench, proxy.port, opened(many - few)):
            large = settled_bytes(proxy.pids)
            if proxy.child.died():
                raise BenchError(f"ended early: {proxy.child.complaint()}")
    return (large - small) / (many - few)


def counted(bench, subject, drive):
    """User-space instructions of a whole run in which `drive` uses the proxy, and what it gives."""
    out = bench.work / f"callgrind-{next(bench.serial)}"
    valgrind = [bench.valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]
    with Proxy(bench, subject, valgrind=valgrind) as proxy:
        result = drive(proxy)
        proxy.child.end(60)
        complaint = proxy.child.complaint()
    found = re.search(r"^(?:totals|summary): (\d+)", out.read_text() if out.exists() else "",
                      re.MULTILINE)
    if not found:
        raise BenchError(f"callgrind gave no total: {complaint}")
    return int(found.group(1)), result


def callgrind(bench, subject, argv, look=None):
    """User-space instructions of a whole run, and the requests of its measured part.

    look: called with the proxy when the warm-up is over."""
    def drive(proxy):
        with Load(bench, proxy.port, argv, CALLGRIND_SECONDS) as load:
            if look:
                look(proxy)
            return load.measure(CALLGRIND_SECONDS)["answered"]

    return counted(bench, subject, drive)


def instructions(bench, subject, argv, few=2000, many=12000, look=None):
    """User-space instructions per request: the difference of two runs under callgrind."""
    totals = []
    for requests in (few, many):
        total, answered = callgrind(bench, subject, ["--requests", requests, *argv], look)
        if answered != requests:
            raise BenchError(f"{answered} of {requests} requests were answered")
        totals.append(total)
    return (totals[1] - totals[0]) / (many - few)
