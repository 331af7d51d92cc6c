"""Minter: the protocol between issuing a token and the service that mints it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from broker.errors import Refusal

if TYPE_CHECKING:  # the store needs this module, but not the library that parses profiles
    from broker.profiles.profile import Profile


@dataclass(frozen=True)
class MintedToken:
    """The credential itself. It leaves the broker once, in the response to its own request."""

    name: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """The only part of the token that may be stored."""
        return hashlib.sha256(self.name.encode()).hexdigest()


@dataclass(frozen=True)
class TokenTimes:
    """Until when a client may connect with a token, and until when it may talk. By the store's clock."""

    connect_by: datetime
    expires_at: datetime


@dataclass(frozen=True)
class TokenPlan:
    """The terms of one token, known before it is minted."""

    model: str
    """`models/…`: the first model of the profile that Google offers."""
    setup: Mapping[str, Any]
    """The first frame for the client to send, without the fields that the token locks."""
    locked: tuple[str, ...]
    """The wire names of the setup fields that the client cannot change."""


class Minter(Protocol):
    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        """Resolves the model; may raise `Refusal`. `handle` resumes an earlier connection.

        A session keeps its `model`, because Google resumes a session only with the same model.
        """

    def is_ready(self, profile: Profile) -> bool:
        """Whether `token_plan` can answer without a call to Google."""

    def offers_none(self, profile: Profile) -> bool:
        """Whether Google is known to offer none of the profile's models. Makes no call to Google."""

    def check_upstream(self) -> None:
        """Raises `Refusal` if `mint` would refuse without a call to Google. Makes no call to Google."""

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
    ) -> MintedToken:
        """Mints one token for one connection. Raises `Refusal` on any failure."""

    def mint_ahead(self, profile: Profile, token_plan: TokenPlan, times: TokenTimes) -> MintedToken:
        """A token that no caller waits for. It takes no place from callers, and does not test whether Google
        has recovered.
        """
        return self.mint(profile, token_plan, **vars(times))


def preload_models(minter: Minter, profiles: Iterable[Profile]) -> None:
    """Looks up the models now, so that the first request need not wait. It tries again after a failure."""
    for profile in profiles:
        with suppress(Refusal):
            minter.token_plan(profile)
