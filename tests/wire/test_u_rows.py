# SPDX-License-Identifier: Apache-2.0
"""What the seeds promise and no other test says as they say it; each is named after its row in
docs/features-tests.md."""
import json
import pathlib
import re
import shutil
import struct
import subprocess
import threading

import pytest

from peers import http1
from peers.backend import Backend, fixed
from peers.net import HANG_SECONDS, HOST, free_port, until
from peers.weir import BINARY, IS_SANITIZED, Weir, run, start
from test_u_seeds import SEED_0, own_network

ROOT = pathlib.Path(__file__).resolve().parents[2]


def asked(page):
    """A script that answers /health as `page()` says, and all else with 200."""
    def script(connection):
        while request := connection.request():
            connection.send(page() if request.target == "/health" else http1.response(body=b"served"))
    return script


def health(status):
    return lambda: http1.response(status[0], body=b"?")


# ---- Seed 0 -------------------------------------------------------------------------------------

def test_s0_1_its_file_is_taken_unchanged(tmp_path):
    (tmp_path / "mini-balancer.local.toml").write_text(SEED_0)
    code, _, err = run("--check", "-c", str(tmp_path / "mini-balancer.local.toml"))
    assert code == 0, err


def test_s0_2_long_forms(tmp_path):
    address = f"{HOST}:{free_port()}"
    path = tmp_path / "c.toml"
    path.write_text(SEED_0.replace("127.0.0.1:7070", address))
    with Weir(args=["--verbose", "--config", str(path)], address=address) as weir:
        weir.wait_log("listening for connections")


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("target, runs", [
    ("lint", "tools/lint"), ("all", "tools/build build"), ("test", "tools/test.py")])
def test_s0_9_one_command_each_to_lint_build_and_test(target, runs):
    done = subprocess.run(["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True,
                          check=True, timeout=HANG_SECONDS)
    assert runs in done.stdout


# ---- Seed 1 -------------------------------------------------------------------------------------

def test_s1_3_all_servers_are_checked_at_the_same_time():
    """None of the three answers before all of them were asked."""
    barrier = threading.Barrier(3)

    def page():
        barrier.wait(HANG_SECONDS)
        return http1.response(body=b"well")

    check = {"type": "http", "path": "/health", "interval": "10m", "timeout": "1m"}
    with Backend(asked(page)) as one, Backend(asked(page)) as two, Backend(asked(page)) as three:
        with start(one, two, three, pool={"health_check": check}) as weir:
            line = json.loads(weir.wait_log("backends are checked")[0])
            assert (line["up"], line["of"]) == (3, 3)


def test_s1_4_interval_and_timeout_are_configured(tmp_path):
    address = f"{HOST}:{free_port()}"
    with Backend(asked(health([200]))) as often, Backend(asked(health([200]))) as seldom:
        def pool(backend, interval):
            return {"backends": [backend.address], "health_check": {
                "type": "http", "path": "/health", "interval": interval, "fast_interval": interval,
                "timeout": "50ms"}}
        tree = {"frontends": {"web": {"bind": address, "pool": "often"}},
                "pools": {"often": pool(often, "60ms"), "seldom": pool(seldom, "1h")}}
        with Weir(tree, address=address):
            until(lambda: len(often.heads) >= 10, "ten checks")
            assert len(seldom.heads) <= 1


# ---- Seed 2 -------------------------------------------------------------------------------------

def test_s2_6_exactly_so_many_bad_and_good_checks():
    status = [200]
    check = {"type": "http", "path": "/health", "interval": "100ms", "fast_interval": "50ms",
             "timeout": "1s", "unhealthy_threshold": 3, "healthy_threshold": 2}
    with Backend(asked(health(status))) as backend:
        with start(backend, pool={"health_check": check}) as weir:
            status[0] = 503
            down = json.loads(weir.wait_log("backend is down")[0])
            assert down["streak"] == 3
            status[0] = 200
            up = json.loads(weir.wait_log("backend is healthy")[-1])
            assert up["streak"] == 2


def test_s2_7_a_breaker_opens_is_tried_and_closes():
    status = [500]

    def script(connection):
        while connection.request():
            connection.send(http1.response(status[0], body=b"?"))

    breaker = {"failure_threshold": 3, "open_for": "100ms", "max_ejected": "100%"}
    admin = f"{HOST}:{free_port()}"
    with Backend(script) as sick, Backend(fixed(200, body=b"!")) as well:
        pool = {"circuit_breaker": breaker, "retry": {"max_attempts": 1}}
        with start({"id": "sick", "address": sick.address}, well, pool=pool,
                   admin={"bind": admin}) as weir:
            def states():
                return [json.loads(line)["to"] for line in weir.stderr.splitlines()
                        if "circuit breaker" in line and '"to"' in line]

            until(lambda: (weir.ask(), "open" in states())[1], "it to open")
            shown = weir.ask("GET", "/metrics", address=admin, host=admin).text
            state = re.search(r'lb_circuit_breaker_state\{pool="app",backend="sick"\} (\d)', shown)
            assert state and state[1] in "12"
            status[0] = 200
            until(lambda: (weir.ask(), states()[-1] == "closed")[1], "it to close")
            assert {"open", "half_open", "closed"} <= set(states())


ALL_GROUPS = """\
load_balancer:
  algorithm: weighted_random
backends:
  - {id: a, url: "http://127.0.0.1:8001", weight: 2, max_connections: 100}
  - {id: b, url: "http://127.0.0.1:8002", weight: 1, max_connections: 50}
health_check: {interval_secs: 5, timeout_secs: 2, unhealthy_threshold: 3, healthy_threshold: 2}
circuit_breaker: {failure_threshold: 5, timeout_secs: 30}
retry: {max_attempts: 3, backoff: {base: 50ms, max: 1s}}
metrics: {enabled: true}
"""


def test_s2_10_all_groups_of_options(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(ALL_GROUPS)
    code, _, err = run("check", str(path))
    assert code == 0, err


@pytest.mark.parametrize("good, bad, line", [
    ("algorithm: weighted_random", "algorithm: 7", 2), ("weight: 2", "weight: heavy", 4),
    ("interval_secs: 5", "interval_secs: soon", 6), ("failure_threshold: 5", "failure_threshold: few", 7),
    ("max_attempts: 3", "max_attempts: [3]", 8), ("enabled: true", "enabled: 12", 9)])
def test_s2_10_a_wrong_type_is_named_with_its_line(tmp_path, good, bad, line):
    path = tmp_path / "config.yaml"
    assert good in ALL_GROUPS
    path.write_text(ALL_GROUPS.replace(good, bad))
    code, out, err = run("check", str(path))
    assert code == 78 and f"config.yaml:{line}:" in out + err


def test_s2_15_requests_by_method_status_and_backend():
    admin = f"{HOST}:{free_port()}"
    with Backend(fixed(404, body=b"!")) as backend:
        with start({"id": "a", "address": backend.address}, admin={"bind": admin}) as weir:
            weir.ask("PUT", "/x")
            text = weir.ask("GET", "/metrics", address=admin, host=admin).text
    assert re.search(r'lb_requests_total\{[^}]*backend="a"[^}]*method="PUT",status="404"\} 1\n', text)


def test_s2_16_durations_are_a_histogram():
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, start(backend, admin={"bind": admin}) as weir:
        for _ in range(3):
            weir.ask()
        text = weir.ask("GET", "/metrics", address=admin, host=admin).text
    name = "lb_request_duration_seconds"
    last = re.search(rf'{name}_bucket\{{[^}}]*le="\+Inf"\}} (\d+)', text)[1]
    assert last == re.search(rf"{name}_count\{{[^}}]*\}} (\d+)", text)[1] == "3"
    assert float(re.search(rf"{name}_sum\{{[^}}]*\}} (\S+)", text)[1]) > 0


def test_s2_18_sizes_and_the_other_names():
    admin = f"{HOST}:{free_port()}"
    with Backend() as backend, start(backend, admin={"bind": admin}) as weir:
        weir.ask("POST", "/", body=b"hello")
        text = weir.ask("GET", "/metrics", address=admin, host=admin).text
    for name in ("lb_request_size_bytes", "lb_response_size_bytes", "lb_backend_requests_total",
                 "lb_backend_request_duration_seconds", "lb_backend_connections_active",
                 "lb_circuit_breaker_failures_total", "lb_healthy_backends", "lb_total_backends"):
        assert f"# TYPE {name} " in text, name


def test_s2_22_workers_and_limits_are_keys():
    with Backend() as backend, start({"address": backend.address, "max_connections": 7}, workers=8,
                                     pool={"limits": {"idle_connections": 5}}) as weir:
        assert weir.ask().status == 200
        line = json.loads(weir.wait_log("weir 0.1.0 serves")[0])
        assert line["workers"] == 8
        soft, hard = re.search(r"Max open files +(\d+) +(\d+)", pathlib.Path(
            f"/proc/{weir.serving}/limits").read_text()).groups()
        assert soft == hard


# ---- Seed 3 -------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["round_robin", "least_connections", "random",
                                  "weighted_round_robin"])
def test_s3_2_its_algorithms_start(name):
    port = free_port()
    with Backend() as backend:
        flags = ["-p", str(port), "-b", backend.address, "--algorithm", name]
        with Weir(args=flags, address=f"127.0.0.1:{port}") as weir:
            assert weir.ask().status == 200


SCRIPT_3 = """\
set -e
ip link set lo up
cd "$1"
begin() {
    "$weir" "$@" 2>log &
    until grep -q serves log; do sleep 0.01; done
    kill $!
    wait $!
    rm log
}
weir=$2
begin --algorithm least_connections
begin --port 9000 --backends "192.168.1.10:8001,192.168.1.11:8001,192.168.1.12:8001"
begin --algorithm random --health-check-interval 10
"""


def test_s3_3_its_three_examples_start(tmp_path):
    """The second one's hosts cannot be reached."""
    done = own_network(SCRIPT_3, str(tmp_path), str(pathlib.Path(BINARY).resolve()))
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(IS_SANITIZED or not shutil.which("gcc"), reason="counts another allocator's calls")
def test_s3_12_a_request_asks_for_no_memory(tmp_path):
    library, counts = tmp_path / "count.so", tmp_path / "counts"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, ROOT / "bench/malloc_count.c"],
                   check=True, timeout=HANG_SECONDS)
    counts.write_bytes(bytes(16))
    env = {"LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": str(counts)}
    with Backend() as backend, start(backend, env=env, runtime={"keeper": False}) as weir:
        def allocations():
            return struct.unpack("=Q", counts.read_bytes()[:8])[0]

        with weir.client() as client:
            for _ in range(200):
                assert client.ask().status == 200
            before = allocations()
            assert before > 100  # the library is there
            for _ in range(1000):
                assert client.ask().status == 200
            assert allocations() - before < 100


# ---- Seed 4 -------------------------------------------------------------------------------------

SCRIPT_4 = """\
set -e
ip link set lo up
cd "$1"
socat tcp-l:5432,fork,reuseaddr,bind=127.0.0.1 "unix:$3" &
until ss -ltn "sport = :5432" | grep -q LISTEN; do sleep 0.01; done
"$2" migrate add migration_name
cp workers.sql migrations/*_migration_name.sql
"$2" migrate run
"$2" migrate run
for port in 8000 8001 8002 8003 8004; do
    "$2" test-backend $port --steady >backend-$port 2>&1 &
    until grep -q listening backend-$port; do sleep 0.01; done
done
"$2" 2>log &
weir=$!
until grep -q serves log; do sleep 0.01; done
for i in 1 2 3 4 5; do curl -sS http://localhost:8080/ >>answers; done
curl -sS http://localhost:8080/lb-stats >stats
kill $weir
wait $weir
"""


def test_seed_4_letter_for_letter(server, tmp_path):
    """S4.1 to S4.4: its .env, its migration, run twice, and nothing but `weir`."""
    from test_zc_databases import FIVE, SEED
    server.psql("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    (tmp_path / ".env").write_text("DATABASE_URL=postgres://user:password@localhost/db_name\n")
    (tmp_path / "workers.sql").write_text(SEED)
    socket = f"{server.folder}/.s.PGSQL.{server.port}"
    done = own_network(SCRIPT_4, str(tmp_path), str(pathlib.Path(BINARY).resolve()), socket)
    log = tmp_path / "log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert done.stdout.count("Applied ") == 1
    stats = json.loads((tmp_path / "stats").read_text())
    assert [one["address"] for one in stats["backends"]] == FIVE
    answers = (tmp_path / "answers").read_text()
    assert all(f'"server_port":{port}' in answers for port in range(8000, 8005))
    assert stats["algorithm"] == "RoundRobin" and "password" not in log.read_text()
