"""GET /admin/usage: tokens, refusals, latencies, open sessions and minutes of the last hour, day or week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request

from broker.errors import Refusal
from broker.http import guards
from broker.http.credentials import Caller
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.store.reporting.usage import RANGES, Percentiles, Point, Talker

bp = Blueprint("usage", __name__)


@bp.get("/usage")
@guards.require_operator
def show_usage(_caller: Caller) -> Response:
    name = request.args.get("range", "day")
    if name not in RANGES:
        problem = f"must be one of {', '.join(RANGES)}"
        fields = [{"field": "range", "problem": problem}]
        raise Refusal("invalid-field", f"range {problem}.", extensions={"fields": fields})
    usage = parts().usage
    found = usage.of(name)
    refusals = sum((Counter(point.refusals) for point in found.points), Counter[str]())
    return jsonify(
        {
            "range": name,
            "from": rfc3339(found.steps.since),
            "to": rfc3339(found.steps.until),
            "step_seconds": found.steps.seconds,
            "points": [_point(point) for point in found.points],
            "totals": {
                "tokens": sum(point.tokens for point in found.points),
                "refusals": refusals,
                "minutes": _minutes(sum(point.seconds for point in found.points)),
                "mint_ms": _to_json(found.mint_ms),
                "first_audio_ms": _to_json(found.first_audio_ms),
                "underruns": found.underruns,
            },
            "minutes_by_user": [_talker(talker) for talker in found.talkers],
        }
    )


def _point(point: Point) -> dict[str, Any]:
    return {
        "at": rfc3339(point.at),
        "tokens": point.tokens,
        "refusals": dict(point.refusals),
        "mint_ms": _to_json(point.mint_ms),
        "open_sessions": point.open_sessions,
        "minutes": _minutes(point.seconds),
    }


def _talker(talker: Talker) -> dict[str, Any]:
    return {
        "key": talker.key,
        "issuer": talker.issuer,
        "subject": talker.subject,
        "name": talker.subject,
        "minutes": _minutes(talker.seconds),
    }


def _to_json(percentiles: Percentiles | None) -> Mapping[str, float] | None:
    return percentiles and {name: round(value, 1) for name, value in percentiles.items()}


def _minutes(seconds: int) -> float:
    return round(seconds / 60, 1)
