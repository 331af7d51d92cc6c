"""/admin/teams: the teams, what their members use together, and the limits of one team."""

from __future__ import annotations

from typing import Annotated, cast

from flask import Blueprint
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.admin import lists, operator
from broker.http.admin.limits import CommonLimits
from broker.http.admin.people import SharedLimits
from broker.http.credentials import Caller
from broker.http.responses import operation

bp = Blueprint("teams", __name__)

_POSITION = TypeAdapter(tuple[lists.PositionText])


class TeamsQuery(lists.ListQuery):
    query: Annotated[
        str, Field(max_length=64, json_schema_extra=body.NO_CONTROLS), AfterValidator(lists.readable)
    ] = ""


class TeamLimitsPatch(CommonLimits):
    """Null removes an override, so that the settings decide. A missing field stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"version": 0, "sessions": 40, "rate": None}],
            "minProperties": 2,  # the version alone changes nothing
        }
    )


class TeamShown(TypedDict):
    """`limits` apply to all members together: the `overrides` of an operator, and otherwise the `settings`.

    Costs are decimal numbers, for the day and the month of budgets; null without prices. `members` are own
    users, and everyone with a session for the team that is still kept.
    """

    name: str
    rule: str
    members: int
    open_sessions: int
    minutes_today: int
    minutes_month: int
    cost_today: str | None
    cost_month: str | None
    currency: str | None
    limits: SharedLimits
    settings: SharedLimits
    overrides: SharedLimits
    version: int


class Teams(TypedDict):
    teams: list[TeamShown]
    next: str | None


@bp.get("/teams")
@guards.require_operator
@operation("List the teams, with what their members use together", query=TeamsQuery)
def list_teams(caller: Caller) -> Teams:
    asked, admin = lists.query(TeamsQuery), operator.team_admin(caller)
    position = asked.position(_POSITION)
    after = None if position is None else position[0]
    rows = admin.page(query=asked.query, after=after, limit=asked.limit + 1)
    shown, following = lists.cut(rows, asked.limit, lambda row: (row.name,))
    return {"teams": [cast(TeamShown, admin.facts(row)) for row in shown], "next": following}


@bp.get("/teams/<team_name>")
@guards.require_operator
@operation("Show one team", codes=("not-found",))
def show_team(caller: Caller, team_name: str) -> TeamShown:
    admin = operator.team_admin(caller)
    return cast(TeamShown, admin.facts(admin.show(team_name)))


@bp.patch("/teams/<team_name>/limits")
@guards.require_operator
@operation(
    "Set limits that the members of a team share, or remove them so that the settings decide",
    body=TeamLimitsPatch,
    codes=("edit-conflict", "not-found"),
)
def set_team_limits(caller: Caller, team_name: str) -> TeamShown:
    asked, admin = body.read(TeamLimitsPatch), operator.team_admin(caller)
    changes = asked.model_dump(exclude_unset=True, exclude={"version"})
    return cast(TeamShown, admin.facts(admin.set(team_name, changes, version=asked.version)))
