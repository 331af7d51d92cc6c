"""One attempt to sign in, bound to the browser that started it.

The browser keeps a signed value with a random seed. State, nonce and PKCE verifier are derived from the seed
with a key of the broker. So the server stores nothing until the browser returns, and the cookie contains
nothing that a provider accepts. The caller makes sure, by the flow's id, that a flow is used once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LIFETIME_SECONDS = 600
_SEED_BYTES = 32


@dataclass(frozen=True)
class Flow:
    """`issuer` is the name in `broker.toml`. State, nonce and verifier are valid only for this flow."""

    issuer: str
    return_to: str
    expires_at: float
    cookie: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)

    @property
    def id(self) -> str:
        return flow_id(self.state)


def flow_id(unverified_state: str) -> str:
    """An id that does not reveal the state. With it, two tabs do not share a cookie."""
    return hashlib.sha256(unverified_state.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Flows:
    """`key` must have no other purpose."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def begin(self, issuer: str, return_to: str) -> Flow:
        seed = secrets.token_bytes(_SEED_BYTES)
        return self._flow(issuer, return_to, self._clock() + LIFETIME_SECONDS, seed)

    def open(self, unverified_cookie: str) -> Flow | None:
        """The flow of a cookie that the broker signed and that has not expired. Otherwise None."""
        payload, _, mac = unverified_cookie.rpartition(".")
        if not hmac.compare_digest(self._mac("cookie", payload).encode(), mac.encode("utf-8", "replace")):
            return None
        try:
            content: dict[str, Any] = json.loads(_unbase64(payload))
            flow = self._flow(content["i"], content["r"], content["e"], _unbase64(content["s"]))
        except (ValueError, KeyError, TypeError, binascii.Error):
            return None  # the signature is valid, so another version of the broker wrote it
        return flow if flow.expires_at > self._clock() else None

    def _flow(self, issuer: str, return_to: str, expires_at: float, seed: bytes) -> Flow:
        content = {"i": issuer, "r": return_to, "e": expires_at, "s": _base64(seed)}
        payload = _base64(json.dumps(content, separators=(",", ":")).encode())
        return Flow(
            issuer,
            return_to,
            expires_at,
            cookie=f"{payload}.{self._mac('cookie', payload)}",
            state=self._mac("state", _base64(seed)),
            nonce=self._mac("nonce", _base64(seed)),
            code_verifier=self._mac("verifier", _base64(seed)),
        )

    def _mac(self, label: str, text: str) -> str:
        return _base64(hmac.digest(self._key, f"{label}:{text}".encode("utf-8", "replace"), "sha256"))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
