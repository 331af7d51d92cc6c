"""Guests: people who use the page without signing in. Off unless the operator turns them on.

A guest is a random id in a cookie, signed twice: together with the caller's address, and alone. Nothing is
stored, so the limits of the address apply, and at another address the cookie opens no new session. There it
only continues the sessions that it has: phones change their address during a call.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.principal import GUEST_ISSUER, Principal
from broker.settings import GuestSpec

LIFETIME = timedelta(hours=24)
_PREFIX = "guest."  # the cookie of a sign-in contains no dot
# Earlier versions signed only together with the address.
_COOKIE = re.compile(r"guest\.([0-9a-f]{32})\.(\d{1,12})\.([0-9a-f]{64})([0-9a-f]{64})?", re.ASCII)


class Guests:
    def __init__(self, spec: GuestSpec, keys: Sequence[bytes]) -> None:
        """`keys`: the first key signs; the signature of any key is accepted."""
        self.spec = spec
        self._keys = keys

    def welcome(self, address: str, *, now: datetime | None = None) -> tuple[str, Principal]:
        """Creates a guest. Returns the cookie and the principal."""
        expires = int(((now or datetime.now(UTC)) + LIFETIME).timestamp())
        body = f"{secrets.token_hex(16)}.{expires}"
        key = self._keys[0]
        cookie = f"{_PREFIX}{body}.{_signature(key, f'{body}.{address}')}{_signature(key, body)}"
        return cookie, self._principal(body.split(".")[0])

    def verify(
        self,
        unverified_cookie: str,
        address: str,
        *,
        anywhere: bool = False,
        now: datetime | None = None,
    ) -> Verified:
        """Refuses `token-expired` for an expired cookie, and `invalid-token` for any other.

        `anywhere` also accepts it from another address.
        """
        match = _COOKIE.fullmatch(unverified_cookie)
        if match is None:
            raise Refusal("invalid-token", reason="not a guest cookie")
        body = f"{match[1]}.{match[2]}"
        signed, signature = (body, match[4]) if anywhere and match[4] else (f"{body}.{address}", match[3])
        matches = [hmac.compare_digest(_signature(key, signed), signature) for key in self._keys]
        if not any(matches):
            raise Refusal("invalid-token", reason="guest cookie changed or from another address")
        expires_at = datetime.fromtimestamp(int(match[2]), UTC)
        if expires_at <= (now or datetime.now(UTC)):
            raise Refusal("token-expired", "Reload the page to start again.", reason="guest")
        return Verified(self._principal(match[1]), expires_at - LIFETIME)

    def _principal(self, subject: str) -> Principal:
        return Principal(GUEST_ISSUER, subject, "Guest", self.spec.plan, profiles=self.spec.profiles)


def is_guest_cookie(unverified_cookie: str) -> bool:
    return unverified_cookie.startswith(_PREFIX)


def _signature(key: bytes, signed: str) -> str:
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
