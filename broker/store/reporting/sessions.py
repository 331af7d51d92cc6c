"""SqlSessions: all sessions for operators, who may end one without its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, literal, or_, select, tuple_, update

from broker.sessions.cost import Cost, cost_of
from broker.sessions.session import SessionState, TokenState
from broker.sessions.token_counts import Counts, Problem
from broker.settings import PriceList
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.tables import principals, service_keys, session_reports, sessions, tokens
from broker.store.ledger.locks import lock_owners
from broker.store.ledger.quota_usage import HOLDS_PLACE, times
from broker.store.ledger.usage_sums import ISSUED_SECONDS
from broker.store.reporting.people import IS_KEY, NAME

_team = principals.alias("team")
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
    _team.c.subject.label("team"),
    _SECONDS.label("seconds"),
    ISSUED_SECONDS.label("issued_seconds"),
    session_reports.c.data.label("report"),
    session_reports.c.token_counts,
    session_reports.c.set_aside,
).select_from(
    sessions.join(principals, principals.c.key == sessions.c.principal_key)
    .outerjoin(service_keys, IS_KEY)
    .outerjoin(_team, _team.c.key == sessions.c.team_key)
    .outerjoin(session_reports, session_reports.c.session_id == sessions.c.id)
)


@dataclass(frozen=True)
class SessionRow:
    """`seconds` are charged for it, also to its `team`. `state` is the state now, which may be later than the
    stored one.

    `report` is what its client reported; never trust it. `counts` are the reported token counts for the cost.
    `problems` are those of the last report that cannot be true. `issued_seconds` are `seconds` without those
    of a reservation.
    """

    id: str
    key: str
    issuer: str
    subject: str
    name: str
    team: str | None
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
    issued_seconds: int
    counts: Counts | None
    problems: Sequence[Problem]

    def cost(self, prices: PriceList) -> Cost | None:
        """None if its model has no price."""
        return cost_of(prices, self.model, self.opened_at, self.issued_seconds, self.counts)


class SqlSessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        *,
        principal_key: str | None = None,
        placed_only: bool = True,
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> list[SessionRow]:
        """Sessions that hold a place now, or all that were ever confirmed; one principal's or everyone's.

        Those that hold a place are as many as the counts of open sessions say: also ended ones that were not
        believed, and those whose first token is being minted.

        Newest first, starting after `before`, which is a session's (opened_at, id). A service key's sessions
        include those that it opened for its users.
        """
        query = _SESSIONS.order_by(sessions.c.opened_at.desc(), sessions.c.id.desc()).limit(limit)
        if principal_key is not None:
            owners = (sessions.c.principal_key, sessions.c.acting_key)
            query = query.where(or_(*(column == principal_key for column in owners)))
        if before is not None:
            position = tuple_(sessions.c.opened_at, sessions.c.id)
            query = query.where(
                position < tuple_(literal(before[0], sessions.c.opened_at.type), literal(before[1]))
            )
        with self._database.read() as connection:
            now = self._database.now(connection)
            if placed_only:
                query = query.where(HOLDS_PLACE)
            else:
                query = query.where(sessions.c.state.in_([SessionState.OPEN, SessionState.ENDED]))
            return [_session_row(row, now) for row in connection.execute(query, times(now))]

    def state(self, session_id: str) -> SessionState | None:
        """The stored state; None if there never was such a session."""
        with self._database.read() as connection:
            state = connection.execute(
                select(sessions.c.state).where(sessions.c.id == session_id)
            ).scalar_one_or_none()
        return None if state is None else SessionState(state)

    def end(self, session_id: str, *, actor: str) -> datetime | None:
        """End an open session and free its place. Returns when its last token expires at Google, or None.

        Its minutes stay charged, because it may go on at Google. Raises LookupError if it is not open.
        """
        with self._database.write() as connection:
            lock_owners(self._database, connection, session_id)
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
    is_over = row.state == SessionState.OPEN and row.ends_at <= now
    return SessionRow(
        id=row.id,
        key=row.principal_key,
        issuer=row.issuer,
        subject=row.subject,
        name=row.name,
        team=row.team,
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
        issued_seconds=int(row.issued_seconds),
        counts=row.token_counts,
        problems=row.set_aside["problems"] if row.set_aside else (),
    )
