"""What the owner of a session tells us about it: that it is alive, that it is over, and how it went."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, jsonify
from pydantic import Field

from broker.errors import LimitState, Refusal
from broker.http import body, guards, ratelimit
from broker.http.credentials import Caller
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.sessions.session import Ledger, Session, SessionState
from broker.telemetry.metrics import count_report

bp = Blueprint("sessions", __name__)

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)] | None
Count = Annotated[int, Field(ge=0, le=1_000_000)] | None
Hertz = Annotated[int, Field(ge=0, le=768_000)] | None
Seconds = Annotated[int, Field(ge=0, le=86_400)] | None
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000)] | None

# A report is one row a session, whatever is sent; this bounds how often it is written.
_REPORT_LIMIT = LimitState("reports", limit=1, remaining=0, reset=1, window_seconds=1)


class ReportBody(body.Body):
    """How the session went, by its client: for people to read, never for a limit to look at."""

    first_audio_ms: Milliseconds = None
    speech_end_to_audio_ms: Milliseconds = None
    interrupt_to_silence_ms: Milliseconds = None
    token_ms: Milliseconds = None
    socket_ms: Milliseconds = None
    setup_ms: Milliseconds = None
    underruns: Count = None
    dropped_chunks: Count = None
    reconnects: Count = None
    input_rate: Hertz = None
    output_rate: Hertz = None
    played_seconds: Seconds = None
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    total_tokens: Tokens = None


@bp.post("/sessions/<session_id>/heartbeat")
@guards.require_scope("sessions")
def heartbeat(caller: Caller, session_id: str) -> Response:
    body.read(body.Empty)
    session = _ledger().heartbeat(caller.principal, session_id)
    over = session.state is not SessionState.OPEN
    message = {"message": "This session has ended."} if over else {}
    return jsonify(state=session.state.value, ends_at=rfc3339(session.ends_at), **message)


@bp.post("/sessions/<session_id>/report")
@guards.require_scope("sessions")
def report(caller: Caller, session_id: str) -> Response:
    told = body.read(ReportBody).model_dump(exclude_none=True)
    reports = parts().reports
    before = reports.put(caller.principal, session_id, told)
    if before is None:
        raise Refusal(
            "rate-limited",
            "One report a second is kept.",
            retry_after_seconds=1,
            limits=[_REPORT_LIMIT],
            extensions={"violated-policies": ["reports"]},
        )
    count_report(before, told)
    return Response(status=204, headers=ratelimit.fields([_REPORT_LIMIT]))


@bp.post("/sessions/<session_id>/end")
@guards.require_scope("sessions")
def end(caller: Caller, session_id: str) -> Response:
    body.read(body.Empty)
    return _ended(_ledger().end(caller.principal, session_id))


@bp.delete("/sessions/<session_id>")
@guards.require_scope("sessions")
def delete(caller: Caller, session_id: str) -> Response:
    return _ended(_ledger().end(caller.principal, session_id))


def _ended(session: Session) -> Response:
    """Google has no way to take a token back: `honoured_until` says how long it may still let it in."""
    until = session.token_expires_at or session.ends_at
    return jsonify(id=session.id, state=session.state.value, honoured_until=rfc3339(until))


def _ledger() -> Ledger:
    return parts().ledger
