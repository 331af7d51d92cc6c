"""The broker's own users: the User, the rules for user names, and the protocol of their directory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from broker.principal import OWN_ISSUER, Principal, team_named

# Only lower-case ASCII: "Alice", "alice" and similar letters of another script can never be two accounts.
USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
USERNAME_RULE = "1 to 64 of a-z 0-9 . _ @ + -, starting and ending with a letter or digit"


def canonical_username(text: str) -> str | None:
    """The form in which a user name is stored and looked up. None if the text is not a valid user name."""
    name = text.strip().lower()
    return name if USERNAME.fullmatch(name) else None


@dataclass(frozen=True)
class User:
    username: str
    password_hash: str = field(repr=False)
    plan: str = "default"
    roles: frozenset[str] = frozenset()
    blocked_at: datetime | None = None
    generation: str = ""
    password_changed_at: datetime | None = None
    created_at: datetime | None = None
    team: str | None = None

    def principal(self) -> Principal:
        team = team_named(self.team)
        return Principal(OWN_ISSUER, self.username, self.username, self.plan, self.roles, team=team)


class Directory(Protocol):
    """The storage of users. The store implements it."""

    def find(self, username: str) -> User | None: ...
    def rehash(self, username: str, old_hash: str, new_hash: str) -> None: ...
