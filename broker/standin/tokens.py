"""Tokens: their terms (uses, join window, expiry) with Google's bounds, and the store that issues and spends
them.

`locking.py` applies a token's setup.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from broker.standin.clock import Clock
from broker.standin.close_reasons import CLOSES, Refused

PREFIX = "auth_tokens/standin-"  # so that nobody takes one for a real credential
MAX_LIFETIME_SECONDS = 20 * 3600
DEFAULT_LIFETIME_SECONDS = 30 * 60
DEFAULT_JOIN_SECONDS = 60


class TermsError(ValueError):
    """A request for a token that is refused, with Google's text where it is known. `field`: a proto path."""

    def __init__(self, field_name: str, text: str) -> None:
        super().__init__(text)
        self.field = f"auth_token.{field_name}"


@dataclass
class Token:
    name: str
    expires_at: float
    join_by: float
    uses: int  # 0: unlimited
    setup: dict[str, Any] | None
    mask: list[str] = field(default_factory=list)
    used: int = 0

    @property
    def spent(self) -> bool:
        return self.uses > 0 and self.used >= self.uses


def fingerprint(name: str) -> str:
    """The value that records show in place of a token."""
    return hashlib.sha256(name.encode()).hexdigest()


class TokenStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}

    def mint(self, wanted: dict[str, Any], skew_seconds: float = 0.0) -> Token:
        """`wanted` is a parsed AuthToken. `skew_seconds`: how far this clock runs ahead of the caller's."""
        now = self._clock.now()
        lifetimes = {}
        for field_name, default in (
            ("expireTime", DEFAULT_LIFETIME_SECONDS),
            ("newSessionExpireTime", DEFAULT_JOIN_SECONDS),
        ):
            proto_name = "expire_time" if field_name == "expireTime" else "new_session_expire_time"
            seconds: float = default
            if field_name in wanted:
                seconds = self._clock.seconds_until(wanted[field_name]) - skew_seconds
            if seconds > MAX_LIFETIME_SECONDS:
                raise TermsError(
                    proto_name, f"{proto_name} is too far in the future. Maximum lifetime is 20h"
                )
            if seconds <= 0:
                raise TermsError(proto_name, f"{proto_name} must be in the future")  # chosen text
            lifetimes[field_name] = seconds
        uses = wanted.get("uses", 1)
        if uses < 0:
            raise TermsError("uses", "uses must not be negative")  # chosen text
        token = Token(
            name=PREFIX + secrets.token_hex(16),
            expires_at=now + lifetimes["expireTime"],
            join_by=now + lifetimes["newSessionExpireTime"],
            uses=uses,
            setup=wanted.get("bidiGenerateContentSetup"),
            mask=wanted.get("fieldMask", []),
        )
        self._tokens[token.name] = token
        return token

    def check_at_connect(
        self, name: str, join_gated: bool, unknown: str, ignored: Collection[str] = ()
    ) -> Token:
        """Checks what the token alone decides.

        With `join_gated`, the join window binds resumptions too, so it is checked before the setup frame.
        `unknown` names the close for a token that is not known, `ignored` the terms that a scenario ignores.
        """
        token = self._tokens.get(name)
        now = self._clock.now()
        if token is None:
            raise Refused(CLOSES[unknown])
        if now >= token.expires_at and "expired" not in ignored:
            raise Refused(CLOSES["token-expired"])
        if join_gated and now >= token.join_by and not {"late", "expired"} & set(ignored):
            raise Refused(CLOSES["token-late"])
        return token

    def spend(self, token: Token, ignored: Collection[str] = ()) -> None:
        """Spends one use. It runs in one event-loop step, so two sockets cannot share the last use."""
        if token.spent and "spent" not in ignored:
            raise Refused(CLOSES["token-used"])
        if self._clock.now() >= token.join_by and not {"late", "expired"} & set(ignored):
            raise Refused(CLOSES["token-late"])
        token.used += 1

    def clear(self) -> None:
        self._tokens.clear()
