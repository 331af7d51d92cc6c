"""`broker teams`, `broker users set-team` and `broker keys create --team`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.environment import environment, write_config
from tests.unit.cli.test_users import Run, alice, run

__all__ = ["alice", "run"]

TEAMS = """
[teams.sales]
rate = "50/hour"
budget_per_month = 40.00
[teams.default]
sessions = 9
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, "http://127.0.0.1:9", config=write_config(tmp_path, more=TEAMS))


@pytest.mark.usefixtures("alice")
def test_team_of_a_user_is_set_and_cleared(run: Run) -> None:
    assert run("users", "set-team", "alice", "sales").out == "alice now belongs to the team sales.\n"
    assert run("users", "show", "alice", "--json").json["team"] == "sales"
    assert run("users", "list", "--json").json[0]["team"] == "sales"
    (team,) = run("teams", "list", "--json").json
    assert (team["name"], team["members"], team["cost_month"]) == ("sales", 1, "0.00")
    explained = run("explain", "alice").out
    assert "Team     sales (team sales): rate 50/hour, budget_per_month 40.00\n" in explained
    assert run("users", "set-team", "alice", "--clear").out == "alice now belongs to no team.\n"
    assert run("users", "show", "alice", "--json").json["team"] is None


@pytest.mark.parametrize("words", [["alice"], ["alice", "sales", "--clear"]])
@pytest.mark.usefixtures("alice")
def test_either_a_team_or_clear(run: Run, words: list[str]) -> None:
    assert run("users", "set-team", *words).status == 2


@pytest.mark.usefixtures("alice")
def test_name_that_no_team_can_have_is_rejected(run: Run) -> None:
    for words in (
        ["users", "set-team", "alice", "a b"],
        ["teams", "show", "/x"],
        ["keys", "create", "k", "--team", ""],
    ):
        ran = run(*words)
        assert ran.status == 1
        assert "not a valid name of a team" in ran.err
    assert run("users", "set-team", "nobody", "sales").status == 1


def test_limits_of_a_team_are_set_and_cleared(run: Run) -> None:
    changed = run("teams", "set", "sales", "--sessions", "20", "--budget-per-day", "2.5", "--json").json
    assert (changed["limits"]["sessions"], changed["limits"]["budget_per_day"]) == (20, "2.50")
    assert changed["settings"]["sessions"] is None
    shown = run("teams", "show", "sales").out
    assert shown.startswith("sales: own sessions, budget_per_day; team sales; 0 members\n")
    assert "own" in next(line for line in shown.splitlines() if line.startswith("sessions "))
    assert run("limits", "list", "--json").json == [], "teams are no users"
    cleared = run("teams", "clear", "sales", "--only", "sessions", "--json").json
    assert cleared["overrides"]["budget_per_day"] == "2.50"
    assert run("teams", "clear", "sales", "--json").json["rule"] == "team sales"
    assert run("teams", "show", "other", "--json").json["limits"]["sessions"] == 9
    assert run("teams", "set", "sales").status == 1
    assert "sessions" in run("teams", "set", "sales", "--sessions", "0").err


def test_key_has_a_team(run: Run) -> None:
    created = run("keys", "create", "crm", "--team", "sales", "--on-behalf-of", "any", "--json").json
    assert created["team"] == "sales"
    assert run("explain", "crm", "--issuer", "live-broker:key", "--json").json["team"]["name"] == "sales"
    user = ("explain", "zoe", "--issuer", f"live-broker:key:{created['id']}", "--json")
    assert run(*user).json["team"]["name"] == "sales"
