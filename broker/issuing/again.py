"""The answer to a request that has opened a session already, as it reads now. Nothing is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from broker.issuing.issue import TokenIssuer
from broker.issuing.request import Issued, TokenRequest
from broker.minting.minter import MintedToken
from broker.principal import Principal
from broker.sessions.refusals import recorded_refusals
from broker.sessions.session import Reservation

# With less time left to connect, a token is of no use to a caller who asks again.
_TO_CONNECT = timedelta(seconds=5)


def answer_again(
    issuer: TokenIssuer,
    principal: Principal,
    request: TokenRequest,
    reservation: Reservation,
    *,
    profile: str,
    model: str,
    read_token: Callable[[], MintedToken],
) -> Issued:
    """Answers with the token of `reservation`, which `read_token` reads.

    Everything that the caller may have lost in the meantime is checked: blocks, the profile, the app.
    `reservation.reserved_at` is now.
    """
    ledger, known_since = issuer.ledger, time.monotonic()
    if reservation.connect_by - reservation.reserved_at < _TO_CONNECT:
        # The profile leaves little time to connect: the session is the same, the token its next one.
        return issuer.next_token(principal.requester, reservation.session_id, None, request.attestation)
    with recorded_refusals(ledger, principal, "token"):
        if principal.actor is not None:
            principal = issuer.admit(principal)
        allowed = issuer.profile(profile, principal, request.attestation)
        token_plan = issuer.minter.token_plan(allowed, None, model)
        token = read_token()
    limits = issuer.policy.for_principal(principal)
    rates = issuer.rates.left_of(limits.allowances("token"))
    usages, _ = ledger.usages(limits.quotas)
    ledger.repeated(principal, reservation.session_id, token)
    reservation = replace(reservation, usage=usages[-1])
    return Issued(principal, allowed, token_plan, reservation, rates, token, known_since=known_since)
