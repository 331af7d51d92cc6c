"""SqlOverrides: the limits that operators set for single principals. Each change has its audit row.

Requests read them through `standing`, in a look-up that they make anyway. So a change applies to the next
request of every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, insert, or_, select

from broker.principal import NO_OVERRIDES, TEAM_ISSUER, Overrides, Principal, principal_key
from broker.settings.amounts import with_amounts
from broker.store import audit
from broker.store.accounts.principals import ensure_principal
from broker.store.database.engine import Database
from broker.store.database.tables import limits

_FIELDS = tuple(vars(NO_OVERRIDES))
# The labels keep them apart from the columns of `users`, which has a plan too.
OVERRIDES = tuple(limits.c[name].label(f"override_{name}") for name in _FIELDS)
TEAM_LIMITS = limits.alias("team_limits")
TEAM_OVERRIDES = tuple(TEAM_LIMITS.c[name].label(f"team_override_{name}") for name in _FIELDS)
_FIND: Select[Any] = select(*OVERRIDES, limits.c.version).where(limits.c.key == bindparam("key"))
_ANY_OVERRIDE = or_(*(limits.c[name].is_not(None) for name in _FIELDS))


class VersionConflict(Exception):  # noqa: N818 - reads as what it says
    """The overrides have changed since the version that the change was made for."""


@dataclass(frozen=True)
class OverridesRow:
    issuer: str
    subject: str
    overrides: Overrides
    updated_at: datetime


class SqlOverrides:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str) -> Overrides:
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"key": key}).one_or_none()
        return overrides_of(row) if row else NO_OVERRIDES

    def applied(self, principal: Principal) -> Principal:
        """The principal with its overrides and those of its team."""
        of_team = self.find(principal.team.key) if principal.team else NO_OVERRIDES
        return principal.with_overrides(self.find(principal.key), of_team)

    def all(self) -> list[OverridesRow]:
        """Of principals, without teams."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(limits.c.issuer, limits.c.subject, limits.c.updated_at, *OVERRIDES)
                .where(_ANY_OVERRIDE, limits.c.issuer != TEAM_ISSUER)
                .order_by(limits.c.issuer, limits.c.subject)
            )
            return [OverridesRow(row.issuer, row.subject, overrides_of(row), row.updated_at) for row in rows]

    def set(
        self,
        issuer: str,
        subject: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
    ) -> Overrides:
        """Merge `changes` into the existing overrides; None removes one.

        With a `version`, raises VersionConflict unless it is the current one. The version is 0 before the
        first change and 1 after it.
        """
        key = principal_key(issuer, subject)
        with self._database.write() as connection:
            now = self._database.now(connection)
            # Without the lock, two operators could undo each other's change.
            self._database.lock(connection, f"limits:{key}")
            row = connection.execute(_FIND, {"key": key}).one_or_none()
            before = overrides_of(row) if row else NO_OVERRIDES
            current = row.version if row else 0
            if version is not None and version != current:
                raise VersionConflict(key)
            after = Overrides(**{**vars(before), **changes})
            ensure_principal(self._database, connection, issuer, subject)
            connection.execute(delete(limits).where(limits.c.key == key))
            values = {"key": key, "issuer": issuer, "subject": subject, "updated_at": now}
            connection.execute(insert(limits).values(**values, **vars(after), version=current + 1))
            audit.record_change(
                connection,
                now,
                actor=actor,
                action="limits.set",
                issuer=issuer,
                subject=subject,
                before=_to_json(before),
                after=_to_json(after),
            )
        return after


def overrides_of(row: Row[Any]) -> Overrides:
    return Overrides(**{name: getattr(row, f"override_{name}") for name in _FIELDS})


def team_overrides_of(row: Row[Any]) -> Overrides:
    return Overrides(**{name: getattr(row, f"team_override_{name}") for name in _FIELDS})


def is_of_team(name: ColumnElement[str | None]) -> ColumnElement[bool]:
    """Whether the row of `TEAM_LIMITS` is that of the team."""
    return and_(TEAM_LIMITS.c.issuer == TEAM_ISSUER, TEAM_LIMITS.c.subject == name)


def _to_json(overrides: Overrides) -> dict[str, Any]:
    return with_amounts({name: value for name, value in vars(overrides).items() if value is not None})
