"""Every route says who may call it. A route without a guard answers nobody; a test walks the route table.

The guard comes first and the view gets the verified Caller as its first argument, so that no view can
start its work before it is known who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from flask import Flask, current_app, g, request

from broker.errors import Refusal
from broker.http import origins
from broker.http.body import MAX_BYTES
from broker.http.credentials import Caller, Credentials

P = ParamSpec("P")
R = TypeVar("R")
_GUARD = "__broker_guard__"


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anybody may call this."""
    setattr(view, _GUARD, "public")
    return view


def require_principal(view: Callable[Concatenate[Caller, P], R]) -> Callable[P, R]:
    """A verified principal that is not blocked."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        credentials: Credentials = current_app.extensions["broker"].credentials
        caller = credentials.caller(request)
        g.principal = caller.principal
        return view(caller, *args, **kwargs)

    setattr(guarded, _GUARD, "principal")
    return guarded


def guard_of(view: Callable[..., Any]) -> str | None:
    return getattr(view, _GUARD, None)


def install(app: Flask, allowed_origins: frozenset[str]) -> None:
    """Before any view: size, origin, and that the view has a guard at all."""

    def before() -> None:
        if (request.content_length or 0) > MAX_BYTES:
            raise Refusal("too-large", f"A body may have {MAX_BYTES} bytes.")
        origins.check(request, allowed_origins)
        if request.endpoint and guard_of(app.view_functions[request.endpoint]) is None:
            raise Refusal("internal", reason=f"no guard on {request.endpoint}")

    app.before_request(before)
