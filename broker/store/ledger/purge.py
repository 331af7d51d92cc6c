"""SqlPurge: deletes sessions with their tokens and reports, audit entries, and names without anything left.

What they used and what was refused stays, as sums by day without names, for 400 days more.

Limits read the tokens of today, the releases of the last hour, and sessions that hold a place. All of them
are newer than the beginning of yesterday, so nothing newer is ever deleted: not even by a clock that is
some hours wrong. A session counts by its end, so one that is still open stays with all its tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    Table,
    and_,
    delete,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.exc import IntegrityError

from broker.limits.quota import day_of
from broker.principal import OWN_ISSUER, TEAM_ISSUER
from broker.sessions.session import TokenState
from broker.settings import PriceList
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.sum_tables import budget_alerts, day_sums, spending, usage_days
from broker.store.database.tables import audit as audit_log
from broker.store.database.tables import (
    blocks,
    limits,
    principals,
    service_keys,
    session_reports,
    sessions,
    sign_ins,
    tokens,
    users,
)
from broker.store.ledger import places
from broker.store.ledger.day_sums import date_of
from broker.store.ledger.locks import lock_owners
from broker.store.ledger.reservation_rows import void_token
from broker.store.ledger.usage_sums import UsageSums

# A transaction of this size takes some ten milliseconds, which a request on SQLite can wait.
_AT_ONCE = 500
# A year and the month after it, in which its figures are asked for.
_SUMS_KEPT = timedelta(days=400)
_DEAD = (
    select(tokens.c.id, tokens.c.session_id)
    .join(sessions, sessions.c.id == tokens.c.session_id)
    .where(tokens.c.state == TokenState.RESERVED)
)


class NewestPurge(Exception):  # noqa: N818 - reads as what it says
    """The day is too new. `moment` is the newest one that may be given."""

    def __init__(self, moment: datetime) -> None:
        super().__init__(moment)
        self.moment = moment


@dataclass(frozen=True)
class Purged:
    sessions: int
    tokens: int
    audit: int
    names: int
    """Principals of whom nothing is left. `count` does not foretell them."""


class SqlPurge:
    def __init__(self, database: Database, prices: PriceList) -> None:
        """`prices`: for sessions that are not in the sums of usage yet."""
        self._database = database
        self._sums = UsageSums(database, prices)

    def count(self, before: datetime) -> Purged:
        """Raises NewestPurge."""
        with self._database.read() as connection:
            self._check(connection, before)
            of_sessions = select(func.count()).select_from(sessions).where(_is_over(before))
            of_tokens = (
                select(func.count())
                .select_from(tokens)
                .where(tokens.c.session_id.in_(select(sessions.c.id).where(_is_over(before))))
            )
            entries = select(func.count()).select_from(audit_log).where(audit_log.c.at < before)
            counts = [connection.execute(query).scalar_one() for query in (of_sessions, of_tokens, entries)]
        return Purged(counts[0], counts[1], counts[2], names=0)

    def purge(self, before: datetime, *, actor: str) -> Purged:
        """Raises NewestPurge. The entry in the audit log is written last, with the numbers."""
        with self._database.read() as connection:
            self._check(connection, before)
        self._sums.update()
        deleted_tokens = 0

        def some_sessions(connection: Connection) -> int:
            nonlocal deleted_tokens
            places.lock(self._database, connection)
            summed = (_is_over(before), sessions.c.settled)
            some = select(*places.OF_SESSION).where(*summed).limit(_AT_ONCE)
            over: places.Rows = connection.execute(some).all()
            ids = [row.id for row in over]
            places.take_out(connection, [row for row in over if row.counted])
            connection.execute(delete(session_reports).where(session_reports.c.session_id.in_(ids)))
            deleted_tokens += connection.execute(delete(tokens).where(tokens.c.session_id.in_(ids))).rowcount
            return connection.execute(delete(sessions).where(sessions.c.id.in_(ids))).rowcount

        def some_entries(connection: Connection) -> int:
            summed = or_(audit_log.c.outcome.in_(("ok", "reserved")), audit_log.c.is_summed)
            old = select(audit_log.c.id).where(audit_log.c.at < before, summed).order_by(audit_log.c.at)
            return connection.execute(_of(audit_log, audit_log.c.id, old)).rowcount

        def some_names(connection: Connection) -> int:
            # Removed users leave a block for an hour.
            connection.execute(delete(blocks).where(blocks.c.expires_at < self._database.now(connection)))
            # A reservation that has just locked the row will need it: leave it out.
            unused = select(principals.c.key).where(_is_unused()).with_for_update(skip_locked=True)
            return connection.execute(_of(principals, principals.c.key, unused)).rowcount

        self._in_steps(lambda connection: self._give_back_one(connection, before))
        ended, entries, names = map(self._in_steps, (some_sessions, some_entries, some_names))
        deleted = Purged(ended, deleted_tokens, entries, names)
        with self._database.write() as connection:
            places.lock(self._database, connection)
            places.forget_empty(connection)
            for table in (spending, budget_alerts):
                oldest_month = date_of(before.astimezone(UTC))[:7]
                connection.execute(delete(table).where(table.c.period < oldest_month))
            connection.execute(delete(day_sums).where(day_sums.c.day < date_of(before.astimezone(UTC))))
            oldest = date_of(before.astimezone(UTC) - _SUMS_KEPT)
            connection.execute(delete(usage_days).where(usage_days.c.day < oldest))
            now = self._database.now(connection)
            detail = {"before": before.isoformat(timespec="seconds"), "deleted": vars(deleted)}
            audit.record(connection, now, actor=actor, action="purge", outcome="ok", detail=detail)
        return deleted

    def _give_back_one(self, connection: Connection, before: datetime) -> int:
        """The reservation of a worker that died. Sums subtract it while it exists, so it gives back first."""
        found = connection.execute(_DEAD.where(_is_over(before)).limit(1)).one_or_none()
        if found is None:
            return 0
        lock_owners(self._database, connection, found.session_id)
        void_token(connection, found.id, "internal")
        return 1

    def _check(self, connection: Connection, before: datetime) -> None:
        newest = day_of(self._database.now(connection)) - timedelta(days=1)
        if before > newest:
            raise NewestPurge(newest)

    def _in_steps(self, step: Callable[[Connection], int]) -> int:
        total = 0
        # A request may add a row that refers to one of these at this moment. The next purge finds the rest.
        with suppress(IntegrityError):
            while True:
                with self._database.write() as connection:
                    deleted = step(connection)
                total += deleted
                if not deleted:
                    break
        return total


def _is_over(before: datetime) -> ColumnElement[bool]:
    return and_(sessions.c.ends_at < before, sessions.c.held_until < before)


def _is_unused() -> ColumnElement[bool]:
    """No session, no account, no key, no limit, no block and no sign-in."""

    def has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return select(1).where(*conditions).exists()

    return not_(
        or_(
            has(sessions.c.principal_key == principals.c.key),
            has(sessions.c.acting_key == principals.c.key),
            has(sessions.c.team_key == principals.c.key),
            and_(principals.c.issuer == TEAM_ISSUER, _is_team_of_someone()),
            has(limits.c.key == principals.c.key),
            has(blocks.c.value == principals.c.key),
            and_(principals.c.issuer == OWN_ISSUER, has(users.c.username == principals.c.subject)),
            has(service_keys.c.id == principals.c.subject),
            has(sign_ins.c.issuer == principals.c.issuer, sign_ins.c.subject == principals.c.subject),
        )
    )


def _is_team_of_someone() -> ColumnElement[bool]:
    named = (
        select(1).where(table.c.team == principals.c.subject).exists()
        for table in (users, service_keys, sign_ins)
    )
    return or_(*named)


def _some(query: Select[tuple[str]]) -> Select[tuple[str]]:
    return query.limit(_AT_ONCE)


def _of(table: Table, key: ColumnElement[str] | ColumnElement[int], found: Select[tuple[str]]) -> Delete:
    return delete(table).where(key.in_(_some(found)))
