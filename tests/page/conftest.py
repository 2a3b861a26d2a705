# SPDX-License-Identifier: Apache-2.0
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from page import world as worlds  # noqa: E402


@pytest.fixture
def serve():
    """serve(**options): a world (world.py) that is closed afterwards."""
    open_worlds, reports = [], []

    def open_one(**options):
        open_worlds.append(worlds.serve(**options))
        return open_worlds[-1]
    yield open_one
    for one in open_worlds:
        reports += one.mock.csp_reports if one.is_mock else []
        one.close()
    assert not reports, reports


@pytest.fixture
def browser(serve):
    """A browser, in whose console nothing may complain. It closes before the worlds that it looks at."""
    pytest.importorskip("selenium", reason="needs python3-selenium")
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromium-driver")
    from page.browser import Browser

    one = Browser()
    one.prefer("light")
    yield one
    try:
        troubles = one.troubles()
    finally:
        one.close()
    assert not troubles, "\n".join(troubles)
