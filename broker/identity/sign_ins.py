"""The browser's login: a random cookie value, its record on the server, and the CSRF value bound to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from broker.identity.principal import Principal

LIFETIME = timedelta(hours=12)
IDLE = timedelta(hours=2)


@dataclass(frozen=True)
class SignIn:
    """`cookie` is what the browser holds; the store knows only its hash."""

    cookie: str = field(repr=False)
    csrf_token: str = field(repr=False)
    expires_at: datetime


class SignIns(Protocol):
    """Where logins are kept. `store.sign_ins` implements it."""

    def open(self, principal: Principal, id_sha256: str, lifetime: timedelta) -> datetime: ...
    def find(self, id_sha256: str, idle: timedelta) -> Principal | None: ...
    def close(self, id_sha256: str) -> None: ...
    def close_all(self, issuer: str, subject: str) -> None: ...


class CookieSignIns:
    def __init__(self, store: SignIns, csrf_key: bytes) -> None:
        self._store = store
        self._csrf_key = csrf_key

    def open(self, principal: Principal) -> SignIn:
        cookie = secrets.token_urlsafe(32)
        expires_at = self._store.open(principal, _sha256(cookie), LIFETIME)
        return SignIn(cookie, self.csrf_token(cookie), expires_at)

    def principal(self, unverified_cookie: str) -> Principal | None:
        """As it was at the sign-in; None once that is over, or was not used for IDLE."""
        return self._store.find(_sha256(unverified_cookie), IDLE)

    def close(self, cookie: str) -> None:
        self._store.close(_sha256(cookie))

    def close_all(self, principal: Principal) -> None:
        self._store.close_all(principal.issuer, principal.subject)

    def csrf_token(self, cookie: str) -> str:
        return hmac.new(self._csrf_key, cookie.encode(), hashlib.sha256).hexdigest()

    def csrf_matches(self, cookie: str, unverified_csrf: str) -> bool:
        return hmac.compare_digest(self.csrf_token(cookie).encode(), unverified_csrf.encode())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
