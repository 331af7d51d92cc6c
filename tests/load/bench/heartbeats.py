"""Heartbeats: the processor time of the three kinds, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import func, select, update

from broker.store.database.engine import Database
from broker.store.database.tables import principals, sessions
from tests.load.bench.rounds import Cell, measure
from tests.load.bench.stage import Service, Stage

# More than one load reaches, so each session gets one heartbeat.
_MOST = 5000
_LOAD = Cell(callers=8, upstream_ms=0, seconds=0.4, settle_seconds=0.0)


@dataclass(frozen=True)
class Cost:
    """Processor time of one request in ms."""

    request: str
    store: str
    cpu_ms: float
    database_cpu_ms: float


def costs(stage: Stage, service: Service) -> list[Cost]:
    """Opens sessions first, for as long as two loads, so that each has a new token."""
    assert service.server is not None
    stage.delay(0)
    for _ in range(2):
        stage.load(service, 32, 1.0, 0.0)
    database = service.server.database
    bearer_of = {f"caller{number}": bearer for number, (_, bearer) in enumerate(service.requests)}
    newest = _newest(database)
    beats = [(f"/sessions/{session}/heartbeat", bearer_of[subject]) for session, subject in newest]
    first = _cost("first heartbeat of a token", stage, replace(service, requests=beats))
    let_twenty_seconds_pass(database)
    beaten = beats[: _number_beaten(database)]
    later = _cost("heartbeat", stage, replace(service, requests=beaten))
    few = replace(service, requests=beaten[:20])
    return [first, later, _cost("heartbeat within ten seconds", stage, few)]


def _cost(request: str, stage: Stage, service: Service) -> Cost:
    found = measure(stage, service, _LOAD)
    return Cost(request, service.name, found.cpu_ms, found.database_cpu_ms)


def _newest(database: Database) -> list[tuple[str, str]]:
    query = (
        select(sessions.c.id, principals.c.subject)
        .join(principals, principals.c.key == sessions.c.principal_key)
        .where(sessions.c.state == "open", sessions.c.heartbeat_at.is_(None))
        .order_by(sessions.c.opened_at.desc())
        .limit(_MOST)
    )
    with database.read() as connection:
        return [(row.id, row.subject) for row in connection.execute(query)]


def _number_beaten(database: Database) -> int:
    with database.read() as connection:
        beaten = sessions.c.heartbeat_at > database.now(connection) - timedelta(minutes=1)
        return connection.scalar(select(func.count()).select_from(sessions).where(beaten)) or 1


def let_twenty_seconds_pass(database: Database) -> None:
    """For the heartbeats of the last ten seconds, so that the next ones are written again."""
    with database.write() as connection:
        now = database.now(connection)
        beaten = sessions.c.heartbeat_at > now - timedelta(seconds=10)
        values = {"heartbeat_at": now - timedelta(seconds=20)}
        connection.execute(update(sessions).where(beaten).values(values))
