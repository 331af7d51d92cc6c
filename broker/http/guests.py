"""Guests over HTTP: who may become one, and the allowance that a guest's address is charged."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Request

from broker.errors import Refusal
from broker.http import origins
from broker.http.client_address import UNKNOWN, Network, client_address, is_from_this_machine
from broker.http.cookies import forget_sign_in
from broker.identity.bearer import Verified
from broker.identity.guests import Guests
from broker.limits.policy import Allowance
from broker.parts import parts
from broker.principal import Principal


def guest_access() -> GuestAccess | None:
    """None where the settings do not enable guests."""
    guests = parts().guests
    return None if guests is None else GuestAccess(guests, parts().settings.trusted_proxies)


class GuestAccess:
    def __init__(self, guests: Guests, trusted_proxies: Sequence[Network]) -> None:
        self._guests = guests
        self._trusted_proxies = trusted_proxies

    def is_open_to(self, request: Request) -> bool:
        """For a browser on our own page; from other machines only if the operator allows it."""
        return origins.is_same_origin(request) and self.reaches(request)

    def welcome(self, request: Request) -> tuple[str, Principal]:
        return self._guests.welcome(self._address(request))

    def verify(self, request: Request, unverified_cookie: str, *, anywhere: bool) -> Verified:
        """Delete a bad cookie, so that the page can start again. It is not replaced in the same response.

        `anywhere` also accepts a cookie that another address got.
        """
        try:
            if not self.reaches(request):
                raise Refusal("invalid-token", reason="guests are for this machine only")
            return self._guests.verify(unverified_cookie, self._address(request), anywhere=anywhere)
        except Refusal:
            forget_sign_in()
            raise

    def charged(self, request: Request) -> tuple[Allowance, ...]:
        """New sessions of all guests at one address share it: a guest could delete its cookie each time."""
        rate = self._guests.spec.address_rate
        return (Allowance(rate, "guests", self._address(request), "guests of this address"),)

    def reaches(self, request: Request) -> bool:
        """Whether guests may come from the address of this request."""
        if self._address(request) == UNKNOWN:
            return False
        return self._guests.spec.allow_network or is_from_this_machine(request)

    def _address(self, request: Request) -> str:
        return client_address(request, self._trusted_proxies)
