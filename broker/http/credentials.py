"""From a request to the Principal behind it. A credential that was presented and is bad ends the request:
there is no falling back to another one, and two at once are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Request, g

from broker.errors import Refusal
from broker.http import origins
from broker.http.client_address import is_loopback_host
from broker.http.guests import guest_access
from broker.identity.bearer import Verified
from broker.identity.guests import is_guest_cookie
from broker.identity.service_keys import ServiceKey, proof
from broker.limits.policy import Allowance
from broker.parts import parts
from broker.principal import Principal

CSRF_HEADER = "X-CSRF-Token"
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_IN_QUERY = {
    "access_token", "api-key", "api_key", "apikey", "authorization",
    "bearer", "id_token", "jwt", "key", "token",
}  # fmt: skip
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Caller:
    """Who asks. `cookie`, `bearer` or `service_key` is what was presented."""

    principal: Principal
    cookie: str | None = None
    bearer: Verified | None = None
    service_key: ServiceKey | None = None
    is_new: bool = False
    """A guest who just came in: the answer must hand out the cookie."""
    also_charged: tuple[Allowance, ...] = ()
    """What a new session uses up besides the principal's own allowance."""


def caller_of(request: Request, *, welcomes_guests: bool = False) -> Caller:
    """Whoever presents nothing is a new guest where `welcomes_guests` and the operator allow it."""
    if _IN_QUERY & {name.lower() for name in request.args}:
        raise Refusal("bad-request", "A credential must not be in the URL.")
    # Read raw: Werkzeug's parsed form joins two headers and loses a token that holds "=".
    authorization = request.headers.get("Authorization")
    api_key = request.headers.get("X-API-Key")
    cookie = request.cookies.get(cookie_name(request))
    presented = [value for value in (authorization, api_key, cookie) if value is not None]
    if not presented:
        if welcomes_guests and (guests := guest_access()) is not None and guests.is_open_to(request):
            new_cookie, guest = guests.welcome(request)
            principal = parts().admission.admit_unpresented(guest)
            return Caller(principal, new_cookie, is_new=True, also_charged=guests.charged(request))
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
        verified = _by_bearer(authorization)
        return Caller(_admit(verified), bearer=verified)
    if cookie is not None:
        return _by_cookie(request, cookie)
    return _by_service_key(str(api_key))


def _by_bearer(authorization: str) -> Verified:
    match = _BEARER.fullmatch(authorization.strip())
    if match is None:
        raise Refusal("bad-request", "The Authorization header must be one Bearer token.")
    return parts().bearers.verify(match[1])


def _by_service_key(api_key: str) -> Caller:
    if "," in api_key:
        raise Refusal("bad-request", "The X-API-Key header must be one service key.")
    key = parts().service_keys.verify(api_key.strip())
    return Caller(_admit(proof(key)), service_key=key)


def _by_cookie(request: Request, cookie: str) -> Caller:
    if request.method not in _SAFE_METHODS:
        if not origins.is_same_origin(request):
            raise Refusal("csrf-failed", "The session cookie works from our own pages only.")
        csrf = request.headers.get(CSRF_HEADER, "")
        if not parts().sign_ins.csrf_matches(cookie, csrf):
            raise Refusal("csrf-failed", f"The {CSRF_HEADER} header is missing or not of this sign-in.")
    if (guests := guest_access()) is not None and is_guest_cookie(cookie):
        guest = guests.verify(request, cookie)
        return Caller(_admit(guest), cookie, also_charged=guests.charged(request))
    verified = parts().sign_ins.verify(cookie)
    # An issuer that was removed, or is on trial now, vouches for nobody, its sign-ins of before included.
    if verified is None or verified.principal.issuer not in parts().trusted_issuers:
        g.forget_cookie = True  # or the browser would go on presenting it and never get past this
        raise Refusal("invalid-token", "The sign-in has ended.", reason="unknown sign-in")
    return Caller(_admit(verified), cookie)


def _admit(verified: Verified) -> Principal:
    try:
        return parts().admission.admit(verified)
    except Refusal as refusal:
        if refusal.code == "account-blocked":
            parts().ledger.refused(verified.principal, "request", refusal.code)
        raise


def cookie_name(request: Request) -> str:
    """The `__Host-` prefix ties the cookie to this host over TLS; plain http is for loopback only."""
    return "live-broker" if is_loopback(request) else "__Host-live-broker"


def is_loopback(request: Request) -> bool:
    return is_loopback_host(request.host)
