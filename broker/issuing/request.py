"""TokenRequest, Reserved and Issued: what the story starts from, and where its two halves end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from broker.errors import LimitState, Refusal
from broker.minting.minter import MintedToken, Minter, TokenPlan
from broker.principal import Principal
from broker.profiles.profile import Profile
from broker.sessions.session import Reservation, SessionTerms
from broker.telemetry import traces

# Enough to open a connection from a phone.
LEAST_SECONDS_TO_CONNECT = 2
_NOTICED_SECONDS = 0.5


@dataclass(frozen=True)
class TokenRequest:
    """The choices of a caller of `POST /token`."""

    profile: str | None = None
    ttl_seconds: int | None = None
    client: Mapping[str, str] = field(default_factory=dict)
    attestation: str | None = field(default=None, repr=False)
    """The unverified proof that a genuine app asks."""
    user_plan: str | None = None
    """The plan of a service key's user, without the overrides of operators. None for any other caller."""

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
            slice_is_fixed=self.ttl_seconds is not None,
            user_plan=self.user_plan,
        )


@dataclass(frozen=True)
class Reserved:
    """Everything that is known before the token is minted."""

    principal: Principal
    profile: Profile
    token_plan: TokenPlan
    reservation: Reservation
    rates: Sequence[LimitState]
    ready: MintedToken | None = field(default=None, kw_only=True)
    """The token, if it was minted before it was asked for."""
    known_since: float = field(default_factory=time.monotonic, kw_only=True)
    """When the reservation was known here, by the monotonic clock."""

    def seconds_left(self, until: datetime) -> int:
        """From now to `until`, a time by the store's clock. Less than half a second counts as no time."""
        passed = time.monotonic() - self.known_since
        whole = (until - self.reservation.reserved_at).total_seconds()
        return max(0, int(whole - passed if passed >= _NOTICED_SECONDS else whole))

    def token_of(self, minter: Minter, handle: str | None) -> MintedToken:
        """The token that was minted ahead, or a new one with the times of the reservation."""
        traces.note({"broker.session_id": self.reservation.session_id})
        times = vars(self.reservation.times)
        return self.ready or minter.mint(self.profile, self.token_plan, **times, handle=handle)

    def check_time_to_connect(self) -> None:
        """Refuses `upstream-timeout` if Google took so long that no client could connect with the token."""
        if self.seconds_left(self.reservation.connect_by) < LEAST_SECONDS_TO_CONNECT:
            raise Refusal("upstream-timeout", reason="too little time is left to connect")


@dataclass(frozen=True)
class Issued(Reserved):
    """The same with its token, which may be delivered."""

    token: MintedToken
