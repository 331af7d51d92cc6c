"""How much of each quota is used, counted in SQL: places, and charged and forgiven seconds of today.

The two rules of `sessions.session` are written here once, for the ledger and for the operators' reports:
`HOLDS_PLACE` of a session, and `CHARGED_TODAY` of a token. Statements that use them take `times(now)`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from broker.limits import quota as quotas
from broker.limits.quota import Quota, Quotas, QuotaUsage
from broker.sessions.session import TokenState
from broker.store.database.tables import sessions, tokens

# A place is kept this much longer than the join window: the first heartbeat may be on its way.
GRACE = timedelta(seconds=30)

HOLDS_PLACE = sessions.c.held_until > bindparam("now")
# A reservation that was never confirmed stops counting when its place is free, because no one has the token.
CHARGED_TODAY = and_(
    tokens.c.reserved_at >= bindparam("day"),
    or_(tokens.c.state != TokenState.RESERVED, tokens.c.connect_by > bindparam("lapsed")),
)


def times(now: datetime) -> dict[str, datetime]:
    """The values for `HOLDS_PLACE` and `CHARGED_TODAY`."""
    return {"now": now, "day": quotas.day_of(now), "lapsed": now - GRACE}


# Built once: putting a statement together takes longer than running it.
_OPEN = select(func.count(), func.min(sessions.c.held_until)).where(
    or_(sessions.c.principal_key == bindparam("key"), sessions.c.acting_key == bindparam("key")),
    HOLDS_PLACE,
)
_SECONDS = select(
    func.coalesce(func.sum(tokens.c.seconds), 0), func.coalesce(func.sum(tokens.c.forgiven), 0)
).where(
    or_(tokens.c.principal_key == bindparam("key"), tokens.c.acting_key == bindparam("key")),
    CHARGED_TODAY,
)
_IN_PROJECT = select(sessions.c.plan, func.count()).where(HOLDS_PLACE).group_by(sessions.c.plan)


def usage_of(
    connection: Connection, quota: Quota, now: datetime, since: datetime | None = None
) -> QuotaUsage:
    """`since`: count the seconds from that day on, which may have begun before today."""
    values: dict[str, Any] = {"key": quota.key, **times(now)}
    taken, frees_at = connection.execute(_OPEN, values).one()
    if since is not None:
        values["day"] = min(values["day"], quotas.day_of(since))
    used, forgiven = connection.execute(_SECONDS, values).one()
    return QuotaUsage(quota, now, taken, int(used), frees_at, int(forgiven))


def project_is_full(connection: Connection, limits: Quotas, now: datetime) -> bool:
    taken = {plan: int(places) for plan, places in connection.execute(_IN_PROJECT, times(now))}
    return quotas.project_is_full(limits, taken)
