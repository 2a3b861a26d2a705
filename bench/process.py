# SPDX-License-Identifier: Apache-2.0
"""Processes of the harness, and what /proc and the clocks say about them and the machine."""

import ctypes
import itertools
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

PORTS = itertools.count(20000)  # below the ephemeral range
libc = ctypes.CDLL(None)


class BenchError(Exception):
    """A run that gives no figure: a process that died, a wrong answer, a missed deadline."""


def free_port(host="127.0.0.1"):
    for port in PORTS:
        if port >= 32000:
            raise BenchError("no free port is left between 20000 and 32000")
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


class Child:
    """A process of ours: pinned, in its own session, ended with the harness."""

    alive = []

    def __init__(self, argv, cpus, log, env=None, pipes=False):
        def prepare():
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            os.sched_setaffinity(0, cpus)

        self.name = os.path.basename(argv[0])
        self.log = Path(log)
        pipe = subprocess.PIPE if pipes else subprocess.DEVNULL
        with open(log, "ab") as sink:
            self.process = subprocess.Popen(
                argv, preexec_fn=prepare, start_new_session=True, stdin=pipe, stderr=sink,
                stdout=pipe if pipes else sink, env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self.unread = b""
        Child.alive.append(self)

    def died(self):
        return self.process.poll() is not None

    def complaint(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{self.name} (log: {' | '.join(lines[-3:]) or 'empty'})"

    def line(self, seconds):
        """The next line of its output."""
        deadline = time.monotonic() + seconds
        out = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise BenchError(f"no line within {seconds:.0f} s from {self.complaint()}")
            got = os.read(out, 65536)
            if not got:
                raise BenchError(f"ended early: {self.complaint()}")
            self.unread += got
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode()

    def go_on(self):
        try:
            os.write(self.process.stdin.fileno(), b"\n")
        except OSError as error:
            raise BenchError(f"{error}: {self.complaint()}") from error

    def end(self, seconds=10):
        """Asks it to end, then makes it. What it left in its session goes with it."""
        if self not in Child.alive:
            return
        Child.alive.remove(self)
        try:
            if not self.died():
                self.process.terminate()
                self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    @classmethod
    def end_all(cls):
        for child in list(cls.alive):
            child.end(2)


def family(pid):
    """A process and its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cpu_ns(pids):
    """User and system time, in ns, of all threads there are or were, those of io-wq included.

    This is the clock behind clock_getcpuclockid(3): the scheduler's own sum, not ticks."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def cpu_ticks(pids):
    """The same from /proc/PID/stat, in 10 ms steps: a check on the above."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") * 1e9


def private_bytes(pids):
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Dirty:", "Private_Clean:")):
                total += int(line.split()[1]) * 1024
    return total


def core_times(cpu):
    """Busy and stolen seconds of one core."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _idle, _wait, irq, soft, steal = map(int, line.split()[1:9])
            tick = os.sysconf("SC_CLK_TCK")
            return (user + nice + system + irq + soft) / tick, steal / tick
    return 0.0, 0.0


def connected_addresses(port):
    """Addresses of this machine to which somebody has a connection at the given port."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _number, _local, remote, state = line.split(maxsplit=4)[:4]
        address, _colon, at = remote.partition(":")
        if int(at, 16) == port and state == "01":
            found.add(address)
    return found


def wait_listening(child, port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.died():
            raise BenchError(f"ended at once: {child.complaint()}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise BenchError(f"does not listen after {seconds} s: {child.complaint()}")


def speed_probe_ms(cpu):
    """CPU time of a fixed computation on one core: how fast the machine is just now.

    A virtual core slows down, without any sign in /proc/stat, when its neighbour works."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    start = time.thread_time_ns()
    total = 0
    for number in range(200000):
        total += number * number
    used = time.thread_time_ns() - start
    os.sched_setaffinity(0, before)
    return used / 1e6
