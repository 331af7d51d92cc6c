"""The client address that failed sign-ins and guests are counted on, and whether it is this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from flask import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNKNOWN = "unknown"
_LOOPBACK_HOSTS = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?", re.ASCII)
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The peer, or behind trusted proxies the rightmost hop that is not one of them. IPv6 as its /64.

    Anyone can write X-Forwarded-For, so only the entries that trusted proxies appended count.
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
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def is_loopback_host(host: str) -> bool:
    return _LOOPBACK_HOSTS.fullmatch(host) is not None


def is_from_this_machine(request: Request) -> bool:
    """Whether the caller is on this machine: by its address and Host header, and without a proxy.

    A proxy on this machine connects from loopback too. The headers that proxies add reveal it.
    """
    if any(name in request.headers for name in _FORWARDED) or not is_loopback_host(request.host):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
