"""GeminiMinter: tokens from Google, or from a stand-in that speaks the same.

Owns the one SDK client of this process and the form of the call. Needs compiled profiles; the bounds are in
`transport.py` and `gate.py`. Every exception ends here: what leaves is a token or a `Refusal`.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from google import genai
from google.genai import errors, types

from broker.errors import Refusal
from broker.minting.circuit_breaker import Gate
from broker.minting.compile import API_VERSION, RESUMPTION, Locked, compile_profile
from broker.minting.errors import refusal_for
from broker.minting.minter import MintedToken, Minter, TokenPlan
from broker.minting.model_rules import values_at
from broker.minting.models import ModelDirectory
from broker.minting.transport import BoundedTransport
from broker.profiles.profile import Profile
from broker.telemetry.metrics import MINT_SECONDS, UPSTREAM_ERRORS

T = TypeVar("T")

SOCKET_PATH = (
    f"/ws/google.ai.generativelanguage.{API_VERSION}.GenerativeService.BidiGenerateContentConstrained"
)
TOKEN_NAME = re.compile(r"auth_tokens/[A-Za-z0-9._~-]{8,512}")
DETECTION_OFF = ["realtimeInputConfig", "automaticActivityDetection", "disabled"]
LIVE_ACTION = "bidiGenerateContent"
# Asking for two models and then minting stays below the ten seconds in which a caller is promised an answer.
LOOKUP_SECONDS = 2.0


def socket_url(base_url: str) -> str:
    """Where a client connects with its token; the token is never part of it."""
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
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`transport` takes the place of the bounded one, for tests that listen in."""
        self._api_key = api_key
        self._base_url = base_url
        self._deadline_seconds = deadline_seconds
        self._max_concurrent = max_concurrent
        self._transport = transport
        self._locked: Mapping[str, Locked] = MappingProxyType({p.name: compile_profile(p) for p in profiles})
        self._gate = Gate(max_concurrent)
        self._models = ModelDirectory(lambda model: self._gate.run(lambda: self._is_offered(model)))
        self._client_lock = threading.Lock()
        self._client: genai.Client | None = None
        self._client_pid = 0

    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        locked = self._locked[profile.name]
        if model is None or model not in locked.setups:
            model = self._models.first_offered(locked.setups)
        modalities = locked.setups[model]["generationConfig"]["responseModalities"]
        setup: dict[str, Any] = {"model": model, "generationConfig": {"responseModalities": list(modalities)}}
        if RESUMPTION in locked.open_fields:
            setup[RESUMPTION] = _resumption(handle)
        setup.update(_worth_knowing(locked.setups[model]))
        return TokenPlan(model, setup, locked.locked)

    def is_ready(self, profile: Profile) -> bool:
        return self._models.knows(self._locked[profile.name].setups)

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
    ) -> MintedToken:
        if expires_at.tzinfo is None or connect_by.tzinfo is None:
            # The SDK would send them without an offset, and Google would read them as who knows what.
            raise ValueError("a token's times must say their time zone")
        locked = self._locked[profile.name]
        body: dict[str, Any] = {"bidiGenerateContentSetup": dict(locked.setups[token_plan.model])}
        if locked.mask:
            body["fieldMask"] = ",".join(locked.mask)
        else:
            body["bidiGenerateContentSetup"][RESUMPTION] = _resumption(handle)
        config = types.CreateAuthTokenConfig(
            uses=1,
            expire_time=expires_at,
            new_session_expire_time=connect_by,
            http_options=types.HttpOptions(extra_body=body),
        )
        return self._gate.run(lambda: self._timed(config))

    def close(self) -> None:
        with self._client_lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _timed(self, config: types.CreateAuthTokenConfig) -> MintedToken:
        started, outcome = time.perf_counter(), "internal"
        try:
            token = self._create(config)
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.code
            raise
        finally:
            MINT_SECONDS.labels(outcome).observe(time.perf_counter() - started)
        return token

    def _create(self, config: types.CreateAuthTokenConfig) -> MintedToken:
        name = _or_refusal(lambda: self._shared_client().auth_tokens.create(config=config).name)
        if not isinstance(name, str) or not TOKEN_NAME.fullmatch(name):
            raise Refusal("upstream-error", reason="the answer held no token")
        return MintedToken(name)

    def _is_offered(self, model: str) -> bool:
        options = types.HttpOptions(timeout=_milliseconds(min(LOOKUP_SECONDS, self._deadline_seconds)))
        config = types.GetModelConfig(http_options=options)

        def ask() -> bool:
            try:
                found = self._shared_client().models.get(model=model, config=config)
            except errors.ClientError as error:
                if error.code == 404:
                    return False
                raise
            return not found.supported_actions or LIVE_ACTION in found.supported_actions

        return _or_refusal(ask)

    def _shared_client(self) -> genai.Client:
        """Built on first use: gunicorn forks its workers after the app, and sockets must not be shared."""
        if self._client is None or self._client_pid != os.getpid():
            with self._client_lock:
                if self._client is None or self._client_pid != os.getpid():
                    self._client = self._build_client()
                    self._client_pid = os.getpid()
        return self._client

    def _build_client(self) -> genai.Client:
        transport = self._transport or BoundedTransport(
            max_connections=self._max_concurrent, default_seconds=self._deadline_seconds
        )
        # The transport verifies TLS with a context of its own. This one holds no certificate, so whatever the
        # SDK might connect by itself would fail; and it spares the SDK loading the CA bundle three times.
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return genai.Client(
            vertexai=False,
            api_key=self._api_key,
            http_options=types.HttpOptions(
                base_url=self._base_url,
                api_version=API_VERSION,
                timeout=_milliseconds(self._deadline_seconds),
                client_args={
                    "transport": transport,
                    "follow_redirects": False,
                    "trust_env": False,
                    "verify": bare,
                },
                async_client_args={"verify": bare, "ssl": bare, "trust_env": False},
            ),
        )


def _or_refusal(call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets our code and nothing else
        refusal = refusal_for(error)
    UPSTREAM_ERRORS.labels(refusal.code).inc()
    # Raised out here it carries no context: a traceback of the SDK's error would show what Google said.
    raise refusal


def _worth_knowing(locked: Mapping[str, Any]) -> dict[str, Any]:
    """What a client does otherwise by, though it is locked: told, and without effect in its frame."""
    told: dict[str, Any] = {}
    if any(values_at(locked, DETECTION_OFF)):  # the client has to say when the user speaks
        told["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
    # Its one field, which the SDK leaves in snake_case.
    if any(locked.get("historyConfig", {}).values()):  # what was said before comes first
        told["historyConfig"] = {"initialHistoryInClientContent": True}
    functions = [f for tool in locked.get("tools", ()) for f in tool.get("functionDeclarations", ())]
    # Whether the model waits for it decides how it is answered.
    behaviors = [{"name": f["name"], "behavior": f["behavior"]} for f in functions if "behavior" in f]
    if behaviors:
        told["tools"] = [{"functionDeclarations": behaviors}]
    return told


def _resumption(handle: str | None) -> dict[str, str]:
    return {} if handle is None else {"handle": handle}


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
