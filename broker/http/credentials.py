"""From a request to the Principal behind it.

A bad credential ends the request: the broker does not fall back to another one. It rejects two at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from flask import Request

from broker.errors import Refusal
from broker.http import origins
from broker.http.cookies import forget_sign_in, own_cookie
from broker.http.guests import guest_access
from broker.identity.bearer import Verified
from broker.identity.guests import is_guest_cookie
from broker.identity.service_keys import ServiceKey, proof
from broker.limits.policy import Allowance
from broker.parts import parts
from broker.principal import Principal

CSRF_HEADER = "X-CSRF-Token"
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_BEARER_SOMEWHERE = re.compile(r"(^|,)\s*bearer(\s|,|$)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9-]*(\s|$)", re.ASCII)
_IN_QUERY = {
    "access_token", "api-key", "api_key", "apikey", "authorization",
    "bearer", "id_token", "jwt", "key", "token",
}  # fmt: skip
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Caller:
    """A verified caller. The credential is one of `cookie`, `bearer` and `service_key`."""

    principal: Principal
    cookie: str | None = None
    bearer: Verified | None = None
    service_key: ServiceKey | None = None
    is_new: bool = False
    """A new guest: the response must set the cookie."""
    also_charged: tuple[Allowance, ...] = ()
    """Allowances that a new session uses besides the principal's own."""


def caller_of(request: Request, *, welcomes_guests: bool = False, own_sessions_only: bool = False) -> Caller:
    """A caller without credentials becomes a new guest if this route and the operator allow guests.

    `own_sessions_only`: the route serves only sessions that the caller has already, so a guest may have moved
    to another address.
    """
    if _IN_QUERY & {name.lower() for name in request.args}:
        raise Refusal("bad-request", "Do not put a credential in the URL.")
    # The raw header: Werkzeug's parsed form joins two headers and loses a token that contains "=".
    authorization = _ours(request.headers.get("Authorization"))
    api_key = request.headers.get("X-API-Key")
    cookie = own_cookie(request)
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
            "Send exactly one credential: a bearer token, a service key or the session cookie.",
            hint="In a browser, fetch with credentials: 'omit' when you send a bearer token.",
        )
    if authorization is not None:
        verified = _by_bearer(authorization)
        return Caller(_admit(verified), bearer=verified)
    if cookie is not None:
        return _by_cookie(request, cookie, guests_move=own_sessions_only)
    return _by_service_key(str(api_key))


def _ours(authorization: str | None) -> str | None:
    """None for another scheme, such as the Basic of a gateway in front of us: that is not our credential.

    A header that holds Bearer among others came in two parts, and malformed text may be a bearer. Both count.
    """
    if authorization is None or _BEARER_SOMEWHERE.search(authorization):
        return authorization
    return None if _OTHER_SCHEME.match(authorization) else authorization


def _by_bearer(authorization: str) -> Verified:
    match = _BEARER.fullmatch(authorization.strip())
    if match is None:
        raise Refusal("bad-request", "The Authorization header must contain exactly one Bearer token.")
    return parts().bearers.verify(match[1])


def _by_service_key(api_key: str) -> Caller:
    if "," in api_key:
        raise Refusal("bad-request", "The X-API-Key header must contain exactly one service key.")
    key = parts().service_keys.verify(api_key.strip())
    return Caller(_admit(proof(key)), service_key=key)


def _by_cookie(request: Request, cookie: str, *, guests_move: bool) -> Caller:
    is_ours = origins.is_same_origin(request)
    if not is_ours and (request.method not in _SAFE_METHODS or "Origin" in request.headers):
        raise Refusal("csrf-failed", "The session cookie works only from the broker's own pages.")
    if request.method not in _SAFE_METHODS:
        csrf = request.headers.get(CSRF_HEADER, "")
        if not parts().sign_ins.csrf_matches(cookie, csrf):
            raise Refusal("csrf-failed", f"{CSRF_HEADER} is missing or does not match this sign-in.")
    if (guests := guest_access()) is not None and is_guest_cookie(cookie):
        guest = guests.verify(request, cookie, anywhere=guests_move)
        try:
            principal = _admit(guest)
        except Refusal as refusal:
            if refusal.code == "invalid-token":
                forget_sign_in()  # the guest has ended, and the page can start again
            raise
        return Caller(principal, cookie, also_charged=guests.charged(request))
    verified = parts().sign_ins.verify(cookie)
    # An issuer that was removed, or is now on trial, is not trusted. Its existing sign-ins are not either.
    if verified is None or verified.principal.issuer not in parts().trusted_issuers:
        forget_sign_in()  # the browser would otherwise send it again and get this error each time
        raise Refusal("invalid-token", "The sign-in has ended.", reason="unknown sign-in")
    return Caller(_admit(_with_known_plan(verified)), cookie)


def _with_known_plan(verified: Verified) -> Verified:
    """The plan of a sign-in counts only while its issuer's entry may give it."""
    principal = verified.principal
    plans = parts().plans_of_issuers.get(principal.issuer)
    if plans is None or principal.plan in plans:
        return verified
    return replace(verified, principal=replace(principal, plan="default"))


def _admit(verified: Verified) -> Principal:
    try:
        return parts().admission.admit(verified)
    except Refusal as refusal:
        if refusal.code == "account-blocked":
            parts().ledger.refused(verified.principal, "request", refusal.code)
        raise
