#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Providers against real servers: PostgreSQL, and a name server. Started by Meson with the path of
discover_tool; what is not installed is skipped."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from peers import postgres  # noqa: E402  pylint: disable=wrong-import-position
from peers.dns import A, AAAA, SERVFAIL, SRV, Dns  # noqa: E402  pylint: disable=wrong-import-position
from peers import net  # noqa: E402  pylint: disable=wrong-import-position
from peers.net import HOST, free_port  # noqa: E402  pylint: disable=wrong-import-position

TOOL = None
TABLE = ("CREATE TABLE IF NOT EXISTS workers(worker_address VARCHAR(255) NOT NULL PRIMARY KEY)")
TRIGGER = """
CREATE OR REPLACE FUNCTION weir_tell() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NOTIFY weir_backends; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER weir_tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workers
FOR EACH STATEMENT EXECUTE FUNCTION weir_tell();"""


def until(condition, what):
    """As net.until; `what` may be a function that says it at the end."""
    try:
        return net.until(condition, what)
    except AssertionError:
        raise AssertionError(what() if callable(what) else what) from None


class Tool:
    """A running discover_tool."""

    def __init__(self, provider, state=None, env=None, **rest):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-discover-")
        self.path = pathlib.Path(self.folder.name)
        conf = {"frontends": {"web": {"bind": ":1", "pool": "app"}}, "pools": {"app": {}},
                "providers": [{"pool": "app", **provider}], **rest}
        (self.path / "conf.json").write_text(json.dumps(conf))
        with open(self.path / "out", "wb") as out, open(self.path / "err", "wb") as err:
            self.process = subprocess.Popen(
                [TOOL, self.path / "conf.json", state or self.path / "state"], stdout=out,
                stderr=err, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})

    @property
    def log(self):
        return (self.path / "err").read_text()

    def lines(self, message):
        whole = self.log.rpartition("\n")[0].splitlines()  # the last one may be half there
        return [line for line in map(json.loads, whole) if line["msg"] == message]

    @property
    def lists(self):
        whole = (self.path / "out").read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def rows(self):
        lists = self.lists
        return lists[-1]["rows"] if lists else None

    @property
    def addresses(self):
        return [row["address"] for row in self.rows or []]

    def expect(self, *addresses):
        until(lambda: self.rows is not None and self.addresses == list(addresses),
              lambda: f"{addresses}, which is {self.addresses} now\n{self.log}")

    def expect_line(self, message, count=1):
        return until(lambda: len(self.lines(message)) >= count and self.lines(message)[-1],
                     lambda: f"{count} lines '{message}' in\n{self.log}")

    def stop(self):
        self.process.terminate()
        code = self.process.wait()
        log = self.log
        self.folder.cleanup()
        assert code == 0, f"{code}\n{log}"


class Case(unittest.TestCase):
    def tool(self, *args, **keys):
        tool = Tool(*args, **keys)
        self.addCleanup(tool.stop)
        return tool


@unittest.skipIf(postgres.available(), str(postgres.available()))
class PostgresTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        if not self.server.process:  # a test that failed had killed it
            self.server.start()
        self.server.psql("SET client_min_messages = error; DROP TABLE IF EXISTS workers", TABLE)

    def insert(self, *addresses):
        self.server.psql("INSERT INTO workers(worker_address) VALUES "
                         + ",".join(f"('{address}')" for address in addresses))

    def provider(self, **rest):
        return {"url": self.server.url(), **rest}

    def test_a_reads_the_table_of_seed_4(self):
        self.insert("127.0.0.1:8000", "127.0.0.1:8001")
        tool = self.tool({"url": "${DATABASE_URL}"}, env={"DATABASE_URL": self.server.url()})
        tool.expect("127.0.0.1:8000", "127.0.0.1:8001")
        self.insert("127.0.0.1:8002", "no address")
        tool.expect("127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:8002")
        self.assertIn("'no address' is no address",
                      tool.expect_line("row of a provider is not as it should be")["row"])
        self.server.psql("DELETE FROM workers WHERE worker_address LIKE '%8000'")
        tool.expect("127.0.0.1:8001", "127.0.0.1:8002")
        self.assertNotIn(postgres.PASSWORD, tool.log)
        self.assertEqual(len(tool.lines("row of a provider is not as it should be")), 1)

    def test_b_takes_richer_columns(self):
        self.server.psql(
            "ALTER TABLE workers ADD weight INT, ADD state TEXT, ADD max_connections INT,"
            " ADD metadata JSONB, ADD pool TEXT, ADD id TEXT")
        self.server.psql("INSERT INTO workers VALUES ('10.0.0.1:80', 5, 'drain', 9, '{}', 'app', "
                         "'one'), ('10.0.0.2:80', NULL, NULL, NULL, NULL, NULL, NULL)")
        tool = self.tool(self.provider())
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        self.assertEqual(tool.rows[0], {"id": "one", "address": "10.0.0.1:80", "weight": 5,
                                        "max_connections": 9, "state": "drain", "backup": False})
        self.assertEqual(tool.rows[1], {"id": "10.0.0.2:80", "address": "10.0.0.2:80", "weight": 1,
                                        "max_connections": 0, "state": "active", "backup": False})

    def test_c_hears_notify(self):
        self.server.psql(TRIGGER)
        self.insert("10.0.0.1:80")
        tool = self.tool(self.provider(poll="1h", refresh="1h"))
        tool.expect("10.0.0.1:80")
        self.insert("10.0.0.2:80")  # nothing but the trigger tells of it
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        self.server.psql("BEGIN; INSERT INTO workers VALUES ('10.0.0.3:80'); ROLLBACK",
                         "INSERT INTO workers VALUES ('10.0.0.4:80')")
        tool.expect("10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80")

    def test_d_two_readers_converge(self):
        self.server.psql(TRIGGER)
        self.insert("10.0.0.1:80")
        tools = [self.tool(self.provider(refresh="1h")) for _ in range(2)]
        for number in range(2, 12):
            self.insert(f"10.0.0.1:{80 + number}")
        self.server.psql("DELETE FROM workers WHERE worker_address = '10.0.0.1:80'")
        expected = self.server.psql("SELECT worker_address FROM workers ORDER BY 1")
        for tool in tools:
            tool.expect(*expected)

    def test_e_survives_a_restart_of_the_server(self):
        self.insert("10.0.0.1:80")
        tool = self.tool(self.provider(poll="100ms"))
        tool.expect("10.0.0.1:80")
        self.server.kill()
        line = tool.expect_line("provider is in trouble")
        self.assertEqual(line["last_good_rows"], 1)
        tool.expect_line("provider is still in trouble")  # now it refuses
        self.server.start()
        tool.expect_line("provider is well", 2)
        self.insert("10.0.0.2:80")
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        self.assertEqual(len(tool.lines("provider is in trouble")), 1)

    def test_f_starts_while_the_server_is_down(self):
        self.insert("10.0.0.1:80", "10.0.0.2:80")
        state = tempfile.TemporaryDirectory(prefix="weir-state-")
        self.addCleanup(state.cleanup)
        first = Tool(self.provider(), state=state.name)
        first.expect("10.0.0.1:80", "10.0.0.2:80")
        until(lambda: os.path.exists(os.path.join(state.name, "postgres.rows")), "the kept list")
        first.stop()
        self.server.kill()
        tool = self.tool(self.provider(), state=state.name)
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        tool.expect_line("last good list of a provider is used")
        self.server.start()
        self.insert("10.0.0.3:80")
        tool.expect("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")

    def test_g_names_the_variable_and_hides_the_password(self):
        for url, part in (
                (self.server.url(password="wrong%20secret"), "password authentication failed"),
                (self.server.url(password="wrong secret"), "password authentication failed"),
                (self.server.url(user="nobody"), "password authentication failed"),
                (self.server.url(database="nowhere"), "database \"nowhere\" does not exist"),
                (self.server.url(password="wrong:secret@x"), "no URL that PostgreSQL understands"),
                (self.server.url(password="wrong/secret"), "no URL that PostgreSQL understands"),
                (self.server.url(password="wrong/secret@x"), "no URL that PostgreSQL understands"),
                (f"postgres://user:{postgres.QUOTED}@{HOST}:{free_port()}/x",
                 "Connection refused")):
            with self.subTest(part=part):
                tool = self.tool({"url": {"env": "DATABASE_URL"}}, env={"DATABASE_URL": url})
                line = tool.expect_line("provider is in trouble")
                self.assertIn(part, line["cause"])
                self.assertIn("DATABASE_URL", line["cause"])
                self.assertIn("DATABASE_URL", line["cause"] + line["cure"])
                for secret in ("secret", "wrong", postgres.PASSWORD, postgres.QUOTED):
                    self.assertNotIn(secret, tool.log)
                # The same trouble again is no news.
                until(lambda: tool.process.poll() is None, "life")
                self.assertEqual(len(tool.lines("provider is in trouble")), 1)

    def test_h_guards_a_table_emptied_by_accident(self):
        self.insert(*[f"10.0.0.{number}:80" for number in range(1, 6)])
        tool = self.tool(self.provider(poll="100ms"))
        until(lambda: len(tool.addresses) == 5, "the table")
        self.server.psql("DELETE FROM workers")
        line = tool.expect_line("list of a provider is not believed, what vanished stays")
        self.assertEqual((line["rows"], line["vanished"], line["rule"]), (0, 5, "min_backends"))
        self.assertEqual(len(tool.addresses), 5)
        self.insert("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:80")
        tool.expect("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:80")
        tool.expect_line("list of a provider is believed again")

    def test_i_a_server_that_hangs(self):
        self.insert("10.0.0.1:80")
        tool = self.tool(self.provider(poll="50ms", timeout="2s"))
        tool.expect("10.0.0.1:80")
        self.server.pause(True)
        try:
            line = tool.expect_line("provider is in trouble")
        finally:
            self.server.pause(False)
        self.assertIn("does not answer within 2000 ms", line["cause"])
        self.insert("10.0.0.2:80")
        tool.expect("10.0.0.1:80", "10.0.0.2:80")

    def test_j_a_missing_table(self):
        self.server.psql("DROP TABLE workers")
        tool = self.tool(self.provider())
        line = tool.expect_line("provider is in trouble")
        self.assertIn("no table 'workers' with a column 'worker_address'", line["cause"])
        self.assertIn("weir migrate run", line["cure"])
        self.server.psql(TABLE)
        self.insert("10.0.0.1:80")
        tool.expect("10.0.0.1:80")

    def test_k_ten_thousand_rows(self):
        self.server.psql("INSERT INTO workers SELECT '10.1.' || n / 200 || '.' || n % 200 || ':80' "
                         "FROM generate_series(0, 9999) n")
        tool = self.tool(self.provider(poll="200ms"))
        until(lambda: len(tool.rows or []) == 10000, lambda: tool.log)
        self.server.psql("DELETE FROM workers WHERE worker_address LIKE '10.1.0.%'")
        until(lambda: len(tool.rows or []) == 9800, lambda: tool.log)


class DnsTest(Case):
    def server(self, *args, **keys):
        server = Dns(*args, **keys)
        self.addCleanup(server.stop)
        return server

    @staticmethod
    def resolver(server, **rest):
        return {"servers": [server.address], "timeout": "200ms", "ttl_min": "50ms", **rest}

    def test_a_addresses_of_both_families(self):
        server = self.server({("app.test", A): ["10.0.0.2", "10.0.0.1"],
                              ("app.test", AAAA): ["fd00::1"]}, ttl=0)
        tool = self.tool({"host": "app.test:80"}, resolver=self.resolver(server))
        tool.expect("10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80")
        server.records[("app.test", A)] = ["10.0.0.1", "10.0.0.3"]
        tool.expect("10.0.0.1:80", "10.0.0.3:80", "[fd00::1]:80")

    def test_b_srv_with_weights_and_priorities(self):
        name = "_http._tcp.app.test"
        server = self.server({(name, SRV): [(10, 60, 8001, "a.test"), (10, 20, 8002, "b.test"),
                                            (20, 0, 8003, "c.test")],
                              ("a.test", A): ["10.0.0.1"], ("b.test", A): ["10.0.0.2"],
                              ("c.test", A): ["10.0.0.3"]}, ttl=0)
        tool = self.tool({"host": name}, resolver=self.resolver(server))
        tool.expect("10.0.0.1:8001", "10.0.0.2:8002", "10.0.0.3:8003")
        self.assertEqual([(row["weight"], row["backup"]) for row in tool.rows],
                         [(60, False), (20, False), (1, True)])
        server.records[(name, SRV)] = [(20, 65535, 8003, "c.test"), (20, 6553, 8001, "a.test")]
        tool.expect("10.0.0.1:8001", "10.0.0.3:8003")
        until(lambda: [row["weight"] for row in tool.rows] == [99, 1000], lambda: str(tool.rows))
        self.assertEqual([row["backup"] for row in tool.rows], [False, False])

    def test_c_stale_on_error(self):
        server = self.server({("app.test", A): ["10.0.0.1", "10.0.0.2"]}, ttl=0)
        tool = self.tool({"host": "app.test:80"}, resolver=self.resolver(server))
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        server.status = SERVFAIL
        tool.expect_line("provider is in trouble")
        server.status = None
        tool.expect_line("provider is well", 2)
        server.is_silent = True
        tool.expect_line("provider is in trouble", 2)
        server.is_silent = False
        tool.expect_line("provider is well", 3)
        server.records.clear()
        self.assertIn("Domain name not found",
                      tool.expect_line("provider is in trouble", 3)["cause"])
        self.assertEqual(tool.addresses, ["10.0.0.1:80", "10.0.0.2:80"])
        self.assertEqual(len(tool.lists), 1)

    def test_d_a_name_that_is_gone_for_long(self):
        server = self.server({("app.test", A): ["10.0.0.1"]}, ttl=0)
        tool = self.tool({"host": "app.test:80", "min_backends": 0, "max_vanish": "100%"},
                         resolver=self.resolver(server, stale="0s"))
        tool.expect("10.0.0.1:80")
        server.records.clear()
        tool.expect()

    def test_e_lifetimes_are_bounded(self):
        server = self.server({("app.test", A): ["10.0.0.1"]}, ttl=86400)
        tool = self.tool({"host": "app.test:80"}, resolver=self.resolver(server, ttl_max="100ms"))
        tool.expect("10.0.0.1:80")
        server.records[("app.test", A)] = ["10.0.0.2", "10.0.0.1"]
        tool.expect("10.0.0.1:80", "10.0.0.2:80")
        long = self.tool({"host": "app.test:80"}, resolver=self.resolver(server))
        long.expect("10.0.0.1:80", "10.0.0.2:80")

    def test_f_a_name_that_never_was(self):
        server = self.server({("other.test", A): ["10.0.0.1"]})
        tool = self.tool({"host": "app.test:80"}, resolver=self.resolver(server))
        tool.expect_line("provider is in trouble")
        server.records[("app.test", A)] = ["10.0.0.7"]
        tool.expect("10.0.0.7:80")


if __name__ == "__main__":
    TOOL = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
