"""Budgets in broker.toml: exact amounts, known time zones, and a price for every model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.test_prices import entry, faults, settings


def test_budgets_are_read_exactly(tmp_path: Path) -> None:
    project = '[project]\ntime_zone = "Europe/Paris"\nbudget_per_day = 0.1\nbudget_per_month = 7\n'
    found = settings(tmp_path, project + entry()).config.project
    assert (found.budget_per_day, found.budget_per_month) == (100_000, 7_000_000)
    assert str(found.time_zone) == "Europe/Paris"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("budget_per_day = -1", "project.budget_per_day: must be at least 0"),
        ("budget_per_day = 0.0000001", "project.budget_per_day: must have at most 6 decimals"),
        ('budget_per_month = "20"', "project.budget_per_month: must be a number without quotes"),
        ('time_zone = "Europe/Pariss"', "project.time_zone: must be a time zone that this system knows"),
        ('time_zone = "../etc/passwd"', "project.time_zone: must be a time zone that this system knows"),
        ("time_zone = 1", "project.time_zone: "),
        ("minutes_per_month = 5", "project.minutes_per_month: is not a known key"),
    ],
)
def test_wrong_budget_is_a_fault(tmp_path: Path, line: str, fault: str) -> None:
    (found,) = faults(tmp_path, f"[project]\n{line}\n" + entry())
    assert found.startswith(f"broker.toml: {fault}")


def test_budget_needs_a_price_for_every_model(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "[project]\nbudget_per_month = 7\n")
    assert found == (
        "broker.toml: project: has a budget, so every model needs a price; there is none for gemini-3.8-live"
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('[teams."a b"]\n', "teams.a b: must have 1 to 64 of A-Z a-z 0-9 . _ : @ + -"),
        ("[teams.sales]\nsession_minutes = 5\n", "teams.sales.session_minutes: is not a known key"),
        ("[teams.sales]\nsessions = 0\n", "teams.sales.sessions: must be at least 1"),
    ],
)
def test_wrong_team_is_a_fault(tmp_path: Path, lines: str, fault: str) -> None:
    (found,) = faults(tmp_path, lines + entry())
    assert found.startswith(f"broker.toml: {fault}")


def test_budget_of_a_team_is_exact_and_needs_prices(tmp_path: Path) -> None:
    team = '[teams."org_2bX:9"]\nbudget_per_day = 0.1\n'
    assert settings(tmp_path, team + entry()).config.teams["org_2bX:9"].budget_per_day == 100_000
    (found,) = faults(tmp_path, team)
    assert found.startswith("broker.toml: teams.org_2bX:9: has a budget, so every model needs a price")
