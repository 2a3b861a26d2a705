#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the dashboard costs its browser for each update, one a second: processor time of its main thread
(another thread's turn does not count, so a busy machine gives the same figure), and how many places of
the page are changed.

    tests/page/frames.py [--backends 12,120,1000] [--seconds 20]
"""
import argparse
import pathlib
import statistics
import sys
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from page import world as worlds  # noqa: E402
from page.browser import Browser  # noqa: E402

COUNT = """
window.changes = 0;
new MutationObserver((list) => changes += list.length).observe(document.body,
    {subtree: true, childList: true, characterData: true, attributes: true});
"""
# Comes back when the next update stands on the page and what it drew is drawn.
AWAIT_UPDATE = """
const done = arguments[0];
new MutationObserver((list, observer) => {
    observer.disconnect();
    setTimeout(done, 300);
}).observe(document.getElementById("verdict"), {attributeFilter: ["data-at"]});
"""


class Frames(typing.NamedTuple):
    update_ms: list  # of each update, processor time of all its tasks
    changes: float  # of the page for each update
    nodes: int


def used_ms(browser):
    metrics = browser.cdp("Performance.getMetrics")["metrics"]
    return 1e3 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def measure(url, updates):
    """Of a page that is open already to those who look."""
    browser = Browser()
    try:
        browser.cdp("Performance.enable", timeDomain="threadTicks")
        browser.open(url)
        browser.wait_live()
        browser.until(lambda: browser.all("#pools .name"), "rows")
        for _ in range(3):  # its first seconds are another story
            browser.wait_async(AWAIT_UPDATE)
        browser.js(COUNT)
        at = [used_ms(browser)]
        for _ in range(updates):
            browser.wait_async(AWAIT_UPDATE)
            at.append(used_ms(browser))
        changes = browser.js("return changes") / updates
        nodes = len(browser.all("body *"))
    finally:
        browser.close()
    return Frames([after - before for before, after in zip(at, at[1:])], changes, nodes)


def of_backends(backends, updates):
    world = worlds.serve(backends=backends, scenario="mixed")
    try:
        return measure(world.url, updates)
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="12,120,1000")
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    print("backends  CPU of an update: median     most    changes  elements")
    for backends in map(int, options.backends.split(",")):
        found = of_backends(backends, options.seconds)
        print(f"{backends:8}  {statistics.median(found.update_ms):21.1f} ms {max(found.update_ms):5.1f} ms"
              f"  {found.changes:9.0f}  {found.nodes:8}", flush=True)


if __name__ == "__main__":
    main()
