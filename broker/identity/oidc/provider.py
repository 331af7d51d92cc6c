"""The endpoints of an issuer, from the settings or by OpenID Connect Discovery.

A discovery document is cached for one hour, and during an outage of the issuer for one day. After a failure,
the next attempt waits ten seconds. The document must name the requested issuer; otherwise one issuer could
send the users and their codes to another.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from authlib.oidc.discovery import get_well_known_url

from broker.net.addresses import is_loopback

FRESH_SECONDS = 3600
KEPT_SECONDS = 24 * 3600
COOL_DOWN_SECONDS = 10
MAX_WAITING = 4  # a provider that hangs must not hold every thread
_ENDPOINT = re.compile(r"https?://[^/?#@\s\\]+(/[^#\s\\]*)?(\?[^#\s\\]*)?")

FetchJson = Callable[[str], Mapping[str, Any]]


class ProviderUnavailable(Exception):  # noqa: N818 - an outcome, not a programming error
    """The provider is unreachable or its answer is unusable. The text is only for the log."""


@dataclass(frozen=True)
class Endpoints:
    authorization: str
    token: str
    sends_iss: bool = False
    """Whether every answer to the browser contains `iss` (RFC 9207). Then an answer without it is forged."""
    posts_secret: bool = False
    """Whether the token endpoint accepts the client secret only in the form."""


class Provider(Protocol):
    def endpoints(self) -> Endpoints: ...


@dataclass(frozen=True)
class ConfiguredProvider:
    """Endpoints from `broker.toml`. Fetches nothing."""

    configured: Endpoints

    def endpoints(self) -> Endpoints:
        return self.configured


class DiscoveredProvider:
    def __init__(self, issuer: str, fetch: FetchJson, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._fetch_lock = threading.Lock()
        self._waiting_slots = threading.BoundedSemaphore(MAX_WAITING)
        self._failure = "too many callers wait for it"
        self._cached: Endpoints | None = None
        self._cached_at = self._next_fetch_at = float("-inf")

    def endpoints(self) -> Endpoints:
        """Raises ProviderUnavailable. During a fetch, other callers get the cached endpoints."""
        if self._cached is None or self._clock() >= self._cached_at + FRESH_SECONDS:
            self._refresh()
        if self._cached is None or self._clock() >= self._cached_at + KEPT_SECONDS:
            raise ProviderUnavailable(self._failure)
        return self._cached

    def _refresh(self) -> None:
        if self._cached is None:
            if not self._waiting_slots.acquire(blocking=False):
                return
            try:
                with self._fetch_lock:
                    self._fetch_if_due()
            finally:
                self._waiting_slots.release()
        elif self._fetch_lock.acquire(blocking=False):
            try:
                self._fetch_if_due()
            finally:
                self._fetch_lock.release()

    def _fetch_if_due(self) -> None:
        now = self._clock()
        if now < self._next_fetch_at or (self._cached and now < self._cached_at + FRESH_SECONDS):
            return
        try:
            self._cached = read(self._fetch(get_well_known_url(self._issuer, external=True)), self._issuer)
            self._cached_at = now
        except ProviderUnavailable as down:
            self._failure = str(down)
        finally:
            self._next_fetch_at = self._clock() + COOL_DOWN_SECONDS


def read(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """The endpoints of a discovery document of this issuer."""
    if document.get("issuer") != issuer:
        raise ProviderUnavailable("the document names another issuer")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        authorization=_endpoint(document.get("authorization_endpoint")),
        token=_endpoint(document.get("token_endpoint")),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        posts_secret=isinstance(methods, list)
        and "client_secret_basic" not in methods
        and "client_secret_post" in methods,
    )


def _endpoint(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not _ENDPOINT.fullmatch(value):
        raise ProviderUnavailable("an endpoint is missing or not a URL")
    parts = urlsplit(value)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ProviderUnavailable("an endpoint is not https")
    return value
