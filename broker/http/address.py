"""The address to which failed sign-ins are counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from flask import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The peer, or behind trusted proxies the rightmost hop that is none; IPv6 by its /64.

    Anybody can write X-Forwarded-For: only what a trusted proxy appended to it counts.
    """
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    chain = [*hops, request.remote_addr or ""]
    address = None
    for hop in reversed(chain):
        try:
            candidate = ipaddress.ip_address(hop)
        except ValueError:
            break
        address = candidate
        if not any(candidate in network for network in trusted):
            break
    if address is None:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
