"""GET /{version}/models and /{version}/models/{id}: the list in pages, and one entry."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from broker.standin import models
from broker.standin.close_reasons import model_not_found
from broker.standin.mint import key_refusal, parameter_refusal, refusal
from broker.standin.state import State

PAGE_MODELS = 50  # Google's usual page
LARGEST_PAGE = 1000
PAGE_PARAMETERS = frozenset({"pageSize", "page_size", "pageToken", "page_token"})
PAGE_TOKEN = "standin-page-"  # noqa: S105


def answer(request: web.Request, state: State, version: str, wanted: str | None) -> web.Response:
    if trouble := state.scenarios.use("models-status"):
        return refusal(int(trouble["status"]))
    if no := parameter_refusal(request, frozenset() if wanted else PAGE_PARAMETERS):
        return no
    if no := key_refusal(request, state):
        return no
    removed = state.scenarios.peek("models-without")
    there = [_entry(model) for model in models.available(removed["models"] if removed else [])]
    if wanted is None:
        many = state.scenarios.peek("models-many")
        return _page(request, _others(int(many["count"]) if many else 0) + there)
    for entry in there:
        if entry["name"] == f"models/{wanted}":
            return web.json_response(entry)
    return refusal(404, model_not_found(f"models/{wanted}", version))


def _page(request: web.Request, listed: list[dict[str, Any]]) -> web.Response:
    query = request.query
    size = query.get("pageSize") or query.get("page_size", "")
    token = query.get("pageToken") or query.get("page_token", "")
    try:
        count, start = int(size or 0), int(token.removeprefix(PAGE_TOKEN) or 0)
    except ValueError:
        count = start = -1
    if count < 0 or not 0 <= start <= len(listed) or not (token or PAGE_TOKEN).startswith(PAGE_TOKEN):
        return refusal(400, "Request contains an invalid argument.")
    end = start + min(count or PAGE_MODELS, LARGEST_PAGE)
    body: dict[str, Any] = {"models": listed[start:end]}
    if end < len(listed):
        body["nextPageToken"] = f"{PAGE_TOKEN}{end}"
    return web.json_response(body)


def _entry(model: models.Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": "001",
        "displayName": model.title,
        "inputTokenLimit": 131072,
        "outputTokenLimit": model.output_tokens,
        "supportedGenerationMethods": ["countTokens", "bidiGenerateContent"],
    }


def _others(count: int) -> list[dict[str, Any]]:
    """Models that are not for Live."""
    methods = ["generateContent", "countTokens"]
    return [
        {"name": f"models/other-{n}", "version": "001", "supportedGenerationMethods": methods}
        for n in range(1, count + 1)
    ]
