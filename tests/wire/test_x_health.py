# SPDX-License-Identifier: Apache-2.0
"""Active health checks over real sockets: before the first request, while backends die and return,
and what they cost a start and an end."""
import time

from peers import http1
from peers.backend import Backend, full_listener, tcp_echo
from peers.net import HOST, free_port, until
from peers.weir import start

QUICK = {"type": "http", "interval": "400ms", "fast_interval": "100ms", "timeout": "300ms",
         "unhealthy_threshold": 2, "healthy_threshold": 2}


def mute_script(connection):
    while connection.request():
        pass


def page(status, own=b"served"):
    """Answers /health with this status and everything else with 200; `status[0]` may change."""
    def script(connection):
        while True:
            request = connection.request()
            if not request:
                return
            if request.target == "/health":
                connection.send(http1.response(status[0], body=b""))
                return
            connection.send(http1.response(body=own))
    return script


def test_the_first_check_comes_before_the_first_request():
    with Backend(page([200], b"well")) as well, Backend(page([500])) as ill:
        with start(ill, well, pool={"health_check": QUICK}) as weir:
            for _ in range(6):
                assert weir.ask().text == "well"
            assert ill.served == []
            line = next(line for line in weir.log() if line["msg"] == "backends are checked")
            assert (line["up"], line["down"], line["unknown"], line["of"]) == (1, 1, 0, 2)


def test_down_and_up_again():
    status = [200]
    with Backend(page(status)) as backend, \
            start(backend, pool={"health_check": QUICK}) as weir:
        assert weir.ask().status == 200
        status[0] = 503
        line = weir.wait_log("backend is down")[0]
        assert '"streak":2' in line and '"reason":"status 503 instead of 200-299"' in line
        assert weir.ask().status == 503
        assert '"eligible":0' in weir.wait_log("pool has lost its last backend")[0]
        status[0] = 200
        weir.wait_log("pool has a backend again")
        assert weir.ask().status == 200
        assert len(backend.served) == 2


def test_a_check_that_is_decided_early_ends_in_order():
    """By the head, or by a word in the body: what follows is read, within reason, and nobody is reset."""
    ends = []

    def script(connection):
        if connection.request():
            connection.send(http1.response(status, body=b"well" + b"x" * 60_000))
            ends.append(connection.sock.recv(1))  # raises when it is reset
            ends.append(b"closed")

    for status, check in ((200, QUICK), (500, QUICK), (200, {**QUICK, "expect": {"body": "well"}})):
        ends.clear()
        with Backend(script) as backend, start(backend, pool={"health_check": check}):
            until(lambda: len(ends) >= 4 or any(one.error for one in backend.connections), "two checks")
            assert not any(one.error for one in backend.connections), backend.connections[0].error
            assert set(ends) == {b"", b"closed"}


def test_a_check_does_not_read_for_ever():
    """A backend that never ends its answer is left, in time for the next check."""
    def script(connection):
        if connection.request():
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    with Backend(script) as backend, start(backend, pool={"health_check": QUICK}) as weir:
        until(lambda: sum(one.closed.is_set() for one in backend.connections) >= 3, "checks that ended")
        assert "backend is down" not in weir.stderr


def test_a_hanging_backend_does_not_hold_up_the_start():
    listener, silent, fillers = full_listener()
    with Backend() as backend, Backend(mute_script) as mute:
        began = time.monotonic()
        checks = {**QUICK, "timeout": "20s", "interval": "30s"}
        with start(mute, backend, silent, pool={"health_check": checks}) as weir:
            assert time.monotonic() - began < 5  # 1 s, and a busy machine
            for _ in range(3):
                assert weir.ask().status == 200
            assert mute.served == []
            began = time.monotonic()
            weir.stop()
            assert time.monotonic() - began < 5  # though two probes are out
    for sock in (listener, *fillers):
        sock.close()


def test_tcp_checks():
    port = free_port()
    with Backend(tcp_echo) as backend, start(
            backend, f"{HOST}:{port}", protocol="tcp",
            pool={"health_check": {**QUICK, "type": "tcp"}}) as weir:
        weir.wait_log("backend is down")
        for _ in range(4):
            with weir.client() as client:
                client.send(b"ping").end()
                assert client.rest() == b"ping"
        with Backend(tcp_echo, port=port) as second:
            weir.wait_log("backend is healthy")
            for _ in range(4):
                with weir.client() as client:
                    client.send(b"ping").end()
                    assert client.rest() == b"ping"
            assert [bool(each.raw) for each in second.connections].count(True) == 2


def test_checks_elsewhere():
    """Another port, path, host and method, and a text that must be there."""
    def well(connection):
        request = connection.request()
        assert (request.method, request.target) == ("GET", "/own?x=y")
        assert request.get("host") == "checks.test"
        connection.send(http1.response(body=b"the state is: fine, thanks"))

    with Backend() as backend, Backend(well) as checked:
        own = {"address": backend.address, "health_check": {
            "port": int(checked.address.rpartition(":")[2]), "path": "/own?x=y",
            "host": "checks.test"}}
        checks = {**QUICK, "expect": {"body": "state is: fine"}}
        with start(own, pool={"health_check": checks}) as weir:
            assert weir.ask().status == 200
            assert len(backend.heads) == 1
            until(lambda: len(checked.heads) >= 3, "more checks")
            assert not any("is down" in line["msg"] for line in weir.log())


def test_a_name_is_checked_once_it_has_an_address():
    port = free_port()
    with Backend() as other, start(other, f"localhost:{port}",
                                   pool={"health_check": QUICK}) as weir:
        weir.wait_log("backend is down")
        with Backend(host="127.0.0.1", port=port) as named:
            weir.wait_log("backend is healthy")
            for _ in range(4):
                assert weir.ask().status == 200
            assert len(named.served) == 2
            assert named.heads[0].get("host") == f"localhost:{port}"


def test_requests_tell_sooner_than_checks():
    """Connects that fail take a backend out, and checks bring it back."""
    checks = {**QUICK, "unhealthy_threshold": 1000}  # checks alone would take minutes
    pool = {"health_check": checks, "outliers": {"connect_failures": 3},
            "retry": {"when": ["connect"]}}
    port = free_port()
    with Backend() as stays:
        with Backend(port=port) as goes, start(stays, goes, pool=pool) as weir:
            goes.stop()
            for _ in range(10):
                assert weir.ask().status == 200
            line = weir.wait_log("backend is down")[0]
            assert '"reason":"connection refused"' in line
            failed = len([line for line in weir.log() if line["msg"].startswith("connect failed")])
            for _ in range(10):
                assert weir.ask().status == 200
            assert len([line for line in weir.log()
                        if line["msg"].startswith("connect failed")]) <= failed + 1
            with Backend(port=port) as back:
                weir.wait_log("backend is healthy")
                for _ in range(4):
                    assert weir.ask().status == 200
                assert len(back.served) == 2


def test_an_ejected_backend_returns():
    def script(connection):
        while connection.request():
            connection.send(http1.response(500, body=b"no"))

    pool = {"health_check": "none", "outliers": {"errors": 3, "eject_for": "1s", "jitter": "none"},
            "retry": {"max_attempts": 1}}
    with Backend() as well, Backend(script) as ill, start(well, ill, pool=pool) as weir:
        assert [weir.ask().status for _ in range(6)].count(500) == 3
        weir.wait_log("backend is ejected")
        assert [weir.ask().status for _ in range(6)] == [200] * 6
        line = weir.wait_log("backend has returned")[0]
        assert '"eligible":2' in line
        assert 500 in [weir.ask().status for _ in range(4)]
