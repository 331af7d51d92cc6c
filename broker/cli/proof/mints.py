"""Tokens for the proof: the ones that the broker would mint, and weaker ones to compare them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from broker.cli.proof.connection import Unclear
from broker.minting.compile import RESUMPTION, SETUP_FIELDS, CompiledProfile, compile_profile
from broker.minting.gemini import GeminiMinter, socket_url
from broker.settings import Settings

LIFE_SECONDS = 120
KEY_HEADER = "x-goog-api-key"


@dataclass
class Mints:
    """Mints for one profile, and counts. No token of it leaves the process."""

    settings: Settings
    minter: GeminiMinter
    name: str
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.profile = self.settings.config.profiles[self.name]
        self.compiled: CompiledProfile = compile_profile(self.profile)
        self.plan = self.minter.token_plan(self.profile)
        self.setup: dict[str, Any] = dict(self.compiled.setups[self.plan.model])
        """What the tokens carry."""
        self.socket = socket_url(self.settings.live_url)

    def token(self, *, connect_within: float = LIFE_SECONDS, lives: float = LIFE_SECONDS) -> str:
        """A token of the broker's own minting code."""
        self.count += 1
        now = datetime.now(UTC)
        return self.minter.mint(
            self.profile,
            self.plan,
            expires_at=now + timedelta(seconds=lives),
            connect_by=now + timedelta(seconds=min(connect_within, lives)),
        ).name

    def without_lock_of(self, field_name: str) -> str:
        """A token that locks everything but one field, which it does not set either."""
        mask = [name for name in self.compiled.locked_fields if name != field_name]
        return self.weak({name: one for name, one in self.setup.items() if name != field_name}, mask)

    def without_lock(self) -> str:
        """A token that leaves everything to the client."""
        return self.weak(None, [])

    def weak(self, setup: Mapping[str, Any] | None, mask: list[str], version: str = "v1alpha") -> str:
        """A token that the broker never mints, for one connection. Raises `Unclear`."""
        end = (datetime.now(UTC) + timedelta(seconds=LIFE_SECONDS)).isoformat()
        body: dict[str, Any] = {"expireTime": end, "newSessionExpireTime": end, "uses": 1}
        if setup is not None:
            body["bidiGenerateContentSetup"] = dict(setup)
        if mask:
            body["fieldMask"] = ",".join(mask)
        self.count += 1
        status, answer = self.post(f"/{version}/auth_tokens", body)
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
            raise Unclear(f"a token with a weaker lock was refused with HTTP {status}")
        name: str = answer["name"]
        return name

    def post(self, path: str, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        """(status, JSON) of a call with our key, or with another credential in its place."""
        headers = {KEY_HEADER: key or self.settings.gemini_api_key.get_secret_value()}
        try:
            with httpx2.Client(trust_env=False, timeout=10) as http:
                answer = http.post(self.settings.live_url.rstrip("/") + path, json=body, headers=headers)
        except httpx2.HTTPError as fault:
            raise Unclear(f"not reachable ({type(fault).__name__})") from None
        try:
            return answer.status_code, answer.json()
        except json.JSONDecodeError:
            return answer.status_code, None

    @property
    def open_fields(self) -> list[str]:
        """What the lock leaves to the client."""
        return [name for name in SETUP_FIELDS if name not in self.compiled.locked_fields]

    @property
    def only_writes(self) -> bool:
        """Whether the model writes down what it hears and says nothing."""
        return bool(self.setup["generationConfig"]["responseModalities"] == ["TEXT"])

    @property
    def resumes(self) -> bool:
        return RESUMPTION in self.compiled.open_fields
