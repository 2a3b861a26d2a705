# SPDX-License-Identifier: Apache-2.0
import faulthandler
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

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
