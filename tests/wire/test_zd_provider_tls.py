# SPDX-License-Identifier: Apache-2.0
"""Backends that are not written in the configuration, and how they are spoken to: what stands in
front of their addresses says it, or else their pool."""
import json
import re
import sqlite3

import pytest

from peers import h2
from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.papers import TlsBackend, papers
from peers.weir import CALM, Weir, run

TABLE = "CREATE TABLE workers (worker_address TEXT PRIMARY KEY, weight INT)"
SITE = {"ca": papers().path("ca.crt"), "server_name": "site.example"}


class Table:
    """A database of SQLite with some rows."""

    def __init__(self, folder, *rows):
        self.path = str(folder / "w.db")
        self.run(TABLE)
        self.add(*rows)

    def run(self, text, *values):
        with sqlite3.connect(self.path, isolation_level=None) as base:
            base.execute(text, values)

    def add(self, *rows):
        for row in rows:
            self.run("INSERT INTO workers VALUES (?, 1)", row)

    def replace(self, old, new):
        self.run("UPDATE workers SET worker_address = ? WHERE worker_address = ?", new, old)


def start(folder, table, backends=(), **pool):
    address, admin = (f"{HOST}:{free_port()}" for _ in range(2))
    tree = {
        "runtime": {"workers": 1}, "admin": {"bind": [admin], "without_token": "operate"},
        "frontends": {"web": {"bind": address, "pool": "app", "builtin": {"stats": "/lb-stats"}}},
        "pools": {"app": {**CALM, **pool, **({"backends": list(backends)} if backends else {})}}}
    if table:
        tree["providers"] = [{"path": table.path, "pool": "app", "poll": "50ms"}]
    weir = Weir(tree, address=address, env={"XDG_STATE_HOME": str(folder / "state")})
    weir.admin = admin
    return weir


def listed(weir):
    return sorted(one["address"] for one in
                  json.loads(weir.ask("GET", "/lb-stats").body)["backends"])


def site():
    return TlsBackend(None, papers().server_context("site"))


def call(weir, method, path, body=None):
    answer = weir.ask(method, f"/api/v1{path}", "X-Weir-Request: 1", address=weir.admin, host=weir.admin,
                      **({"body": json.dumps(body).encode()} if body is not None else {}))
    return answer.status, answer.text


def test_rows_of_a_pool_with_tls(tmp_path):
    with site() as one, site() as two:
        table = Table(tmp_path, one.address)
        with start(tmp_path, table, tls=SITE) as weir:
            assert {weir.ask().status for _ in range(3)} == {200}
            table.add(two.address)
            until(lambda: len(listed(weir)) == 2, "the other row")
            assert {weir.ask().status for _ in range(4)} == {200}
            assert one.served and two.served


def test_a_row_says_how_it_is_spoken_to(tmp_path):
    """One pool, four ways."""
    context = papers().server_context("site", alpn=("h2",))
    with site() as by_tls, Backend() as clear, Backend(h2.serve(h2.echo)) as h2c, \
            TlsBackend(h2.serve(h2.echo), context) as h2_tls:
        rows = [f"https://{by_tls.address}", f"http://{clear.address}/", f"grpc://{h2c.address}",
                f"h2://{h2_tls.address}"]
        with start(tmp_path, Table(tmp_path, *rows), tls=SITE) as weir:
            assert listed(weir) == sorted([by_tls.address, clear.address, h2c.address, h2_tls.address])
            assert {weir.ask().status for _ in range(8)} == {200}
            assert by_tls.served and clear.served
            assert not by_tls.failures and not h2_tls.failures
            out = run("explain", "GET", f"http://{weir.address}/", "--admin", weir.admin)[1]
            assert re.search(r"^pick +app/\S+ at ", out, re.M), out


def test_https_alone_is_verified(tmp_path):
    with site() as backend, start(tmp_path, Table(tmp_path, f"https://{backend.address}")) as weir:
        assert weir.ask().status == 503
        weir.wait_log('"reason":"certificate_unknown_issuer"')
        assert not backend.served


def test_a_row_that_changes_how(tmp_path):
    with Backend() as backend:
        table = Table(tmp_path, backend.address)
        with start(tmp_path, table) as weir:
            assert weir.ask().status == 200
            table.replace(backend.address, f"https://{backend.address}")
            weir.wait_log('"changed":1')
            until(lambda: weir.ask().status == 503, "TLS, which this backend does not speak")
            table.replace(f"https://{backend.address}", f"http://{backend.address}")
            until(lambda: weir.ask().status == 200, "no TLS")
            assert listed(weir) == [backend.address]


def test_the_kept_list_says_how(tmp_path):
    with site() as backend:
        table = Table(tmp_path, f"https://{backend.address}")
        with start(tmp_path, table, tls=SITE) as weir:
            assert weir.ask().status == 200
            until((tmp_path / "state/weir/sqlite.rows").exists, "the kept list")
        table.run("DROP TABLE workers")
        with start(tmp_path, table, tls=SITE) as weir:
            assert weir.ask().status == 200
            assert "last good list of a provider is used" in weir.stderr


def test_the_same_address_counts_once(tmp_path):
    with Backend() as backend:
        rows = [backend.address, f"https://{backend.address}", f"http://{backend.address}"]
        with start(tmp_path, Table(tmp_path, *rows)) as weir:
            assert listed(weir) == [backend.address]
            assert weir.stderr.count("is there twice") == 2
            assert weir.ask().status == 200


def test_gRPC_checks_leave_out_who_could_not_answer(tmp_path):
    table = Table(tmp_path, "10.0.0.1:80", "https://10.0.0.2:443", "h2c://10.0.0.3:80", "h2://10.0.0.4")
    with start(tmp_path, table, health_check={"type": "grpc"}) as weir:
        assert listed(weir) == ["10.0.0.3:80", "10.0.0.4:443"]
        line = json.loads(weir.wait_log("checked by gRPC")[0])
        assert (line["rows"], line["row"], line["pool"]) == (2, "10.0.0.1:80", "app")
        assert "h2c://" in line["cure"]
        table.add("10.0.0.5:80", "h2c://10.0.0.6:80")
        until(lambda: "10.0.0.6:80" in listed(weir), "the last row")
        assert len(listed(weir)) == 3
        assert weir.stderr.count("checked by gRPC") == 1
    with start(tmp_path, table, health_check={"type": "grpc"}, protocol="h2") as weir:
        assert len(listed(weir)) == 6


@pytest.mark.parametrize("form", ["https://{}", "{}"])
def test_orders_at_a_backend_with_tls(tmp_path, form):
    """Added, weighed, drained, removed and brought back by its name, which has nothing in front."""
    with Backend() as clear, site() as backend, \
            start(tmp_path, None, [clear.address], **({"tls": SITE} if form == "{}" else {})) as weir:
        tls = {} if form == "{}" else {"address": form.format(backend.address)}
        status, text = call(weir, "POST", "/pools/app/backends",
                            {"address": form.format(backend.address), "weight": 5, **tls})
        assert status < 300, text
        until(lambda: backend.address in listed(weir), "it")
        path = f"/pools/app/backends/{backend.address}"
        assert call(weir, "POST", "/pools/app/backends", {"address": form.format(backend.address)})[0] == 409
        assert call(weir, "PUT", f"{path}/weight", {"weight": 7})[0] < 300
        assert call(weir, "POST", f"{path}/drain")[0] < 300
        assert call(weir, "POST", f"{path}/enable")[0] < 300
        assert call(weir, "DELETE", path)[0] < 300
        until(lambda: listed(weir) == [clear.address], "only the other one")
        event = json.loads(call(weir, "GET", "/events")[1])["events"][0]
        assert call(weir, "POST", event["undo"]["path"].removeprefix("/api/v1"))[0] == 200
        until(lambda: backend.address in listed(weir), "it again")
        written = call(weir, "GET", "/config?format=yaml")[1].replace('"', "")
        assert f"address: {form.format(backend.address)} " in written


def test_written_backends_with_tls_hear_orders(tmp_path):
    with site() as backend, Backend() as clear, \
            start(tmp_path, None, [f"https://{backend.address}", f"http://{clear.address}"],
                  tls=SITE) as weir:
        assert {weir.ask().status for _ in range(4)} == {200}
        assert call(weir, "DELETE", f"/pools/app/backends/{backend.address}")[0] < 300
        until(lambda: listed(weir) == [clear.address], "only the clear one")
        # It was written with http:// in a pool with TLS, and stays so.
        assert {weir.ask().status for _ in range(2)} == {200}


def test_the_command_writes_what_is_read(tmp_path):
    with site() as backend:
        table = Table(tmp_path)
        with start(tmp_path, table, tls=SITE) as weir:
            env = {"DATABASE_URL": f"sqlite:{table.path}"}
            code, out, err = run("backends", "add", f"https://{backend.address}", "weight=2", env=env)
            assert code == 0, err
            until(lambda: listed(weir) == [backend.address], "the row")
            assert weir.ask().status == 200
            code, _, err = run("backends", "add", f"https://{backend.address}/path", env=env)
            assert code == 2 and "is no address of a backend" in err
            assert run("backends", "remove", f"https://{backend.address}", env=env)[0] == 0
