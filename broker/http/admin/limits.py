"""PATCH /admin/users/{key}/limits: change the limits of one principal, if its version is unchanged."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint
from pydantic import ConfigDict, Field

from broker.http import body, guards
from broker.http.admin import operator
from broker.http.admin.people import UserShown, user_shown
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.settings.document import MinutesPerDay, MinutesPerMonth, MostSessions, SessionMinutes

bp = Blueprint("limits", __name__)


Money = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$")]
"""A decimal number as text, in the currency of the prices."""
Version = Annotated[int, Field(ge=0, lt=2**31)]


class CommonLimits(body.Body):
    """The limits that both a principal and a team have."""

    version: Version
    rate: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    sessions: MostSessions | None = None
    minutes_per_day: MinutesPerDay | None = None
    budget_per_day: Money | None = None
    budget_per_month: Money | None = None
    minutes_per_month: MinutesPerMonth | None = None


class LimitsPatch(CommonLimits):
    """Null removes an override, so that the plan decides. A missing field stays as it is.

    Values have the same bounds as those of a plan.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"version": 0, "sessions": 4, "rate": None}],
            "minProperties": 2,  # the version alone changes nothing
        }
    )

    plan: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    session_minutes: SessionMinutes | None = None


@bp.patch("/users/<user_key>/limits")
@guards.require_operator
@operation(
    "Set limits of one principal, or remove them so that its plan decides",
    body=LimitsPatch,
    codes=("not-found", "edit-conflict"),
)
def set_limits(caller: Caller, user_key: str) -> UserShown:
    asked, person = body.read(LimitsPatch), operator.person(user_key)
    changes = asked.model_dump(exclude_unset=True, exclude={"version"})
    operator.limit_admin(caller).set(person.subject, changes, person.issuer, version=asked.version)
    return user_shown(caller, operator.person(user_key))
