"""What the owner of an open session tells us about it: that it is alive, and that it is over."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from broker.http import body, guards
from broker.http.credentials import Caller
from broker.http.tokens import timestamp
from broker.sessions.session import Ledger, Session, SessionState

bp = Blueprint("sessions", __name__)


class NoFields(body.Body):
    pass


@bp.post("/sessions/<session_id>/heartbeat")
@guards.require_scope("sessions")
def heartbeat(caller: Caller, session_id: str) -> Response:
    body.read(NoFields)
    session = _ledger().heartbeat(caller.principal, session_id)
    over = session.state is not SessionState.OPEN
    message = {"message": "This session has ended."} if over else {}
    return jsonify(state=session.state.value, ends_at=timestamp(session.ends_at), **message)


@bp.post("/sessions/<session_id>/end")
@guards.require_scope("sessions")
def end(caller: Caller, session_id: str) -> Response:
    body.read(NoFields)
    return _ended(_ledger().end(caller.principal, session_id))


@bp.delete("/sessions/<session_id>")
@guards.require_scope("sessions")
def delete(caller: Caller, session_id: str) -> Response:
    return _ended(_ledger().end(caller.principal, session_id))


def _ended(session: Session) -> Response:
    """Google has no way to take a token back: `honoured_until` says how long it may still let it in."""
    until = session.token_expires_at or session.ends_at
    return jsonify(id=session.id, state=session.state.value, honoured_until=timestamp(until))


def _ledger() -> Ledger:
    ledger: Ledger = current_app.extensions["broker"].ledger
    return ledger
