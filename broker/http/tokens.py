"""POST /token and POST /sessions/{id}/token: the two ways to a Live API token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal, NotRequired

from flask import Blueprint, g, request
from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from broker.errors import Code, Refusal
from broker.http import body, guards, ratelimit
from broker.http.credentials import Caller
from broker.http.responses import RequestHeader, add_headers, operation
from broker.idempotency import key as idempotency
from broker.identity.issuers import attestation
from broker.issuing.request import Issued, TokenRequest
from broker.minting.gemini import socket_url
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.principal import Principal
from broker.telemetry.log import redact

bp = Blueprint("tokens", __name__)

HEARTBEAT_SECONDS = 30
_RENEW_AT = 0.8  # of a token's life: early enough for a retry, late enough not to mint twice as often
# A short token leaves this much time before its end, to find a pause in which the connection can change.
_TO_RENEW = timedelta(seconds=15)
_LIMITS: tuple[Code, ...] = (
    "profile-forbidden", "profile-unknown", "ttl-too-long", "rate-limited", "too-many-sessions",
    "minutes-exhausted", "budget-exhausted", "project-capacity", "busy", "upstream-rejected",
    "upstream-error", "upstream-timeout", "upstream-quota", "audit-unavailable", "minting-suspended",
)  # fmt: skip
_ONCE = RequestHeader(
    idempotency.HEADER,
    "The same key and body return the same token within a minute, charged once.",
    idempotency.PATTERN,
)
_APP = RequestHeader(attestation.HEADER, "The token of App Check, if the profile requires one.")


_Short = Annotated[
    str, Field(max_length=64, json_schema_extra=body.NO_CONTROLS), AfterValidator(body.without_controls)
]
_Long = Annotated[
    str, Field(max_length=128, json_schema_extra=body.NO_CONTROLS), AfterValidator(body.without_controls)
]


class ClientInfo(body.Body):
    app: _Short | None = None
    version: _Short | None = None
    platform: _Long | None = None


class TokenBody(body.Body):
    profile: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    ttl_seconds: Annotated[int, Field(ge=30)] | None = None
    client: ClientInfo = ClientInfo()


class KeyTokenBody(TokenBody):
    """All fields are optional. Only service keys may send `on_behalf_of`, and `plan` with it."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"plan": ["on_behalf_of"]}})

    # May be omitted, but not null or empty, so that a mistake cannot charge the key itself.
    on_behalf_of: Annotated[
        str,
        Field(default_factory=str, json_schema_extra={"minLength": 1, "maxLength": 255, **body.NO_CONTROLS}),
    ]
    plan: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class NextTokenBody(body.Body):
    handle: Annotated[str, Field(min_length=1, max_length=4096)] | None = None


class TokenSession(TypedDict):
    id: str
    state: Literal["open"]
    ends_at: str
    renew_after: str
    heartbeat_seconds: int


class Token(TypedDict):
    """`url` never contains the token. `setup` is the first frame to send."""

    token: str
    token_type: Literal["live-ephemeral"]
    expires_at: str
    expires_in: int
    connect_by: str
    connect_within: int
    url: str
    auth: Mapping[str, str]
    api_version: str
    model: str
    profile: str
    setup: Mapping[str, object]
    locked: list[str]
    audio: Mapping[str, str]
    session: TokenSession
    limits: ratelimit.LimitsLeft
    on_behalf_of: NotRequired[str]


@bp.post("/token")
@guards.require_scope("token")
@operation(
    "Open a session and mint its first token",
    body=KeyTokenBody,
    headers=(_ONCE, _APP),
    codes=(*_LIMITS, "idempotency-conflict", "session-ended"),
)
def create_token(caller: Caller) -> Token:
    asked = body.read(KeyTokenBody if caller.service_key else TokenBody)
    principal = _owner(caller, asked)
    client = {name: redact(text) for name, text in asked.client.model_dump(exclude_none=True).items()}
    token_request = TokenRequest(
        profile=asked.profile,
        ttl_seconds=asked.ttl_seconds,
        client=client,
        attestation=_attestation(),
        user_plan=principal.plan if principal.actor else None,
    )
    header = request.headers.get(idempotency.HEADER)
    if header is None:
        return _answer(parts().issuer.open_session(principal, token_request, caller.also_charged))
    # The requester is part of the key. So is the body, without the fields that it leaves out.
    key = idempotency.idempotency_key(caller.principal, header, asked.model_dump(exclude_unset=True))
    return _answer(parts().replays.open_session(principal, token_request, key, caller.also_charged))


@bp.post("/sessions/<session_id>/token")
@guards.require_scope("sessions")
@operation(
    "Mint the next token of a session, to renew it or to reconnect",
    body=NextTokenBody,
    headers=(_APP,),
    codes=("session-unknown", "session-ended", *_LIMITS),
)
def create_next_token(caller: Caller, session_id: str) -> Token:
    asked = body.read(NextTokenBody)
    return _answer(parts().issuer.next_token(caller.principal, session_id, asked.handle, _attestation()))


def _attestation() -> str | None:
    return request.headers.get(attestation.HEADER)


def _owner(caller: Caller, asked: TokenBody) -> Principal:
    """The owner of the session: the caller, or the user that a service key names."""
    key = caller.service_key
    if key is None or not isinstance(asked, KeyTokenBody):
        return caller.principal
    if "on_behalf_of" not in asked.model_fields_set:
        if "plan" in asked.model_fields_set:
            raise body.invalid("plan", "needs on_behalf_of")
        return caller.principal
    try:
        owner = key.acting_for(asked.on_behalf_of, asked.plan)
    except Refusal as refusal:
        if refusal.code == "forbidden":
            parts().ledger.refused(caller.principal, "token", refusal.code)
        raise
    # The key as it was admitted, with the overrides of operators.
    g.principal = owner = replace(owner, actor=caller.principal)
    return owner


def _answer(issued: Issued) -> Token:
    live_url = parts().settings.live_url
    reservation, token_plan = issued.reservation, issued.token_plan
    life = reservation.expires_at - reservation.reserved_at
    show_cost = issued.profile.show_cost
    answer: Token = {
        "token": issued.token.name,
        "token_type": "live-ephemeral",
        "expires_at": rfc3339(reservation.expires_at),
        "expires_in": issued.seconds_left(reservation.expires_at),
        "connect_by": rfc3339(reservation.connect_by),
        "connect_within": issued.seconds_left(reservation.connect_by),
        "url": socket_url(live_url),
        "auth": {"in": "query", "name": "access_token"},
        "api_version": "v1alpha",
        "model": token_plan.model,
        "profile": issued.profile.name,
        "setup": token_plan.setup,
        "locked": list(token_plan.locked),
        "audio": {"input": "audio/pcm;rate=16000", "output": "audio/pcm;rate=24000"},
        "session": {
            "id": reservation.session_id,
            "state": "open",
            "ends_at": rfc3339(reservation.ends_at),
            "renew_after": rfc3339(reservation.reserved_at + _renew_after(life)),
            "heartbeat_seconds": HEARTBEAT_SECONDS,
        },
        "limits": ratelimit.limits_left(issued.rates, reservation.usage, show_cost=show_cost),
    }
    if issued.principal.actor:
        answer["on_behalf_of"] = issued.principal.subject
    add_headers(ratelimit.fields_of(issued.rates, reservation.usage, show_cost=show_cost))
    return answer


def _renew_after(life: timedelta) -> timedelta:
    early = life - _TO_RENEW if life >= 2 * _TO_RENEW else life
    return min(life * _RENEW_AT, early)
