"""The OpenAPI 3.1 document: the table of routes, with pydantic's schemas of the bodies and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.errors import CODES, Code
from broker.http.openapi.routes import GROUPS, OPERATOR_OR_SCOPED, PUBLIC, SCOPED, Route
from broker.http.openapi.shapes import Problem

_REF = "#/components/schemas/{model}"
_ALWAYS = ("bad-request", "origin-forbidden", "internal", "store-unavailable")
_IDENTIFIED = (
    "missing-credentials", "invalid-token", "token-expired", "account-blocked", "keys-unavailable",
    "forbidden",
)  # fmt: skip
_WITH_BODY = ("bad-json", "too-large", "media-type", "field-not-allowed", "invalid-field", "request-timeout")
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `access_token` of `POST /auth/login`, or a token of a configured issuer.",
    },
    "service_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "For backends."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-live-broker",
        "description": "Of our own pages only; what changes something needs the header X-CSRF-Token too.",
    },
}


def document() -> dict[str, Any]:
    routes = [route for group in GROUPS.values() for route in group.values()]
    paths: dict[str, Any] = {}
    for group, of_group in GROUPS.items():
        for name, route in of_group.items():
            method, path = name.split(" ")
            paths.setdefault(path, {})[method.lower()] = _operation(group, method, path, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Live Broker",
            "version": version("live-broker"),
            "summary": "Single-use, locked Gemini Live API tokens, within limits.",
            "description": "JSON in and out. Bodies are 8 KB at most and closed: an unknown field is refused "
            "by its name. Every error is application/problem+json; branch on its `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": group} for group in GROUPS],
        "paths": paths,
        "components": {"schemas": _schemas(routes), "securitySchemes": _SECURITY},
    }


def _operation(group: str, method: str, path: str, route: Route) -> dict[str, Any]:
    words = re.sub("[^a-z]+", "_", f"{method} {path}".lower()).strip("_")
    parameters = [*_in_path(path), *(_in_query(route.query) if route.query else []), *_in_header(route)]
    operation: dict[str, Any] = {
        "tags": [group],
        "operationId": words,
        "summary": route.summary,
        "description": f"For: {route.who}.",
        "security": _security(route.who),
        "responses": {str(route.status): _success(route), **_problems(method, route)},
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": bool(_required(route.body)),
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    return operation


def _security(who: str) -> list[dict[str, list[str]]]:
    if who == PUBLIC:
        return []
    names = ["bearer", "cookie", *(["service_key"] if who in (SCOPED, OPERATOR_OR_SCOPED) else [])]
    return [{name: []} for name in names]


def _success(route: Route) -> dict[str, Any]:
    said = {201: "Made.", 204: "Done.", 303: "On to another address."}.get(route.status, "As asked.")
    if route.status in (204, 303):
        return {"description": said}
    schema = _ref(route.answer) if route.answer else {}
    return {"description": said, "content": {route.media: {"schema": schema}}}


def _problems(method: str, route: Route) -> dict[str, Any]:
    """One answer for each status, with the codes that it may have."""
    codes = {*_ALWAYS, *route.codes}
    if route.who != PUBLIC:
        codes |= {*_IDENTIFIED}
        if method != "GET":
            codes.add("csrf-failed")
    if route.body is not None:
        codes |= {*_WITH_BODY}
    if route.query is not None:
        codes |= {"field-not-allowed", "invalid-field"}
    by_status: dict[int, list[Code]] = {}
    for code in CODES:
        if code in codes:
            by_status.setdefault(CODES[code][0], []).append(code)
    return {str(status): _problem(status, names) for status, names in sorted(by_status.items())}


def _problem(status: int, codes: list[Code]) -> dict[str, Any]:
    schema = {**_ref(Problem), "properties": {"code": {"enum": codes}}}
    answer: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {CODES[code][1]}" for code in codes),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        wait = {"description": "Seconds until another try makes sense.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": wait}
    return answer


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{([a-z_]+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(model: type[BaseModel]) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _in_header(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}
        for name, about in route.headers
    ]


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    models = {model for route in routes for model in (route.body, route.answer) if model} | {Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    return dict(schemas["$defs"])
