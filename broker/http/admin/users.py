"""/admin/users: every principal that the broker knows, and the actions on one, except its limits."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from flask import Blueprint
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.admin import lists, operator
from broker.http.admin.people import PlanShown, SharedLimits, UserShown, plan_shown, user_shown
from broker.http.credentials import Caller
from broker.http.ratelimit import BudgetLeft, RateLeft, budgets_left, rate_left
from broker.http.responses import operation
from broker.http.shapes import Nothing, timestamp_or_none
from broker.identity import passwords
from broker.identity.users import USERNAME
from broker.issuing.dry_run import DryRun, TeamUse
from broker.parts import parts
from broker.principal import TEAM_NAME
from broker.store.reporting import people
from broker.store.reporting.people import SqlPeople

bp = Blueprint("users", __name__)

Password = Annotated[str, Field(min_length=passwords.MIN_LENGTH, max_length=passwords.MAX_LENGTH)]
Roles = Annotated[tuple[Literal["operator"], ...], Field(strict=False, max_length=1)]
_POSITION = TypeAdapter(tuple[lists.PositionNumber, lists.PositionText, lists.PositionText])


class UsersQuery(lists.ListQuery):
    query: Annotated[
        str, Field(max_length=255, json_schema_extra=body.NO_CONTROLS), AfterValidator(lists.readable)
    ] = ""
    state: Literal["all", "blocked"] = "all"
    sort: people.Sort = "name"


class NewUser(body.Body):
    username: Annotated[
        str, Field(min_length=1, max_length=64, json_schema_extra={"pattern": f"^{USERNAME.pattern}$"})
    ]
    password: Password
    plan: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    roles: Roles = ()


class Reason(body.Body):
    reason: Annotated[str, Field(max_length=255, json_schema_extra=body.NO_CONTROLS)] = ""


class NewRoles(body.Body):
    """An empty list takes the role away."""

    roles: Roles


class NewTeam(body.Body):
    """Null: the user belongs to no team."""

    team: Annotated[str, Field(min_length=1, max_length=64, pattern=f"^{TEAM_NAME.pattern}$")] | None


class NewPassword(body.Body):
    password: Password


class TeamPreview(TypedDict):
    """The caller's team. Its use is null if it limits nothing but requests."""

    name: str
    rule: str
    limits: SharedLimits
    left: list[RateLeft]
    open_sessions: int | None
    used_minutes: int | None
    budgets: list[BudgetLeft]


class Preview(TypedDict):
    """The answer that the next `POST /token` would get, and the rule that decides it."""

    profile: str
    rule: str
    limits: PlanShown
    left: list[RateLeft]
    open_sessions: int
    used_minutes: int
    budgets: list[BudgetLeft]
    team: TeamPreview | None
    answer: str
    status: int
    detail: str | None


class OneUser(UserShown):
    next_token: Preview


class Users(TypedDict):
    users: list[UserShown]
    next: str | None


class HonouredUntil(TypedDict):
    """Google cannot revoke a token: it may accept existing ones until then."""

    honoured_until: str | None


@bp.get("/users")
@guards.require_operator
@operation("List every known principal", query=UsersQuery)
def list_users(caller: Caller) -> Users:
    asked = lists.query(UsersQuery)
    found = SqlPeople(parts().database).page(
        query=asked.query,
        blocked_only=asked.state == "blocked",
        sort=asked.sort,
        after=asked.position(_POSITION),
        limit=asked.limit + 1,
    )
    shown, following = lists.cut(found, asked.limit, lambda person: people.position(person, asked.sort))
    return {"users": [user_shown(caller, person) for person in shown], "next": following}


@bp.post("/users")
@guards.require_operator
@operation("Add one of the broker's own users", status=201, body=NewUser)
def add_user(caller: Caller) -> UserShown:
    asked = body.read(NewUser)
    added = operator.user_admin(caller).add(
        asked.username, asked.password, plan=asked.plan, roles=asked.roles
    )
    return user_shown(caller, operator.person(added.principal().key))


@bp.get("/users/<user_key>")
@guards.require_operator
@operation("Show one principal, and the answer that its next token request would get", codes=("not-found",))
def show_user(caller: Caller, user_key: str) -> OneUser:
    person = operator.person(user_key)
    dry_run = operator.user_admin(caller).explain(person.subject, issuer=person.issuer)
    return {**user_shown(caller, person), "next_token": _preview(dry_run)}


@bp.post("/users/<user_key>/block")
@guards.require_operator
@operation("Block a principal", body=Reason, codes=("not-found",))
def block(caller: Caller, user_key: str) -> HonouredUntil:
    asked, person = body.read(Reason), operator.person(user_key)
    until = operator.block_admin(caller).block(person.subject, person.issuer, reason=asked.reason)
    return {"honoured_until": timestamp_or_none(until)}


@bp.post("/users/<user_key>/unblock")
@guards.require_operator
@operation("Unblock a principal", body=body.Empty, codes=("not-found", "edit-conflict"))
def unblock(caller: Caller, user_key: str) -> Nothing:
    body.read(body.Empty)
    person = operator.person(user_key)
    operator.block_admin(caller).unblock(person.subject, person.issuer)
    return {}


@bp.post("/users/<user_key>/roles")
@guards.require_operator
@operation("Replace the roles of one of the broker's own users", body=NewRoles, codes=("not-found",))
def set_roles(caller: Caller, user_key: str) -> Nothing:
    asked, person = body.read(NewRoles), operator.person(user_key)
    operator.user_admin(caller).set_roles(person.subject, asked.roles, person.issuer)
    return {}


@bp.post("/users/<user_key>/team")
@guards.require_operator
@operation("Set the team of one of the broker's own users", body=NewTeam, codes=("not-found",))
def set_team(caller: Caller, user_key: str) -> Nothing:
    asked, person = body.read(NewTeam), operator.person(user_key)
    operator.user_admin(caller).set_team(person.subject, asked.team, person.issuer)
    return {}


@bp.post("/users/<user_key>/sign-out")
@guards.require_operator
@operation("End all sign-ins and bearer tokens of a principal", body=body.Empty, codes=("not-found",))
def sign_out(caller: Caller, user_key: str) -> Nothing:
    body.read(body.Empty)
    person = operator.person(user_key)
    operator.user_admin(caller).sign_out(person.subject, person.issuer)
    return {}


@bp.post("/users/<user_key>/password")
@guards.require_operator
@operation("Set a new password for one of the broker's own users", body=NewPassword, codes=("not-found",))
def set_password(caller: Caller, user_key: str) -> Nothing:
    asked, person = body.read(NewPassword), operator.person(user_key)
    operator.user_admin(caller).set_password(person.subject, asked.password, person.issuer)
    return {}


def _preview(dry_run: DryRun) -> Preview:
    refusal = dry_run.refusal
    return {
        "profile": dry_run.profile,
        "rule": dry_run.rule,
        "limits": plan_shown(dry_run.limits),
        "left": [rate_left(state) for state in dry_run.rates],
        "open_sessions": dry_run.usage.open,
        "used_minutes": dry_run.usage.used_minutes,
        "budgets": budgets_left(dry_run.usage.bounds),
        "team": None if dry_run.team is None else _team(dry_run.team),
        "answer": dry_run.answer,
        "status": refusal.status if refusal else 200,
        "detail": (refusal.detail or refusal.title) if refusal else None,
    }


def _team(team: TeamUse) -> TeamPreview:
    shown = {**team.to_json(), "left": [rate_left(rate) for rate in team.rates]}
    return cast(TeamPreview, shown)
