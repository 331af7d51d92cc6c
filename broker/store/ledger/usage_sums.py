"""Keeps `usage_days`: what sessions used and what was refused, as sums by day.

A session is in the sums from its first visit here. It is visited until nothing about it can change: its time
is over, its tokens are expired, and reports of it come too late. Then it is settled, and its cost stays what
it is at that moment. Each visit adds what has changed since the last one, in one transaction with the mark of
what was added. So the sums equal the rows after each visit, and rows that are settled can be purged.

Visits come with ends of sessions, exports and purges, never with a request for a token. Workers skip the rows
that another one holds, and change the sums in the order of their keys, so none waits for another in a circle.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select, text, update

from broker.errors import CODES, Refusal
from broker.principal import KEY_ISSUER, principal_key
from broker.sessions.cost import cost_of
from broker.sessions.session import SessionState, TokenState
from broker.settings import PriceList
from broker.store.database.engine import Database
from broker.store.database.sum_tables import DIMENSIONS, SUMS
from broker.store.database.tables import (
    UNSETTLED,
    UNSUMMED,
    audit,
    principals,
    session_reports,
    sessions,
    tokens,
)
from broker.store.ledger.client_reports import ACCEPTED_AFTER_END
from broker.store.ledger.day_sums import date_of

_log = structlog.get_logger("broker.store")

# A transaction of this size takes some ten milliseconds, which a request on SQLite can wait.
AT_ONCE = 500
_APART_SECONDS = 10.0
# A report that was accepted in time may be committed a moment later.
_FINAL_AFTER = ACCEPTED_AFTER_END + timedelta(minutes=1)

# Of a session, without the tokens that no one got: a reservation may never be confirmed.
ISSUED_SECONDS = (
    select(func.coalesce(func.sum(tokens.c.seconds), 0))
    .where(tokens.c.session_id == sessions.c.id, tokens.c.state == TokenState.ISSUED)
    .correlate(sessions)
    .scalar_subquery()
)
_acting, _team = principals.alias("acting"), principals.alias("team")
_UNSETTLED = (
    select(
        sessions.c.id,
        sessions.c.principal_key,
        principals.c.issuer,
        principals.c.subject,
        _acting.c.subject.label("acting"),
        _team.c.subject.label("team"),
        sessions.c.profile,
        sessions.c.model,
        sessions.c.state,
        sessions.c.opened_at,
        sessions.c.ends_at,
        sessions.c.held_until,
        sessions.c.summed,
        ISSUED_SECONDS.label("issued_seconds"),
        session_reports.c.token_counts,
    )
    .select_from(
        sessions.join(principals, principals.c.key == sessions.c.principal_key)
        .outerjoin(_acting, _acting.c.key == sessions.c.acting_key)
        .outerjoin(_team, _team.c.key == sessions.c.team_key)
        .outerjoin(session_reports, session_reports.c.session_id == sessions.c.id)
    )
    .where(UNSETTLED)
    .order_by(sessions.c.ends_at, sessions.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=sessions)
)
_UNSUMMED = (
    select(
        audit.c.id,
        audit.c.at,
        audit.c.actor,
        audit.c.outcome,
        audit.c.times,
        audit.c.detail,
        sessions.c.principal_key,
        sessions.c.profile,
        sessions.c.model,
    )
    .select_from(audit.outerjoin(sessions, sessions.c.id == audit.c.session_id))
    .where(text(UNSUMMED))
    .order_by(audit.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=audit)
)
_COLUMNS = (*DIMENSIONS, *SUMS)
# In the driver's form: SQLAlchemy takes longer over the values of a row than SQLite over the row.
_UPSERT = "INSERT INTO usage_days ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}"
_ADD = {
    name: _UPSERT.format(
        ", ".join(_COLUMNS),
        ", ".join([form] * len(_COLUMNS)),
        ", ".join(DIMENSIONS),
        ", ".join(f"{one} = usage_days.{one} + excluded.{one}" for one in SUMS),
    )
    for name, form in (("sqlite", "?"), ("postgresql", "%s"))
}
_SETTLE = (
    update(sessions)
    .where(sessions.c.id.in_(bindparam("settled_ids", expanding=True)))
    .values(settled=True, summed=None)
)
_NOTE = update(sessions).where(sessions.c.id == bindparam("session")).values(summed=bindparam("now_summed"))
_MARK = update(audit).where(audit.c.id.in_(bindparam("ids", expanding=True))).values(is_summed=True)

_KEY = re.compile(re.escape(KEY_ISSUER) + ":([A-Za-z0-9_-]{1,32})")

Key = tuple[str, ...]
"""The values of `DIMENSIONS`."""
Added = Mapping[Key, Mapping[str, int]]


class UsageSums:
    def __init__(self, database: Database, prices: PriceList) -> None:
        self._database = database
        self._prices = prices
        self._turn = threading.Lock()
        self._next_at = 0.0

    def settle_some(self) -> None:
        """Visit some of what is final, at most once in ten seconds per process. Never fails.

        The work is left to a later visit if the store cannot do it now.
        """
        if time.monotonic() < self._next_at or not self._turn.acquire(blocking=False):
            return
        try:
            self._next_at = time.monotonic() + _APART_SECONDS
            with self._database.write() as connection:
                now = self._database.now(connection)
                self._visit(connection, now, _UNSETTLED.where(_is_over(now - _FINAL_AFTER)))
                _sum_refusals(connection)
        except Refusal as refusal:
            _log.warning("usage_not_settled", reason=refusal.reason)
        finally:
            self._turn.release()

    def visits(self) -> Iterator[None]:
        """Bring the sums up to date with all rows. Each step is one short transaction."""
        after: Any = None
        while True:
            query = _UNSETTLED if after is None else _UNSETTLED.where(_is_after(after))
            with self._database.write() as connection:
                rows = self._visit(connection, self._database.now(connection), query)
            yield
            if len(rows) < AT_ONCE:
                break
            after = rows[-1]
        while True:
            with self._database.write() as connection:
                found = _sum_refusals(connection)
            yield
            if found < AT_ONCE:
                break

    def update(self) -> None:
        """All of `visits`."""
        for _ in self.visits():
            pass

    def _visit(self, connection: Connection, now: datetime, query: Select[Any]) -> list[Any]:
        final = now - _FINAL_AFTER
        rows = list(connection.execute(query, {"most": AT_ONCE}).all())
        added: defaultdict[Key, Counter[str]] = defaultdict(Counter)
        settled, noted = [], []
        for row in rows:
            used = self._used(row)
            before: Mapping[str, int] = row.summed or {}
            if used != before:
                sums = added[_key_of(row)]
                sums.update(used)
                if before:
                    sums.subtract(before)
            if row.ends_at < final and row.held_until < final:
                settled.append(row.id)
            elif used != before:
                noted.append({"session": row.id, "now_summed": used or None})
        _add(connection, added)
        if settled:
            connection.execute(_SETTLE, {"settled_ids": settled})
        if noted:
            connection.execute(_NOTE, noted)
        return rows

    def _used(self, row: Any) -> dict[str, int]:
        """What a session adds to the sums, without zeros."""
        if row.state not in (SessionState.OPEN, SessionState.ENDED):
            return {}  # no token of it was delivered
        seconds = int(row.issued_seconds)
        cost = cost_of(self._prices, row.model, row.opened_at, seconds, row.token_counts)
        price = {"unpriced": 1} if cost is None else {"nanos": cost.nanos}
        used = {"sessions": 1, "seconds": seconds, **(row.token_counts or {}), **price}
        return {name: number for name, number in used.items() if number}


def _is_over(before: datetime) -> ColumnElement[bool]:
    return and_(sessions.c.ends_at < before, sessions.c.held_until < before)


def _is_after(row: Any) -> ColumnElement[bool]:
    return and_(
        sessions.c.ends_at >= row.ends_at, or_(sessions.c.ends_at > row.ends_at, sessions.c.id > row.id)
    )


def _key_of(row: Any) -> Key:
    """A key acts for its users, and for itself in the sessions that it opens for no one."""
    service_key = row.acting or (row.subject if row.issuer == KEY_ISSUER else "")
    day = date_of(row.opened_at.astimezone(UTC))
    return row.principal_key, day, service_key, row.profile, row.model, "", row.team or ""


def _sum_refusals(connection: Connection) -> int:
    rows = connection.execute(_UNSUMMED, {"most": AT_ONCE}).all()
    known = _known(connection, rows)
    added: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.outcome in CODES:
            key = row.principal_key or next((one for one in _keys_of(row) if one in known), "")
            day = date_of(row.at.astimezone(UTC))
            service_key, team = _service_key(row.actor), (row.detail or {}).get("team", "")
            place = (key, day, service_key, row.profile or "", row.model or "", row.outcome, team)
            added[place]["refusals"] += row.times
    _add(connection, added)
    if rows:
        connection.execute(_MARK, {"ids": [row.id for row in rows]})
    return len(rows)


def _service_key(actor: str) -> str:
    found = _KEY.fullmatch(actor)
    return found[1] if found else ""


def _known(connection: Connection, rows: Iterable[Any]) -> set[str]:
    """Only principals that the broker knows: others never proved who they are, or never got a session."""
    keys = {key for row in rows for key in _keys_of(row)}
    return set(connection.execute(select(principals.c.key).where(principals.c.key.in_(keys))).scalars())


def _keys_of(row: Any) -> list[str]:
    """Of all principals that an entry may name: an actor is issuer and subject, joined by a colon."""
    user = (row.detail or {}).get("on_behalf_of")
    if user is not None and row.actor.startswith(f"{KEY_ISSUER}:"):
        return [principal_key(row.actor, user)]
    actor: str = row.actor
    colons = [place for place, letter in enumerate(actor) if letter == ":"]
    return [principal_key(actor[:place], actor[place + 1 :]) for place in colons]


def _add(connection: Connection, added: Added) -> None:
    """In the order of the keys: see above."""
    rows = [(*key, *(sums.get(name, 0) for name in SUMS)) for key, sums in sorted(added.items())]
    if rows:
        connection.exec_driver_sql(_ADD[connection.dialect.name], rows)
