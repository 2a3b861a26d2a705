# SPDX-License-Identifier: Apache-2.0
"""The dashboard follows what happens."""
import statistics

import pytest

from . import frames
from .world import KINDS


# Notes, in the page, at which moment of the API the row and the verdict changed.
NOTE = """
window.noted = {};
const look = () => {
    const at = Number(document.getElementById("verdict").dataset.at);
    const name = [...document.querySelectorAll("#pools .name")].find((e) => e.textContent === arguments[0]);
    if (name.closest("tr").querySelector(".c-state").textContent.startsWith("down"))
        noted.row ??= at;
    if (!document.getElementById("verdict").classList.contains("tone-ok"))
        noted.verdict ??= at;
};
new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_backend_changes_verdict_and_row(browser, serve, kind):
    """Within two seconds of the API's own clock."""
    world = serve(kind=kind)
    browser.open(world.url)
    browser.wait_live()
    dead = world.api("/api/v1/state")["backends"][0]["id"]
    browser.until(lambda: browser.row(dead), "its row")
    browser.js(NOTE, dead)
    world.fail(dead)
    browser.until(lambda: len(browser.js("return window.noted")) == 2, "a new row and verdict")
    event = next(e for e in world.events() if e["backend"] == dead and e["to"] == "down")
    noted = browser.js("return window.noted")
    assert noted["row"] - event["at_ms"] <= 2000
    assert noted["verdict"] - event["at_ms"] <= 2000
    browser.wait_text("#changed", "backend is down")
    browser.until(lambda: browser.all("#graphs .mark.tone-bad"), "a mark in the graphs")
    world.heal(dead)
    browser.until(lambda: browser.row(dead)["state"].startswith("up"), "the row of a healthy backend")


def test_the_stream_comes_back_by_itself(browser, serve):
    world = serve()
    browser.network_may_fail = True
    browser.open(world.url)
    browser.wait_live()
    browser.js("""window.words = [];
        new MutationObserver(() => words.push(document.getElementById("link-text").textContent))
            .observe(document.getElementById("link-text"), {childList: true});""")
    world.fail("app-2")  # what happens while nobody hears it is there afterwards
    world.cut()
    browser.until(lambda: browser.js("return words.includes('reconnecting') && words.at(-1) === 'live'"), "a new stream")
    browser.until(lambda: browser.row("app-2")["state"].startswith("down"), "what happened meanwhile")
    browser.wait_text("#changed", "backend is down")


def test_old_data_is_said_to_be_old(browser, serve):
    world = serve()
    browser.network_may_fail = True
    browser.open(world.url)
    browser.wait_live()
    world.close()
    browser.wait_text("#stale", "What you see is")
    assert browser.text("#link-text") == "reconnecting"


def test_thousand_backends_draw_few_rows(browser, serve):
    world = serve(backends=1000, scenario="mixed")
    browser.open(world.url)
    browser.wait_live()
    browser.until(lambda: browser.all(".pool"), "pools")
    for place in (0.3, 0.9, 0.6):
        browser.js("window.scrollTo(0, document.body.scrollHeight * arguments[0])", place)
        browser.until(lambda: browser.js("return [...document.querySelectorAll('#pools .name')].some((e) => "
                                         "{const y = e.getBoundingClientRect().y; return y > 60 && y < innerHeight})"), "rows in sight")
        assert len(browser.all("#pools .name")) < 120
    last = world.api("/api/v1/state")["pools"][-1]["name"]
    browser.fill("#pool-filter", f"{last}-1")
    browser.until(lambda: all(name.startswith(f"{last}-1") for name in browser.texts("#pools .pool:not([hidden]) .name")), "only what fits")


def test_a_thousand_backends_cost_no_more_than_some():
    """What is out of sight is not drawn. Processor time of each update, against the same page with fewer
    backends: a busy machine slows both down or skips updates, and neither has to be done within a time."""
    few, many = (frames.of_backends(count, updates=4) for count in (120, 1000))
    for count, found in ((120, few), (1000, many)):
        print(f"{count} backends: {statistics.median(found.update_ms):.1f} ms of processor time and {found.changes:.0f} changes "
              f"for an update, {found.nodes} elements")
    assert many.changes < 2500  # all of them would be ten thousand
    assert many.nodes < 2 * few.nodes
    assert statistics.median(many.update_ms) < 4 * statistics.median(few.update_ms)


def test_order_and_filter(browser, serve):
    world = serve(backends=12, scenario="down")
    world.freeze()
    browser.open(world.url)
    browser.wait_live()
    browser.until(lambda: browser.all("#pools .name"), "rows")
    bad = [b["id"] for b in world.api("/api/v1/state")["backends"] if b["state"] != "up"]
    assert browser.texts("#pools .name")[0] == bad[0], "trouble comes first"
    browser.click("#pools .c-weight button")
    weights = [int(text.split()[0]) for text in browser.texts("#pools .pool:first-child td.c-weight .one")]
    assert weights == sorted(weights, reverse=True)
    assert browser.one("#pools th.c-weight").get_attribute("aria-sort") == "descending"
    browser.click("#pools .c-weight button")
    weights = [int(text.split()[0]) for text in browser.texts("#pools .pool:first-child td.c-weight .one")]
    assert weights == sorted(weights)
    browser.click("#pool-bad")
    browser.until(lambda: browser.texts("#pools .pool:not([hidden]) .name") == bad, "only what is not up")


def test_nobody_computes_for_a_hidden_page(browser, serve):
    """The stream of a page that is closed ends."""
    world = serve()
    browser.open(world.url)
    browser.wait_live()
    assert world.mock.streams == 1
    browser.driver.get("about:blank")
    browser.until(lambda: world.mock.streams == 0, "the end of the stream")


def test_the_heap_stays_flat(browser, serve):
    """Ten minutes of streaming, a second of which takes 30 ms; the heap is looked at after each two,
    when a page that was slower than that has read what waited for it."""
    hurried_s = 0.03
    world = serve(backends=60, scenario="flapping", tick_s=hurried_s)
    browser.open(world.url)
    browser.wait_live()
    heaps = []
    for minutes in range(2, 14, 2):
        # The first minutes fill the lists, which have their bounds.
        browser.until(lambda: world.cluster.turn > minutes * 60, "minutes to pass")
        world.mock.tick_s = 1.0
        newest = world.api("/api/v1/state")["now_at_ms"]
        browser.until(lambda: browser.shown_at() >= newest, "the page to have read it all")
        heaps.append(browser.heap_bytes())
        world.mock.tick_s = hurried_s
    assert min(heaps[-2:]) < 1.3 * heaps[1] + 500_000, heaps
    assert len(browser.all("body *")) < 6000
