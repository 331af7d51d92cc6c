"""/admin/keys: service keys. Only the answer that creates a key shows its secret."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.admin import lists, operator
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import Nothing, timestamp_or_none
from broker.identity import service_keys
from broker.identity.scopes import SCOPES
from broker.identity.service_keys import ServiceKey
from broker.net.timestamps import rfc3339
from broker.operators.keys import MOST_DAYS
from broker.parts import parts
from broker.principal import TEAM_NAME
from broker.store.accounts.service_keys import SqlServiceKeys

bp = Blueprint("admin_keys", __name__)

Name = Annotated[str, Field(min_length=1, max_length=64)]
# operators/keys.py validates these values. The patterns are only for /openapi.json.
KeyName = Annotated[Name, Field(json_schema_extra={"pattern": f"^{service_keys.NAME.pattern}$"})]
Scope = Annotated[Name, Field(json_schema_extra={"enum": [*SCOPES]})]
Grant = Annotated[
    str, Field(min_length=1, max_length=201, json_schema_extra={"pattern": r"^(any|[^*\u0000-\u001f]+[*])$"})
]
Days = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": MOST_DAYS})]
Team = Annotated[Name, Field(json_schema_extra={"pattern": f"^{TEAM_NAME.pattern}$"})]
_POSITION = TypeAdapter(tuple[lists.PositionText])


class NewKey(body.Body):
    """As `broker keys create`: without scopes it gets the usual ones, without profiles it may use all."""

    name: KeyName
    plan: Name = "default"
    scopes: Annotated[tuple[Scope, ...], Field(strict=False, max_length=10)] = ()
    profiles: Annotated[tuple[Name, ...], Field(strict=False, max_length=100)] = ()
    expires_days: Days | None = None
    on_behalf_of: Grant | None = None
    team: Team | None = None
    user_plan: Name = "default"
    plans: Annotated[tuple[Name, ...], Field(strict=False, max_length=100)] = ()


class KeyShown(TypedDict):
    id: str
    name: str
    plan: str
    scopes: list[str]
    profiles: list[str] | None
    on_behalf_of: str | None
    team: str | None
    user_plan: str
    plans: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKeyShown(KeyShown):
    """`key` is the secret itself. The broker cannot show it again."""

    key: str


class Keys(TypedDict):
    keys: list[KeyShown]
    next: str | None


@bp.get("/keys")
@guards.require_operator
@operation("List the service keys", query=lists.ListQuery)
def list_keys(_caller: Caller) -> Keys:
    asked = lists.query(lists.ListQuery)
    position = asked.position(_POSITION)
    after = None if position is None else position[0]
    rows = SqlServiceKeys(parts().database).page(after=after, limit=asked.limit + 1)
    shown, following = lists.cut(rows, asked.limit, lambda key: (key.name,))
    return {"keys": [_key(key) for key in shown], "next": following}


@bp.post("/keys")
@guards.require_operator
@operation("Create a service key; only this answer shows the key itself", status=201, body=NewKey)
def create_key(caller: Caller) -> NewKeyShown:
    asked = body.read(NewKey)
    created = operator.key_admin(caller).create(
        asked.name,
        plan=asked.plan,
        scopes=asked.scopes,
        profiles=asked.profiles,
        expires_days=asked.expires_days,
        on_behalf_of=asked.on_behalf_of,
        team=asked.team,
        user_plan=asked.user_plan,
        plans=asked.plans,
    )
    return {**_key(created.key), "key": created.secret}


@bp.post("/keys/<key_id>/revoke")
@guards.require_operator
@operation("Revoke a service key permanently", body=body.Empty, codes=("not-found",))
def revoke_key(caller: Caller, key_id: str) -> Nothing:
    body.read(body.Empty)
    operator.key_admin(caller).revoke(key_id)
    return {}


def _key(key: ServiceKey) -> KeyShown:
    assert key.created_at is not None, "the store sets it"
    return {
        "id": key.id,
        "name": key.name,
        "plan": key.plan,
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "team": key.team,
        "user_plan": key.user_plan,
        "plans": sorted(key.plans),
        "created_at": rfc3339(key.created_at),
        "expires_at": timestamp_or_none(key.expires_at),
        "revoked_at": timestamp_or_none(key.revoked_at),
        "last_used_at": timestamp_or_none(key.last_used_at),
    }
