"""The client address that failed sign-ins and guests are counted on, and whether it is this machine."""

from __future__ import annotations

from flask import Request

from broker.net import canonical
from broker.net.addresses import is_loopback
from broker.parts import parts

_FORWARDED = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via",
)  # fmt: skip


def client_address(request: Request) -> str:
    """The address of the client, or `UNKNOWN`; see `net.proxies`."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    return parts().proxies.client_address(request.remote_addr, forwarded_for)


def requested_host(request: Request) -> str:
    """The Host header as it was sent; without one, the server's own address."""
    return request.headers.get("Host") or request.host


def is_loopback_host(host: str) -> bool:
    return is_loopback(canonical.host(host))


def is_from_this_machine(request: Request) -> bool:
    """Whether the caller is on this machine: by its address and Host header, and without a proxy.

    A proxy on this machine connects from loopback too. The headers that proxies add reveal it.
    """
    if any(name in request.headers for name in _FORWARDED) or not is_loopback_host(requested_host(request)):
        return False
    try:
        return canonical.address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
