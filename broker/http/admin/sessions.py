"""/admin/sessions: the sessions of all principals, and how an operator ends one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from broker.errors import Refusal
from broker.http import body, guards
from broker.http.admin import lists, operator
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import Ended, ended, timestamp_or_none
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.sessions.cost import Basis
from broker.sessions.session import SessionState
from broker.sessions.token_counts import Problem
from broker.settings import PriceList
from broker.settings.amounts import amount
from broker.store.reporting.sessions import SessionRow, SqlSessions

bp = Blueprint("admin_sessions", __name__)

State = Literal["reserved", "open", "ended"]
_ID = re.compile("ses_[0-9a-f]{32}")
_POSITION = TypeAdapter(tuple[lists.Moment, lists.PositionText])


_STATES: Mapping[SessionState, State] = {
    SessionState.RESERVED: "reserved",
    SessionState.OPEN: "open",
    SessionState.ENDED: "ended",
}


class SessionsQuery(lists.ListQuery):
    state: Literal["open", "all"] = "open"
    user: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None


class SessionCost(TypedDict):
    """`amount` is a decimal number. `basis` says whether the time or the reported tokens cost more."""

    amount: str
    currency: str
    basis: Basis


class SessionShown(TypedDict):
    """It counts among the open sessions until `held_until`, whatever its state.

    `cost` is null if its model has no price. `report_problems` says why token counts of its client cannot be
    true; such counts are not part of the cost.
    """

    id: str
    key: str
    issuer: str
    subject: str
    name: str
    team: str | None
    profile: str
    model: str
    state: State
    opened_at: str
    ends_at: str
    held_until: str
    heartbeat_at: str | None
    ended_at: str | None
    seconds: int
    client: Mapping[str, str]
    report: Mapping[str, int] | None
    report_problems: list[Problem]
    cost: SessionCost | None


class Sessions(TypedDict):
    sessions: list[SessionShown]
    next: str | None


@bp.get("/sessions")
@guards.require_operator
@operation("List the sessions of all principals, newest first", query=SessionsQuery)
def list_sessions(_caller: Caller) -> Sessions:
    asked = lists.query(SessionsQuery)
    rows = SqlSessions(parts().database).page(
        principal_key=asked.user,
        placed_only=asked.state == "open",
        before=asked.position(_POSITION),
        limit=asked.limit + 1,
    )
    shown, following = lists.cut(rows, asked.limit, lambda row: (row.opened_at, row.id))
    prices = parts().prices
    return {"sessions": [_session(row, prices) for row in shown], "next": following}


@bp.post("/sessions/<session_id>/end")
@guards.require_operator
@operation("End a session", body=body.Empty, codes=("not-found", "session-unknown", "session-ended"))
def end_session(caller: Caller, session_id: str) -> Ended:
    body.read(body.Empty)
    if not _ID.fullmatch(session_id):
        raise Refusal("session-unknown")
    return ended(session_id, SessionState.ENDED, operator.session_admin(caller).end(session_id))


def _session(row: SessionRow, prices: PriceList) -> SessionShown:
    return {
        "id": row.id,
        "key": row.key,
        "issuer": row.issuer,
        "subject": row.subject,
        "name": row.name,
        "team": row.team,
        "profile": row.profile,
        "model": row.model,
        "state": _STATES[row.state],
        "opened_at": rfc3339(row.opened_at),
        "ends_at": rfc3339(row.ends_at),
        "held_until": rfc3339(row.held_until),
        "heartbeat_at": timestamp_or_none(row.heartbeat_at),
        "ended_at": timestamp_or_none(row.ended_at),
        "seconds": row.seconds,
        "client": row.client,
        "report": row.report,
        "report_problems": list(row.problems),
        "cost": _cost(row, prices),
    }


def _cost(row: SessionRow, prices: PriceList) -> SessionCost | None:
    cost = row.cost(prices)
    if cost is None:
        return None
    return {"amount": amount(cost.nanos), "currency": cost.currency, "basis": cost.basis}
