"""/admin/sessions: everybody's sessions, and the end of one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field

from broker.errors import Refusal
from broker.http import body, guards
from broker.http.admin import lists
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.parts import parts
from broker.sessions.session import SessionState
from broker.store.reporting.sessions import SessionRow, SqlSessions

bp = Blueprint("admin_sessions", __name__)

_ID = re.compile("ses_[0-9a-f]{32}")


class SessionsQuery(lists.ListQuery):
    state: Literal["open", "all"] = "open"
    user: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None


@bp.get("/sessions")
@guards.require_operator
def list_sessions(_caller: Caller) -> Response:
    asked = lists.query(SessionsQuery)
    place = asked.place(lists.moment, lists.text)
    rows = SqlSessions(parts().database).page(
        principal_key=asked.user,
        open_only=asked.state == "open",
        before=None if place is None else (place[0], place[1]),
        limit=asked.limit + 1,
    )
    return lists.page("sessions", rows, asked.limit, _to_json, lambda row: (row.opened_at, row.id))


@bp.post("/sessions/<session_id>/end")
@guards.require_operator
def end_session(caller: Caller, session_id: str) -> Response:
    body.read(body.Empty)
    if not _ID.fullmatch(session_id):
        raise Refusal("session-unknown")
    until = desk.session_admin(caller).end(session_id)
    return jsonify(id=session_id, state=SessionState.ENDED.value, **desk.honoured_until(until))


def _to_json(row: SessionRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "issuer": row.issuer,
        "subject": row.subject,
        "name": row.name,
        "profile": row.profile,
        "model": row.model,
        "state": row.state.value,
        "opened_at": desk.time(row.opened_at),
        "ends_at": desk.time(row.ends_at),
        "held_until": desk.time(row.held_until),
        "heartbeat_at": desk.time(row.heartbeat_at),
        "ended_at": desk.time(row.ended_at),
        "seconds": row.seconds,
        "client": row.client,
        "report": row.report,
    }
