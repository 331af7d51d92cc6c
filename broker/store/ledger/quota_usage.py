"""How much of each quota is used: places, and charged and forgiven seconds of today.

The two rules of `sessions.session` are written here once, for the ledger and for the operators' reports:
`HOLDS_PLACE` of a session, and `CHARGED_TODAY` of a token. Statements that use them take `times(now)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, and_, bindparam, or_, text

from broker.limits import quota as quotas
from broker.limits.budget import Spent
from broker.limits.quota import Quota, QuotaUsage
from broker.sessions.session import SessionState, TokenState
from broker.store.database.column_types import UtcDateTime
from broker.store.database.statement import Statement
from broker.store.database.tables import sessions, tokens
from broker.store.ledger.day_sums import date_of

# A place is kept this much longer than the join window: the first heartbeat may be on its way.
GRACE = timedelta(seconds=30)

# A reader's time is a moment older than what it reads: a reservation may have become void meanwhile.
HOLDS_PLACE = and_(sessions.c.held_until > bindparam("now"), sessions.c.state != SessionState.VOID)
# A reservation that was never confirmed stops counting when its place is free, because no one has the token.
CHARGED_TODAY = and_(
    tokens.c.reserved_at >= bindparam("day"),
    or_(tokens.c.state != TokenState.RESERVED, tokens.c.connect_by > bindparam("lapsed")),
)


def times(now: datetime) -> dict[str, datetime]:
    """The values for `HOLDS_PLACE` and `CHARGED_TODAY`."""
    return {"now": now, "day": quotas.day_of(now), "lapsed": now - GRACE}


# Built once: putting a statement together takes longer than running it. None of them reads a number of rows
# that grows with the sessions of a key or the tokens of a day: see `places` and `day_sums`. Two things are
# subtracted: places that have become free since a request last looked, and reservations of workers that died.
_LAPSED = "SELECT count(*) FROM sessions WHERE counted AND {owner} = :key AND held_until <= :now"
_UNCONFIRMED = (
    "SELECT seconds, forgiven FROM tokens WHERE state = 'reserved' AND {owner} = :key "
    "AND connect_by > :day AND connect_by <= :lapsed AND reserved_at >= :day"
)
_FREES_AT = (
    "SELECT min(held_until) AS at FROM sessions WHERE counted AND {owner} = :key AND held_until > :now"
)
_OWNERS = ("principal_key", "acting_key")


def of_both(query: str) -> str:
    """Two queries, because one with OR would not use the index of each."""
    return " UNION ALL ".join(query.format(owner=owner) for owner in _OWNERS)


# Only sessions have a column for the team. A subquery and no join, and CASE for the day, so that a database
# begins with the unconfirmed tokens: they are few. The sessions of a team and the tokens of a day are many.
_IS_OF_TEAM = "(SELECT team_key FROM sessions AS own WHERE own.id = tokens.session_id) = :key"
_UNCONFIRMED_OF_TEAM = f"""
    SELECT CASE WHEN reserved_at >= :day THEN seconds ELSE 0 END AS seconds,
           CASE WHEN reserved_at >= :day THEN forgiven ELSE 0 END AS forgiven
    FROM tokens WHERE state = 'reserved' AND connect_by <= :lapsed AND {_IS_OF_TEAM}
    """  # noqa: S608 - constants only # nosec B608


def _statement(sql: str, *names: str) -> Statement:
    return Statement(timed(sql, *names))


def timed(sql: str, *names: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=UtcDateTime()) for name in names))


_FREE = f"({_LAPSED.format(owner='principal_key')}) + ({_LAPSED.format(owner='acting_key')})"


def _counts(free: str, unconfirmed: str, sums: str = "", more: str = "") -> str:
    """The usage of `:key`: `free` places among the counted ones, and the `unconfirmed` tokens of today."""
    return f"""
    SELECT place.taken, place.recounted_on, {free} AS free,
           total.seconds - dead.seconds AS seconds, total.forgiven - dead.forgiven AS forgiven{sums}
    FROM (SELECT coalesce(sum(seconds), 0) AS seconds, coalesce(sum(forgiven), 0) AS forgiven
          FROM day_sums WHERE key = :key AND day >= :date) AS total
    CROSS JOIN (SELECT coalesce(sum(seconds), 0) AS seconds, coalesce(sum(forgiven), 0) AS forgiven
                FROM ({unconfirmed}) AS each_one) AS dead
    LEFT JOIN places AS place ON place.owner = :key AND place.plan = ''{more}
    """  # noqa: S608 - constants only # nosec B608


# Reservations that were never confirmed, of all principals.
DEAD = (
    "SELECT sessions.spent_on AS period, -tokens.nanos AS nanos, -tokens.seconds AS seconds "
    "FROM tokens JOIN sessions ON sessions.id = tokens.session_id "
    "WHERE tokens.state = 'reserved' AND tokens.connect_by <= :lapsed"
)


def spent_query(dead: str) -> str:
    """The sums of `:key` for the day `:label` and for `:month`, without the reservations of `dead`."""
    return f"""
    SELECT coalesce(sum(CASE WHEN period = :label THEN nanos END), 0) AS day_nanos,
           coalesce(sum(CASE WHEN period <> :label THEN nanos END), 0) AS month_nanos,
           coalesce(sum(CASE WHEN period <> :label THEN seconds END), 0) AS month_seconds
    FROM (SELECT period, nanos, seconds FROM spending WHERE key = :key AND period IN (:label, :month)
          UNION ALL SELECT * FROM ({dead}) AS dead_today WHERE period = :label
          UNION ALL SELECT substr(period, 1, 7), nanos, seconds FROM ({dead}) AS dead_in_month
                    WHERE substr(period, 1, 7) = :month) AS each_sum
    """  # noqa: S608 - constants only # nosec B608


class _Reading:
    """The statements that read the usage of one kind of owner."""

    def __init__(self, free: str, unconfirmed: str, dead: str, frees_at: str) -> None:
        sums = ", spent.day_nanos, spent.month_nanos, spent.month_seconds"
        spent = f" CROSS JOIN ({spent_query(dead)}) AS spent"
        self.usage = _statement(_counts(free, unconfirmed), "now", "day", "lapsed")
        self.usage_and_spent = _statement(_counts(free, unconfirmed, sums, spent), "now", "day", "lapsed")
        self.next_free = timed(
            f"SELECT min(at) AS at FROM ({frees_at}) AS each_one",  # noqa: S608 # nosec B608
            "now",
        ).columns(at=UtcDateTime())


_OF_PRINCIPAL = _Reading(
    _FREE, of_both(_UNCONFIRMED), of_both(f"{DEAD} AND tokens.{{owner}} = :key"), of_both(_FREES_AT)
)
_OF_TEAM = _Reading(
    f"({_LAPSED.format(owner='team_key')})",
    _UNCONFIRMED_OF_TEAM,
    f"{DEAD} AND {_IS_OF_TEAM}",
    _FREES_AT.format(owner="team_key"),
)


@dataclass(frozen=True)
class Counted:
    """`free`: so many counted places have become free. `is_stale`: the count has to be made anew.

    `spent` is None if it was not read.
    """

    usage: QuotaUsage
    free: int
    is_stale: bool
    spent: Spent | None = None


def usage_of(
    connection: Connection, quota: Quota, now: datetime, since: datetime | None = None
) -> QuotaUsage:
    """`since`: count the seconds from that day on, which may have begun before today."""
    return counted(connection, quota, now, since).usage


def counted(
    connection: Connection,
    quota: Quota,
    now: datetime,
    since: datetime | None = None,
    label: str | None = None,
    *,
    always_spent: bool = False,
) -> Counted:
    """`label`: the day of budgets. `always_spent`: read what is spent also without a budget."""
    reading = _OF_TEAM if quota.is_team else _OF_PRINCIPAL
    values: dict[str, Any] = {"key": quota.key, **times(now)}
    if since is not None:
        values["day"] = min(values["day"], quotas.day_of(since))
    values["date"] = date_of(values["day"])
    spent = None
    if (quota.budget or always_spent) and label is not None:
        values |= {"label": label, "month": label[:7]}
        (row,) = reading.usage_and_spent.run(connection, values)
        taken, recounted_on, free, used, forgiven, *sums = row
        spent = Spent(*map(int, sums))
    else:
        ((taken, recounted_on, free, used, forgiven),) = reading.usage.run(connection, values)
    is_open = (taken or 0) - free
    frees_at = None
    if is_open >= quota.sessions:
        frees_at = connection.execute(reading.next_free, {"key": quota.key, "now": now}).scalar_one()
    usage = QuotaUsage(quota, now, is_open, int(used), frees_at, int(forgiven))
    is_stale = taken is not None and (recounted_on != date_of(now) or is_open < 0)
    return Counted(usage, free, is_stale, spent)
