"""GET /me and GET /profiles: who the caller is, what is left, the allowed profiles. Nothing is counted."""

from __future__ import annotations

from typing import NotRequired

from flask import Blueprint
from typing_extensions import TypedDict

from broker.errors import Refusal
from broker.http import cookies, guards, ratelimit
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import timestamp_or_none
from broker.identity.guests import LIFETIME
from broker.identity.service_keys import ServiceKey
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.sessions.session import Session

bp = Blueprint("me", __name__)


class PrincipalName(TypedDict):
    issuer: str
    subject: str


class MySession(TypedDict):
    """It counts among the open sessions until `held_until`, whatever its state."""

    id: str
    profile: str
    state: str
    opened_at: str
    ends_at: str
    held_until: str
    on_behalf_of: NotRequired[str]
    plan: NotRequired[str]


class NextToken(TypedDict):
    granted: bool
    profile: str
    status: NotRequired[int]
    code: NotRequired[str]
    detail: NotRequired[str]
    retry_after_seconds: NotRequired[int]


class MyKey(TypedDict):
    scopes: list[str]
    profiles: list[str] | None
    on_behalf_of: str | None
    user_plan: str
    plans: list[str]
    expires_at: str | None


class Me(TypedDict):
    principal: PrincipalName
    name: str
    plan: str
    roles: list[str]
    limits: ratelimit.LimitsLeft
    sessions: list[MySession]
    next_token: NextToken
    team: NotRequired[ratelimit.TeamLeft]
    service_key: NotRequired[MyKey | None]
    csrf_token: NotRequired[str]


class ProfileShown(TypedDict):
    name: str
    description: str
    models: list[str]
    voice: str | None
    default: bool


class Profiles(TypedDict):
    profiles: list[ProfileShown]


@bp.get("/me")
@guards.require_scope("read", welcomes_guests=True)
@operation(
    "Show the caller, what is left of its limits, and the answer that its next token request would get"
)
def me(caller: Caller) -> Me:
    principal = caller.principal
    preview = parts().previews.preview(principal, also=caller.also_charged)
    show_cost = parts().catalog.get(preview.profile).show_cost
    answer: Me = {
        "principal": {"issuer": principal.issuer, "subject": principal.subject},
        "name": principal.name,
        "plan": principal.plan,
        "roles": sorted(principal.roles),
        "limits": ratelimit.limits_left(preview.rates, preview.usage, show_cost=show_cost),
        "sessions": [_session(one) for one in preview.placed],
        "next_token": _next_token(preview.profile, _scope_refusal(caller) or preview.refusal),
    }
    if preview.team is not None:
        answer["team"] = ratelimit.team_left(preview.team)
    if caller.service_key:
        answer["service_key"] = _service_key(caller.service_key)
    if caller.cookie:
        answer["csrf_token"] = parts().sign_ins.csrf_token(caller.cookie)
        if caller.is_new:
            cookies.keep_sign_in(caller.cookie, LIFETIME)
    return answer


@bp.get("/profiles")
@guards.require_scope("read")
@operation("List the profiles that this caller may use")
def profiles(caller: Caller) -> Profiles:
    catalog = parts().catalog
    default = catalog.get(None).name
    return {
        "profiles": [
            {
                "name": profile.name,
                "description": profile.description,
                "models": list(profile.models),
                "voice": profile.voice,
                "default": profile.name == default,
            }
            for profile in catalog.open_to(caller.principal)
            if profile.name == default or not parts().minter.offers_none(profile)
        ]
    }


def _session(session: Session) -> MySession:
    answer: MySession = {
        "id": session.id,
        "profile": session.profile,
        "state": session.state.value,
        "opened_at": rfc3339(session.opened_at),
        "ends_at": rfc3339(session.ends_at),
        "held_until": rfc3339(session.held_until),
    }
    if session.on_behalf_of is not None:
        answer["on_behalf_of"] = session.on_behalf_of
        answer["plan"] = session.user_plan
    return answer


def _scope_refusal(caller: Caller) -> Refusal | None:
    key = caller.service_key
    return guards.lacks_scope("token") if key is not None and "token" not in key.scopes else None


def _next_token(profile: str, refusal: Refusal | None) -> NextToken:
    """The answer that an empty `POST /token` would get now, except what only Google can decide."""
    if refusal is None:
        return {"granted": True, "profile": profile}
    answer: NextToken = {
        "granted": False,
        "profile": profile,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail or refusal.title,
    }
    if refusal.retry_after_seconds:
        answer["retry_after_seconds"] = refusal.retry_after_seconds
    return answer


def _service_key(key: ServiceKey) -> MyKey:
    return {
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "user_plan": key.user_plan,
        "plans": sorted(key.plans),
        "expires_at": timestamp_or_none(key.expires_at),
    }
