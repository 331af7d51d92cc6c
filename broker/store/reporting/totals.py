"""SqlTotals: open sessions now, the sums of today, and the refusals of the last hour, over all principals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, text

from broker.errors import CODES
from broker.limits import quota as quotas
from broker.store.database.engine import Database
from broker.store.database.tables import REFUSED, audit, sessions, tokens
from broker.store.ledger.quota_usage import CHARGED_TODAY, HOLDS_PLACE, times

_PLACES = select(func.count()).select_from(sessions).where(HOLDS_PLACE)
_CHARGED = select(func.coalesce(func.sum(tokens.c.seconds), 0)).where(CHARGED_TODAY)


MOST_ACTORS = 3
_RECENTLY_REFUSED = (text(REFUSED), audit.c.at >= bindparam("since"), audit.c.outcome.in_(list(CODES)))
_BY_CODE = (
    select(audit.c.outcome, func.sum(audit.c.times)).where(*_RECENTLY_REFUSED).group_by(audit.c.outcome)
)
_BY_ACTOR = (
    select(audit.c.actor, func.sum(audit.c.times))
    .where(*_RECENTLY_REFUSED)
    .group_by(audit.c.actor)
    .order_by(func.sum(audit.c.times).desc(), audit.c.actor)
    .limit(MOST_ACTORS)
)
_FIRST_SESSION = select(func.min(sessions.c.opened_at))


@dataclass(frozen=True)
class LastHour:
    """`refusals` by code. `by_actor`: those refused most, as the audit trail names them, and how often."""

    refusals: Mapping[str, int]
    by_actor: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Today:
    """Counts since midnight UTC, by the store's clock. A minute that has begun counts as a whole one.

    `minutes` are charged. `first_session_at` is the oldest session that the store has.
    """

    now: datetime
    open_sessions: int
    tokens: int
    refusals: int
    minutes: int
    first_session_at: datetime | None
    last_hour: LastHour


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
            since = {"since": now - timedelta(hours=1)}
            by_code = {code: int(number) for code, number in connection.execute(_BY_CODE, since)}
            by_actor = [(actor, int(number)) for actor, number in connection.execute(_BY_ACTOR, since)]
            first_session_at = connection.execute(_FIRST_SESSION).scalar_one()
        return Today(
            now,
            counts[0],
            counts[1],
            int(counts[2]),
            math.ceil(int(counts[3]) / 60),
            first_session_at,
            LastHour(by_code, by_actor),
        )
