# SPDX-License-Identifier: Apache-2.0
"""Who takes requests when those who usually do cannot: backups, pools that take over, weight 0."""
import contextlib
import threading

import pytest

from peers.backend import Backend, Counting, Gate, fixed
from peers.net import HOST, free_port, until
from peers.weir import CALM, start

OUT_SOON = {"outliers": {"connect_failures": 3, "eject_for": "300ms"}}
AT_ONCE = {"retry": {"backoff": {"base": "0ms"}}}


def named(name):
    return fixed(200, body=name)


@contextlib.contextmanager
def backends(*names, **rest):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Backend(named(name), **rest)) for name in names]


def backup(backend):
    return {"address": backend if isinstance(backend, str) else backend.address, "backup": True}


def weighing(weight, backend):
    return {"address": backend.address, "weight": weight}


def dead():
    return f"{HOST}:{free_port()}"


def texts(weir, count):
    return "".join(weir.ask().text for _ in range(count))


# ---- Backups ------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ["round_robin", "random", "power_of_two", "least_connections",
                                       "consistent_hash", "maglev", "first"])
@pytest.mark.parametrize("workers", [1, 4])
def test_backups_get_nothing_while_others_can(algorithm, workers):
    with backends("b", "a", "b", "a") as (one, two, three, four):
        with start(backup(one), two, backup(three), four, workers=workers,
                   pool={"algorithm": algorithm}) as weir:
            assert texts(weir, 30) == "a" * 30
            assert not one.connections and not three.connections


def test_nor_what_is_sent_again():
    """A retry goes to the other one that is in, or once more to the same."""
    failing = fixed(503, body=b"no")
    with Backend(failing) as one, Backend(failing) as two, Backend(named("backup")) as three:
        with start(one, two, backup(three), pool=AT_ONCE) as weir:
            for _ in range(5):
                assert weir.ask().body == b"no"
            assert not three.connections


@pytest.mark.parametrize("workers", [1, 4])
def test_backups_take_over_and_step_back(workers):
    port = free_port()
    with Backend(named("backup")) as spare:
        with start(f"{HOST}:{port}", backup(spare), pool=OUT_SOON, workers=workers) as weir:
            until(lambda: weir.ask().text == "backup", "the backup to take over")
            with Backend(named("main"), port=port):
                until(lambda: weir.ask().text == "main", "the other one to be back")
                assert texts(weir, 10) == "main" * 10


def test_a_backup_for_those_with_weight_0():
    with backends("a", "b") as (one, two):
        with start(weighing(0, one), backup(two)) as weir:
            assert texts(weir, 10) == "b" * 10
            assert not one.connections


# ---- Weight 0 -----------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ["round_robin", "random", "weighted_random", "power_of_two",
                                       "least_connections", "least_response_time", "ip_hash",
                                       "consistent_hash", "maglev", "rendezvous", "first"])
def test_weight_0_gets_nothing(algorithm):
    with backends("a", "b", "a") as (one, two, three):
        with start(weighing(2, one), weighing(0, two), weighing(1, three),
                   pool={"algorithm": algorithm}) as weir:
            assert texts(weir, 30) == "a" * 30
            assert not two.connections


def test_not_even_what_is_sent_again():
    with Backend(fixed(503, body=b"no")) as one, Backend(named("b")) as two:
        with start(one, weighing(0, two), pool=AT_ONCE) as weir:
            assert weir.ask().body == b"no"
            assert len(one.heads) == 3 and not two.connections


def test_nobody_has_a_weight():
    with backends("a", "b") as (one, two):
        with start(weighing(0, one), weighing(0, two)) as weir:
            for method in ("GET", "POST"):
                response = weir.ask(method)
                assert response.status == 503
                assert "no_backend_available" in response.text
                assert int(response.get("retry-after")) >= 1
                assert response.get("proxy-status") == \
                    'weir; error=destination_unavailable; details="no_backend_available"'


# ---- Pools that take over -----------------------------------------------------------------------

def pool_of(*members, **rest):
    return {"backends": [each if isinstance(each, (str, dict)) else each.address
                         for each in members], **CALM, **rest}


@pytest.mark.parametrize("workers", [1, 4])
def test_a_pool_that_takes_over(workers):
    with backends("a", "b") as (one, two):
        with start(weighing(0, one), pool={"failover": "other"}, workers=workers,
                   pools={"other": pool_of(two)}) as weir:
            assert texts(weir, 10) == "b" * 10
            body = b"x" * 100000
            assert weir.ask("POST", "/", body=body).text == "b"
            assert two.last().body == body
            assert not one.connections


def test_not_while_the_first_one_can():
    with backends("a", "b") as (one, two):
        with start(one, pool={"failover": "other"}, pools={"other": pool_of(two)}) as weir:
            assert texts(weir, 10) == "a" * 10
            assert not two.connections


def test_a_chain_of_pools():
    with backends("a", "b", "c") as (one, two, three):
        with start(weighing(0, one), pool={"failover": "second"},
                   pools={"second": pool_of(weighing(0, two), failover="third"),
                          "third": pool_of(three)}) as weir:
            assert texts(weir, 10) == "c" * 10


def test_the_last_pool_of_a_chain_has_nobody_either():
    with backends("a", "b") as (one, two):
        with start(weighing(0, one), pool={"failover": "second"},
                   pools={"second": pool_of(weighing(0, two))}) as weir:
            response = weir.ask()
            assert response.status == 503 and "no_backend_available" in response.text


@pytest.mark.parametrize("workers", [1, 4])
def test_taking_over_and_stepping_back(workers):
    port = free_port()
    with Backend(named("spare")) as spare:
        with start(f"{HOST}:{port}", pool={**OUT_SOON, "failover": "other"}, workers=workers,
                   pools={"other": pool_of(spare)}) as weir:
            until(lambda: weir.ask().text == "spare", "the other pool to take over")
            with Backend(named("main"), port=port):
                until(lambda: weir.ask().text == "main", "the first one to be back")
                assert texts(weir, 10) == "main" * 10


def test_the_other_pools_rules_count():
    """Its bounds, its queue, its retries."""
    gate = Gate()
    with Backend(named("a")) as one, Counting(gate) as two:
        other = pool_of({"address": two.address, "max_connections": 1}, limits={"queue": 1})
        with start(weighing(0, one), pool={"failover": "other"}, pools={"other": other}) as weir:
            answers = []

            def ask():
                answers.append(weir.ask().status)

            threads = [threading.Thread(target=ask) for _ in range(6)]
            try:
                for thread in threads:
                    thread.start()
                until(lambda: len(answers) == 4, "four refusals")
                assert answers == [503] * 4
            finally:
                gate.open()
                for thread in threads:
                    thread.join()
            assert sorted(answers) == [200] * 2 + [503] * 4
            assert two.open_most == 1


def test_its_retries_count():
    with Backend(named("a")) as one, Backend(fixed(503, body=b"no")) as two:
        other = pool_of(two, retry={"max_attempts": 5, "backoff": {"base": "0ms"}})
        with start(weighing(0, one), pool={"failover": "other", "retry": {"max_attempts": 1}},
                   pools={"other": other}) as weir:
            assert weir.ask().body == b"no"
            assert len(two.heads) == 5


def test_a_place_in_the_first_pool_is_given_back():
    """limits.requests of a pool that has nobody is not used up by those who went on."""
    with backends("a", "b") as (one, two):
        pool = {"failover": "other", "limits": {"requests": 1, "queue": 0}}
        with start(weighing(0, one), pool=pool, pools={"other": pool_of(two)}) as weir:
            for _ in range(10):
                assert weir.ask().text == "b"


def test_connections_of_a_tcp_frontend_go_on_too():
    def says(name):
        return lambda connection: (connection.send(name), connection.reader.rest())

    with Backend(says(b"a")) as one, Backend(says(b"b")) as two:
        with start(weighing(0, one), pool={"failover": "other"}, protocol="tcp",
                   pools={"other": pool_of(two)}) as weir:
            for _ in range(4):
                with weir.client() as client:
                    assert client.reader.exactly(1) == b"b"
