"""The places that are taken, as counts that are kept: no request counts the sessions that hold one.

A session is `counted` from the moment it gets a place until a request finds that its place has become free.
`places` has the number of counted sessions of the project, of each plan, team and principal. Whatever frees
a place only sets `held_until`; so nothing is forgotten if a worker dies, and the counts are never too low.

- A principal's count is read with the number of its counted sessions whose place is free, so it is exact.
- The project's is used as it is while it has room. Before it refuses, it looks for places that are free: so
  it is exact when it matters. From time to time a request also takes a few of them out of the counts.
- Each count is compared with the rows once a day. If they ever differ, the rows are right.

Every function that changes a count is called under the lock of the project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, text, update

from broker.limits import quota
from broker.limits.quota import Quotas, project_capacity
from broker.principal import Principal
from broker.store.database.column_types import UtcDateTime
from broker.store.database.engine import Database
from broker.store.database.statement import Statement, Writes
from broker.store.database.tables import COUNTED, places, sessions
from broker.store.ledger.day_sums import date_of

Rows = Sequence[Row[*tuple[Any, ...]]]
PROJECT, PLAN = "project", "plan"
# So many free places are taken out of the counts at once: seldom, but faster than new ones are taken.
AT_ONCE, EVERY, MOST_OF_ONE = 256, 32, 16

_NEVER = ""

# Built once: putting a statement together takes longer than running it.
_OF_PROJECT = (
    select(places.c.owner, places.c.plan, places.c.taken, places.c.recounted_on)
    .where(text("owner IN ('plan', 'project')"))
    .order_by(places.c.owner.desc(), places.c.plan)
)
_LOCKED = Statement(_OF_PROJECT.with_for_update())
OF_SESSION = (
    sessions.c.id,
    sessions.c.plan,
    sessions.c.principal_key,
    sessions.c.acting_key,
    sessions.c.team_key,
    sessions.c.counted,
)
_COUNTED_ROW = select(*OF_SESSION)
_LAPSED = (
    _COUNTED_ROW.where(COUNTED, sessions.c.held_until <= bindparam("now"))
    .order_by(sessions.c.held_until)
    .limit(bindparam("most"))
)
_LAPSED_OF_PLANS = text(
    "SELECT plan, count(*) FROM sessions WHERE counted AND held_until <= :now GROUP BY plan"
).bindparams(bindparam("now", type_=UtcDateTime()))
_ONE = _COUNTED_ROW.where(COUNTED, sessions.c.id == bindparam("session"))
_SET_COUNTED = (
    update(sessions).where(sessions.c.id == bindparam("session")).values(counted=bindparam("is_counted"))
)
_LEAVE = (
    update(places)
    .where(places.c.owner == bindparam("whose"), places.c.plan == bindparam("of_plan"))
    .values(taken=places.c.taken - bindparam("number"))
)
_FORGET_EMPTY = delete(places).where(places.c.taken <= 0, places.c.owner.not_in([PROJECT, PLAN]))


def _one_more(*owners: str) -> Statement:
    rows = ", ".join(f"({owner}, 1, :day)" for owner in owners)
    return Statement(
        text(
            f"INSERT INTO places (owner, plan, taken, recounted_on) VALUES {rows} "  # noqa: S608 # nosec B608
            "ON CONFLICT (owner, plan) DO UPDATE SET taken = places.taken + 1"
        )
    )


@cache
def _enter(principals: int) -> Statement:
    each = (f":key{number}, ''" for number in range(principals))
    return _one_more("'project', ''", "'plan', :plan", *each)


_SET = text(
    "INSERT INTO places (owner, plan, taken, recounted_on) VALUES (:owner, :plan, :taken, :day) "
    "ON CONFLICT (owner, plan) DO UPDATE SET taken = excluded.taken, recounted_on = excluded.recounted_on"
)
_RECOUNT_PLANS = text("SELECT plan, count(*) FROM sessions WHERE counted GROUP BY plan")
_RECOUNT_ONE = text(
    "SELECT (SELECT count(*) FROM sessions WHERE counted AND principal_key = :key)"
    " + (SELECT count(*) FROM sessions WHERE counted AND acting_key = :key)"
    " + (SELECT count(*) FROM sessions WHERE counted AND team_key = :key)"
)


@dataclass(frozen=True)
class ProjectPlaces:
    """What the counts say. `taken` is the number of each plan."""

    total: int
    taken: Mapping[str, int]
    recounted_on: str | None


def lock(database: Database, connection: Connection) -> None:
    """Taken late and held for the shortest time: every request needs it."""
    if not database.is_sqlite:
        lock_and_read(database, connection)


def lock_and_read(database: Database, connection: Connection) -> ProjectPlaces:
    """Wait for the lock of the project, then read its counts. SQLite has one writer at a time anyway."""
    found = _of(_LOCKED.run(connection))
    if found.recounted_on is None:  # the row that is the lock; a migration has added it
        row = {"owner": PROJECT, "plan": "", "taken": 0, "recounted_on": _NEVER}
        connection.execute(database.insert_or_ignore(places), row)
        found = _of(_LOCKED.run(connection))
    return found


def is_full(connection: Connection, limits: Quotas, now: datetime) -> bool:
    """Whether a new session would be refused. Nothing is locked or changed."""
    taken = _of(connection.execute(_OF_PROJECT).all()).taken
    if not quota.project_is_full(limits, taken):
        return False
    lapsed = Counter[str]()
    for plan, number in connection.execute(_LAPSED_OF_PLANS, {"now": now}):
        lapsed[plan] = number
    return quota.project_is_full(limits, {plan: taken[plan] - lapsed[plan] for plan in taken})


def make_room(database: Database, connection: Connection, limits: Quotas, now: datetime, lapsed: int) -> None:
    """Refuses `project-capacity` if there is no place for one more session.

    `lapsed`: so many counted sessions of the caller have lost their place.
    """
    found = lock_and_read(database, connection)
    if found.total != sum(found.taken.values()):
        # A plan's first row may have been added during the wait for the lock. Now every row is seen.
        found = lock_and_read(database, connection)
    taken = Counter(found.taken)
    if found.total != taken.total() or found.recounted_on != date_of(now):
        taken = _recount(connection, found, now)
    if lapsed >= MOST_OF_ONE or taken.total() % EVERY == EVERY - 1:
        taken.subtract(_take_out_lapsed(connection, now))
    while quota.project_is_full(limits, taken):
        left = _take_out_lapsed(connection, now)
        if not left:
            raise project_capacity()
        taken.subtract(left)


def enter(writes: Writes, plan: str, principal: Principal, now: datetime) -> None:
    """One more session of the plan, of the principal, its team, and the service key that acts for it."""
    keys = {f"key{number}": one.key for number, one in enumerate(principal.charged)}
    writes.add(_enter(len(keys)), {"plan": plan, "day": date_of(now), **keys})


def enter_anew(
    connection: Connection, session_id: str, plan: str, principal: Principal, now: datetime
) -> None:
    """The same for a session that has lost its place."""
    take_out(connection, connection.execute(_ONE, {"session": session_id}).all())
    connection.execute(_SET_COUNTED, {"session": session_id, "is_counted": True})
    with Writes(connection) as writes:
        enter(writes, plan, principal, now)


def take_out(connection: Connection, rows: Rows) -> Counter[str]:
    """These sessions are no longer counted. Returns the number of each plan."""
    plans = Counter(row.plan for row in rows)
    if not rows:
        return plans
    each = (key for row in rows for key in (row.principal_key, row.acting_key, row.team_key))
    owners = Counter(key for key in each if key is not None)
    connection.execute(_SET_COUNTED, [{"session": row.id, "is_counted": False} for row in rows])
    changes = [(PROJECT, "", len(rows))]
    changes += [(PLAN, plan, number) for plan, number in plans.items()]
    changes += [(key, "", number) for key, number in owners.items()]
    connection.execute(
        _LEAVE, [{"whose": owner, "of_plan": plan, "number": number} for owner, plan, number in changes]
    )
    return plans


def forget_empty(connection: Connection) -> None:
    """Delete the counts of principals without a place. The next place adds the row again."""
    connection.execute(_FORGET_EMPTY)


def recount_one(database: Database, connection: Connection, key: str, now: datetime) -> None:
    """A principal's count, from the rows."""
    lock(database, connection)
    number = connection.execute(_RECOUNT_ONE, {"key": key}).scalar_one()
    connection.execute(_SET, {"owner": key, "plan": "", "taken": number, "day": date_of(now)})


def _take_out_lapsed(connection: Connection, now: datetime) -> Counter[str]:
    return take_out(connection, connection.execute(_LAPSED, {"now": now, "most": AT_ONCE}).all())


def _recount(connection: Connection, found: ProjectPlaces, now: datetime) -> Counter[str]:
    taken = Counter(dict.fromkeys(found.taken, 0))
    taken.update({plan: int(number) for plan, number in connection.execute(_RECOUNT_PLANS)})
    counts = [(PROJECT, "", taken.total()), *((PLAN, plan, number) for plan, number in taken.items())]
    day = date_of(now)
    connection.execute(
        _SET, [{"owner": owner, "plan": plan, "taken": number, "day": day} for owner, plan, number in counts]
    )
    return taken


def _of(rows: Sequence[Any]) -> ProjectPlaces:
    """The rows of `_OF_PROJECT`. That of the project comes first, if it exists."""
    taken = {plan: number for owner, plan, number, _ in rows if owner == PLAN}
    owner, _, total, recounted_on = rows[0] if rows else (None, "", 0, None)
    return ProjectPlaces(total, taken, recounted_on) if owner == PROJECT else ProjectPlaces(0, taken, None)
