# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote: curl in its many ways, and load generators in small doses."""
import hashlib
import json
import re
import subprocess

import pytest

from peers import http1
from peers.backend import Backend, fixed, serve
from peers.net import HANG_SECONDS
from peers.weir import start


def curl(*arguments, data=None):
    done = subprocess.run(["curl", "-sS", "--max-time", str(HANG_SECONDS),
                           "--expect100-timeout", "0.1", *arguments],
                          input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plain():
    with Backend() as backend, start(backend) as weir:
        weir.backend = backend
        yield weir


def test_curl_gets(plain):
    assert json.loads(curl(f"http://{plain.address}/a?b=c"))["target"] == "/a?b=c"


def test_curl_head(plain):
    out = curl("-I", f"http://{plain.address}/")
    assert out.startswith(b"HTTP/1.1 200 ")


def test_curl_reuses_its_connection(plain):
    out = curl(*[f"http://{plain.address}/{i}" for i in range(10)],
               *["-o", "/dev/null"] * 10, "-w", "%{num_connects} %{http_code}\n")
    assert out.split() == [b"1", b"200"] + [b"0", b"200"] * 9


@pytest.mark.parametrize("extra", [[], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"],
                                   ["-H", "Expect: 100-continue"]])
def test_curl_posts(plain, extra):
    data = b"0123456789" * 20000
    assert json.loads(curl(*extra, "--data-binary", "@-", f"http://{plain.address}/",
                           data=data))["length"] == len(data)


def test_curl_uploads_a_file(plain, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3000000)
    assert json.loads(curl("-T", str(path), f"http://{plain.address}/"))["length"] == 3000000


def test_curl_posts_a_form(plain, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100000)
    answer = json.loads(curl("-F", f"file=@{path}", f"http://{plain.address}/"))
    assert answer["length"] > 100000


def test_curl_trailers():
    answer = fixed(200, chunks=[b"data"], trailers=["X-Sum: 1"])
    with Backend(answer) as backend, start(backend) as weir:
        out = curl("-D", "-", f"http://{weir.address}/")
        assert out.endswith(b"data") or b"data" in out
        assert b"X-Sum: 1" in out


def test_curl_through_a_unix_socket(tmp_path):
    path = f"{tmp_path}/s"
    with Backend() as backend, start(backend, bind=f"unix:{path}") as weir:
        assert weir.pid
        assert json.loads(curl("--unix-socket", path, "http://name.test/"))["target"] == "/"
        assert backend.last().get("host") == "name.test"


def test_curl_resumes_a_download():
    data = bytes(range(256)) * 1000

    def answer(message):
        start_at = int(re.match(r"bytes=(\d+)-", message.get("range"))[1])
        return http1.response(206, f"Content-Range: bytes {start_at}-{len(data) - 1}/{len(data)}",
                              body=data[start_at:])

    with Backend(serve(answer)) as backend, start(backend) as weir:
        assert curl("-r", "1000-", f"http://{weir.address}/") == data[1000:]


def test_curl_follows_a_redirect():
    frontend = {"routes": [{"match": {"path": "/old/*"}, "redirect": {"to": "/new/{rest}"}}]}
    with Backend() as backend, start(backend, frontend=frontend) as weir:
        out = curl("-L", "-d", "abc", f"http://{weir.address}/old/x")
        assert json.loads(out)["target"] == "/new/x"
        assert json.loads(out)["length"] == 3  # 308 keeps method and body


def test_curl_in_parallel(plain):
    urls = [f"http://{plain.address}/{i}" for i in range(100)]
    out = curl("-Z", "--parallel-max", "20", *urls, *["-o", "/dev/null"] * 100, "-w",
               "%{http_code}\n")
    assert out.split() == [b"200"] * 100


def test_curl_as_a_forward_proxy_sends_absolute_form(plain):
    out = curl("-x", f"http://{plain.address}", "http://other.test/path")
    assert json.loads(out)["target"] == "/path"
    assert plain.backend.last().get("host") == "other.test"


@pytest.fixture(scope="module")
def quick():
    """A backend that costs nothing: two of weir's own test servers would do as well."""
    with Backend(fixed(200, body=b"x" * 100)) as one, Backend(fixed(200, body=b"x" * 100)) as two:
        with start(one, two, workers=2) as weir:
            yield weir


def tool(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS * 2,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("keep", [[], ["-k"]], ids=["close", "keep"])
def test_ab(quick, keep):
    out = tool("ab", "-q", *keep, "-n", "1000", "-c", "20", f"http://{quick.address}/")
    assert re.search(r"Complete requests:\s+1000\n", out)
    assert re.search(r"Failed requests:\s+0\n", out), out
    assert "Non-2xx" not in out


def test_hey(quick):
    out = tool("hey", "-n", "1000", "-c", "20", f"http://{quick.address}/")
    assert re.search(r"\[200\]\s+1000 responses", out), out
    assert "Error" not in out


def test_wrk(quick):
    out = tool("wrk", "-t", "1", "-c", "16", "-d", "1s", f"http://{quick.address}/")
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    assert int(re.search(r"(\d+) requests in", out)[1]) > 100


def test_python_http_client(plain):
    import http.client
    connection = http.client.HTTPConnection(plain.address, timeout=HANG_SECONDS)
    for i in range(10):
        connection.request("PUT", f"/{i}", body=iter([b"abc", b"def"]),
                           headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["length"] == 6
    connection.close()


def test_python_sums_of_many_sizes():
    """Bodies by urllib: sha256 of what arrives."""
    import urllib.request

    def answer(message):
        size = int(message.target[1:])
        body = hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)
        return http1.response(200, "Connection: close", body=body[:size])

    with Backend(serve(answer)) as backend, start(backend) as weir:
        for size in (0, 1, 31, 4096, 65536, 1000000):
            expected = (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]
            with urllib.request.urlopen(f"http://{weir.address}/{size}",
                                        timeout=HANG_SECONDS) as response:
                assert response.read() == expected
