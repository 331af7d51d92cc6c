"""The operators' actions in the name of the calling operator, and their errors as HTTP answers."""

from __future__ import annotations

import re

from flask import Response

from broker.errors import Code, Refusal
from broker.http import problems
from broker.http.credentials import Caller
from broker.operators.blocks import BlockAdmin
from broker.operators.errors import EditConflict, LastOperator, NotFound, OperatorError, SessionEnded
from broker.operators.keys import KeyAdmin
from broker.operators.limits import LimitAdmin
from broker.operators.sessions import SessionAdmin
from broker.operators.suspension import SuspensionAdmin
from broker.operators.teams import TeamAdmin
from broker.operators.users import UserAdmin
from broker.parts import parts
from broker.store.reporting.people import Person, SqlPeople

_CODES: tuple[tuple[type[OperatorError], Code], ...] = (
    (EditConflict, "edit-conflict"),
    (SessionEnded, "session-ended"),
    (NotFound, "not-found"),
    (LastOperator, "forbidden"),
)
_PERSON_KEY = re.compile("[0-9a-f]{40}")


def actor(caller: Caller) -> str:
    """The operator as the audit trail names it: issuer and subject."""
    return f"{caller.principal.issuer}:{caller.principal.subject}"


def user_admin(caller: Caller) -> UserAdmin:
    return UserAdmin(parts().settings, parts().database, actor=actor(caller), previews=parts().previews)


def block_admin(caller: Caller) -> BlockAdmin:
    return BlockAdmin(parts().settings, parts().database, actor=actor(caller))


def limit_admin(caller: Caller) -> LimitAdmin:
    return LimitAdmin(parts().settings, parts().database, actor=actor(caller))


def team_admin(caller: Caller) -> TeamAdmin:
    return TeamAdmin(parts().settings, parts().database, actor=actor(caller))


def session_admin(caller: Caller) -> SessionAdmin:
    return SessionAdmin(parts().database, actor=actor(caller))


def suspension_admin(caller: Caller) -> SuspensionAdmin:
    return SuspensionAdmin(parts().settings, parts().database, actor=actor(caller))


def key_admin(caller: Caller) -> KeyAdmin:
    return KeyAdmin(parts().settings, parts().database, actor=actor(caller))


def person(key: str) -> Person:
    found = SqlPeople(parts().database).find(key) if _PERSON_KEY.fullmatch(key) else None
    if found is None:
        raise Refusal("not-found", "No user has this key.")
    return found


def answer(error: OperatorError) -> Response:
    """A failed action is 422 and names the field, unless its subject is missing, changed, ended or needed."""
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    for kind, code in _CODES:
        if isinstance(error, kind):
            return problems.answer(Refusal(code, detail))
    fields = [{"field": error.field, "problem": str(error)}] if error.field else []
    return problems.answer(Refusal("invalid-field", detail, extensions={"fields": fields} if fields else {}))
