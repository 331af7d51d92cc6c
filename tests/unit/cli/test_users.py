"""The command line on a real SQLite file: output, exit status and audit rows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy import select

from broker.cli.main import main
from broker.limits.limiter import create_rates
from broker.settings import load
from broker.store.database.engine import Database
from broker.store.database.tables import audit
from broker.store.ledger.rates import rate_storage
from tests.support.environment import environment, write_config
from tests.support.servers import own_principal

PASSWORD = "a long enough password"
GOLD = """
[plans.gold]
rate = "7/minute"
sessions = 1
minutes_per_day = 1
session_minutes = 1
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    config = write_config(tmp_path, rate="2/minute", more=GOLD)
    return environment(tmp_path, "http://127.0.0.1:9", config=config)


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run("users", "add", "alice", stdin="password"): runs the command in this process."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def go(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.argv", ["broker", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = 0
        try:
            main()
        except SystemExit as leave:
            status = int(leave.code or 0)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    assert go("db", "upgrade").status == 0
    return go


@pytest.fixture
def alice(run: Run) -> None:
    assert run("users", "add", "alice", stdin=f"{PASSWORD}\n").status == 0


def audited(environ: dict[str, str]) -> list[tuple[str, str]]:
    database = Database(environ["BROKER_DATABASE_URL"])
    with database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.outcome).order_by(audit.c.id)).all()
    database.dispose()
    return [(row.action, row.outcome) for row in rows]


@pytest.mark.usefixtures("alice")
def test_each_change_has_one_audit_row(run: Run, environ: dict[str, str]) -> None:
    changes: list[tuple[tuple[str, ...], str]] = [
        (("users", "password", "alice"), "user.password"),
        (("users", "sign-out", "alice"), "user.sign-out"),
        (("users", "block", "alice", "--reason", "left"), "user.block"),
        (("users", "unblock", "alice"), "user.unblock"),
        (("blocks", "add", "--issuer", "live-broker", "--jti", "abc"), "block.jti"),
        (("blocks", "remove", "--issuer", "live-broker", "--jti", "abc"), "unblock.jti"),
        (("blocks", "add", "--issuer", "live-broker"), "block.issuer"),
        (("blocks", "remove", "--issuer", "live-broker"), "unblock.issuer"),
        (("users", "block", "u-1", "--issuer", "live-broker:guest"), "block.principal"),
        (("users", "unblock", "u-1", "--issuer", "live-broker:guest"), "unblock.principal"),
        (("users", "sign-out", "u-1", "--issuer", "live-broker:guest"), "block.issued-before"),
        (("token", "alice"), "user.token"),
    ]
    for arguments, _ in changes:
        ran = run(*arguments, stdin="yet another password\n")
        assert (ran.status, ran.err) == (0, ""), arguments
    assert audited(environ) == [("user.add", "ok"), *((action, "ok") for _, action in changes)]


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("arguments", "stdin", "problem"),
    [
        (("users", "add", "alice"), PASSWORD, "already exists"),
        (("users", "add", "Alice"), PASSWORD, "is not a valid user name"),
        (("users", "add", "bob"), "short", "8 to 256"),
        (("users", "add", "bob"), "", "8 to 256"),
        (("users", "add", "bob", "--plan", "none"), PASSWORD, "there is no plan"),
        (("users", "password", "bob"), PASSWORD, "there is no user"),
        (("users", "password", "alice"), "short", "8 to 256"),
        (("users", "block", "bob"), "", "there is no user"),
        (("users", "block", "u-1", "--issuer", "https://unknown.example"), "", "there is no issuer"),
        (("users", "unblock", "alice"), "", "is not blocked"),
        (("users", "unblock", "u-1", "--issuer", "live-broker:guest"), "", "is not blocked"),
        (("users", "sign-out", "bob"), "", "there is no user"),
        (("users", "block", "shop", "--issuer", "live-broker:key"), "", "there is no service key"),
        (("users", "block", "u-1", "--issuer", "live-broker:key:shop"), "", "there is no service key"),
        (("users", "sign-out", "u-1", "--issuer", "live-broker:key"), "", "do not sign in"),
        (("blocks", "remove", "--issuer", "live-broker"), "", "there is no such block"),
        (("token", "bob"), "", "there is no user"),
        (("explain", "bob"), "", "there is no user"),
    ],
)
def test_rejected_command_changes_nothing(
    run: Run, environ: dict[str, str], arguments: tuple[str, ...], stdin: str, problem: str
) -> None:
    ran = run(*arguments, stdin=stdin)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")
    assert problem in ran.err
    assert audited(environ) == [("user.add", "ok")]


@pytest.mark.parametrize(
    "arguments",
    [("users", "block"), ("users", "nothing"), ("explain",), ("blocks", "add"), ("token", "a", "b"), ("-x",)],
)
def test_wrong_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


def test_invalid_settings_exit_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_SECRET_KEY", "short")
    ran = run("users", "list")
    assert ran.status == 2
    assert "BROKER_SECRET_KEY" in ran.err


@pytest.mark.usefixtures("alice")
def test_passwords_are_never_printed(run: Run) -> None:
    assert PASSWORD not in str(run("users", "add", "bob", stdin=PASSWORD))
    assert PASSWORD not in str(run("users", "password", "bob", stdin=PASSWORD))
    assert PASSWORD not in str(run("users", "list", "--json"))
    assert "argon2" not in str(run("users", "list", "--json"))


@pytest.mark.usefixtures("alice")
def test_lists_are_printed_as_json(run: Run) -> None:
    run("users", "block", "alice")
    run("users", "block", "u-1", "--issuer", "live-broker:guest", "--reason", "abuse")
    (listed,) = run("users", "list", "--json").json
    assert (listed["username"], listed["plan"], listed["blocked"]) == ("alice", "default", True)
    (block,) = run("blocks", "list", "--json").json
    assert {name: block[name] for name in ("kind", "issuer", "subject", "reason")} == {
        "kind": "principal",
        "issuer": "live-broker:guest",
        "subject": "u-1",
        "reason": "abuse",
    }
    assert "abuse" in run("blocks", "list").out


@pytest.mark.usefixtures("alice")
def test_token_is_printed_unless_the_user_is_blocked(run: Run) -> None:
    ran = run("token", "alice")
    claims = jwt.decode(ran.out.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["iss"], claims["exp"] - claims["iat"]) == ("alice", "live-broker", 3600)
    run("users", "block", "alice")
    assert run("token", "alice").status == 1


def explained(run: Run, *arguments: str) -> tuple[str, int, str]:
    ran = run("explain", *arguments, "--json")
    assert ran.status == 0
    return ran.json["rule"], ran.json["status"], ran.json["answer"]


@pytest.mark.usefixtures("alice")
def test_explain_shows_the_rule_and_the_next_answer(run: Run, environ: dict[str, str]) -> None:
    run("users", "add", "gwen", "--plan", "gold", stdin=PASSWORD)
    assert explained(run, "alice") == ("default", 200, "granted")
    assert explained(run, "gwen") == ("plan gold", 200, "granted")
    assert explained(run, "alice", "--profile", "nothing") == ("default", 404, "profile-unknown")
    settings = load(environ)
    database = Database(environ["BROKER_DATABASE_URL"])
    rates = create_rates(rate_storage(database, None))
    for _ in range(2):
        rates.spend(settings.config.plans["default"].rate, "token", own_principal("alice").key)
    database.dispose()
    assert explained(run, "alice") == ("default", 429, "rate-limited")
    run("users", "block", "alice")
    assert explained(run, "alice") == ("default", 403, "account-blocked")
    assert "403 account-blocked" in run("explain", "alice").out


@pytest.mark.usefixtures("alice")
def test_explain_counts_nothing(run: Run, environ: dict[str, str]) -> None:
    for _ in range(4):
        assert run("explain", "alice", "--json").json["left"] == [
            {"policy": "2/minute", "remaining": 2, "reset": 60}
        ]
    assert audited(environ) == [("user.add", "ok")]


def test_role_is_set_and_taken_away(run: Run) -> None:
    for name in ("olga", "alice"):
        run("users", "add", name, "--role", "operator", stdin=PASSWORD)
    assert run("users", "set-role", "alice", "none").out == "alice is no longer an operator.\n"
    refused = run("users", "set-role", "olga", "none")
    assert (refused.status, "last operator" in refused.err) == (1, True)
    refused = run("users", "block", "olga")
    assert (refused.status, "last operator" in refused.err) == (1, True)
    assert run("users", "set-role", "alice", "operator").status == 0
    assert run("users", "block", "olga").status == 0
    assert run("users", "set-role", "nobody", "operator").status == 1
    assert run("users", "set-role", "alice", "root").status == 2
    roles = {user["username"]: user["roles"] for user in run("users", "list", "--json").json}
    assert roles == {"alice": ["operator"], "olga": ["operator"]}
