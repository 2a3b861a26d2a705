# SPDX-License-Identifier: Apache-2.0
"""Who may connect, and how often at the same time, by the address of the connection."""
import socket

import pytest

from peers import http1
from peers.backend import Backend, tcp_echo
from peers.net import HOST, connect, free_port, reset, until
from peers.weir import start, told

ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
INFO = {"level": "info", "format": "json"}
DENIED = "connection denied"


def is_turned_away(weir, source=None, address=None):
    """Whether the connection is closed without a byte, whatever is sent."""
    try:
        with weir.client(address=address, source=source) as client:
            client.send(http1.request())
            return client.rest() == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def denials(weir):
    return told(weir.log(), DENIED)


def knock(weir, source, data=b"", then=reset):
    """Connects, sends and leaves at once. False: it was turned away before."""
    try:
        sock = connect(weir.address, source)
        try:
            sock.sendall(data)
        finally:
            then(sock)
        return True
    except (ConnectionResetError, BrokenPipeError):
        return False


# ---- Lists --------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
def test_denied(workers):
    with Backend() as backend:
        with start(backend, frontend={"deny": [TWO, "10.0.0.0/8"]}, workers=workers) as weir:
            for _ in range(8):
                assert weir.ask(source=ONE).status == 200
                assert is_turned_away(weir, TWO)
            assert len(backend.heads) == 8


def test_allowed():
    with Backend() as backend, start(backend, frontend={"allow": f"{ONE}/32"}) as weir:
        assert weir.ask(source=ONE).status == 200
        assert is_turned_away(weir, TWO)
        assert len(backend.heads) == 1


def test_denied_although_allowed():
    with Backend() as backend:
        with start(backend, frontend={"allow": "127.0.0.0/8", "deny": TWO}) as weir:
            assert weir.ask(source=ONE).status == 200
            assert weir.ask(source=THREE).status == 200
            assert is_turned_away(weir, TWO)


@pytest.mark.parametrize("key, word, turned_away", [
    ("allow", "loopback", False), ("deny", "loopback", True),
    ("allow", "private", True), ("deny", "private", False)])
def test_words_for_networks(key, word, turned_away):
    with Backend() as backend, start(backend, frontend={key: word}) as weir:
        if turned_away:
            assert is_turned_away(weir, ONE)
        else:
            assert weir.ask(source=ONE).status == 200


def test_ipv6():
    for allow, turned_away in (("::1", False), ("2001:db8::/32", True), ("127.0.0.0/8", True)):
        address = f"[::1]:{free_port()}"
        with Backend() as backend, start(backend, bind=address, frontend={"allow": allow}) as weir:
            if turned_away:
                assert is_turned_away(weir)
            else:
                assert weir.ask().status == 200


def test_a_unix_socket_has_its_own_rights(tmp_path_factory):
    address = f"unix:{tmp_path_factory.mktemp('s')}/front"
    frontend = {"allow": "10.0.0.0/8", "limits": {"per_ip_connections": 1}}
    with Backend() as backend, start(backend, bind=address, frontend=frontend) as weir:
        with weir.client() as first, weir.client() as second:
            assert first.ask().status == 200
            assert second.ask().status == 200


def test_tcp():
    with Backend(tcp_echo) as backend:
        with start(backend, protocol="tcp", frontend={"deny": TWO}) as weir:
            with weir.client(source=ONE) as client:
                client.send(b"hello")
                assert client.reader.exactly(5) == b"hello"
            assert is_turned_away(weir, TWO)
            assert len(backend.connections) == 1


def test_the_word_of_a_proxy_does_not_count():
    frontend = {"deny": [TWO, "192.0.2.0/24"], "client_ip": {"trusted_proxies": "loopback"}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        assert weir.ask("GET", "/", "X-Forwarded-For: 192.0.2.1", source=ONE).status == 200
        assert is_turned_away(weir, TWO)


def test_a_request_with_a_reset_behind_it():
    """The kernel no longer tells whose connection it was, and would still hand over the request."""
    frontend = {"deny": TWO, "limits": {"per_ip_connections": 1}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        for _ in range(300):
            knock(weir, TWO, http1.request("POST", "/", body=b"x"))
        assert weir.ask(source=ONE).status == 200
        assert [head.method for head in backend.heads] == ["GET"]


def test_a_denial_is_told_once():
    with Backend() as backend, start(backend, frontend={"deny": TWO}, log=INFO) as weir:
        for _ in range(50):
            assert is_turned_away(weir, TWO)
        until(lambda: denials(weir)[1] == 50, "all denials in the log")
        lines, _ = denials(weir)
        assert lines[0]["level"] == "info"
        assert lines[0]["client"] == TWO
        assert lines[0]["frontend"] == "web"
        assert lines[0]["key"] == "frontends.web.deny"
        assert len(lines) < 20


def test_who_is_not_allowed_is_told_by_which_key():
    with Backend() as backend, start(backend, frontend={"allow": ONE}, log=INFO) as weir:
        assert is_turned_away(weir, TWO)
        weir.wait_log(DENIED)
        assert denials(weir)[0][0]["key"] == "frontends.web.allow"


# ---- Connections of one address -----------------------------------------------------------------

def capped(backend, limit, **rest):
    frontend = {"limits": {"per_ip_connections": limit}}
    return start(backend, frontend=frontend, **rest)


def come_in(weir, source, count):
    clients = [weir.client(source=source) for _ in range(count)]
    for client in clients:
        assert client.ask().status == 200
    return clients


@pytest.mark.parametrize("workers", [1, 4])
def test_so_many_and_no_more(workers):
    with Backend() as backend, capped(backend, 3, workers=workers) as weir:
        ones = come_in(weir, ONE, 3)
        for _ in range(5):
            assert is_turned_away(weir, ONE)
        twos = come_in(weir, TWO, 3)
        assert is_turned_away(weir, TWO)
        ones[0].close()
        until(lambda: not is_turned_away_for_good(weir, ONE), "the place that became free")
        for client in ones[1:] + twos:
            assert client.ask().status == 200  # they never noticed


def is_turned_away_for_good(weir, source):
    """As is_turned_away, but a connection that is taken asks and leaves in order."""
    try:
        return weir.ask(source=source).status != 200
    except (ConnectionResetError, BrokenPipeError, AssertionError):
        return True


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("data", [b"", http1.request()], ids=["silent", "request"])
@pytest.mark.parametrize("then", [reset, socket.socket.close])
def test_places_come_back(workers, data, then):
    with Backend() as backend, capped(backend, 10, workers=workers) as weir:
        for _ in range(400):
            knock(weir, ONE, data, then)

        def all_come_in():
            try:
                come_in(weir, ONE, 10)
                return True
            except (ConnectionResetError, BrokenPipeError, AssertionError):
                return False
            finally:
                for client in weir.clients:
                    client.close()
                weir.clients.clear()

        until(all_come_in, "all ten places")


def test_ipv6_clients():
    address = f"[::1]:{free_port()}"
    with Backend() as backend, capped(backend, 2, bind=address) as weir:
        come_in(weir, None, 2)
        assert is_turned_away(weir)


def test_tcp_connections_count():
    with Backend(tcp_echo) as backend, capped(backend, 1, protocol="tcp") as weir:
        with weir.client(source=ONE) as client:
            client.send(b"hello")
            assert client.reader.exactly(5) == b"hello"
            assert is_turned_away(weir, ONE)
            assert len(backend.connections) == 1


def test_frontends_count_apart():
    other = f"{HOST}:{free_port()}"
    with Backend() as backend:
        frontends = {"api": {"bind": other, "pool": "app", "limits": {"per_ip_connections": 1}}}
        with capped(backend, 1, frontends=frontends) as weir:
            with weir.client(source=ONE) as first, weir.client(other, ONE) as second:
                assert first.ask().status == 200
                assert second.ask().status == 200
                assert is_turned_away(weir, ONE)
                assert is_turned_away(weir, ONE, other)


def test_one_too_many_is_a_warning():
    with Backend() as backend, capped(backend, 1, log={"format": "json"}) as weir:
        come_in(weir, ONE, 1)
        for _ in range(30):
            assert is_turned_away(weir, ONE)
        until(lambda: denials(weir)[1] == 30, "all of them in the log")
        line = denials(weir)[0][0]
        assert line["level"] == "warn"
        assert line["client"] == ONE
        assert line["key"] == "frontends.web.limits.per_ip_connections"


def test_both_limits_of_a_frontend():
    """A place that the frontend does not have is no place taken from the client."""
    frontend = {"limits": {"connections": 2, "per_ip_connections": 2}}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        first = come_in(weir, ONE, 2)
        waits = connect(weir.address, TWO)
        waits.sendall(http1.request())
        waits.setblocking(False)
        with pytest.raises(BlockingIOError):
            waits.recv(1)
        first[0].close()
        waits.settimeout(30)
        assert waits.recv(12) == b"HTTP/1.1 200"
        waits.shutdown(socket.SHUT_RDWR)
        waits.close()
        first[1].close()
        until(lambda: not is_turned_away_for_good(weir, ONE), "a place")
