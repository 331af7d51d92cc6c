"""The operators' actions in the name of the calling operator, and their errors as HTTP answers."""

from __future__ import annotations

from flask import Response

from broker.errors import Code, Refusal
from broker.http import problems
from broker.http.credentials import Caller
from broker.operators.keys import KeyOps
from broker.operators.limits import AlreadyEnded, LimitOps
from broker.operators.people import PeopleOps
from broker.operators.users import EditConflict, Ops, OpsError, Unknown
from broker.parts import parts
from broker.store.reporting.people import Person

_CODES: tuple[tuple[type[OpsError], Code], ...] = (
    (EditConflict, "edit-conflict"),
    (AlreadyEnded, "session-ended"),
    (Unknown, "not-found"),
)


def actor(caller: Caller) -> str:
    """The operator as the audit trail names it: issuer and subject."""
    return f"{caller.principal.issuer}:{caller.principal.subject}"


def ops(caller: Caller) -> Ops:
    return Ops(parts().settings, parts().database, actor=actor(caller), previews=parts().previews)


def limit_ops(caller: Caller) -> LimitOps:
    return LimitOps(parts().settings, parts().database, actor=actor(caller))


def key_ops(caller: Caller) -> KeyOps:
    return KeyOps(parts().settings, parts().database, actor=actor(caller))


def people() -> PeopleOps:
    return PeopleOps(parts().database)


def person(key: str) -> Person:
    found = people().find(key)
    if found is None:
        raise Refusal("not-found", "No user has this key.")
    return found


def answer(error: OpsError) -> Response:
    """A failed action is 422 and names the field, unless its subject is missing, changed or already ended."""
    detail = f"{str(error)[:1].upper()}{str(error)[1:]}."
    for kind, code in _CODES:
        if isinstance(error, kind):
            return problems.answer(Refusal(code, detail))
    fields = [{"field": error.field, "problem": str(error)}] if error.field else []
    return problems.answer(Refusal("invalid-field", detail, extensions={"fields": fields} if fields else {}))
