# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 between real peers: clients with prior knowledge, backends by h2c, and every combination of
the two versions."""
import json
import shutil
import socket
import subprocess
import threading

import pytest

from peers import h2, http1
from peers.backend import Backend
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import start, told

BIG = bytes(range(256)) * 4096


def h1_echo(connection):
    """Gives back body and trailers, chunked."""
    while request := connection.request():
        lines = [f"X-Seen: {name.lower()}={value}" for name, value in request.fields]
        connection.send(http1.response(
            200, *lines, chunks=[request.body],
            trailers=[f"{name}: {value}" for name, value in request.trailers]))


def h2_backend(handler=h2.echo, **rest):
    return Backend(h2.serve(handler, **rest))


def h2c(backend):
    return "h2c://" + backend.address


@pytest.fixture(name="pair", params=["h1", "h2"])
def _pair(request):
    """(backend, weir) with a backend of either version that echoes."""
    script = h1_echo if request.param == "h1" else h2.serve(h2.echo)
    with Backend(script) as backend:
        prefix = "h2c://" if request.param == "h2" else ""
        with start(prefix + backend.address) as weir:
            yield backend, weir


def curl(*args):
    done = subprocess.run(["curl", "-sS", "--max-time", str(HANG_SECONDS), *args],
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(answer):
    return dict(line.split("=", 1) for line in answer.all("x-seen"))


# ---- Messages -----------------------------------------------------------------------------------

def test_get(pair):
    _, weir = pair
    with h2.Client(weir.address) as client:
        for _ in range(3):
            answer = client.get("GET", "/x?y", ("x-a", "b"))
            assert answer.status == 200
            assert seen(answer)["x-a"] == "b"
            assert seen(answer)["x-forwarded-for"] == "127.0.0.1"
            assert answer.body == b""


def test_upload_and_trailers(pair):
    _, weir = pair
    with h2.Client(weir.address) as client:
        answer = client.get("POST", "/", body=b"x" * 60000, trailers=[("x-sum", "7")])
        assert answer.body == b"x" * 60000
        assert answer.trailers == [("x-sum", "7")]


@pytest.mark.parametrize("rest", ["whole", "short", "trailers"])
def test_the_rest_of_a_request_that_was_answered_early(rest):
    """Nobody listens to it any more, so nobody judges it: the answer arrives."""
    routes = [{"match": {"path": "/old"}, "redirect": {"to": "/new"}}]
    with Backend() as backend, start(backend, frontend={"routes": routes}) as weir, \
            h2.Client(weir.address) as client:
        head = [(":method", "PUT"), (":scheme", "http"), (":path", "/old"),
                (":authority", "weir.test"), ("content-length", "6")]
        client.send(client.headers(1, head), client.data(1, b"abc"),
                    client.headers(1, [("x", "y")], end=True) if rest == "trailers" else
                    client.data(1, b"def" if rest == "whole" else b"d", True))
        answer = client.answer(1)
        assert answer.reset in (None, 0) and answer.status == 308, (answer.reset, answer.fields)
        client.next = 101
        assert client.answer(client.ask("GET", "/old")).status == 308


def test_h1_client(pair):
    _, weir = pair
    response = weir.ask("POST", "/p", "X-A: b", chunks=[b"abc", b"def"], trailers=["X-T: u"])
    assert response.status == 200
    assert response.body == b"abcdef"
    assert response.trailers in ([("X-T", "u")], [("x-t", "u")])
    assert "x-a=b" in response.all("x-seen")


def test_cookies_are_joined_and_host_is_the_authority(pair):
    _, weir = pair
    with h2.Client(weir.address) as client:
        answer = client.get("GET", "/", ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3"))
        assert seen(answer)["cookie"] == "a=1; b=2; c=3"
        assert seen(answer).get("host", seen(answer).get(":authority")) == "weir.test"


def test_a_length_with_zeros_beside_cookies(pair):
    """It is written without them, and the cookies are joined: neither may cut the other."""
    _, weir = pair
    with h2.Client(weir.address) as client:
        for _ in range(2):
            answer = client.get("POST", "/", ("cookie", "a=1"), ("content-length", "005"),
                                ("cookie", "b=2"), ("x", "y"), body=b"hello")
            assert answer.status == 200 and answer.body == b"hello"
            assert seen(answer)["content-length"] == "5"
            assert seen(answer)["cookie"] == "a=1; b=2" and seen(answer)["x"] == "y"


def test_many_streams(pair):
    _, weir = pair
    with h2.Client(weir.address) as client:
        streams = [client.ask("GET", f"/{i}", ("x-number", str(i))) for i in range(100)]
        for i, stream in enumerate(streams):
            assert seen(client.answer(stream))["x-number"] == str(i)


def test_head_and_no_content():
    def script(connection):
        while request := connection.request():
            if request.method == "HEAD":
                connection.send(http1.head("HTTP/1.1 200 Fine", "Content-Length: 12345"))
            else:
                connection.send(http1.head("HTTP/1.1 204 Fine"))
    with Backend(script) as backend, start(backend) as weir, h2.Client(weir.address) as client:
        answer = client.get("HEAD", "/")
        assert (answer.get("content-length"), answer.body) == ("12345", b"")
        assert client.get("GET", "/").status == 204


def test_interim_heads():
    def handler(peer, stream):
        peer.send(peer.headers(stream, [(":status", "103"), ("link", "</a>")]))
        h2.hello(peer, stream)
    with h2_backend(handler) as backend, start(h2c(backend)) as weir:
        with h2.Client(weir.address) as client:
            answer = client.get()
            assert answer.interim == [[(":status", "103"), ("link", "</a>")]]
            assert answer.body == b"hello"
        response = weir.ask()
        assert [each.status for each in response.interim] == [103]


def test_access_log(tmp_path):
    path = tmp_path / "access"
    with Backend() as backend, \
            start(backend, log={"access": {"format": "json", "output": str(path)}}) as weir:
        with h2.Client(weir.address) as client:
            client.get("GET", "/x")
        line = until(lambda: path.exists() and path.read_text(), "a line")
        assert json.loads(line)["network.protocol.version"] == "2"


# ---- Real clients and servers -------------------------------------------------------------------

def test_curl(pair, tmp_path):
    _, weir = pair
    big = tmp_path / "big"
    big.write_bytes(BIG)
    url = f"http://{weir.address}/"
    assert curl("--http2-prior-knowledge", "-T", str(big), url) == BIG
    assert curl("--http1.1", "-T", str(big), url) == BIG
    assert curl("--http2-prior-knowledge", "-w", "%{http_version}", "-o", "/dev/null", url) == b"2"


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs nghttp2-client")
def test_h2load(pair):
    _, weir = pair
    done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "50",
                           f"http://{weir.address}/"], capture_output=True, text=True,
                          timeout=4 * HANG_SECONDS, check=True)
    assert "2000 succeeded, 0 failed" in done.stdout, done.stdout


@pytest.mark.skipif(not shutil.which("nghttp"), reason="needs nghttp2-client")
def test_nghttp(pair):
    _, weir = pair
    done = subprocess.run(["nghttp", "-nv", "-H", "x-a: b", f"http://{weir.address}/"],
                          capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    assert ":status: 200" in done.stdout


@pytest.mark.skipif(not shutil.which("nghttpd"), reason="needs nghttp2-server")
def test_nghttpd(tmp_path):
    port = free_port()
    (tmp_path / "big").write_bytes(BIG)
    server = subprocess.Popen(["nghttpd", "--no-tls", "-d", str(tmp_path), "-a", HOST, str(port),
                               "--echo-upload"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with start(f"h2c://{HOST}:{port}",
                   pool={"health_check": {"type": "http", "path": "/big", "interval": "1s"}}) as weir:
            until(lambda: weir.ask("GET", "/big").status == 200, "the server to be up")
            assert weir.ask("GET", "/big").body == BIG
            with h2.Client(weir.address) as client:
                assert client.get("GET", "/big").body == BIG
            url = f"http://{weir.address}/up"
            assert curl("--http2-prior-knowledge", "--data-binary", "@" + str(tmp_path / "big"),
                        url) == BIG
            assert curl("--data-binary", "@" + str(tmp_path / "big"), url) == BIG
    finally:
        server.kill()
        server.wait()


# ---- Flow control -------------------------------------------------------------------------------

def test_a_stalled_upload_stops_nobody():
    """Ruling of the windows: 1 of 10 uploads whose backend reads nothing."""
    go_on = threading.Event()

    def script(connection):
        while head := connection.head():
            if head.target == "/stall":
                assert go_on.wait(4 * HANG_SECONDS)
            connection.reader.body(head, False)
            connection.send(http1.response(200, body=str(len(head.body))))
    body = b"x" * (1 << 20)
    with Backend(script) as backend, start(backend) as weir, h2.Client(weir.address) as client:
        sender = Sender(client)
        first = sender.begin("/stall", body)
        others = [sender.begin("/go", body) for _ in range(9)]
        sender.run(lambda: all(client.stream(each).ended for each in others))
        for each in others:
            assert client.stream(each).body == b"1048576"
        assert client.stream(first).fields is None
        go_on.set()
        sender.run(lambda: client.stream(first).ended)
        assert client.stream(first).body == b"1048576"


class Sender:
    """Uploads within the windows that the peer gives."""

    def __init__(self, client):
        self.client = client
        client.until(lambda: client.settings)
        self.initial = client.settings.get(4, 65535)
        self.window = 65535
        self.left, self.windows = {}, {}

    def begin(self, path, body):
        client = self.client
        stream, client.next = client.next, client.next + 2
        client.send(client.headers(stream, [
            (":method", "PUT"), (":scheme", "http"), (":authority", "weir.test"),
            (":path", path), ("content-length", str(len(body)))]))
        self.left[stream], self.windows[stream] = body, self.initial
        return stream

    def push(self):
        moved = True
        while moved:
            moved = False
            for stream, body in list(self.left.items()):
                size = min(len(body), 16384, self.window, self.windows[stream])
                if not size:
                    continue
                moved = True
                self.window -= size
                self.windows[stream] -= size
                self.left[stream] = body[size:]
                self.client.send(self.client.data(stream, body[:size], end=size == len(body)))
                if size == len(body):
                    del self.left[stream]

    def run(self, condition):
        while not condition():
            self.push()
            frame = self.client.frame()
            if isinstance(frame, h2.WindowUpdateFrame):
                if frame.stream_id == 0:
                    self.window += frame.window_increment
                elif frame.stream_id in self.windows:
                    self.windows[frame.stream_id] += frame.window_increment


def test_a_slow_reader_costs_a_window():
    """An answer goes no further than its reader's window, and its siblings pass it."""
    def script(connection):
        while request := connection.request():
            size = 4 << 20 if request.target == "/big" else 5
            connection.send(http1.head("HTTP/1.1 200 Fine", f"Content-Length: {size}"))
            for _ in range(max(size // 65536, 1)):
                connection.send(b"x" * min(size, 65536))
    with Backend(script) as backend, start(backend) as weir, \
            h2.Client(weir.address, quiet=True) as client:
        client.send(h2.WindowUpdateFrame(0, 1 << 20))
        big = client.ask("GET", "/big")
        client.until(lambda: len(client.stream(big).body) == 65535)
        for _ in range(5):
            assert client.get("GET", "/small").body == b"xxxxx"
        assert len(client.stream(big).body) == 65535
        client.send(h2.WindowUpdateFrame(big, 1 << 19))
        client.until(lambda: len(client.stream(big).body) == 65535 + (1 << 19))


# ---- Connections --------------------------------------------------------------------------------

def test_streams_share_a_connection():
    got = []

    def handler(peer, stream):
        got.append(stream)
        if len(got) == 20:
            for each in got:
                h2.hello(peer, each)
    with h2_backend(handler) as backend, start(h2c(backend)) as weir, \
            h2.Client(weir.address) as client:
        streams = [client.ask("GET", "/") for _ in range(20)]
        for stream in streams:
            assert client.answer(stream).body == b"hello"
        assert len(backend.connections) == 1


def test_a_second_connection_when_the_first_is_full():
    """The backend allows 4 at a time."""
    held, lock = [], threading.Lock()

    def handler(peer, stream):
        with lock:
            held.append((peer, stream))
            ready = list(held) if len(held) == 10 else ()
        for each in ready:
            h2.hello(*each)
    with h2_backend(handler, settings={3: 4}) as backend, start(h2c(backend)) as weir, \
            h2.Client(weir.address) as client:
        streams = [client.ask("GET", "/") for _ in range(10)]
        for stream in streams:
            assert client.answer(stream).body == b"hello"
        assert len(backend.connections) == 3


def test_max_connections_bounds_connections():
    """With 2 connections of 3 streams each, 6 run and the rest wait for their turn."""
    held, lock, most = [], threading.Lock(), []

    def handler(peer, stream):
        with lock:
            held.append((peer, stream))
            most.append(len(held))
            ready = list(held) if len(held) == 6 or stream > 100 else ()
            if ready:
                held.clear()
        for each in ready:
            h2.hello(*each)
    with h2_backend(handler, settings={3: 3}) as backend, \
            start({"address": h2c(backend), "max_connections": 2}) as weir, \
            h2.Client(weir.address) as client:
        streams = [client.ask("GET", "/") for _ in range(12)]
        for stream in streams:
            assert client.answer(stream).body == b"hello"
        assert len(backend.connections) == 2
        assert max(most) == 6


def test_a_backend_that_goes_away_answers_what_it_took():
    """GOAWAY names the last stream that it takes: that one is answered there, a POST behind it goes to
    a new connection."""
    first, lock = [], threading.Lock()

    def handler(peer, stream):
        with lock:
            first.append((peer, stream))
            count = len(first)
        if count == 2:
            (early, number), _ = first
            early.send(h2.GoAwayFrame(0, last_stream_id=number))
            h2.hello(early, number)
        elif count > 2:
            h2.hello(peer, stream)
    with h2_backend(handler) as backend, start(h2c(backend)) as weir, \
            h2.Client(weir.address) as client:
        one = client.ask("GET", "/one")
        until(lambda: len(first) == 1, "the first request")
        two = client.ask("POST", "/two", body=b"abc")
        assert client.answer(one).body == b"hello"
        assert client.answer(two).body == b"hello"
        assert first[2][0] is not first[0][0]
        assert len(backend.connections) == 2


def test_refused_streams_are_sent_again():
    """REFUSED_STREAM: nothing was done, so another backend may have it, a POST with its body too."""
    def refuse(peer, stream):
        peer.send(h2.RstStreamFrame(stream, h2.REFUSED_STREAM))
    with h2_backend(refuse) as one, h2_backend() as two, \
            start(h2c(one), h2c(two), pool={"algorithm": "first"}) as weir, \
            h2.Client(weir.address) as client:
        answer = client.get("POST", "/", body=b"abc")
        assert (answer.status, answer.body) == (200, b"abc")
        assert one.connections


def test_other_resets_are_not_sent_again():
    def cancel(peer, stream):
        peer.send(h2.RstStreamFrame(stream, h2.INTERNAL_ERROR))
    with h2_backend(cancel) as one, h2_backend() as two, \
            start(h2c(one), h2c(two), pool={"algorithm": "first"}) as weir, \
            h2.Client(weir.address) as client:
        assert client.get("POST", "/", body=b"abc").status == 502
        assert client.get("GET", "/").status == 200  # idempotent


def test_an_answer_that_was_cut_looks_cut():
    def cut(peer, stream):
        peer.send(peer.headers(stream, [(":status", "200")]), peer.data(stream, b"abc"),
                  h2.RstStreamFrame(stream, h2.INTERNAL_ERROR))
    with h2_backend(cut) as backend, start(h2c(backend)) as weir:
        with h2.Client(weir.address) as client:
            answer = client.get()
            assert not answer.ended and answer.reset == h2.INTERNAL_ERROR
        with weir.client() as client:
            client.send(http1.request())
            with pytest.raises(http1.Cut):
                client.response()


def test_an_empty_body_whose_end_comes_late():
    """A length of 0 makes the answer complete for a client of HTTP/1; the backend's stream goes on. The
    client may leave, or ask again, before its end has come."""
    open_streams = []

    def handler(peer, stream):
        if open_streams:
            h2.hello(peer, stream)
            return
        open_streams.append((peer, stream))
        peer.send(peer.headers(stream, [(":status", "200"), ("content-length", "0")]))
    with h2_backend(handler) as backend, start(h2c(backend)) as weir:
        with weir.client() as client:
            client.send(http1.request())
            assert client.response().status == 200
        with weir.client() as client:
            client.send(http1.request())
            assert client.response().body == b"hello"
        peer, stream = open_streams.pop()
        peer.send(peer.data(stream, b"", True))
        with weir.client() as client:
            client.send(http1.request(), http1.request())
            assert client.response().status == 200
            peer, stream = open_streams[0]
            peer.send(peer.data(stream, b"", True))
            assert client.response().body == b"hello"


@pytest.mark.parametrize("says_so", [False, True])
def test_a_backend_that_closes_behind_its_answer(says_so):
    """A slow client takes in its time what has come, though the backend's connection is over."""
    closed = threading.Event()

    def script(connection):
        peer = h2.Peer(connection.sock)
        assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
        peer.send(h2.SettingsFrame(0))
        peer.until(lambda: peer.streams)
        stream = next(iter(peer.streams))
        peer.send(peer.headers(stream, [(":status", "200")]),
                  *[peer.data(stream, BIG[at:at + 8000], at + 8000 == 240000)
                    for at in range(0, 240000, 8000)])
        if says_so:
            peer.send(h2.GoAwayFrame(0, last_stream_id=stream))
        # Only this direction: what comes meanwhile would make a reset of it, behind which the kernel
        # sends nothing that is not sent yet.
        connection.sock.shutdown(socket.SHUT_WR)
        closed.set()
        peer.finish()
    with Backend(script) as backend, start(h2c(backend)) as weir, \
            h2.Client(weir.address, settings={4: 1000}, quiet=True) as client:
        stream = client.ask()
        client.until(lambda: len(client.stream(stream).body) == 1000)
        closed.wait(HANG_SECONDS)
        with h2.Client(weir.address) as another:  # meanwhile weir has seen the end
            assert another.get().body == BIG[:240000]
        client.send(h2.WindowUpdateFrame(stream, window_increment=10 ** 6),
                    h2.WindowUpdateFrame(0, window_increment=10 ** 6))
        assert client.answer(stream).body == BIG[:240000]


def test_a_client_that_cancels_cancels_the_backend():
    resets = []

    def script(connection):
        peer = h2.Peer(connection.sock)
        assert peer.exactly(len(h2.PREFACE)) == h2.PREFACE
        peer.send(h2.SettingsFrame(0))
        try:
            peer.until(lambda: peer.streams)
            stream = next(iter(peer.streams))
            peer.send(peer.headers(stream, [(":status", "200")]))
            peer.until(lambda: peer.stream(stream).reset is not None)
            resets.append(peer.stream(stream).reset)
            peer.finish()
        except h2.Closed:
            pass
    with Backend(script) as backend, start(h2c(backend)) as weir, \
            h2.Client(weir.address) as client:
        stream = client.ask()
        client.until(lambda: client.stream(stream).fields)
        client.send(h2.RstStreamFrame(stream, h2.CANCEL))
        until(lambda: resets, "the backend's reset")
        assert resets == [h2.CANCEL]


def test_a_backend_that_speaks_only_http1():
    with Backend() as backend, start(h2c(backend)) as weir:
        assert weir.ask().status in (502, 503)


def test_prior_knowledge_may_be_off():
    with Backend() as backend, start(backend, frontend={"http": {"h2": False}}) as weir:
        with weir.client() as client:
            client.send(h2.PREFACE)
            assert client.response().status in (400, 505)


def test_the_offer_to_change_is_ignored():
    with Backend() as backend, start(backend) as weir:
        response = weir.ask("GET", "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                            "HTTP2-Settings: AAMAAABkAAQAAP__")
        assert response.status == 200
        assert not backend.last().has("upgrade") and not backend.last().has("http2-settings")


@pytest.mark.parametrize("step", [1, 3, 14, 23])
def test_preface_in_pieces(step):
    with Backend() as backend, start(backend) as weir, \
            h2.Client(weir.address, greet=False) as client:
        data = h2.PREFACE + h2.SettingsFrame(0).serialize()
        for at in range(0, len(data), step):
            client.send(data[at:at + step])
        assert client.get().status == 200


# ---- Draining -----------------------------------------------------------------------------------

def test_drain_answers_what_runs():
    go_on = threading.Event()

    def script(connection):
        while connection.request():
            assert go_on.wait(HANG_SECONDS)
            connection.send(http1.response(200, body="late"))
    with Backend(script) as backend, start(backend) as weir, h2.Client(weir.address) as client:
        stream = client.ask()
        until(lambda: backend.connections and backend.connections[0].requests, "the request")
        weir.signal(15)
        client.until(lambda: client.goaway)
        assert client.goaway.last_stream_id == 2 ** 31 - 1
        client.until(lambda: len(client.goaways) == 2)
        assert client.goaway.last_stream_id == stream
        assert client.goaway.error_code == h2.NO_ERROR
        go_on.set()
        assert client.answer(stream).body == b"late"
        client.finish()
        assert not client.was_reset
        weir.ended()


def test_drain_of_an_idle_connection():
    with Backend() as backend, start(backend) as weir, h2.Client(weir.address) as client:
        assert client.get().status == 200
        weir.signal(15)
        client.finish()
        assert client.goaway.error_code == h2.NO_ERROR and not client.was_reset
        weir.ended()


def test_idle_connections_end():
    with Backend() as backend, \
            start(backend, frontend={"timeouts": {"client_idle": "300ms"}}) as weir, \
            h2.Client(weir.address) as client:
        assert client.get().status == 200
        client.finish()
        assert client.goaway.error_code == h2.NO_ERROR and not client.was_reset


# ---- Floods, counted and told -------------------------------------------------------------------

FLOODS = {
    "pings": lambda client: [h2.raw(6, 0, 0, b"12345678")] * 400,
    "settings": lambda client: [h2.raw(4, 0, 0)] * 200,
    "resets": lambda client: [part for _ in range(400) for part in rapid(client)],
    "empty_data": lambda client: [client.headers(1, head("POST"))] + [h2.raw(0, 0, 1)] * 400,
    "priorities": lambda client: [h2.raw(2, 0, 1, b"\0\0\0\3\1")] * 1000,
    "window_updates": lambda client: [h2.raw(8, 0, 0, b"\0\0\0\1")] * 8000,
    "unknown_frames": lambda client: [h2.raw(0x77, 0, 0)] * 400,
    "continuations": lambda client: [h2.raw(1, 0, 1, client.pack(head("GET")))] +
                                    [h2.raw(9, 0, 1)] * 100,
}


def head(method):
    return [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", "/")]


def rapid(client):
    stream, frames = client.ask_frames()
    return [*frames, h2.RstStreamFrame(stream, h2.CANCEL)]


@pytest.mark.parametrize("name", FLOODS)
def test_flood(name):
    with Backend() as backend, start(backend) as weir:
        with h2.Client(weir.address) as client:
            client.send(*FLOODS[name](client))
            client.finish()
            assert client.goaway.error_code == h2.ENHANCE_YOUR_CALM
        weir.wait_log("HTTP/2 connection ended")
        lines, count = told(weir.log(), "HTTP/2 connection ended")
        assert count == 1 and lines[0]["cause"] == name
        assert weir.ask().status == 200


def test_flood_of_a_backend():
    def handler(peer, stream):
        peer.send(*[h2.raw(6, 0, 0, b"12345678")] * 400)
    with h2_backend(handler) as backend, start(h2c(backend)) as weir:
        assert weir.ask("POST", "/", body=b"x").status == 502
        weir.wait_log("HTTP/2 connection ended")
        lines, _ = told(weir.log(), "HTTP/2 connection ended")
        assert lines[0]["cause"] == "pings" and lines[0]["backend"] == backend.address


def test_large_head():
    with Backend() as backend, start(backend) as weir, h2.Client(weir.address) as client:
        client.until(lambda: client.settings)
        assert client.settings[6] == 65536
        stream, frames = client.ask_frames("GET", "/", *[(f"x-{i}", "v" * 1000) for i in range(30)])
        block = frames[0].data
        assert len(block) > 16384
        client.send(h2.raw(1, 1, stream, block[:16384]), h2.raw(9, 4, stream, block[16384:]))
        assert client.answer(stream).status == 200
        assert client.get("GET", "/", *[(f"x-{i}", "v" * 30) for i in range(140)]).status == 431
        assert client.get().status == 200
