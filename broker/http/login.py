"""Sign in with a user name and a password: a bearer token for apps, a cookie for our own pages."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, g, request
from pydantic import Field
from typing_extensions import TypedDict

from broker.errors import Refusal
from broker.http import body, cookies, guards
from broker.http.client_address import client_address
from broker.http.credentials import Caller
from broker.http.guests import end_guest
from broker.http.responses import operation
from broker.identity import passwords
from broker.identity.login import SignedIn as NewSignIn
from broker.identity.sign_ins import LIFETIME
from broker.identity.signing import LIFETIME_SECONDS
from broker.identity.users import canonical_username
from broker.limits.sign_in_throttle import Attempt
from broker.parts import parts
from broker.telemetry.metrics import SIGN_INS

bp = Blueprint("login", __name__)

_RECORDED = {"bad-login", "account-blocked", "login-throttled"}


class LoginBody(body.Body):
    username: Annotated[str, Field(min_length=1, max_length=256)]
    password: Annotated[str, Field(min_length=1, max_length=passwords.MAX_LENGTH)]


class SignedIn(TypedDict):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    csrf_token: str


@bp.post("/auth/login")
@guards.public
@operation(
    "Sign in with a user name and a password; returns a bearer token and sets the pages' cookie",
    body=LoginBody,
    codes=("bad-login", "account-blocked", "login-throttled", "busy"),
)
def login() -> SignedIn:
    signed_in = _sign_in(body.read(LoginBody))
    g.principal = signed_in.principal
    cookies.keep_sign_in(signed_in.sign_in.cookie, LIFETIME)
    return {
        "access_token": signed_in.access_token,
        "token_type": "Bearer",
        "expires_in": LIFETIME_SECONDS,
        "csrf_token": signed_in.sign_in.csrf_token,
    }


@bp.post("/auth/logout")
@guards.require_principal
@operation("End the sign-in or the bearer token that the request carries", status=204)
def logout(caller: Caller) -> None:
    sign_ins = parts().login
    if caller.cookie is not None:
        sign_ins.sign_out(caller.cookie)
        end_guest(caller.cookie)
    if caller.bearer is not None:
        sign_ins.revoke(caller.bearer)
    cookies.forget_sign_in()


def _sign_in(asked: LoginBody) -> NewSignIn:
    """An unknown name takes the same steps in the same order, so that timing does not reveal it."""
    sign_ins, throttle = parts().login, parts().sign_in_throttle
    account = canonical_username(asked.username) or asked.username
    attempt = Attempt(account, client_address(request))
    found = sign_ins.find(asked.username)
    try:
        throttle.check(attempt)
        try:
            user = sign_ins.check(found, asked.password, attempt.account_key)
        except Refusal as refusal:
            if refusal.code == "bad-login":
                throttle.failed(attempt)
            raise
        throttle.check(attempt)
        replaced = cookies.own_cookie(request)
        signed_in = sign_ins.sign_in(user, asked.password, attempt.account_key, replaced)
    except Refusal as refusal:
        if refusal.code in _RECORDED:
            parts().sign_ins.refused(found.username if found else None, attempt.address, refusal.code)
        SIGN_INS.labels(refusal.code).inc()
        raise
    if replaced is not None:
        end_guest(replaced)
    SIGN_INS.labels("ok").inc()
    throttle.succeeded(attempt)
    return signed_in
