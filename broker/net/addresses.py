"""Which network addresses the broker may connect to. A leaf."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address


def is_loopback(host: str | None) -> bool:
    """True for `localhost` and for literal loopback addresses. Names are never resolved."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def address_filter(host: str | None, *, private_network: bool) -> Callable[[str], bool]:
    """Returns a test for the addresses that a host of the settings may resolve to.

    Loopback hosts resolve to loopback only. Other hosts resolve to public addresses, and with
    `private_network` also to private ones; never to loopback, link-local (cloud metadata) or multicast
    addresses.
    """
    if is_loopback(host):
        return lambda address: _parse(address).is_loopback
    if private_network:
        return lambda address: (
            not (_parse(address).is_loopback or _parse(address).is_link_local or _parse(address).is_multicast)
        )
    return lambda address: _parse(address).is_global and not _parse(address).is_multicast


def _parse(address: str) -> IPv4Address | IPv6Address:
    """The address without its zone; an IPv4 address mapped into IPv6 counts as IPv4."""
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed
