"""The page /docs in a real Chromium: every route is there, for every screen, and nothing is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import Service


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, service: Service, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{service.broker.url}/docs")
    expect(page.locator("article").first).to_be_visible()
    yield page
    context.close()


def test_every_route_has_a_curl_command(page: Page, complaints: list[str]) -> None:
    spec = page.evaluate("async () => (await fetch('/openapi.json')).json()")
    routes = sum(len(methods) for methods in spec["paths"].values())
    assert page.locator("article").count() == page.locator("nav li").count() == routes
    commands = page.locator("article pre").filter(has_text="curl ").all_text_contents()
    assert len(commands) == routes
    assert all(page.url.removesuffix("/docs") in command for command in commands)
    change = page.locator("#patch_admin_users_user_key_limits")
    expect(change).to_contain_text("edit-conflict")
    expect(change).to_contain_text("$USER_KEY/limits")
    example = page.locator("#post_token pre").nth(1).text_content()
    answer = json.loads(example or "")
    assert answer["token_type"] == "live-ephemeral"
    limits = answer["limits"]
    assert limits["minutes_per_day"]["used"] <= limits["minutes_per_day"]["limit"]
    assert limits["sessions"]["open"] <= limits["sessions"]["limit"]
    assert "$TOKEN" not in "".join(commands), "the variable of a bearer is not called like the token"
    assert page.get_by_text("No field at all").count() == 0
    assert complaints == []


def test_route_list_filters_and_links_to_routes(page: Page) -> None:
    page.fill("#filter", "heartbeat")
    expect(page.locator("nav li:visible")).to_have_count(1)
    page.locator("nav li:visible a").click()
    expect(page.locator("article:target h3")).to_contain_text("/sessions/{session_id}/heartbeat")
    page.fill("#filter", "nothing like it")
    expect(page.locator("#none")).to_have_text("No matching routes.")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (320, "dark"),
        pytest.param(1280, "light", marks=pytest.mark.long),
        pytest.param(1280, "dark", marks=pytest.mark.long),
        pytest.param(320, "light", marks=pytest.mark.long),
    ],
)
def test_page_is_accessible_and_fits_the_window(
    browser: Browser, service: Service, scheme: str, width: int
) -> None:
    # The policy forbids eval, which the accessibility checker needs, so this visit ignores the policy.
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,
    )
    page = context.new_page()
    page.goto(f"{service.broker.url}/docs")
    expect(page.locator("article").first).to_be_visible()
    for details in page.locator("#post_token details").all():
        details.evaluate("(element) => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = violations(page)
    context.close()
    assert found == []
