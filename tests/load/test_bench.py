"""The benchmark's harness runs: one short round of the broker and of a peer, every column, no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.bench import report, warm
from tests.load.bench.__main__ import ratios
from tests.load.bench.rounds import Row, cell, run
from tests.load.bench.stage import Stage
from tests.load.bench.statements import Statements
from tests.load.bench.warm import Waits


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], list[Waits]]:
    with Stage(tmp_path_factory.mktemp("bench"), callers=8, workers=1, pinned=False) as stage:
        broker = stage.broker("sqlite", open_sessions=20)
        rows = run(stage, [broker, stage.peer("shared client")], [cell(2, 20, scale=0.3)], rounds=1)
        return rows, warm.run(stage, [broker], rounds=1, scale=0.2)


@pytest.fixture
def rows(measured: tuple[list[Row], list[Waits]]) -> list[Row]:
    return measured[0]


@pytest.fixture
def waits(measured: tuple[list[Row], list[Waits]]) -> Waits:
    return measured[1][0]


def test_every_service_has_a_row_without_errors(rows: list[Row]) -> None:
    assert [(row.service, row.open_sessions, row.callers, row.errors) for row in rows] == [
        ("upstream alone", 0, 2, 0),
        ("broker, sqlite", 20, 2, 0),
        ("shared client", 0, 2, 0),
    ]


def test_every_column_is_measured(rows: list[Row]) -> None:
    for row in rows:
        assert row.per_second > 0
        assert row.of_possible > 0
        assert row.p99_above >= row.p50_above > 0
        assert row.cpu_ms > 0
        assert row.memory_mb > 1
        assert len(report.cells(rows, row)) == len(report.COLUMNS)


def test_table_compares_with_the_shared_client(rows: list[Row]) -> None:
    shown = dict(zip(report.COLUMNS, report.cells(rows, rows[1]), strict=True))
    assert shown["service"] == "broker, sqlite, 20 open"
    assert float(shown["CPU to shared client"]) == pytest.approx(rows[1].cpu_ms / rows[2].cpu_ms, abs=0.01)
    lines = ratios(rows, [Statements("token", "sqlite", 23, 3)])
    assert lines[2].split()[-2:] == ["23", "0"]


def test_waits_of_paced_callers_are_measured(waits: Waits) -> None:
    assert (waits.service, waits.errors, waits.warm) == ("broker, sqlite", 0, 0)
    assert waits.p99_ms >= waits.p50_ms > 0
    assert waits.cpu_ms > 0
    assert "| broker, sqlite |" in warm.report([waits])


def test_pages_keep_what_is_outside_of_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="lacks the markers"):
        report.write(page, "new")


@pytest.mark.parametrize("page", [report.PAGE, report.SCALING])
def test_committed_pages_have_the_markers(page: Path) -> None:
    text = page.read_text()
    assert text.index(report.BEGIN) < text.index(report.END)


def test_peers_are_short() -> None:
    peers = list((Path(__file__).parent / "peers").glob("*.py"))
    assert len(peers) == 5
    assert [path.name for path in peers if len(path.read_text().splitlines()) > 40] == []
