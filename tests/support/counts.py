"""Compares the counts that the store keeps with the rows that they count."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from broker.store.database.engine import Database
from broker.store.database.tables import day_sums, places, sessions, tokens
from broker.store.ledger.day_sums import date_of


def wrong_counts(database: Database) -> list[str]:
    """Sentences about what is wrong; none if every count is right. Nothing may be written meanwhile."""
    with database.read() as connection:
        now = database.now(connection)
        known = connection.execute(select(sessions)).all()
        kept = {(row.owner, row.plan): row.taken for row in connection.execute(select(places))}
        recent = connection.execute(select(tokens).where(tokens.c.reserved_at >= now - timedelta(days=1)))
        used = _used(list(recent))
        sums = {
            (row.key, row.day): (row.seconds, row.forgiven) for row in connection.execute(select(day_sums))
        }
    taken: Counter[tuple[str, str]] = Counter()
    for row in known:
        if row.counted:
            owners = [("project", ""), ("plan", row.plan), (row.principal_key, ""), (row.acting_key, "")]
            taken.update(owner for owner in owners if owner[0] is not None)
    wrong = [
        f"session {row.id} holds a place and is not counted"
        for row in known
        if row.held_until > now and not row.counted
    ]
    wrong += [
        f"{owner} has {taken[owner]} places; its count is {kept.get(owner, 0)}"
        for owner in sorted(kept.keys() | taken.keys())
        if kept.get(owner, 0) != taken[owner]
    ]
    # Only today's tokens are all read.
    return wrong + [
        f"{key} used {found} s on {day}; its sums are {sums.get((key, day))}"
        for (key, day), found in used.items()
        if day == date_of(now) and sums.get((key, day), (0, 0)) != found
    ]


def _used(rows: list[Any]) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        for key in filter(None, (row.principal_key, row.acting_key)):
            day = date_of(row.reserved_at)
            seconds, forgiven = found.get((key, day), (0, 0))
            found[key, day] = (seconds + row.seconds, forgiven + row.forgiven)
    return found
