"""The audit log. A row is appended in the transaction of the change that it records, and never changed.

Operators read it page by page. Repeated refusals share a row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, text
from sqlalchemy.exc import DBAPIError

from broker.errors import CODES, Refusal
from broker.principal import GUEST_ISSUER
from broker.store.database.engine import Database
from broker.store.database.statement import insert_of
from broker.store.database.tables import REFUSED, audit
from broker.telemetry.repeats import Counted, Kind, Repeats
from broker.telemetry.request_context import current_client_address, current_request_id

EntryKind = Literal["changes", "refusals"]

_APPEND = insert_of(audit, *(column.name for column in audit.c if column.name not in ("id", "is_summed")))
# Written for every request, sign-in and probe. The end of a session is a change only if an operator ended it:
# then its detail names the owner.
_ROUTINE = ("token", "sign-in", "check", "session.end")
_IS_OF_KIND: Mapping[EntryKind, ColumnElement[bool]] = {
    "changes": and_(
        audit.c.outcome == "ok",
        or_(
            audit.c.action.not_in(_ROUTINE),
            and_(audit.c.action == "session.end", audit.c.detail["subject"].as_string().is_not(None)),
        ),
    ),
    "refusals": and_(text(REFUSED), audit.c.outcome.in_(list(CODES))),
}


@dataclass(frozen=True)
class AuditEntry:
    id: int
    at: datetime
    actor: str
    action: str
    outcome: str
    request_id: str
    session_id: str | None
    detail: Mapping[str, Any] | None
    times: int
    """How many events the row stands for. More than one only for repeated refusals."""


@dataclass(frozen=True)
class AuditFilter:
    """None matches every entry. `actor` matches any part, in any case; the others match exactly.

    `kind`: only what operators changed, or only what the broker refused.
    """

    kind: EntryKind | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""


class AuditLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: AuditFilter, *, before_id: int | None, limit: int) -> list[AuditEntry]:
        """Matching entries, newest first, starting after the entry `before_id`."""
        query = _matching(wanted).order_by(audit.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(audit.c.id < before_id)
        with self._database.read() as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(query)]


@dataclass(frozen=True)
class _Entry:
    actor: str
    action: str
    outcome: str
    detail: Mapping[str, Any] | None
    request_id: str


class RefusalLog:
    """Appends refusals. Repeated ones share a row, so that one caller cannot fill the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._repeats: Repeats[_Entry] = Repeats(self._write)

    def record(
        self, *, actor: str, action: str, outcome: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Append a row for the first such refusal. Its repeats within a minute get one row afterwards.

        That row has their count, and the time and request id of the last one.
        """
        entry = _Entry(actor, action, outcome, detail, current_request_id())
        caller = _caller(actor)
        key = (actor, action, outcome, json.dumps(detail, sort_keys=True, default=str))
        kind, rest = Kind(key, entry), Kind((action, outcome), replace(entry, actor=caller, detail=None))
        if not self._repeats.is_first(caller, kind, rest):
            return
        try:
            with self._database.write() as connection:
                now = self._database.now(connection)
                record(connection, now, **vars(entry))
        except BaseException:
            self._repeats.forget_first(caller, kind)
            raise

    def _write(self, counts: Sequence[Counted[_Entry]]) -> None:
        if self._database.is_disposed:  # it no longer serves requests
            return
        with self._database.write() as connection:
            now = self._database.now(connection)
            for one in counts:
                at = now - timedelta(seconds=time.monotonic() - one.last_at)
                record(connection, at, **vars(one.sample), times=one.times)


def _caller(actor: str) -> str:
    """The caller whose refusals are counted. A guest can change its identity at will, but not its address."""
    address = current_client_address()
    return f"address:{address}" if address and actor.startswith(f"{GUEST_ISSUER}:") else actor


def record_change(
    connection: Connection,
    at: datetime,
    *,
    actor: str,
    action: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    session_id: str | None = None,
    **target: str,
) -> None:
    """Append an operator's change to `target`. None as `before` or `after` means that there is nothing."""
    detail = {**target, "before": before, "after": after}
    record(connection, at, actor=actor, action=action, outcome="ok", session_id=session_id, detail=detail)


def record(
    connection: Connection,
    at: datetime,
    *,
    actor: str,
    action: str,
    outcome: str,
    session_id: str | None = None,
    token_sha256: str | None = None,
    detail: Mapping[str, Any] | None = None,
    request_id: str | None = None,
    times: int = 1,
) -> None:
    """Append one row; without `request_id`, with that of the current request.

    Raises `audit-unavailable` if it cannot, so that nothing happens unrecorded.
    """
    try:
        _APPEND.run(
            connection,
            {
                "at": at,
                "actor": actor,
                "action": action,
                "outcome": outcome,
                "request_id": current_request_id() if request_id is None else request_id,
                "session_id": session_id,
                "token_sha256": token_sha256,
                "detail": dict(detail) if detail else None,
                "times": times,
            },
        )
    except DBAPIError as fault:
        raise Refusal("audit-unavailable", reason=type(fault.orig).__name__) from fault


def _matching(wanted: AuditFilter) -> Select[Any]:
    query = select(*(audit.c[field.name] for field in fields(AuditEntry)))
    if wanted.kind is not None:
        query = query.where(_IS_OF_KIND[wanted.kind])
    for name in ("action", "outcome", "session_id", "request_id"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(audit.c[name] == value)
    if wanted.actor is not None:
        query = query.where(audit.c.actor.icontains(wanted.actor, autoescape=True))
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    return query
