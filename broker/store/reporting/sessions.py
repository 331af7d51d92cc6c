"""Sessions as operators see them: everybody's, and ended without their owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, literal, or_, select, tuple_, update

from broker.sessions.session import SessionState, TokenState
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.tables import principals, service_keys, session_reports, sessions, tokens
from broker.store.ledger.quota_usage import HOLDS_PLACE, times
from broker.store.reporting.people import IS_KEY, NAME

_SECONDS = (
    select(func.coalesce(func.sum(tokens.c.seconds), 0))
    .where(tokens.c.session_id == sessions.c.id)
    .correlate(sessions)
    .scalar_subquery()
)
_SESSIONS = select(
    sessions,
    principals.c.issuer,
    principals.c.subject,
    NAME.label("name"),
    _SECONDS.label("seconds"),
    session_reports.c.data.label("report"),
).select_from(
    sessions.join(principals, principals.c.key == sessions.c.principal_key)
    .outerjoin(service_keys, IS_KEY)
    .outerjoin(session_reports, session_reports.c.session_id == sessions.c.id)
)


@dataclass(frozen=True)
class SessionRow:
    """`seconds` of talk were charged for it. `state` is as it is now, whatever was last written down."""

    id: str
    key: str
    issuer: str
    subject: str
    name: str
    profile: str
    model: str
    state: SessionState
    opened_at: datetime
    ends_at: datetime
    held_until: datetime
    heartbeat_at: datetime | None
    ended_at: datetime | None
    seconds: int
    client: Mapping[str, Any]
    report: Mapping[str, Any] | None
    """What its client told of it; never trusted."""


class SqlSessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        *,
        principal_key: str | None = None,
        open_only: bool = True,
        before: tuple[datetime, str] | None = None,
        most: int,
    ) -> list[SessionRow]:
        """Those that count as open now, or all that came to be; of one principal or of everybody.

        The newest first, from the one behind `before` (when it was opened, and its id) on. A service key has
        those that it opened for its users too.
        """
        asked = _SESSIONS.order_by(sessions.c.opened_at.desc(), sessions.c.id.desc()).limit(most)
        if principal_key is not None:
            whose = (sessions.c.principal_key, sessions.c.acting_key)
            asked = asked.where(or_(*(column == principal_key for column in whose)))
        if before is not None:
            place = tuple_(sessions.c.opened_at, sessions.c.id)
            asked = asked.where(
                place < tuple_(literal(before[0], sessions.c.opened_at.type), literal(before[1]))
            )
        with self._database.read() as connection:
            now = self._database.now(connection)
            if open_only:
                asked = asked.where(HOLDS_PLACE, sessions.c.state == SessionState.OPEN)
            else:
                asked = asked.where(sessions.c.state.in_([SessionState.OPEN, SessionState.ENDED]))
            return [_session_row(row, now) for row in connection.execute(asked, times(now))]

    def state(self, session_id: str) -> SessionState | None:
        """None if there never was such a session."""
        with self._database.read() as connection:
            kept = connection.execute(
                select(sessions.c.state).where(sessions.c.id == session_id)
            ).scalar_one_or_none()
        return None if kept is None else SessionState(kept)

    def end(self, session_id: str, *, actor: str) -> datetime | None:
        """Ends it and frees its place. Returns until when Google may honour its last token.

        Nothing is given back of its minutes: the operator ends it here, not at Google. Raises LookupError.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            ended = connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id, sessions.c.state == SessionState.OPEN)
                .values(state=SessionState.ENDED, ended_at=now, held_until=now)
            )
            if not ended.rowcount:
                raise LookupError(session_id)
            owner = connection.execute(_SESSIONS.where(sessions.c.id == session_id)).one()
            audit.record_change(
                connection,
                now,
                actor=actor,
                action="session.end",
                session_id=session_id,
                issuer=owner.issuer,
                subject=owner.subject,
                before={"state": SessionState.OPEN},
                after={"state": SessionState.ENDED},
            )
            latest: datetime | None = connection.execute(
                select(func.max(tokens.c.expires_at)).where(
                    tokens.c.session_id == session_id, tokens.c.state == TokenState.ISSUED
                )
            ).scalar_one()
        return latest if latest is not None and latest > now else None


def _session_row(row: Row[Any], now: datetime) -> SessionRow:
    is_over = row.ends_at <= now
    return SessionRow(
        id=row.id,
        key=row.principal_key,
        issuer=row.issuer,
        subject=row.subject,
        name=row.name,
        profile=row.profile,
        model=row.model,
        state=SessionState.ENDED if is_over else SessionState(row.state),
        opened_at=row.opened_at,
        ends_at=row.ends_at,
        held_until=row.held_until,
        heartbeat_at=row.heartbeat_at,
        ended_at=row.ended_at,
        seconds=int(row.seconds),
        client=row.client,
        report=row.report,
    )
