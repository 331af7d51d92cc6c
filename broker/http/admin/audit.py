"""GET /admin/audit: the trail, the newest entry first."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from broker.http import guards
from broker.http.admin import lists
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.parts import parts
from broker.store.audit import AuditEntry, AuditFilter, AuditLog

bp = Blueprint("audit", __name__)


class AuditQuery(lists.ListQuery):
    """`actor` may be any part of one; the others are exact. `until` itself is not in it."""

    actor: lists.Text | None = None
    action: lists.Text | None = None
    outcome: lists.Text | None = None
    session: lists.Text | None = None
    request_id: lists.Text | None = None
    since: lists.Moment | None = None
    until: lists.Moment | None = None


@bp.get("/audit")
@guards.require_operator
def list_audit(_caller: Caller) -> Response:
    asked = lists.query(AuditQuery)
    place = asked.place(lists.number)
    names = ("actor", "action", "outcome", "request_id", "since", "until")
    wanted = {name: getattr(asked, name) for name in names}
    entries = AuditLog(parts().database).page(
        AuditFilter(session_id=asked.session, **wanted),
        before_id=None if place is None else place[0],
        limit=asked.limit + 1,
    )
    return lists.page("entries", entries, asked.limit, _to_json, lambda entry: (entry.id,))


def _to_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": desk.time(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
        "session_id": entry.session_id,
        "detail": entry.detail,
    }
