"""Compares the counts that the store keeps with the rows that they count."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, text

from broker.limits.quota import day_of
from broker.store.database.column_types import UtcDateTime
from broker.store.database.engine import Database
from broker.store.ledger.day_sums import date_of

# In SQL: the tests of crossing transactions ask after each of thousands of them.
_UNCOUNTED = text("SELECT id FROM sessions WHERE held_until > :now AND NOT counted").bindparams(
    bindparam("now", type_=UtcDateTime())
)
_PLACES = text(
    """
    SELECT owner, plan, sum(kept) AS kept, sum(taken) AS taken FROM (
        SELECT owner, plan, taken AS kept, 0 AS taken FROM places
        UNION ALL SELECT 'project', '', 0, 1 FROM sessions WHERE counted
        UNION ALL SELECT 'plan', plan, 0, 1 FROM sessions WHERE counted
        UNION ALL SELECT principal_key, '', 0, 1 FROM sessions WHERE counted
        UNION ALL SELECT acting_key, '', 0, 1 FROM sessions WHERE counted AND acting_key IS NOT NULL
        UNION ALL SELECT team_key, '', 0, 1 FROM sessions WHERE counted AND team_key IS NOT NULL
    ) AS each_one GROUP BY owner, plan HAVING sum(kept) <> sum(taken) ORDER BY owner
    """
)
# Only today's tokens are all there.
_SUMS = text(
    """
    SELECT key, sum(kept), sum(kept_forgiven), sum(used), sum(forgiven) FROM (
        SELECT key, seconds AS kept, forgiven AS kept_forgiven, 0 AS used, 0 AS forgiven, 0 AS tokens
        FROM day_sums WHERE day = :date
        UNION ALL SELECT principal_key, 0, 0, seconds, forgiven, 1 FROM tokens
        WHERE reserved_at >= :day AND reserved_at < :next_day
        UNION ALL SELECT acting_key, 0, 0, seconds, forgiven, 1 FROM tokens
        WHERE reserved_at >= :day AND reserved_at < :next_day AND acting_key IS NOT NULL
        UNION ALL SELECT team_key, 0, 0, seconds, forgiven, 1
        FROM tokens JOIN sessions ON sessions.id = tokens.session_id
        WHERE reserved_at >= :day AND reserved_at < :next_day AND team_key IS NOT NULL
    ) AS each_one GROUP BY key
    HAVING sum(tokens) > 0 AND (sum(kept) <> sum(used) OR sum(kept_forgiven) <> sum(forgiven))
    """
).bindparams(bindparam("day", type_=UtcDateTime()), bindparam("next_day", type_=UtcDateTime()))
# A purge deletes sessions and keeps the sums of their month, so only days with sessions are compared.
_SPENT = text(
    """
    SELECT key, period, sum(kept), sum(kept_seconds), sum(nanos), sum(seconds) FROM (
        SELECT key, period, nanos AS kept, seconds AS kept_seconds, 0 AS nanos, 0 AS seconds, 0 AS sessions
        FROM spending
        UNION ALL SELECT principal_key, spent_on, 0, 0, spent_nanos, spent_seconds, 1 FROM sessions
        UNION ALL SELECT acting_key, spent_on, 0, 0, spent_nanos, spent_seconds, 1 FROM sessions
        WHERE acting_key IS NOT NULL
        UNION ALL SELECT team_key, spent_on, 0, 0, spent_nanos, spent_seconds, 1 FROM sessions
        WHERE team_key IS NOT NULL
        UNION ALL SELECT 'project', spent_on, 0, 0, spent_nanos, spent_seconds, 1 FROM sessions
    ) AS each_one GROUP BY key, period
    HAVING sum(sessions) > 0 AND (sum(kept) <> sum(nanos) OR sum(kept_seconds) <> sum(seconds))
    """
)
_SECONDS = text(
    "SELECT id, spent_seconds, (SELECT coalesce(sum(seconds), 0) FROM tokens WHERE session_id = sessions.id) "
    "FROM sessions WHERE spent_on <> '' AND spent_seconds <> "
    "(SELECT coalesce(sum(seconds), 0) FROM tokens WHERE session_id = sessions.id)"
)


def wrong_counts(database: Database) -> list[str]:
    """Sentences about what is wrong; none if every count is right. Nothing may be written meanwhile."""
    with database.read() as connection:
        now = database.now(connection)
        uncounted = connection.execute(_UNCOUNTED, {"now": now}).scalars().all()
        places = connection.execute(_PLACES).all()
        day = day_of(now)
        days = {"date": date_of(now), "day": day, "next_day": day + timedelta(days=1)}
        sums = connection.execute(_SUMS, days).all()
        spent = connection.execute(_SPENT).all()
        seconds = connection.execute(_SECONDS).all()
    return [
        *(f"session {one} holds a place and is not counted" for one in uncounted),
        *(f"{(owner, plan)} has {taken} places; its count is {kept}" for owner, plan, kept, taken in places),
        *(
            f"{key} used {(used, forgiven)} s today; its sums are {(kept, kept_forgiven)}"
            for key, kept, kept_forgiven, used, forgiven in sums
        ),
        *(
            f"{key} spent {(nanos, seconds)} in {period}; its sums are {(kept, kept_seconds)}"
            for key, period, kept, kept_seconds, nanos, seconds in spent
        ),
        *(f"session {one} is charged {kept} s; its tokens have {used} s" for one, kept, used in seconds),
    ]
