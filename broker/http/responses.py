"""From the value that a view returns to the HTTP response.

A view returns its shape (a TypedDict), None for an empty body, or a finished Response. `operation` states
the facts of the route beside the view and applies them: the documented status and media type are the real
ones. Nothing is validated or copied here, because mypy checks each answer against its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Response, after_this_request, jsonify
from pydantic import BaseModel

from broker.errors import Code

JSON = "application/json"
_OPERATION = "__broker_operation__"

P = ParamSpec("P")
R = TypeVar("R", bound=Mapping[str, object] | Response | None)


@dataclass(frozen=True)
class RequestHeader:
    """An optional request header that a route reads."""

    name: str
    description: str
    pattern: str | None = None


@dataclass(frozen=True)
class Operation:
    """The facts of one route that its view states; /openapi.json shows them."""

    summary: str
    status: int = 200
    body: type[BaseModel] | None = None
    """The widest model that the view reads the request body with."""
    query: type[BaseModel] | None = None
    headers: tuple[RequestHeader, ...] = ()
    codes: tuple[Code, ...] = ()
    """Error codes that only this route has; the generator adds those that all routes share."""
    media: str = JSON
    other_media: tuple[str, ...] = ()
    """Media types that the caller may choose instead."""


def operation(
    summary: str,
    *,
    status: int = 200,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    headers: tuple[RequestHeader, ...] = (),
    codes: tuple[Code, ...] = (),
    media: str = JSON,
    other_media: tuple[str, ...] = (),
) -> Callable[[Callable[P, R]], Callable[P, Response]]:
    """Place it below the guard, directly above the view."""
    stated = Operation(summary, status, body, query, headers, codes, media, other_media)

    def decorate(view: Callable[P, R]) -> Callable[P, Response]:
        @wraps(view)
        def respond(*args: P.args, **kwargs: P.kwargs) -> Response:
            return _response(view(*args, **kwargs), stated)

        setattr(respond, _OPERATION, stated)
        return respond

    return decorate


def operation_of(view: Callable[..., object]) -> Operation | None:
    """None for a route that /openapi.json leaves out, such as a file of the pages."""
    found = getattr(view, _OPERATION, None)
    assert found is None or isinstance(found, Operation)
    return found


def add_headers(headers: Mapping[str, str]) -> None:
    """Add headers to the response of the current request. Call it last: an error would carry them too."""

    @after_this_request
    def add(response: Response) -> Response:
        response.headers.update(headers)
        return response


def _response(answer: Mapping[str, object] | Response | None, stated: Operation) -> Response:
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(status=stated.status)
    response = jsonify(answer)
    response.status_code = stated.status
    response.mimetype = stated.media
    return response
