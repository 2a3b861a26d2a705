# SPDX-License-Identifier: Apache-2.0
"""Two workers that really run at the same time, against two processes: what sharing costs."""

import contextlib
import os
from pathlib import Path

from harness import Load, Proxy, say, show_progress, show_runs, timed, undisturbed
from process import BenchError
from subjects import SUBJECTS


def pin_busiest(pids, cpus):
    """Pins the busiest threads of the given processes, one to each core."""
    threads = []
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            used = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
            threads.append((used, int(thread)))
    for (_used, thread), cpu in zip(sorted(threads, reverse=True), sorted(cpus)):
        os.sched_setaffinity(thread, {cpu})


def measure_two(bench, names, argv):
    """Two workers that really run at the same time, one on each core, beside origin and load.

    names: one subject with two workers, or two subjects with one each. argv: of the generator."""
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(bench, SUBJECTS[name])) for name in names]
        also = ["--also", f"127.0.0.1:{proxies[-1].port}"]
        load = stack.enter_context(Load(bench, proxies[0].port, [*argv, *also]))
        pids = sum((proxy.pids for proxy in proxies), [])
        for pid in pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), bench.all_cpus)
        pin_busiest(pids, bench.all_cpus)
        run = timed(bench, load, pids)
    run.foreign = 0.0  # origin and load share the cores by design
    return run


def rounds_of_two(bench, scenario, name, argv):
    """Two workers of one process, and two processes of one worker: (runs, runs)."""
    arms = ([name + "-2"], [name, name])
    found = {0: [], 1: []}
    for index in range(bench.rounds):
        for arm in (0, 1) if index % 2 == 0 else (1, 0):
            try:
                found[arm].append(undisturbed(
                    bench, lambda: measure_two(bench, arms[arm], argv)))
            except BenchError as error:
                bench.problems.append(f"{scenario}, both cores, {arms[arm]}: {error}")
                say(f"failed: {bench.problems[-1]}")
                return [], []
        show_progress(f"{scenario}, both cores, {name}", index + 1, bench.rounds)
    load = "a worker on each core"
    results = {load: {f"{name}-2": found[0], f"{name}, two processes": found[1]}}
    show_runs(results)
    for subject, runs in results[load].items():
        bench.figures.append((scenario, load, subject, runs))
    return found[0], found[1]
