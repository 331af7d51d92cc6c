"""The demo page for newcomers and developers: first contact, the card after a call, the panels, the tab.

The tests of the first part share one typed conversation at a time on one page, in order.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from broker.operators.sessions import SessionAdmin
from broker.standin import StandIn
from tests.browser.axe import violations
from tests.browser.demo_page import PHONE, TOKEN_LIKE, DemoPage, Site, Visits, visits
from tests.browser.ops_page import beat_faster
from tests.browser.support import wait_for
from tests.conftest import MakeBroker

HANDLE_LIKE = re.compile(r"[Hh]andle\W{1,5}[A-Za-z0-9_/+=-]{12}")
# Counts the notes and vibrations of the page.
COUNT_CUES = """
    globalThis.notes = 0;
    globalThis.vibrations = 0;
    const Oscillator = OscillatorNode;
    globalThis.OscillatorNode = class extends Oscillator {
        constructor(...given) { super(...given); notes += 1; }
    };
    navigator.vibrate = () => { vibrations += 1; return true; };
"""


@pytest.fixture(scope="module")
def service(make_broker: MakeBroker) -> Iterator[Site]:
    with StandIn(port=0) as standin:
        broker = make_broker(standin.url, workers=1)
        for name in ("demo", "bert", "cora"):
            broker.add_user(name)
        yield Site(standin, broker)


@pytest.fixture(scope="module")
def shared(browser: Browser, service: Site) -> Iterator[DemoPage]:
    with visits(browser, DemoPage) as opening:
        demo = opening(service.broker.url)
        demo.page.add_init_script(COUNT_CUES)
        demo.enter()
        yield demo


def chip(demo: DemoPage, words: str) -> None:
    demo.page.get_by_role("button", name=words, exact=True).click()


def line(demo: DemoPage, words: str) -> None:
    """Waits for a line about the conversation, in the transcript."""
    expect(demo.captions.locator("li.card").filter(has_text=words).last).to_be_visible(timeout=40_000)


def open_panel(page: Page, name: str) -> None:
    page.click(f"#{name} > summary")


def test_minutes_and_plan_are_shown_before_the_first_call(shared: DemoPage) -> None:
    left = shared.page.locator("#allowance")
    expect(left).to_have_text(re.compile(r"^[\d,]+ of [\d,]+ minutes left today · default plan$"))
    expect(left).to_be_visible()
    expect(shared.page).to_have_title("Talk · Live Broker")


def test_command_buttons_have_words_and_send_at_once(shared: DemoPage) -> None:
    shared.page.fill("#message", "a draft")
    chip(shared, "Ask the time")
    expect(shared.captions.get_by_text("Checked the time")).to_be_visible(timeout=40_000)
    expect(shared.page.locator("#message")).to_have_value("a draft")
    shared.caption("model", '"timeZone"')
    shared.page.fill("#message", "")
    shared.expect_state("listening")


def test_commands_of_the_stand_in_are_a_list(shared: DemoPage) -> None:
    chip(shared, "All commands")
    shared.caption("model", "/drop cuts the connection")
    shown = shared.captions.locator("[data-role=model] .words").last.inner_text().splitlines()
    assert shown[0] == "I know these commands:"
    assert len(shown) > 10
    assert all(one.startswith("• /") for one in shown[1:])
    shared.expect_state("listening")


def test_tab_shows_the_state(shared: DemoPage) -> None:
    """A typed conversation is "Connected" while it listens."""
    icon = shared.page.locator("link[rel=icon]")
    expect(shared.page).to_have_title("Connected · Live Broker")
    expect(icon).to_have_attribute("href", re.compile("^data:image/svg"))
    chip(shared, "Play a tone")
    expect(shared.page).to_have_title("Speaking · Live Broker")
    expect(shared.page).to_have_title("Connected · Live Broker")


def test_cut_line_is_survived_and_said_so(shared: DemoPage, service: Site) -> None:
    chip(shared, "Cut the line")
    line(shared, "Reconnected. Nothing was lost.")
    shared.expect_state("listening")
    expect(shared.page.locator("#announcer")).to_contain_text("Reconnected. Nothing was lost.")
    before = shared.captions.locator("li.card").filter(has_text="Nothing was lost").count()
    service.standin.control.push(go_away=3)
    wait_for(
        "the handover",
        lambda: shared.captions.locator("li.card").filter(has_text="Nothing was lost").count() > before,
    )
    shared.expect_state("listening")


def test_connection_panel_leads_with_three_numbers(shared: DemoPage) -> None:
    page = shared.page
    open_panel(page, "diagnostics")
    figures = page.locator("#diagnostics .figures")
    expect(figures.locator("dt")).to_have_text(["Answer delay", "Drops survived", "Sound gaps"])
    # "Cut the line" has no answer, so the library asks once more, and the line is cut once more.
    expect(figures.locator("dd").nth(1)).to_have_text("2")
    expect(page.get_by_text("Network thread")).to_be_hidden()
    page.get_by_text("All values").click()
    expect(page.get_by_text("Network thread")).to_be_visible()
    expect(page.get_by_text("First sound after")).to_have_count(0)
    page.keyboard.press("Escape")


def test_developer_panel_tells_what_happened_without_a_secret(shared: DemoPage) -> None:
    page = shared.page
    open_panel(page, "developer")
    steps = page.locator("#developer .steps li")
    for title in ("Token granted", "Connected straight", "Handle kept", "Connection broke", "Handed over"):
        expect(steps.filter(has_text=title).first).to_be_visible()
    times = [float(time.split()[0]) for time in steps.locator("> span").all_inner_texts()]
    assert times == sorted(times)
    assert times[-1] > times[0]
    expect(steps.filter(has_text="Token granted").first).to_contain_text("Locked: model, generationConfig")
    expect(steps.filter(has_text="Token granted").first).to_contain_text("minutes today")
    page.locator("#developer-panel").get_by_text("Events", exact=True).click()
    events = page.locator("#developer .events li")
    wait_for("the events", lambda: events.count() > 10)
    for details in events.locator("details").all():
        details.evaluate("(element) => { element.open = true }")
    assert "sessionResumptionUpdate" in page.locator("#developer .events").inner_text()
    kept = shared.kept()
    assert TOKEN_LIKE.search(kept) is None
    assert HANDLE_LIKE.search(kept.replace("(hidden)", "")) is None
    page.keyboard.press("Escape")


def test_code_is_for_the_chosen_profile_and_can_be_copied(shared: DemoPage) -> None:
    page = shared.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_panel(page, "developer")
    offered = page.evaluate("async () => (await fetch('/profiles')).json()")["profiles"]
    chosen = next(profile["name"] for profile in offered if profile["default"])
    for language in ("curl", "JavaScript", "React", "Python"):
        page.get_by_role("button", name=language, exact=True).click()
        shown = page.locator("#developer-panel > .panel-scroll pre").inner_text()
        assert f'"profile":"{chosen}"' in shown
        assert shared.url.rstrip("/") in shown
        assert TOKEN_LIKE.search(shown) is None
    page.get_by_role("button", name="Copy code").click()
    expect(page.locator("#developer").get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").strip() == shown.strip()
    page.keyboard.press("Escape")


def test_cues_are_off_until_someone_asks(shared: DemoPage) -> None:
    assert shared.page.evaluate("[notes, vibrations]") == [0, 0]
    open_panel(shared.page, "settings")
    box = shared.page.get_by_label("Sounds and vibration")
    expect(box).not_to_be_checked()
    box.check()
    wait_for("the sample", lambda: shared.page.evaluate("[notes, vibrations]") == [2, 1])
    shared.page.keyboard.press("Escape")


def test_card_after_the_call_sums_it_up_and_saves_the_transcript(shared: DemoPage) -> None:
    shared.page.click("#end")
    shared.expect_state("ended")
    card = shared.captions.locator("li.card").filter(has_text="Your conversation")
    expect(card.locator("dt")).to_contain_text(["Duration", "Turns", "Drops survived", "Tokens"])
    assert re.fullmatch(r"\d+:\d\d", card.locator("dd").first.inner_text())
    with shared.page.expect_download() as saving:
        card.get_by_role("button", name="Save transcript").click()
    text = Path(saving.value.path()).read_text()
    assert re.search(r"^\d\d:\d\d:\d\d You: /drop$", text, re.MULTILINE)
    assert "Assistant: I know these commands:" in text
    assert shared.page.evaluate("[notes, vibrations]") == [4, 2], "the cue of the end"
    expect(shared.page).to_have_title("Talk · Live Broker")
    expect(shared.page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("icon.svg$"))


def test_next_call_is_one_click_and_the_old_card_stays_above_it(shared: DemoPage) -> None:
    shared.say("Once more")
    shared.caption("model", "You wrote: Once more")
    expect(shared.captions.locator("li.card").filter(has_text="Your conversation")).to_have_count(1)
    shared.page.click("#end")
    shared.expect_state("ended")
    expect(shared.captions.locator("li.card").filter(has_text="Your conversation")).to_have_count(2)


def test_minutes_are_brought_up_to_date_after_the_call(shared: DemoPage) -> None:
    """The broker's answer is replaced, because the calls of these tests take no whole minute."""
    account = shared.page.evaluate("async () => (await fetch('/me')).json()")
    account["limits"]["minutes_per_day"] = {"limit": 60, "used": 22}
    spent = {"policy": "budget_per_month", "limit": "5.00", "used": "1.905", "currency": "USD"}
    minutes = {"policy": "minutes_per_month", "limit": 600, "used": 40, "currency": None}
    account["limits"]["budget"] = [spent, minutes]
    shared.page.route("**/me", lambda route: route.fulfill(body=json.dumps(account)))
    shared.say("And again")
    expect(shared.page.locator("#allowance")).to_be_hidden()
    shared.caption("model", "You wrote: And again")
    shared.page.click("#end")
    expect(shared.page.locator("#allowance")).to_have_text(
        "38 of 60 minutes left today · $3.09 of $5.00 left this month · default plan"
    )
    shared.page.unroute("**/me")


# ---- visits of their own ---------------------------------------------------------------------------------


def test_session_ended_by_an_operator_is_named_so(visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url)
    beat_faster(demo.page)
    demo.enter("cora")
    demo.say("Hello")
    demo.caption("model", "You wrote: Hello")
    with service.broker.client("cora") as client:
        session = client.get("/me").json()["sessions"][0]["id"]
    SessionAdmin(service.broker.database, actor="tests").end(session)
    demo.expect_notice("ended-by-operator")
    expect(demo.notice).to_contain_text("An operator ended this conversation.")
    expect(demo.notice.get_by_role("button")).to_have_text(["Start again"])


@pytest.mark.parametrize("form", [{}, {"viewport": PHONE, "color_scheme": "dark"}])
def test_open_panels_are_accessible_and_fit_the_window(
    visit: Visits, service: Site, form: dict[str, Any]
) -> None:
    # The policy forbids eval, which the accessibility checker needs, so this visit ignores the policy.
    demo = visit(service.broker.url, bypass_csp=True, **form)
    demo.enter("bert")
    demo.say("/silence 0.2")
    demo.expect_state("listening")
    for panel in ("developer", "diagnostics"):
        open_panel(demo.page, panel)
        for details in demo.page.locator(f"#{panel} details").all():
            details.evaluate("(element) => { element.open = true }")
        expect(demo.page.locator(f"#{panel} .figures, #{panel} .steps").first).to_be_visible()
        assert demo.overflow() <= 0
        assert violations(demo.page) == []
        demo.page.keyboard.press("Escape")
    demo.page.click("#end")
    expect(demo.captions.locator("li.card").filter(has_text="Your conversation")).to_be_visible()
    assert violations(demo.page) == []


def test_curl_program_runs(visit: Visits, service: Site, tmp_path: Path) -> None:
    demo = visit(service.broker.url)
    demo.enter("cora")
    open_panel(demo.page, "developer")
    program = tmp_path / "ask.sh"
    program.write_text(demo.page.locator("#developer-panel > .panel-scroll pre").inner_text())
    environ = {"PATH": "/usr/bin:/bin", "BEARER": service.broker.bearer("cora")}
    run = subprocess.run(["bash", program], env=environ, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert '"locked"' in run.stdout
    assert '"state": "ended"' in run.stdout or '"state":"ended"' in run.stdout
    assert TOKEN_LIKE.search(run.stdout) is None


def test_javascript_program_runs(visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url)
    demo.enter("cora")
    page = demo.page
    open_panel(page, "developer")
    page.get_by_role("button", name="JavaScript", exact=True).click()
    program = page.locator("#developer-panel > .panel-scroll pre").inner_text()
    bearer = service.broker.bearer("cora")
    page.on("dialog", lambda dialog: dialog.accept(bearer))
    html = '<!doctype html><html lang="en"><title>app</title><script type="module" src="/app.js"></script>'
    page.route("**/app.html", lambda route: route.fulfill(content_type="text/html", body=html))
    page.route("**/app.js", lambda route: route.fulfill(content_type="text/javascript", body=program))
    page.goto(f"{service.broker.url}/app.html")
    page.get_by_role("button", name="Talk").click()
    expect(page.get_by_role("button", name="Stop (listening)")).to_be_visible(timeout=40_000)
    service.standin.control.push(command="Hello")
    expect(page.locator("p")).to_have_text("model: You wrote: Hello", timeout=40_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Talk")).to_be_visible()
