"""`broker usage`, and the cost in `broker sessions list`."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import SessionTerms
from broker.store.database.engine import Database
from broker.store.ledger.client_reports import SqlReports
from broker.store.ledger.ledger import SqlLedger
from broker.store.reporting.dimensions import CHOICES
from tests.support.servers import own_principal
from tests.unit.cli.test_users import Run, alice, environ, run

__all__ = ["alice", "environ", "run"]


def open_session(environ: dict[str, str], model: str, report: dict[str, int] | None = None) -> None:
    """A session of alice, with a token for ten minutes."""
    database = Database(environ["BROKER_DATABASE_URL"])
    ledger, principal = SqlLedger(database), own_principal("alice")
    terms = SessionTerms("default", model, 1800, 600, 120, {}, slice_is_fixed=True)
    reservation = ledger.reserve(principal, terms, Quotas((Quota(principal.key, 9, 600),), 50))
    ledger.confirm(principal, reservation, MintedToken(model))
    if report:
        SqlReports(database).put(principal, reservation.session_id, report)
    database.dispose()


def test_usage_shows_minutes_and_costs(run: Run, alice: None, environ: dict[str, str]) -> None:
    open_session(environ, "models/gemini-3.8-live")
    open_session(environ, "models/gemini-3.8-live", {"output_audio_tokens": 10**6})
    open_session(environ, "models/nobody-knows")
    found = run("usage", "--range", "hour", "--json").json
    assert (found["range"], found["currency"]) == ("hour", "USD")
    assert found["totals"]["charged_minutes"] == 30
    costs = {"cost": "0.46", "unpriced_sessions": 1}
    assert {**found["totals"], **costs, "implausible_reports": 1} == found["totals"]
    (user,) = found["users"]
    assert {**user, **costs, "user": "alice", "charged_minutes": 30} == user
    shown = run("usage").out
    assert "Cost     0.4600 USD\n" in shown
    assert "without 1 session whose model has no price\n" in shown
    assert "1 session with reports that cannot be true\n" in shown
    listed = run("sessions", "list", "--json").json
    assert [(row["cost"], row["currency"]) for row in listed] == [
        (None, None),
        ("0.23", "USD"),
        ("0.23", "USD"),
    ]


def test_unused_broker_costs_nothing(run: Run, alice: None) -> None:
    assert run("usage", "--json").json["totals"]["cost"] == "0.00"
    assert "Cost     0.0000 USD\n\nNone.\n" in run("usage").out
    assert run("usage", "--range", "year").status == 2


def test_cost_is_unknown_without_any_price(run: Run, alice: None, environ: dict[str, str]) -> None:
    open_session(environ, "models/nobody-knows")
    assert run("usage", "--json").json["totals"]["cost"] is None
    assert "Cost     unknown\n" in run("usage").out


def test_export_prints_csv_or_json_lines(run: Run, alice: None, environ: dict[str, str]) -> None:
    open_session(environ, "models/gemini-3.8-live", {"input_tokens": 2000})
    header, row = csv.reader(run("usage", "export", "--by", "user").out.splitlines())
    found = dict(zip(header, row, strict=True))
    assert (found["subject"], found["sessions"], found["seconds"], found["cost"]) == (
        "alice",
        "1",
        "600",
        "0.23",
    )
    (line,) = run("usage", "export", "--by", "model", "--format", "jsonl").out.splitlines()
    assert {**json.loads(line), "model": "models/gemini-3.8-live", "input_tokens": 2000} == json.loads(line)
    assert run("usage", "export", "--to", "2001-01-01", "--format", "jsonl").out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "tomorrow"),
        ("--from", "2026-02-02", "--to", "2026-02-01"),
        ("--by", "hat"),
        ("--format", "xml"),
    ],
)
def test_export_names_a_wrong_option(run: Run, alice: None, arguments: tuple[str, ...]) -> None:
    wrong = run("usage", "export", *arguments)
    assert wrong.status == 2
    assert arguments[0] in wrong.err


def test_page_offers_every_choice_of_an_export() -> None:
    page = (Path(__file__).parents[3] / "web/ops/export-usage.js").read_text()
    offered = page.split("select('by', [")[1].split("]),")[0]
    assert tuple(re.findall(r"\['([a-z]+)', '", offered)) == CHOICES
