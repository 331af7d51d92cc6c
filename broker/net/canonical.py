"""One spelling for addresses, networks and host names that can be written in several ways. A leaf."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# `[2001:db8::1]:443` and `203.0.113.9:51234`, as some proxies write the address of a client.
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?", re.ASCII)
_IPV4_WITH_PORT = re.compile(r"([\d.]+):\d{1,5}", re.ASCII)
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Za-z:.%]+\]|[^\s:/?#@\[\]\\]*)(?::(\d{0,5}))?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.ASCII)
_MAPPED_PREFIX = 96
_DEFAULT_PORTS = {"http": 80, "https": 443}


def address(text: str) -> IPAddress:
    """An address, also in quotes, in brackets, with a port or with a zone. Raises ValueError.

    An IPv4 address that is mapped into IPv6, as a dual-stack listener sees its peers, is the IPv4 address.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    match = _BRACKETED.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text)
    found = ip_address((match[1] if match else text).partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def network(text: str) -> IPNetwork:
    """An address or a network. Raises ValueError."""
    host, slash, prefix = text.partition("/")
    found = ip_network(f"{host.removeprefix('[').removesuffix(']')}{slash}{prefix}")
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED_PREFIX:
        mapped = found.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, found.prefixlen - _MAPPED_PREFIX))
    return found


def host(text: str) -> str | None:
    """The host of `host` or `host:port` in lower case, without a final dot or brackets; None if malformed."""
    found = authority(text, "http")
    return None if found is None else found[0]


def authority(text: str, scheme: str) -> tuple[str, int] | None:
    """The host, as above, and the port, by default the one of `scheme`. None if malformed."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return None
    name, port = match[1], match[2]
    if name.startswith("["):
        try:
            name = str(address(name))
        except ValueError:
            return None
    else:
        try:
            name = name.lower().removesuffix(".").encode("idna").decode("ascii")
        except UnicodeError:
            return None
        if not _NAME.fullmatch(name):
            return None
    number = int(port) if port else _DEFAULT_PORTS.get(scheme, 0)
    return (name, number) if number <= 65535 else None


def netloc(text: str, scheme: str) -> str | None:
    """A Host header as browsers write it in an address of `scheme`. None if it is malformed."""
    found = authority(text, scheme)
    if found is None:
        return None
    name, port = found
    name = f"[{name}]" if ":" in name else name
    return name if port == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"
