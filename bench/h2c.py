# SPDX-License-Identifier: Apache-2.0
"""What a request of HTTP/2 costs in user-space instructions, toward backends of both versions.

h2load asks with 8 connections of 32 streams. Behind weir stands bench-origin; for backends of HTTP/2
another weir is between them, so that the answers are the same in both rows.
"""

import re
import subprocess
from dataclasses import dataclass

from harness import Check, Proxy, counted, find_program, say, show_check
from process import BenchError
from subjects import BARE, Subject, write

CONNECTIONS, STREAMS = 8, 32
FEW, MANY = 2000, 12000
LOAD_SECONDS = 300

CONFIG = """\
runtime: {{workers: 1, io: epoll}}
log: {{level: error, access: {{output: none}}}}
{top}
frontends:
  web: {{bind: "127.0.0.1:{port}", protocol: http, pool: app}}
pools:
  app: {{backends: ["{scheme}127.0.0.1:{origin}"], health_check: none}}
"""


@dataclass(frozen=True)
class H2Subject(Subject):
    """weir between h2load and backends of one version."""

    scheme: str = ""
    backend: int = 0  # the port of the weir that speaks HTTP/2 to this one

    def command_weir(self, bench, port, origin, work, _tcp, _single):
        text = CONFIG.format(port=port, origin=self.backend or origin, scheme=self.scheme,
                             top=BARE if self.bare else "")
        return [bench.args.weir, "-c", write(work / "weir.yaml", text)]


ROWS = [("h2c-h1", "", 12000, 10500), ("h2c-h2c", "h2c://", 20000, 17500)]


def ask(program, port, requests):
    """All of the requests, each answered with 200."""
    argv = [program, "-n", str(requests), "-c", str(CONNECTIONS), "-m", str(STREAMS),
            f"http://127.0.0.1:{port}/100"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False)
    found = re.search(r"status codes: (\d+) 2xx", done.stdout)
    answered = int(found.group(1)) if found else 0
    if answered != requests:
        raise BenchError(f"h2load: {answered} of {requests} requests were answered")


def measure(bench, program, subject):
    """Instructions per request."""
    few, many = (counted(bench, subject, lambda proxy: ask(program, proxy.port, count))[0]
                 for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def measure_row(bench, program, row, scheme, behind):
    """[instructions per request] with metrics and records, and without them; as far as they could
    be measured."""
    values = []
    for bare in (False, True):
        name = "weir-epoll-bare" if bare else "weir-epoll"
        subject = H2Subject(name, "weir", "epoll", bare=bare, scheme=scheme,
                            backend=behind if scheme else 0)
        try:
            values.append(measure(bench, program, subject))
        except BenchError as error:
            bench.problems.append(f"h2c, {row}, {name}: {error}")
            say(f"failed: {bench.problems[-1]}")
            break
        bench.figures.append(("h2c", row, name, values[-1:]))
        say(f"    {name:18} {values[-1]:12,.0f}")
    return values


def run(bench):
    program = find_program("h2load")
    if not program:
        say("skipped: h2load is not installed")
        return
    with Proxy(bench, H2Subject("weir-h2-origin", "weir", "epoll")) as behind:
        for name, scheme, must, aim in ROWS:
            row = f"instructions/request, {name}, {CONNECTIONS} connections x {STREAMS} streams"
            say(f"  {row}:")
            values = measure_row(bench, program, row, scheme, behind.port)
            bench.checks.append(Check(row, "weir-epoll", must, aim, "instructions", values[:1], "",
                                      "a run failed"))
            show_check(bench.checks[-1])
