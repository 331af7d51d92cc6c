"""PATCH /admin/users/{key}/limits: what holds for one principal, against the version that was read."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import ConfigDict, Field

from broker.http import body, guards
from broker.http.admin import operator as desk
from broker.http.admin.users import to_json
from broker.http.credentials import Caller

bp = Blueprint("limits", __name__)


class LimitsPatch(body.Body):
    """Null lets the plan decide; what is left out stays. The bounds of the values are those of a plan."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 0, "sessions": 4, "rate": None}]})

    version: Annotated[int, Field(ge=0, lt=2**31)]
    plan: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    rate: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    sessions: int | None = None
    minutes_per_day: int | None = None
    session_minutes: int | None = None


@bp.patch("/users/<user_key>/limits")
@guards.require_operator
def set_limits(caller: Caller, user_key: str) -> Response:
    asked, person = body.read(LimitsPatch), desk.person(user_key)
    changes = {name: getattr(asked, name) for name in asked.model_fields_set - {"version"}}
    desk.limit_admin(caller).set(person.subject, changes, person.issuer, version=asked.version)
    return jsonify(to_json(caller, desk.person(user_key)))
