"""What a session costs, as operators see it.

Its client reports the truth, too little, too much, twice, out of order, or nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from broker.parts import parts_of
from broker.settings import PriceList
from broker.store.reporting.usage import SqlUsage
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers

# A turn about every ten seconds: what ten minutes of talk may use.
TRUE = {
    "input_tokens": 400_000,
    "input_audio_tokens": 390_000,
    "input_text_tokens": 10_000,
    "output_tokens": 7_500,
    "output_audio_tokens": 7_500,
}
# Of the shipped prices for the model that the stand-in offers first: 10 min x 0.023, and TRUE.
BY_TIME, BY_TOKENS = "0.23", "1.265"


class Shift:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


class Call:
    """A session of ten minutes. Each report comes a while after the one before."""

    def __init__(self, make_app: MakeApp) -> None:
        self.clock = Shift()
        self.app = make_app(clock=self.clock)
        self.client: FlaskClient = self.app.test_client(use_cookies=False)
        self.alice = bearer(self.app)
        self.olga = OperatorClient.of(self.app)
        answer = self.client.post("/token", headers=self.alice, json={"ttl_seconds": 600})
        self.id = answer.get_json()["session"]["id"]
        self.clock.by += timedelta(seconds=590)

    def report(self, *reports: dict[str, int]) -> Call:
        for figures in reports:
            answer = self.client.post(f"/sessions/{self.id}/report", headers=self.alice, json=figures)
            assert answer.status_code == 204, answer.text
            self.clock.by += timedelta(seconds=2)
        return self

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.olga.get("sessions", state="all")["sessions"]
        return dict(row)

    @property
    def cost(self) -> tuple[str, str]:
        cost = self.row["cost"]
        assert cost["currency"] == "USD"
        return cost["amount"], cost["basis"]


@pytest.fixture
def call(make_app: MakeApp) -> Call:
    return Call(make_app)


def halved(figures: dict[str, int]) -> dict[str, int]:
    return {name: count // 2 for name, count in figures.items()}


def test_client_that_reports_nothing_costs_its_time(call: Call) -> None:
    assert call.row["seconds"] == 600
    assert call.cost == (BY_TIME, "time")
    assert call.row["report_problems"] == []


def test_reported_tokens_raise_the_cost(call: Call) -> None:
    assert call.report(TRUE).cost == (BY_TOKENS, "tokens")


def test_client_that_reports_too_little_costs_its_time(call: Call) -> None:
    for figures in ({"input_tokens": 1}, {"input_tokens": 0}, {"total_tokens": 10**6}, {"underruns": 3}):
        assert call.report(figures).cost == (BY_TIME, "time")


def test_client_that_reports_twice_pays_once(call: Call) -> None:
    assert call.report(TRUE, TRUE, TRUE).cost == (BY_TOKENS, "tokens")


@pytest.mark.parametrize("later", [halved(TRUE), {}, {"first_audio_ms": 640}], ids=["half", "none", "other"])
def test_reports_may_come_out_of_order(call: Call, later: dict[str, int]) -> None:
    assert call.report(TRUE, later).cost == (BY_TOKENS, "tokens")
    assert call.report(TRUE).cost == (BY_TOKENS, "tokens")
    assert call.row["report"] == TRUE


@pytest.mark.parametrize(
    ("lie", "problems"),
    [
        ({**TRUE, "input_tokens": 10**9}, ["more-than-the-context"]),
        ({**TRUE, "output_audio_tokens": 160_000}, ["more-audio-than-time"]),
        (dict.fromkeys(TRUE, 10**9), ["more-than-the-context", "more-audio-than-time"]),
    ],
    ids=["context", "audio", "both"],
)
def test_client_that_reports_too_much_is_flagged_and_not_believed(
    call: Call, lie: dict[str, int], problems: list[str]
) -> None:
    assert call.report(lie).cost == (BY_TIME, "time")
    assert call.row["report_problems"] == problems
    # It stays flagged, and the truth still counts: before it and after it.
    assert call.report(TRUE).cost == (BY_TOKENS, "tokens")
    assert call.report(lie).cost == (BY_TOKENS, "tokens")
    assert call.row["report_problems"] == problems


def test_lie_does_not_become_true_while_the_session_goes_on(call: Call) -> None:
    """Its counts would be possible at the end of a longer session."""
    call.clock.by -= timedelta(seconds=580)
    call.report({"input_tokens": 131_072 * 60})
    call.clock.by += timedelta(seconds=300)
    assert call.cost == (BY_TIME, "time")
    assert call.row["report_problems"] == ["more-than-the-context"]


def test_report_after_the_end_counts_for_ten_minutes(call: Call) -> None:
    assert call.client.post(f"/sessions/{call.id}/end", headers=call.alice).status_code == 200
    assert call.report(TRUE).cost == (BY_TOKENS, "tokens")
    # Time after the end does not make more tokens possible.
    call.clock.by += timedelta(seconds=400)
    assert call.report({**TRUE, "output_audio_tokens": 150_001}).row["report_problems"]
    call.clock.by += timedelta(seconds=600)
    late = call.client.post(f"/sessions/{call.id}/report", headers=call.alice, json={"input_tokens": 10**7})
    assert late.get_json()["code"] == "session-ended"
    assert call.cost == (BY_TOKENS, "tokens")


def test_end_gives_the_cost_of_unused_time_back(call: Call) -> None:
    call.clock.by -= timedelta(seconds=530)
    call.client.post(f"/sessions/{call.id}/end", headers=call.alice)
    seconds = call.row["seconds"]
    assert 60 <= seconds < 120
    assert Decimal(call.cost[0]) == (Decimal("0.023") * seconds / 60).quantize(
        Decimal("1e-9"), "ROUND_CEILING"
    )


def test_usage_sums_what_the_sessions_cost(call: Call) -> None:
    key = key_headers(call.app, on_behalf_of="any")
    call.client.post("/token", headers=key, json={"on_behalf_of": "u1", "ttl_seconds": 60})
    call.report(TRUE, {"output_audio_tokens": 10**9})
    usage = call.olga.get("usage", range="day")
    listed = [Decimal(row["cost"]["amount"]) for row in call.olga.all("sessions", state="all")]
    assert usage["currency"] == "USD"
    assert len(listed) == 2
    assert Decimal(usage["totals"]["cost"]) == sum(listed) == Decimal("1.288")
    assert (usage["totals"]["unpriced_sessions"], usage["totals"]["implausible_reports"]) == (0, 1)
    assert {one["subject"]: one["cost"] for one in usage["minutes_by_user"]} == {
        "alice": BY_TOKENS,
        "u1": "0.023",
    }


def test_without_prices_minutes_count_and_money_is_unknown(call: Call) -> None:
    call.report(TRUE)
    parts = parts_of(call.app)
    unpriced = SqlUsage(parts.database, PriceList({})).of("day")
    assert unpriced.costs.currency is None
    assert unpriced.costs.total.amount is None
    assert unpriced.costs.total.unpriced == 1
    assert [talker.cost.amount for talker in unpriced.talkers] == [None]
    assert sum(point.charged_seconds for point in unpriced.points) == 600
