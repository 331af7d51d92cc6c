"""GET /me and GET /profiles: what the caller is, what it has left and may ask for. Nothing is counted."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from broker.errors import Refusal
from broker.http import guards, ratelimit
from broker.http.credentials import Caller
from broker.http.login import keep_cookie
from broker.identity.guests import LIFETIME
from broker.identity.service_keys import ServiceKey
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.sessions.session import Session

bp = Blueprint("me", __name__)

_MOST_SESSIONS = 100


@bp.get("/me")
@guards.require_scope("read", welcomes_guests=True)
def me(caller: Caller) -> Response:
    principal = caller.principal
    preview = parts().previews.preview(principal, also=caller.also_charged)
    response = jsonify(
        principal={"issuer": principal.issuer, "subject": principal.subject},
        name=principal.name,
        plan=principal.plan,
        roles=sorted(principal.roles),
        limits=ratelimit.limits_member(preview.rates, preview.usage),
        sessions=[_session(one) for one in parts().ledger.open_sessions(principal, _MOST_SESSIONS)],
        next_token=_next_token(preview.profile, _scope_refusal(caller) or preview.refusal),
        **({"service_key": _service_key(caller.service_key)} if caller.service_key else {}),
        **({"csrf_token": parts().sign_ins.csrf_token(caller.cookie)} if caller.cookie else {}),
    )
    if caller.is_new and caller.cookie:
        keep_cookie(response, caller.cookie, LIFETIME)
    return response


@bp.get("/profiles")
@guards.require_scope("read")
def profiles(caller: Caller) -> Response:
    catalog = parts().catalog
    default = catalog.get(None).name
    return jsonify(
        profiles=[
            {
                "name": profile.name,
                "description": profile.description,
                "models": list(profile.models),
                "voice": profile.voice,
                "default": profile.name == default,
            }
            for profile in catalog.open_to(caller.principal)
        ]
    )


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "profile": session.profile,
        "state": session.state.value,
        "opened_at": rfc3339(session.opened_at),
        "ends_at": rfc3339(session.ends_at),
        **({"on_behalf_of": session.on_behalf_of} if session.on_behalf_of is not None else {}),
    }


def _scope_refusal(caller: Caller) -> Refusal | None:
    key = caller.service_key
    return guards.lacks_scope("token") if key is not None and "token" not in key.scopes else None


def _next_token(profile: str, refusal: Refusal | None) -> dict[str, Any]:
    """What an empty `POST /token` would be told now, as far as it can be known without asking Google."""
    if refusal is None:
        return {"granted": True, "profile": profile}
    return {
        "granted": False,
        "profile": profile,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail or refusal.title,
        **({"retry_after_seconds": refusal.retry_after_seconds} if refusal.retry_after_seconds else {}),
    }


def _service_key(key: ServiceKey) -> dict[str, Any]:
    return {
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "expires_at": rfc3339(key.expires_at) if key.expires_at else None,
    }
