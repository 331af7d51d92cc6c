"""Who may use the stand-in: programs and pages of this machine, and only programs may control it.

It listens on loopback, but a browser on this machine carries the requests of any page. A foreign page sends
its own Origin. After DNS rebinding, when its host name resolves to this machine, it sends that name as Host.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

# What browsers send with a request that no other page has caused: a user has typed the address.
_NOT_FROM_A_PAGE = ("", "none")


def refusal(request: web.Request, *, controls: bool) -> str | None:
    """Why this request is refused, as a sentence; None if it is not."""
    if not _is_loopback(f"//{request.headers.get('Host', '')}"):
        return "The stand-in answers under loopback names only."
    origins = request.headers.getall("Origin", [])
    if controls:
        if origins or request.headers.get("Sec-Fetch-Site", "") not in _NOT_FROM_A_PAGE:
            return "The controls of the stand-in are not for pages."
    elif not all("://" in origin and _is_loopback(origin) for origin in origins):
        return "The stand-in serves pages of loopback origins only."
    return None


def _is_loopback(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").removesuffix(".")
        _ = parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.path.strip("/"):
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
