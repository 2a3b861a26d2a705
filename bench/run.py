#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures weir against bare relays, nginx and HAProxy, and says which figures fall short.

The main figure is the CPU time of the whole proxy process per request: on two cores the generator
and the origin are as busy as the proxy, so requests per second would measure them. README.md in
this folder explains the scenarios. Needs nothing but the standard library; ends by itself; ends
every process it started, by its id, whatever happens.
"""

import argparse
import itertools
import mmap
import os
import signal
import statistics
import struct
import sys
import tempfile
from pathlib import Path

import balancing
import h2c
import observing
import parallel
import report
import secure
from harness import (Bench, Load, Proxy, best_of, check, check_number, cpu_of, divide, idle_slope,
                     instructions, measure_once, repeat, rounds, say)
from process import BenchError, Child
from subjects import PEERS, SUBJECTS, WEIRS

IDLE_FEW, IDLE_MANY = 2000, 8000
MALLOC_REQUESTS = 10000


def configurations(bench):
    """What the main subjects are run with, ports by name: [(file name, text)]."""
    texts = []
    for name in ("weir-uring", "nginx", "haproxy", *secure.SHOWN):
        work = bench.work / f"shown-{name}"
        work.mkdir(exist_ok=True)
        path = SUBJECTS[name].command(bench, "PORT", "ORIGIN", work)[-1]
        texts.append((os.path.basename(path),
                      Path(path).read_text().replace(str(work), "WORK")))
    return texts


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
        shared, apart = ([], []) if missing else parallel.rounds_of_two(
            bench, "workers", name, closed(bench, 64, *SMALL[64]))
        check(bench, row, f"{name}, 2 workers / 2 processes, two cores",
              [run.cpu_us for run in shared], [run.cpu_us for run in apart], 1.10, 1.02,
              "two processes with 1 worker", missing)


def scenario_idle(bench):
    """Private memory per idle keep-alive connection: the slope from 2,000 to 8,000."""
    row = "idle keep-alive connection"
    results = repeat(bench, "idle", "bytes per connection", WEIRS + PEERS, min(bench.rounds, 3),
                     lambda subject: idle_slope(bench, subject, IDLE_FEW, IDLE_MANY))
    for name in WEIRS:
        check_number(bench, row, name, results.get(name, []), 600, 400, "bytes")


def scenario_instructions(bench):
    """User-space instructions per request under callgrind, epoll."""
    rows = [("instructions/request, small keep-alive GET, metrics and records off", [], 5000, 3000),
            ("the same with 12 request and 8 response fields",
             ["--fields", 12, "--answer-fields", 8], 9000, 6000)]
    if not bench.valgrind:
        say("skipped: valgrind is not installed")
    for row, argv, must, aim in rows:
        say(f"  {row}:")
        results = {}
        if bench.valgrind:
            results = repeat(bench, "instructions", row,
                             ["weir-epoll-bare", "weir-epoll", "relay-epoll"] + PEERS, 1,
                             lambda subject: instructions(
                                 bench, subject, ["--connections", 64, "--warm", 2, *argv]))
        check_number(bench, row, "weir-epoll-bare", results.get("weir-epoll-bare", []), must, aim,
                     "instructions")


def scenario_balancing(bench):
    """User-space instructions per request of each algorithm with 3, 1,000 and 10,000 backends."""
    if bench.valgrind and not bench.why_absent("weir-epoll"):
        balancing.run(bench)
    else:
        say("skipped: valgrind or weir is missing")


def scenario_h2c(bench):
    """User-space instructions per request of h2c, to backends of HTTP/1 and of h2c."""
    if bench.valgrind and not bench.why_absent("weir-epoll"):
        h2c.run(bench)
    else:
        say("skipped: valgrind or weir is missing")


def scenario_records(bench):
    """What metrics, records and the access log cost in user-space instructions per request."""
    observing.run_records(bench)


def scenario_log(bench):
    """CPU per request with a JSON access log to a file."""
    observing.run_log(bench)


def scenario_scrape(bench):
    """A scrape with 1,000 backends: its time, and the p99 at half load with one every second."""
    observing.run_scrape(bench)


def scenario_watched(bench):
    """What somebody costs who watches the dashboard."""
    observing.run_watched(bench)


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
assert not SCENARIOS.keys() & secure.SCENARIOS.keys()  # one name, one scenario
SCENARIOS.update(secure.SCENARIOS)


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
    parser.add_argument("--algorithm", action="append", metavar="NAME",
                        choices=sorted({row.name for row in balancing.ALGORITHMS}),
                        help="of `balancing`: only this one (may be repeated)")
    parser.add_argument("--quick", action="store_true",
                        help="runs of a fifth of the length, `balancing` of few algorithms")
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
