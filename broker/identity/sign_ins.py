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


@dataclass(frozen=True)
class SignIn:
    """`cookie` is the value in the browser. The store keeps only its hash."""

    cookie: str = field(repr=False)
    csrf_token: str = field(repr=False)
    expires_at: datetime


class SignIns(Protocol):
    """The storage of sign-ins. The store implements it."""

    def open(
        self, principal: Principal, id_sha256: str, lifetime: timedelta, generation: str | None
    ) -> datetime: ...
    def find(self, id_sha256: str, idle: timedelta) -> Verified | None: ...
    def refused(self, username: str | None, address: str, code: str) -> None: ...
    def close(self, id_sha256: str) -> None: ...
    def close_all(self, issuer: str, subject: str) -> None: ...


class CookieSignIns:
    def __init__(self, store: SignIns, csrf_keys: Sequence[bytes]) -> None:
        """`csrf_keys`: the first key creates tokens; the tokens of any key are accepted."""
        self._store = store
        self._csrf_keys = csrf_keys

    def open(self, principal: Principal, *, generation: str | None = None) -> SignIn:
        cookie = secrets.token_urlsafe(32)
        expires_at = self._store.open(principal, _sha256(cookie), LIFETIME, generation)
        return SignIn(cookie, self.csrf_token(cookie), expires_at)

    def verify(self, unverified_cookie: str) -> Verified | None:
        """The principal at the time of the sign-in. None if it has ended or was unused for IDLE."""
        return self._store.find(_sha256(unverified_cookie), IDLE)

    def refused(self, username: str | None, address: str, code: str) -> None:
        """Record a failed sign-in. Leave out a name that no user has: it may be a password."""
        self._store.refused(username, address, code)

    def close(self, cookie: str) -> None:
        self._store.close(_sha256(cookie))

    def close_all(self, principal: Principal) -> None:
        self._store.close_all(principal.issuer, principal.subject)

    def csrf_token(self, cookie: str) -> str:
        return _csrf(self._csrf_keys[0], cookie)

    def csrf_matches(self, cookie: str, unverified_csrf: str) -> bool:
        given = unverified_csrf.encode()
        return any(hmac.compare_digest(_csrf(key, cookie).encode(), given) for key in self._csrf_keys)


def _csrf(key: bytes, cookie: str) -> str:
    return hmac.new(key, cookie.encode(), hashlib.sha256).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
