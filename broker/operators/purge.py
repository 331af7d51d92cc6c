"""PurgeAdmin: deletes the past that no limit needs any longer."""

from __future__ import annotations

from datetime import datetime

from broker.operators.errors import OperatorError
from broker.settings import PriceList
from broker.store.database.engine import Database
from broker.store.ledger.purge import NewestPurge, Purged, SqlPurge


class PurgeAdmin:
    def __init__(self, database: Database, prices: PriceList, *, actor: str) -> None:
        self._purge = SqlPurge(database, prices)
        self._actor = actor

    def count(self, before: datetime) -> Purged:
        """What `purge` would delete now."""
        try:
            return self._purge.count(before)
        except NewestPurge as newest:
            raise _too_new(newest) from None

    def purge(self, before: datetime) -> Purged:
        """Delete it, in short transactions, so that a running broker goes on. Returns what was deleted."""
        try:
            return self._purge.purge(before, actor=self._actor)
        except NewestPurge as newest:
            raise _too_new(newest) from None


def _too_new(newest: NewestPurge) -> OperatorError:
    return OperatorError(
        f"limits need what is newer than {newest.moment:%Y-%m-%d} (UTC); choose that day or an earlier one",
        field="before",
    )
