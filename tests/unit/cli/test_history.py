"""`broker audit`, `broker purge`, `broker users remove|show`, and lists with relative times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from broker.cli.main import cli
from broker.cli.output import relative
from tests.unit.cli.test_users import PASSWORD, Run, alice, environ, run

__all__ = ["alice", "environ", "run"]
NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


@pytest.mark.usefixtures("alice")
def test_audit_lists_changes_and_filters_them_as_the_page_does(run: Run) -> None:
    run("users", "block", "alice", "--reason", "left the team")
    run("users", "unblock", "alice")
    everything = run("audit", "--json").json
    assert [entry["action"] for entry in everything] == ["user.unblock", "user.block", "user.add"]
    assert everything[1]["detail"]["after"]["reason"] == "left the team"
    found = {
        ("--action", "user.block"): ["user.block"],
        ("--actor", "CLI:"): ["user.unblock", "user.block", "user.add"],
        ("--outcome", "rate-limited"): [],
        ("--request-id", "nothing"): [],
        ("--session", "ses_x"): [],
        ("--since", "2999-01-01"): [],
        ("--until", "2999-01-01T00:00:00Z"): ["user.unblock", "user.block", "user.add"],
        ("--before", str(everything[0]["id"])): ["user.block", "user.add"],
        ("--limit", "1"): ["user.unblock"],
    }
    for words, actions in found.items():
        assert [entry["action"] for entry in run("audit", *words, "--json").json] == actions, words
    table = run("audit").out
    assert "user=alice" in table
    assert "→ null" in table
    assert run("audit", "--since", "yesterday").status == 2
    assert run("audit", "--limit", "0").status == 2


@pytest.mark.usefixtures("alice")
def test_removal_without_a_terminal_needs_yes(run: Run) -> None:
    refused = run("users", "remove", "alice")
    assert (refused.status, "add --yes" in refused.err) == (1, True)
    assert run("users", "show", "alice").status == 0
    removed = run("users", "remove", "alice", "--yes")
    assert (removed.status, removed.out.splitlines()[0]) == (
        0,
        "Removed alice. All existing sign-ins and bearer tokens are now invalid.",
    )
    for words in (("show", "alice"), ("remove", "alice", "--yes"), ("block", "alice")):
        gone = run("users", *words)
        assert (gone.status, "there is no user 'alice'" in gone.err) == (1, True), words
    assert run("audit", "--action", "user.remove", "--json").json[0]["detail"]["user"] == "alice"
    assert run("users", "add", "alice", stdin=PASSWORD).status == 0


def test_last_operator_cannot_be_removed(run: Run) -> None:
    run("users", "add", "olga", "--role", "operator", stdin=PASSWORD)
    refused = run("users", "remove", "olga", "--yes")
    assert (refused.status, "last operator" in refused.err) == (1, True)


@pytest.mark.usefixtures("alice")
def test_show_has_limits_use_and_block(run: Run) -> None:
    run("limits", "set", "alice", "--sessions", "3")
    run("users", "block", "alice", "--reason", "why not")
    shown = run("users", "show", "alice", "--json").json
    assert (shown["plan"], shown["sessions"], shown["minutes_today"]) == ("default", 3, 0)
    assert (shown["blocked_reason"], shown["rule"]) == ("why not", "own sessions; default")
    assert "why not" in run("users", "show", "alice").out
    assert run("users", "show", "u-1", "--issuer", "live-broker:guest").status == 1


@pytest.mark.usefixtures("alice")
def test_users_are_filtered_by_plan_and_block(run: Run) -> None:
    run("users", "add", "gwen", "--plan", "gold", stdin=PASSWORD)
    run("users", "block", "gwen")

    def listed(*words: str) -> list[str]:
        return [user["username"] for user in run("users", "list", *words, "--json").json]

    assert listed() == ["alice", "gwen"]
    assert (listed("--plan", "gold"), listed("--plan", "default")) == (["gwen"], ["alice"])
    assert (listed("--blocked"), listed("--blocked", "--plan", "default")) == (["gwen"], [])


def test_purge_asks_and_refuses_days_that_limits_need(run: Run) -> None:
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    refused = run("purge", "--before", yesterday)
    assert (refused.status, "add --yes" in refused.err) == (1, True)
    too_new = run("purge", "--before", f"{datetime.now(UTC):%Y-%m-%d}", "--yes")
    assert (too_new.status, "limits need what is newer" in too_new.err) == (1, True)
    assert run("purge").status == 2
    done = run("purge", "--before", yesterday, "--yes", "--json")
    assert done.json == {"sessions": 0, "tokens": 0, "audit": 0, "names": 0}
    assert run("audit", "--json").json[0]["action"] == "purge"


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(), "now"),
        (timedelta(seconds=1), "1 s ago"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(seconds=119), "1 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=400), "400 d ago"),
        (timedelta(minutes=-12), "in 12 min"),
        (timedelta(days=-1), "in 1 d"),
    ],
)
def test_times_in_tables_are_relative(ago: timedelta, text: str) -> None:
    assert relative(NOW - ago, NOW) == text


@pytest.mark.usefixtures("alice")
def test_times_in_json_are_exact(run: Run) -> None:
    (user,) = run("users", "list", "--json").json
    assert datetime.fromisoformat(user["created_at"]).tzinfo is not None
    assert user["created_at"][:4] in f"{datetime.now(UTC)}"
    assert " ago" in run("users", "list").out or " now" in run("users", "list").out


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_completion_prints_a_script(shell: str, word: str) -> None:
    printed = CliRunner().invoke(cli, ["completion", shell])
    assert printed.exit_code == 0
    assert "_BROKER_COMPLETE" in printed.output
    assert word in printed.output
