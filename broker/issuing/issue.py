"""THE STORY: principal + profile -> count -> reserve -> mint -> confirm -> answer.

Owns the order of the steps and what each failure leaves behind. By the time it is called the caller is
known, not blocked, and its body has been read. Leaves HTTP to `http/tokens.py`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NoReturn

from broker.errors import Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.record import Claim, Claims, IdempotencyKey, StoredResponse
from broker.idempotency.replay import Repeats
from broker.identity.issuers.attestation import Attestations
from broker.limits.limiter import RateLeft, Rates
from broker.limits.policy import Allowance, Policy
from broker.minting.minter import MintedToken, Minter, TokenPlan
from broker.principal import Principal, end_user
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile
from broker.sessions.session import Ledger, Reservation, SessionTerms
from broker.telemetry.metrics import TOKENS

# A token with less time left to connect with it is of no use to somebody who asks again.
_TO_CONNECT = timedelta(seconds=5)


@dataclass(frozen=True)
class TokenRequest:
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
    token_plan: TokenPlan
    profile: Profile
    reservation: Reservation
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
        claims: Claims,
        seal: TokenCipher,
        admit: Callable[[Principal], Principal],
        attestations: Attestations,
        max_waiting: int,
    ) -> None:
        self._policy = policy
        self._rates = rates
        self._catalog = catalog
        self._minter = minter
        self._ledger = ledger
        self._claims = claims
        self._seal = seal
        self._admit = admit  # the users of service keys bring no credential: they are looked up here
        self._attestations = attestations
        self._repeats = Repeats(max_waiting)

    def get_ready(self) -> None:
        """Ask now what the first request would have to ask. Nobody waits for it, so no failure is told."""
        for profile in self._catalog.all():
            with suppress(Refusal):
                self._minter.token_plan(profile)

    def open_session(
        self,
        principal: Principal,
        ask: TokenRequest,
        also: Sequence[Allowance] = (),
        once: IdempotencyKey | None = None,
    ) -> Issued:
        """A new session and its first token. `also` is used up besides the principal's own allowance.

        With `once`, a repeat of the request gets the first one's session and token, and nothing is counted.
        """
        if once is None:
            return self._open(principal, ask, also, None)
        return self._repeats.answer(
            lambda: self._recall(principal, once),
            lambda: self._open(principal, ask, also, once),
            lambda delivered: self._again(principal, ask, once, delivered),
        )

    def _open(
        self, principal: Principal, ask: TokenRequest, also: Sequence[Allowance], once: IdempotencyKey | None
    ) -> Issued:
        claim = None
        with self._in_one_go(ask.profile):
            try:
                claim = self._claims.claim(once) if once else None
                if principal.actor is not None:
                    principal = self._admit(principal)
                allowances = [*also, *self._policy.allowances(principal, "token")]
                # One that died after it was counted is not counted again.
                count = self._rates.left_of if claim and claim.paid else self._rates.spend_all
                rates = count(allowances)
                profile = self._catalog.admit(ask.profile, principal)
                self._attestations.check(profile, ask.attestation)
                slice_seconds = _slice_seconds(profile, ask.ttl_seconds)
                token_plan = self._minter.token_plan(profile)
                terms = SessionTerms(
                    profile=profile.name,
                    model=token_plan.model,
                    session_seconds=self._policy.session_seconds(principal),
                    slice_seconds=slice_seconds,
                    connect_within_seconds=profile.connect_within_seconds,
                    client=ask.client,
                )
                reservation = self._ledger.reserve(principal, terms, self._policy.quotas(principal), claim)
            except Refusal as refusal:
                self._record_and_refuse(principal, "token", refusal, claim)
        token = self._mint_and_confirm(principal, profile, token_plan, reservation, once=once)
        return Issued(principal, token, token_plan, profile, reservation, rates)

    def _recall(self, principal: Principal, once: IdempotencyKey) -> StoredResponse | None:
        try:
            return self._claims.recall(once)
        except Refusal as refusal:
            self._record_and_refuse(principal, "token", refusal)

    def _again(
        self, principal: Principal, ask: TokenRequest, once: IdempotencyKey, delivered: StoredResponse
    ) -> Issued:
        """The first answer, as it reads now. Whatever may have been taken from the caller since is asked."""
        reservation = delivered.reservation
        if reservation.connect_by - reservation.reserved_at < _TO_CONNECT:
            # Of a profile with little time to connect: the session is the same, the token is its next one.
            return self.next_token(principal.requester, reservation.session_id, None, ask.attestation)
        try:
            if principal.actor is not None:
                principal = self._admit(principal)
            profile = self._catalog.admit(delivered.profile, principal)
            self._attestations.check(profile, ask.attestation)
            token_plan = self._minter.token_plan(profile, None, delivered.model)
            token = self._seal.open(once, delivered.sealed)
        except Refusal as refusal:
            self._record_and_refuse(principal, "token", refusal)
        rates = self._rates.left_of(self._policy.allowances(principal, "token"))
        usages, _ = self._ledger.usages(self._policy.quotas(principal))
        self._ledger.repeated(principal, reservation.session_id, _sha256(token))
        return Issued(principal, token, token_plan, profile, replace(reservation, usage=usages[-1]), rates)

    def _in_one_go(self, name: str | None) -> AbstractContextManager[None]:
        """One transaction from the count to the reservation, if nobody else is asked anything in between.

        Otherwise each has its own: nothing is locked while Redis, Google or an issuer is waited for.
        """
        profile = self._catalog.find(name)
        asks = profile is not None and (profile.attestation != "off" or not self._minter.is_ready(profile))
        return self._ledger.together() if self._rates.in_database and not asks else nullcontext()

    def next_token(
        self, requester: Principal, session_id: str, handle: str | None, attestation: str | None = None
    ) -> Issued:
        """The next token of an open session, to renew or to resume it.

        It has an allowance of its own, as large as that for new sessions: somebody who has used up the day's
        sessions must still be able to go on with the one that is open. `asker` is its owner, or the service
        key that opened it for its owner.
        """
        principal = requester
        try:
            session = self._ledger.find(requester, session_id)
            if session.on_behalf_of is not None:
                principal = self._admit(end_user(requester, session.on_behalf_of))
            rates = self._rates.spend_all(self._policy.allowances(principal, "next-token"))
            profile = self._catalog.admit(session.profile, principal)
            self._attestations.check(profile, attestation)
            token_plan = self._minter.token_plan(profile, handle, session.model)
            reservation = self._ledger.reserve_next(
                principal,
                session_id,
                profile.slice_seconds,
                profile.connect_within_seconds,
                self._policy.quotas(principal),
            )
        except Refusal as refusal:
            self._record_and_refuse(principal, "next-token", refusal)
        token = self._mint_and_confirm(principal, profile, token_plan, reservation, handle=handle)
        return Issued(principal, token, token_plan, profile, reservation, rates)

    def _mint_and_confirm(
        self,
        principal: Principal,
        profile: Profile,
        token_plan: TokenPlan,
        reservation: Reservation,
        *,
        handle: str | None = None,
        once: IdempotencyKey | None = None,
    ) -> MintedToken:
        """From the reservation on there are two ends only: a confirmed token, or nothing charged."""
        started = time.monotonic()
        try:
            token = self._minter.mint(
                profile,
                token_plan,
                expires_at=reservation.expires_at,
                connect_by=reservation.connect_by,
                handle=handle,
            )
            mint_ms = round((time.monotonic() - started) * 1000)
            sealed = self._seal.close(once, token) if once else None
            self._ledger.confirm(principal, reservation, _sha256(token), mint_ms, sealed)
        except BaseException as fault:
            self._ledger.void(
                principal, reservation, fault.code if isinstance(fault, Refusal) else "internal"
            )
            raise
        TOKENS.labels(profile.name).inc()
        return token

    def _record_and_refuse(
        self, principal: Principal, action: str, refusal: Refusal, claim: Claim | None = None
    ) -> NoReturn:
        # A store that cannot be reached cannot be written to either: the first fault is the one to tell.
        if refusal.code not in {"store-unavailable", "audit-unavailable"}:
            if claim is not None:
                self._claims.free(claim)
            self._ledger.refused(principal, action, refusal.code)
        raise refusal


def _sha256(token: MintedToken) -> str:
    return hashlib.sha256(token.name.encode()).hexdigest()


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
