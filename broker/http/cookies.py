"""Cookies of the pages: their names, and how they are set and deleted on the current response.

One name serves sign-ins and guests: a guest who signs in is no longer a guest, and signing out ends both.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Request, Response, after_this_request, request

from broker.http.client_address import is_loopback_host, requested_host


def cookie_name(request: Request) -> str:
    """The `__Host-` prefix ties the cookie to this host over TLS. Plain http is for loopback only."""
    return "live-broker" if is_loopback(request) else "__Host-live-broker"


def is_loopback(request: Request) -> bool:
    return is_loopback_host(requested_host(request))


def keep_sign_in(cookie: str, lifetime: timedelta) -> None:
    """Set the cookie of a sign-in or guest. Call it last: an error response would set it too."""
    set_cookie(cookie_name(request), cookie, int(lifetime.total_seconds()))


def forget_sign_in() -> None:
    """Delete the cookie of a sign-in or guest, on an error response as well."""
    delete_cookie(cookie_name(request))


def set_cookie(name: str, value: str, max_age_seconds: int) -> None:
    @after_this_request
    def add(response: Response) -> Response:
        response.set_cookie(
            name,
            value,
            max_age=max_age_seconds,
            secure=not is_loopback(request),
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return response


def delete_cookie(name: str) -> None:
    @after_this_request
    def delete(response: Response) -> Response:
        response.delete_cookie(name, path="/", secure=not is_loopback(request), httponly=True, samesite="Lax")
        return response
