"""/admin/users: everybody whom the broker knows, and what is done to one of them except to limits."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, jsonify
from pydantic import AfterValidator, Field

from broker.http import body, guards
from broker.http.admin import lists
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.identity import passwords
from broker.parts import parts
from broker.store.reporting.people import Person, SqlPeople

bp = Blueprint("users", __name__)

Password = Annotated[str, Field(min_length=passwords.MIN_LENGTH, max_length=passwords.MAX_LENGTH)]


class UsersQuery(lists.ListQuery):
    query: Annotated[str, Field(max_length=255), AfterValidator(lists.printable)] = ""
    state: Literal["all", "blocked"] = "all"


class NewUser(body.Body):
    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Password
    plan: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    roles: Annotated[tuple[Literal["operator"], ...], Field(strict=False, max_length=1)] = ()


class Reason(body.Body):
    reason: Annotated[str, Field(max_length=255)] = ""


class NewPassword(body.Body):
    password: Password


@bp.get("/users")
@guards.require_operator
def list_users(caller: Caller) -> Response:
    asked = lists.query(UsersQuery)
    place = asked.place(lists.text, lists.text)
    found = SqlPeople(parts().database).page(
        query=asked.query,
        blocked_only=asked.state == "blocked",
        after=None if place is None else (place[0], place[1]),
        limit=asked.limit + 1,
    )
    return lists.page(
        "users", found, asked.limit, lambda one: to_json(caller, one), lambda one: (one.issuer, one.subject)
    )


@bp.post("/users")
@guards.require_operator
def add_user(caller: Caller) -> tuple[Response, int]:
    asked = body.read(NewUser)
    made = desk.user_admin(caller).add(asked.username, asked.password, plan=asked.plan, roles=asked.roles)
    key = made.principal().key
    return jsonify(to_json(caller, desk.person(key))), 201


@bp.get("/users/<user_key>")
@guards.require_operator
def show_user(caller: Caller, user_key: str) -> Response:
    person = desk.person(user_key)
    preview = desk.user_admin(caller).explain(person.subject, issuer=person.issuer)
    return jsonify({**to_json(caller, person), "next_token": preview.to_json()})


@bp.post("/users/<user_key>/block")
@guards.require_operator
def block(caller: Caller, user_key: str) -> Response:
    asked, person = body.read(Reason), desk.person(user_key)
    until = desk.block_admin(caller).block(person.subject, person.issuer, reason=asked.reason)
    return jsonify(desk.honoured_until(until))


@bp.post("/users/<user_key>/unblock")
@guards.require_operator
def unblock(caller: Caller, user_key: str) -> Response:
    body.read(body.Empty)
    person = desk.person(user_key)
    desk.block_admin(caller).unblock(person.subject, person.issuer)
    return jsonify({})


@bp.post("/users/<user_key>/sign-out")
@guards.require_operator
def sign_out(caller: Caller, user_key: str) -> Response:
    body.read(body.Empty)
    person = desk.person(user_key)
    desk.user_admin(caller).sign_out(person.subject, person.issuer)
    return jsonify({})


@bp.post("/users/<user_key>/password")
@guards.require_operator
def set_password(caller: Caller, user_key: str) -> Response:
    asked, person = body.read(NewPassword), desk.person(user_key)
    desk.user_admin(caller).set_password(person.subject, asked.password, person.issuer)
    return jsonify({})


def to_json(caller: Caller, person: Person) -> dict[str, Any]:
    """A user as every route here answers one. `limits` is what holds, `overrides` what of it was set."""
    limits = desk.limit_admin(caller).of_person(person)
    return {
        "key": person.key,
        "issuer": person.issuer,
        "subject": person.subject,
        "name": person.name,
        "own": person.is_own,
        "plan": person.plan or "default",
        "roles": sorted(person.roles),
        "blocked": _block(person),
        "created_at": desk.time(person.created_at),
        "open_sessions": person.open_sessions,
        "minutes_today": math.ceil(person.used_seconds / 60),
        "limits": {"rule": limits.rule, "plan": limits.plan_name, **limits.plan.of_one()},
        "overrides": vars(person.overrides),
        "version": person.version,
    }


def _block(person: Person) -> dict[str, Any] | None:
    if person.blocked_at is None:
        return None
    return {"at": desk.time(person.blocked_at), "reason": person.blocked_reason}
