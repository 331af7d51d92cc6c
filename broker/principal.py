"""Principal: the verified requester. A leaf that anyone may import."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

OWN_ISSUER = "live-broker"
KEY_ISSUER = "live-broker:key"
GUEST_ISSUER = "live-broker:guest"
TEAM_ISSUER = "live-broker:team"
"""Of teams. They have limits and sums as principals do, but nobody signs in as one."""
OPERATOR = "operator"
"""The only role."""
TEAM_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._:@+-]{0,63}")
TEAM_NAME_RULE = "1 to 64 of A-Z a-z 0-9 . _ : @ + -, starting with a letter or digit"
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_readable(text: str) -> bool:
    """Whether it has no control character and no lone surrogate.

    Databases and logs may fail on those, and the controls that turn text around would show another name. All
    other characters count as text: names need the joiners and spaces that `str.isprintable` excludes.
    """
    return _UNREADABLE.search(text) is None


def principal_key(issuer: str, subject: str) -> str:
    """The fixed-length key under which limits and sessions of (issuer, subject) are kept.

    The length comes first, so that no other split of the same characters gives the same key.
    """
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()[:40]


@dataclass(frozen=True)
class Overrides:
    """Limits that operators have set for one principal; None: its plan decides. `plan` replaces its own."""

    plan: str | None = None
    rate: str | None = None
    sessions: int | None = None
    minutes_per_day: int | None = None
    session_minutes: int | None = None
    budget_per_day: int | None = None
    """In millionths of the currency, as `budget_per_month`."""
    budget_per_month: int | None = None
    minutes_per_month: int | None = None


NO_OVERRIDES = Overrides()


@dataclass(frozen=True)
class Principal:
    """A verified requester. Its identity is the exact pair (issuer, subject); the rest may change later."""

    issuer: str
    subject: str
    name: str
    plan: str
    roles: frozenset[str] = frozenset()
    profiles: frozenset[str] | None = None
    """The profiles of its plan that it may use; None for all of them."""
    actor: Principal | None = None
    """The service key that acts for it."""
    overrides: Overrides = NO_OVERRIDES
    team: Principal | None = None
    """The team to which it belongs; see `team_named`."""

    @cached_property
    def key(self) -> str:
        return principal_key(self.issuer, self.subject)

    @property
    def requester(self) -> Principal:
        """The sender of the request, whose plan chooses the profiles: the acting key, or else itself."""
        return self.actor or self

    @property
    def charged(self) -> tuple[Principal, ...]:
        """Everyone for whom its sessions count, in the order of their locks: team, service key, itself."""
        return tuple(one for one in (self.team, self.actor, self) if one is not None)

    def with_overrides(self, overrides: Overrides, of_team: Overrides = NO_OVERRIDES) -> Principal:
        """The same principal with the overrides that operators have set for it and for its team."""
        team = self.team and replace(self.team, overrides=of_team)
        return replace(self, plan=overrides.plan or self.plan, overrides=overrides, team=team)


@overload
def team_named(name: str) -> Principal: ...
@overload
def team_named(name: str | None) -> Principal | None: ...
def team_named(name: str | None) -> Principal | None:
    """The team as a principal. None for no name."""
    return None if name is None else Principal(TEAM_ISSUER, name, name, "")


def end_user(key: Principal, subject: str, plan: str = "default") -> Principal:
    """A user of the backend that holds the service key `key`. Two keys never share a user.

    `plan` is the user's: the key's own plan is for the backend as a whole. It belongs to the key's team.
    """
    return Principal(f"{KEY_ISSUER}:{key.subject}", subject, subject, plan, actor=key, team=key.team)
