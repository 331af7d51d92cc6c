"""Many short conversations and reloads on the demo page, and ends that do not free their place."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.demo_page import DemoPage, Site, Visits


def token_requests(demo: DemoPage) -> list[str]:
    """Grows by one for each `POST /token`."""
    found: list[str] = []
    demo.page.on(
        "request",
        lambda request: (
            found.append(request.url) if request.method == "POST" and request.url.endswith("/token") else None
        ),
    )
    return found


@pytest.mark.parametrize(
    ("conversations", "reloads"), [(4, 3), pytest.param(40, 10, marks=pytest.mark.release)]
)
def test_short_conversations_and_reloads_cause_one_token_request_each(
    visit: Visits, site: Site, conversations: int, reloads: int
) -> None:
    """With the sessions and minutes of the shipped plan. Nobody waits, and nothing is refused.

    They follow one another at once. tests/store/test_ends.py spreads 40 and 30 over an hour.
    """
    demo = visit(site.broker.url)
    demo.enter("shipped")
    requests = token_requests(demo)
    for number in range(conversations + reloads):
        if number >= conversations:
            demo.page.reload()
            demo.expect_state("idle")
        demo.start()
        assert len(requests) == number + 1
        expect(demo.notice).to_be_hidden()
        if number < conversations:
            demo.talk.click()
            demo.expect_state("ended")
    demo.page.reload()
    demo.expect_state("idle")
    with site.broker.client("shipped") as client:
        limits = client.get("/me").json()["limits"]
    assert limits["minutes_per_day"]["used"] < 60 / 2


def test_ended_conversation_that_holds_its_place_is_shown_with_a_countdown(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url)
    demo.enter("strict")
    requests = token_requests(demo)
    demo.start()
    demo.talk.click()
    demo.expect_state("ended")
    demo.talk.click()
    demo.expect_notice("places-held")
    expect(demo.notice).to_contain_text(re.compile(r"Your last conversations still count until \d"))
    expect(demo.talk).to_have_accessible_name(re.compile(r"Wait 0:[0-3]\d"))
    demo.talk.click(force=True)
    demo.page.wait_for_timeout(1000)
    assert len(requests) == 2, "one for each press that may start"


def test_end_elsewhere_that_frees_no_place_causes_no_second_request(visit: Visits, site: Site) -> None:
    with site.broker.client("strict") as elsewhere:
        assert elsewhere.post("/token", json={}).is_success
    demo = visit(site.broker.url)
    demo.enter("strict")
    requests = token_requests(demo)
    demo.talk.click()
    demo.expect_notice("too-many-sessions")
    demo.page.locator("#notice-actions button").filter(has_text="End the conversation").click()
    demo.expect_notice("places-held")
    demo.page.wait_for_timeout(1000)
    assert len(requests) == 1
