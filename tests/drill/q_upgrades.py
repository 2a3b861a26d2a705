#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ten binary upgrades under load: no request fails. A new binary that is broken: none fails either,
and the old one goes on. kill -9 of the serving process: the next one serves within 500 ms, on
listening sockets that never closed."""
import os
import pathlib
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.client import Client
from peers.drill import QUICK_CHECKS, Drill, Server, named
from peers.load import CUT, GET, LOST, Ask, Fire
from peers.http1 import Cut, request
from peers.net import until
from peers.weir import Weir, replace_program, run_as, settings

drill = Drill("upgrades")
CONNECTIONS, UPGRADES, CRASHES, RATE = 50, 10, 3, 500
# A third of them ask once on each connection, as clients do that keep none.
ONCE = Ask(request("GET", "/", "Connection: close"), closes=True)
POOL = {"health_check": QUICK_CHECKS}


def make(connection, _number):
    return ONCE if connection % 3 == 0 else GET


def begin(path, servers, workers):
    tree, address = settings(named(*servers), workers=workers, pool=POOL)
    return Weir(tree, wrapper=run_as(path), address=address)


def serves(weir):
    """A ring of io_uring accepts for a moment after its process is dead; who comes then is lost as
    those in flight are."""
    try:
        with Client(weir.address) as client:
            return client.ask().status == 200
    except (Cut, OSError):
        return False


def upgrade(weir, number):
    weir.signal(signal.SIGUSR2)
    until(lambda: weir.stderr.count("this process serves alone") == number, "an upgrade")


def judge(what, fire):
    fire.stop()
    bad = fire.bad()
    drill.check(f"{what}: failed requests", f"{len(bad)} of {len(fire.answers)}", not bad)
    slowest = max(answer.seconds for answer in fire.answers)
    drill.row(what, f"{len(bad)} of {len(fire.answers)} failed, slowest {slowest * 1000:.0f} ms")


with tempfile.TemporaryDirectory() as folder, Server() as one, Server() as two, Server() as three:
    path = pathlib.Path(folder, "weir")
    replace_program(path)
    for workers in (1, 2):
        with begin(path, (one, two, three), workers) as weir:
            with Fire(weir.address, connections=CONNECTIONS, rate=RATE, make=make) as fire:
                fire.until_answers(RATE)
                for number in range(1, UPGRADES + 1):
                    replace_program(path)
                    upgrade(weir, number)
                judge(f"{workers} workers, {UPGRADES} upgrades", fire)
            with Fire(weir.address, connections=CONNECTIONS, rate=RATE, make=make) as fire:
                fire.until_answers(RATE)
                before = weir.serving
                for number, text in enumerate(("#!/bin/sh\nexit 1\n", "no program",
                                               "#!/bin/sh\nkill -SEGV $$\n"), 1):
                    replace_program(path, text)
                    weir.signal(signal.SIGUSR2)
                    until(lambda n=number: weir.stderr.count("the upgrade failed") == n,
                          "the refusal")
                    time.sleep(1)
                replace_program(path)
                drill.check("the old one serves", weir.serving, weir.serving == before)
                judge(f"{workers} workers, 3 broken binaries", fire)

        # Killed: what is in flight is lost, and nothing else; nobody is refused.
        with begin(path, (one, two, three), workers) as weir:
            times = []
            with Fire(weir.address, connections=CONNECTIONS, rate=RATE, make=make) as fire:
                fire.until_answers(RATE)
                for _ in range(CRASHES):
                    before = weir.serving
                    began = time.monotonic()
                    os.kill(before, signal.SIGKILL)
                    until(lambda: serves(weir), "an answer")
                    times.append(time.monotonic() - began)
                    time.sleep(11)  # so that each is the first in a row
                fire.stop()
                lost = fire.bad()
                other = [answer for answer in lost if answer.outcome not in (CUT, LOST)]
                drill.check("kill -9: serving again within 500 ms",
                            " ".join(f"{seconds * 1000:.0f} ms" for seconds in times),
                            max(times) < 0.5)
                drill.check("kill -9: lost, of those in flight",
                            f"{len(lost)} of {len(fire.answers)}",
                            len(lost) <= CRASHES * CONNECTIONS)
                drill.check("kill -9: refused or wrong", len(other), not other)
                drill.row(f"{workers} workers, {CRASHES} kills of the serving process",
                          f"serving again after {max(times) * 1000:.0f} ms at most, "
                          f"{len(lost)} of {len(fire.answers)} requests lost, none refused")

drill.done()
