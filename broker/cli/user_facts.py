"""`broker users show`: one user in one list, by the same reading as the operators' page."""

from __future__ import annotations

import math
from typing import Any

from broker.operators.errors import NotFound
from broker.operators.limits import LimitAdmin
from broker.operators.principals import Principals
from broker.settings import Settings
from broker.store.database.engine import Database
from broker.store.reporting.people import SqlPeople


def facts_of(settings: Settings, database: Database, subject: str, issuer: str) -> dict[str, Any]:
    """Raises NotFound for someone who has never been seen."""
    key = Principals(settings, database).find(subject, issuer).key
    person = SqlPeople(database).find(key)
    if person is None:
        raise NotFound(
            f"{subject!r} of {issuer!r} has never asked for a token, and has no block and no limits"
        )
    limits = LimitAdmin(settings, database, actor="").of_person(person)
    return {
        "subject": person.subject,
        "issuer": person.issuer,
        "name": person.name,
        "plan": person.plan or "default",
        "team": person.team,
        "roles": sorted(person.roles),
        "blocked_at": person.blocked_at,
        "blocked_reason": person.blocked_reason or None,
        "created_at": person.created_at,
        "rule": limits.rule,
        **limits.plan.of_one(),
        "open_sessions": person.open_sessions,
        "minutes_today": math.ceil(person.used_seconds / 60),
    }
