"""The operators' page in a real Chromium, with a real broker of three workers: what it does takes effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from tests.browser.demo_page import Site, Visits, site, visits
from tests.browser.ops_page import OpsPage, OpsVisits, beat_faster, ops_visits
from tests.browser.support import wait_for
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

HOSTILE = '<img src=x onerror="globalThis.hacked=1"><b>&amp;</b>'
FAST = 15_000


@pytest.fixture(scope="module")
def started(make_broker: MakeBroker) -> Iterator[Site]:
    def three_workers(url: str) -> BrokerServer:
        return make_broker(url, workers=3)

    with site(three_workers) as running:
        for name in ("alice", "bob", "carol", "dave", "erin"):
            running.broker.add_user(name)
        for name in ("olga", "oscar"):
            running.broker.add_user(name, roles=["operator"])
        yield running


@pytest.fixture
def broker(started: Site) -> BrokerServer:
    started.standin.control.reset()
    return started.broker


@pytest.fixture
def visit(browser: Browser) -> Iterator[OpsVisits]:
    with ops_visits(browser) as opening:
        yield opening


@pytest.fixture
def talk(browser: Browser) -> Iterator[Visits]:
    with visits(browser) as opening:
        yield opening


@pytest.fixture
def ops(visit: OpsVisits, broker: BrokerServer) -> OpsPage:
    return visit(broker.url)


def ask_for_tokens(broker: BrokerServer, name: str, times: int = 6, **body: Any) -> list[int]:
    """The statuses, over connections of their own, so that every worker is asked."""
    statuses = []
    for _ in range(times):
        with broker.client(name) as client:
            statuses.append(client.post("/token", json=body).status_code)
    return statuses


# ---- who gets in ----------------------------------------------------------------------------------------


def test_only_operators_get_in(ops: OpsPage) -> None:
    ops.visit()
    ops.sign_in("alice")
    error = ops.page.locator("#sign-in-error")
    expect(error).to_contain_text("alice, who does not have the operator role")
    ops.page.keyboard.press("Escape")
    ops.page.keyboard.press("Escape")
    expect(ops.page.locator("#sign-in-dialog")).to_be_visible()
    expect(ops.view).to_be_empty()
    ops.page.reload()
    expect(error).to_contain_text("alice, who does not have the operator role")
    ops.sign_in("olga")
    expect(ops.heading).to_have_text("Overview")
    ops.page.get_by_role("button", name="Sign out").click()
    expect(ops.page.locator("#sign-in-dialog")).to_be_visible()
    expect(ops.view).to_be_empty()
    assert ops.page.request.get(f"{ops.url.removesuffix('/ops')}/me").status == 401


def test_an_edit_outlives_the_sign_in(ops: OpsPage, broker: BrokerServer) -> None:
    ops.enter()
    ops.open_user("dave")
    ops.give("Minutes per day", "44")
    broker.ops.sign_out("olga")
    ops.save()
    expect(ops.page.locator("#sign-in-error")).to_contain_text("What you typed is still there")
    ops.sign_in()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("44")
    ops.save()
    ops.said("Saved. The new limits apply from the next request.")
    ops.page.reload()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("44")
    ops.limit("Minutes per day").uncheck()
    ops.save()
    expect(ops.page.get_by_text("Rule: default.")).to_be_visible()


# ---- what it does takes effect --------------------------------------------------------------------------


def test_a_limit_set_with_the_keyboard_alone_refuses_the_user_at_once(
    ops: OpsPage, broker: BrokerServer
) -> None:
    assert ask_for_tokens(broker, "bob", 2) == [200, 200]
    keys = ops.page.keyboard
    ops.visit()
    keys.type("olga")
    keys.press("Tab")
    keys.type("correct horse battery")
    keys.press("Enter")
    expect(ops.heading).to_have_text("Overview")
    ops.tab_to(ops.page.get_by_role("link", name="Users", exact=True))
    keys.press("Enter")
    expect(ops.heading).to_be_focused()
    ops.tab_to(ops.page.get_by_label("Search"))
    keys.type("bob")
    bob = ops.page.get_by_role("link", name="bob", exact=True)
    expect(ops.page.locator("#view tbody tr")).to_have_count(1)
    ops.tab_to(bob)
    keys.press("Enter")
    expect(ops.heading).to_have_text("bob")
    expect(ops.page.get_by_text("with the profile default")).to_be_visible()
    ops.tab_to(ops.limit("Sessions at once"))
    keys.press("Space")
    own = ops.page.get_by_label("Sessions at once", exact=True)
    expect(own).to_be_focused()
    keys.press("Control+A")
    keys.type("1")
    keys.press("Enter")
    ops.said("Saved. The new limits apply from the next request.")
    assert ask_for_tokens(broker, "bob") == [429] * 6
    expect(ops.page.get_by_text("too-many-sessions")).to_be_visible()
    expect(ops.page.get_by_text("own sessions")).to_have_count(2)  # with the limits and with the next token


def test_whoever_talks_is_told_when_the_session_is_ended_or_the_user_blocked(
    ops: OpsPage, talk: Visits, broker: BrokerServer
) -> None:
    """At the next heartbeat; and neither gets another token."""
    sessions, bearers = {}, {name: broker.bearer(name) for name in ("alice", "carol")}
    talkers = {name: talk(broker.url) for name in ("alice", "carol")}
    for name, talker in talkers.items():
        beat_faster(talker.page)
        talker.visit()
        talker.sign_in(name)
        talker.expect_state("idle")
        talker.start()
        with broker.client(name) as client:
            sessions[name] = client.get("/me").json()["sessions"][0]["id"]

    ops.enter("sessions")
    ops.page.get_by_label("Filter").fill("alice")
    ops.page.get_by_role("button", name="End the session of alice").click()
    expect(ops.dialog).to_contain_text("A token cannot be revoked at Google")
    ops.dialog.get_by_role("button", name="End session").click()
    expect(ops.dialog).to_contain_text(re.compile(r"Google may accept its last token until .*\d\d:\d\d:\d\d"))
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.page.get_by_text("No live sessions.")).to_be_visible(timeout=FAST)
    talkers["alice"].expect_notice("session-ended")
    expect(talkers["alice"].notice).to_contain_text("This session has ended.")  # the broker's own words
    talkers["alice"].expect_state("ended", "error")

    ops.open_user("carol")
    ops.page.get_by_role("button", name="Block").click()
    ops.page.get_by_label("Reason").fill("Shared her password")
    ops.dialog.get_by_role("button", name="Block").click()
    expect(ops.dialog).to_contain_text(re.compile(r"Google may accept the last token until .*\d\d:\d\d:\d\d"))
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.view).to_contain_text("Shared her password")
    expect(ops.page.get_by_label("Next token request")).to_contain_text("account-blocked")
    talkers["carol"].expect_notice("account-blocked")
    talkers["carol"].expect_state("ended", "error")

    for name, status in (("alice", 409), ("carol", 403)):
        statuses = set()
        for _ in range(6):
            with broker.client() as client:
                bearer = {"Authorization": f"Bearer {bearers[name]}"}
                renewal = client.post(f"/sessions/{sessions[name]}/token", headers=bearer, json={})
                statuses.add(renewal.status_code)
        assert statuses == {status}, name
    ops.page.get_by_role("button", name="Unblock").click()
    ops.dialog.get_by_role("button", name="Unblock").click()
    expect(ops.view.get_by_role("button", name="Block", exact=True)).to_be_visible()


def test_two_operators_see_each_others_edit_and_nothing_is_lost(
    visit: OpsVisits, broker: BrokerServer
) -> None:
    first, second = visit(broker.url), visit(broker.url)
    first.enter()
    second.enter(name="oscar")
    for page in (first, second):
        page.open_user("erin")
    first.give("Sessions at once", "3")
    first.give("Minutes per session", "10")
    first.save()
    first.said("Saved. The new limits apply from the next request.")

    second.give("Sessions at once", "7")
    second.save()
    conflict = second.page.get_by_role("alert").filter(
        has_text="Another operator changed these limits"
    )
    expect(conflict).to_contain_text("live-broker:olga saved them at")
    expect(conflict.get_by_role("row", name="Sessions at once")).to_have_text("Sessions at oncefrom the plan37")
    expect(conflict.get_by_role("row", name="Minutes per session")).to_contain_text("unchanged")
    redo = second.page.get_by_role("button", name="Overwrite with mine")
    expect(redo).to_be_focused()
    redo.click()
    second.said("Saved. The new limits apply from the next request.")
    expect(conflict).to_be_hidden()
    expect(second.page.get_by_label("Minutes per session", exact=True)).to_have_value("10")

    first.give("Sessions at once", "9")
    first.save()
    first.page.get_by_role("button", name="Keep theirs").click()
    expect(first.page.get_by_label("Sessions at once", exact=True)).to_have_value("7")


def test_a_key_is_shown_once_and_a_revoked_one_is_turned_away(ops: OpsPage, broker: BrokerServer) -> None:
    ops.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ops.enter("keys")
    ops.page.get_by_role("button", name="Create key").click()
    ops.dialog.get_by_label("Name").fill("Not a name!")
    ops.dialog.get_by_role("button", name="Create key").click()
    expect(ops.dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    ops.dialog.get_by_label("Name").fill("kiosk")
    ops.dialog.get_by_label("On behalf of").fill("kiosk:*")
    ops.dialog.get_by_role("button", name="Create key").click()
    key = ops.page.get_by_label("The key").input_value()
    assert key.startswith("lbk_")
    ops.dialog.get_by_role("button", name="Copy").click()
    expect(ops.dialog.get_by_text("Copied.")).to_be_visible()
    assert ops.page.evaluate("navigator.clipboard.readText()") == key
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.page.locator("#view tbody tr")).to_contain_text("kiosk:*")
    assert key not in ops.kept()
    with broker.client() as client:
        asked: dict[str, Any] = {
            "headers": {"X-API-Key": key},
            "json": {"on_behalf_of": "kiosk:1", "client": {"app": HOSTILE}},
        }
        assert client.post("/token", **asked).status_code == 200
        ops.page.get_by_role("button", name="Revoke the key kiosk").click()
        ops.dialog.get_by_role("button", name="Revoke key").click()
        expect(ops.page.get_by_text("Revoked", exact=True)).to_be_visible()
        assert client.post("/token", **asked).status_code == 401


def test_a_user_is_added_and_faults_stand_beside_their_field(ops: OpsPage, broker: BrokerServer) -> None:
    ops.enter("users")
    ops.page.get_by_role("button", name="Add user").click()
    ops.dialog.get_by_label("Username").fill("frank")
    ops.dialog.get_by_label("Password").fill("short")
    ops.dialog.get_by_role("button", name="Add user").click()
    password = ops.dialog.get_by_label("Password")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_be_focused()
    password.fill("correct horse battery")
    ops.dialog.get_by_role("button", name="Add user").click()
    expect(ops.heading).to_have_text("frank")
    assert ask_for_tokens(broker, "frank", 1) == [200]


# ---- what others wrote ----------------------------------------------------------------------------------


def test_nothing_that_others_wrote_is_more_than_words(ops: OpsPage, broker: BrokerServer) -> None:
    """Reasons, fields that clients fill, and what of it is in the audit trail."""
    broker.ops.block("dave", reason=HOSTILE)
    broker.ops.block_issuer("live-broker:guest", reason=HOSTILE)
    assert ask_for_tokens(broker, "erin", 1, client={"app": HOSTILE, "platform": HOSTILE}) == [200]
    ops.enter("blocks")
    expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    ops.go("Audit trail")
    expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    for name in ("dave", "erin"):
        ops.open_user(name)
        expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    ops.page.goto(f"{ops.url}#/{HOSTILE}")
    expect(ops.heading).to_have_text("Overview")
    assert ops.page.evaluate("globalThis.hacked") is None
    assert ops.page.locator("#view :is(img, b:has-text('&'))").count() == 0
    broker.ops.unblock("dave")


# ---- lists ----------------------------------------------------------------------------------------------


def test_typing_asks_once_and_an_answer_that_comes_late_is_dropped(ops: OpsPage) -> None:
    asked: list[str] = []
    held: list[Route] = []
    ops.enter("users")
    expect(ops.page.get_by_role("link", name="alice", exact=True)).to_be_visible()

    def hold(route: Route) -> None:
        asked.append(route.request.url)
        if "query=bo&" in f"{route.request.url}&":
            held.append(route)
        else:
            route.continue_()

    ops.page.route("**/admin/users?*", hold)
    search = ops.page.get_by_label("Search")
    search.press_sequentially("bo", delay=20)
    wait_for("the first question", lambda: held or ops.page.evaluate("0"))
    search.press_sequentially("b", delay=20)
    expect(ops.page.locator("#view tbody tr")).to_have_count(1)
    expect(ops.page.get_by_role("link", name="bob", exact=True)).to_be_visible()
    assert len(asked) == 2
    assert held[0].request.failure is not None, "the page has not given it up"


def test_the_list_of_sessions_refreshes_without_taking_the_focus(ops: OpsPage, broker: BrokerServer) -> None:
    assert ask_for_tokens(broker, "demo", 2) == [200, 200]
    ops.enter("sessions")
    ops.page.get_by_label("Filter").fill("demo")
    rows = ops.page.locator("#view tbody tr")
    expect(rows).to_have_count(2)
    first = rows.nth(1).get_by_role("button")
    first.focus()
    with broker.client("demo") as client:
        client.post(f"/sessions/{first.get_attribute('data-session')}/end", json={})
        assert client.post("/token", json={}).status_code == 200
    expect(rows).to_have_count(
        3, timeout=FAST
    )  # the new one above, and the ended one is still held by the focus
    expect(rows.nth(0)).to_contain_text("Ended")
    expect(ops.page.get_by_label("Filter")).to_have_value("demo")


def test_the_trail_is_filtered_and_paged(ops: OpsPage, broker: BrokerServer) -> None:
    for number in range(30):
        for _ in (1, 2):
            broker.ops.block("dave", reason=f"round {number}")
            broker.ops.unblock("dave")
    ops.enter("audit")
    rows = ops.page.locator("#view tbody tr")
    ops.page.get_by_label("Action").fill("user.block")
    ops.page.get_by_role("button", name="Apply").click()
    expect(rows).to_have_count(50)
    ops.page.get_by_role("button", name="Show more").click()
    wait_for("the next page", lambda: rows.count() >= 60)
    ops.page.get_by_role("button", name="Clear").click()
    ops.page.get_by_role("button", name="user.unblock").first.click()
    expect(ops.page.get_by_label("Action")).to_have_value("user.unblock")
    expect(rows.filter(has_not_text="user.unblock")).to_have_count(0)


# ---- when it goes wrong ---------------------------------------------------------------------------------


def test_faults_of_the_broker_are_told_in_their_place_and_lose_nothing(ops: OpsPage) -> None:
    ops.enter()
    ops.open_user("erin")

    def refuse(route: Route) -> None:
        told = {
            "code": "store-unavailable",
            "status": 503,
            "detail": "x",
            "request_id": "r1",
            "retry_after_seconds": 2,
        }
        route.fulfill(status=503, json=told, content_type="application/problem+json")

    ops.page.route("**/limits", refuse)
    ops.give("Minutes per day", "12")
    ops.save()
    fault = ops.page.get_by_label("Limits").get_by_role("alert").filter(has_text="cannot reach its store")
    expect(fault).to_contain_text("Request ID r1")
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("12")
    ops.page.unroute("**/limits")
    ops.give("Minutes per day", "-4")
    ops.save()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_attribute("aria-invalid", "true")
    ops.give("Minutes per day", "12")
    ops.save()
    ops.said("Saved. The new limits apply from the next request.")

    ops.page.route("**/admin/users*", refuse)
    ops.go("Users")
    again = ops.fault.get_by_role("button")
    expect(again).to_have_text(re.compile("Try again in 0:0[12]"))
    expect(again).to_be_disabled()
    ops.page.unroute("**/admin/users*")
    expect(again).to_be_enabled(timeout=FAST)
    again.click()
    expect(ops.page.get_by_role("link", name="erin", exact=True)).to_be_visible()
    expect(ops.fault).to_be_empty()


def test_the_page_talks_to_nobody_but_its_broker(ops: OpsPage, broker: BrokerServer) -> None:
    asked: list[Request] = []
    ops.page.on("request", lambda request: asked.append(request))
    ops.enter()
    for tab in ("Live sessions", "Users", "Service keys", "Blocks", "Audit trail"):
        ops.go(tab)
    assert {request.url.startswith(f"{broker.url}/") for request in asked} == {True}
    policy = ops.page.request.get(ops.url).headers["content-security-policy"]
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy
    html = ops.page.request.get(ops.url).text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", html) is None
    assert ops.page.request.get(ops.url).headers["cache-control"] == "no-store"
    assert "correct horse" not in ops.kept()
