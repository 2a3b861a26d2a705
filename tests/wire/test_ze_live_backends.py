# SPDX-License-Identifier: Apache-2.0
"""Backends that come and go in a database, a file or a name while requests run."""
import json
import os
import pathlib
import signal
import subprocess

from peers.backend import Backend
from peers.dns import A, Dns
from peers.load import Fire
from peers.net import until
from peers import postgres
from peers.weir import Weir

from test_zd_providers import TRIGGER, config, insert, listed, providers_of, serving, start


def all_good(fire):
    bad = fire.bad()
    assert not bad, bad[:5]


def test_s4_7_inserted_probed_served_deleted_drained(table, tmp_path):
    """S4.7, S4.1: a new row is probed at once and gets traffic only after passing; a deleted one is
    drained: no request fails."""
    table.psql(TRIGGER)
    with Backend() as one, Backend() as two, Backend() as three:
        insert(table, one, two)
        with start(tmp_path, {"url": table.url()}) as weir:
            with Fire(weir.address, connections=8) as fire:
                fire.until_answers(100)
                insert(table, three)
                until(lambda: three.served, "requests at the new one")
                probes = [head for head in three.heads if head not in three.served]
                assert probes and probes[0].at <= three.served[0].at
                table.psql(f"DELETE FROM workers WHERE worker_address = '{one.address}'")
                until(lambda: one.address not in listed(weir), "the deleted one gone")
                fire.until_answers(len(fire.answers) + 100)
                count = len(one.served)
                fire.until_answers(len(fire.answers) + 100)
                assert len(one.served) == count
            all_good(fire)


def test_a_row_without_a_server_gets_no_traffic(table, tmp_path):
    table.psql(TRIGGER)
    with Backend() as one:
        insert(table, one)
        with start(tmp_path, {"url": table.url()}) as weir:
            with Fire(weir.address, connections=4) as fire:
                fire.until_answers(20)
                table.psql("INSERT INTO workers VALUES ('127.0.0.1:1')")
                until(lambda: "127.0.0.1:1" in listed(weir), "the new row")
                fire.until_answers(len(fire.answers) + 100)
                assert serving(weir) == [one.address]
            all_good(fire)


def test_s4_8_database_killed_under_load(table, tmp_path):
    """S4.8: no request fails while it is gone, and new rows arrive when it is back."""
    table.psql(TRIGGER)
    with Backend() as one, Backend() as two, Backend() as three:
        insert(table, one, two)
        with start(tmp_path, {"url": table.url()}) as weir:
            with Fire(weir.address, connections=8) as fire:
                fire.until_answers(100)
                table.kill()
                until(lambda: not providers_of(weir)[0]["up"], "the trouble noticed")
                fire.until_answers(len(fire.answers) + 500)
                assert listed(weir) == sorted([one.address, two.address])
                table.start()
                insert(table, three)
                until(lambda: three.served, "requests at the new one")
            all_good(fire)


def test_several_nodes_converge(table, tmp_path):
    table.psql(TRIGGER)
    with Backend() as one, Backend() as two, Backend() as three:
        insert(table, one)
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with start(tmp_path / "a", {"url": table.url(), "refresh": "1h"}) as first, \
                start(tmp_path / "b", {"url": table.url(), "refresh": "1h"}) as second:
            insert(table, two, three)
            table.psql(f"DELETE FROM workers WHERE worker_address = '{one.address}'")
            for weir in (first, second):
                until(lambda weir=weir: listed(weir) == sorted([two.address, three.address]),
                      "the same list on both nodes")


def test_the_command_and_sqlite(tmp_path):
    """weir backends add and remove, seen by PRAGMA data_version alone."""
    database = tmp_path / "w.db"
    url = f"sqlite:{database}"
    binary = os.environ.get("TEST_WEIR", "build/weir")
    with Backend() as one, Backend() as two:
        subprocess.run(["sqlite3", str(database), postgres.TABLE,
                        f"INSERT INTO workers VALUES ('{one.address}')"], check=True)
        with start(tmp_path, {"path": str(database), "refresh": "1h", "poll": "100ms"}) as weir:
            for words, expected in ((("add", two.address), [one.address, two.address]),
                                    (("remove", one.address), [two.address])):
                subprocess.run([binary, "backends", *words, "--database-url", url], check=True,
                               stdout=subprocess.DEVNULL)
                until(lambda e=expected: listed(weir) == sorted(e), f"{words} followed")
            assert weir.ask().status == 200


def test_a_file_replaced(tmp_path):
    file = tmp_path / "list"

    def put(*backends):
        (tmp_path / "new").write_text("".join(f"{one.address}\n" for one in backends))
        os.replace(tmp_path / "new", file)

    with Backend() as one, Backend() as two:
        put(one)
        with start(tmp_path, {"path": str(file), "refresh": "1h"}) as weir:
            put(one, two)
            until(lambda: listed(weir) == sorted([one.address, two.address]), "both")
            until(lambda: (weir.ask(), two.served)[1], "requests at the second")
            put(two)
            until(lambda: listed(weir) == [two.address], "the second alone")
            put()  # emptied by accident
            until(lambda: providers_of(weir)[0]["held"], "the guard")
            assert listed(weir) == [two.address]
            assert weir.ask().status == 200


def test_s2_29_a_name_with_other_addresses(tmp_path):
    """S2.29: a DNS change is in rotation without a restart; written as an address of a pool."""
    dns = Dns({("app.test", A): ["127.0.0.1"]}, ttl=0)
    try:
        with Backend(host="127.0.0.1") as one:
            with Backend(host="127.0.0.2", port=one.port) as two:
                address, tree = config(backends=[f"dns:app.test:{one.port}"])
                del tree["providers"]
                tree["resolver"] = {"servers": [dns.address], "ttl_min": "50ms"}
                with Weir(tree, address=address, env={"XDG_STATE_HOME": str(tmp_path)}) as weir:
                    assert listed(weir) == [one.address]
                    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
                    until(lambda: listed(weir) == sorted([one.address, two.address]), "both")
                    until(lambda: (weir.ask(), two.served)[1], "requests at the second")
    finally:
        dns.stop()


def test_written_backends_stay_while_lists_change(tmp_path):
    file = tmp_path / "list"
    with Backend() as one, Backend() as two:
        file.write_text("127.0.0.1:1\n")
        with start(tmp_path, {"path": str(file)},
                   backends=[{"id": "mine", "address": one.address, "slow_start": "1s"}]) as weir:
            assert listed(weir) == sorted([one.address, "127.0.0.1:1"])
            file.write_text(f"{two.address}\n{one.address}\n")
            until(lambda: listed(weir) == sorted([one.address, two.address]), "the new list")


def test_reload_keeps_and_follows_providers(tmp_path):
    """What providers know stays over a reload; a provider that comes or goes with one is followed."""
    first, second = tmp_path / "first", tmp_path / "second"
    with Backend() as one, Backend() as two:
        first.write_text(f"{one.address}\n")
        second.write_text(f"{two.address}\n")
        address, tree = config({"path": str(first), "name": "first"})
        with Weir(tree, address=address, env={"XDG_STATE_HOME": str(tmp_path)}) as weir:
            def generation():
                state = weir.ask("GET", "/api/v1/state", address=tree["admin"]["bind"],
                                 host=tree["admin"]["bind"])
                return json.loads(state.body)["generation"]

            def reload():
                before = generation()
                pathlib.Path(weir.config_path).write_text(json.dumps(tree))
                weir.signal(signal.SIGHUP)
                until(lambda: generation() > before, "another generation")

            tree["pools"]["app"]["algorithm"] = "random"
            reload()
            assert listed(weir) == [one.address]
            tree["providers"].append({"pool": "app", "path": str(second), "name": "second"})
            reload()
            until(lambda: listed(weir) == sorted([one.address, two.address]), "both")
            del tree["providers"][0]
            reload()
            until(lambda: listed(weir) == [two.address], "the second alone")
            assert weir.ask().status == 200
