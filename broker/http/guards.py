"""Every route states who may call it. A route without a guard answers no caller; a test walks all routes.

The guard comes first, and the view gets the verified Caller as its first argument. So no view can start its
work before the caller is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper, wraps
from typing import Concatenate, Literal, ParamSpec, TypeVar

from flask import Flask, g, request

from broker.errors import Refusal
from broker.http import body, origins
from broker.http.client_address import requested_host
from broker.http.credentials import Caller, caller_of
from broker.net import canonical
from broker.parts import parts
from broker.principal import OPERATOR

P = ParamSpec("P")
R = TypeVar("R")
View = Callable[Concatenate[Caller, P], R]
_GUARD = "__broker_guard__"
# Probes come by an address, or without a Host header. No cookie helps a page to call these.
_PROBES = {"health.healthz", "health.readyz", "metrics.metrics"}
OWN_SESSIONS = "sessions"
"""The scope of the routes that serve only sessions which the caller has already."""


@dataclass(frozen=True)
class Guard:
    """The callers that a route accepts: those of `level`, and service keys with `scope` if it is set."""

    level: Literal["public", "principal", "operator"]
    scope: str | None = None


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may call this."""
    setattr(view, _GUARD, Guard("public"))
    return view


def require_principal(view: View[P, R]) -> Callable[P, R]:
    """A verified principal that is not blocked. Service keys may not call this."""
    return _guarded(view, Guard("principal"), welcomes_guests=False)


def require_scope(scope: str, *, welcomes_guests: bool = False) -> Callable[[View[P, R]], Callable[P, R]]:
    """A verified principal, or a service key with this scope.

    `welcomes_guests`: a caller without credentials becomes a new guest if the operator allows guests.
    """

    def guard(view: View[P, R]) -> Callable[P, R]:
        return _guarded(view, Guard("principal", scope), welcomes_guests=welcomes_guests)

    return guard


def require_operator(view: View[P, R]) -> Callable[P, R]:
    """Callers that have the role `operator` now, from an issuer that may grant it.

    The roles of a browser sign-in are those that the issuer gave at sign-in. Whether the issuer may still
    grant a role is read from the settings for each request.
    """
    return _for_operators(view, None)


def require_operator_or(scope: str) -> Callable[[View[P, R]], Callable[P, R]]:
    """The same callers, and service keys with this scope."""
    return lambda view: _for_operators(view, scope)


def _for_operators(view: View[P, R], scope: str | None) -> Callable[P, R]:
    def operators_only(caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if caller.service_key is not None:  # `_guarded` has checked its scope
            return view(caller, *args, **kwargs)
        principal = caller.principal
        if OPERATOR not in principal.roles or principal.issuer not in parts().operator_issuers:
            parts().ledger.refused(principal, "admin", "forbidden")
            raise Refusal("forbidden", "Only operators may do this.")
        return view(caller, *args, **kwargs)

    update_wrapper(operators_only, view)
    return _guarded(operators_only, Guard("operator", scope), welcomes_guests=False)


def _guarded(view: View[P, R], guard: Guard, *, welcomes_guests: bool) -> Callable[P, R]:
    scope = guard.scope

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        caller = caller_of(request, welcomes_guests=welcomes_guests, own_sessions_only=scope == OWN_SESSIONS)
        g.principal = caller.principal
        if caller.service_key is not None and scope not in caller.service_key.scopes:
            parts().ledger.refused(caller.principal, f"scope:{scope or 'none'}", "forbidden")
            raise lacks_scope(scope)
        return view(caller, *args, **kwargs)

    setattr(guarded, _GUARD, guard)
    return guarded


def lacks_scope(scope: str | None) -> Refusal:
    if scope is None:
        return Refusal("forbidden", "Service keys may not do this.")
    return Refusal("forbidden", f"This service key lacks the scope {scope!r}.")


def guard_of(view: Callable[..., object]) -> Guard | None:
    found = getattr(view, _GUARD, None)
    assert found is None or isinstance(found, Guard)
    return found


def install(app: Flask, allowed_origins: frozenset[str], trusted_hosts: Sequence[str]) -> None:
    """Before any view: check the host, the size, the origin, and that the view has a guard at all."""

    def before() -> None:
        if request.endpoint not in _PROBES:
            _check_host(trusted_hosts)
        if (request.content_length or 0) > body.MAX_BYTES:
            raise body.too_large()
        if request.content_length:
            body.check_media_type()
        origins.check(request, allowed_origins)
        if request.endpoint and guard_of(app.view_functions[request.endpoint]) is None:
            raise Refusal("internal", reason=f"no guard on {request.endpoint}")

    app.before_request(before)


def _check_host(trusted_hosts: Sequence[str]) -> None:
    """An attacker's page could make its own host name resolve to us and then count as our own page."""
    if "Host" not in request.headers and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        raise Refusal("bad-request", "The Host header is missing.")  # RFC 9112, section 3.2
    if not trusted_hosts:
        return
    host = canonical.host(requested_host(request))
    if host is None or not any(
        host == name.removeprefix(".") or (name.startswith(".") and host.endswith(name))
        for name in trusted_hosts
    ):
        # A malformed name may be anything, and the log is no place for that.
        reason = f"Host {host} is not in BROKER_TRUSTED_HOSTS" if host else "the Host header is malformed"
        raise Refusal("bad-request", "Unrecognized Host header.", reason=reason)
