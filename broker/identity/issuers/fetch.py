"""Fetches an issuer's key set over HTTP: one deadline for all of it, capped, never redirected, never inwards.

The address comes from the settings, or from the issuer's own discovery document; never from a token.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from broker.identity.issuers.jwks import IssuerKey, KeySetRefused, parse
from broker.net.outbound import BodyRefused, Deadline, DeadlineBackend, bounded_body
from broker.settings.issuers import IssuerSpec, https
from broker.settings.parsers import is_loopback

TOTAL_SECONDS = 3.0
MAX_BYTES = 512 * 1024
_HEADERS = (("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "live-broker"))
_DISCOVERY = "/.well-known/openid-configuration"


def load(spec: IssuerSpec) -> dict[str, IssuerKey]:
    """The keys that the issuer publishes now. Raises KeySetRefused, or what the HTTP library raises."""
    configured = spec.jwks_url or spec.issuer
    deadline = Deadline()
    deadline.start(TOTAL_SECONDS)
    with httpcore2.ConnectionPool(
        ssl_context=_tls(),
        network_backend=DeadlineBackend(
            deadline, may_connect=reachable(urlsplit(configured).hostname, spec.private_network)
        ),
        retries=0,
    ) as pool:
        url = spec.jwks_url or _discovered(_get(pool, spec.issuer.rstrip("/") + _DISCOVERY), spec.issuer)
        return parse(_get(pool, url), spec.algorithms)


@cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _discovered(document: Any, issuer: str) -> str:
    """The document's key address. It must be the document of this very issuer (OpenID Discovery, 4.3)."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise KeySetRefused("the discovery document names another issuer")
    url = document.get("jwks_uri")
    try:
        return https(url if isinstance(url, str) else "")
    except ValueError:
        raise KeySetRefused("the discovery document names no https address of keys") from None


def _get(pool: httpcore2.ConnectionPool, url: str) -> Any:
    with pool.stream("GET", url, headers=_HEADERS) as response:
        # A redirect too: whoever can bend one would choose our keys.
        if response.status != 200:
            raise KeySetRefused(f"HTTP status {response.status}")
        try:
            body = bounded_body(response, MAX_BYTES)
        except BodyRefused as refused:
            raise KeySetRefused(str(refused)) from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise KeySetRefused("not JSON") from None


def reachable(host: str | None, private_network: bool) -> Callable[[str], bool]:
    """Which addresses the name of a host in the settings may stand for."""
    if is_loopback(host):
        return lambda address: _plain(address).is_loopback
    if private_network:
        return lambda address: (
            not (_plain(address).is_loopback or _plain(address).is_link_local or _plain(address).is_multicast)
        )
    return lambda address: _plain(address).is_global and not _plain(address).is_multicast


def _plain(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed
