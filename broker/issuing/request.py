"""TokenRequest, Reserved and Issued: what the story starts from, and where its two halves end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.errors import LimitState, Refusal
from broker.minting.minter import MintedToken, TokenPlan
from broker.principal import Principal
from broker.profiles.profile import Profile
from broker.sessions.session import Reservation, SessionTerms


@dataclass(frozen=True)
class TokenRequest:
    """The choices of a caller of `POST /token`."""

    profile: str | None = None
    ttl_seconds: int | None = None
    client: Mapping[str, str] = field(default_factory=dict)
    attestation: str | None = field(default=None, repr=False)
    """The unverified proof that a genuine app asks."""

    def check_lifetime(self, profile: Profile) -> None:
        if self.ttl_seconds is not None and self.ttl_seconds > profile.slice_seconds:
            raise Refusal(
                "ttl-too-long",
                f"This profile's tokens live for at most {profile.slice_seconds} s.",
                extensions={"fields": [{"field": "ttl_seconds", "problem": "too long"}]},
            )

    def terms(self, profile: Profile, model: str, session_seconds: int) -> SessionTerms:
        return SessionTerms(
            profile=profile.name,
            model=model,
            session_seconds=session_seconds,
            slice_seconds=profile.slice_seconds if self.ttl_seconds is None else self.ttl_seconds,
            connect_within_seconds=profile.connect_within_seconds,
            client=self.client,
        )


@dataclass(frozen=True)
class Reserved:
    """Everything that is known before the token is minted."""

    principal: Principal
    profile: Profile
    token_plan: TokenPlan
    reservation: Reservation
    rates: Sequence[LimitState]


@dataclass(frozen=True)
class Issued(Reserved):
    """The same with its token, which may be delivered."""

    token: MintedToken
