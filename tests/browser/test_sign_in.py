"""The sign-in form of the demo page: errors, reload, sign-out, and the banner of the stand-in."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.demo_page import DemoPage


def test_wrong_password_shows_an_error_and_the_right_one_signs_in(demo: DemoPage) -> None:
    demo.visit()
    demo.expect_state("signed-out")
    demo.sign_in(password="wrong")
    expect(demo.page.get_by_role("alert").first).to_contain_text("do not match")
    expect(demo.page.locator("#password")).to_be_focused()
    expect(demo.talk).to_be_hidden()
    demo.sign_in()
    demo.expect_state("idle")
    expect(demo.talk).to_be_focused()


def test_unknown_user_and_wrong_password_show_the_same_error(demo: DemoPage) -> None:
    demo.visit()
    demo.sign_in(password="wrong")
    error = demo.page.locator("#sign-in-error")
    expect(error).not_to_be_empty()
    first = error.inner_text()
    demo.sign_in(username="nobody")
    expect(error).to_have_text(first)


def test_reload_keeps_the_sign_in_and_sign_out_ends_it(demo: DemoPage) -> None:
    demo.visit()
    demo.sign_in()
    demo.expect_state("idle")
    demo.page.reload()
    demo.expect_state("idle")
    demo.page.get_by_role("button", name="Sign out").click()
    demo.expect_state("signed-out")
    expect(demo.page.locator("#username")).to_be_focused()
    demo.page.reload()
    expect(demo.page.locator("#sign-in")).to_be_visible()
    assert demo.page.request.get(f"{demo.url}/me").status == 401


def test_lost_sign_in_returns_to_the_sign_in_form(demo: DemoPage) -> None:
    demo.visit()
    demo.sign_in()
    demo.expect_state("idle")
    demo.page.context.clear_cookies()
    demo.talk.click()
    demo.expect_state("signed-out")
    expect(demo.page.locator("#sign-in-error")).to_contain_text("Sign in again")
    demo.sign_in()
    demo.expect_state("idle")


def test_banner_says_that_the_stand_in_answers(demo: DemoPage) -> None:
    demo.visit()
    expect(demo.page.locator("html")).to_have_attribute("data-upstream", "stand-in")
    expect(demo.page.get_by_text("a local stand-in repeats what you say")).to_be_visible()
