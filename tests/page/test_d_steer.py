# SPDX-License-Identifier: Apache-2.0
"""Steering from the dashboard."""
import json

import pytest

from .world import KINDS


def ready(browser, world):
    browser.open(world.url)
    browser.wait_live()
    browser.until(lambda: browser.all("#pools .name"), "rows")


def admin_of(world, id):
    return next(b for b in world.api("/api/v1/state")["backends"] if b["id"] == id)["admin"]


@pytest.mark.parametrize("kind", KINDS)
def test_drain_by_click_and_undo(browser, serve, kind):
    world = serve(kind=kind)
    ready(browser, world)
    id = world.api("/api/v1/state")["backends"][1]["id"]
    browser.click_row(id)
    browser.wait_text("#sheet .will", "It gets no new requests.")
    browser.wait_text("#sheet .will", "move to")
    assert admin_of(world, id) == "enabled", "nothing is done before it is confirmed"
    browser.click("#sheet .steer [type=submit]")
    browser.until(lambda: admin_of(world, id) == "draining", "a draining backend")
    browser.until(lambda: browser.row(id)["state"].startswith("draining"), "its row")
    browser.wait_text("#changed", id)
    if world.is_mock:
        path, fields, body = world.calls("POST")[-1]
        assert path == f"/api/v1/pools/app/backends/{id}/drain"
        assert fields["X-Weir-Request"] == "1" and fields["If-Match"] == '"0"'
        assert json.loads(body) == {"timeout_ms": 30000}
    browser.wait_text("#toasts", "Undo")
    browser.js("[...document.querySelectorAll('#toasts button')].find((b) => b.textContent === 'Undo').click()")
    browser.until(lambda: admin_of(world, id) == "enabled", "the drain taken back")
    browser.until(lambda: browser.row(id)["state"].startswith("up"), "its row")


def test_undo_by_key(browser, serve):
    world = serve()
    ready(browser, world)
    browser.click_row("app-2")
    browser.click("#sheet .steer [type=submit]")
    browser.until(lambda: admin_of(world, "app-2") == "draining", "a draining backend")
    browser.wait_text("#toasts", "Undo")
    browser.press("u")
    browser.until(lambda: admin_of(world, "app-2") == "enabled", "the drain taken back")


def test_every_action(browser, serve):
    world = serve(scenario="down")
    ready(browser, world)

    def backend():
        return next(b for b in world.api("/api/v1/state")["backends"] if b["id"] == "app-2")

    def choose(action):
        browser.click_row("app-2", "id")
        browser.js("document.querySelector('#sheet [name=action][value=' + arguments[0] + ']').click()", action)

    def confirm():
        browser.click("#sheet .steer [type=submit]")
        browser.until(lambda: not browser.all("#sheet[open]"), "the sheet closed")
    choose("Weight")
    browser.fill("#sheet [name=weight]", "5")
    browser.wait_text("#sheet .will", "goes from about 33")
    browser.wait_text("#sheet .will", "to about 71")
    confirm()
    browser.until(lambda: backend()["weight"] == 5, "the weight")
    choose("Breaker")
    browser.wait_text("#sheet .will", "held open")
    confirm()
    browser.until(lambda: backend()["breaker_forced"] == "open", "a breaker that is held")
    choose("Breaker")
    browser.wait_text("#sheet .will", "decides by itself again")
    confirm()
    browser.until(lambda: backend()["breaker_forced"] is None, "a free breaker")
    choose("Disable")
    confirm()
    browser.until(lambda: backend()["admin"] == "disabled", "a disabled backend")
    choose("Enable")
    confirm()
    browser.until(lambda: backend()["admin"] == "enabled", "an enabled backend")
    events = [e for e in world.events() if e["kind"] == "steering"]
    assert len(events) == 5 and all(e["by"] == "token ops" for e in events)


def test_who_would_be_left_with_nobody_is_told(browser, serve):
    world = serve(backends=1)
    ready(browser, world)
    browser.click_row("app-1")
    browser.wait_text("#sheet .will", "answered with 503")
    assert "danger" in browser.one("#sheet .steer [type=submit]").get_attribute("class")


def test_somebody_else_was_faster(browser, serve):
    world = serve()
    browser.network_may_fail = True
    ready(browser, world)
    browser.click_row("app-3", "id")
    browser.js("document.querySelector('#sheet [name=action][value=Weight]').click()")
    browser.fill("#sheet [name=weight]", "7")
    world.change_elsewhere("app-3")
    browser.click("#sheet .steer [type=submit]")
    browser.wait_text("#sheet .alarm", "somebody else changed this backend")
    browser.wait_text("#sheet .alarm", "admin: enabled → draining")
    assert next(b for b in world.api("/api/v1/state")["backends"] if b["id"] == "app-3")["weight"] != 7
    browser.click("#sheet .steer [type=submit]")
    browser.until(lambda: next(b for b in world.api("/api/v1/state")["backends"] if b["id"] == "app-3")["weight"] == 7,
                  "the weight after a second look")


def test_undo_from_the_list_of_events(browser, serve):
    world = serve(scenario="draining")
    browser.open(world.url, "events")
    browser.wait_live()
    browser.until(lambda: browser.all("#events-list [data-undo]"), "a button")
    browser.click("#events-list [data-undo]")
    browser.wait_text("#sheet", "This takes back")
    browser.click("#sheet .strong")
    browser.until(lambda: admin_of(world, "app-2") == "enabled", "the drain taken back")


def test_a_reader_cannot_steer(browser, serve):
    world = serve(role="read", scenario="draining")
    ready(browser, world)
    assert not [b for b in browser.all("#pools .c-act button") if b.is_displayed()]
    browser.click_row("app-1", "id")
    browser.wait_text("#sheet", "needs a token with the role operate")
    assert not browser.all("#sheet form")
    browser.press("escape")
    browser.open(world.url, "events")
    browser.wait_text("#events-list", "is draining")
    assert not [b for b in browser.all("#events-list [data-undo]") if b.is_displayed()]


def test_a_token_is_asked_for(browser, serve):
    world = serve(token="open sesame")
    browser.network_may_fail = True
    browser.open(world.url)
    browser.wait_text("#door", "A token, please")
    browser.fill("#token", "wrong")
    browser.press("enter")
    browser.wait_text("#door", "is not known here")
    browser.fill("#token", "open sesame")
    browser.press("enter")
    browser.wait_live()
    assert not browser.all("#door[open]")
    browser.driver.refresh()
    browser.wait_live()  # it is kept for this tab
    assert browser.js("return sessionStorage.length") == 1
    assert not browser.js("return Object.values(localStorage).join().includes('sesame')")
    assert all("sesame" not in path for path, _, _ in world.calls("GET"))
