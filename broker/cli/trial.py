"""A trial of the upstream: mint a token that expires after a minute. For `broker check` and `broker dev`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from broker.errors import Refusal
from broker.minting.gemini import GeminiMinter
from broker.settings import Settings


@contextmanager
def minter_of(settings: Settings) -> Iterator[GeminiMinter]:
    minter = GeminiMinter(
        api_key=settings.gemini_api_key.get_secret_value(),
        base_url=settings.live_url,
        profiles=settings.config.profiles.values(),
        max_concurrent=1,
    )
    try:
        yield minter
    finally:
        minter.close()


def mint(settings: Settings, minter: GeminiMinter, name: str) -> str:
    """Mint for the profile `name`. Returns the model; raises Refusal."""
    profile = settings.config.profiles[name]
    token_plan = minter.token_plan(profile)
    end = datetime.now(UTC) + timedelta(minutes=1)
    minter.mint(profile, token_plan, expires_at=end, connect_by=end)
    return token_plan.model


def in_plain_words(refusal: Refusal) -> str:
    """What went wrong with the key or the network, and what to do, for someone who has just started."""
    reason = refusal.reason or ""
    if "API_KEY_INVALID" in reason:
        return "API key not valid. Check GEMINI_API_KEY, or make a key in Google AI Studio."
    if refusal.code == "upstream-rejected":
        return f"request refused ({reason}). Check the restrictions of the key and the models of the profile."
    if refusal.code == "upstream-quota":
        return "the quota of this key's project is used up. Wait, or raise it in Google's console."
    if refusal.code == "upstream-timeout":
        return "no answer in time. Check the network."
    if reason.startswith("HTTP "):
        return f"failed ({reason}). Try again in a while."
    return f"not reachable ({reason or refusal.code}). Check the network."
