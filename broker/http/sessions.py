"""Reports from the owner of a session: a heartbeat, its end, and client diagnostics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NotRequired

from flask import Blueprint
from pydantic import Field
from typing_extensions import TypedDict

from broker.errors import Code, LimitState, Refusal
from broker.http import body, guards, ratelimit
from broker.http.credentials import Caller
from broker.http.responses import add_headers, operation
from broker.http.shapes import Ended, ended
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.sessions.session import Session, SessionState
from broker.telemetry.metrics import count_report

bp = Blueprint("sessions", __name__)

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)] | None
Count = Annotated[int, Field(ge=0, le=1_000_000)] | None
Hertz = Annotated[int, Field(ge=0, le=768_000)] | None
Seconds = Annotated[int, Field(ge=0, le=86_400)] | None
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000)] | None

_OWN: tuple[Code, ...] = ("session-unknown",)
# A session has one row for its report. This limit bounds how often the row is written.
_REPORT_LIMIT = LimitState("reports", limit=1, remaining=0, reset=1, window_seconds=1)


class ReportBody(body.Body):
    """Client diagnostics of a session: for people to read, never used for limits.

    Token counts can raise the cost that operators see.
    """

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
    input_text_tokens: Tokens = None
    input_audio_tokens: Tokens = None
    input_image_tokens: Tokens = None
    input_video_tokens: Tokens = None
    output_text_tokens: Tokens = None
    output_audio_tokens: Tokens = None
    cached_tokens: Tokens = None
    thought_tokens: Tokens = None
    tool_prompt_tokens: Tokens = None


class Heartbeat(TypedDict):
    """`message`: why the session has ended, or what operators say to everybody who talks."""

    state: str
    ends_at: str
    message: NotRequired[str]


@bp.post("/sessions/<session_id>/heartbeat")
@guards.require_scope("sessions")
@operation("Keep a session counted as live, and report whether it has ended", body=body.Empty, codes=_OWN)
def heartbeat(caller: Caller, session_id: str) -> Heartbeat:
    body.read(body.Empty)
    session = parts().ledger.heartbeat(caller.principal, session_id)
    answer: Heartbeat = {"state": session.state.value, "ends_at": rfc3339(session.ends_at)}
    if message := _message(session):
        answer["message"] = message
    return answer


def _message(session: Session) -> str | None:
    if session.state is not SessionState.OPEN:
        return "An operator ended this session." if session.ended_by_operator else "This session has ended."
    suspension = parts().suspensions.current()
    if suspension is None or not suspension.covers(session.profile, renewal=False):
        return None
    return suspension.reason


@bp.post("/sessions/<session_id>/report")
@guards.require_scope("sessions")
@operation(
    "Report client diagnostics of a session; a new report replaces the previous one",
    status=204,
    body=ReportBody,
    codes=(*_OWN, "rate-limited"),
)
def report(caller: Caller, session_id: str) -> None:
    diagnostics = body.read(ReportBody).model_dump(exclude_none=True)
    quotas = parts().owners.quotas(caller.principal, session_id)
    previous = parts().reports.put(caller.principal, session_id, diagnostics, quotas)
    if previous is None:
        raise Refusal(
            "rate-limited",
            "At most one report per second is stored.",
            retry_after_seconds=1,
            limits=[_REPORT_LIMIT],
            extensions={"violated-policies": ["reports"]},
        )
    count_report(previous, diagnostics)
    add_headers(ratelimit.fields([_REPORT_LIMIT]))


@bp.post("/sessions/<session_id>/end")
@guards.require_scope("sessions")
@operation("End a session", body=body.Empty, codes=_OWN)
def end(caller: Caller, session_id: str) -> Ended:
    body.read(body.Empty)
    return _ended(parts().ender.end(caller.principal, session_id))


@bp.delete("/sessions/<session_id>")
@guards.require_scope("sessions")
@operation("End a session", codes=_OWN)
def delete(caller: Caller, session_id: str) -> Ended:
    return _ended(parts().ender.end(caller.principal, session_id))


def _ended(session: Session) -> Ended:
    # A place that was freed at the end is free whatever this host's clock says.
    freed = session.ended_at is not None and session.held_until <= session.ended_at
    holds = not freed and session.holds_place(datetime.now(UTC))
    return ended(
        session.id,
        session.state,
        session.token_expires_at or session.ends_at,
        session.held_until if holds else None,
    )
