# SPDX-License-Identifier: Apache-2.0
"""It starts, serves one request and ends."""
from peers.backend import Backend
from peers.weir import IO, start


def test_serves_one_get():
    with Backend() as backend, start(backend) as weir:
        response = weir.ask()
        assert response.status == 200
        assert backend.last().method == "GET"


def test_first_line_says_what_it_runs_on():
    with Backend() as backend, start(backend, workers=2) as weir:
        line, = [line for line in weir.log() if "serves" in line["msg"]]
        assert line["io"] == IO
        assert line["io_why"]
        assert line["workers"] == 2
        assert line["max_connections"] > 0
        assert line["descriptors"] > 0


def test_auto_takes_one_and_says_why():
    with Backend() as backend, start(backend, io="auto") as weir:
        line, = [line for line in weir.log() if "serves" in line["msg"]]
        assert line["io"] in ("io_uring", "epoll")
        assert line["io_why"]
        assert weir.ask().status == 200
