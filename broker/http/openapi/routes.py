"""Every route of the API once: what it is for, who may call it, what it takes, answers and refuses.

A route that is not here fails a test, and so does an entry without a route. The refusals that all routes of a
kind share are told by `document`; here are those that are a route's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from broker.errors import Code
from broker.http.admin import audit, keys, limits, lists, sessions, users
from broker.http.body import Empty
from broker.http.login import LoginBody
from broker.http.openapi import admin_shapes, shapes
from broker.http.sessions import ReportBody
from broker.http.tokens import KeyTokenBody, NextTokenBody
from broker.idempotency.key import HEADER as IDEMPOTENCY_HEADER
from broker.identity.issuers import attestation

PUBLIC, PRINCIPAL = "anyone", "whoever is signed in"
SCOPED, OPERATOR = "whoever is signed in, and service keys with the scope", "operators"
OPERATOR_OR_SCOPED = "operators, and service keys with the scope"


@dataclass(frozen=True)
class Route:
    """`answer` is the shape of the success, `media` its type if that is not JSON; `headers` may be sent."""

    summary: str
    who: str
    answer: type[BaseModel] | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    codes: tuple[Code, ...] = ()
    media: str = "application/json"


_LIMITS: tuple[Code, ...] = (
    "profile-forbidden", "profile-unknown", "ttl-too-long", "rate-limited", "too-many-sessions",
    "minutes-exhausted", "project-capacity", "busy", "upstream-rejected", "upstream-error",
    "upstream-timeout", "upstream-quota", "audit-unavailable", "draining",
)  # fmt: skip
_OWN: tuple[Code, ...] = ("session-unknown",)
_ONE: tuple[Code, ...] = ("not-found",)

_ONCE = (IDEMPOTENCY_HEADER, "The same key and body within a minute get the same token, charged once.")
_APP = (attestation.HEADER, "App Check's token, where the profile asks for it.")
_TOKENS: Mapping[str, Route] = {
    "POST /token": Route(
        "Open a session and mint its first token",
        SCOPED,
        shapes.Token,
        body=KeyTokenBody,
        headers=(_ONCE, _APP),
        codes=(*_LIMITS, "idempotency-conflict", "session-ended"),
    ),
    "POST /sessions/{session_id}/token": Route(
        "The next token of the same session: to renew, or to connect again",
        SCOPED,
        shapes.Token,
        body=NextTokenBody,
        headers=(_APP,),
        codes=(*_OWN, "session-ended", *_LIMITS),
    ),
    "POST /sessions/{session_id}/heartbeat": Route(
        "Keep a session counted as live, and learn whether it is over",
        SCOPED,
        shapes.Heartbeat,
        body=Empty,
        codes=_OWN,
    ),
    "POST /sessions/{session_id}/report": Route(
        "Tell how a session went; the last report replaces the one before",
        SCOPED,
        status=204,
        body=ReportBody,
        codes=(*_OWN, "rate-limited"),
    ),
    "POST /sessions/{session_id}/end": Route("End a session", SCOPED, shapes.Ended, body=Empty, codes=_OWN),
    "DELETE /sessions/{session_id}": Route("End a session", SCOPED, shapes.Ended, codes=_OWN),
}
_CALLER: Mapping[str, Route] = {
    "GET /me": Route("Who am I, what is left, and what the next token would be told", SCOPED, shapes.Me),
    "GET /profiles": Route("The profiles that this caller may ask for", SCOPED, shapes.Profiles),
    "POST /auth/login": Route(
        "Sign in with a name and a password: a bearer, and a cookie for the page",
        PUBLIC,
        shapes.SignedIn,
        body=LoginBody,
        codes=("bad-login", "account-blocked", "login-throttled", "busy"),
    ),
    "POST /auth/logout": Route("End the sign-in or the bearer that is presented", PRINCIPAL, status=204),
    "GET /auth/oidc/{issuer}": Route(
        "Lead the browser to an issuer's sign-in page",
        PUBLIC,
        status=303,
        codes=("not-found", "bad-request", "origin-forbidden", "keys-unavailable"),
    ),
    "GET /auth/oidc/{issuer}/callback": Route(
        "Lead the browser back, signed in or not", PUBLIC, status=303, codes=("not-found",)
    ),
}
_OPERATORS: Mapping[str, Route] = {
    "GET /admin/overview": Route(
        "What is open and was granted today; plans, profiles, issuers", OPERATOR, admin_shapes.Overview
    ),
    "GET /admin/users": Route("Everybody who is known", OPERATOR, admin_shapes.Users, query=users.UsersQuery),
    "POST /admin/users": Route(
        "Add a user of the broker's own", OPERATOR, admin_shapes.UserShown, 201, body=users.NewUser
    ),
    "GET /admin/users/{user_key}": Route(
        "One of them, and what its next token would be told", OPERATOR, admin_shapes.OneUser, codes=_ONE
    ),
    "PATCH /admin/users/{user_key}/limits": Route(
        "Set limits of one principal, or let its plan decide again",
        OPERATOR,
        admin_shapes.UserShown,
        body=limits.LimitsPatch,
        codes=(*_ONE, "edit-conflict"),
    ),
    "POST /admin/users/{user_key}/block": Route(
        "Turn somebody away", OPERATOR, admin_shapes.HonouredUntil, body=users.Reason, codes=_ONE
    ),
    "POST /admin/users/{user_key}/unblock": Route(
        "Let somebody in again",
        OPERATOR,
        admin_shapes.Nothing,
        body=Empty,
        codes=(*_ONE, "edit-conflict"),
    ),
    "POST /admin/users/{user_key}/sign-out": Route(
        "End every sign-in and bearer of somebody", OPERATOR, admin_shapes.Nothing, body=Empty, codes=_ONE
    ),
    "POST /admin/users/{user_key}/password": Route(
        "Give a user of the broker's own a new password",
        OPERATOR,
        admin_shapes.Nothing,
        body=users.NewPassword,
        codes=_ONE,
    ),
    "GET /admin/sessions": Route(
        "Everybody's sessions, the newest first",
        OPERATOR,
        admin_shapes.Sessions,
        query=sessions.SessionsQuery,
    ),
    "POST /admin/sessions/{session_id}/end": Route(
        "End one",
        OPERATOR,
        shapes.Ended,
        body=Empty,
        codes=(*_ONE, "session-unknown", "session-ended"),
    ),
    "GET /admin/keys": Route("Service keys", OPERATOR, admin_shapes.Keys, query=lists.ListQuery),
    "POST /admin/keys": Route(
        "Make a service key; the answer shows it, this once",
        OPERATOR,
        admin_shapes.NewKeyShown,
        201,
        body=keys.NewKey,
    ),
    "POST /admin/keys/{key_id}/revoke": Route(
        "Turn a key away, for good", OPERATOR, admin_shapes.Nothing, body=Empty, codes=_ONE
    ),
    "GET /admin/blocks": Route(
        "Principals, tokens and issuers that are turned away",
        OPERATOR,
        admin_shapes.Blocks,
        query=lists.ListQuery,
    ),
    "GET /admin/audit": Route(
        "The trail, the newest entry first", OPERATOR, admin_shapes.Audit, query=audit.AuditQuery
    ),
    "GET /admin/usage": Route(
        "Tokens, refusals, latencies, sessions and minutes over time",
        OPERATOR,
        admin_shapes.Usage,
        query=admin_shapes.UsageQuery,
    ),
}
_SERVICE: Mapping[str, Route] = {
    "GET /healthz": Route("The process answers", PUBLIC, shapes.Status),
    "GET /readyz": Route(
        "It could mint: stores reached, schema current", PUBLIC, shapes.Status, codes=("store-unavailable",)
    ),
    "GET /metrics": Route(
        "Prometheus metrics of all workers of this server", OPERATOR_OR_SCOPED, media="text/plain"
    ),
    "GET /.well-known/jwks.json": Route(
        "The public keys of our bearers", PUBLIC, shapes.KeySet, media="application/jwk-set+json"
    ),
    "GET /openapi.json": Route("This document", PUBLIC),
    "GET /docs": Route("A page to read it", PUBLIC, media="text/html"),
    "GET /": Route("The demo page", PUBLIC, media="text/html"),
    "GET /ops": Route("The operators' page", PUBLIC, media="text/html"),
}

GROUPS: Mapping[str, Mapping[str, Route]] = {
    "Tokens and sessions": _TOKENS,
    "The caller": _CALLER,
    "Operators": _OPERATORS,
    "The service": _SERVICE,
}
# Addresses of files, which are no API.
FILES = {
    "GET /{part}/{name}",
    "GET /assets/{version}/{part}/{name}",
    "GET /favicon.ico",
}
