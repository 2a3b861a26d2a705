# SPDX-License-Identifier: Apache-2.0
"""TCP proxying: every byte, every end, in both directions."""
import hashlib
import random
import socket
import subprocess
import threading

import pytest

from peers.backend import Backend, tcp_echo
from peers.net import HOST, free_port, in_kernel, split_address, until
from peers.weir import start


def tcp(*backends, **rest):
    return start(*backends, protocol="tcp", **rest)


def named(name):
    """Says its name and waits for the end."""
    def script(connection):
        connection.send(name)
        connection.reader.rest()
    return script


def test_echo():
    with Backend(tcp_echo) as backend, tcp(backend) as weir, weir.client() as client:
        for data in (b"x", b"\0\xff\r\n", b"y" * 100000):
            client.send(data)
            assert client.reader.exactly(len(data)) == data
        client.end()
        assert client.is_closed()


def test_bytes_and_end_in_one_go():
    """The half-close comes with the data: the echo must still arrive."""
    with Backend(tcp_echo) as backend, tcp(backend) as weir:
        for size in (0, 1, 100, 16384, 300000):
            with weir.client() as client:
                client.send(b"z" * size).end()
                assert client.rest() == b"z" * size
            assert bytes(backend.connections[-1].raw) == b"z" * size


def test_socat_gets_its_echo():
    with Backend(tcp_echo) as backend, tcp(backend) as weir:
        for i in range(10):
            done = subprocess.run(["socat", f"tcp:{weir.address}", "-"],
                                  input=b"connection %d\n" % i, capture_output=True, timeout=60,
                                  check=False)
            assert done.stdout == b"connection %d\n" % i, done.stderr
        assert len(backend.connections) == 10


def test_socat_on_both_sides():
    port = free_port()
    server = subprocess.Popen(["socat", f"tcp-l:{port},bind={HOST},fork", "exec:/bin/cat"],
                              stderr=subprocess.DEVNULL)
    try:
        def listens():
            try:
                socket.create_connection((HOST, port)).close()
                return True
            except ConnectionRefusedError:
                return False

        until(listens, "socat to listen")
        with tcp(f"{HOST}:{port}") as weir:
            for text in (b"hello\n", b"x" * 200000):
                done = subprocess.run(["socat", "-t", "30", f"tcp:{weir.address}", "-"],
                                      input=text, capture_output=True, timeout=60, check=False)
                assert done.stdout == text, done.stderr
    finally:
        server.kill()
        server.wait()


def test_the_backend_speaks_first():
    with Backend(named(b"220 hello\r\n")) as backend, tcp(backend) as weir:
        with weir.client() as client:
            assert client.reader.exactly(11) == b"220 hello\r\n"


def test_half_close_by_the_backend():
    def script(connection):
        connection.send(b"bye")
        connection.sock.shutdown(socket.SHUT_WR)
        heard.append(connection.reader.rest())
        done.set()

    heard, done = [], threading.Event()
    with Backend(script) as backend, tcp(backend) as weir, weir.client() as client:
        assert client.rest() == b"bye"
        client.send(b"and still ", b"a word").end()
        assert done.wait(20)
        assert heard == [b"and still a word"]


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_passes(who):
    def script(connection):
        connection.send(b"hi")
        if who == "backend":
            connection.reader.exactly(2)
            connection.reset()
            return
        try:
            connection.reader.rest()
            ends.append("in order")
        except ConnectionResetError:
            ends.append("reset")
        done.set()

    ends, done = [], threading.Event()
    with Backend(script) as backend, tcp(backend) as weir, weir.client() as client:
        assert client.reader.exactly(2) == b"hi"
        if who == "client":
            client.reset()
            assert done.wait(20)
            assert ends == ["reset"]
        else:
            client.send(b"go")
            with pytest.raises(ConnectionResetError):
                client.rest()


def sender(sock, data):
    def run():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("size", [1 << 20, 100 << 20], ids=["1MB", "100MB"])
def test_long_streams_both_ways_at_once(size):
    up = random.Random(1).randbytes(1 << 20) * (size >> 20)
    down = random.Random(2).randbytes(1 << 20) * (size >> 20)

    def digest(sock):
        sum_ = hashlib.sha256()
        buffer = bytearray(1 << 20)
        while count := sock.recv_into(buffer):
            sum_.update(memoryview(buffer)[:count])
        return sum_.hexdigest()

    def script(connection):
        thread = sender(connection.sock, down)
        sums.append(digest(connection.sock))
        thread.join()
        done.set()

    sums, done = [], threading.Event()
    with Backend(script) as backend, tcp(backend) as weir, weir.client() as client:
        thread = sender(client.sock, up)
        assert digest(client.sock) == hashlib.sha256(down).hexdigest()
        thread.join()
        assert done.wait(60)
        assert sums == [hashlib.sha256(up).hexdigest()]


@pytest.mark.parametrize("seed", range(3))
def test_random_conversations(seed):
    """Pieces of random sizes to and fro, on many connections at once."""
    def talk(number):
        rng = random.Random(seed * 1000 + number)
        with weir.client() as client:
            for _ in range(rng.randint(1, 30)):
                data = rng.randbytes(rng.choice([1, 10, 1000, 20000, 100000]))
                writer = threading.Thread(target=client.send, args=(data,))
                writer.start()
                if client.reader.exactly(len(data)) != data:
                    wrong.append(number)
                writer.join()
            client.end()
            if not client.is_closed():
                wrong.append(number)
        finished.append(number)

    wrong, finished = [], []
    with Backend(tcp_echo) as backend, tcp(backend, workers=2) as weir:
        threads = [threading.Thread(target=talk, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and len(finished) == 10


def test_round_robin_by_connection():
    backends = [Backend(named(b"%d" % i)) for i in range(3)]
    with tcp(*backends) as weir:
        for n in range(10):
            with weir.client() as client:
                assert client.reader.exactly(1) == b"%d" % (n % 3)
    assert [len(backend.connections) for backend in backends] == [4, 3, 3]
    for backend in backends:
        backend.stop()


def test_a_connection_stays_with_its_backend():
    backends = [Backend(tcp_echo) for _ in range(3)]
    with tcp(*backends) as weir, weir.client() as client:
        for i in range(100):
            client.send(b"%02d" % i)
            assert client.reader.exactly(2) == b"%02d" % i
        assert [len(backend.connections) for backend in backends] == [1, 0, 0]
    for backend in backends:
        backend.stop()


def test_a_backend_that_refuses_is_passed_over():
    with Backend(tcp_echo) as backend, tcp(f"{HOST}:{free_port()}", backend) as weir:
        for _ in range(6):
            with weir.client() as client:
                client.send(b"ping").end()
                assert client.rest() == b"ping"


def test_no_backend_at_all():
    """The client sees an end, and weir lives on."""
    port = free_port()
    with tcp(f"{HOST}:{port}") as weir:
        for _ in range(3):
            try:
                with weir.client() as client:
                    assert client.rest() == b""
            except ConnectionResetError:
                pass
        with Backend(tcp_echo, port=port), weir.client() as client:
            client.send(b"ping").end()
            assert client.rest() == b"ping"


def test_many_connections_at_once():
    with Backend(tcp_echo) as backend, tcp(backend) as weir:
        clients = [weir.client() for _ in range(200)]
        for number, client in enumerate(clients):
            client.send(b"%05d" % number)
        for number, client in enumerate(clients):
            assert client.reader.exactly(5) == b"%05d" % number
        for client in clients:
            client.end()
        for client in clients:
            assert client.is_closed()
        assert len(backend.connections) == 200


def test_a_reader_that_waits_holds_the_writer_back():
    """Back-pressure: what the client does not read is not taken from the backend, but for what the
    kernel's queues hold, which grow to tens of megabytes, and a pipe."""
    def script(connection):
        try:
            for _ in range(1000):
                connection.sock.sendall(b"x" * 100000)
                sent.append(100000)
        except OSError:
            pass

    sent = []
    with Backend(script) as backend, tcp(backend) as weir:
        family, target = split_address(weir.address)
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(target)
        until(lambda: sent, "the first bytes")
        seen = -1
        while seen != sum(sent):  # until it stands still
            seen = sum(sent)
            threading.Event().wait(0.3)
        until(lambda: sum(sent) - in_kernel(backend.address, weir.address) < 4_000_000,
              "weir to hold little")
        sock.close()
