"""Principal: who asks, once verified. A leaf that anyone may import."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

OWN_ISSUER = "live-broker"


def principal_key(issuer: str, subject: str) -> str:
    """The fixed-length key under which limits and sessions of (issuer, subject) are kept.

    The length goes in first, so that no other split of the same characters gives the same key.
    """
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()[:40]


@dataclass(frozen=True)
class Principal:
    """A verified asker. Identity is the exact pair (issuer, subject); the rest may change later."""

    issuer: str
    subject: str
    name: str
    plan: str
    roles: frozenset[str] = frozenset()

    @cached_property
    def key(self) -> str:
        return principal_key(self.issuer, self.subject)
