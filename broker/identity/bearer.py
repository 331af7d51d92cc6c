"""From an unverified bearer token to the principal that it proves, whoever issued it.

The token's `iss` picks one of the issuers that we configured, by exact match; algorithm, keys and rules then
come from that issuer's configuration alone. No issuer can speak for another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from broker.identity import jws
from broker.identity.jws import UnverifiedToken
from broker.principal import Principal


@dataclass(frozen=True)
class Verified:
    """A principal and the terms of the token that proved it."""

    principal: Principal
    issued_at: datetime
    token_id: str | None = None
    generation: str | None = None
    """Of an own user's credentials: those of an earlier generation are withdrawn."""


class TokenVerifier(Protocol):
    """One issuer. `verify` refuses with `invalid-token`, `token-expired` or `keys-unavailable`."""

    @property
    def issuer(self) -> str: ...
    def verify(self, unverified: UnverifiedToken) -> Verified: ...


class Bearers:
    def __init__(self, verifiers: Iterable[TokenVerifier]) -> None:
        self._verifiers = {verifier.issuer: verifier for verifier in verifiers}

    def verify(self, unverified_token: str) -> Verified:
        unverified = jws.read(unverified_token)
        issuer = unverified.claims.get("iss")
        verifier = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            raise jws.invalid("unknown issuer")
        return verifier.verify(unverified)
