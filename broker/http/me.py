"""GET /me and GET /profiles: what the caller is and what it may ask for."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from broker.http import guards
from broker.http.credentials import Caller

bp = Blueprint("me", __name__)


@bp.get("/me")
@guards.require_principal
def me(caller: Caller) -> Response:
    parts = current_app.extensions["broker"]
    principal = caller.principal
    csrf = {"csrf_token": parts.sign_ins.csrf_token(caller.cookie)} if caller.cookie else {}
    return jsonify(
        principal={"issuer": principal.issuer, "subject": principal.subject},
        name=principal.name,
        plan=principal.plan,
        roles=sorted(principal.roles),
        **csrf,
    )


@bp.get("/profiles")
@guards.require_principal
def profiles(caller: Caller) -> Response:
    catalog = current_app.extensions["broker"].catalog
    default = catalog.get(None).name
    return jsonify(
        profiles=[
            {
                "name": profile.name,
                "description": profile.description,
                "models": list(profile.models),
                "default": profile.name == default,
            }
            for profile in catalog.open_to(caller.principal)
        ]
    )
