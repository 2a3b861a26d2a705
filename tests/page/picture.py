#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the README's picture of the dashboard, docs/dashboard.png: starts weir with two pools of test
backends, some minutes of traffic, and what an operator meets in an afternoon. A backend becomes slow
and then fails, so that its breaker opens; it recovers, and another one is drained for maintenance.

    tests/page/picture.py build/weir docs/dashboard.png [--seconds 315]

Ends by itself, and ends everything it started.
"""
import argparse
import asyncio
import contextlib
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers.http1 import request  # noqa: E402
from peers.net import free_port, until  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
HOST = "127.0.0.1"
CLIENTS = 24
WIDTH, HEIGHT = 1280, 1980
TOKEN = "0123456789abcdef0123456789abcdef"  # of a weir that lives for five minutes
# Of each pool its backends, with how long they take in ms.
POOLS = {"shop": {"shop-1": "4-16", "shop-2": "4-16", "shop-3": "5-20", "shop-4": "4-18"},
         "api": {"api-1": "2-9", "api-2": "2-9", "api-3": "2-10"}}
SICK = "shop-3"
# When what happens, as shares of the whole time: (share, backend, words of the fault).
STORY = [(0.30, SICK, "delay=250-950"),
         (0.40, SICK, "status=503&delay=20-60&health=200"),
         (0.52, SICK, "delay=5-20")]
DRAIN_AT = 0.82
PATHS = [("GET /", 6), ("GET /products/{}", 9), ("GET /search?q={}", 2), ("GET /images/{}.webp", 5),
         ("POST /cart", 3), ("GET /api/prices/{}", 8), ("GET /api/stock/{}", 5), ("POST /api/orders", 2)]
BODY = b'{"item": 271, "count": 1, "note": "' + b"x" * 600 + b'"}'


class Town:
    def __init__(self, weir, folder):
        self.children, self.weir, self.folder = [], weir, folder
        self.addresses = {}
        for backends in POOLS.values():
            for name, delay in backends.items():
                self.addresses[name] = f"{HOST}:{free_port()}"
                self.start("test-backend", self.addresses[name], "--steady", "--fault", f"delay={delay}")
        self.front, self.admin = (f"{HOST}:{free_port()}" for _ in range(2))
        (folder / "weir.yaml").write_text(self.config())
        self.start("-c", "weir.yaml")
        until(lambda: self.call("GET", "/readyz") == 200, "weir to be ready")

    def config(self):
        check = ("health_check: {type: http, path: /health, interval: 2s, fast_interval: 1s}\n"
                 "    timeouts: {response: 800ms}\n")
        more = {"shop": "algorithm: least_connections\n    " + check +
                        "    circuit_breaker: {failure_threshold: 8, open_for: 20s}\n",
                "api": "algorithm: round_robin\n    " + check}
        text = (f"log: {{level: error, access: {{output: none}}}}\n"
                f"admin:\n  bind: [\"{self.admin}\"]\n  without_token: operate\n"
                f"  tokens: {{deploy: {{role: operate, secret: \"{TOKEN}\"}}}}\n"
                "frontends:\n  web:\n"
                f"    bind: \"{self.front}\"\n    pool: shop\n"
                "    routes:\n      - {name: api, match: {path: \"/api/*\"}, pool: api}\n"
                "pools:\n")
        for pool, backends in POOLS.items():
            text += f"  {pool}:\n    {more[pool]}    backends:\n"
            for name in backends:
                text += f"      - {{id: {name}, address: \"{self.addresses[name]}\"}}\n"
        return text

    def start(self, *words):
        log = open(self.folder / f"log-{len(self.children)}", "wb")
        with log:
            self.children.append(subprocess.Popen([self.weir, *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=log))

    def call(self, method, path, address=None, body=None):
        """The status of a call, None when nobody answers."""
        words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method,
                 "-H", "X-Weir-Request: 1", "-H", f"Authorization: Bearer {TOKEN}", f"http://{address or self.admin}{path}"]
        if body:
            words += ["-d", body]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return int(done.stdout) if done.returncode == 0 else None

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def rate(at_s):
    """Requests per second: a day's tide in minutes, and some waves on it."""
    return 95 + 40 * math.sin(at_s / 52 + 1.2) + 12 * math.sin(at_s / 9.3) + 8 * math.sin(at_s / 3.1)


async def client(address, due, dice):
    """Sends what is due on one connection; a new one when that ends."""
    host, port = address.rsplit(":", 1)
    reader = writer = None
    while True:
        await due.get()
        text = dice.choices([path for path, _ in PATHS], [weight for _, weight in PATHS])[0]
        method, path = text.format(dice.randrange(1, 400)).split()
        body = {"body": BODY} if method == "POST" else {}
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            if writer is None:
                reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request(method, path, **body))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            continue
        if writer:
            writer.close()
        writer = None


async def traffic(address, seconds, seed):
    dice, due = random.Random(seed), asyncio.Queue()
    clients = [asyncio.create_task(client(address, due, random.Random(seed + 1 + i)))
               for i in range(CLIENTS)]
    begun = time.monotonic()
    while (at_s := time.monotonic() - begun) < seconds:
        if due.qsize() < 200:
            due.put_nowait(None)
        await asyncio.sleep(dice.expovariate(rate(at_s)))
    for one in clients:
        one.cancel()


async def story(town, seconds):
    begun = time.monotonic()
    acts = [(share, town.addresses[name], f"/-/fault?{words}") for share, name, words in STORY]
    acts.append((DRAIN_AT, None, "/api/v1/pools/api/backends/api-3/drain"))
    for share, address, path in acts:
        await asyncio.sleep(max(0, begun + share * seconds - time.monotonic()))
        status = await asyncio.to_thread(town.call, "POST", path, address)
        assert status == 200, (path, status)


async def shoot(town, png, seconds, words):
    """Near the end, while there is traffic."""
    await asyncio.sleep(max(0, seconds - 12))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "shot.py"), f"http://{town.admin}", str(png), "--width", str(WIDTH),
        "--height", str(HEIGHT), "--click", '#range input[value="300"]', *words)
    assert await process.wait() == 0


async def play(town, options):
    load = asyncio.create_task(traffic(town.front, options.seconds + 120, 7))
    try:
        await asyncio.gather(story(town, options.seconds),
                             shoot(town, options.png, options.seconds, options.words))
    finally:
        load.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weir")
    parser.add_argument("png", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=315)
    options, options.words = parser.parse_known_args()  # the rest is for tests/page/shot.py
    with tempfile.TemporaryDirectory(prefix="weir-picture-") as folder:
        town = Town(str(pathlib.Path(options.weir).resolve()), pathlib.Path(folder))
        try:
            asyncio.run(play(town, options))
        finally:
            town.stop()


if __name__ == "__main__":
    main()
