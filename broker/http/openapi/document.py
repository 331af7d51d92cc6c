"""The OpenAPI 3.1 document, made of the facts at the views and of pydantic's schemas of their types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version

from flask import Flask
from pydantic import BaseModel

from broker.http.guards import Guard
from broker.http.openapi.answers import Json, problems, ref, schemas, success
from broker.http.openapi.routes import GROUPS, Route, routes

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
        "description": "For the broker's own pages. Requests that change something also need the header "
        "X-CSRF-Token.",
    },
}
# Route that creates something -> (path parameter of other routes, JSON pointer to its value in the answer).
_LINKS = {
    "POST /token": ("session_id", "/session/id"),
    "POST /admin/keys": ("key_id", "/id"),
    "POST /admin/users": ("user_key", "/key"),
}
_CALLERS = {"public": "anyone", "principal": "signed-in callers", "operator": "operators"}


def document(app: Flask) -> Json:
    documented = routes(app)
    paths: dict[str, Json] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, _links(route, documented))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Live Broker",
            "version": version("live-broker"),
            "summary": "Single-use, locked Gemini Live API tokens, within limits.",
            "description": "Requests and answers are JSON. A body may have at most 8 KB; an unknown field is "
            "rejected by its name. Every error is application/problem+json; branch on its `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": group} for group in GROUPS],
        "paths": paths,
        "components": {"schemas": schemas(documented), "securitySchemes": _SECURITY},
    }


def _operation(route: Route, links: Json) -> Json:
    stated = route.operation
    succeeded = {**success(route), **({"links": links} if links else {})}
    described: Json = {
        "tags": [route.group],
        "operationId": _id(route),
        "summary": stated.summary,
        "description": _callers(route.guard),
        "security": _security(route.guard),
        "responses": {str(stated.status): succeeded, **problems(route)},
    }
    if parameters := _parameters(route):
        described["parameters"] = parameters
    if stated.body is not None:
        described["requestBody"] = {
            "required": any(field.is_required() for field in stated.body.model_fields.values()),
            "content": {"application/json": {"schema": ref(stated.body)}},
        }
    return described


def _id(route: Route) -> str:
    return re.sub("[^a-z]+", "_", route.name.lower()).strip("_")


def _links(route: Route, documented: Sequence[Route]) -> Json:
    """The operations that take the id of the created session, key or user."""
    if route.name not in _LINKS:
        return {}
    name, pointer = _LINKS[route.name]
    return {
        _id(other): {"operationId": _id(other), "parameters": {name: f"$response.body#{pointer}"}}
        for other in documented
        if f"{{{name}}}" in other.path
    }


def _callers(guard: Guard) -> str:
    keys = f", and service keys with the scope `{guard.scope}`" if guard.scope else ""
    return f"Who may call: {_CALLERS[guard.level]}{keys}."


def _security(guard: Guard) -> list[dict[str, list[str]]]:
    if guard.level == "public":
        return []
    names = ["bearer", "cookie", *(["service_key"] if guard.scope else [])]
    return [{name: []} for name in names]


def _parameters(route: Route) -> list[Json]:
    stated = route.operation
    in_path: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{([a-z_]+)}", route.path)
    ]
    in_header: list[Json] = [
        {
            "name": header.name,
            "in": "header",
            "description": header.description,
            "schema": {"type": "string", **({"pattern": header.pattern} if header.pattern else {})},
        }
        for header in stated.headers
    ]
    return [*in_path, *(_in_query(stated.query) if stated.query else []), *in_header]


def _in_query(model: type[BaseModel]) -> list[Json]:
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
