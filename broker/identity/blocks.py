"""Decides whether a principal with a valid credential is admitted or blocked.

A block names a principal, all credentials of a principal issued before a time, one token by its id, or a
whole issuer. Every request looks it up, so it applies to the next request on every worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.identity.users import User
from broker.principal import GUEST_ISSUER, OWN_ISSUER, Overrides, Principal, principal_key

# The block of a token lasts longer than the token, by more than clocks can differ.
_MARGIN = timedelta(minutes=10)


class BlockKind(StrEnum):
    UNKNOWN = "unknown"
    PRINCIPAL = "principal"
    ISSUED_BEFORE = "issued-before"
    TOKEN = "jti"  # noqa: S105 - a kind of block
    ISSUER = "issuer"


@dataclass(frozen=True)
class Block:
    kind: BlockKind
    issued_before: datetime | None = None


class Standing(Protocol):
    """A principal's user, its overrides, those of its team, and matching blocks, in one read.

    The store implements it.
    """

    def of_own_user(self, verified: Verified) -> tuple[User | None, Overrides, Overrides, list[Block]]: ...
    def of_other(self, verified: Verified) -> tuple[Overrides, Overrides, list[Block]]: ...
    def withdraw_token(self, principal: Principal, token_id: str, until: datetime) -> None: ...


def token_key(issuer: str, token_id: str) -> str:
    """The key of a blocked token. It contains the issuer, because two issuers may use the same token id."""
    return principal_key(issuer, token_id)


class Admission:
    """Returns the current principal of a verified credential, or refuses it."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def revoke(self, verified: Verified, lifetime: timedelta) -> None:
        """Revoke the broker's token, or the cookie of a guest, that its holder signs out with."""
        if verified.principal.issuer in {OWN_ISSUER, GUEST_ISSUER} and verified.token_id is not None:
            self._standing.withdraw_token(
                verified.principal, verified.token_id, verified.issued_at + lifetime + _MARGIN
            )

    def admit(self, verified: Verified) -> Principal:
        """The permissions of a principal can change between two requests, so nothing is cached."""
        if verified.principal.issuer != OWN_ISSUER:
            overrides, of_team, blocks = self._standing.of_other(verified)
            refuse_blocked(verified, blocks)
            return verified.principal.with_overrides(overrides, of_team)
        user, overrides, of_team, blocks = self._standing.of_own_user(verified)
        if user is None:
            raise Refusal("invalid-token", reason="unknown user")
        if user.blocked_at is not None:
            raise Refusal("account-blocked")
        refuse_blocked(verified, blocks)
        if verified.generation != user.generation:
            raise _revoked("earlier generation")
        return user.principal().with_overrides(overrides, of_team)

    def admit_unpresented(self, principal: Principal) -> Principal:
        """Admits a principal that presents no credential itself, for example the user of a service key."""
        return self.admit(Verified(principal, datetime.now(UTC)))


def refuse_blocked(verified: Verified, blocks: Iterable[Block]) -> None:
    """Refuses `invalid-token` if a new sign-in helps, `account-blocked` if the caller can do nothing."""
    kinds = set()
    for block in blocks:
        # Issue times are whole seconds, so a token from the same second counts as older.
        before = block.issued_before
        if block.kind is not BlockKind.ISSUED_BEFORE or before is None or verified.issued_at < before:
            kinds.add(block.kind)
    if kinds & {BlockKind.PRINCIPAL, BlockKind.ISSUER}:
        raise Refusal("account-blocked", reason=f"blocked: {', '.join(sorted(kinds))}")
    if kinds:
        raise _revoked(f"blocked: {', '.join(sorted(kinds))}")


def _revoked(reason: str) -> Refusal:
    return Refusal("invalid-token", "The credential was revoked. Sign in again.", reason=reason)
