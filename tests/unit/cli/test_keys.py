"""`broker keys`: output, exit status and rejected arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.cli.main import main
from tests.support.environment import environment, write_config

PLANS = """
[plans.backend]
rate = "100/minute"
sessions = 1
minutes_per_day = 1
session_minutes = 1
[profiles.closed]
models = ["gemini-3.8-live"]
plans = ["backend"]
[profiles.closed.config]
response_modalities = ["AUDIO"]
"""
KEY = re.compile(r"lbk_[a-z0-9]{12}_[0-9A-Za-z]{49}")


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """broker("keys", "list"): runs the command in this process, on a new database."""
    config = write_config(tmp_path, more=PLANS)
    for name, value in environment(tmp_path, "http://127.0.0.1:9", config=config).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["broker", *words])
        status = 0
        try:
            main()
        except SystemExit as leave:
            status = int(leave.code or 0)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    assert run("db", "upgrade").returncode == 0
    return run


def test_key_is_printed_once_and_alone_on_stdout(broker: Run) -> None:
    made = broker(
        "keys", "create", "shop", "--plan", "backend", "--on-behalf-of", "acme:*", "--expires-days", "9"
    )
    assert made.returncode == 0
    assert KEY.fullmatch(made.stdout.strip())
    assert not KEY.search(made.stderr)
    listed = broker("keys", "list", "--json")
    assert not KEY.search(listed.stdout)
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == "shop"]
    assert row["id"] == made.stdout.split("_")[1]
    assert (row["plan"], row["on_behalf_of"], row["profiles"]) == ("backend", "acme:*", None)
    assert row["scopes"] == ["read", "sessions", "token"]
    assert row["expires_at"] > row["created_at"]
    assert row["revoked_at"] is None
    revoked = broker("keys", "revoke", "shop")
    assert revoked.returncode == 0
    assert row["id"] in revoked.stdout
    table = broker("keys", "list").stdout.splitlines()
    assert table[0].split()[:2] == ["name", "id"]
    again = broker("keys", "create", "shop")
    assert (again.returncode, again.stdout) == (1, "")


def test_json_output_has_the_key_and_its_terms(broker: Run) -> None:
    made = json.loads(
        broker("keys", "create", "narrow", "--scope", "token", "--profile", "default", "--json").stdout
    )
    assert KEY.fullmatch(made["key"])
    assert (made["scopes"], made["profiles"], made["on_behalf_of"]) == (["token"], ["default"], None)


def test_key_has_the_plans_of_its_users(broker: Run) -> None:
    words = ("--on-behalf-of", "any", "--user-plan", "backend", "--plans", "default, backend", "--json")
    made = json.loads(broker("keys", "create", "shop", *words).stdout)
    assert (made["user_plan"], made["plans"]) == ("backend", ["backend", "default"])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["Shop"], 1),
        (["a b"], 1),
        (["x" * 65], 1),
        (["x", "--plan", "none"], 1),
        (["x", "--on-behalf-of", "any", "--user-plan", "none"], 1),
        (["x", "--on-behalf-of", "any", "--plans", "backend,none"], 1),
        (["x", "--plans", "backend"], 1),
        (["x", "--profile", "none"], 1),
        (["x", "--profile", "closed"], 1),
        (["x", "--expires-days", "0"], 1),
        (["x", "--expires-days", "-1"], 1),
        (["x", "--on-behalf-of", "acme"], 1),
        (["x", "--on-behalf-of", "*"], 1),
        (["x", "--on-behalf-of", "a*b*"], 1),
        (["x", "--on-behalf-of", ""], 1),
        (["x", "--on-behalf-of", "e\N{COMBINING ACUTE ACCENT}*"], 1),
        (["x", "--on-behalf-of", "a\N{ZERO WIDTH SPACE}*"], 1),
        (["x", "--scope", "admin"], 2),
        (["x", "--expires-days", "soon"], 2),
        ([], 2),
    ],
)
def test_invalid_arguments_are_rejected(broker: Run, words: list[str], status: int) -> None:
    refused = broker("keys", "create", *words)
    assert (refused.returncode, refused.stdout) == (status, "")
    assert refused.stderr
    assert "Traceback" not in refused.stderr


def test_unknown_key_cannot_be_revoked(broker: Run) -> None:
    assert broker("keys", "revoke", "nobody").returncode == 1
