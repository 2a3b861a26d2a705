# SPDX-License-Identifier: Apache-2.0
"""What choosing among many backends costs: instructions per request of each algorithm, by size of
the pool, all backends connected.

One bench-origin at 0.0.0.0 is every backend: 127.1.0.1, 127.1.0.2, ... The warm-up visits as many
backends as the algorithm visits at all, and before anything is measured the connections are counted.
"""

import subprocess
from dataclasses import dataclass

from harness import Check, instructions, say, show_check
from process import BenchError, connected_addresses
from subjects import Subject, write

SIZES = (3, 1000, 10000)
CONNECTIONS = 16  # few: two requests for one backend at a time need a second connection to it
FEW, MANY = 10000, 30000
CONNECTED_MIN = 0.99  # of the backends: random choices may miss one for very long
GROWTH_MAX = 1.10
LINEAR_MAX = 40  # instructions per backend, for what looks at every backend by definition

CONFIG = """\
runtime: {{workers: 1, io: epoll}}
log: {{level: error, access: {{output: none}}}}
frontends:
  web:
    bind: "127.0.0.1:{port}"
    protocol: http
    pool: app
    {frontend}
pools:
  app:
    algorithm: {name}
    {pool}
    timeouts: {{upstream_idle: 1h}}
    limits: {{idle_connections: {idle}}}
    backends:
{backends}
"""


@dataclass(frozen=True)
class Algorithm:
    """A row of the table, with what brings requests to all backends."""

    name: str
    pool: str = ""  # more of the pool's configuration
    frontend: str = ""
    load: tuple = ()
    in_turn: bool = False  # as many requests as backends visit all of them
    weights: int = 1  # backends have the weights 1 to this, one after the other
    linear: bool = False
    stays: bool = False  # on one backend, whatever comes
    quick: bool = False

    def title(self):
        return self.name + (f", weights 1 to {self.weights}" if self.weights > 1 else "")

    def visits(self, size):
        """Requests that reach every backend, or all but a few in a hundred thousand."""
        if self.stays:
            return 0
        if self.linear and size > 1000:
            return 0  # connecting is lost in what the looking costs
        return size * (2 if self.in_turn else 13) * (self.weights + 1) // 2


BY_PATH = {"pool": "hash: {by: path}", "load": ("--vary", "path")}
ALGORITHMS = [
    Algorithm("round_robin", in_turn=True, quick=True),
    Algorithm("round_robin", in_turn=True, weights=3),
    Algorithm("random"),
    Algorithm("weighted_random"),
    Algorithm("weighted_random", weights=3),
    Algorithm("power_of_two", quick=True),
    Algorithm("least_connections", in_turn=True, quick=True),
    Algorithm("least_response_time"),
    Algorithm("ip_hash", frontend="client_ip: {trusted_proxies: [loopback]}",
              load=("--vary", "client")),
    Algorithm("consistent_hash", **BY_PATH),
    Algorithm("maglev", **BY_PATH, quick=True),
    Algorithm("rendezvous", **BY_PATH, linear=True),
    Algorithm("first", stays=True),
    Algorithm("prequal"),
]


@dataclass(frozen=True)
class Pool(Subject):
    """weir with one pool of many backends."""

    algorithm: Algorithm = None
    size: int = 1
    quiet: str = ""  # what keeps the backends from being asked for their health
    everywhere = True

    def command_weir(self, bench, port, origin, work, _tcp, _single):
        lines = [f'      - {{address: "127.1.{i // 250}.{i % 250 + 1}:{origin}", '
                 f"weight: {i % self.algorithm.weights + 1}}}" for i in range(self.size)]
        # weir keeps half as many idle connections as it may have descriptors: no second one for a
        # backend while others have none.
        idle = max(1, bench.files // 2 // (1 if self.algorithm.stays else self.size))
        text = CONFIG.format(port=port, name=self.algorithm.name, idle=idle,
                             backends="\n".join(lines),
                             pool=f"{self.algorithm.pool}\n    {self.quiet}",
                             frontend=self.algorithm.frontend)
        return [bench.args.weir, "-c", write(work / "weir.yaml", text)]


def pool(algorithm, size, quiet):
    return Pool(f"{algorithm.name}-{size}", "weir", "epoll", algorithm=algorithm, size=size,
                quiet=quiet)


def refusal(bench, subject):
    """What `weir check` says against it, or ''."""
    work = bench.work / f"check-{next(bench.serial)}"
    work.mkdir()
    path = subject.command(bench, 8080, 8081, work)[-1]
    done = subprocess.run([bench.args.weir, "check", "-c", path], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no answer"]
    return lines[0].partition("error")[2].partition(":")[2].strip() or lines[0]


def quiet_words(bench):
    """Health checks off, in the words of this build: one that knows none needs none."""
    words = "health_check: none"
    return "" if refusal(bench, pool(ALGORITHMS[0], 3, words)) else words


def look_at_connections(subject, port):
    """A look for instructions(): refuses to measure a pool that is not connected."""
    wanted = subject.size if subject.algorithm.visits(subject.size) else 1

    def look(_proxy):
        found = len(connected_addresses(port))
        if found < wanted * CONNECTED_MIN:
            raise BenchError(f"{found} of {wanted} backends are connected")
    return look


def measure(bench, subject):
    """Instructions per request."""
    algorithm = subject.algorithm
    # Each connection makes its warm-up requests twice, see load_warm_together.
    warm = max(4, algorithm.visits(subject.size) // CONNECTIONS // 2 + 1)
    few, many = FEW, MANY
    if algorithm.linear and subject.size > 1000:
        few, many = FEW // 10, MANY // 10
    argv = ["--connections", CONNECTIONS, "--warm", warm, *algorithm.load]
    return instructions(bench, subject, argv, few, many,
                        look_at_connections(subject, bench.origin(everywhere=True)))


def measure_row(bench, algorithm, sizes, quiet):
    """{size: instructions per request}, as far as they could be measured."""
    found = {}
    for size in sizes:
        try:
            found[size] = measure(bench, pool(algorithm, size, quiet))
        except BenchError as error:
            bench.problems.append(f"balancing, {algorithm.title()}, {size} backends: {error}")
            say(f"failed: {bench.problems[-1]}")
            break
        load = f"{size:,} backends" + (" (one is used)" if algorithm.stays else "")
        bench.figures.append(("balancing", load, algorithm.title(), [found[size]]))
    return found


def judge(bench, algorithm, sizes, found, missing):
    least, most = sizes[0], sizes[-1]
    if algorithm.linear:
        item = Check("instructions/request and backend", algorithm.title(), LINEAR_MAX,
                     unit="instructions", basis=f"from {least:,} to {most:,}", missing=missing)
        if most in found:
            item.values = [(found[most] - found[least]) / (most - least)]
    else:
        item = Check(f"instructions/request, {most:,} backends / {least:,}", algorithm.title(),
                     GROWTH_MAX, basis=f"its own figure with {least:,}", missing=missing)
        if most in found:
            item.values = [found[most] / found[least]]
    bench.checks.append(item)
    show_check(item)


def run(bench):
    wanted = bench.args.algorithm
    algorithms = [row for row in ALGORITHMS
                  if (row.name in wanted if wanted else row.quick or not bench.args.quick)]
    sizes = (SIZES[0], SIZES[-1]) if bench.args.quick else SIZES
    if bench.files < SIZES[-1] * 2:
        say(f"skipped: {SIZES[-1]:,} backends: {bench.files} open files are allowed here")
        sizes = [size for size in sizes if size * 2 <= bench.files]
    quiet = quiet_words(bench)
    for algorithm in algorithms:
        missing = refusal(bench, pool(algorithm, SIZES[0], quiet))
        found = {} if missing else measure_row(bench, algorithm, sizes, quiet)
        if found:
            say(f"    {algorithm.title():34} "
                + "  ".join(f"{size:,}: {number:,.0f}" for size, number in found.items()))
        judge(bench, algorithm, sizes, found, missing or "a run failed")
