"""Every route says who may call it. A route without a guard answers nobody; a test walks the route table.

The guard comes first and the view gets the verified Caller as its first argument, so that no view can
start its work before it is known who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from flask import Flask, g, request
from werkzeug.sansio.utils import host_is_trusted

from broker.errors import Refusal
from broker.http import body, origins
from broker.http.credentials import Caller, caller_of
from broker.parts import parts
from broker.principal import OPERATOR

P = ParamSpec("P")
R = TypeVar("R")
View = Callable[Concatenate[Caller, P], R]
_GUARD = "__broker_guard__"


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anybody may call this."""
    setattr(view, _GUARD, "public")
    return view


def require_principal(view: View[P, R]) -> Callable[P, R]:
    """A verified principal that is not blocked; no service key."""
    return _guarded(view, None, welcomes_guests=False)


def require_scope(scope: str, *, welcomes_guests: bool = False) -> Callable[[View[P, R]], Callable[P, R]]:
    """The same, and service keys with this scope. Where guests are welcome, somebody new becomes one."""

    def guard(view: View[P, R]) -> Callable[P, R]:
        return _guarded(view, scope, welcomes_guests=welcomes_guests)

    return guard


def require_operator(view: View[P, R]) -> Callable[P, R]:
    """Whoever has the role `operator` at this moment, from an issuer that may give it; nobody else is heard.

    Of a browser's sign-in an issuer's roles are those of the sign-in; whether it may still give any is asked
    of the settings each time.
    """
    return _for_operators(view, None)


def require_operator_or(scope: str) -> Callable[[View[P, R]], Callable[P, R]]:
    """The same, and service keys with this scope."""
    return lambda view: _for_operators(view, scope)


def _for_operators(view: View[P, R], scope: str | None) -> Callable[P, R]:
    def operators_only(caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if caller.service_key is not None:  # it has the scope: `_guarded` has seen to that
            return view(caller, *args, **kwargs)
        principal = caller.principal
        if OPERATOR not in principal.roles or principal.issuer not in parts().operator_issuers:
            parts().ledger.refused(principal, "admin", "forbidden")
            raise Refusal("forbidden", "This is for operators.")
        return view(caller, *args, **kwargs)

    update_wrapper(operators_only, view)
    guarded = _guarded(operators_only, scope, welcomes_guests=False)
    setattr(guarded, _GUARD, "operator")
    return guarded


def _guarded(view: View[P, R], scope: str | None, *, welcomes_guests: bool) -> Callable[P, R]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        caller = caller_of(request, welcomes_guests=welcomes_guests)
        g.principal = caller.principal
        if caller.service_key is not None and scope not in caller.service_key.scopes:
            parts().ledger.refused(caller.principal, f"scope:{scope or 'none'}", "forbidden")
            raise lacks_scope(scope)
        return view(caller, *args, **kwargs)

    setattr(guarded, _GUARD, "principal")
    return guarded


def lacks_scope(scope: str | None) -> Refusal:
    missing = f"lacks the scope {scope!r}" if scope else "is not for this"
    return Refusal("forbidden", f"This service key {missing}.")


def guard_of(view: Callable[..., Any]) -> str | None:
    return getattr(view, _GUARD, None)


def install(app: Flask, allowed_origins: frozenset[str], trusted_hosts: Sequence[str]) -> None:
    """Before any view: host, size, origin, and that the view has a guard at all."""

    def before() -> None:
        # A page whose name is made to lead to us would otherwise count as one of our own.
        if trusted_hosts and not host_is_trusted(request.host, trusted_hosts):
            raise Refusal("bad-request", "The broker is not reached by this name.")
        if (request.content_length or 0) > body.MAX_BYTES:
            raise body.too_large()
        if request.content_length:
            body.check_media_type()
        origins.check(request, allowed_origins)
        if request.endpoint and guard_of(app.view_functions[request.endpoint]) is None:
            raise Refusal("internal", reason=f"no guard on {request.endpoint}")

    app.before_request(before)
