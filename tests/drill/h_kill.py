#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One of three backends is killed under load: no GET fails but those whose answer had begun, and
these end visibly cut."""
import pathlib
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.drill import QUICK_CHECKS, Drill, Server, named
from peers.http1 import request
from peers.load import CUT, GET, Fire, sized
from peers.net import split_address, until
from peers.states import OUT, changes
from peers.weir import start

drill = Drill("killed")
CONNECTIONS, LONG, KILLS = 100, 10, 3
# More than all buffers on the way hold, so that such an answer is still being sent when its backend
# dies.
HUGE, BUFFERS, HELD = 200_000_000, 50_000_000, 9
POOL = {"health_check": QUICK_CHECKS,
        "retry": {"max_attempts": 3, "when": ["connect", "reset_before_response"]},
        "outliers": {"eject_for": "1s"}, "circuit_breaker": {"open_for": "1s"}}


def make(connection, number):
    """A tenth of the connections ask for a megabyte each time, with a length or chunked."""
    return sized(1000000, number % 2, "long") if connection < LONG else GET


class Held:
    """A client whose answer has begun, and which reads on only when it is told to."""

    def __init__(self, weir, index):
        family, target = split_address(weir.address)
        self.sock = socket.socket(family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.sock.settimeout(20)
        self.sock.connect(target)
        self.sock.sendall(request("GET", f"/?size={HUGE}&chunked={index % 2}"))
        self.got = len(self.sock.recv(4096))
        assert self.got

    def read_on(self):
        """How it ends: it goes on beyond all buffers, or is cut."""
        while self.got < BUFFERS:
            try:
                more = self.sock.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                return CUT
            self.got += len(more)
        self.sock.close()
        return "goes on"


servers = [Server() for _ in range(3)]
try:
    with start(*named(*servers), pool=POOL, workers=2) as weir:
        # The turns are exact: three of nine at each backend.
        held = [Held(weir, index) for index in range(HELD)]
        with Fire(weir.address, CONNECTIONS, make) as fire:
            for _ in range(KILLS):
                time.sleep(1)
                servers[1].kill()
                time.sleep(0.7)
                servers[1] = servers[1].again()
                until(lambda: servers[1].counts()["requests"] > 300, "it to be used again")
            fire.stop()
        cut = [answer for answer in fire.answers if answer.outcome == CUT]
        drill.check(f"{KILLS} kills of one of three, of {len(fire.answers)} GETs failed",
                    len(fire.bad((200, CUT))), not fire.bad((200, CUT)))
        drill.check("answers under way that ended cut", f"{len(cut)} of {KILLS * LONG} at most",
                    len(cut) <= KILLS * LONG and all(each.tag == "long" for each in cut))
        ends = [each.read_on() for each in held]
        drill.check(f"{HELD} answers that had begun, and far from their end",
                    {end: ends.count(end) for end in ends},
                    ends.count(CUT) == HELD // 3 and ends.count("goes on") == HELD - HELD // 3)
        drill.say(f"p50 {fire.percentile(.5) * 1000:.1f} ms, p99 {fire.percentile(.99) * 1000:.1f} "
                  f"ms, longest {fire.percentile(1) * 1000:.1f} ms")
        out = [state for state, _ in changes(weir, "two", OUT)]
        drill.check("it was taken out, as the log says", out, out)
        drill.row(f"one of three killed {KILLS} times, {CONNECTIONS} connections",
                  f"{len(fire.answers):,} GETs: {len(fire.bad((200, CUT)))} failed; of answers "
                  f"that had begun {len(cut) + ends.count(CUT)} were cut, visibly; p99 "
                  f"{fire.percentile(.99) * 1000:.1f} ms")

    # The same as somebody else's load generator sees it.
    with start(*named(*servers), pool=POOL, workers=2) as weir:
        hey = subprocess.Popen(["hey", "-z", "3s", "-c", "100", f"http://{weir.address}/"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(1)
        servers[1].kill()
        said, _ = hey.communicate(timeout=30)
        statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", said))
        drill.check("hey -c 100 with a kill", f"{statuses}, "
                    f"{'errors' if 'Error distribution' in said else 'no error'}",
                    list(statuses) == ["200"] and "Error distribution" not in said)
        drill.row("the same with hey -c 100", f"{int(statuses.get('200', 0)):,} times 200, "
                  f"{sum(map(int, statuses.values())) - int(statuses.get('200', 0))} others")
finally:
    for server in servers:
        server.kill()

drill.done()
