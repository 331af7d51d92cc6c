"""The operators' actions in the name of the operator who asks, and what they say no with, as HTTP says it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response

from broker.errors import Code, Refusal
from broker.http import problems
from broker.http.credentials import Caller
from broker.net.timestamps import rfc3339
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
    """As everywhere in the trail: whose word it is, and whom it names."""
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
        raise Refusal("not-found", "There is nobody with this key.")
    return found


def time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def honoured_until(moment: datetime | None) -> dict[str, Any]:
    """Google takes no token back: until when it may honour what was given out before."""
    return {"honoured_until": time(moment)}


def answer(error: OpsError) -> Response:
    """What cannot be carried out is 422 and names the field, unless it is about what is there, or is not."""
    said = f"{str(error)[:1].upper()}{str(error)[1:]}."
    for kind, code in _CODES:
        if isinstance(error, kind):
            return problems.answer(Refusal(code, said))
    fields = [{"field": error.field, "problem": str(error)}] if error.field else []
    return problems.answer(Refusal("invalid-field", said, extensions={"fields": fields} if fields else {}))
