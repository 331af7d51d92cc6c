"""What commands ask at a terminal: passwords twice, and whether something may be destroyed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.terminal import at_terminal
from tests.unit.cli.test_users import PASSWORD, Run, alice, environ, run

__all__ = ["alice", "environ", "run"]
ROOT = Path(__file__).parents[3]
Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(environ: dict[str, str], run: Run) -> Typed:
    """typed("users", "add", "bob", answers={"Password: ": ["…"]}): (exit status, what was shown)."""

    def go(*words: str, answers: dict[str, list[str]]) -> tuple[int, str]:
        variables = {**environ, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return at_terminal(["-m", "broker.cli", *words], variables, answers)

    return go


def test_password_is_asked_twice_and_not_shown(run: Run, typed: Typed) -> None:
    answers = {"Password: ": [PASSWORD], "The same again: ": [PASSWORD]}
    status, shown = typed("users", "add", "bob", answers=answers)
    assert (status, PASSWORD in shown) == (0, False)
    assert shown.endswith("Added bob on plan default.\n")


def test_two_different_passwords_add_nobody(run: Run, typed: Typed) -> None:
    answers = {"Password: ": [PASSWORD], "The same again: ": [f"{PASSWORD}!"]}
    status, shown = typed("users", "add", "bob", answers=answers)
    assert (status, "Error: the two passwords differ" in shown) == (1, True)
    assert run("users", "list", "--json").json == []


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("add", "alice"), "the user 'alice' already exists"),
        (("add", "bob", "--plan", "none"), "there is no plan 'none'"),
        (("password", "bob"), "there is no user 'bob'"),
    ],
)
def test_other_faults_are_reported_before_the_password_is_asked(
    typed: Typed, words: tuple[str, ...], problem: str
) -> None:
    status, shown = typed("users", *words, answers={})
    assert status == 1
    assert problem in shown
    assert "assword: " not in shown


@pytest.mark.usefixtures("alice")
def test_removal_asks_and_no_means_no(run: Run, typed: Typed) -> None:
    question = "Remove the user alice for good? [y/N]: "
    status, shown = typed("users", "remove", "alice", answers={question: ["n"]})
    assert (status, question in shown) == (130, True)
    assert [user["username"] for user in run("users", "list", "--json").json] == ["alice"]
    assert typed("users", "remove", "alice", answers={question: ["y"]})[0] == 0
    assert run("users", "list", "--json").json == []


def test_revoking_a_key_asks_only_at_a_terminal(run: Run, typed: Typed) -> None:
    """Scripts revoked keys before there was a question."""
    for name in ("shop", "cafe"):
        run("keys", "create", name)
    status, _ = typed("keys", "revoke", "shop", answers={"Revoke the key shop for good? [y/N]: ": [""]})
    assert status == 130
    assert run("keys", "revoke", "cafe").status == 0
    assert typed("keys", "revoke", "shop", "--yes", answers={})[0] == 0
    assert [key["revoked_at"] is None for key in run("keys", "list", "--json").json] == [False, False]
