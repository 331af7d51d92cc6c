"""Shell completion offers existing names, and nothing if the settings are invalid."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.test_users import PASSWORD, Run, alice, environ, run

__all__ = ["alice", "environ", "run"]
Offered = Callable[..., list[str]]
pytestmark = pytest.mark.usefixtures("alice")


@pytest.fixture
def offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """offered("limits", "show", "a"): the names that bash lists after these words."""

    def ask(*words: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("_BROKER_COMPLETE", "bash_complete")
            patch.setenv("COMP_WORDS", " ".join(["broker", *words]))
            patch.setenv("COMP_CWORD", str(len(words)))
            ran = run()
        assert ran.err == ""
        return [line.split(",", 1)[1] for line in ran.out.split()]

    return ask


def test_existing_names_are_offered(run: Run, offered: Offered) -> None:
    run("users", "add", "bob", stdin=PASSWORD)
    run("keys", "create", "shop")
    for command in (("limits", "show"), ("explain",), ("users", "block"), ("sessions", "list", "--user")):
        assert offered(*command, "") == ["alice", "bob"], command
        assert offered(*command, "al") == ["alice"], command
    assert offered("limits", "set", "alice", "--plan", "g") == ["gold"]
    assert "default" in offered("explain", "alice", "--profile", "")
    assert offered("keys", "revoke", "") == ["shop"]
    assert offered("sessions", "end", "") == []
    assert "explain" in offered("ex")


def test_invalid_settings_offer_nothing(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_SECRET_KEY", "short")
    assert offered("limits", "show", "") == []
