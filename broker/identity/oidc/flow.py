"""One attempt to sign in, bound to the browser that began it.

The browser keeps a signed value with a random seed; state, nonce and PKCE verifier are derived from the seed
with a key of ours. So the server keeps nothing until the browser comes back, and nothing that stands in the
cookie can be sent to a provider. That a flow ends once is the caller's to see to, by its id.
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
    """`issuer` is the name in `broker.toml`; state, nonce and verifier are good for this flow only."""

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
    """Names a flow without telling its state, so that two tabs do not share a cookie."""
    return hashlib.sha256(unverified_state.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Flows:
    """`key` is for this purpose alone."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def begin(self, issuer: str, return_to: str) -> Flow:
        seed = secrets.token_bytes(_SEED_BYTES)
        return self._flow(issuer, return_to, self._clock() + LIFETIME_SECONDS, seed)

    def open(self, unverified_cookie: str) -> Flow | None:
        """The flow of a cookie that we made and that is not over."""
        payload, _, mac = unverified_cookie.rpartition(".")
        if not hmac.compare_digest(self._mac("cookie", payload).encode(), mac.encode("utf-8", "replace")):
            return None
        try:
            written: dict[str, Any] = json.loads(_unbase64(payload))
            flow = self._flow(written["i"], written["r"], written["e"], _unbase64(written["s"]))
        except (ValueError, KeyError, TypeError, binascii.Error):
            return None  # of another version of ours: the signature was good
        return flow if flow.expires_at > self._clock() else None

    def _flow(self, issuer: str, return_to: str, expires_at: float, seed: bytes) -> Flow:
        written = {"i": issuer, "r": return_to, "e": expires_at, "s": _base64(seed)}
        payload = _base64(json.dumps(written, separators=(",", ":")).encode())
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
