"""SqlPeople: every known principal, with everything that operators see about it in one row.

Own users, service keys and their users, guests and other issuers' users: everyone who has a row in
`principals`. Pages are ordered by (issuer, subject), so a principal that is added between two pages moves no
other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)

from broker.identity.blocks import BlockKind
from broker.principal import KEY_ISSUER, OWN_ISSUER, Overrides
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
_BLOCKED_AT = func.coalesce(users.c.blocked_at, blocks.c.created_at)
# Removed own users are left out. The ledger still needs their principals.
_PEOPLE = (
    select(
        principals,
        NAME.label("name"),
        func.coalesce(users.c.plan, service_keys.c.plan).label("plan"),
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
    .where(or_(principals.c.issuer != OWN_ISSUER, users.c.username.is_not(None)))
)


@dataclass(frozen=True)
class Person:
    """`plan` is None if only the credentials name it; `version` is the version of the overrides."""

    key: str
    issuer: str
    subject: str
    name: str
    plan: str | None
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

    def page(
        self, *, query: str = "", blocked_only: bool = False, after: tuple[str, str] | None = None, limit: int
    ) -> list[Person]:
        """People whose subject or name contains `query` in any case, in the order of (issuer, subject)."""
        statement = _PEOPLE.order_by(principals.c.issuer, principals.c.subject).limit(limit)
        if query:
            columns = (principals.c.subject, NAME)
            statement = statement.where(or_(*(one.icontains(query, autoescape=True) for one in columns)))
        if blocked_only:
            statement = statement.where(_BLOCKED_AT.is_not(None))
        if after is not None:
            position = tuple_(principals.c.issuer, principals.c.subject)
            statement = statement.where(position > tuple_(literal(after[0]), literal(after[1])))
        with self._database.read() as connection:
            return self._people(connection, statement)

    def _people(self, connection: Connection, statement: Select[Any]) -> list[Person]:
        rows = connection.execute(statement).all()
        keys = [row.key for row in rows]
        now = self._database.now(connection)
        open_of, used_of = _open(connection, keys, now), _used(connection, keys, now)
        return [_person(row, open_of.get(row.key, 0), used_of.get(row.key, 0)) for row in rows]


def _open(connection: Connection, keys: Collection[str], now: datetime) -> dict[str, int]:
    """Sessions that hold a place, per principal: each counts for its owner and for the key that opened it."""
    owned = select(sessions.c.principal_key.label("key")).where(
        sessions.c.principal_key.in_(keys), HOLDS_PLACE
    )
    acting = select(sessions.c.acting_key).where(sessions.c.acting_key.in_(keys), HOLDS_PLACE)
    return _sums(connection, union_all(owned, acting).subquery(), literal(1), now)


def _used(connection: Connection, keys: Collection[str], now: datetime) -> dict[str, int]:
    """Seconds that are charged today."""
    owned = select(tokens.c.principal_key.label("key"), tokens.c.seconds).where(
        tokens.c.principal_key.in_(keys), CHARGED_TODAY
    )
    acting = select(tokens.c.acting_key, tokens.c.seconds).where(tokens.c.acting_key.in_(keys), CHARGED_TODAY)
    both = union_all(owned, acting).subquery()
    return _sums(connection, both, both.c.seconds, now)


def _sums(connection: Connection, rows: Any, value: ColumnElement[int], now: datetime) -> dict[str, int]:
    statement = select(rows.c.key, func.sum(value)).group_by(rows.c.key)
    return {key: int(total) for key, total in connection.execute(statement, times(now))}


def _person(row: Row[Any], open_sessions: int, used_seconds: int) -> Person:
    is_own = row.issuer == OWN_ISSUER
    return Person(
        key=row.key,
        issuer=row.issuer,
        subject=row.subject,
        name=row.name,
        plan=row.plan,
        roles=frozenset((row.roles or "").split()),
        blocked_at=row.blocked_at if is_own else row.block_at,
        blocked_reason=(row.blocked_reason if is_own else row.block_reason) or "",
        created_at=row.created_at or row.key_created_at,
        overrides=overrides_of(row),
        version=row.version or 0,
        open_sessions=open_sessions,
        used_seconds=used_seconds,
    )
