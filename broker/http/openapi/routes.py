"""The documented routes of an app: a walk over its URL map.

Each view states its facts with `operation`, its callers with a guard and its shape with the return type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import unwrap
from typing import get_type_hints

from flask import Flask, Response
from typing_extensions import is_typeddict

from broker.http.guards import Guard, guard_of
from broker.http.responses import Operation, operation_of

# The first part of a blueprint's name -> the heading of its routes, in the order of the document.
_GROUPS: Mapping[str, str] = {
    "tokens": "Tokens and sessions",
    "sessions": "Tokens and sessions",
    "me": "The caller",
    "login": "The caller",
    "oidc": "The caller",
    "admin": "Operators",
}
_SERVICE = "The service"
GROUPS = tuple(dict.fromkeys([*_GROUPS.values(), _SERVICE]))


@dataclass(frozen=True)
class Route:
    """`shape` is the TypedDict of the answer; None if the body is empty or not JSON of ours."""

    group: str
    method: str
    path: str
    guard: Guard
    operation: Operation
    shape: type | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def routes(app: Flask) -> list[Route]:
    """Group by group, and within a group in the order of registration. Routes of files are left out."""
    return sorted(_routes(app), key=lambda route: GROUPS.index(route.group))


def _routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        stated, guard = operation_of(view), guard_of(view)
        if stated is None:
            continue
        assert guard is not None, f"no guard on {rule.endpoint}"
        group = _GROUPS.get(rule.endpoint.split(".")[0], _SERVICE)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(group, method, in_braces(rule.rule), guard, stated, _shape(view))


def in_braces(rule: str) -> str:
    """The path as OpenAPI writes it: `/sessions/{session_id}` for `/sessions/<session_id>`."""
    return re.sub("<(?:[a-z]+(?:[(][^)]*[)])?:)?([a-z_]+)>", r"{\1}", rule)


def _shape(view: Callable[..., object]) -> type | None:
    returned: type = get_type_hints(unwrap(view))["return"]
    if returned is Response or returned is type(None):
        return None
    assert is_typeddict(returned), f"{view.__name__} must return a TypedDict, None or a Response"
    return returned
