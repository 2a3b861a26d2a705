# SPDX-License-Identifier: Apache-2.0
"""What run.py found, written as Markdown and as JSON, with the machine it was found on."""

import json
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path


def first_line(argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0] if lines else "no answer"
    except (OSError, subprocess.TimeoutExpired):
        return "not available"


def machine(bench):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    weak = Path("/sys/devices/system/cpu/vulnerabilities")
    mitigations = [f"{path.name}: {path.read_text().strip()}" for path in sorted(weak.glob("*"))
                   if "Mitigation" in path.read_text()] if weak.is_dir() else []
    return {
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "CPU": f"{cpu.group(1) if cpu else platform.machine()}, {len(bench.all_cpus)} cores used",
        "mitigations": "; ".join(mitigations) or "none listed",
        "weir": first_line([bench.args.weir, "--version"]),
        "nginx": first_line([bench.nginx, "-v"]) if bench.nginx else "not installed",
        "haproxy": first_line([bench.haproxy, "-v"]) if bench.haproxy else "not installed",
        "valgrind": first_line([bench.valgrind, "--version"]) if bench.valgrind else "not installed",
        "runs": f"{bench.rounds} rounds, {bench.seconds:g} s each, "
                f"{bench.disturbed} disturbed by other load",
    }


def is_run(value):
    return hasattr(value, "cpu_us")


def numbers(values):
    """Of a list of runs, the CPU figures."""
    return [value.cpu_us if is_run(value) else value for value in values]


def markdown_checks(bench):
    yield "| row | figure | measured | against | must | aim | verdict |"
    yield "|---|---|---|---|---|---|---|"
    for item in bench.checks:
        must = f"≤ {item.figure(item.must)}" if item.must is not None else ""
        aim = f"≤ {item.figure(item.aim)}" if item.aim is not None else ""
        verdict = item.verdict().replace("FALLS SHORT", "**falls short**")
        yield (f"| {item.row} | {item.what} | {item.shown()} | {item.basis} | {must} | {aim} "
               f"| {verdict} |")


def markdown_figures(bench):
    yield "| scenario | load | subject | median | lowest | highest | requests/s |"
    yield "|---|---|---|---|---|---|---|"
    for scenario, load, name, values in bench.figures:
        shown = numbers(values)
        if not shown:
            continue
        unit = " us" if is_run(values[0]) else ""
        rate = statistics.median(run.rate for run in values) if unit else None
        yield (f"| {scenario} | {load} | {name} | {statistics.median(shown):,.2f}{unit} "
               f"| {min(shown):,.2f} | {max(shown):,.2f} | {f'{rate:,.0f}' if rate else ''} |")


def write_markdown(bench, path, configurations):
    short = [item for item in bench.checks if item.verdict() == "FALLS SHORT"]
    lines = ["# What `make bench` measured", ""]
    lines += [f"- {key}: {value}" for key, value in machine(bench).items()]
    lines += ["", "Ratios are the median of the ratios within a round, with their range. CPU is "
              "user and system time of the whole proxy process per request.", ""]
    lines += list(markdown_checks(bench)) + [""]
    if short:
        lines += ["Falls short: " + "; ".join(f"{item.row}, {item.what} "
                                              f"({item.shown()})" for item in short) + ".", ""]
    if bench.problems:
        lines += ["Failed runs:", ""] + [f"- {text}" for text in bench.problems] + [""]
    lines += ["## All figures", ""] + list(markdown_figures(bench)) + ["", "## Configurations", ""]
    for name, text in configurations:
        lines += [f"`{name}`:", "```", text.rstrip(), "```", ""]
    Path(path).write_text("\n".join(lines))


def write_json(bench, path):
    record = {
        "machine": machine(bench),
        "checks": [{**vars(item), "verdict": item.verdict()} for item in bench.checks],
        "figures": [{"scenario": scenario, "load": load, "subject": name,
                     "values": [vars(value) if is_run(value) else value
                                for value in values]}
                    for scenario, load, name, values in bench.figures],
        "problems": bench.problems,
    }
    Path(path).write_text(json.dumps(record, indent=1) + "\n")
