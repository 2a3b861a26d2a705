# SPDX-License-Identifier: Apache-2.0
"""What it costs to see: metrics and decision records, the access log, a scrape, a dashboard that is
watched. Each against the same weir without it, in turns.

weir is asked through its unix socket, from the core of the generator.
"""

import math
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import (Check, Load, Proxy, check, check_number, cpu_of, instructions, measure_once,
                     repeat, rounds, say, show_check, show_progress, timed, undisturbed)
from process import BenchError
from subjects import ENGINES, Subject, write

SEEING_MAX = 1.08  # with metrics and records, against without
LOG_INSTRUCTIONS_MAX = 1500
LOG_CPU_MAX = 1.08
SCRAPE_MS_MAX = 30
SCRAPED_BACKENDS = 1000
SCRAPES = 20
WATCHED_MAX = 0.01
SOCKET = "admin.sock"

CONFIG = """\
runtime: {{workers: 1, io: {engine}}}
log: {{level: error, access: {{output: none}}}}
admin: {{bind: ["unix:{work}/{socket}"]}}
frontends:
  web: {{bind: "127.0.0.1:{port}", pool: app}}
pools:
  app:
    health_check: none
    timeouts: {{upstream_idle: 1h}}
    limits: {{idle_connections: 8}}
    backends:
{backends}
"""


@dataclass(frozen=True)
class Seen(Subject):
    """weir with an admin address, and backends of which one origin is each."""

    backends: int = 3
    everywhere = True

    def command_weir(self, bench, port, origin, work, _tcp, _single):
        lines = [f'      - "127.1.{i // 250}.{i % 250 + 1}:{origin}"' for i in range(self.backends)]
        text = CONFIG.format(engine=self.engine, port=port, work=work, socket=SOCKET,
                             backends="\n".join(lines))
        return [bench.args.weir, "-c", write(work / "weir.yaml", text)]


def seen(engine, backends, more=""):
    return Seen(f"weir-{engine}-{backends}{more}", "weir", ENGINES[engine], backends=backends)


def median(values):
    return statistics.median(values)


# ---- Metrics and records, the access log --------------------------------------------------------

def run_records(bench):
    """Instructions: with metrics and records against without, and the access log on top."""
    row = "instructions/request, metrics, events and records on"
    names = ["weir-epoll-bare", "weir-epoll", "weir-epoll-log"]
    missing = "" if bench.valgrind else "valgrind is not installed"
    found = {}
    if not missing:
        found = repeat(bench, "observing", "instructions/request", names, 1,
                       lambda subject: instructions(bench, subject,
                                                    ["--connections", 64, "--warm", 2]))
    off, on, logged = (found.get(name, []) for name in names)
    check(bench, row, "on / off", on, off, SEEING_MAX, None, "weir-epoll-bare", missing)
    check_number(bench, "instructions/request of a JSON access log", "weir-epoll",
                 [b - a for a, b in zip(on, logged)], LOG_INSTRUCTIONS_MAX, None, "instructions")


def run_log(bench):
    """CPU per request with a JSON access log to a file, against without."""
    load = "64 connections, 100 B"
    names = [f"weir-{engine}{end}" for engine in ENGINES for end in ("", "-log")]
    argv = ["--connections", 64, "--seconds", f"{bench.seconds:.2f}", "--warm", 60]
    runs = rounds(bench, "access log", names, {load: argv})[load]
    for engine in ENGINES:
        name = f"weir-{engine}"
        check(bench, "CPU/request, JSON access log to a file", f"{name}, on / off",
              cpu_of(runs, name + "-log"), cpu_of(runs, name), LOG_CPU_MAX, None, "its own without",
              bench.why_absent(name))


# ---- Asking through the admin address -----------------------------------------------------------

def curl(proxy, path, *more):
    return ["curl", "-sS", "--fail", "--max-time", "20", "--unix-socket",
            str(proxy.work / SOCKET), *more, f"http://unix{path}"]


def scrape_ms(proxy):
    """The time of one scrape, from the connect to the last byte."""
    done = subprocess.run(curl(proxy, "/metrics", "-o", str(proxy.work / "scrape"), "-w",
                               "%{time_total}"), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the scrape failed: {done.stderr.strip()}")
    return float(done.stdout) * 1e3


def visited(proxy):
    """Backends that the last scrape tells requests of."""
    return sum(line.startswith("lb_backend_requests_total{") and not line.endswith(" 0")
               for line in Path(proxy.work, "scrape").read_text().splitlines())


def scrapes(bench, subject):
    """The median time of a scrape while nothing else happens, all backends having had requests."""
    argv = ["--connections", 16, "--warm", SCRAPED_BACKENDS // 8, "--warm-only"]
    with Proxy(bench, subject) as proxy, Load(bench, proxy.port, argv):
        times = [scrape_ms(proxy) for _ in range(SCRAPES)]
        if visited(proxy) < SCRAPED_BACKENDS:
            raise BenchError(f"{visited(proxy)} of {SCRAPED_BACKENDS} backends had requests")
    return median(times)


class Beside(threading.Thread):
    """Does something once a second while a run is measured."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.over, self.error, self.times = act, threading.Event(), None, 0

    def run(self):
        while not self.over.wait(1):
            try:
                self.act()
                self.times += 1
            except BenchError as error:
                self.error = error
                return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def half_load(bench, subject):
    """Half of what it answers at most, and nobody else asked."""
    argv = ["--connections", 64, "--seconds", f"{min(1.0, bench.seconds):.2f}", "--warm", 60]
    return measure_once(bench, subject, argv, False).rate / 2


def p99(bench, subject, rate, scraped):
    argv = ["--connections", 64, "--seconds", f"{max(bench.seconds, 2.5):.2f}", "--rate",
            f"{rate:.1f}", "--warm", 60]

    def one():
        with Proxy(bench, subject) as proxy, Load(bench, proxy.port, argv) as load:
            if not scraped:
                return timed(bench, load, proxy.pids)
            with Beside(lambda: scrape_ms(proxy)) as beside:
                run = timed(bench, load, proxy.pids)
            if beside.error:
                raise beside.error
            if beside.times == 0:
                raise BenchError("nothing was scraped meanwhile")
            return run

    return undisturbed(bench, one).latency_us["p99"]


def run_scraped(bench, engine):
    """p99 at half load: two identical runs, and one that is scraped once a second."""
    subject = seen(engine, SCRAPED_BACKENDS)
    rate = half_load(bench, subject)
    arms = ["alone", "alone again", "scraped"]
    found = {arm: [] for arm in arms}
    for index in range(bench.rounds):
        for arm in arms if index % 2 == 0 else arms[::-1]:
            found[arm].append(p99(bench, subject, rate, arm == "scraped"))
        show_progress(f"scraped, weir-{engine}", index + 1, bench.rounds)
    load = f"p99 at {rate:,.0f} requests/s, us"
    for arm in arms:
        bench.figures.append(("scraped", load, f"weir-{engine}, {arm}", found[arm]))
        say(f"    weir-{engine}, {arm:12} p99 {median(found[arm]):8.1f} us "
            f"({min(found[arm]):.1f} to {max(found[arm]):.1f})")
    pairs = list(zip(found["alone"], found["alone again"]))
    spread = max(max(a / b, b / a) for a, b in pairs)
    both = [math.sqrt(a * b) for a, b in pairs]
    check(bench, "p99 at half load with a scrape every second", f"weir-{engine}, scraped / alone",
          found["scraped"], both, spread, None, "two identical runs differ by up to the bound")


def run_scrape(bench):
    """A scrape with 1,000 backends, and what it does to the p99 at half load."""
    for engine in ENGINES:
        missing = bench.why_absent(f"weir-{engine}")
        subject = seen(engine, SCRAPED_BACKENDS)
        values = []
        try:
            values = [] if missing else [scrapes(bench, subject) for _ in range(bench.rounds)]
            item = Check("scrape with 1,000 backends", f"weir-{engine}", SCRAPE_MS_MAX, unit="ms",
                         values=values, missing=missing)
            bench.checks.append(item)
            bench.figures.append(("scrape", "1,000 backends, ms", f"weir-{engine}", values))
            show_check(item)
            if not missing:
                run_scraped(bench, engine)
        except BenchError as error:
            bench.problems.append(f"scrape, weir-{engine}: {error}")
            say(f"failed: {bench.problems[-1]}")


# ---- Somebody watches ---------------------------------------------------------------------------

def thread_ns(pids):
    """{name: processor time} of the threads of these processes."""
    found = {}
    for task in (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()):
        name = (task / "comm").read_text().strip()
        found[name] = found.get(name, 0) + int((task / "schedstat").read_text().split()[0])
    return found


@dataclass
class Watch:
    """Of one run: processor time of the admin thread and of the workers, and requests."""

    admin_ns: int
    worker_ns: int
    answered: int

    def share(self):
        return self.admin_ns / self.worker_ns


class Watcher:
    """Reads the stream that the dashboard reads, and counts what comes."""

    def __init__(self, proxy):
        self.path = proxy.work / "stream"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                ["curl", "-sSN", "--unix-socket", str(proxy.work / SOCKET),
                 "http://unix/api/v1/stream"], stdout=out, stderr=subprocess.DEVNULL)

    def events(self):
        return self.path.read_bytes().count(b"event: state\n")

    def __enter__(self):
        deadline = time.monotonic() + 10
        while not self.events():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.__exit__()
                raise BenchError("the stream says nothing")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def watch_once(bench, subject, rate, watched):
    argv = ["--connections", 64, "--seconds", f"{max(bench.seconds, 2):.2f}", "--rate",
            f"{rate:.1f}", "--warm", 60]

    def measure(proxy, load):
        before = thread_ns(proxy.pids)
        result = load.measure(bench.seconds + 60)
        used = {name: ns - before.get(name, 0) for name, ns in thread_ns(proxy.pids).items()}
        workers = sum(ns for name, ns in used.items() if name.startswith("weir/")
                      and name[5:].isdigit())
        return Watch(used.get("weir/admin", 0), workers, result["answered"])

    with Proxy(bench, subject) as proxy, Load(bench, proxy.port, argv) as load:
        if not watched:
            return measure(proxy, load)
        with Watcher(proxy) as watcher:
            before = watcher.events()
            run = measure(proxy, load)
            if watcher.events() == before:
                raise BenchError("the stream has stopped")
            return run


def run_watched(bench):
    """The admin thread's processor time with one who watches, as a share of the worker's."""
    for engine in ENGINES:
        name = f"weir-{engine}"
        missing = bench.why_absent(name)
        added, ratio = [], []
        try:
            subject = seen(engine, 10)
            rate = 0 if missing else half_load(bench, subject)
            for index in range(0 if missing else bench.rounds):
                arms = {}
                for watched in (False, True) if index % 2 == 0 else (True, False):
                    arms[watched] = watch_once(bench, subject, rate, watched)
                added.append(1 + arms[True].share() - arms[False].share())
                ratio.append(arms[True].worker_ns / arms[True].answered
                             / (arms[False].worker_ns / arms[False].answered))
                show_progress(f"watched, {name}", index + 1, bench.rounds)
        except BenchError as error:
            bench.problems.append(f"watched, {name}: {error}")
            say(f"failed: {bench.problems[-1]}")
            continue
        if ratio:
            bench.figures.append(("watched", "worker's CPU/request, watched / not", name, ratio))
            say(f"    {name}: the worker's own CPU/request, watched / not: {median(ratio):.3f} "
                f"({min(ratio):.3f} to {max(ratio):.3f})")
        item = Check("CPU of a watched dashboard, 10 backends, half load",
                     f"{name}, worker + admin thread / worker", 1 + WATCHED_MAX, unit="ratio",
                     values=added, basis="the same without one who watches", missing=missing)
        bench.checks.append(item)
        show_check(item)
