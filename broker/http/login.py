"""Sign in with a user name and a password: a bearer for apps, and a cookie for our own page."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from flask import Blueprint, Response, g, jsonify, request
from pydantic import Field

from broker.errors import Refusal
from broker.http import body, guards
from broker.http.client_address import client_address
from broker.http.credentials import Caller, cookie_name, is_loopback
from broker.identity import passwords
from broker.identity.login import Login, SignedIn
from broker.identity.sign_ins import LIFETIME
from broker.identity.signing import LIFETIME_SECONDS
from broker.identity.users import canonical_username
from broker.limits.sign_in_throttle import Attempt, SignInThrottle
from broker.parts import parts
from broker.telemetry.metrics import SIGN_INS

bp = Blueprint("login", __name__)

_RECORDED = {"bad-login", "account-blocked", "login-throttled"}


class LoginBody(body.Body):
    username: Annotated[str, Field(min_length=1, max_length=256)]
    password: Annotated[str, Field(min_length=1, max_length=passwords.MAX_LENGTH)]


@bp.post("/auth/login")
@guards.public
def login() -> Response:
    asked = body.read(LoginBody)
    signed_in = _sign_in(asked)
    g.principal = signed_in.principal
    response = jsonify(
        access_token=signed_in.access_token,
        token_type="Bearer",  # noqa: S106 - the type, not a token
        expires_in=LIFETIME_SECONDS,
        csrf_token=signed_in.sign_in.csrf_token,
    )
    keep_cookie(response, signed_in.sign_in.cookie, LIFETIME)
    return response


@bp.post("/auth/logout")
@guards.require_principal
def logout(caller: Caller) -> Response:
    """Ends what was presented: the cookie's sign-in, or this one bearer of ours."""
    logins = parts().login
    if caller.cookie is not None:
        logins.sign_out(caller.cookie)
    if caller.bearer is not None:
        logins.withdraw(caller.bearer)
    response = Response(status=204)
    forget_cookie(response)
    return response


def keep_cookie(response: Response, cookie: str, lifetime: timedelta) -> None:
    """One name for sign-ins and guests: whoever signs in is no guest any more, and signing out ends both."""
    response.set_cookie(
        cookie_name(request),
        cookie,
        max_age=int(lifetime.total_seconds()),
        secure=not is_loopback(request),
        httponly=True,
        samesite="Lax",
        path="/",
    )


def forget_cookie(response: Response) -> None:
    response.delete_cookie(
        cookie_name(request), path="/", secure=not is_loopback(request), httponly=True, samesite="Lax"
    )


def _sign_in(asked: LoginBody) -> SignedIn:
    """Every step is taken for an unknown name too, in the same order."""
    logins: Login = parts().login
    throttle: SignInThrottle = parts().sign_in_throttle
    account = canonical_username(asked.username) or asked.username
    attempt = Attempt(account, client_address(request, parts().settings.trusted_proxies))
    found = logins.find(asked.username)
    try:
        throttle.check(attempt)
        try:
            user = logins.check(found, asked.password)
        except Refusal as refusal:
            if refusal.code == "bad-login":
                throttle.failed(attempt)
            raise
        throttle.check(attempt)
        signed_in = logins.sign_in(user, asked.password, request.cookies.get(cookie_name(request)))
    except Refusal as refusal:
        throttled = refusal.code == "login-throttled"
        if refusal.code in _RECORDED and (not throttled or throttle.is_worth_a_record(attempt)):
            parts().sign_ins.refused(found.username if found else None, attempt.address, refusal.code)
        SIGN_INS.labels(refusal.code).inc()
        raise
    SIGN_INS.labels("ok").inc()
    throttle.succeeded(attempt)
    return signed_in
