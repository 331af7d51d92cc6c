"""Who is turned away although the credential is good, and how that is decided.

A block names a principal, all credentials of a principal from before a moment, one token by its id, or a
whole issuer. It is looked up for each request, so it holds for the next one on every worker.
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
from broker.principal import OWN_ISSUER, Overrides, Principal, principal_key

# A block of a token outlives it by more than clocks may differ.
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
    """What the store knows of a principal and against its credential, in one read. See `store.blocks`."""

    def of_own_user(self, verified: Verified) -> tuple[User | None, Overrides, list[Block]]: ...
    def of_other(self, verified: Verified) -> tuple[Overrides, list[Block]]: ...
    def withdraw_token(self, principal: Principal, token_id: str, until: datetime) -> None: ...


def token_key(issuer: str, token_id: str) -> str:
    """Under which a token is blocked. Two issuers may give out the same id: it counts for its own only."""
    return principal_key(issuer, token_id)


class Admission:
    """From a verified credential to the principal as it stands at this moment, or a refusal."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def withdraw(self, verified: Verified, lifetime: timedelta) -> None:
        """End one token of ours, which its holder signs out with."""
        if verified.principal.issuer == OWN_ISSUER and verified.token_id is not None:
            self._standing.withdraw_token(
                verified.principal, verified.token_id, verified.issued_at + lifetime + _MARGIN
            )

    def admit(self, verified: Verified) -> Principal:
        """What a principal may do can change between two requests, so nothing of it is remembered."""
        if verified.principal.issuer != OWN_ISSUER:
            overrides, blocks = self._standing.of_other(verified)
            refuse_blocked(verified, blocks)
            return verified.principal.with_overrides(overrides)
        user, overrides, blocks = self._standing.of_own_user(verified)
        if user is None:
            raise Refusal("invalid-token", reason="unknown user")
        if user.blocked_at is not None:
            raise Refusal("account-blocked")
        refuse_blocked(verified, blocks)
        if verified.generation != user.generation:
            raise _withdrawn("of an earlier generation")
        return user.principal().with_overrides(overrides)

    def admit_unpresented(self, principal: Principal) -> Principal:
        """For whom a service key asks: it shows no credential of its own, so none of its can be too old."""
        return self.admit(Verified(principal, datetime.now(UTC)))


def refuse_blocked(verified: Verified, blocks: Iterable[Block]) -> None:
    """`account-blocked` if nothing that the caller can do helps, `invalid-token` if signing in again does."""
    kinds = set()
    for block in blocks:
        # Issue times are whole seconds, so that in doubt a token of the same second counts as older.
        before = block.issued_before
        if block.kind is not BlockKind.ISSUED_BEFORE or before is None or verified.issued_at < before:
            kinds.add(block.kind)
    if kinds & {BlockKind.PRINCIPAL, BlockKind.ISSUER}:
        raise Refusal("account-blocked", reason=f"blocked: {', '.join(sorted(kinds))}")
    if kinds:
        raise _withdrawn(f"blocked: {', '.join(sorted(kinds))}")


def _withdrawn(reason: str) -> Refusal:
    return Refusal("invalid-token", "The credential was withdrawn. Sign in again.", reason=reason)
