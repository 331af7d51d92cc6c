"""SqlPeople: every known principal, with everything that operators see about it in one row.

Own users, service keys and their users, guests and other issuers' users: everyone who has a row in
`principals`. Pages are ordered by (issuer, subject), so a principal that is added between two pages moves no
other. Sorted by use, a principal whose use changes between two pages may be missing or appear twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from broker.identity.blocks import BlockKind
from broker.principal import KEY_ISSUER, OWN_ISSUER, TEAM_ISSUER, Overrides
from broker.store.accounts.overrides import OVERRIDES, overrides_of
from broker.store.database.engine import Database
from broker.store.database.tables import (
    blocks,
    limits,
    principals,
    service_keys,
    sessions,
    sign_ins,
    tokens,
    users,
)
from broker.store.ledger.quota_usage import CHARGED_TODAY, HOLDS_PLACE, times

Sort = Literal["name", "sessions", "minutes"]

# The name at the latest browser sign-in. The store keeps no other name.
_SIGNED_IN_AS = (
    select(sign_ins.c.name)
    .where(sign_ins.c.issuer == principals.c.issuer, sign_ins.c.subject == principals.c.subject)
    .order_by(sign_ins.c.created_at.desc())
    .limit(1)
    .correlate(principals)
    .scalar_subquery()
)
NAME = func.coalesce(service_keys.c.name, _SIGNED_IN_AS, principals.c.subject)
IS_KEY = and_(principals.c.issuer == KEY_ISSUER, service_keys.c.id == principals.c.subject)
# The plan of a service key's user: that of its latest session, or the one that its key gives.
_LATEST_PLAN = (
    select(sessions.c.user_plan)
    .where(sessions.c.principal_key == principals.c.key, sessions.c.user_plan.is_not(None))
    .order_by(sessions.c.held_until.desc())
    .limit(1)
    .correlate(principals)
    .scalar_subquery()
)
_acting = service_keys.alias("acting")
_PLAN_OF_KEY = (
    select(_acting.c.user_plan)
    .where(principals.c.issuer == f"{KEY_ISSUER}:" + _acting.c.id)
    .correlate(principals)
    .scalar_subquery()
)
_USER_PLAN = case(
    (principals.c.issuer.startswith(f"{KEY_ISSUER}:"), func.coalesce(_LATEST_PLAN, _PLAN_OF_KEY))
)
_BLOCKED_AT = func.coalesce(users.c.blocked_at, blocks.c.created_at)
# Removed own users are left out, and teams, which are no people. The ledger still needs their principals.
_PEOPLE = (
    select(
        principals,
        NAME.label("name"),
        func.coalesce(users.c.plan, service_keys.c.plan, _USER_PLAN).label("plan"),
        func.coalesce(users.c.team, service_keys.c.team).label("team"),
        users.c.roles,
        users.c.blocked_at,
        users.c.blocked_reason,
        blocks.c.created_at.label("block_at"),
        blocks.c.reason.label("block_reason"),
        users.c.created_at,
        service_keys.c.created_at.label("key_created_at"),
        limits.c.version,
        *OVERRIDES,
    )
    .select_from(
        principals.outerjoin(
            users, and_(principals.c.issuer == OWN_ISSUER, users.c.username == principals.c.subject)
        )
        .outerjoin(service_keys, IS_KEY)
        .outerjoin(limits, limits.c.key == principals.c.key)
        .outerjoin(blocks, and_(blocks.c.kind == BlockKind.PRINCIPAL, blocks.c.value == principals.c.key))
    )
    .where(
        principals.c.issuer != TEAM_ISSUER,
        or_(principals.c.issuer != OWN_ISSUER, users.c.username.is_not(None)),
    )
)


@dataclass(frozen=True)
class Person:
    """`plan` and `team` are None if only the credentials name them. `version` is that of the overrides."""

    key: str
    issuer: str
    subject: str
    name: str
    plan: str | None
    team: str | None
    roles: frozenset[str]
    blocked_at: datetime | None
    blocked_reason: str
    created_at: datetime | None
    overrides: Overrides
    version: int
    open_sessions: int
    used_seconds: int

    @property
    def is_own(self) -> bool:
        return self.issuer == OWN_ISSUER


class SqlPeople:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str) -> Person | None:
        with self._database.read() as connection:
            people = self._people(connection, _PEOPLE.where(principals.c.key == key))
        return people[0] if people else None

    def of(self, keys: Iterable[str]) -> list[Person]:
        """Those of the keys that are known."""
        with self._database.read() as connection:
            return self._people(connection, _PEOPLE.where(principals.c.key.in_(list(keys))))

    def page(
        self,
        *,
        query: str = "",
        blocked_only: bool = False,
        sort: Sort = "name",
        after: tuple[int, str, str] | None = None,
        limit: int,
    ) -> list[Person]:
        """People whose subject or name contains `query` in any case; `after` is a person's `position`.

        Those with the most open sessions, or the most minutes charged today, come first if `sort` says so.
        """
        statement, rank = _ranked(sort)
        order = [] if rank is None else [rank.desc()]
        statement = statement.order_by(*order, principals.c.issuer, principals.c.subject).limit(limit)
        if query:
            columns = (principals.c.subject, NAME)
            statement = statement.where(or_(*(one.icontains(query, autoescape=True) for one in columns)))
        if blocked_only:
            statement = statement.where(_BLOCKED_AT.is_not(None))
        if after is not None:
            place = tuple_(principals.c.issuer, principals.c.subject)
            next_in_rank = place > tuple_(literal(after[1]), literal(after[2]))
            if rank is None:
                statement = statement.where(next_in_rank)
            else:
                statement = statement.where(or_(rank < after[0], and_(rank == after[0], next_in_rank)))
        with self._database.read() as connection:
            return self._people(connection, statement)

    def _people(self, connection: Connection, statement: Select[Any]) -> list[Person]:
        now = self._database.now(connection)
        rows = connection.execute(statement, times(now)).all()
        keys = [row.key for row in rows]
        open_of = _sums(connection, _places(keys), now)
        used_of = _sums(connection, _charges(keys), now)
        return [_person(row, open_of.get(row.key, 0), used_of.get(row.key, 0)) for row in rows]


def position(person: Person, sort: Sort) -> tuple[int, str, str]:
    """Where the person stands in the list with this order."""
    rank = {"name": 0, "sessions": person.open_sessions, "minutes": person.used_seconds}[sort]
    return rank, person.issuer, person.subject


def _ranked(sort: Sort) -> tuple[Select[Any], ColumnElement[int] | None]:
    """The statement of all people, and the number by which the order begins."""
    if sort == "name":
        return _PEOPLE, None
    sums = (_places() if sort == "sessions" else _charges()).subquery()
    return _PEOPLE.outerjoin(sums, sums.c.key == principals.c.key), func.coalesce(sums.c.total, 0)


def _places(keys: Collection[str] | None = None) -> Select[Any]:
    """Sessions that hold a place, per principal: each counts for its owner and for the key that opened it."""
    owned = select(sessions.c.principal_key.label("key"), literal_column("1").label("value"))
    acting = select(sessions.c.acting_key, literal_column("1"))
    return _summed(owned.where(HOLDS_PLACE), acting.where(HOLDS_PLACE), sessions, keys)


def _charges(keys: Collection[str] | None = None) -> Select[Any]:
    """Seconds that are charged today, per principal."""
    owned = select(tokens.c.principal_key.label("key"), tokens.c.seconds.label("value"))
    acting = select(tokens.c.acting_key, tokens.c.seconds)
    return _summed(owned.where(CHARGED_TODAY), acting.where(CHARGED_TODAY), tokens, keys)


def _summed(
    owned: Select[Any], acting: Select[Any], table: Table, keys: Collection[str] | None
) -> Select[Any]:
    if keys is not None:
        owned, acting = (
            owned.where(table.c.principal_key.in_(keys)),
            acting.where(table.c.acting_key.in_(keys)),
        )
    both = union_all(owned, acting).subquery()
    return select(both.c.key, func.sum(both.c.value).label("total")).group_by(both.c.key)


def _sums(connection: Connection, statement: Select[Any], now: datetime) -> dict[str, int]:
    return {key: int(total) for key, total in connection.execute(statement, times(now))}


def _person(row: Row[Any], open_sessions: int, used_seconds: int) -> Person:
    is_own = row.issuer == OWN_ISSUER
    return Person(
        key=row.key,
        issuer=row.issuer,
        subject=row.subject,
        name=row.name,
        plan=row.plan,
        team=row.team,
        roles=frozenset((row.roles or "").split()),
        blocked_at=row.blocked_at if is_own else row.block_at,
        blocked_reason=(row.blocked_reason if is_own else row.block_reason) or "",
        created_at=row.created_at or row.key_created_at,
        overrides=overrides_of(row),
        version=row.version or 0,
        open_sessions=open_sessions,
        used_seconds=used_seconds,
    )
