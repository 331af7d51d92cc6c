"""GET /admin/audit: the audit trail, newest entry first."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from broker.http import guards
from broker.http.admin import lists
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.store.audit import AuditEntry, AuditFilter, AuditLog, EntryKind

bp = Blueprint("audit", __name__)

_POSITION = TypeAdapter(tuple[lists.PositionNumber])


class AuditQuery(lists.ListQuery):
    """`kind`: only what operators changed, or only what the broker refused.

    `actor` matches any part of the actor; the others match exactly. `until` itself is excluded.
    """

    kind: EntryKind | None = None
    actor: lists.Text | None = None
    action: lists.Text | None = None
    outcome: lists.Text | None = None
    session: lists.Text | None = None
    request_id: lists.Text | None = None
    since: lists.Moment | None = None
    until: lists.Moment | None = None


class EntryShown(TypedDict):
    id: int
    at: str
    actor: str
    action: str
    outcome: str
    request_id: str
    session_id: str | None
    detail: Mapping[str, object] | None
    times: int


class Audit(TypedDict):
    entries: list[EntryShown]
    next: str | None


@bp.get("/audit")
@guards.require_operator
@operation("List the audit trail, newest entry first", query=AuditQuery)
def list_audit(_caller: Caller) -> Audit:
    asked = lists.query(AuditQuery)
    position = asked.position(_POSITION)
    wanted = AuditFilter(
        kind=asked.kind,
        actor=asked.actor,
        action=asked.action,
        outcome=asked.outcome,
        session_id=asked.session,
        request_id=asked.request_id,
        since=asked.since,
        until=asked.until,
    )
    before_id = None if position is None else position[0]
    entries = AuditLog(parts().database).page(wanted, before_id=before_id, limit=asked.limit + 1)
    shown, following = lists.cut(entries, asked.limit, lambda entry: (entry.id,))
    return {"entries": [_entry(entry) for entry in shown], "next": following}


def _entry(entry: AuditEntry) -> EntryShown:
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
        "session_id": entry.session_id,
        "detail": entry.detail,
        "times": entry.times,
    }
