"""The audit trail: rows that are only ever appended, in the transaction of what they record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from broker.errors import Refusal
from broker.store.database.tables import audit
from broker.telemetry.log import current_request_id

_APPEND = insert(audit)


def record_change(
    connection: Connection,
    at: datetime,
    *,
    actor: str,
    action: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    session_id: str | None = None,
    **of: str,
) -> None:
    """What an operator changed: `of` names what it was done to; None is where there was, or is, nothing."""
    detail = {**of, "before": before, "after": after}
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
) -> None:
    """Append one row. If it cannot be written the thing it records must not happen, so this raises."""
    try:
        connection.execute(
            _APPEND,
            {
                "at": at,
                "actor": actor,
                "action": action,
                "outcome": outcome,
                "request_id": current_request_id(),
                "session_id": session_id,
                "token_sha256": token_sha256,
                "detail": dict(detail) if detail else None,
            },
        )
    except DBAPIError as fault:
        raise Refusal("audit-unavailable", reason=type(fault.orig).__name__) from fault
