"""/admin/suspension: whether new tokens are suspended, and how an operator suspends and resumes them."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.admin import operator
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import timestamp_or_none
from broker.parts import parts
from broker.sessions.suspension import Suspension

bp = Blueprint("suspension", __name__)


class SuspensionChange(body.Body):
    """`suspended: false` resumes and ignores the other fields. `profiles` null stands for all profiles.

    `renewals` also refuses further tokens to open sessions. A suspension in force is replaced as a whole.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"suspended": True, "reason": "The voice service is down."}],
            "if": {"properties": {"suspended": {"const": True}}},
            "then": {
                "required": ["reason"],
                "properties": {"reason": {"minLength": 1}, "profiles": {"minItems": 1}},
            },
        }
    )

    suspended: bool
    reason: Annotated[str, Field(max_length=255, json_schema_extra=body.NO_CONTROLS)] = ""
    profiles: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = None
    renewals: bool = False


class SuspensionShown(TypedDict):
    suspended: bool
    reason: str | None
    profiles: list[str] | None
    renewals: bool
    since: str | None
    by: str | None


@bp.get("/suspension")
@guards.require_operator
@operation("Show whether new tokens are suspended")
def show_suspension(_caller: Caller) -> SuspensionShown:
    return _shown(parts().suspensions.current())


@bp.post("/suspension")
@guards.require_operator
@operation("Suspend new tokens on every worker and host, or resume", body=SuspensionChange)
def change_suspension(caller: Caller) -> SuspensionShown:
    asked = body.read(SuspensionChange)
    admin = operator.suspension_admin(caller)
    if not asked.suspended:
        admin.resume()
        return _shown(None)
    return _shown(admin.suspend(asked.reason, asked.profiles, renewals=asked.renewals))


def _shown(suspension: Suspension | None) -> SuspensionShown:
    if suspension is None:
        return {
            "suspended": False,
            "reason": None,
            "profiles": None,
            "renewals": False,
            "since": None,
            "by": None,
        }
    return {
        "suspended": True,
        "reason": suspension.reason,
        "profiles": None if suspension.profiles is None else list(suspension.profiles),
        "renewals": suspension.renewals,
        "since": timestamp_or_none(suspension.since),
        "by": suspension.by,
    }
