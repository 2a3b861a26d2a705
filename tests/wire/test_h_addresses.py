# SPDX-License-Identifier: Apache-2.0
"""IPv4, IPv6 and unix sockets on both sides; names of backends."""
import os
import stat

import pytest

from peers.backend import Backend
from peers.net import HOST, free_port, refuses, until
from peers.weir import start


@pytest.fixture
def place(tmp_path_factory):
    """A folder with a short name: paths of unix sockets are short."""
    return tmp_path_factory.mktemp("s")


def address_of(kind, place, name):
    if kind == "v4":
        return f"{HOST}:{free_port()}"
    if kind == "v6":
        return f"[::1]:{free_port()}"
    return f"unix:{place}/{name}" if kind == "unix" else f"unix:@weir-test-{os.getpid()}-{name}"


def backend_of(kind, place):
    if kind == "v4":
        return Backend()
    if kind == "v6":
        return Backend(host="::1")
    return Backend(path=address_of(kind, place, "back")[5:])


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize("back", ["v4", "v6", "unix"])
@pytest.mark.parametrize("front", ["v4", "v6", "unix"])
def test_every_pair(front, back, protocol, place):
    address = address_of(front, place, "front")
    with backend_of(back, place) as backend:
        with start(backend, bind=address, protocol=protocol) as weir:
            assert weir.ask().status == 200
            with weir.client() as client:
                data = b"x" * 300000
                assert '"length": 300000' in client.ask("POST", "/", body=data).text
            if protocol == "http":
                head = backend.last()
                assert head.get("x-backend-server") == backend.address
                peer = {"v4": "127.0.0.1", "v6": "::1"}.get(front)
                if peer:
                    assert head.get("x-forwarded-for") == peer
        if front == "unix":
            assert not os.path.exists(address[5:])


@pytest.mark.parametrize("kind, host", [("v4", None), ("v6", None), ("unix", "localhost")])
def test_a_request_without_host(kind, host, place):
    """An HTTP/1.0 request may have none; what is forwarded has one, and a path is none."""
    with backend_of(kind, place) as backend, start(backend) as weir:
        with weir.client() as client:
            assert client.ask(host=None, minor=0).status == 200
        assert backend.last().get("host") == (host or backend.address)


def test_abstract_unix_sockets(place):
    address = address_of("abstract", place, "front")
    with backend_of("abstract", place) as backend, start(backend, bind=address) as weir:
        assert weir.ask().status == 200


def test_ipv6_and_ipv4_listen_side_by_side():
    port = free_port()
    binds = [f"{HOST}:{port}", f"[::1]:{port}"]
    with Backend() as backend, start(backend, bind=binds, workers=2) as weir:
        for address in binds:
            assert weir.ask(address=address).status == 200


def test_a_stale_socket_file_is_replaced(place):
    path = f"{place}/front"
    with Backend() as backend, start(backend, bind=f"unix:{path}") as weir:
        weir.slay()
        # A ring of io_uring lives on a little longer than its process, and so do its sockets.
        until(lambda: refuses(f"unix:{path}"), "nobody to listen")
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with Backend() as backend, start(backend, bind=f"unix:{path}") as weir:
        assert weir.ask().status == 200


def test_a_name_that_resolves():
    with Backend(host="127.0.0.1") as backend:
        with start(f"localhost:{backend.port}") as weir:
            assert weir.ask().status == 200
            assert backend.last().get("x-backend-server") == f"localhost:{backend.port}"


def test_a_name_that_does_not_resolve_takes_no_traffic():
    with Backend() as backend, start("nobody.invalid:80", backend) as weir:
        line, = [line for line in weir.log() if line.get("state") == "unresolved"]
        assert line["level"] == "warn"
        assert line["name"] == "nobody.invalid"
        for _ in range(6):
            assert weir.ask().status == 200
        assert len(backend.heads) == 6


def test_only_names_that_do_not_resolve():
    with start("nobody.invalid:80", "also.invalid:81") as weir:
        response = weir.ask()
        assert response.status == 503
        assert "no_backend_available" in response.text
