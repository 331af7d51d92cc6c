"""`broker limits` and `broker sessions` on a real SQLite file."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import select

from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import SessionTerms
from broker.store.database.engine import Database
from broker.store.database.tables import audit
from broker.store.ledger.ledger import SqlLedger
from tests.support.servers import own_principal
from tests.unit.cli.test_users import PASSWORD, Run, alice, audited, environ, run

__all__ = ["alice", "environ", "run"]
pytestmark = pytest.mark.usefixtures("alice")


def last_detail(environ: dict[str, str]) -> dict[str, object]:
    database = Database(environ["BROKER_DATABASE_URL"])
    with database.read() as connection:
        row = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
    database.dispose()
    assert str(row.actor).startswith("cli:")
    return dict(row.detail)


def test_limits_are_set_shown_listed_and_cleared(run: Run, environ: dict[str, str]) -> None:
    assert "default" in run("limits", "show", "alice").out
    ran = run("limits", "set", "alice", "--sessions", "4", "--rate", "3/minute", "--json")
    assert ran.status == 0
    assert ran.json["rule"] == "own rate, sessions; default"
    assert ran.json["own"] == {"rate": "3/minute", "sessions": 4}
    assert ran.json["limits"]["minutes_per_day"] == 10000
    run("limits", "set", "alice", "--minutes-per-day", "9")
    assert last_detail(environ) == {
        "issuer": "live-broker",
        "subject": "alice",
        "before": {"rate": "3/minute", "sessions": 4},
        "after": {"rate": "3/minute", "sessions": 4, "minutes_per_day": 9},
    }
    (listed,) = run("limits", "list", "--json").json
    assert (listed["user"], listed["sessions"], listed["plan"]) == ("alice", 4, None)
    explained = run("explain", "alice", "--json").json
    assert explained["limits"]["minutes_per_day"] == 9
    assert explained["left"][0]["policy"] == "3/minute"
    assert (explained["open_sessions"], explained["used_minutes"]) == (0, 0)
    run("limits", "clear", "alice", "--only", "rate")
    assert run("limits", "show", "alice", "--json").json["own"] == {"sessions": 4, "minutes_per_day": 9}
    assert run("limits", "clear", "alice").status == 0
    assert run("limits", "list", "--json").json == []
    assert [row for row in audited(environ) if row[0] == "limits.set"] == [("limits.set", "ok")] * 4


def test_another_plan_applies_to_the_user(run: Run) -> None:
    run("limits", "set", "alice", "--plan", "gold")
    assert run("explain", "alice", "--json").json["rule"] == "plan gold"
    assert "7/minute" in run("limits", "show", "alice").out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("alice", "--rate", "often"), "rate: must look like"),
        (("alice", "--sessions", "0"), "sessions: "),
        (("alice", "--plan", "silver"), "there is no plan"),
        (("alice",), "nothing to set"),
        (("bob", "--sessions", "1"), "there is no user"),
        (("u1", "--sessions", "1", "--issuer", "https://unknown.example"), "there is no issuer"),
    ],
)
def test_invalid_limits_are_rejected(
    run: Run, environ: dict[str, str], arguments: tuple[str, ...], problem: str
) -> None:
    ran = run("limits", "set", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert problem in ran.err
    assert audited(environ) == [("user.add", "ok")]


def test_open_sessions_are_listed_and_ended(run: Run, environ: dict[str, str]) -> None:
    database = Database(environ["BROKER_DATABASE_URL"])
    ledger, principal = SqlLedger(database), own_principal("alice")
    terms = SessionTerms("default", "models/m", 1800, 900, 120, {})
    reservation = ledger.reserve(principal, terms, Quotas((Quota(principal.key, 2, 60),), 50))
    ledger.confirm(principal, reservation, MintedToken("a"))
    database.dispose()
    run("users", "add", "bob", stdin=PASSWORD)
    (listed,) = run("sessions", "list", "--json").json
    assert (listed["id"], listed["user"], listed["heartbeat_at"]) == (reservation.session_id, "alice", None)
    assert run("sessions", "list", "--user", "bob", "--json").json == []
    ran = run("sessions", "end", reservation.session_id)
    assert ran.status == 0
    assert "Google may accept tokens that it already issued until" in ran.out
    assert run("sessions", "list", "--json").json == []
    assert run("explain", "alice", "--json").json["used_minutes"] == 15
    again = run("sessions", "end", reservation.session_id)
    assert (again.status, again.out) == (1, "")
    assert "there is no open session" in again.err
    assert audited(environ)[-1] == ("session.end", "ok")


def test_ended_session_is_listed_until_its_place_is_free(run: Run, environ: dict[str, str]) -> None:
    database = Database(environ["BROKER_DATABASE_URL"])
    ledger, principal = SqlLedger(database), own_principal("alice")
    terms = SessionTerms("default", "models/m", 1800, 900, 120, {})
    unforgiving = Quotas((Quota(principal.key, 2, 60, None, 0),), 50)
    reservation = ledger.reserve(principal, terms, unforgiving)
    ledger.confirm(principal, reservation, MintedToken("a"))
    ledger.end(principal, reservation.session_id, unforgiving)
    database.dispose()
    (listed,) = run("sessions", "list", "--json").json
    assert (listed["id"], listed["state"]) == (reservation.session_id, "ended")
    assert datetime.fromisoformat(listed["held_until"]).replace(microsecond=0) == (
        reservation.expires_at.replace(microsecond=0)
    )
    assert "ended" in run("sessions", "list").out
    explained = run("explain", "alice", "--json").json
    assert (explained["open_sessions"], explained["sessions"][0]["state"]) == (1, "ended")
    assert f"{reservation.session_id}, ended: its place is free at" in run("explain", "alice").out
