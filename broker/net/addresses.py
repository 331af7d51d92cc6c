"""Which network addresses the broker may connect to. A leaf."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_Address = IPv4Address | IPv6Address
# NAT64 within one network (RFC 8215).
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
# The last 32 bits are an IPv4 address, to which a gateway or this machine sends the packets: NAT64 (RFC
# 6052), IPv4-compatible (RFC 4291) and IPv4-translated addresses (RFC 2765).
_ENDS_IN_IPV4 = (
    _LOCAL_NAT64,
    IPv6Network("64:ff9b::/96"),
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
)
# The same below any prefix that is followed by this (ISATAP, RFC 5214).
_ISATAP = {0x00005EFE, 0x02005EFE}


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
    `private_network` also to private ones; never to loopback, link-local (cloud metadata), multicast or
    unspecified addresses. An IPv6 address that leads to an IPv4 address must be allowed in both forms.
    """
    if is_loopback(host):
        return lambda address: _parse(address).is_loopback
    is_allowed = _is_not_local if private_network else _is_public
    return lambda address: all(map(is_allowed, (parsed := _parse(address), *_held(parsed))))


def _is_public(address: _Address) -> bool:
    # Versions of Python differ about the last two, which are for use within one network.
    return (
        address.is_global
        and not address.is_multicast
        and not (isinstance(address, IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64))
    )


def _is_not_local(address: _Address) -> bool:
    return not (
        address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    )


def _parse(address: str) -> _Address:
    """The address without its zone; an IPv4 address mapped into IPv6 counts as IPv4."""
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _held(address: _Address) -> list[_Address]:
    """The IPv4 addresses that packets to this address may end at."""
    if isinstance(address, IPv4Address):
        return []
    number = int(address)
    if address in _LOCAL_NAT64 and number % 2**40 == 0:
        # With a prefix of 48 bits, the IPv4 address surrounds the bits 64 to 71 (RFC 6052, section 2.2).
        return [IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)]
    held: list[_Address] = list(address.teredo or ())
    if address.sixtofour:
        held.append(address.sixtofour)
    if number >> 32 & 0xFFFFFFFF in _ISATAP or any(address in prefix for prefix in _ENDS_IN_IPV4):
        held.append(IPv4Address(number & 0xFFFFFFFF))
    return held
