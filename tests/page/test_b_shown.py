# SPDX-License-Identifier: Apache-2.0
"""What the dashboard shows is what the API says."""
import json
import re

import pytest

from . import figures as f
from .world import KINDS


def tile(browser, name):
    return browser.js("return document.getElementById('v-' + arguments[0]).textContent", name)


def at_rest(browser, world):
    """The state, once it is the same twice and the page has it."""
    def same():
        before, state = world.api("/api/v1/state"), None
        browser.until(lambda: browser.shown_at() > before["now_at_ms"] or world.is_mock, "the next state")
        state = world.api("/api/v1/state")
        same = all(before[part] == state[part] for part in ("totals", "pools"))
        return state if same and browser.shown_at() >= before["now_at_ms"] else None
    return browser.until(same, "figures at rest")


def verdict_of(browser, state):
    """As the page would write it."""
    return browser.js("""
        const day = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric"});
        const today = (at) => at.toDateString() === new Date().toDateString();
        const since = (at) => ` since ${today(at) ? "" : `${day.format(at)} `}${at.toTimeString().slice(0, 8)}`;
        return arguments[0].map((p) => p.text + (p.since_at_ms ? since(new Date(p.since_at_ms)) : "") +
            (p.reason ? `: ${p.reason}` : "")).join("; ")""", state["verdict"]["parts"])


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_api(browser, serve, kind):
    world = serve(kind=kind, backends=12, **({"scenario": "down"} if kind == "mock" else {}))
    browser.resize(1440, 3000)
    browser.open(world.url)
    browser.wait_live()
    browser.until(lambda: world.api("/api/v1/state")["totals"]["requests_total"] > 100, "some requests")
    world.freeze()
    writes = {"requests_per_s": f.rate, "requests_total": f.count, "errors_ratio": f.pct, "errors_per_s": f.rate,
              "client_errors_per_s": f.rate, "retries_per_s": f.rate, "p50_us": f.dur, "p90_us": f.dur, "p99_us": f.dur,
              "max_us": f.dur, "in_flight": f.count, "queued": f.count}
    found = {}

    def agree():
        """Figures of a moment that is just over change once more, on the page a little later; so does
        what the verdict says of them."""
        found["state"] = at_rest(browser, world)
        totals = found["state"]["totals"]
        found["wrong"] = [(name, tile(browser, name), write(totals[name])) for name, write in writes.items()
                          if tile(browser, name) != write(totals[name])]
        verdict = browser.text("#verdict-text"), verdict_of(browser, found["state"])
        if verdict[0] != verdict[1]:
            found["wrong"].append(("verdict", *verdict))
        return not found["wrong"]
    try:
        browser.until(agree, "the figures of the API")
    except AssertionError:
        assert found["wrong"] == []
        raise
    state = found["state"]
    totals, process = state["totals"], state["process"]
    if world.is_mock:
        assert tile(browser, "busy_ratio") == f.pct(process["busy_ratio"])
        assert tile(browser, "descriptors") == f"{f.count(process['descriptors'])} of {f.count(process['descriptors_max'])}"
    assert tile(browser, "connections") == f"{f.count(totals['connections'])} of {f.count(totals['connections_max'])}"
    assert f"tone-{state['verdict']['level']}" in browser.one("#verdict").get_attribute("class")
    assert (browser.text("#instance"), browser.text("#version")) == (state["instance"], state["version"])
    heads = browser.js("return [...document.querySelectorAll('.pool')].map((p) => [p.querySelector('h3').textContent, "
                       "p.querySelector('.word').textContent, ...[...p.querySelectorAll('.figures b')].map((b) => b.textContent)])")
    pools = sorted(state["pools"], key=lambda p: p["state"] == "ok")
    assert heads == [[p["name"], p["state"], f.rate(p["requests_per_s"]), f.rate(p["errors_per_s"]), f.dur(p["p50_us"]),
                      f.dur(p["p99_us"]), f.count(p["in_flight"]), f.count(p["queued"]), f.rate(p.get("retries_per_s"))]
                     for p in pools]
    for one in state["backends"]:
        row = browser.row(one["id"])
        assert row, one["id"]
        assert one["address"] in row["id"]
        assert row["rate"].strip() == f.num(one["requests_per_s"])
        assert row["errors"] == f.num(one["errors_per_s"])
        assert (row["p50"], row["p99"]) == (f.dur(one["p50_us"]), f.dur(one["p99_us"]))
        assert row["flight"] == f.count(one["in_flight"])
        assert row["breaker"].startswith(one["breaker"])
        assert row["state"].startswith(one["state"])
        assert one["state"] == "up" or one["reason"] in row["state"]


def test_graphs_show_the_history(browser, serve):
    world = serve()
    browser.open(world.url)
    browser.wait_live()
    world.freeze()
    browser.until(lambda: browser.js("return document.querySelectorAll('#graphs canvas')[2].height") > 100, "a heatmap")
    history = world.api("/api/v1/history?seconds=300")
    browser.click("#range label:first-of-type")
    said = browser.until(lambda: browser.one("#graphs .plots").get_attribute("aria-valuetext"), "values")
    browser.until(lambda: f"requests {f.rate(history['requests_per_s'][-1])}" in
                  browser.one("#graphs .plots").get_attribute("aria-valuetext"), f"the newest rate, after {said}")
    painted = browser.js("""return [...document.querySelectorAll('#graphs canvas')].map((c) =>
        new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)""")
    assert painted[0] > 5 and painted[2] > 30, painted


def test_events_and_failures(browser, serve):
    world = serve(scenario="down", history_s=900)
    browser.open(world.url, "events")
    browser.wait_live()
    browser.wait_text("#events-list", "backend is down")
    events = world.events()
    assert len(browser.all("#events-list tbody tr")) == len(events)
    assert "connection refused" in browser.text("#events-list")
    failures = world.api("/api/v1/failures?limit=100")["failures"]
    browser.open(world.url, "failures")
    browser.wait_text("#failures-list", failures[0]["id"])
    browser.fill("#failures-filter", failures[0]["id"])
    browser.until(lambda: len(browser.all("#failures-list tbody tr")) == 1, "one row")
    browser.click("#failures-list .l-request button")
    record = world.api(f"/api/v1/requests/{failures[0]['id']}")
    for line in record["text"]:
        browser.wait_text("#sheet", line)


def test_where_backends_come_from(browser, serve):
    world = serve()
    browser.open(world.url)
    browser.wait_live()
    assert not browser.js("return document.getElementById('sources').offsetParent")  # nowhere else
    source = {"name": "db", "type": "postgres", "pool": "app", "up": True, "since_at_ms": 1, "from_disk": False,
              "held": False, "rows": 5, "left_out": 1, "finding_count": 1, "findings": ["'x' is no address"],
              "reads": 7, "errors": 0, "read_at_ms": world.api("/api/v1/state")["now_at_ms"], "cause": None}
    world.cluster.providers = [source]
    browser.wait_text("#sources", "5 rows, 1 left out")
    assert "'x' is no address" in browser.text("#sources")
    world.cluster.providers = [{**source, "up": False, "cause": "connection <i>refused"}]
    browser.wait_text("#sources", "connection <i>refused")
    assert browser.one("#sources .tone-bad") and browser.text("#sources").count(":") >= 2  # a moment


def test_live_requests(browser, serve):
    world = serve()
    browser.open(world.url, "live")
    browser.until(lambda: len(browser.all("#live-list tbody tr")) > 120, "more than what was before")
    browser.press("p")
    browser.wait_text("#view-live .quiet", "paused")
    ids = browser.texts("#live-list .l-id")
    turn = world.cluster.turn
    browser.until(lambda: world.cluster.turn > turn + 2, "two seconds more")
    assert browser.texts("#live-list .l-id") == ids
    browser.press("p")
    browser.until(lambda: browser.texts("#live-list .l-id") != ids, "new rows")
    browser.fill("#live-filter", "/v1/items")
    browser.until(lambda: browser.texts("#live-list .l-request") and
                  all("/v1/items" in text for text in browser.texts("#live-list tbody .l-request")), "only what fits")


def test_explain(browser, serve):
    world = serve(backends=12, scenario="down")
    browser.open(world.url, "explain")
    browser.wait_live()
    browser.fill("#explain-form [name=url]", "http://shop.example.com/api/things?x=1")
    browser.fill("#explain-form [name=headers]", "X-Test: one\nCookie: a=b")
    browser.click("#explain-form [type=submit]")
    browser.wait_text("#explain-answer", "GET /api/things?x=1 HTTP/1.1")
    path, fields, body = world.calls("POST")[-1]
    assert path == "/api/v1/explain"
    assert json.loads(body) == {"method": "GET", "url": "http://shop.example.com/api/things?x=1",
                                "headers": {"X-Test": "one", "Cookie": "a=b"}}
    browser.network_may_fail = True
    browser.fill("#explain-form [name=url]", "nonsense")
    browser.click("#explain-form [type=submit]")
    browser.wait_text("#explain-answer", "'nonsense' is not a URL Write it as http://HOST/PATH.")


def test_configuration(browser, serve):
    world = serve()
    browser.open(world.url, "config")
    browser.wait_text("#config-list", "runtime.workers")
    shown = dict(zip(browser.texts("#config-list tbody .l-key"),
                     zip(browser.texts("#config-list tbody .l-value"), browser.texts("#config-list tbody .l-from"))))
    assert shown["frontends.web.bind.1"] == ('"[::1]:8443"', "/etc/weir/weir.yaml:12:11")
    assert shown['pools."app".backends.2.id'] == ('"app-3"', "/etc/weir/weir.yaml:42:12")
    assert shown['pools."app".retry.attempts'] == ("2", "WEIR_POOLS__RETRY__ATTEMPTS")
    assert shown["admin.token"][0] == '"***"'
    assert len(shown) == sum("  # " in line for line in world.cluster.config().splitlines())
    browser.fill("#config-filter", "weir.yaml:11")
    browser.until(lambda: browser.texts("#config-list tbody .l-key") == ["frontends.web.bind.0"], "one value")


def test_names_cannot_inject(browser, serve):
    world = serve(scenario="hostile", history_s=600)
    browser.open(world.url)
    browser.wait_live()
    names = [one["id"] for one in world.api("/api/v1/state")["backends"]]
    for view in ("overview", "events", "failures", "live", "config"):
        browser.open(world.url, view)
        browser.until(lambda: browser.js("return document.querySelector('.view:not([hidden])').innerText.length") > 200, "a view")
        assert browser.js("return document.querySelectorAll('main img, main b b, main script').length") == 0
    browser.open(world.url)
    browser.until(lambda: names[0] in browser.texts("#pools .name"), "the name as it is")
    browser.click_row(names[0], "id")
    browser.wait_text("#sheet", names[0])


def test_what_is_odd_and_what_is_thinned(browser, serve):
    """Both as the API says; the page judges nothing by itself."""
    world = serve(backends=300, scenario="slow")
    browser.open(world.url)
    browser.wait_live()
    slow = browser.until(lambda: [b for b in world.api("/api/v1/state")["backends"] if b["oddities"]], "a slow one")[0]
    browser.fill("#pool-filter", slow["id"])
    told = slow["odd"][0]
    browser.until(lambda: re.search(rf"slow for \d+\s(s|min): {told['text'].split(' ')[0]} ", browser.text("#pools")), "the remark")
    browser.click("#pool-bad")
    browser.until(lambda: browser.texts("#pools .pool:not([hidden]) .name") == [slow["id"]], "it is up and not well")
    browser.click_row(slow["id"])
    browser.wait_text("#sheet", "With so many backends the history of each is thinned: a point for every")
