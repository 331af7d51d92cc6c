"""Signing in with an external issuer, in a real Chromium, at a real OpenID provider."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from broker.standin import StandIn
from broker.store.database.tables import audit
from tests.browser.demo_page import DemoPage, Visits
from tests.conftest import MakeBroker
from tests.support.provider import PASSWORD, ProviderProcess, entry
from tests.support.servers import BrokerServer

# Characters that form encoding changes.
SECRET = "pro+vider: s%cret/&=?"
CLIENTS = {
    "local": {"token_endpoint_auth_method": "none"},
    "basic": {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    with ProviderProcess(CLIENTS) as running:
        yield running


@pytest.fixture(scope="module")
def broker(provider: ProviderProcess, standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    rights = {"plan_claim": "plan", "operator_claim": "groups", "operator_values": ["staff"]}
    toml = entry("local", provider.issuer, label="the local provider", **rights)
    server = make_broker(standin.url, toml=toml, env={"BROKER_LOG_LEVEL": "debug"})
    server.add_user("demo")
    return server


@pytest.fixture
def demo(visit: Visits, broker: BrokerServer) -> DemoPage:
    return visit(broker.url, permissions=["microphone"])


def press(demo: DemoPage, label: str = "the local provider") -> None:
    demo.page.get_by_role("link", name=f"Continue with {label}").click()
    expect(demo.page.get_by_role("heading", name="The provider")).to_be_visible()


def at_the_provider(demo: DemoPage, name: str) -> None:
    demo.page.get_by_label("Name").fill(name)
    demo.page.get_by_label("Password").fill(PASSWORD)
    demo.page.get_by_role("button", name="Sign in").click()


def test_provider_button_signs_in_and_returns_to_the_page(demo: DemoPage, broker: BrokerServer) -> None:
    demo.visit()
    press(demo)
    at_the_provider(demo, "ada@staff")
    demo.expect_state("idle")
    assert demo.page.url == f"{broker.url}/", "neither the code nor the state stays in the address"
    me = demo.page.request.get(f"{broker.url}/me").json()
    assert me["principal"]["subject"] == "ada@staff"
    assert me["name"] == "ada of the provider"
    assert me["plan"] == "default"
    assert me["roles"] == ["operator"]
    demo.start()
    demo.talk.click()
    demo.expect_state("ended")
    demo.page.get_by_role("button", name="Sign out").click()
    demo.expect_state("signed-out")
    assert demo.page.request.get(f"{broker.url}/me").status == 401
    names = {
        cookie["name"] for cookie in demo.page.context.cookies(broker.url) if "live-broker" in cookie["name"]
    }
    assert names == set()


def test_scripts_cannot_read_the_cookies(demo: DemoPage, broker: BrokerServer) -> None:
    demo.visit()
    press(demo)
    during = [c for c in demo.page.context.cookies(broker.url) if c["name"].startswith("live-broker")]
    assert [cookie["name"].rpartition("-")[0] for cookie in during] == ["live-broker-flow"]
    at_the_provider(demo, "bea")
    demo.expect_state("idle")
    after = [c for c in demo.page.context.cookies(broker.url) if c["name"].startswith("live-broker")]
    assert [cookie["name"] for cookie in after] == ["live-broker"]
    for cookie in during + after:
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"


def test_two_tabs_sign_in_side_by_side(demo: DemoPage, broker: BrokerServer) -> None:
    """Both flows start before either ends. The later sign-in replaces the earlier one."""
    demo.visit()
    press(demo)
    other = demo.page.context.new_page()
    other.goto(f"{broker.url}/auth/oidc/local")
    expect(other.get_by_role("heading", name="The provider")).to_be_visible()
    at_the_provider(demo, "carl")
    demo.expect_state("idle")
    first = {c["name"]: c["value"] for c in demo.page.context.cookies(broker.url)}["live-broker"]
    other.get_by_label("Name").fill("dora")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.locator("#status")).to_have_attribute("data-state", "idle")
    assert other.request.get(f"{broker.url}/me").json()["principal"]["subject"] == "dora"
    with broker.client() as thief:
        assert thief.get("/me", headers={"Cookie": f"live-broker={first}"}).status_code == 401


def test_cancel_at_the_provider_shows_our_own_message_once(demo: DemoPage, broker: BrokerServer) -> None:
    demo.visit()
    press(demo)
    demo.page.get_by_role("button", name="Cancel").click()
    error = demo.page.locator("#sign-in-error")
    expect(error).to_contain_text("Sign-in was cancelled")
    assert "provider-text" not in demo.page.content()
    assert demo.page.url == f"{broker.url}/"
    demo.page.reload()
    expect(demo.page.locator("#sign-in")).to_be_visible()
    expect(error).to_be_empty()


def test_blocked_person_sees_the_reason_at_sign_in(
    demo: DemoPage, broker: BrokerServer, provider: ProviderProcess
) -> None:
    broker.block_admin.block("mallory", provider.issuer)
    demo.visit()
    press(demo)
    at_the_provider(demo, "mallory")
    expect(demo.page.locator("#sign-in-error")).to_contain_text("Your account is blocked")
    assert not [c for c in demo.page.context.cookies(broker.url) if c["name"] == "live-broker"]


def test_visit_without_a_cookie_logs_nothing(demo: DemoPage) -> None:
    demo.visit()
    demo.page.wait_for_load_state("networkidle")
    assert demo.console == []


def test_callback_works_once(demo: DemoPage, broker: BrokerServer) -> None:
    """The address from the history, or a reload of it, signs no one in."""
    seen: list[str] = []
    demo.page.on("request", lambda request: seen.append(request.url))
    demo.visit()
    press(demo)
    at_the_provider(demo, "emil")
    demo.expect_state("idle")
    callback = next(url for url in seen if "/callback?" in url)
    assert re.search(r"[?&]code=.+&state=.+&iss=", callback)
    demo.page.goto(callback)
    demo.expect_state("idle")
    assert demo.page.url == f"{broker.url}/", "still signed in as before"
    fresh = demo.page.context.browser
    assert fresh is not None
    elsewhere = fresh.new_context()
    page = elsewhere.new_page()
    page.goto(callback)
    expect(page.locator("#sign-in-error")).to_contain_text("took too long")
    elsewhere.close()


def test_provider_rejects_a_request_without_pkce(broker: BrokerServer) -> None:
    """An attacker removes the challenge to get a code that needs no verifier."""
    with broker.client() as client:
        address = client.get("/auth/oidc/local").headers["location"]
        stripped = re.sub(r"&code_challenge(_method)?=[^&]+", "", address)
        assert stripped != address
        back = httpx2.get(stripped, trust_env=False).headers["location"]
        assert back.startswith(f"{broker.url}/auth/oidc/local/callback?error=invalid_request&")
        answer = client.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?sign-in=sign-in-failed")


def test_sign_in_works_with_a_client_secret(
    visit: Visits, provider: ProviderProcess, standin: StandIn, make_broker: MakeBroker
) -> None:
    toml = entry("basic", provider.issuer, client_secret_env="BASIC")
    broker = make_broker(standin.url, toml=toml, env={"BROKER_OIDC_BASIC_SECRET": SECRET})
    demo = visit(broker.url)
    demo.visit()
    press(demo, "Basic")
    at_the_provider(demo, "fred")
    demo.expect_state("idle")
    assert SECRET not in broker.log
    with broker.database.read() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action, audit.c.outcome)).all()
    assert (f"{provider.issuer}:fred", "sign-in", "ok") in [tuple(row) for row in rows]
