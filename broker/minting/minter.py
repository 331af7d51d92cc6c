"""Minter: the protocol between the story of a token and whoever mints it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from broker.errors import Refusal
from broker.profiles.profile import Profile


@dataclass(frozen=True)
class MintedToken:
    """The credential itself. It leaves the broker once, in its own answer."""

    name: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """All that may be stored of it."""
        return hashlib.sha256(self.name.encode()).hexdigest()


@dataclass(frozen=True)
class TokenPlan:
    """What one token will allow, known before it is minted."""

    model: str
    """`models/…`: the first of the profile's models that Google offers."""
    setup: Mapping[str, Any]
    """The first frame for the client to send; what is locked in the token is not in it."""
    locked: tuple[str, ...]
    """The setup fields that the client cannot change, by their wire names."""


class Minter(Protocol):
    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        """Resolves the model; may raise `Refusal`. `handle` resumes an earlier connection.

        A session keeps its `model`: Google resumes with no other, whatever it lists by now.
        """

    def is_ready(self, profile: Profile) -> bool:
        """Whether `grant` would answer without asking anybody."""

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
    ) -> MintedToken:
        """One token for one connection; `Refusal` on any failure."""


def preload_models(minter: Minter, profiles: Iterable[Profile]) -> None:
    """Look up now what the first request would wait for. A failure is ignored: that request tries again."""
    for profile in profiles:
        with suppress(Refusal):
            minter.token_plan(profile)
