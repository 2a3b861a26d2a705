# SPDX-License-Identifier: Apache-2.0
"""WebSockets in all four combinations of versions (RFC 6455, RFC 8441), and gRPC in all four
directions with its own client and server."""
import asyncio
import base64
import hashlib
import json
import threading
from concurrent import futures

import pytest
import websockets

from peers import h2, http1
from peers.backend import Backend
from peers.net import HANG_SECONDS, HOST, free_port
from peers.weir import start

grpc = pytest.importorskip("grpc")

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONNECT = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
           (":authority", "weir.test"), (":path", "/chat"), ("sec-websocket-version", "13")]


def accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def h1_tunnel(connection):
    """Agrees, and sends back what comes."""
    head = connection.head()
    if not head:
        return
    assert head.get("upgrade") == "websocket" and head.method == "GET", head
    connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade",
                               "Upgrade: websocket",
                               "Sec-WebSocket-Accept: " + accept(head.get("sec-websocket-key"))))
    connection.send(bytes(connection.reader.buffer))
    while data := connection.sock.recv(65536):
        connection.send(data)


def h2_tunnel(connection):
    """The same by RFC 8441."""
    peer = h2.Peer(connection.sock)
    try:
        assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
        peer.send(h2.SettingsFrame(0, {8: 1}))
        while True:
            frame = peer.frame()
            if isinstance(frame, h2.HeadersFrame):
                fields = dict(peer.stream(frame.stream_id).fields)
                assert fields[":method"] == "CONNECT" and fields[":protocol"] == "websocket", fields
                assert "sec-websocket-key" not in fields and "upgrade" not in fields
                peer.send(peer.headers(frame.stream_id, [(":status", "200")]))
            elif isinstance(frame, h2.DataFrame):
                peer.send(peer.data(frame.stream_id, frame.data, "END_STREAM" in frame.flags))
    except h2.Closed:
        pass


@pytest.fixture(name="weir", params=["h1", "h2"])
def _weir(request):
    script = h1_tunnel if request.param == "h1" else h2_tunnel
    with Backend(script) as backend:
        with start(("h2c://" if request.param == "h2" else "") + backend.address) as weir:
            yield weir


def test_tunnel_of_an_h2_client(weir):
    with h2.Client(weir.address) as client:
        client.until(lambda: client.settings)
        assert client.settings[8] == 1
        client.send(client.headers(1, CONNECT))
        answer = client.stream(1)
        client.until(lambda: answer.fields or answer.reset is not None)
        assert answer.status == 200 and not answer.all("upgrade")
        assert not answer.all("sec-websocket-accept")
        sent = b""
        for i in range(20):
            piece = bytes([i]) * (1 + 700 * i)
            client.send(client.data(1, piece))
            sent += piece
            client.until(lambda: len(answer.body) == len(sent))
        assert answer.body == sent
        other = client.headers(3, CONNECT)
        client.send(other)
        client.until(lambda: client.stream(3).fields)
        client.send(client.data(1, b"", end=True))
        client.answer(1)
        client.send(h2.RstStreamFrame(3, h2.CANCEL))


def test_tunnel_of_an_h1_client(weir):
    with weir.client() as client:
        key = base64.b64encode(b"0123456789abcdef").decode()
        client.send(http1.request("GET", "/chat", "Connection: Upgrade", "Upgrade: websocket",
                                  "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key))
        response = client.response()
        assert response.status == 101, response
        assert response.get("sec-websocket-accept") == accept(key)
        for i in range(20):
            piece = bytes([i]) * (1 + 700 * i)
            client.send(piece)
            assert client.reader.exactly(len(piece)) == piece


def test_websockets_client(weir):
    async def talk():
        async with websockets.connect(f"ws://{weir.address}/chat", compression=None,
                                      ping_interval=None) as sock:
            return sock
    # The tunnel sends frames back as they are, masked, which a client has to refuse: so it came.
    asyncio.run(talk())


def test_refused_tunnel():
    def no(connection):
        while connection.request():
            connection.send(http1.response(403, body=b"no"))
    with Backend(no) as backend, start(backend) as weir, h2.Client(weir.address) as client:
        client.send(client.headers(1, CONNECT))
        answer = client.answer(1)
        assert (answer.status, answer.body) == (403, b"no")
        assert client.next == 1


def test_tunnel_refused_by_an_h2_backend():
    """The answer comes with its body, and the stream to the backend ends on our side too."""
    ended = threading.Event()

    def no(connection):
        peer = h2.Peer(connection.sock)
        try:
            assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
            peer.send(h2.SettingsFrame(0, {8: 1}))
            peer.until(lambda: peer.streams)
            stream = next(iter(peer.streams))
            peer.send(peer.headers(stream, [(":status", "403")]), peer.data(stream, b"no", True))
            peer.until(lambda: peer.stream(stream).ended or peer.stream(stream).reset is not None)
            ended.set()
            peer.finish()
        except h2.Closed:
            pass
    with Backend(no) as backend, start("h2c://" + backend.address) as weir:
        response = weir.ask("GET", "/", "Connection: Upgrade", "Upgrade: websocket",
                            "Sec-WebSocket-Version: 13",
                            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==")
        assert (response.status, response.body) == (403, b"no")
        assert ended.wait(HANG_SECONDS)


@pytest.mark.parametrize("sent", [None, b"", b"no", b"none", b"much more"])
def test_refusal_of_another_length(sent):
    """An answer to CONNECT has to have the length that it announces as others do (RFC 9113 8.1.1);
    nothing below us counts it. A client of HTTP/1 would take what follows for its rest."""
    def no(peer, stream):
        fields = [(":status", "403"), ("content-length", "3")]
        peer.send(peer.headers(stream, fields, end=sent is None))
        if sent is not None:
            peer.send(peer.data(stream, sent, end=True))

    def script(connection):
        peer = h2.Peer(connection.sock)
        try:
            assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
            peer.send(h2.SettingsFrame(0, {8: 1}))
            seen = 0
            while True:
                peer.until(lambda: len(peer.streams) > seen)
                seen = len(peer.streams)
                no(peer, max(peer.streams))
        except h2.Closed:
            pass
    with Backend(script) as backend, start("h2c://" + backend.address) as weir:
        with weir.client() as client:
            client.send(http1.request("GET", "/", "Connection: Upgrade", "Upgrade: websocket",
                                      "Sec-WebSocket-Version: 13",
                                      "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="))
            if sent is None:
                assert client.response().status == 502
            else:
                with pytest.raises(http1.Cut):
                    client.response()


def test_wrong_accept_is_no_tunnel():
    def wrong(connection):
        connection.head()
        connection.send(http1.head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade",
                                   "Upgrade: websocket", "Sec-WebSocket-Accept: wrong"))
    with Backend(wrong) as backend, start(backend) as weir, h2.Client(weir.address) as client:
        client.send(client.headers(1, CONNECT))
        client.until(lambda: client.stream(1).reset is not None)
        assert client.stream(1).fields is None


def test_backend_without_extended_connect():
    """It does not take WebSockets, and that is all there is to say against it."""
    pool = {"outliers": {"errors": 1}, "circuit_breaker": {"failure_threshold": 1, "max_ejected": "100%"}}
    with Backend(h2.serve(h2.hello)) as backend, \
            start("h2c://" + backend.address, pool=pool) as weir:
        for _ in range(5):
            response = weir.ask("GET", "/", "Connection: Upgrade", "Upgrade: websocket",
                                "Sec-WebSocket-Version: 13",
                                "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==")
            assert response.status == 502
            assert 'details="upgrade_unsupported"' in response.get("proxy-status")
        line = json.loads(weir.wait_log('"outcome":"upgrade_unsupported"')[0])
        assert "RFC 8441" in line["cause"] and "https://" in line["cure"]
        assert weir.ask().status == 200
    assert not [each for each in weir.last_log if "eject" in each["msg"] or "breaker" in each["msg"]]


# ---- gRPC ---------------------------------------------------------------------------------------

class Words(grpc.GenericRpcHandler):
    """Bytes in, bytes out, in each direction."""

    def service(self, details):
        name = details.method
        if name == "/t.T/Unary":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if name == "/t.T/Down":
            return grpc.unary_stream_rpc_method_handler(self.down)
        if name == "/t.T/Up":
            return grpc.stream_unary_rpc_method_handler(lambda items, _: b"".join(items))
        if name == "/t.T/Both":
            return grpc.stream_stream_rpc_method_handler(self.both)
        return None

    @staticmethod
    def unary(request, context):
        if request == b"fail":
            context.set_trailing_metadata((("x-why", "because"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "not here")
        if request == b"slow":
            context.set_trailing_metadata((("x-left", str(int(context.time_remaining()))),))
        return request[::-1]

    @staticmethod
    def down(request, _):
        for i in range(int(request)):
            yield str(i).encode() * 1000

    @staticmethod
    def both(items, _):
        for item in items:
            yield item.upper()


@pytest.fixture(scope="module", name="channel")
def _channel():
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Words(),))
    port = free_port()
    assert server.add_insecure_port(f"{HOST}:{port}") == port
    server.start()
    with start(f"grpc://{HOST}:{port}") as weir:
        with grpc.insecure_channel(weir.address) as channel:
            yield channel
    server.stop(None)


def test_unary(channel):
    call = channel.unary_unary("/t.T/Unary")
    for i in range(50):
        assert call(b"abc%d" % i, timeout=HANG_SECONDS) == (b"abc%d" % i)[::-1]


def test_error_with_trailers(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/t.T/Unary")(b"fail", timeout=HANG_SECONDS)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "not here"
    assert ("x-why", "because") in caught.value.trailing_metadata()


def test_deadline_is_passed_on(channel):
    _, call = channel.unary_unary("/t.T/Unary").with_call(b"slow", timeout=100)
    left = dict(call.trailing_metadata())["x-left"]
    assert 0 < int(left) <= 100


def test_streaming_down(channel):
    got = list(channel.unary_stream("/t.T/Down")(b"200", timeout=HANG_SECONDS))
    assert got == [str(i).encode() * 1000 for i in range(200)]


def test_streaming_up(channel):
    items = [bytes([i]) * 5000 for i in range(100)]
    assert channel.stream_unary("/t.T/Up")(iter(items), timeout=HANG_SECONDS) == b"".join(items)


def test_streaming_both_ways(channel):
    got = []
    again = threading.Semaphore(1)

    def items():
        for i in range(50):
            assert again.acquire(timeout=HANG_SECONDS)
            yield b"word%d" % i
    for answer in channel.stream_stream("/t.T/Both")(items(), timeout=HANG_SECONDS):
        got.append(answer)
        again.release()
    assert got == [b"WORD%d" % i for i in range(50)]


def test_cancel(channel):
    call = channel.unary_stream("/t.T/Down")(b"1000000", timeout=HANG_SECONDS)
    next(call)
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED
    assert channel.unary_unary("/t.T/Unary")(b"ab", timeout=HANG_SECONDS) == b"ba"


def test_nobody_there():
    with start(f"grpc://{HOST}:{free_port()}") as weir:
        with grpc.insecure_channel(weir.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/t.T/Unary")(b"a", timeout=HANG_SECONDS)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "the backend refused the connection"


def test_a_deadline_that_passes():
    """weir keeps it: the caller's own would come much later here."""
    with Backend(h2.serve(lambda peer, stream: None)) as backend, \
            start("h2c://" + backend.address) as weir, h2.Client(weir.address) as client:
        answer = client.get("POST", "/t.T/Unary", ("content-type", "application/grpc"),
                            ("te", "trailers"), ("grpc-timeout", "300m"), body=b"")
        assert answer.status == 200 and answer.get("grpc-status") == "4"
        assert answer.get("content-type") == "application/grpc" and answer.body == b""
