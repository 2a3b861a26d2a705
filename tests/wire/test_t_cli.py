# SPDX-License-Identifier: Apache-2.0
"""The command line: what a user gets who does something wrong, and the small commands."""
import json
import os
import pty
import re
import signal
import socket
import subprocess

import pytest

from peers.backend import Backend
from peers.client import Client
from peers.http1 import Cut, request
from peers.net import HOST, free_port, refuses, until
from peers.weir import BINARY, IO, Weir, run, settings, start


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


GOOD = "bind: 127.0.0.1:1\nbackends: [127.0.0.1:2]\n"


def test_version():
    code, out, err = run("--version")
    assert code == 0 and err == ""
    assert re.fullmatch(r"weir \d+\.\d+\.\d+\n", out)
    assert run("-V")[1] == out
    code, out, _ = run("-VV")
    assert code == 0
    for word in ("compiler", "libraries", "io_uring", "epoll"):
        assert word in out


def test_help_fits_a_screen():
    for arguments in (["--help"], ["-h"], ["help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert len(out.splitlines()) <= 25
        assert max(map(len, out.splitlines())) <= 80
    assert len(run("--help-all")[1]) > len(out)


@pytest.mark.parametrize("arguments, hint", [
    (["--nonsense"], "--help"), (["--versoin"], "--version"), (["nonsense"], "help"),
    (["chekc", "x.yaml"], "check"), (["-c"], "-c"), (["--io", "x", "a.yaml"], "io_uring"),
    (["-p", "99999"], "99999"), (["--workers", "0", "-b", "127.0.0.1:1"], "workers"),
])
def test_usage_errors(arguments, hint):
    code, out, err = run(*arguments)
    assert code in (2, 78)
    assert out == ""
    assert hint in err
    assert len(err.splitlines()) < 8


@pytest.mark.parametrize("arguments", [["-c", "/none/such.yaml"], ["/none/such.yaml"],
                                       ["check", "/none/such.yaml"]])
def test_a_missing_file(arguments):
    code, out, err = run(*arguments)
    assert code == 78
    assert out == ""
    assert "failed to read configuration at /none/such.yaml" in err
    assert "No such file" in err


def test_one_run_names_every_error_with_its_place(tmp_path):
    path = written(tmp_path, "bad.yaml", """\
pools:
  app:
    algoritm: round_robin
    backends: [127.0.0.1:99999, "127.0.0.1:80"]
frontends:
  web:
    bind: ":8080"
    pool: ap
    timeouts: {client_idle: 5}
""")
    for arguments in (["check", path], ["-t", "-c", path], ["-c", path], [path]):
        code, _, err = run(*arguments)
        assert code == 78
        assert f"{path}:3:5: error" in err and "algorithm" in err
        assert f"{path}:4:" in err and "99999" in err
        assert f"{path}:8:" in err and "app" in err
        assert f"{path}:9:" in err and "5s or 5ms" in err
        assert "4 errors" in err


def test_errors_as_json(tmp_path):
    path = written(tmp_path, "bad.yaml", "backends: [nonsense]\n")
    code, out, _ = run("check", "--format", "json", path)
    assert code == 78
    error, = json.loads(out)
    assert error["file"] == path and error["line"] == 1 and error["column"] == 12


@pytest.mark.parametrize("name, text", [
    ("bad.yaml", "a: [b\n"), ("bad.toml", "a = [\n"), ("bad.json", '{"a": }'),
])
def test_syntax_errors(tmp_path, name, text):
    path = written(tmp_path, name, text)
    code, _, err = run("-c", path)
    assert code == 78
    assert f"{path}:" in err
    assert "failed to parse configuration" in err


def test_keys_that_are_not_built_yet_are_errors(tmp_path):
    path = written(tmp_path, "c.yaml", 
                   "pools: {p: {backends: [127.0.0.1:2]}}\n"
                   "frontends: {web: {bind: 127.0.0.1:1, pool: p, compress: {}}}\n")
    code, _, err = run("check", path)
    assert code == 78
    assert "'compress'" in err and "not built yet" in err


def test_check_of_a_good_file(tmp_path):
    code, out, err = run("check", written(tmp_path, "c.yaml", GOOD))
    assert code == 0
    assert "ok" in out + err


@pytest.mark.parametrize("syntax", ["yaml", "toml", "json"])
def test_show_gives_a_configuration_that_means_the_same(tmp_path, syntax):
    path = written(tmp_path, "c.yaml", GOOD)
    code, out, err = run("config", "show", path, "--format", syntax)
    assert code == 0, err
    assert "client_idle" in out  # defaults are filled in
    again = written(tmp_path, f"again.{syntax}", out)
    code, twice, err = run("config", "show", again, "--format", syntax)
    assert code == 0, err
    assert twice == out


@pytest.mark.parametrize("syntax", ["yaml", "toml", "json"])
def test_convert(tmp_path, syntax):
    path = written(tmp_path, "c.toml", '[frontend]\nbind_on = "127.0.0.1:1"\n'
                   '[[frontend.backend]]\nforward_to = "127.0.0.1:2"\n')
    code, out, err = run("config", "convert", path, "--format", syntax)
    assert code == 0, err
    other = written(tmp_path, f"other.{syntax}", out)
    assert run("config", "show", other)[1] == run("config", "show", path)[1]


@pytest.mark.parametrize("syntax", ["yaml", "toml", "json"])
def test_import(tmp_path, syntax):
    path = written(tmp_path, "config.yaml", "load balancer: http://127.0.0.1:8000\n!! its address\n"
                   "servers: http://127.0.0.1:1, http://127.0.0.1:2\nalgorithm: wlrt\nweights: 3, 4\n")
    code, out, err = run("import", "bal-rs", path, "--format", syntax)
    assert code == 0, err
    other = written(tmp_path, f"other.{syntax}", out)
    assert run("config", "show", other)[1] == run("config", "show", path)[1]
    assert "weight: 4" in run("config", "show", path)[1]


def test_schema_is_json():
    code, out, _ = run("config", "schema")
    assert code == 0
    schema = json.loads(out)
    assert "2020-12" in schema["$schema"]
    assert "frontends" in out and "algorithm" in out


def test_no_command_prints_a_secret(tmp_path):
    path = written(tmp_path, "c.yaml", "backends: [127.0.0.1:1]\npools: {default: {sticky: {secret: "
                   "correct-horse-battery}}}\n")
    for words in (["check"], ["check", "--format", "json"], ["config", "show"],
                  ["config", "show", "--origin"]):
        code, out, err = run(*words, path)
        assert code == 0, err
        assert "W116" in out + err and "horse" not in out + err
    code, out, _ = run("config", "show", path)
    shown = written(tmp_path, "shown.yaml", out)
    code, _, err = run("check", shown)
    assert code == 78 and "was not shown" in err


def test_help_on_a_word_that_is_a_command_and_a_key():
    code, out, _ = run("help", "backends")
    assert code == 0
    assert out.index("weir backends add") < out.index("weir backends list") \
        < out.index("The key of that name in a configuration:") < out.index("Short for pools.default.backends")


def test_help_on_a_key():
    code, out, _ = run("help", "pools.app.algorithm")
    assert code == 0 and "round_robin" in out


def test_the_port_is_taken():
    with Backend() as backend, start(backend) as weir:
        for workers in ("1", "4"):
            code, out, err = run("--io", IO, "-c", weir.config_path, "--workers", workers)
            assert code == 1
            assert out == ""
            lines = [line for line in err.splitlines() if line.startswith("weir: ")]
            assert len(lines) == 1
            assert f"unable to bind on {weir.address}: Address already in use" in lines[0]
        assert weir.ask().status == 200


def test_an_address_that_is_not_ours(tmp_path):
    path = written(tmp_path, "c.yaml", "bind: 192.0.2.1:80\nbackends: [127.0.0.1:2]\n")
    code, _, err = run("--io", IO, "-c", path)
    assert code == 1
    assert "unable to bind on 192.0.2.1:80" in err


def test_a_unix_socket_that_is_taken(tmp_path):
    path = f"{tmp_path}/s"
    with Backend() as backend, start(backend, bind=f"unix:{path}") as weir:
        code, _, err = run("--io", IO, "-c", weir.config_path)
        assert code == 1
        assert f"unable to bind on unix:{path}" in err
        assert os.path.exists(path)
        assert weir.ask().status == 200


# The ways to start

def test_positional_file(tmp_path):
    with Backend() as backend:
        tree, address = settings([backend])
        path = written(tmp_path, "config.json", json.dumps(tree))
        with Weir(args=[path], address=address) as weir:
            assert weir.ask().status == 200


def test_standard_input(tmp_path):
    with Backend() as backend:
        tree, address = settings([backend])
        process = subprocess.Popen([BINARY, "--io", IO, "-c", "-"], stdin=subprocess.PIPE,
                                   stderr=open(tmp_path / "err", "wb"))
        process.stdin.write(json.dumps(tree).encode())
        process.stdin.close()
        try:
            until(lambda: "serves" in (tmp_path / "err").read_text(), "it to serve")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    assert address


def test_a_file_in_the_working_folder(tmp_path):
    with Backend() as backend:
        tree, address = settings([backend])
        written(tmp_path, "weir.json", json.dumps(tree))
        with Weir(cwd=tmp_path, address=address) as weir:
            assert weir.ask().status == 200
            assert "weir.json" in weir.log()[0]["configuration"]


def test_weir_config_names_a_file(tmp_path):
    with Backend() as backend:
        tree, address = settings([backend])
        path = written(tmp_path, "other.json", json.dumps(tree))
        with Weir(cwd=tmp_path, env={"WEIR_CONFIG": path}, address=address) as weir:
            assert weir.ask().status == 200


def test_environment_alone(tmp_path):
    address = f"{HOST}:{free_port()}"
    with Backend() as backend:
        env = {"WEIR_FRONTENDS__WEB__BIND": address,
               "WEIR_FRONTENDS__WEB__POOL": "app",
               "WEIR_POOLS__APP__BACKENDS": backend.address}
        with Weir(cwd=tmp_path, env=env, address=address) as weir:
            assert weir.ask().status == 200


def test_set_wins_over_environment_and_file():
    with Backend() as backend:
        tree, _ = settings([backend])
        first, second = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
        with Weir(tree, env={"WEIR_FRONTENDS__WEB__BIND": first}, address=first) as weir:
            assert weir.ask().status == 200
        with Weir(tree, env={"WEIR_FRONTENDS__WEB__BIND": first}, address=second,
                  args=["--set", f"frontends.web.bind={second}"]) as weir:
            assert weir.ask().status == 200


def test_variables_and_a_dotenv_file(tmp_path):
    address = f"{HOST}:{free_port()}"
    with Backend() as backend:
        written(tmp_path, ".env", f"ADDRESS={address}\nSERVER={backend.address}\n")
        written(tmp_path, "weir.yaml", "bind: ${ADDRESS}\nbackends: ['${SERVER}']\n"
                                       "runtime: {workers: '${WORKERS:-2}'}\n")
        unset = ("env", "-u", "WEIR_RUNTIME__WORKERS")  # it would have the last word
        with Weir(cwd=tmp_path, address=address, wrapper=unset) as weir:
            assert weir.ask().status == 200
            assert weir.log()[-1]["workers"] == 2


@pytest.mark.parametrize("io, flag", [(IO, None), ("auto", IO), ("epoll", IO)])
def test_io_by_configuration_and_by_flag(io, flag):
    with Backend() as backend:
        with start(backend, io=flag, runtime={"io": io}) as weir:
            line, = [line for line in weir.log() if "serves" in line["msg"]]
            assert line["io"] == IO
            assert weir.ask().status == 200


# weir test-backend

@pytest.fixture
def test_backend(tmp_path):
    process = subprocess.Popen([BINARY, "test-backend", f"{HOST}:0", "--io", IO],
                               stdout=open(tmp_path / "out", "wb"))
    try:
        until(lambda: "listening on" in (tmp_path / "out").read_text(), "the test backend")
        yield re.search(r"http://(\S+?);", (tmp_path / "out").read_text())[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_test_backend_behind_weir(test_backend):
    with start(test_backend) as weir, weir.client() as client:
        response = client.ask("GET", "/api/test", "X-A: b")
        assert response.status == 200
        assert response.get("content-type").startswith("application/json")
        assert json.loads(response.body)
        assert client.ask("GET", "/?status=418").status == 418
        assert len(client.ask("GET", "/?size=100000").body) == 100000
        assert client.ask("GET", "/?delay=20").status == 200
        assert client.ask("GET", "/health").status == 200
        assert client.ask("POST", "/", body=b"x" * 100000).status == 200
        assert client.ask("HEAD", "/").body == b""


def test_test_backend_told_to_fail(test_backend):
    def ask(*what, **rest):
        with Client(test_backend) as client:
            return client.ask(*what, **rest)

    with Client(test_backend) as control:
        def tell(words):
            assert control.ask("POST", f"/-/fault?{words}").status == 200

        def counts():
            return json.loads(control.ask("GET", "/-/fault").body)

        tell("status=500&health=200")
        assert ask().status == ask("POST", "/", body=b"x" * 1000).status == 500
        assert ask("GET", "/health").status == 200
        tell("reset=1")
        with pytest.raises(ConnectionResetError):
            ask()
        tell("close=1")
        with pytest.raises(Cut):
            ask()
        tell("cut=1")
        with pytest.raises(Cut) as cut:
            ask("GET", "/?size=1000000")
        assert len(cut.value.got) == 500000
        tell("refuse=1&for=1h")
        until(lambda: refuses(test_backend), "nobody to listen")
        tell("")
        until(lambda: not refuses(test_backend), "its return")
        tell("hang=1")
        with Client(test_backend) as client:
            client.send(request())
            until(lambda: counts()["faulty"] == 6, "the request to hang")
            tell("hang=1&for=1ms")
            assert client.response().status == 200
        assert counts()["methods"] == {"GET": 5, "POST": 1}
        until(lambda: counts()["sockets"] == 0, "the other connections to be gone")
        assert control.ask("DELETE", "/-/fault").status == 200
        assert counts()["requests"] == counts()["sockets_max"] == 0


@pytest.mark.parametrize("words", ["hang=2", "nonsense=1", "refuse=1"])
def test_test_backend_with_a_wrong_fault(words):
    code, out, err = run("test-backend", "1", "--fault", words)
    assert code == 2 and out == "" and "--fault" in err and "weir help test-backend" in err


def test_an_error_at_the_start_comes_alone():
    """On a terminal a summary greets, but not one of something that cannot start."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ours, theirs = pty.openpty()
        done = subprocess.run([BINARY, "-b", "127.0.0.1:1", "-p", str(port)], stderr=theirs,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        os.close(theirs)
        said = os.read(ours, 65536).decode()
        os.close(ours)
    assert done.returncode == 1
    assert str(port) in said and len(said.splitlines()) == 1, said


@pytest.mark.parametrize("algorithm", ["round_robin", "wlc", "maglev", "prequal"])
def test_a_terminal_is_greeted(algorithm):
    """What it serves, in one screen, whatever is chosen."""
    port = free_port()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BINARY, "-b", "127.0.0.1:1,127.0.0.1:2", "-a", algorithm, "-p", str(port),
         "--set", f"admin.bind={HOST}:{free_port()}"], stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    while b"serves" not in said:
        said += os.read(ours, 65536)
    process.terminate()
    assert process.wait(60) == 0
    os.close(ours)
    name = {"wlc": "least_connections"}.get(algorithm, algorithm)
    assert f"-> {name} over 2 backends" in said.decode(), said
    assert "see it     http://" in said.decode() and "(null)" not in said.decode()
