# SPDX-License-Identifier: Apache-2.0
"""The seeds' own examples. Where a network of our own can be had they run letter for letter, ports
and all; elsewhere with ports that are free."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from peers.backend import Backend, tcp_echo
from peers.net import HOST, HANG_SECONDS, free_port, until
from peers.weir import BINARY, IO, Weir

SEED_0 = """\
[frontend]
bind_on = "127.0.0.1:7070"

[[frontend.backend]]
forward_to = "127.0.0.1:8080"

[[frontend.backend]]
forward_to = "127.0.0.1:9090"
"""

FOUR = ["listening for connections", "serving connection", "opened client connection",
        "served connection"]


def check_lines(text, address, targets):
    """Seed 0's four INFO lines in their order, once per connection."""
    lines = [line for line in map(json.loads, text.splitlines()) if line["level"] == "info"]
    lines = [line for line in lines if line["msg"] in FOUR]
    assert lines[0]["msg"] == FOUR[0] and lines[0]["local_address"] == address
    assert [line["msg"] for line in lines[1:]] == FOUR[1:] * len(targets)
    for i, target in enumerate(targets):
        serving, opened, served = lines[1 + 3 * i:4 + 3 * i]
        assert serving["peer_address"] == opened["peer_address"] == served["peer_address"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", serving["peer_address"])
        assert opened["target_address"] == target


def test_seed_0_with_free_ports(tmp_path):
    first, second = Backend(tcp_echo), Backend(tcp_echo)
    address = f"{HOST}:{free_port()}"
    text = SEED_0.replace("127.0.0.1:7070", address).replace("127.0.0.1:8080", first.address)
    path = tmp_path / "mini-balancer.local.toml"
    path.write_text(text.replace("127.0.0.1:9090", second.address))
    with Weir(args=["-v", "-c", str(path)], address=address) as weir:
        for i in range(5):
            done = subprocess.run(["socat", f"tcp:{address}", "-"], input=b"connection %d\n" % i,
                                  capture_output=True, timeout=HANG_SECONDS, check=False)
            assert done.stdout == b"connection %d\n" % i, done.stderr
            until(lambda i=i: weir.stderr.count("served connection") == i + 1, "its last line")
        spoken = [[each for each in backend.connections if each.raw] for backend in (first, second)]
        assert [len(each) for each in spoken] == [3, 2]  # health checks say nothing
        check_lines(weir.stderr, address, [first.address, second.address] * 2 + [first.address])
    first.stop()
    second.stop()


SCRIPT_0 = """\
set -e
ip link set lo up
cd "$1"
ln -s "$2" mini-balancer
PATH=$PWD:$PATH
socat -v tcp-l:8080,fork exec:'/bin/cat' 2>one &
socat -v tcp-l:9090,fork exec:'/bin/cat' 2>two &
for port in 8080 9090; do
    until ss -ltn "sport = :$port" | grep -q LISTEN; do sleep 0.01; done
done
mini-balancer -v -c mini-balancer.local.toml 2>log &
balancer=$!
until grep -q serves log; do sleep 0.01; done
echo "first connection" | socat tcp:127.0.0.1:7070 -
echo "second connection" | socat tcp:127.0.0.1:7070 -
echo "third connection" | socat tcp:127.0.0.1:7070 -
until [ "$(grep -c 'served connection' log)" = 3 ]; do sleep 0.01; done
kill -TERM $balancer
wait $balancer
kill %1 %2
"""


def own_network(script, *arguments):
    """Runs a script in a network of its own; skips where that is not allowed."""
    probe = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"],
                           capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no network of our own")
    return subprocess.run(
        ["unshare", "-rn", "--kill-child", "-fp", "--mount-proc", "bash", "-c", script, "bash",
         *arguments], capture_output=True, text=True, timeout=HANG_SECONDS * 2, check=False,
        env={**os.environ, "WEIR_RUNTIME__IO": IO})


def test_seed_0_letter_for_letter(tmp_path):
    (tmp_path / "mini-balancer.local.toml").write_text(SEED_0)
    done = own_network(SCRIPT_0, str(tmp_path), str(pathlib.Path(BINARY).resolve()))
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    assert done.stdout == "first connection\nsecond connection\nthird connection\n"
    check_lines((tmp_path / "log").read_text(), "127.0.0.1:7070",
                ["127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:8080"])
    assert (tmp_path / "one").read_text().count("first connection") == 2  # there and back
    assert (tmp_path / "two").read_text().count("second connection") == 2
    assert "third connection" in (tmp_path / "one").read_text()


def test_seed_0_in_its_default_file(tmp_path):
    address = f"{HOST}:{free_port()}"
    with Backend(tcp_echo) as backend:
        (tmp_path / "mini-balancer.toml").write_text(
            f'[frontend]\nbind_on = "{address}"\n[[frontend.backend]]\n'
            f'forward_to = "{backend.address}"\n')
        with Weir(cwd=tmp_path, address=address) as weir, weir.client() as client:
            client.send(b"ping").end()
            assert client.rest() == b"ping"


def test_seed_0_a_backend_is_down(tmp_path):
    """An error with its reason, and the balancer goes on."""
    address = f"{HOST}:{free_port()}"
    path = tmp_path / "c.toml"
    path.write_text(f'[frontend]\nbind_on = "{address}"\n[[frontend.backend]]\n'
                    f'forward_to = "{HOST}:{free_port()}"\n')
    with Weir(args=["-c", str(path)], address=address) as weir:
        for _ in range(2):
            try:
                with weir.client() as client:
                    assert client.rest() == b""
            except ConnectionResetError:
                pass
        down = json.loads(weir.wait_log("backend is down")[0])
        assert (down["level"], down["reason"]) == ("warn", "connection refused")
        failed = json.loads(weir.wait_log("failed to served connection")[0])
        assert (failed["level"], failed["outcome"]) == ("error", "no_backend_available")


# Seed 1: a file that is named YAML and is none

def test_seed_1_file(tmp_path):
    backends = [Backend() for _ in range(3)]
    address = f"{HOST}:{free_port()}"
    servers = ", ".join(f"http://{backend.address}" for backend in backends)
    (tmp_path / "config.yaml").write_text(
        f"load balancer: http://{address}\n!!  load balancer address\n\n"
        f"algorithm: round_robin\n!!  load balancer algorithm\n\nservers: {servers}\n!!  server "
        "address\n\nweights: 20, 30, 10, 40\n!!  server weights\n\nmax connections: 1000, 1000, 1000, "
        "1000\n!!  max connections\n\ntimeout: 10\n!!  max server response time (in s)\n\n"
        "max retries: 1\n!!  max retires\n\nhealth check interval: 10\n!!  interval (in s)")
    with Weir(cwd=tmp_path, address=address) as weir:
        for _ in range(6):
            assert weir.ask("GET", "/once").status == 200
    for backend in backends:
        assert sum(head.target == "/once" for head in backend.heads) == 2
        backend.stop()


# Seed 2: a file by position, YAML or JSON; requests in turn

@pytest.mark.parametrize("name, named", [
    ("config.yaml", True), ("config.json", True), ("config.yaml", False)])
def test_seed_2_file(tmp_path, name, named):
    backends = [Backend() for _ in range(3)]
    address = f"{HOST}:{free_port()}"
    tree = {"load_balancer": {"algorithm": "round_robin"}, "bind": address, "backends": [
        {"id": f"backend-{i}", "url": f"http://{backend.address}", "weight": 1}
        for i, backend in enumerate(backends)]}
    (tmp_path / name).write_text(json.dumps(tree))
    arguments = [str(tmp_path / name)] if named else []
    with Weir(args=arguments, cwd=tmp_path, address=address) as weir:
        for path in ("/", "/api/test", "/health") * 100:
            assert weir.ask("GET", path).status == 200
    assert [len(backend.served) for backend in backends] == [100, 100, 100]
    for backend in backends:
        backend.stop()


SEED_2 = """\
load_balancer:
  algorithm: round_robin
backends:
  - {id: backend-1, url: "http://127.0.0.1:8001", weight: 1, max_connections: 100}
  - {id: backend-2, url: "http://127.0.0.1:8002", weight: 1, max_connections: 100}
  - {id: backend-3, url: "http://127.0.0.1:8003", weight: 1, max_connections: 100}
health_check: {interval_secs: 1, timeout_secs: 1, unhealthy_threshold: 2, healthy_threshold: 2}
metrics: {enabled: true}
"""

SCRIPT_2 = """\
set -e
ip link set lo up
cd "$1"
pids=()
for port in 8001 8002 8003; do
    "$2" test-backend $port --steady >backend-$port 2>&1 &
    pids+=($!)
    until grep -q listening backend-$port; do sleep 0.01; done
done
"$2" config.yaml 2>log &
weir=$!
until [ -e log ] && grep -q serves log; do sleep 0.01; done
for i in 1 2 3 4 5 6; do curl -sS -o /dev/null http://localhost:8080/api/test; done
curl -sS http://localhost:9090/metrics >metrics
kill ${pids[0]}
until curl -sS http://localhost:9090/metrics | grep -q 'health_status.*backend-1"} 0'; do sleep 0.05; done
kill $weir ${pids[1]} ${pids[2]}
wait $weir
"""


def test_seed_2_metrics_letter_for_letter(tmp_path):
    (tmp_path / "config.yaml").write_text(SEED_2)
    done = own_network(SCRIPT_2, str(tmp_path), str(pathlib.Path(BINARY).resolve()))
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    metrics = (tmp_path / "metrics").read_text()
    for i in (1, 2, 3):
        labels = f'frontend="default",pool="default",backend="backend-{i}"'
        assert f'lb_requests_total{{{labels},method="GET",status="200"}} 2' in metrics
        own = f'pool="default",backend="backend-{i}"'
        assert f"lb_backend_health_status{{{own}}} 1" in metrics
        assert f"lb_circuit_breaker_state{{{own}}} 0" in metrics
    assert 'lb_request_duration_seconds_bucket{' in metrics
    assert "lb_active_connections" in metrics


# Seed 3: flags only

def test_seed_3_flags():
    backends = [Backend() for _ in range(3)]
    port = free_port()
    flags = ["--port", str(port), "--backends", ",".join(each.address for each in backends),
             "--algorithm", "round_robin", "--health-check-interval", "10"]
    with Weir(args=flags, address=f"127.0.0.1:{port}") as weir:
        assert "not built yet" not in weir.stderr
        for _ in range(6):
            assert weir.ask().status == 200
        for backend in backends:
            assert len(backend.served) == 2
            assert len(backend.heads) == 3  # the page was asked for before the first request
            assert backend.last().get("x-forwarded-by") == "rust-load-balancer"
            assert backend.last().get("x-backend-server") == backend.address
        health = json.loads(weir.ask("GET", "/lb-health").body)
        assert [each["address"] for each in health["backends"]] == [
            each.address for each in backends]
        assert json.loads(weir.ask("GET", "/lb-stats").body)["algorithm"] == "RoundRobin"
    for backend in backends:
        backend.stop()


def test_seed_3_short_flags():
    port = free_port()
    with Backend() as backend:
        flags = ["-p", str(port), "-b", backend.address, "-a", "round_robin"]
        with Weir(args=flags, address=f"127.0.0.1:{port}") as weir:
            assert weir.ask().status == 200


def test_seed_3_unknown_algorithm():
    done = subprocess.run([BINARY, "-a", "round_robbin", "-b", "127.0.0.1:1"],
                          capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 78
    assert "round_robin" in done.stderr


SCRIPT_3 = """\
set -e
ip link set lo up
cd "$1"
for port in 3001 3002 3003; do
    PORT=$port "$2" test-backend >backend-$port 2>&1 &
    until grep -q listening backend-$port; do sleep 0.01; done
done
"$2" 2>log &
weir=$!
until grep -q serves log; do sleep 0.01; done
for i in 1 2 3 4 5 6; do
    curl -sS http://localhost:8080/
    echo
done
curl -sS http://localhost:8080/lb-health >health
curl -sS http://localhost:8080/lb-stats >stats
ab -q -n 2000 -c 20 http://127.0.0.1:8080/ >ab 2>&1
kill $weir
wait $weir
kill %1 %2 %3
"""


def test_seed_3_letter_for_letter(tmp_path):
    """Nothing but the defaults: three test servers on 3001 to 3003, the balancer on 8080."""
    done = own_network(SCRIPT_3, str(tmp_path), str(pathlib.Path(BINARY).resolve()))
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert len(answers) == 6
    text = done.stdout
    assert [text.count(str(port)) > 0 for port in (3001, 3002, 3003)] == [True] * 3
    assert "rust-load-balancer" in text
    addresses = [f"127.0.0.1:{port}" for port in (3001, 3002, 3003)]
    health = json.loads((tmp_path / "health").read_text())
    assert list(health) == ["status", "healthy_backends", "total_backends", "backends"]
    assert health["status"] == "ok"
    assert health["healthy_backends"] == health["total_backends"] == 3
    for each, address in zip(health["backends"], addresses, strict=True):
        assert list(each) == ["address", "healthy", "connections", "response_time_ms"]
        assert (each["address"], each["healthy"], each["connections"]) == (address, True, 0)
        assert isinstance(each["response_time_ms"], int)
    stats = json.loads((tmp_path / "stats").read_text())
    assert list(stats) == ["algorithm", "backends"]
    assert stats["algorithm"] == "RoundRobin"
    for each, address in zip(stats["backends"], addresses, strict=True):
        assert list(each) == ["address", "healthy", "connections", "weight", "response_time_ms",
                              "last_health_check"]
        assert (each["address"], each["healthy"], each["weight"]) == (address, True, 1)
        assert isinstance(each["response_time_ms"], int)
        assert 0 <= each["last_health_check"] <= HANG_SECONDS * 2
    report = (tmp_path / "ab").read_text()
    assert re.search(r"Failed requests:\s+0\n", report), report
    assert "Non-2xx" not in report


def test_the_tools_are_there():
    for tool in ("socat", "curl", "ab", "unshare", "ss", "ip"):
        assert shutil.which(tool), tool
