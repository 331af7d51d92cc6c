"""Whom the broker knows: what operators look through before they act. Nothing here changes anything."""

from __future__ import annotations

import re

from broker.store.database.engine import Database
from broker.store.reporting.people import Person, SqlPeople
from broker.store.reporting.totals import SqlTotals, Today
from broker.store.trail import Asked, Entry, SqlTrail

_KEY = re.compile("[0-9a-f]{40}")


class PeopleOps:
    def __init__(self, database: Database) -> None:
        self._people = SqlPeople(database)
        self._trail = SqlTrail(database)
        self._totals = SqlTotals(database)

    def find(self, key: str) -> Person | None:
        """By the principal's key."""
        return self._people.find(key) if _KEY.fullmatch(key) else None

    def page(
        self, query: str, *, blocked_only: bool, after: tuple[str, str] | None, most: int
    ) -> list[Person]:
        return self._people.page(query=query, blocked_only=blocked_only, after=after, most=most)

    def trail(self, asked: Asked, *, before_id: int | None, most: int) -> list[Entry]:
        return self._trail.page(asked, before_id=before_id, most=most)

    def today(self) -> Today:
        return self._totals.today()
