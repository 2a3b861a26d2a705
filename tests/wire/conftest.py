# SPDX-License-Identifier: Apache-2.0
import faulthandler
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from peers import postgres  # noqa: E402

# A hang becomes a failure with the stacks of all threads. No test comes near it.
WATCHDOG_SECONDS = 120


@pytest.fixture(autouse=True)
def watchdog():
    def bark(_number, _frame):
        faulthandler.dump_traceback(all_threads=True)
        raise AssertionError(f"the watchdog ended a test that took {WATCHDOG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(WATCHDOG_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL of the module's own."""
    if postgres.available():
        pytest.skip(postgres.available())
    running = postgres.Postgres()
    yield running
    running.stop()


@pytest.fixture
def table(server):
    """The same, running, with an empty table of workers."""
    if not server.process:
        server.start()
    server.psql("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public",
                postgres.TABLE)
    return server
