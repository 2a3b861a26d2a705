#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the dashboard costs its browser once a second: the processor time of the longest task of its
main thread (another thread's turn does not count, so a busy machine gives the same figure), what all
of them take for an update, and how many places of the page are changed.

    tests/page/frames.py [--backends 12,120,1000] [--seconds 20]
"""
import argparse
import json
import pathlib
import statistics
import sys
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from page import world as worlds  # noqa: E402
from page.browser import Browser  # noqa: E402

CATEGORIES = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline"
COUNT = """
window.changes = 0;
window.updates = 0;
new MutationObserver((list) => changes += list.length).observe(document.body,
    {subtree: true, childList: true, characterData: true, attributes: true});
new MutationObserver(() => updates++).observe(document.getElementById("verdict"),
    {attributeFilter: ["data-at"]});
"""


class Frames(typing.NamedTuple):
    update_ms: float  # processor time of all tasks for each update that was drawn
    longest_ms: list  # of each second, processor time
    wall_ms: list  # of the same tasks, as a clock on the wall shows it
    changes: float  # of the page for each update
    nodes: int


def tasks_of(log):
    """(begin in us, processor time, wall time) of the tasks of the page's main thread."""
    tasks, threads = [], {}
    for entry in log:
        message = json.loads(entry["message"])["message"]
        event = message["params"]
        if message["method"] != "Tracing.dataCollected":
            continue
        if event.get("name") == "EventDispatch" or event.get("name") == "FunctionCall":
            key = event["pid"], event["tid"]
            threads[key] = threads.get(key, 0) + 1
        if event.get("name") == "RunTask" and "tdur" in event:
            tasks.append((event["ts"], event["tdur"], event["dur"], (event["pid"], event["tid"])))
    main = max(threads, key=threads.get)  # where the scripts run
    return sorted(task[:3] for task in tasks if task[3] == main)


def measure(url, turn, seconds):
    """Of a page that is open already to those who look; `turn()` counts the mock's seconds."""
    browser = Browser(traced=CATEGORIES)
    try:
        browser.open(url)
        browser.wait_live()
        browser.until(lambda: browser.all("#pools .name"), "rows")
        first = turn() + 3  # its first seconds are another story
        browser.until(lambda: turn() >= first, "a start")
        browser.js(COUNT)
        browser.driver.get_log("performance")
        browser.until(lambda: browser.js("return updates") >= seconds, "updates of every second")
        changes, updates = browser.js("return [changes, updates]")
        nodes = len(browser.all("body *"))
        browser.driver.get("about:blank")  # what was traced is told then
        tasks = tasks_of(browser.driver.get_log("performance"))
    finally:
        browser.close()
    end = tasks[-1][0]
    of_second = {}
    for at, used, took in tasks:
        second = int((end - at) // 1e6)
        if second < seconds:
            of_second[second] = max(of_second.get(second, (0, 0)), (used, took))
    return Frames(sum(used for _, used, _ in tasks) / 1e3 / updates,
                  [used / 1e3 for used, _ in of_second.values()],
                  [took / 1e3 for _, took in of_second.values()], changes / updates, nodes)


def of_backends(backends, seconds):
    world = worlds.serve(backends=backends, scenario="mixed")
    try:
        return measure(world.url, lambda: world.cluster.turn, seconds)
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="12,120,1000")
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    print("backends  longest task of a second, CPU: median   most   (on the wall)    changes  elements")
    for backends in map(int, options.backends.split(",")):
        found = of_backends(backends, options.seconds)
        print(f"{backends:8}  {statistics.median(found.longest_ms):35.1f} ms {max(found.longest_ms):6.1f} ms"
              f"  {statistics.median(found.wall_ms):8.1f} ms  {found.changes:9.0f}  {found.nodes:8}", flush=True)


if __name__ == "__main__":
    main()
