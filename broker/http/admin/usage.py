"""GET /admin/usage: tokens, refusals, latencies, open sessions and minutes of the last hour, day or week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from flask import Blueprint, request
from pydantic import BaseModel
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.store.reporting import percentiles, usage
from broker.store.reporting.costs import CostSum

bp = Blueprint("usage", __name__)

Range = Literal["hour", "day", "week"]
_RANGES: tuple[Range, ...] = ("hour", "day", "week")


class UsageQuery(BaseModel):
    range: Range = "day"


class Percentiles(TypedDict):
    p50: float
    p95: float
    p99: float


class UsagePoint(TypedDict):
    at: str
    tokens: int
    refusals: Mapping[str, int]
    mint_ms: Percentiles | None
    speech_end_to_audio_ms: Percentiles | None
    open_sessions: int
    minutes: float
    charged_minutes: float


class SummedCost(TypedDict):
    """The costs of the sessions that were opened within the range, as a decimal number.

    `cost` leaves out `unpriced_sessions`, whose model has no price. It is null if all of them have none.
    """

    cost: str | None
    unpriced_sessions: int


class UsageTotals(SummedCost):
    tokens: int
    refusals: Mapping[str, int]
    minutes: float
    charged_minutes: float
    mint_ms: Percentiles | None
    first_audio_ms: Percentiles | None
    speech_end_to_audio_ms: Percentiles | None
    underruns: int
    implausible_reports: int


class Talker(SummedCost):
    key: str
    issuer: str
    subject: str
    name: str
    minutes: float
    charged_minutes: float


# In the call syntax, because `from` is a keyword.
Usage = TypedDict(
    "Usage",
    {
        "range": Range,
        "from": str,
        "to": str,
        "step_seconds": int,
        "currency": str | None,
        "points": list[UsagePoint],
        "totals": UsageTotals,
        "minutes_by_user": list[Talker],
    },
)


@bp.get("/usage")
@guards.require_operator
@operation("Report tokens, refusals, latencies, sessions and minutes over time", query=UsageQuery)
def show_usage(_caller: Caller) -> Usage:
    name = _range()
    found = parts().usage.of(name)
    return {
        "range": name,
        "from": rfc3339(found.buckets.since),
        "to": rfc3339(found.buckets.until),
        "step_seconds": found.buckets.seconds,
        "currency": found.costs.currency,
        "points": [_point(point) for point in found.points],
        "totals": _totals(found),
        "minutes_by_user": [_talker(talker) for talker in found.talkers],
    }


def _range() -> Range:
    given = request.args.get("range", "day")
    for known in _RANGES:
        if given == known:
            return known
    raise body.invalid("range", f"must be one of {', '.join(_RANGES)}")


def _point(point: usage.Point) -> UsagePoint:
    return {
        "at": rfc3339(point.at),
        "tokens": point.tokens,
        "refusals": dict(point.refusals),
        "mint_ms": _percentiles(point.mint_ms),
        "speech_end_to_audio_ms": _percentiles(point.answer_ms),
        "open_sessions": point.open_sessions,
        "minutes": _minutes(point.seconds),
        "charged_minutes": _minutes(point.charged_seconds),
    }


def _totals(found: usage.Usage) -> UsageTotals:
    return {
        "tokens": sum(point.tokens for point in found.points),
        "refusals": sum((Counter(point.refusals) for point in found.points), Counter[str]()),
        "minutes": _minutes(sum(point.seconds for point in found.points)),
        "charged_minutes": _minutes(sum(point.charged_seconds for point in found.points)),
        "mint_ms": _percentiles(found.mint_ms),
        "first_audio_ms": _percentiles(found.first_audio_ms),
        "speech_end_to_audio_ms": _percentiles(found.answer_ms),
        "underruns": found.underruns,
        "implausible_reports": found.costs.total.implausible,
        **_cost(found.costs.total),
    }


def _talker(talker: usage.Talker) -> Talker:
    return {
        "key": talker.key,
        "issuer": talker.issuer,
        "subject": talker.subject,
        "name": talker.subject,
        "minutes": _minutes(talker.seconds),
        "charged_minutes": _minutes(talker.charged_seconds),
        **_cost(talker.cost),
    }


def _cost(found: CostSum) -> SummedCost:
    return {
        "cost": found.amount,
        "unpriced_sessions": found.unpriced,
    }


def _percentiles(found: percentiles.Percentiles | None) -> Percentiles | None:
    if not found:
        return None
    return {"p50": round(found["p50"], 1), "p95": round(found["p95"], 1), "p99": round(found["p99"], 1)}


def _minutes(seconds: int) -> float:
    return round(seconds / 60, 1)
