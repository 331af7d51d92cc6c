"""Sign in with a user name and a password: a bearer for apps, and a cookie for our own page."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, current_app, g, jsonify, request
from pydantic import Field

from broker.errors import Refusal
from broker.http import body, guards
from broker.http.address import client_address
from broker.http.credentials import Caller, cookie_name, is_loopback
from broker.identity import passwords
from broker.identity.login import Login
from broker.identity.sign_ins import LIFETIME
from broker.identity.signing import LIFETIME_SECONDS
from broker.limits.limiter import Rates, rate_refusal

bp = Blueprint("login", __name__)

# Failures only, so that an office behind one address is not locked out by people who can sign in.
FAILURES_PER_ADDRESS = "20/minute; 100/hour"


class LoginBody(body.Body):
    username: Annotated[str, Field(min_length=1, max_length=256)]
    password: Annotated[str, Field(min_length=1, max_length=passwords.MAX_LENGTH)]


@bp.post("/auth/login")
@guards.public
def login() -> Response:
    parts = current_app.extensions["broker"]
    rates: Rates = parts.rates
    logins: Login = parts.login
    asked = body.read(LoginBody)
    address = client_address(request, parts.settings.trusted_proxies)
    if spent := rates.exhausted(FAILURES_PER_ADDRESS, "login-failures", address):
        violated = next(part for part in spent if part.remaining <= 0)
        raise rate_refusal("login-throttled", spent, violated.policy)
    try:
        signed_in = logins.sign_in(asked.username, asked.password)
    except Refusal as refusal:
        if refusal.code == "bad-login":
            _count_failure(rates, address)
        raise
    g.principal = signed_in.principal
    response = jsonify(
        access_token=signed_in.access_token,
        token_type="Bearer",  # noqa: S106 - the type, not a token
        expires_in=LIFETIME_SECONDS,
        csrf_token=signed_in.sign_in.csrf_token,
    )
    response.set_cookie(
        cookie_name(request),
        signed_in.sign_in.cookie,
        max_age=int(LIFETIME.total_seconds()),
        secure=not is_loopback(request),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


@bp.post("/auth/logout")
@guards.require_principal
def logout(caller: Caller) -> Response:
    if caller.cookie is not None:
        current_app.extensions["broker"].login.sign_out(caller.cookie)
    response = Response(status=204)
    forget_cookie(response)
    return response


def forget_cookie(response: Response) -> None:
    response.delete_cookie(
        cookie_name(request), path="/", secure=not is_loopback(request), httponly=True, samesite="Lax"
    )


def _count_failure(rates: Rates, address: str) -> None:
    try:
        rates.spend(FAILURES_PER_ADDRESS, "login-failures", address)
    except Refusal as refusal:
        if refusal.code != "rate-limited":
            raise
