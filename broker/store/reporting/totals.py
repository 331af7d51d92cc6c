"""SqlTotals: open sessions now, and tokens, refusals and minutes of today, over all principals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from broker.errors import CODES
from broker.limits import quota as quotas
from broker.store.database.engine import Database
from broker.store.database.tables import audit, sessions, tokens
from broker.store.ledger.quota_usage import CHARGED_TODAY, HOLDS_PLACE, times

_PLACES = select(func.count()).select_from(sessions).where(HOLDS_PLACE)
_CHARGED = select(func.coalesce(func.sum(tokens.c.seconds), 0)).where(CHARGED_TODAY)


@dataclass(frozen=True)
class Today:
    """Counts since midnight UTC, by the store's clock. A minute that has begun counts as a whole one."""

    now: datetime
    open_sessions: int
    tokens: int
    refusals: int
    minutes: int


class SqlTotals:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open_sessions(self) -> int:
        with self._database.read() as connection:
            values = times(self._database.now(connection))
            return int(connection.execute(_PLACES, values).scalar_one())

    def today(self) -> Today:
        with self._database.read() as connection:
            now = self._database.now(connection)
            # The audit log has both outcomes in order of time, so one index serves both counts.
            today = audit.c.at >= quotas.day_of(now)
            granted = select(func.count()).where(today, audit.c.action == "token", audit.c.outcome == "ok")
            refused = select(func.coalesce(func.sum(audit.c.times), 0)).where(
                today, audit.c.outcome.in_(list(CODES))
            )
            counts = [
                connection.execute(query, times(now)).scalar_one()
                for query in (_PLACES, granted, refused, _CHARGED)
            ]
        return Today(now, counts[0], counts[1], int(counts[2]), math.ceil(int(counts[3]) / 60))
