"""What is taken: places, seconds of today and early releases, counted in SQL for the ledger.

Whoever grants or lengthens a place holds the locks of all whom it counts for: the rows of the principals, in
the order service key, user; then the project's. Counting alone needs none of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from broker.limits import quota as quotas
from broker.limits.quota import Quota, Quotas, QuotaUsage
from broker.sessions.session import TokenState
from broker.store.database.engine import Database
from broker.store.database.tables import sessions, tokens

# A place is kept this much longer than the join window: the first heartbeat may be on its way.
GRACE = timedelta(seconds=30)
EARLY_RELEASES = 20
_HOUR = timedelta(hours=1)

_OPEN = select(func.count(), func.min(sessions.c.held_until)).where(
    or_(sessions.c.principal_key == bindparam("key"), sessions.c.acting_key == bindparam("key")),
    sessions.c.held_until > bindparam("now"),
)
# A reservation that was never confirmed stops counting when its place is free: nobody has the token.
_USED = select(func.coalesce(func.sum(tokens.c.seconds), 0)).where(
    or_(tokens.c.principal_key == bindparam("key"), tokens.c.acting_key == bindparam("key")),
    tokens.c.reserved_at >= bindparam("day"),
    or_(tokens.c.state != TokenState.RESERVED, tokens.c.connect_by > bindparam("lapsed")),
)
_IN_PROJECT = (
    select(sessions.c.plan, func.count())
    .where(sessions.c.held_until > bindparam("now"))
    .group_by(sessions.c.plan)
)
_RELEASES = select(func.count()).where(
    sessions.c.principal_key == bindparam("key"),
    sessions.c.held_until > bindparam("since"),
    sessions.c.released_at > bindparam("since"),
)
_REPLACEMENTS = select(func.count()).where(
    tokens.c.principal_key == bindparam("key"),
    tokens.c.reserved_at > bindparam("since"),
    and_(tokens.c.covers_from > tokens.c.reserved_at, tokens.c.state != TokenState.VOID),
)


def usage_of(connection: Connection, quota: Quota, now: datetime) -> QuotaUsage:
    taken, frees_at = connection.execute(_OPEN, {"key": quota.key, "now": now}).one()
    values = {"key": quota.key, "day": quotas.day_of(now), "lapsed": now - GRACE}
    used = connection.execute(_USED, values).scalar_one()
    return QuotaUsage(quota, now, taken, int(used), frees_at)


def project_is_full(connection: Connection, of: Quotas, now: datetime) -> bool:
    taken = {plan: int(places) for plan, places in connection.execute(_IN_PROJECT, {"now": now})}
    return quotas.project_is_full(of, taken)


def lock_project(database: Database, connection: Connection) -> None:
    """Taken last and held shortest: it is everybody's."""
    database.lock(connection, "project")


def may_release_early(connection: Connection, key: str, now: datetime) -> bool:
    """What a client says to have ended may go on at Google: believed so often in an hour, and no more."""
    values = {"key": key, "since": now - _HOUR}
    released = connection.execute(_RELEASES, values).scalar_one()
    return bool(released + connection.execute(_REPLACEMENTS, values).scalar_one() < EARLY_RELEASES)
