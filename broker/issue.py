"""THE STORY: principal + profile -> count -> reserve -> mint -> confirm -> answer.

Owns the order of the steps and what each failure leaves behind. By the time it is called the caller is
known, not blocked, and its body has been read. Leaves HTTP to `http/tokens.py`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from broker.errors import Refusal
from broker.identity.issuers.attestation import Attestations
from broker.identity.principal import Principal, end_user
from broker.limits.limiter import RateLeft, Rates
from broker.limits.policy import Allowance, Policy
from broker.minting.minter import Grant, MintedToken, Minter
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile
from broker.sessions.session import Lease, Ledger, Terms


@dataclass(frozen=True)
class Ask:
    """What the caller of POST /token may choose."""

    profile: str | None = None
    ttl_seconds: int | None = None
    client: Mapping[str, str] = field(default_factory=dict)
    attestation: str | None = field(default=None, repr=False)
    """What shall show that a genuine app asks; unverified."""


@dataclass(frozen=True)
class Issued:
    principal: Principal
    token: MintedToken
    grant: Grant
    profile: Profile
    lease: Lease
    rates: Sequence[RateLeft]


class TokenIssuer:
    def __init__(
        self,
        *,
        policy: Policy,
        rates: Rates,
        catalog: Catalog,
        minter: Minter,
        ledger: Ledger,
        admit: Callable[[Principal], Principal],
        attestations: Attestations,
    ) -> None:
        self._policy = policy
        self._rates = rates
        self._catalog = catalog
        self._minter = minter
        self._ledger = ledger
        self._admit = admit  # the users of service keys bring no credential: they are looked up here
        self._attestations = attestations

    def open_session(self, principal: Principal, ask: Ask, also: Sequence[Allowance] = ()) -> Issued:
        """A new session and its first token. `also` is used up besides the principal's own allowance."""
        try:
            if principal.actor is not None:
                principal = self._admit(principal)
            rates = self._rates.spend_all([*also, *self._policy.allowances(principal, "token")])
            profile = self._catalog.admit(ask.profile, principal)
            self._attestations.check(profile, ask.attestation)
            slice_seconds = _slice_seconds(profile, ask.ttl_seconds)
            grant = self._minter.grant(profile)
            terms = Terms(
                profile=profile.name,
                model=grant.model,
                session_seconds=self._policy.session_seconds(principal),
                slice_seconds=slice_seconds,
                connect_within_seconds=profile.connect_within_seconds,
                client=ask.client,
            )
            lease = self._ledger.reserve(principal, terms, self._policy.shares(principal))
        except Refusal as refusal:
            self._record_and_refuse(principal, "token", refusal)
        token = self._mint_and_confirm(principal, profile, grant, lease, None)
        return Issued(principal, token, grant, profile, lease, rates)

    def next_token(
        self, asker: Principal, session_id: str, handle: str | None, attestation: str | None = None
    ) -> Issued:
        """The next token of an open session, to renew or to resume it.

        It has an allowance of its own, as large as that for new sessions: somebody who has used up the day's
        sessions must still be able to go on with the one that is open. `asker` is its owner, or the service
        key that opened it for its owner.
        """
        principal = asker
        try:
            session = self._ledger.find(asker, session_id)
            if session.on_behalf_of is not None:
                principal = self._admit(end_user(asker, session.on_behalf_of))
            rates = self._rates.spend_all(self._policy.allowances(principal, "next-token"))
            profile = self._catalog.admit(session.profile, principal)
            self._attestations.check(profile, attestation)
            grant = self._minter.grant(profile, handle, session.model)
            lease = self._ledger.reserve_next(
                principal,
                session_id,
                profile.slice_seconds,
                profile.connect_within_seconds,
                self._policy.shares(principal),
            )
        except Refusal as refusal:
            self._record_and_refuse(principal, "next-token", refusal)
        token = self._mint_and_confirm(principal, profile, grant, lease, handle)
        return Issued(principal, token, grant, profile, lease, rates)

    def _mint_and_confirm(
        self, principal: Principal, profile: Profile, grant: Grant, lease: Lease, handle: str | None
    ) -> MintedToken:
        """From the reservation on there are two ends only: a confirmed token, or nothing charged."""
        started = time.monotonic()
        try:
            token = self._minter.mint(
                profile, grant, expires_at=lease.expires_at, connect_by=lease.connect_by, handle=handle
            )
            mint_ms = round((time.monotonic() - started) * 1000)
            self._ledger.confirm(principal, lease, hashlib.sha256(token.name.encode()).hexdigest(), mint_ms)
        except BaseException as fault:
            self._ledger.void(principal, lease, fault.code if isinstance(fault, Refusal) else "internal")
            raise
        return token

    def _record_and_refuse(self, principal: Principal, action: str, refusal: Refusal) -> NoReturn:
        # A store that cannot be reached cannot be written to either: the first fault is the one to tell.
        if refusal.code not in {"store-unavailable", "audit-unavailable"}:
            self._ledger.refused(principal, action, refusal.code)
        raise refusal


def _slice_seconds(profile: Profile, ttl_seconds: int | None) -> int:
    if ttl_seconds is None:
        return profile.slice_seconds
    if ttl_seconds > profile.slice_seconds:
        raise Refusal(
            "ttl-too-long",
            f"This profile's tokens live for {profile.slice_seconds} s at most.",
            extensions={"fields": [{"field": "ttl_seconds", "problem": "too long"}]},
        )
    return ttl_seconds
