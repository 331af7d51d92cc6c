"""Guests over HTTP: who may become one, and the allowance that a guest's address is charged."""

from __future__ import annotations

from dataclasses import replace

from flask import Request, request

from broker.errors import Refusal
from broker.http import origins
from broker.http.client_address import client_address, is_from_this_machine
from broker.http.cookies import forget_sign_in
from broker.identity.bearer import Verified
from broker.identity.guests import LIFETIME, Guests, is_guest_cookie
from broker.limits.policy import Allowance
from broker.net.proxies import UNKNOWN
from broker.parts import parts
from broker.principal import Principal


def guest_access() -> GuestAccess | None:
    """None where the settings do not enable guests."""
    guests = parts().guests
    return None if guests is None else GuestAccess(guests)


class GuestAccess:
    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def is_open_to(self, request: Request) -> bool:
        """For a browser on our own page; from other machines only if the operator allows it."""
        return origins.is_same_origin(request) and self.reaches(request)

    def welcome(self, request: Request) -> tuple[str, Principal]:
        return self._guests.welcome(client_address(request))

    def verify(self, request: Request, unverified_cookie: str, *, anywhere: bool) -> Verified:
        """Delete a bad cookie, so that the page can start again. It is not replaced in the same response.

        `anywhere` also accepts a cookie that another address got.
        """
        try:
            if not self.reaches(request):
                raise Refusal("invalid-token", reason="guests are for this machine only")
            verified = self._guests.verify(unverified_cookie, client_address(request), anywhere=anywhere)
            # Each guest has one cookie, so its subject names it.
            return replace(verified, token_id=verified.principal.subject)
        except Refusal:
            forget_sign_in()
            raise

    def end(self, request: Request, unverified_cookie: str) -> None:
        """The guest signs out, or is no longer a guest: copies of its cookie end too."""
        if not is_guest_cookie(unverified_cookie):
            return
        try:
            verified = self.verify(request, unverified_cookie, anywhere=True)
        except Refusal:
            return  # it is not valid anyway
        parts().admission.revoke(verified, LIFETIME)

    def charged(self, request: Request) -> tuple[Allowance, ...]:
        """New sessions of all guests at one address share it: a guest could delete its cookie each time."""
        rate = self._guests.spec.address_rate
        return (Allowance(rate, "guests", client_address(request), "guests of this address"),)

    def reaches(self, request: Request) -> bool:
        """Whether guests may come from the address of this request."""
        if client_address(request) == UNKNOWN:
            return False
        return self._guests.spec.allow_network or is_from_this_machine(request)


def end_guest(unverified_cookie: str) -> None:
    """End the guest of this cookie of the current request. Any other cookie is left alone."""
    if (guests := guest_access()) is not None:
        guests.end(request, unverified_cookie)
