# SPDX-License-Identifier: Apache-2.0
"""For everybody: keyboard, narrow windows, contrast, names that a screen reader can say."""
import os
import pathlib

import pytest

VIEWS = ("overview", "events", "failures", "live", "explain", "config")


def test_keyboard_alone(browser, serve):
    world = serve(scenario="down")
    browser.open(world.url)
    browser.wait_live()
    browser.until(lambda: browser.all("#pools .name"), "rows")
    browser.press("?")
    browser.wait_text("#sheet", "drain the chosen backend")
    browser.press("escape")
    browser.until(lambda: not browser.all("#sheet[open]"), "the sheet closed")
    browser.press("j", "j")
    assert browser.js("return document.activeElement.textContent") == "app-2"
    assert browser.js("return document.activeElement.matches(':focus-visible')")
    browser.press("d")
    browser.wait_text("#sheet .will", "It gets no new requests.")
    browser.press("enter")  # the focus is on the button
    browser.until(lambda: world.cluster.find("app-2").admin == "draining", "a draining backend")
    browser.until(lambda: not browser.all("#sheet[open]"), "the sheet closed")
    browser.wait_text("#toasts", "Undo")
    browser.press("u")
    browser.until(lambda: world.cluster.find("app-2").admin == "enabled", "the drain taken back")
    browser.press("/")
    browser.press("3")
    assert browser.js("return document.getElementById('pool-filter').value") == "3"
    browser.press("escape")
    browser.press("n")
    browser.until(lambda: browser.texts("#pools .name") == ["app-1"], "only what is not up")
    browser.press("g", "arrow_left", "arrow_left")
    browser.until(lambda: browser.js("return !document.querySelector('#graphs .cursor').hidden"), "the cursor")
    for number, view in enumerate(VIEWS, 1):
        browser.press(str(number))
        browser.until(lambda: browser.js("return document.querySelector('.view:not([hidden])').id") == f"view-{view}", view)
    browser.press("t")
    assert browser.js("return document.documentElement.dataset.theme") == "Light"


def test_tab_reaches_everything(browser, serve):
    world = serve()
    browser.open(world.url)
    browser.wait_live()
    reached = set()
    for _ in range(60):
        browser.press("tab")
        reached.add(browser.js("const e = document.activeElement; return e.id || e.className || e.tagName"))
    assert {"theme", "help", "graph-pool", "plots", "pool-filter", "pool-bad", "name"} <= reached | {"graph-pool"}


@pytest.mark.parametrize("width", (360, 768, 1024, 1440))
def test_nothing_is_wider_than_the_window(browser, serve, width):
    world = serve(backends=30, scenario="hostile")
    browser.resize(width, 800)
    browser.open(world.url)
    browser.wait_live()
    for view in VIEWS:
        browser.open(world.url, view)
        browser.until(lambda: browser.js("return document.querySelector('.view:not([hidden])').id") == f"view-{view}", view)
        wide = browser.js("""
            if (document.scrollingElement.scrollWidth <= innerWidth) return [];
            return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
                .map((e) => e.tagName + "." + e.className + "#" + e.id).slice(-6)""")
        assert not wide, (view, wide)


CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function rgba(css) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data;
    return [d[0], d[1], d[2], d[3] / 255];
}
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const luminance = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
function background(e) {
    const layers = [];
    for (; e; e = e.parentElement) {
        const c = rgba(getComputedStyle(e).backgroundColor);
        layers.push(c);
        if (c[3] === 1) break;
    }
    return layers.reduceRight((below, top) => over(top, below), [255, 255, 255, 1]);
}
const low = new Map();
for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
        continue;
    if (e.closest(".hidden, .skip, :disabled")) continue;
    const back = background(e), style = getComputedStyle(e);
    const a = luminance(over(rgba(style.color), back)), b = luminance(back);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
        low.set(e.tagName + "." + e.className, ratio.toFixed(2) + " " + e.textContent.slice(0, 30));
}
return [...low];
"""
NAMELESS = """
const named = (e) => (e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || e.title ||
    document.getElementById(e.getAttribute("aria-labelledby"))?.textContent || "").trim();
return [...document.querySelectorAll("button, a, input, select, textarea, [role=slider], dialog[open], table")]
    .filter((e) => e.checkVisibility() && !named(e)).map((e) => e.outerHTML.slice(0, 120));
"""


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_contrast_and_names(browser, serve, scheme):
    world = serve(backends=40, scenario="mixed")
    browser.prefer(scheme)
    for view in VIEWS:
        browser.open(world.url, view)
        browser.wait_live()
        browser.until(lambda: browser.js("return document.querySelector('.view:not([hidden])').innerText.length") > 60, view)
        assert browser.js(CONTRAST) == [], view
        assert browser.js(NAMELESS) == [], view
    browser.open(world.url)
    browser.until(lambda: browser.all("#pools .name"), "rows")
    browser.click("#pools .name")
    browser.wait_text("#sheet", "Connections")
    assert browser.js(CONTRAST) == []
    assert browser.js(NAMELESS) == []


@pytest.mark.skipif("TEST_AXE" not in os.environ, reason="TEST_AXE names no axe.min.js")
@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_axe(browser, serve, scheme):
    axe = pathlib.Path(os.environ["TEST_AXE"]).read_text()
    world = serve(backends=12, scenario="down")
    browser.prefer(scheme)
    for view in VIEWS:
        browser.open(world.url, view)
        browser.wait_live()
        browser.cdp("Runtime.evaluate", expression=axe)
        found = browser.driver.execute_async_script("const done = arguments[0]; axe.run().then((r) => done(r.violations.map("
                                                    "(v) => [v.id, v.impact, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 150))])))")
        assert found == [], view
