"""Verifies a bearer token of any configured issuer and returns its principal.

The `iss` of the token selects the issuer by exact match. Algorithm, keys and rules then come only from the
configuration of that issuer, so no issuer can create tokens for another.
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
    """A principal, and what its credential says about itself."""

    principal: Principal
    issued_at: datetime
    token_id: str | None = None
    generation: str | None = None
    """The generation of a broker user's credentials. Credentials of an earlier generation are revoked."""


class TokenVerifier(Protocol):
    """Verifies the tokens of one issuer. Refuses `invalid-token`, `token-expired` or `keys-unavailable`."""

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
