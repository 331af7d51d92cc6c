"""From a request to the Principal behind it. A credential that was presented and is bad ends the request:
there is no falling back to another one, and two at once are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Request, g

from broker.errors import Refusal
from broker.http import origins
from broker.identity.bearer import Bearers
from broker.identity.principal import OWN_ISSUER, Principal
from broker.identity.sign_ins import CookieSignIns
from broker.identity.users import Directory

CSRF_HEADER = "X-CSRF-Token"
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_IN_QUERY = {"access_token", "token", "key", "api_key"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_LOOPBACK_HOSTS = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Caller:
    """Who asks. `cookie` is the browser's login where that is what was presented."""

    principal: Principal
    cookie: str | None = None


class Credentials:
    def __init__(self, bearers: Bearers, sign_ins: CookieSignIns, users: Directory) -> None:
        self._bearers = bearers
        self._sign_ins = sign_ins
        self._users = users

    def caller(self, request: Request) -> Caller:
        if _IN_QUERY & request.args.keys():
            raise Refusal("bad-request", "A credential must not be in the URL.")
        # Read raw: Werkzeug's parsed form joins two headers and loses a token that holds "=".
        authorization = request.headers.get("Authorization")
        api_key = request.headers.get("X-API-Key")
        cookie = request.cookies.get(cookie_name(request))
        presented = [value for value in (authorization, api_key, cookie) if value is not None]
        if not presented:
            raise Refusal(
                "missing-credentials", hint="Send Authorization: Bearer <token>, or sign in with the page."
            )
        if len(presented) > 1:
            raise Refusal(
                "bad-request",
                "Send one credential: a bearer, a service key or the session cookie.",
                hint="In a browser, fetch with credentials: 'omit' when you send a bearer.",
            )
        if authorization is not None:
            return Caller(self._by_bearer(authorization))
        if cookie is not None:
            return Caller(self._by_cookie(request, cookie), cookie)
        raise Refusal("invalid-token", reason="no service key is known")

    def _by_bearer(self, authorization: str) -> Principal:
        match = _BEARER.fullmatch(authorization.strip())
        if match is None:
            raise Refusal("bad-request", "The Authorization header must be one Bearer token.")
        verified = self._bearers.verify(match[1])
        return self._admit(verified.principal)

    def _by_cookie(self, request: Request, cookie: str) -> Principal:
        if request.method not in _SAFE_METHODS:
            if not origins.is_same_origin(request):
                raise Refusal("csrf-failed", "The session cookie works from our own pages only.")
            csrf = request.headers.get(CSRF_HEADER, "")
            if not self._sign_ins.csrf_matches(cookie, csrf):
                raise Refusal("csrf-failed", f"The {CSRF_HEADER} header is missing or not of this sign-in.")
        principal = self._sign_ins.principal(cookie)
        if principal is None:
            g.forget_cookie = True  # or the browser would go on presenting it and never get past this
            raise Refusal("invalid-token", "The sign-in has ended.", reason="unknown sign-in")
        return self._admit(principal)

    def _admit(self, principal: Principal) -> Principal:
        """The principal as it stands now: what it may do can change between two requests."""
        if principal.issuer != OWN_ISSUER:
            return principal
        user = self._users.find(principal.subject)
        if user is None:
            raise Refusal("invalid-token", reason="unknown user")
        if user.blocked_at is not None:
            raise Refusal("account-blocked")
        return user.principal()


def cookie_name(request: Request) -> str:
    """The `__Host-` prefix ties the cookie to this host over TLS; plain http is for loopback only."""
    return "live-broker" if is_loopback(request) else "__Host-live-broker"


def is_loopback(request: Request) -> bool:
    return _LOOPBACK_HOSTS.fullmatch(request.host) is not None
