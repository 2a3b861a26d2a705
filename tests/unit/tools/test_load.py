# SPDX-License-Identifier: Apache-2.0
"""The load of the drills calls each end of a request by its name."""
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from peers import http1
from peers.backend import Backend, fixed, raw, serve
from peers.load import CUT, LATE, LOST, PATTERN, REFUSED, WRONG, Ask, Fire, sized
from peers.net import HOST, free_port


def outcomes(address, ask=None, **rest):
    options = {"connections": 2, "count": 6, "patience": 5, **rest}
    if ask:
        options["make"] = lambda connection, number: ask
    with Fire(address, **options) as fire:
        return fire.wait().outcomes()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("data, then, outcome", [
    (HEAD + b"Content-Length: 2\r\n\r\nok", "close", 200),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "close", 200),
    (b"HTTP/1.1 103 Early\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", "close", 200),
    (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "close", 503),
    (b"HTTP/1.1 204 No\r\n\r\n", "close", 204),
    (HEAD + b"Content-Length: 3\r\n\r\nok", "close", CUT),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "close", CUT),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "close", CUT),
    (HEAD, "close", CUT),
    (HEAD + b"Content-Length: 3\r\n\r\nok", "wait", LATE),
    (b"", "close", LOST),
    (b"", "reset", LOST),
    (HEAD + b"\r\nok", "close", WRONG),
    (HEAD + b"Content-Length: 1\r\n\r\nok", "close", WRONG),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n", "close", WRONG),
    (b"nonsense\r\n\r\n", "close", WRONG),
])
def test_each_end(data, then, outcome):
    with Backend(raw(data, then)) as backend:
        patience = 0.3 if outcome is LATE else 5
        ask = Ask(http1.request(), closes=True)
        assert outcomes(backend.address, ask, patience=patience) == {outcome: 6}


def test_nobody_there():
    assert outcomes(f"{HOST}:{free_port()}") == {REFUSED: 6}


def test_content_is_compared():
    with Backend(fixed(200, body=PATTERN[:5000])) as backend:
        assert outcomes(backend.address, sized(5000)) == {200: 6}
        assert outcomes(backend.address, sized(4999)) == {WRONG: 6}


def test_answers_know_their_server_and_request():
    def answer(message):
        return http1.response(200, "Retry-After: 1", body=b'{"server_port":77}')

    with Backend(serve(answer)) as backend:
        with Fire(backend.address, 1, lambda connection, number: Ask(http1.request(), number),
                  count=5) as fire:
            fire.wait()
        assert [each.tag for each in fire.answers] == [0, 1, 2, 3, 4]
        assert fire.servers() == {77: 5}
        assert all(each.retry_after for each in fire.answers)
        assert len(backend.connections) == 1


def test_an_open_load_counts_from_when_it_was_due():
    def answer(message):
        time.sleep(0.05)
        return http1.response(200, body=b"")

    with Backend(serve(answer)) as backend:
        with Fire(backend.address, 1, rate=200, count=10) as fire:
            fire.wait()
        # Ten take half a second, and the last one was due after 45 ms.
        assert fire.answers[-1].seconds > 0.3
