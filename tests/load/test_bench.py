"""The benchmark's harness runs: one short round of the broker and of a peer, every column, no error."""

from __future__ import annotations

import pytest

from tests.load.bench.rounds import Row, cell, run
from tests.load.bench.stage import Stage


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    with Stage(tmp_path_factory.mktemp("bench"), callers=8, workers=1, pinned=False) as stage:
        services = [stage.broker("sqlite", open_sessions=20), stage.peer("shared client")]
        return run(stage, services, [cell(2, 20, scale=0.3)], rounds=1)


def test_every_service_has_a_row_without_errors(rows: list[Row]) -> None:
    assert [(row.service, row.open_sessions, row.callers, row.errors) for row in rows] == [
        ("upstream alone", 0, 2, 0),
        ("broker, sqlite", 20, 2, 0),
        ("shared client", 0, 2, 0),
    ]
