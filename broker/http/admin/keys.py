"""/admin/keys: service keys. A key is in the answer that made it, and never again."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response, jsonify
from pydantic import Field

from broker.http import body, guards
from broker.http.admin import lists
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.identity.service_keys import ServiceKey
from broker.parts import parts
from broker.store.accounts.service_keys import SqlServiceKeys

bp = Blueprint("admin_keys", __name__)

Name = Annotated[str, Field(min_length=1, max_length=64)]


class NewKey(body.Body):
    """As `broker keys create`: no scopes named are the usual ones, no profiles are all."""

    name: Name
    plan: Name = "default"
    scopes: Annotated[tuple[Name, ...], Field(strict=False, max_length=10)] = ()
    profiles: Annotated[tuple[Name, ...], Field(strict=False, max_length=100)] = ()
    expires_days: int | None = None
    on_behalf_of: Annotated[str, Field(min_length=1, max_length=201)] | None = None


@bp.get("/keys")
@guards.require_operator
def list_keys(_caller: Caller) -> Response:
    asked = lists.query(lists.ListQuery)
    place = asked.place(lists.text)
    after = None if place is None else place[0]
    rows = SqlServiceKeys(parts().database).page(after=after, limit=asked.limit + 1)
    return lists.page("keys", rows, asked.limit, to_json, lambda key: (key.name,))


@bp.post("/keys")
@guards.require_operator
def create_key(caller: Caller) -> tuple[Response, int]:
    asked = body.read(NewKey)
    made = desk.key_admin(caller).create(**asked.model_dump())
    return jsonify({**to_json(made.key), "key": made.secret}), 201


@bp.post("/keys/<key_id>/revoke")
@guards.require_operator
def revoke_key(caller: Caller, key_id: str) -> Response:
    body.read(body.Empty)
    desk.key_admin(caller).revoke(key_id)
    return jsonify({})


def to_json(key: ServiceKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "plan": key.plan,
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "created_at": desk.time(key.created_at),
        "expires_at": desk.time(key.expires_at),
        "revoked_at": desk.time(key.revoked_at),
        "last_used_at": desk.time(key.last_used_at),
    }
