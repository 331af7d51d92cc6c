"""The demo page when something fails: each error is shown with a next step, and the next try works."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, Route, expect
from sqlalchemy import update

from broker.store.database.tables import sessions
from tests.browser.demo_page import DemoPage, Site, Visits, script
from tests.browser.support import FLAGS, launch, wait_for


@pytest.fixture
def refusing(playwright: Playwright) -> Iterator[Browser]:
    """Chromium whose microphone prompt is denied."""
    running = launch(playwright, deny=True)
    yield running
    running.close()


@pytest.fixture
def deaf(playwright: Playwright) -> Iterator[Browser]:
    """Chromium on a machine without a microphone."""
    flags = [flag for flag in FLAGS if "fake-device" not in flag]
    running = playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=flags
    )
    yield running
    running.close()


def test_typing_works_when_the_microphone_is_blocked(refusing: Browser, visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url, refusing)
    demo.enter()
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("permission-denied")
    demo.page.get_by_role("button", name="Type instead").click()
    expect(demo.page.locator("#message")).to_be_focused()
    demo.say("Hello")
    demo.caption("model", "You wrote: Hello")
    expect(demo.notice).to_be_hidden()


def test_typing_is_offered_when_there_is_no_microphone(deaf: Browser, visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url, deaf, permissions=["microphone"])
    demo.enter()
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("no-microphone")
    expect(demo.page.get_by_role("button", name="Type instead")).to_be_visible()


def test_rate_limit_counts_down_and_then_allows_a_start(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url)
    demo.enter("pausing")
    demo.start()
    demo.talk.click()
    demo.expect_state("ended")
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("rate-limited")
    expect(demo.talk).to_have_attribute("aria-disabled", "true")
    expect(demo.talk).to_have_accessible_name(re.compile(r"Wait 0:0\d"))
    demo.talk.click(force=True)
    demo.expect_state("error")
    again = demo.page.get_by_role("button", name="Try again")
    expect(again).to_be_visible(timeout=40_000)
    expect(demo.talk).not_to_have_attribute("aria-disabled", "true")
    again.click()
    demo.expect_state("listening")


def test_upstream_failure_is_shown_and_a_retry_succeeds(demo: DemoPage, site: Site) -> None:
    demo.enter()
    site.standin.control.scenario("mint-status", status=500, times=1)
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("upstream-error")
    demo.page.get_by_role("button", name="Try again").click()
    demo.expect_state("listening")
    expect(demo.notice).to_be_hidden()


@pytest.mark.parametrize(
    ("push", "code", "button"),
    [
        ({"close": "quota"}, "connection-refused", "Try again"),
        ({"close": "normal"}, "session-ended", "Start again"),
    ],
)
def test_closed_connection_is_shown_and_the_transcript_stays(
    demo: DemoPage, site: Site, push: dict[str, object], code: str, button: str
) -> None:
    demo.enter()
    demo.say("Remember this")
    demo.caption("model", "You wrote: Remember this")
    site.standin.control.push(**push)
    demo.expect_state("error", "ended")
    demo.expect_notice(code)
    demo.caption("user", "Remember this")
    demo.page.get_by_role("button", name=button).click()
    demo.expect_state("listening")


def test_offline_notice_disappears_when_back_online(demo: DemoPage) -> None:
    demo.enter()
    demo.page.context.set_offline(True)
    demo.page.wait_for_timeout(300)
    expect(demo.notice).to_be_hidden()  # the browser may be wrong, and nothing has failed
    demo.talk.click()
    demo.expect_notice("offline")
    demo.expect_state("error")
    demo.page.context.set_offline(False)
    expect(demo.notice).to_be_hidden()
    demo.expect_state("idle")
    reachable = "fetch('/healthz').then(({ ok }) => ok, () => false)"
    wait_for("the network", lambda: demo.page.evaluate(reachable))
    demo.start()


def test_browser_that_wrongly_calls_itself_offline_can_talk(visit: Visits, site: Site) -> None:
    """On localhost, in a VPN or in a virtual machine `navigator.onLine` may be false although all works."""
    demo = visit(site.broker.url)
    demo.page.add_init_script("Object.defineProperty(Navigator.prototype, 'onLine', {get: () => false})")
    demo.enter()
    demo.page.evaluate("dispatchEvent(new Event('offline'))")
    demo.start()
    demo.page.evaluate("dispatchEvent(new Event('offline'))")
    demo.page.wait_for_timeout(1000)
    expect(demo.page.locator("#hint")).to_be_hidden()
    expect(demo.notice).to_be_hidden()
    demo.expect_state("listening")


def test_missing_module_is_shown_and_loads_with_the_next_try(demo: DemoPage, site: Site) -> None:
    """The first conversation loads this module. If that fails, no conversation starts or stays open."""
    demo.enter()
    demo.page.route(script("live-panels"), lambda route: route.abort())
    demo.talk.click()
    demo.expect_notice("part-missing")
    expect(demo.page.get_by_role("button", name="Reload the page")).to_be_visible()
    wait_for("the connection to end", lambda: site.standin.control.health()["open_connections"] == 0)
    demo.page.unroute(script("live-panels"))
    demo.page.get_by_role("button", name="Try again").click()
    demo.expect_state("listening")
    demo.say("/silence 0.2")
    demo.caption("user", "/silence 0.2")


@pytest.mark.parametrize(
    ("part", "opener", "shown"),
    [
        ("settings", "#settings > summary", "#settings-panel:not([inert])"),
        ("video-preview", "#camera", "#preview"),
    ],
)
def test_missing_panel_is_shown_and_loads_with_the_next_click(
    demo: DemoPage, part: str, opener: str, shown: str
) -> None:
    demo.enter()
    demo.start()
    demo.page.route(script(part), lambda route: route.abort())
    demo.page.locator(opener).click()
    demo.expect_notice("panel-missing")
    demo.page.get_by_role("button", name="Close").click()
    demo.expect_state("listening")
    demo.page.unroute(script(part))
    demo.page.locator(opener).click()
    expect(demo.page.locator(shown)).to_be_visible()


@pytest.mark.parametrize("placed", [True, False], ids=["places still held", "place freed meanwhile"])
def test_places_without_a_conversation_to_end_cause_no_second_request(
    visit: Visits, site: Site, placed: bool
) -> None:
    """An ended session may hold its place, and the page has nothing to end. One request per press of Talk."""
    with site.broker.client("single") as elsewhere:
        assert elsewhere.post("/token", json={}).is_success
    demo = visit(site.broker.url)
    demo.enter("single")
    requests: list[str] = []
    demo.page.on("request", lambda request: requests.append(f"{request.method} {request.url[-6:]}"))
    if placed:
        with site.broker.database.write() as store:
            store.execute(update(sessions).values(state="ended"))
        demo.talk.click()
        demo.expect_notice("places-held")
        expect(demo.talk).to_have_attribute("data-waiting", "")
    else:

        def free_and_answer(route: Route) -> None:
            site.reset()
            route.continue_()

        demo.page.route("**/me", free_and_answer)
        demo.talk.click()
        demo.expect_notice("place-freed")
    demo.page.wait_for_timeout(1500)
    assert requests.count("POST /token") <= 1, requests
    if not placed:
        demo.page.get_by_role("button", name="Try again").click()
        demo.expect_state("listening")


def test_failed_message_stays_in_the_box_and_can_be_retried(demo: DemoPage, site: Site) -> None:
    demo.enter()
    site.standin.control.scenario("mint-status", status=500, times=1)
    demo.say("Do not lose me")
    demo.expect_notice("upstream-error")
    expect(demo.page.locator("#message")).to_have_value("Do not lose me")
    demo.page.get_by_role("button", name="Try again").click()
    demo.caption("model", "You wrote: Do not lose me")
