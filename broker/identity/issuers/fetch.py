"""Fetches the key set of an issuer over HTTP, under one deadline and a size limit.

Redirects are not followed, and private addresses are refused unless the settings allow them. The address
comes from the settings or from the issuer's own discovery document, never from a token.
"""

from __future__ import annotations

import json
import ssl
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from broker.identity.issuers.jwks import IssuerKey, KeySetRefused, parse
from broker.net.addresses import address_filter
from broker.net.outbound import BodyRefused, Deadline, DeadlineBackend, bounded_body
from broker.settings.issuers import IssuerSpec, https

TOTAL_SECONDS = 3.0
MAX_BYTES = 512 * 1024
_HEADERS = (("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "live-broker"))
_DISCOVERY = "/.well-known/openid-configuration"


def load(spec: IssuerSpec) -> dict[str, IssuerKey]:
    """The keys that the issuer publishes now. Raises KeySetRefused or an error of the HTTP library."""
    configured = spec.jwks_url or spec.issuer
    deadline = Deadline()
    deadline.start(TOTAL_SECONDS)
    with httpcore2.ConnectionPool(
        ssl_context=_tls(),
        network_backend=DeadlineBackend(
            deadline,
            may_connect=address_filter(urlsplit(configured).hostname, private_network=spec.private_network),
        ),
        retries=0,
    ) as pool:
        url = spec.jwks_url or _discovered(_get(pool, spec.issuer.rstrip("/") + _DISCOVERY), spec.issuer)
        return parse(_get(pool, url), spec.algorithms)


@cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _discovered(document: Any, issuer: str) -> str:
    """The `jwks_uri` of the document. The document must name this issuer (OpenID Discovery, section 4.3)."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise KeySetRefused("the discovery document names another issuer")
    url = document.get("jwks_uri")
    try:
        return https(url if isinstance(url, str) else "")
    except ValueError:
        raise KeySetRefused("the discovery document has no https jwks_uri") from None


def _get(pool: httpcore2.ConnectionPool, url: str) -> Any:
    with pool.stream("GET", url, headers=_HEADERS) as response:
        # This includes redirects: anyone who can change one would choose our keys.
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
