# SPDX-License-Identifier: Apache-2.0
"""A whole weir whose backends come from a database, a name or a file."""
import json
import pathlib
import subprocess

from peers import postgres
from peers.backend import Backend
from peers.dns import A, Dns
from peers.net import HOST, free_port, until
from peers.weir import Weir, run

TRIGGER = (pathlib.Path(__file__).resolve().parents[2]
           / "etc/migrations/postgres/0002_workers_tell.up.sql").read_text()


def insert(server, *backends):
    for backend in backends:
        server.psql(f"INSERT INTO workers VALUES ('{backend.address}')")


def config(*providers, **pool):
    address = f"{HOST}:{free_port()}"
    return address, {
        "frontends": {"web": {"bind": address, "pool": "app",
                              "builtin": {"stats": "/lb-stats", "health": "/lb-health"}}},
        "pools": {"app": {"health_check": {"type": "http", "path": "/", "interval": "2s", "timeout": "1s",
                                           "fast_interval": "200ms"}, **pool}},
        "providers": [{"pool": "app", **provider} for provider in providers],
        "admin": {"bind": f"{HOST}:{free_port()}"}, "log": {"format": "json"}}


def start(folder, *providers, env=None, **pool):
    address, tree = config(*providers, **pool)
    weir = Weir(tree, env={"XDG_STATE_HOME": str(folder / "state"), **(env or {})},
                address=address)
    weir.admin = tree["admin"]["bind"]
    return weir


def listed(weir):
    return sorted(one["address"] for one in
                  json.loads(weir.ask("GET", "/lb-stats").body)["backends"])


def serving(weir):
    return sorted(one["address"] for one in
                  json.loads(weir.ask("GET", "/lb-stats").body)["backends"] if one["healthy"])


def providers_of(weir):
    answer = weir.ask("GET", "/api/v1/providers", address=weir.admin, host=weir.admin)
    return json.loads(answer.body)["providers"]


def test_s4_3_postgres_by_dotenv(table, tmp_path):
    """S4.3: .env in the folder, start, /lb-stats lists the rows; no configuration at all."""
    with Backend() as one, Backend() as two:
        insert(table, one, two)
        (tmp_path / ".env").write_text(f"DATABASE_URL={table.url()}\n")
        port = free_port()
        with Weir(args=["-p", str(port)], cwd=tmp_path, address=f"127.0.0.1:{port}",
                  env={"XDG_STATE_HOME": str(tmp_path)}) as weir:
            wait_listed(weir, one, two)
            until(lambda: weir.ask().status == 200, "a checked backend")
            assert {weir.ask().status for _ in range(4)} == {200}
            assert postgres.PASSWORD not in weir.stderr and postgres.QUOTED not in weir.stderr


def test_s4_5_wrong_dsn(table, tmp_path):
    """S4.5: one clear error that names the variable, without the password; it starts and serves 503."""
    url = table.url(password="geheim")
    with start(tmp_path, {"url": "${DATABASE_URL}"}, env={"DATABASE_URL": url}) as weir:
        assert weir.ask().status == 503
        weir.wait_log("provider is in trouble")
        lines = [line for line in weir.log() if line["msg"] == "provider is in trouble"]
        assert len(lines) == 1
        assert lines[0]["cause"].startswith("DATABASE_URL: ")
        assert "password authentication failed" in lines[0]["cause"]
        assert lines[0]["cure"] == "correct user and password in DATABASE_URL"
        assert "geheim" not in weir.stderr
        shown = providers_of(weir)[0]
        assert not shown["up"] and shown["errors"] >= 1 and "geheim" not in json.dumps(shown)


def test_s4_8_database_down_at_start(table, tmp_path):
    """S4.8: the last known list serves, one error, the metric is set."""
    with Backend() as one, Backend() as two:
        insert(table, one, two)
        provider = {"url": table.url(), "name": "workers"}
        with start(tmp_path, provider) as weir:
            until((tmp_path / "state/weir/workers.rows").exists, "the kept list")
        table.kill()
        with start(tmp_path, provider) as weir:
            assert listed(weir) == sorted([one.address, two.address])
            assert {weir.ask().status for _ in range(4)} == {200}
            assert len([line for line in weir.log()
                        if line["msg"] == "provider is in trouble"]) == 1
            metrics = weir.ask("GET", "/metrics", address=weir.admin, host=weir.admin).body.decode()
            assert 'lb_provider_up{provider="workers",type="postgres"} 0' in metrics
            assert 'lb_provider_rows{provider="workers",type="postgres"} 2' in metrics
            assert providers_of(weir)[0]["from_disk"]
            table.start()
            until(lambda: providers_of(weir)[0]["up"], "the database again")
            assert not providers_of(weir)[0]["from_disk"]


def test_sqlite_beside_the_configuration(tmp_path):
    with Backend() as one, Backend() as two:
        subprocess.run(["sqlite3", str(tmp_path / "w.db"), postgres.TABLE,
                        f"INSERT INTO workers VALUES ('{one.address}'), ('{two.address}')"],
                       check=True)
        with start(tmp_path, {"path": str(tmp_path / "w.db")}) as weir:
            assert listed(weir) == sorted([one.address, two.address])
            assert {weir.ask().status for _ in range(4)} == {200}


def test_written_backends_stay(tmp_path):
    """A pool may have backends of its own beside those of a provider; none is there twice."""
    with Backend() as one, Backend() as two:
        (tmp_path / "list").write_text(f"{one.address}\n{two.address}\nno address at all\n")
        with start(tmp_path, {"path": str(tmp_path / "list")}, backends=[one.address]) as weir:
            assert listed(weir) == sorted([one.address, two.address])
            assert "'no address at all'" not in weir.stderr  # only its first word is one
            assert "line 3: 'no' is no address" in weir.stderr
            assert providers_of(weir)[0]["left_out"] == 1


def test_u17_a_name_that_does_not_resolve(tmp_path):
    """U17: it never stops the start."""
    dns = Dns({("there.test", A): ["127.0.0.1"]})
    try:
        address, tree = config({"host": "nowhere.test:80"}, {"host": "there.test:81"})
        tree["resolver"] = {"servers": [dns.address], "timeout": "500ms"}
        with Weir(tree, address=address, env={"XDG_STATE_HOME": str(tmp_path)}) as weir:
            assert listed(weir) == ["127.0.0.1:81"]
            assert weir.ask().status == 503
            assert "nowhere.test cannot be looked up" in weir.stderr
    finally:
        dns.stop()


def wait_listed(weir, *backends):
    """A start waits for its lists, but on a busy machine not long enough for all of them."""
    wanted = sorted(one.address for one in backends)
    until(lambda: listed(weir) == wanted, f"the list {wanted}")


def api(weir, path):
    answer = weir.ask("GET", path, address=weir.admin, host=weir.admin)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def command(weir, *words):
    return run(*words, "--admin", weir.admin)[1]


def test_a_bad_row_is_named_once_wherever_people_look(tmp_path):
    file = tmp_path / "list"
    with Backend() as one, Backend() as two:
        file.write_text(f"{one.address}\nnonsense\n")
        with start(tmp_path, {"path": str(file), "name": "machines", "refresh": "100ms"}) as weir:
            state = api(weir, "/api/v1/state")
            shown, = state["providers"]
            assert shown["name"] == "machines" and shown["pool"] == "app" and shown["up"]
            assert (shown["rows"], shown["left_out"], shown["finding_count"]) == (1, 1, 1)
            finding, = shown["findings"]
            assert finding.startswith("line 2: 'nonsense' is no address of a backend, it is left out")
            assert shown["read_at_ms"] and shown["since_at_ms"] and shown["cause"] is None
            assert state["verdict"]["level"] == "ok"
            assert "1 row of provider machines left out: line 2: 'nonsense' is no" in \
                state["verdict"]["text"]
            said = command(weir, "status")
            assert "provider machines (file): 1 rows for pool app, 1 left out, read " in said
            reads = shown["reads"]
            until(lambda: providers_of(weir)[0]["reads"] > reads + 3, "more reads")
            assert weir.stderr.count("'nonsense'") == 1
            file.write_text(f"{one.address}\n{two.address}\n")
            until(lambda: not providers_of(weir)[0]["findings"], "a list without faults")
            assert "left out" not in api(weir, "/api/v1/state")["verdict"]["text"]


def test_trouble_is_in_the_verdict_and_in_events(tmp_path):
    database = tmp_path / "w.db"
    with Backend() as one:
        subprocess.run(["sqlite3", str(database), postgres.TABLE,
                        f"INSERT INTO workers VALUES ('{one.address}')"], check=True)
        with start(tmp_path, {"path": str(database), "name": "rows", "poll": "50ms",
                              "refresh": "100ms"}) as weir:
            assert api(weir, "/api/v1/state")["verdict"]["level"] == "ok"
            subprocess.run(["sqlite3", str(database), "ALTER TABLE workers RENAME TO other"],
                           check=True)
            until(lambda: not providers_of(weir)[0]["up"], "the trouble")
            state = api(weir, "/api/v1/state")
            assert state["verdict"]["level"] == "warn"
            assert "provider rows cannot be read, its last list of 1 row serves: " in \
                state["verdict"]["text"]
            assert state["providers"][0]["cause"] in command(weir, "status")
            assert "providers 0/1 up, read " in command(weir, "top", "--once")
            subprocess.run(["sqlite3", str(database), "ALTER TABLE other RENAME TO workers"],
                           check=True)
            until(lambda: providers_of(weir)[0]["up"], "the table again")
            subprocess.run(["sqlite3", str(database), "DELETE FROM workers"], check=True)
            until(lambda: providers_of(weir)[0]["held"], "the guard")
            assert "is not believed" in api(weir, "/api/v1/state")["verdict"]["text"]
            events = [one for one in api(weir, "/api/v1/events")["events"]
                      if one["kind"] == "provider"]
            events.sort(key=lambda one: one["number"])
            assert [one["to"] for one in events] == ["down", "up", "held"]
            assert {(one["provider"], one["pool"], one["backend"]) for one in events} == \
                {("rows", "app", None)}
            assert "has no table" in events[0]["reason"] and events[2]["reason"] == "min_backends"
            assert "app/rows: provider is in trouble" in command(weir, "events")


def test_trouble_at_the_start_is_an_event_too(tmp_path):
    with start(tmp_path, {"path": str(tmp_path / "nowhere"), "name": "rows"}) as weir:
        event, = [one for one in api(weir, "/api/v1/events")["events"]
                  if one["kind"] == "provider"]
        assert (event["provider"], event["to"]) == ("rows", "down")


def test_drained_and_disabled_rows(table, tmp_path):
    with Backend() as one, Backend() as two, Backend() as three:
        table.psql("ALTER TABLE workers ADD state TEXT")
        insert(table, one, two, three)
        table.psql(f"UPDATE workers SET state = 'drain' WHERE worker_address = '{two.address}'",
                   f"UPDATE workers SET state = 'disabled' WHERE worker_address = '{three.address}'")
        with start(tmp_path, {"url": table.url()}) as weir:
            wait_listed(weir, one, two)
            until(lambda: one.address in serving(weir), "a checked backend")
            for number in range(6):
                assert weir.ask("GET", f"/ask-{number}").status == 200
            asked = [len(backend.served)
                     for backend in (one, two, three)]
            assert asked == [6, 0, 0]
