#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backends die, stop and come back under load."""
import collections
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import Drill, Load, Server, percentile, timed
from peers.weir import start

drill = Drill("backends")
CLIENTS = 12


def statuses(answers):
    return dict(collections.Counter(status for _, _, status in answers))


# kill -9: no GET fails but perhaps those that were on their way to it.
with Server() as one, Server() as two, Server() as three:
    with start(one, two, three, workers=2) as weir, Load(weir.address, CLIENTS) as load:
        time.sleep(1)
        two.kill()
        time.sleep(2)
        load.stop()
        bad = [status for _, _, status in load.answers if status != 200]
        drill.check(f"kill -9 of one of three, of {len(load.answers)} GETs failed",
                    f"{len(load.failures)} and {statuses(load.answers)}",
                    len(load.failures) + len(bad) <= CLIENTS and not load.failures)
        p99 = percentile([seconds for _, seconds, _ in load.answers], 0.99)
        drill.check("p99 of all", f"{p99 * 1000:.1f} ms", p99 < 0.1)
        again = Server(int(two.address.rpartition(":")[2]))
        with again, Load(weir.address, CLIENTS) as load:
            time.sleep(1)
            load.stop()
            drill.check("after it came back", statuses(load.answers),
                        set(statuses(load.answers)) == {200} and not load.failures)

# Restarting them in turn, over and over.
servers = [Server() for _ in range(3)]
with start(*servers, workers=2) as weir, Load(weir.address, CLIENTS) as load:
    for i in range(9):
        time.sleep(0.2)
        port = int(servers[i % 3].address.rpartition(":")[2])
        servers[i % 3].kill()
        time.sleep(0.2)
        servers[i % 3] = Server(port)
    load.stop()
    bad = [status for _, _, status in load.answers if status != 200]
    drill.check(f"nine kills in turn, of {len(load.answers)} GETs failed",
                f"{len(load.failures)} and {statuses(load.answers)}",
                not load.failures and len(bad) <= 9 * CLIENTS // 3)
for server in servers:
    server.kill()

# SIGSTOP: its kernel still takes connections and requests, and nothing comes back.
with Server() as good, Server() as stopped:
    pool = {"timeouts": {"response": "1s"}}
    with start(good, stopped, pool=pool, workers=2) as weir:
        stopped.signal(signal.SIGSTOP)
        with Load(weir.address, CLIENTS) as load:
            time.sleep(4)
            load.stop()
        late = [seconds for _, seconds, status in load.answers if status == 504]
        quick = [seconds for _, seconds, status in load.answers if status == 200]
        drill.check("with one stopped", statuses(load.answers),
                    set(statuses(load.answers)) == {200, 504} and not load.failures)
        drill.near("its 504, earliest", min(late), 1)
        drill.near("its 504, p99", percentile(late, 0.99), 1)
        p99 = percentile(quick, 0.99)
        drill.check("p99 of the others", f"{p99 * 1000:.1f} ms", p99 < 0.1)
        stopped.signal(signal.SIGCONT)
        time.sleep(0.2)
        with Load(weir.address, CLIENTS) as load:
            time.sleep(1)
            load.stop()
        drill.check("when it goes on", statuses(load.answers),
                    set(statuses(load.answers)) == {200} and not load.failures)

# All down: quick refusals, and service at once when one is back.
with Server() as only:
    with start(only) as weir:
        weir.ask()
        port = int(only.address.rpartition(":")[2])
        only.kill()
        with weir.client() as client:
            spans = []
            for _ in range(200):
                seconds, response = timed(client.ask)
                spans.append(seconds)
                assert response.status == 503, response
            drill.check("503 with all down, p99", f"{percentile(spans, 0.99) * 1000:.2f} ms",
                        percentile(spans, 0.99) < 0.01)
            with Server(port):
                status = client.ask().status
                drill.check("the first request after its return", status, status == 200)

drill.done()
