"""THE STORY of `POST /token`: what applies -> count -> profile -> plan -> reserve -> mint -> confirm.

Owns the order of the steps and what each failure leaves behind. When it begins, the caller is known and not
blocked, and the body has been read. `http/tokens.py` speaks HTTP; `again.py` answers repeated requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from broker.errors import Refusal
from broker.identity.issuers.attestation import Attestations
from broker.issuing.owners import owner_of
from broker.issuing.request import Issued, Reserved, TokenRequest
from broker.issuing.warm import FirstReservations
from broker.limits.limiter import Rates
from broker.limits.policy import Allowance, Policy
from broker.minting.minter import Minter
from broker.principal import Principal
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile
from broker.sessions import suspension
from broker.sessions.refusals import recorded_refusals, store_is_silent
from broker.sessions.session import Ledger, Reservations
from broker.sessions.suspension import Suspensions
from broker.telemetry.metrics import TOKENS


@dataclass(frozen=True, kw_only=True)
class TokenIssuer:
    policy: Policy
    rates: Rates
    catalog: Catalog
    attestations: Attestations
    minter: Minter
    first: FirstReservations
    ledger: Ledger
    suspensions: Suspensions
    admit: Callable[[Principal], Principal]
    """Looks up users of service keys and teams: refuses blocked ones, adds overrides."""

    def open_session(
        self,
        principal: Principal,
        request: TokenRequest,
        also: Sequence[Allowance] = (),
        reservations: Reservations | None = None,
    ) -> Issued:
        """A new session and its first token. `also` is counted besides what the principal is charged."""
        ledger = reservations or self.ledger
        with self._one_transaction(request), recorded_refusals(ledger, principal, "token"):
            suspension.check(self.suspensions, request.profile or self.catalog.default_name, renewal=False)
            self.first.check_upstream(self.minter, request.profile or self.catalog.default_name)
            count = self.rates.left_of if ledger.begin() else self.rates.spend_all
            principal = self.admit(principal) if principal.actor else principal
            limits = self.policy.for_principal(principal)
            rates = count([*also, *limits.allowances("token")])
            profile = self.profile(request.profile, principal, request.attestation)
            request.check_lifetime(profile)
            token_plan = self.minter.token_plan(profile)
            terms = request.terms(profile, token_plan.model, limits.session_seconds)
            reservation, ready = self.first.reserve(ledger, principal, token_plan, terms, limits.quotas)
        return self._issue(ledger, Reserved(principal, profile, token_plan, reservation, rates, ready=ready))

    def next_token(
        self, requester: Principal, session_id: str, handle: str | None, attestation: str | None = None
    ) -> Issued:
        """The next token of an open session, to renew or to resume it. `requester` owns or opened it."""
        # It has a rate of its own, so callers who have used up the day's new sessions can still go on.
        with recorded_refusals(self.ledger, requester, "next-token"):
            session = self.ledger.find(requester, session_id)
            principal = owner_of(session, requester, self.admit)
        with recorded_refusals(self.ledger, principal, "next-token"):
            suspension.check(self.suspensions, session.profile, renewal=True)
            self.minter.check_upstream()
            limits = self.policy.for_principal(principal)
            rates = self.rates.spend_all(limits.allowances("next-token"))
            profile = self.profile(session.profile, principal, attestation)
            token_plan = self.minter.token_plan(profile, handle, session.model)
            reservation = self.ledger.reserve_next(
                principal, session_id, profile.slice_seconds, profile.connect_within_seconds, limits.quotas
            )
        return self._issue(self.ledger, Reserved(principal, profile, token_plan, reservation, rates), handle)

    def profile(self, name: str | None, principal: Principal, attestation: str | None) -> Profile:
        """The named profile, if this principal may use it and this app may."""
        profile = self.catalog.admit(name, principal)
        self.attestations.check(profile, attestation)
        return profile

    def _one_transaction(self, request: TokenRequest) -> AbstractContextManager[None]:
        """One transaction from the count to the reservation, if no one else is asked in between.

        Otherwise each step has its own: nothing is locked while Redis, Google or an issuer answers.
        """
        profile = self.catalog.find(request.profile)
        asks = profile is not None and (profile.attestation != "off" or not self.minter.is_ready(profile))
        return self.ledger.together() if self.rates.in_database and not asks else nullcontext()

    def _issue(self, ledger: Reservations, reserved: Reserved, handle: str | None = None) -> Issued:
        """Mint and confirm. A reservation ends as a delivered token, or with nothing charged."""
        reservation, started = reserved.reservation, time.monotonic()
        try:
            token = reserved.token_of(self.minter, handle)
            mint_ms = round((time.monotonic() - started) * 1000)
            reserved.check_time_to_connect()
            ledger.confirm(reserved.principal, reservation, token, mint_ms)
        except BaseException as fault:
            code = fault.code if isinstance(fault, Refusal) else "internal"
            if store_is_silent(code, started):
                raise  # the reservation expires by itself
            ledger.void(reservation, code)
            # Apart: an audit trail that cannot be written must not keep the reservation.
            ledger.refused(reserved.principal, "token", code, reservation.session_id)
            raise
        TOKENS.labels(reserved.profile.name).inc()
        return Issued(**vars(reserved), token=token)
