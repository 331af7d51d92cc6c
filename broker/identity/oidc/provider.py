"""Where an issuer's endpoints are: as configured, or by OpenID Connect Discovery.

A discovered document is kept for an hour, and through an outage of the issuer for a day; a failure is not
asked again for some seconds. It must name the very issuer that it was asked for, or one issuer could send
our users, and their codes, to another.
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
WAITING = 4  # a provider that hangs must not take all threads
_ENDPOINT = re.compile(r"https?://[^/?#@\s\\]+(/[^#\s\\]*)?(\?[^#\s\\]*)?")

FetchJson = Callable[[str], Mapping[str, Any]]


class ProviderDown(Exception):  # noqa: N818 - what is the case
    """The provider cannot be reached or does not answer as one. The text is for the log only."""


@dataclass(frozen=True)
class Endpoints:
    authorization: str
    token: str
    names_itself: bool = False
    """Whether each answer to the browser carries `iss` (RFC 9207), so that one without it is forged."""
    secret_in_body: bool = False
    """Whether the client secret goes into the form, because the token endpoint takes it nowhere else."""


class Provider(Protocol):
    def endpoints(self) -> Endpoints: ...


@dataclass(frozen=True)
class Configured:
    """Endpoints from `broker.toml`: nothing is fetched."""

    found: Endpoints

    def endpoints(self) -> Endpoints:
        return self.found


class Discovered:
    def __init__(self, issuer: str, fetch: FetchJson, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._turn = threading.Lock()
        self._seats = threading.BoundedSemaphore(WAITING)
        self._why = "others wait for it already"
        self._found: Endpoints | None = None
        self._found_at = self._not_before = float("-inf")

    def endpoints(self) -> Endpoints:
        """Raises ProviderDown. One fetch at a time; while it runs, others go on with what is known."""
        if self._found is None or self._clock() >= self._found_at + FRESH_SECONDS:
            self._refresh()
        if self._found is None or self._clock() >= self._found_at + KEPT_SECONDS:
            raise ProviderDown(self._why)
        return self._found

    def _refresh(self) -> None:
        if self._found is None:
            if not self._seats.acquire(blocking=False):
                return
            try:
                with self._turn:
                    self._fetch_if_due()
            finally:
                self._seats.release()
        elif self._turn.acquire(blocking=False):
            try:
                self._fetch_if_due()
            finally:
                self._turn.release()

    def _fetch_if_due(self) -> None:
        now = self._clock()
        if now < self._not_before or (self._found and now < self._found_at + FRESH_SECONDS):
            return
        try:
            self._found = read(self._fetch(get_well_known_url(self._issuer, external=True)), self._issuer)
            self._found_at = now
        except ProviderDown as down:
            self._why = str(down)
        finally:
            self._not_before = self._clock() + COOL_DOWN_SECONDS


def read(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """The endpoints of a discovery document of this issuer."""
    if document.get("issuer") != issuer:
        raise ProviderDown("the document is another issuer's")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        authorization=_endpoint(document.get("authorization_endpoint")),
        token=_endpoint(document.get("token_endpoint")),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        secret_in_body=isinstance(methods, list)
        and "client_secret_basic" not in methods
        and "client_secret_post" in methods,
    )


def _endpoint(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not _ENDPOINT.fullmatch(value):
        raise ProviderDown("an endpoint is missing or no address")
    parts = urlsplit(value)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ProviderDown("an endpoint is not https")
    return value
