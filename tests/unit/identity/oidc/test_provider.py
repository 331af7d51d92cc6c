"""The discovery document: fetched rarely, kept during an outage, never that of another issuer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from broker.identity.oidc.provider import (
    COOL_DOWN_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    MAX_WAITING,
    DiscoveredProvider,
    ProviderUnavailable,
)

ISSUER = "https://id.example"
GOOD = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/authorize?tenant=a",
    "token_endpoint": "https://tokens.example/token",
}


class State:
    """A clock, and a provider that the test can switch off."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.document: Mapping[str, Any] | None = GOOD
        self.provider = DiscoveredProvider(ISSUER, self._fetch, lambda: self.now)

    def _fetch(self, url: str) -> Mapping[str, Any]:
        self.asked.append(url)
        if self.document is None:
            raise ProviderUnavailable("off")
        return self.document


@pytest.fixture
def state() -> State:
    return State()


def test_document_is_fetched_once_an_hour(state: State) -> None:
    for _ in range(3):
        found = state.provider.endpoints()
    assert (found.authorization, found.token) == (GOOD["authorization_endpoint"], GOOD["token_endpoint"])
    assert state.asked == ["https://id.example/.well-known/openid-configuration"]
    state.now = FRESH_SECONDS
    state.provider.endpoints()
    assert len(state.asked) == 2


def test_outage_of_less_than_a_day_is_survived(state: State) -> None:
    state.provider.endpoints()
    state.document = None
    asked = 0
    while state.now < KEPT_SECONDS - 60:
        state.now += 30
        state.provider.endpoints()
        asked += 1
    assert len(state.asked) <= asked
    state.now = KEPT_SECONDS
    with pytest.raises(ProviderUnavailable):
        state.provider.endpoints()
    state.document = GOOD
    state.now += COOL_DOWN_SECONDS
    state.provider.endpoints()


def test_failure_is_not_retried_at_once(state: State) -> None:
    state.document = None
    for _ in range(100):
        with pytest.raises(ProviderUnavailable, match="off"):
            state.provider.endpoints()
    assert len(state.asked) == 1
    state.document = GOOD
    state.now += COOL_DOWN_SECONDS
    state.provider.endpoints()
    assert len(state.asked) == 2


def test_bad_document_does_not_replace_the_good_one(state: State) -> None:
    state.provider.endpoints()
    state.document = {**GOOD, "issuer": "https://evil.example", "token_endpoint": "https://evil.example/"}
    state.now = FRESH_SECONDS
    assert state.provider.endpoints().token == GOOD["token_endpoint"]


def test_few_callers_wait_for_a_hanging_provider() -> None:
    hanging, entered = threading.Event(), threading.Event()

    def fetch(_url: str) -> Mapping[str, Any]:
        entered.set()
        assert hanging.wait(20)
        return GOOD

    provider = DiscoveredProvider(ISSUER, fetch)
    found: list[str] = []
    down: list[str] = []

    def ask() -> None:
        try:
            found.append(provider.endpoints().token)
        except ProviderUnavailable as reason:
            down.append(str(reason))

    threads = [threading.Thread(target=ask) for _ in range(MAX_WAITING + 3)]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    while len(down) < 3:
        assert any(thread.is_alive() for thread in threads)
    hanging.set()
    for thread in threads:
        thread.join()
    assert (len(found), len(down)) == (MAX_WAITING, 3)
