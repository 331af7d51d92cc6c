"""GeminiMinter: mints tokens at Google, or at a stand-in with the same API.

Owns the request for a token and the look-up of models. Needs compiled profiles. `transport.py` and
`circuit_breaker.py` hold the limits. Every exception ends here: a call returns a token or raises `Refusal`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from google.genai import errors, types

from broker.errors import Refusal
from broker.minting.circuit_breaker import Bulkhead
from broker.minting.compile import API_VERSION, RESUMPTION, CompiledProfile, compile_profile
from broker.minting.errors import refusal_for
from broker.minting.minter import MintedToken, Minter, TokenPlan, TokenTimes
from broker.minting.model_rules import values_at
from broker.minting.models import ModelDirectory
from broker.minting.sdk_client import SdkClient, milliseconds
from broker.minting.transport import BoundedTransport
from broker.profiles.profile import Profile
from broker.telemetry.metrics import MINT_SECONDS, UPSTREAM_ERRORS
from broker.telemetry.traces import span

T = TypeVar("T")

SOCKET_PATH = (
    f"/ws/google.ai.generativelanguage.{API_VERSION}.GenerativeService.BidiGenerateContentConstrained"
)
TOKEN_NAME = re.compile(r"auth_tokens/[A-Za-z0-9._~-]{8,512}")
DETECTION_OFF = ["realtimeInputConfig", "automaticActivityDetection", "disabled"]
LIVE_ACTION = "bidiGenerateContent"
# Two look-ups and one mint stay below ten seconds, the longest time that the broker promises for an answer.
LOOKUP_SECONDS = 2.0


def socket_url(base_url: str) -> str:
    """The address where a client connects with its token. The token is never part of it."""
    parts = urlsplit(base_url)
    return f"{'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}{SOCKET_PATH}"


class GeminiMinter(Minter):
    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        profiles: Iterable[Profile],
        deadline_seconds: float = 5.0,
        max_concurrent: int,
        most_ahead: int = 0,
        transport: BoundedTransport | None = None,
    ) -> None:
        """`most_ahead`: how many calls of `mint_ahead` may run besides the `max_concurrent` ones.

        Tests pass a `transport` that answers by itself.
        """
        self._deadline_seconds = deadline_seconds
        self._sdk = SdkClient(
            api_key=api_key,
            base_url=base_url,
            deadline_seconds=deadline_seconds,
            max_concurrent=max_concurrent + most_ahead,
            transport=transport,
        )
        self._compiled: Mapping[str, CompiledProfile] = MappingProxyType(
            {profile.name: compile_profile(profile) for profile in profiles}
        )
        self._first_frames = {
            (name, model): _first_frame(model, setup)
            for name, compiled in self._compiled.items()
            for model, setup in compiled.setups.items()
        }
        self._bulkhead = Bulkhead(max_concurrent)
        self._models = ModelDirectory(lambda model: self._bulkhead.run(lambda: self._look_up(model)))

    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        compiled = self._compiled[profile.name]
        if model is None or model not in compiled.setups:
            model = self._models.first_offered(compiled.setups)
        setup = self._first_frames[profile.name, model]
        if RESUMPTION in compiled.open_fields:
            setup = {**setup, RESUMPTION: _resumption(handle)}
        return TokenPlan(model, setup, compiled.locked_fields)

    def is_ready(self, profile: Profile) -> bool:
        return self._models.is_cached(self._compiled[profile.name].setups)

    def offers_none(self, profile: Profile) -> bool:
        return self._models.offers_none(self._compiled[profile.name].setups)

    def check_upstream(self) -> None:
        self._bulkhead.check()

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
        ahead: bool = False,
    ) -> MintedToken:
        if expires_at.tzinfo is None or connect_by.tzinfo is None:
            # Google would have to guess the time zone.
            raise ValueError("the times of a token need a time zone")
        compiled = self._compiled[profile.name]
        setup = compiled.setups[token_plan.model]
        body: dict[str, Any] = {
            "expireTime": expires_at.isoformat(),
            "newSessionExpireTime": connect_by.isoformat(),
            "uses": 1,
        }
        if compiled.mask:
            body |= {"bidiGenerateContentSetup": dict(setup), "fieldMask": ",".join(compiled.mask)}
        else:
            body["bidiGenerateContentSetup"] = {**setup, RESUMPTION: _resumption(handle)}
        encoded = json.dumps(body).encode()
        run = self._bulkhead.run_beside if ahead else self._bulkhead.run
        return run(lambda: self._timed(encoded))

    def mint_ahead(self, profile: Profile, token_plan: TokenPlan, times: TokenTimes) -> MintedToken:
        return self.mint(profile, token_plan, **vars(times), ahead=True)

    def close(self) -> None:
        self._sdk.close()

    def _timed(self, body: bytes) -> MintedToken:
        started, outcome = time.perf_counter(), "internal"
        try:
            with span("mint"):
                token = self._create(body)
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.code
            raise
        finally:
            MINT_SECONDS.labels(outcome).observe(time.perf_counter() - started)
        return token

    def _create(self, body: bytes) -> MintedToken:
        answer = _or_refusal(lambda: self._sdk.create_token(body))
        name = answer.get("name") if isinstance(answer, dict) else None
        if not isinstance(name, str) or not TOKEN_NAME.fullmatch(name):
            raise Refusal("upstream-error", reason="the answer contains no token")
        return MintedToken(name)

    def _look_up(self, model: str) -> bool:
        options = types.HttpOptions(timeout=milliseconds(min(LOOKUP_SECONDS, self._deadline_seconds)))
        config = types.GetModelConfig(http_options=options)

        def get() -> bool:
            try:
                found = self._sdk.get().models.get(model=model, config=config)
            except errors.ClientError as error:
                if error.code == 404:
                    return False
                raise
            return not found.supported_actions or LIVE_ACTION in found.supported_actions

        return _or_refusal(get)


def _or_refusal(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever the error is, the caller gets only our code
        refusal = refusal_for(error)
    UPSTREAM_ERRORS.labels(refusal.code).inc()
    # Raised outside the handler it has no context. The traceback of the SDK's error would show Google's text.
    raise refusal


def _first_frame(model: str, setup: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the client sends first, without a handle."""
    modalities = {"responseModalities": list(setup["generationConfig"]["responseModalities"])}
    return {"model": model, "generationConfig": modalities, **_client_hints(setup)}


def _client_hints(setup: Mapping[str, Any]) -> dict[str, Any]:
    """The locked settings that a client must know to behave correctly.

    They have no effect in its own frame.
    """
    hints: dict[str, Any] = {}
    if any(values_at(setup, DETECTION_OFF)):  # the client must mark when the user speaks
        hints["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
    # The SDK leaves the only field of historyConfig in snake_case.
    if any(setup.get("historyConfig", {}).values()):  # the client sends the earlier conversation first
        hints["historyConfig"] = {"initialHistoryInClientContent": True}
    functions = [f for tool in setup.get("tools", ()) for f in tool.get("functionDeclarations", ())]
    # A client answers a function differently if the model waits for the result.
    behaviors = [{"name": f["name"], "behavior": f["behavior"]} for f in functions if "behavior" in f]
    if behaviors:
        hints["tools"] = [{"functionDeclarations": behaviors}]
    return hints


def _resumption(handle: str | None) -> dict[str, str]:
    return {} if handle is None else {"handle": handle}
