# SPDX-License-Identifier: Apache-2.0
"""docs/grpc.md, docs/websocket.md, docs/proxy-protocol.md: their examples are good and serve, and what they say is
so, as real clients and servers see it."""
import asyncio
import json
import pathlib
import re
import ssl
import threading
import time
from concurrent import futures

import pytest

from peers import h2
from peers.backend import Backend
from peers.net import HANG_SECONDS, HOST, free_port
from peers.papers import papers
from peers.weir import Weir, config_file, run, start

grpc = pytest.importorskip("grpc")
websockets = pytest.importorskip("websockets")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEER = "127.0.0.1"  # where connections of ours come from
PAGES = ("grpc", "websocket", "proxy-protocol", "tls", "providers")


def page(name):
    return (ROOT / f"docs/{name}.md").read_text()


def examples(name):
    """The blocks that are whole configurations."""
    return [block for block in re.findall(r"^```yaml\n(.*?)^```", page(name), re.M | re.S) if "frontends:" in block]


def served(name, backends):
    """Its first example with addresses of ours; (the text, the address of the frontend)."""
    bind, text = f"{HOST}:{free_port()}", examples(name)[0]
    text = re.sub(r'bind: "[^"]*"', f'bind: "{bind}"', text).replace("tls/site", papers().path("site"))
    for written, address in backends.items():
        text = text.replace(written, address)
    return text, bind


@pytest.mark.parametrize("name", PAGES)
def test_examples_are_good(name):
    found = examples(name)
    assert found
    for text in found:
        text = text + ("pools: {app: {backends: [a:1]}}\n" if "pools:" not in text else "")
        code, out, err = run("check", config_file(text), env={"DATABASE_URL": "sqlite:x.db"})
        assert code == 0 and not err, out + err


def table(name, title):
    """The rows below a heading, as lists of what is between the bars."""
    part = page(name).split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines() if line.startswith("| ")][1:]


# ---- gRPC ---------------------------------------------------------------------------------------


class Shop(grpc.GenericRpcHandler):
    """Echoes, after a while; streams, with a while between; and serves as far as its health goes."""

    def __init__(self, name):
        self.name, self.methods, self.fails = name, [], False

    def service(self, details):
        self.methods.append(details.method)
        return {"Check": grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01"),
                "Get": grpc.unary_unary_rpc_method_handler(self.get),
                "Down": grpc.unary_stream_rpc_method_handler(self.down),
                "Both": grpc.stream_stream_rpc_method_handler(lambda items, _: items),
                "Count": grpc.stream_unary_rpc_method_handler(lambda items, _: b"%d" % len(list(items))),
                }.get(details.method.rsplit("/", 1)[1])

    def get(self, request, context):
        if self.fails:
            context.abort(grpc.StatusCode.UNAVAILABLE, "by itself")
        time.sleep(float(request or 0))
        return self.name.encode()

    @staticmethod
    def down(request, _):
        for _ in range(3):
            yield b"x"
            time.sleep(float(request))


@pytest.fixture(scope="module", name="shops")
def fixture_shops():
    shops = [Shop(name) for name in "abcd"]
    servers = []
    for shop in shops:
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((shop,))
        shop.address = f"{HOST}:{free_port()}"
        server.add_insecure_port(shop.address)
        server.start()
        servers.append(server)
    yield shops
    for server in servers:
        server.stop(None)


def call(weir, request=b"0", method="/shop.v1.Cart/Get", **rest):
    """What it gave, or the code and details of its error."""
    with grpc.insecure_channel(weir.address) as channel:
        return outcome(lambda: channel.unary_unary(method)(request, timeout=rest.get("timeout", HANG_SECONDS)))


def outcome(what):
    try:
        return what()
    except grpc.RpcError as error:
        return error.code().name, error.details()


def test_the_example_serves_calls(shops):
    text, address = served("grpc", {
        "10.0.0.11:9000": shops[0].address, "10.0.0.12:9000": shops[1].address,
        "10.0.0.21:9000": shops[2].address, "10.0.0.22:9000": shops[3].address})
    credentials = grpc.ssl_channel_credentials(pathlib.Path(papers().path("ca.crt")).read_bytes())
    with Weir(text, address=address) as weir:
        weir.wait_log("backends are checked")
        with grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "site.example")]) as channel:
            got = {channel.unary_unary("/shop.v1.Cart/Get")(b"0", timeout=HANG_SECONDS) for _ in range(8)}
            assert got == {b"a", b"b"}  # each call by itself, though the connection is one
            assert list(channel.unary_stream("/shop.v1.Feed/Down")(b"0", timeout=HANG_SECONDS)) == [b"x"] * 3
            assert channel.stream_unary("/shop.v1.Feed/Count")(iter([b"1"] * 5), timeout=HANG_SECONDS) == b"5"
            assert outcome(lambda: channel.unary_unary("/other/Get")(b"")) == (
                "UNIMPLEMENTED", "no route matches host, path and method")
    assert all("/grpc.health.v1.Health/Check" in shop.methods for shop in shops)


def test_codes_are_those_of_the_table():
    code = (ROOT / "src/proto/grpc.c").read_text().split("grpc_code_of")[1]
    built, statuses = {}, []
    for line in code.splitlines():
        if match := re.search(r"case (\d+):", line):
            statuses.append(int(match[1]))
        elif match := re.search(r"return GRPC_(\w+);", line):
            built.update(dict.fromkeys(statuses or ["others"], match[1]))
            statuses = []
    numbers = dict(re.findall(r"X\((\w+), (\d+)\)", (ROOT / "src/proto/grpc.h").read_text()))
    told = {}
    for cells, name, number, _ in table("grpc", "Errors of weir's own"):
        assert numbers[name.strip("`")] == number
        told.update({int(each) if each.isdigit() else each: name.strip("`") for each in cells.split(", ")})
    assert told == built and len(told) > 10


def test_errors_of_our_own(shops):
    with start(f"grpc://{HOST}:{free_port()}") as weir:
        assert call(weir) == ("UNAVAILABLE", "the backend refused the connection")
        line = json.loads(weir.wait_log("request failed")[0])
        assert line["status"] == 200
    with start(f"grpc://{shops[0].address}", frontend={"http": {"max_body_size": "1KiB"}}) as weir:
        assert call(weir, b"0" * 2000)[0] == "RESOURCE_EXHAUSTED"
        with grpc.insecure_channel(weir.address) as channel:  # a reset when the answer has begun
            items = (b"x" * 500 for _ in range(5))
            assert outcome(lambda: list(channel.stream_stream("/s/Both")(items)))[0] in ("INTERNAL", "RESOURCE_EXHAUSTED")
    with start(f"grpc://{shops[0].address}", pool={"limits": {"requests": 1, "queue": 0}}) as weir:
        with grpc.insecure_channel(weir.address) as channel:
            down = channel.unary_stream("/s/Down")(b"1", timeout=HANG_SECONDS)
            next(down)
            assert call(weir)[0] == "UNAVAILABLE"
            down.cancel()


@pytest.mark.parametrize("metadata, code", [
    ([("x-a", "b" * 60000)], None), ([("x-a", "b" * 70000)], "UNAVAILABLE"),
    ([(f"x-{i}", "b") for i in range(140)], "UNKNOWN")])
def test_metadata_have_a_limit(metadata, code):
    with Backend(h2.serve(trailers_only)) as backend, start(f"h2c://{backend.address}") as weir, \
            grpc.insecure_channel(weir.address) as channel:
        got = outcome(lambda: channel.unary_unary("/s/Get")(b"", metadata=metadata, timeout=HANG_SECONDS))
        assert got[0] == (code or "ABORTED"), got


def trailers_only(peer, stream):
    peer.send(peer.headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "10")],
                           end=True))


def test_deadlines(shops):
    with start(f"grpc://{shops[0].address}", pool={"timeouts": {"request": "300ms"}}) as weir:
        assert call(weir, b"2", timeout=HANG_SECONDS) == (
            "DEADLINE_EXCEEDED", "the request was not answered in the time that it may take as a whole")
        with grpc.insecure_channel(weir.address) as channel:  # later the stream is reset
            assert outcome(lambda: list(channel.unary_stream("/s/Down")(b"0.4", timeout=HANG_SECONDS)))[0] == "INTERNAL"


def slowly(seconds, count=3):
    for _ in range(count):
        yield b"x"
        time.sleep(seconds)


@pytest.mark.parametrize("frontend, pool, kind, items, code", [
    ({"request_body_idle": "400ms"}, {}, "Count", 1.5, "DEADLINE_EXCEEDED"),
    ({}, {"response": "400ms"}, "Get", 1.5, "DEADLINE_EXCEEDED"),
    ({}, {"response": "400ms"}, "Count", 0.6, None),  # it counts from the end of the request
    ({}, {"response_idle": "400ms"}, "Down", 1.5, "INTERNAL"),
    ({}, {"response_idle": "400ms"}, "Both", 1.5, "INTERNAL"),
    ({"client_idle": "300ms"}, {}, "Down", 0.7, None)])
def test_what_ends_a_stream(shops, frontend, pool, kind, items, code):
    with start(f"grpc://{shops[0].address}", frontend={"timeouts": frontend}, pool={"timeouts": pool}) as weir, \
            grpc.insecure_channel(weir.address) as channel:
        calls = {"Count": lambda: channel.stream_unary("/s/Count")(slowly(items), timeout=HANG_SECONDS),
                 "Both": lambda: list(channel.stream_stream("/s/Both")(slowly(items), timeout=HANG_SECONDS)),
                 "Down": lambda: list(channel.unary_stream("/s/Down")(b"%g" % items, timeout=HANG_SECONDS)),
                 "Get": lambda: channel.unary_unary("/s/Get")(b"%g" % items, timeout=HANG_SECONDS)}
        got = outcome(calls[kind])
        assert got in (b"3", [b"x"] * 3) if code is None else got[0] == code, got


def breaks(peer, _stream):
    peer.sock.close()


def refuses(peer, stream):
    peer.send(h2.RstStreamFrame(stream, h2.REFUSED_STREAM))


@pytest.mark.parametrize("handler, retry, good", [
    (None, {}, True), (refuses, {}, True), (breaks, {}, False), (breaks, {"methods": "any"}, True)])
def test_retries(shops, handler, retry, good):
    with Backend(h2.serve(handler or breaks)) as first:
        bad = f"h2c://{first.address}" if handler else f"h2c://{HOST}:{free_port()}"
        with start(bad, f"grpc://{shops[0].address}", pool={"algorithm": "first", "retry": retry}) as weir:
            got = call(weir)
    assert got == b"a" if good else got == ("UNAVAILABLE", "the backend closed the connection before it answered")


def test_what_a_backend_says_is_its_answer(shops):
    """Neither repeated nor held against it."""
    rules = {"algorithm": "first", "retry": {"methods": "any"},
             "circuit_breaker": {"failure_threshold": 1, "max_ejected": "100%"}}
    shops[0].fails = True
    try:
        with start(*(f"grpc://{shop.address}" for shop in shops[:2]), pool=rules) as weir:
            for _ in range(3):
                assert call(weir) == ("UNAVAILABLE", "by itself")
    finally:
        shops[0].fails = False


def test_health_checks_have_no_page():
    for key in ("path: /x", "method: POST", "expect: {body: x}"):
        config = (f"frontends: {{web: {{bind: ':1', pool: app}}}}\npools: {{app: {{backends: ['grpc://a:1'], "
                  f"health_check: {{type: grpc, {key}}}}}}}\n")
        code, out, err = run("check", config_file(config))
        assert code == 78 and "E023" in err, out + err


# ---- WebSocket ----------------------------------------------------------------------------------


class Sockets:
    """Echoes messages, in a thread of its own."""

    def __enter__(self):
        begun = threading.Event()

        async def echo(sock):
            try:
                async for message in sock:
                    await sock.send(message)
            except websockets.exceptions.ConnectionClosedError:
                pass

        async def main():
            self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
            async with websockets.serve(echo, HOST, 0) as server:
                self.address = f"{HOST}:{server.sockets[0].getsockname()[1]}"
                begun.set()
                await self.over.wait()

        self.thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        self.thread.start()
        assert begun.wait(HANG_SECONDS)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(HANG_SECONDS)


def talk(url, then, **rest):
    """One message there and back, then `then(socket)`."""
    async def main():
        async with websockets.connect(url, ping_interval=None, **rest) as sock:
            await sock.send("a")
            assert await sock.recv() == "a"
            return await then(sock) if then else None
    return asyncio.run(asyncio.wait_for(main(), HANG_SECONDS))


def test_the_example_serves_websockets():
    with Sockets() as server, Backend() as plain:
        text, address = served("websocket", {"10.0.0.11:8080": plain.address, "10.0.0.21:8080": server.address,
                                             "10.0.0.22:8080": server.address.replace(HOST, "localhost")})
        with Weir(text, address=address) as weir:
            context = ssl.create_default_context(cafile=papers().path("ca.crt"))
            talk(f"wss://{weir.address}/live/1", None, ssl=context, server_hostname="site.example")


def test_what_ends_a_websocket():
    async def wait(sock):
        await asyncio.sleep(1)
        try:
            await sock.send("b")
            return await sock.recv()
        except websockets.exceptions.ConnectionClosed:
            return None

    async def ask(sock):
        await sock.ping()
        return (await asyncio.to_thread(weir.ask)).status

    with Sockets() as server:
        for timeouts, answer in (({"request": "300ms"}, "b"), ({"tunnel_idle": "300ms"}, None)):
            with start(server.address, frontend={"timeouts": timeouts}) as weir:
                assert talk(f"ws://{weir.address}/", wait) == answer
        with start(server.address, pool={"limits": {"requests": 1, "queue": 0}}) as weir:
            assert talk(f"ws://{weir.address}/", ask) == 503


# ---- The PROXY protocol -------------------------------------------------------------------------


def test_the_example_behind_another_weir():
    """One tells by version 1 below TLS, one takes it and tells the next by version 2."""
    with Backend() as backend:
        secure = {"certificates": [papers().files("site")]}
        with start(backend, frontend={"tls": True, "client_ip": {
                "proxy_protocol": "accept", "trusted_proxies": PEER}}, **secure) as last:
            text, address = served("proxy-protocol", {
                "10.0.0.2, 10.0.0.3": PEER, "10.0.0.11:8080, 10.0.0.12:8080": f"'https://{last.address}'",
                "send_proxy:": f"tls: {{ca: {papers().path('ca.crt')}, server_name: site.example}}\n    send_proxy:"})
            with Weir(text, address=address) as middle, \
                    start(middle.address, pool={"send_proxy": "v1"}) as first:
                with first.client(source="127.0.0.9") as client:
                    assert client.ask().status == 200
                assert backend.last().get("x-forwarded-for") == "127.0.0.9"
