"""Sign-ins of browsers: a random cookie value, its record on the server, and the CSRF token for it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from broker.identity.bearer import Verified
from broker.principal import Principal

LIFETIME = timedelta(hours=12)
IDLE = timedelta(hours=2)
# If the issuer decides about plan, team or roles: a right that it takes back must not last for a day's work.
# It is as long as a bearer of the broker lasts.
RIGHTS_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True)
class SignIn:
    """`cookie` is the value in the browser. The store keeps only its hash."""

    cookie: str = field(repr=False)
    csrf_token: str = field(repr=False)
    expires_at: datetime


class SignIns(Protocol):
    """The storage of sign-ins. The store implements it."""

    def open(
        self, principal: Principal, sign_in_id: str, lifetime: timedelta, generation: str | None
    ) -> datetime: ...
    def find(self, ids: Sequence[str], idle: timedelta) -> Verified | None: ...
    def refused(self, username: str | None, address: str, code: str) -> None: ...
    def close(self, ids: Sequence[str]) -> None: ...
    def close_all(self, issuer: str, subject: str) -> None: ...


class CookieSignIns:
    def __init__(self, store: SignIns, csrf_keys: Sequence[bytes], id_keys: Sequence[bytes]) -> None:
        """The first key of each kind makes new values; those of any key are accepted.

        With `id_keys`, a sign-in ends together with the secret that it was opened under.
        """
        self._store = store
        self._csrf_keys = csrf_keys
        self._id_keys = id_keys

    def open(
        self, principal: Principal, *, generation: str | None = None, lifetime: timedelta = LIFETIME
    ) -> SignIn:
        cookie = secrets.token_urlsafe(32)
        expires_at = self._store.open(principal, self._ids(cookie)[0], lifetime, generation)
        return SignIn(cookie, self.csrf_token(cookie), expires_at)

    def verify(self, unverified_cookie: str) -> Verified | None:
        """The principal at the time of the sign-in. None if it has ended or was unused for IDLE."""
        return self._store.find(self._ids(unverified_cookie), IDLE)

    def refused(self, username: str | None, address: str, code: str) -> None:
        """Record a failed sign-in. Leave out a name that no user has: it may be a password."""
        self._store.refused(username, address, code)

    def close(self, cookie: str) -> None:
        self._store.close(self._ids(cookie))

    def close_all(self, principal: Principal) -> None:
        self._store.close_all(principal.issuer, principal.subject)

    def _ids(self, cookie: str) -> list[str]:
        """The ids under which the store may have it: a hash under each key, the first for new sign-ins.

        The last one is how earlier versions kept a sign-in. It serves those that are still open.
        """
        before = hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
        return [*(_keyed_hash(key, cookie) for key in self._id_keys), before]

    def csrf_token(self, cookie: str) -> str:
        return _keyed_hash(self._csrf_keys[0], cookie)

    def csrf_matches(self, cookie: str, unverified_csrf: str) -> bool:
        given = unverified_csrf.encode()
        return any(hmac.compare_digest(_keyed_hash(key, cookie).encode(), given) for key in self._csrf_keys)


def _keyed_hash(key: bytes, cookie: str) -> str:
    return hmac.new(key, cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
