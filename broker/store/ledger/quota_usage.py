"""How much of each quota is used, counted in SQL: places, seconds of today and early releases.

The two rules of `sessions.session` are written here once, for the ledger and for the operators' reports:
`HOLDS_PLACE` of a session, and `CHARGED_TODAY` of a token. Statements that use them take `times(now)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from broker.limits import quota as quotas
from broker.limits.quota import Quota, Quotas, QuotaUsage
from broker.sessions.session import TokenState
from broker.store.database.tables import sessions, tokens

# A place is kept this much longer than the join window: the first heartbeat may be on its way.
GRACE = timedelta(seconds=30)
EARLY_RELEASES = 20
_HOUR = timedelta(hours=1)

HOLDS_PLACE = sessions.c.held_until > bindparam("now")
# A reservation that was never confirmed stops counting when its place is free, because no one has the token.
CHARGED_TODAY = and_(
    tokens.c.reserved_at >= bindparam("day"),
    or_(tokens.c.state != TokenState.RESERVED, tokens.c.connect_by > bindparam("lapsed")),
)


def times(now: datetime) -> Mapping[str, datetime]:
    """The values for `HOLDS_PLACE` and `CHARGED_TODAY`."""
    return {"now": now, "day": quotas.day_of(now), "lapsed": now - GRACE}


# Built once: putting a statement together takes longer than running it.
_OPEN = select(func.count(), func.min(sessions.c.held_until)).where(
    or_(sessions.c.principal_key == bindparam("key"), sessions.c.acting_key == bindparam("key")),
    HOLDS_PLACE,
)
_USED = select(func.coalesce(func.sum(tokens.c.seconds), 0)).where(
    or_(tokens.c.principal_key == bindparam("key"), tokens.c.acting_key == bindparam("key")),
    CHARGED_TODAY,
)
_IN_PROJECT = select(sessions.c.plan, func.count()).where(HOLDS_PLACE).group_by(sessions.c.plan)
_RELEASES = select(func.count()).where(
    sessions.c.principal_key == bindparam("key"),
    # Implied by the next condition: it lets the index of `held_until` find the rows.
    sessions.c.held_until > bindparam("since"),
    sessions.c.released_at > bindparam("since"),
)
_REPLACEMENTS = select(func.count()).where(
    tokens.c.principal_key == bindparam("key"),
    tokens.c.reserved_at > bindparam("since"),
    and_(tokens.c.covers_from > tokens.c.reserved_at, tokens.c.state != TokenState.VOID),
)


def usage_of(connection: Connection, quota: Quota, now: datetime) -> QuotaUsage:
    values = {"key": quota.key, **times(now)}
    taken, frees_at = connection.execute(_OPEN, values).one()
    used = connection.execute(_USED, values).scalar_one()
    return QuotaUsage(quota, now, taken, int(used), frees_at)


def project_is_full(connection: Connection, limits: Quotas, now: datetime) -> bool:
    taken = {plan: int(places) for plan, places in connection.execute(_IN_PROJECT, times(now))}
    return quotas.project_is_full(limits, taken)


def may_release_early(connection: Connection, key: str, now: datetime) -> bool:
    """Whether the owner may get back what an ended or replaced token has left.

    A client may say that it has ended while it goes on at Google, so only so many an hour are believed.
    """
    values = {"key": key, "since": now - _HOUR}
    released = connection.execute(_RELEASES, values).scalar_one()
    return bool(released + connection.execute(_REPLACEMENTS, values).scalar_one() < EARLY_RELEASES)
