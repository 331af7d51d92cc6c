"""Cookies of the pages: their names, and how they are read, set and deleted on the current response.

One name serves sign-ins and guests: a guest who signs in is no longer a guest, and signing out ends both.

Browsers share cookies between the ports of a host, so another broker's cookie may have our name. Each value
ends with a mark of the broker that set it. Cookies with a foreign mark are ignored and left in place. Ours
then has a name with our own mark in it.
"""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Request, Response, after_this_request, request

from broker.http.client_address import is_loopback_host, requested_host
from broker.parts import parts

_MARKED = re.compile(r"(.*)~([0-9a-f]{8})", re.ASCII)


def base_name(request: Request) -> str:
    """The `__Host-` prefix ties the cookie to this host over TLS. Plain http is for loopback only."""
    return "live-broker" if is_loopback(request) else "__Host-live-broker"


def own_cookie(request: Request) -> str | None:
    """The value of the cookie of a sign-in or guest, without its mark. Not verified."""
    return _find(request)[1]


def is_loopback(request: Request) -> bool:
    return is_loopback_host(requested_host(request))


def keep_sign_in(cookie: str, lifetime: timedelta) -> None:
    """Set the cookie of a sign-in or guest. Call it last: an error response would set it too."""
    value = f"{cookie}~{parts().cookie_marks[0]}"
    set_cookie(_find(request)[0], value, int(lifetime.total_seconds()))


def forget_sign_in() -> None:
    """Delete the cookie of a sign-in or guest, on an error response as well."""
    delete_cookie(_find(request)[0])


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


def _find(request: Request) -> tuple[str, str | None]:
    """The name of our cookie and its value; without one, the name for a new cookie and None."""
    base, marks = base_name(request), parts().cookie_marks
    names = [base, *(f"{base}-{mark}" for mark in marks)]
    for name in names:
        value = request.cookies.get(name)
        if value is None:
            continue
        match = _MARKED.fullmatch(value)
        if match is None:
            return name, value  # set by an earlier version, or altered
        if match[2] in marks:
            return name, match[1]
    return (names[1] if base in request.cookies else base), None
