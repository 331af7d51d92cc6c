"""Statements: how many SQL statements and transactions a request costs, with the app in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

from broker.app import create_app
from broker.parts import parts_of
from broker.settings import load
from tests.load.bench.heartbeats import let_twenty_seconds_pass
from tests.load.bench.stock import bearers, stock

_TIMES = 5


@dataclass(frozen=True)
class Statements:
    """Of one request: statements without BEGIN and COMMIT, and transactions that wrote."""

    request: str
    store: str
    statements: float
    commits: float


def count(kind: str, environ: Mapping[str, str]) -> list[Statements]:
    """`environ`: settings with a store that has the schema and no users."""
    app = create_app(load({**environ, "BROKER_LOG_LEVEL": "error"}))
    parts = parts_of(app)
    stock(parts.database, callers=_TIMES + 1)
    headers = [{"Authorization": f"Bearer {one}"} for one in bearers(parts.settings, _TIMES + 1)]
    client = app.test_client(use_cookies=False)
    paths: list[str] = []

    def mint(one: int) -> None:
        answer = client.post("/token", headers=headers[one], json={})
        assert answer.status_code == 200, answer.text
        paths.append(f"/sessions/{answer.get_json()['session']['id']}/heartbeat")

    def beat(one: int) -> None:
        answer = client.post(paths[one], headers=headers[one], json={})
        assert answer.status_code == 200, answer.text

    mint(0)  # loads the SDK and asks for the models
    beat(0)
    found = [_counted("token", kind, mint), _counted("first heartbeat of a token", kind, beat)]
    let_twenty_seconds_pass(parts.database)
    found += [_counted("heartbeat", kind, beat), _counted("heartbeat within ten seconds", kind, beat)]
    parts.database.dispose()
    return found


def _counted(request: str, kind: str, work: Callable[[int], None]) -> Statements:
    with _counter() as counts:
        for one in range(1, _TIMES + 1):
            work(one)
    return Statements(request, kind, counts["statements"] / _TIMES, counts["commits"] / _TIMES)


@contextmanager
def _counter() -> Iterator[dict[str, int]]:
    """Every engine of this process."""
    counts = {"statements": 0, "commits": 0}

    def statement(*_: Any) -> None:
        counts["statements"] += 1

    def commit(*_: Any) -> None:
        counts["commits"] += 1

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    try:
        yield counts
    finally:
        event.remove(Engine, "before_cursor_execute", statement)
        event.remove(Engine, "commit", commit)
