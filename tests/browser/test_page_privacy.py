"""The demo page keeps no token and loads nothing from another origin."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.demo_page import TOKEN_LIKE, DemoPage, Site


def test_no_token_stays_in_the_page(demo: DemoPage, site: Site) -> None:
    demo.enter()
    demo.start()
    demo.page.click("#mute")
    demo.say("Hello")
    demo.caption("model", "You wrote: Hello")
    demo.page.click("#diagnostics > summary")
    expect(demo.page.get_by_text("Answer delay")).to_be_visible()
    during = demo.kept()
    demo.page.keyboard.press("Escape")  # the panel may lie over Talk
    demo.talk.click()
    demo.expect_state("ended")
    for kept in (during, demo.kept()):
        assert TOKEN_LIKE.search(kept) is None
    stored = demo.page.evaluate("localStorage.length + sessionStorage.length")
    assert stored == 0
    assert demo.page.url == f"{site.broker.url}/"


def test_connection_details_can_be_copied_without_a_token(demo: DemoPage) -> None:
    demo.page.context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    demo.enter()
    demo.start()
    demo.page.click("#diagnostics > summary")
    demo.page.click("#diagnostics-copy")
    expect(demo.page.get_by_text("Copied")).to_be_visible()
    copied = demo.page.evaluate("navigator.clipboard.readText()")
    assert "Set up after: " in copied
    assert TOKEN_LIKE.search(copied) is None


def test_page_follows_its_content_security_policy(demo: DemoPage) -> None:
    """No inline script or style, and no other origin. Every other test fails on a violation too."""
    answer = demo.page.request.get(f"{demo.url}/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    html = answer.text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", html) is None
    assert re.search(r"(?:src|href)=\"(?!/)", html) is None
