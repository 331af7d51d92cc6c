"""Suspension: an operator's stop for new tokens, of all profiles or of some. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from broker.errors import Refusal

RETRY_SECONDS = 30


@dataclass(frozen=True)
class Suspension:
    """`profiles` None stands for all of them. With `renewals`, open sessions get no further token either."""

    reason: str
    profiles: tuple[str, ...] | None
    renewals: bool
    since: datetime
    by: str
    """The operator, as the audit trail names actors."""

    def covers(self, profile: str, *, renewal: bool) -> bool:
        named = self.profiles is None or profile in self.profiles
        return named and (self.renewals or not renewal)


class Suspensions(Protocol):
    """`store.ledger.suspension` implements it."""

    def current(self) -> Suspension | None:
        """The suspension that is in force, or None."""

    def set(self, reason: str, profiles: Sequence[str] | None, *, renewals: bool, actor: str) -> Suspension:
        """Suspend, in place of the current suspension if there is one. Leaves an audit row."""

    def lift(self, *, actor: str) -> bool:
        """End the suspension. Returns whether there was one; leaves an audit row if so."""


def check(suspensions: Suspensions, profile: str, *, renewal: bool) -> None:
    """Refuses `minting-suspended` if the suspension in force covers this request."""
    if refused := refusal(suspensions.current(), profile, renewal=renewal):
        raise refused


def is_suspended(suspensions: Suspensions, profile: str) -> bool:
    """Whether new sessions of this profile are suspended."""
    return refusal(suspensions.current(), profile, renewal=False) is not None


def refusal(suspension: Suspension | None, profile: str, *, renewal: bool) -> Refusal | None:
    """`minting-suspended` with the operator's reason, or None if the request is not covered."""
    if suspension is None or not suspension.covers(profile, renewal=renewal):
        return None
    return Refusal("minting-suspended", suspension.reason, retry_after_seconds=RETRY_SECONDS)
