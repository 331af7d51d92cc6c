"""How the first token of a session is reserved if its profile's tokens are minted ahead.

A warm token has the times that it was minted with. The ledger reserves exactly these, if they suit the
caller: the caller is charged until the token ends, and the place is kept until it can no longer connect.
Otherwise the ledger reserves other times, and a token is minted for them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from broker.limits.quota import Quotas
from broker.minting.minter import MintedToken, Minter, TokenPlan
from broker.minting.warm import WarmTokens
from broker.principal import Principal
from broker.profiles.profile import WARM_WAIT_SECONDS, Profile
from broker.sessions.session import Reservation, Reservations, SessionTerms


class FirstReservations:
    def __init__(self, warm_tokens: WarmTokens) -> None:
        self.warm_tokens = warm_tokens

    def check_upstream(self, minter: Minter, profile: str) -> None:
        """As `Minter.check_upstream`, unless there is a token that may suit the next caller.

        Call it before anything is counted.
        """
        shelf = self.warm_tokens.shelf(profile)
        if shelf is None or not shelf.has_token:
            minter.check_upstream()

    def reserve(
        self,
        ledger: Reservations,
        principal: Principal,
        token_plan: TokenPlan,
        terms: SessionTerms,
        quotas: Quotas,
    ) -> tuple[Reservation, MintedToken | None]:
        """The reservation, and its token if there is one already. Refuses as `Reservations.reserve`."""
        shelf = self.warm_tokens.shelf(terms.profile)
        if shelf is None or terms.slice_is_fixed:
            return ledger.reserve(principal, terms, quotas), None
        warm = shelf.lend(token_plan)
        terms = replace(terms, ready=None if warm is None else warm.times)
        try:
            reservation = ledger.reserve(principal, terms, quotas)
        except BaseException:
            if warm is not None:
                shelf.put_back(warm)  # no reservation names it
            raise
        token = None
        if warm is not None and warm.times == reservation.times:
            shelf.deliver()
            token = warm.token
        else:
            shelf.missed()
            if warm is not None:
                shelf.put_back(warm)
        # Nothing is minted ahead for callers whom it does not suit.
        if token is not None or (warm is None and _would_suit(reservation, shelf.profile)):
            self.warm_tokens.want(shelf, token_plan, reservation.reserved_at)
        return reservation, token


def _would_suit(reservation: Reservation, profile: Profile) -> bool:
    """Whether this caller, who got a full token, could as well have got one that lives a little longer."""
    life = timedelta(seconds=profile.slice_seconds)
    longest = life + timedelta(seconds=WARM_WAIT_SECONDS)
    return (
        reservation.expires_at - reservation.reserved_at >= life
        and reservation.ends_at - reservation.reserved_at >= longest
        and reservation.usage.left_to_forgive >= longest.total_seconds()
    )
