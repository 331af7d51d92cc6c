"""Wire: HTTP of one client of a soak, on kept connections. A lost answer is a result, not an exception."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tests.load.soak.journal import Answer, Journal

TIMEOUT_SECONDS = 40
# The broker closes an idle connection after five seconds.
KEPT_SECONDS = 3.0
# Any request may get these while something is broken.
FAULTS = {
    "lost", "unreachable", "busy", "store-unavailable", "audit-unavailable", "draining", "request-timeout",
}  # fmt: skip
UPSTREAM = {
    "upstream-error", "upstream-timeout", "upstream-quota", "upstream-rejected", "minting-suspended",
    "project-capacity",
}  # fmt: skip
MINT = FAULTS | UPSTREAM | {"ok", "rate-limited", "too-many-sessions", "minutes-exhausted"}


class Wire:
    """Not for several threads. `address`: the client's own, as a proxy in front reports it."""

    def __init__(self, journal: Journal, urls: Sequence[str], address: str) -> None:
        self._journal = journal
        self.urls = urls
        self._address = address
        self._kept: dict[str, tuple[http.client.HTTPConnection, float]] = {}

    def send(
        self,
        kind: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        expected: set[str],
        abandon: bool = False,
        url: str | None = None,
    ) -> Answer:
        """`abandon`: hangs up at once, so that the answer is lost. The journal counts the answer's code."""
        url = url or random.choice(self.urls)
        began, reached = time.time(), False
        connection = self._connection(url)
        sent = {"X-Forwarded-For": self._address, **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        answer = Answer(0, {}, {}, began, began, reached=False)
        try:
            connection.connect() if connection.sock is None else None
            reached = True
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            if abandon:
                time.sleep(random.choice((0, 0.003, 0.01, 0.03)))
                raise ConnectionAbortedError
            response = connection.getresponse()
            text = response.read()
            answer = Answer(response.status, _json(text), dict(response.getheaders()), began, time.time())
            if not response.will_close:
                self._kept[url] = connection, time.monotonic()
        except (OSError, http.client.HTTPException):
            answer = Answer(0, {}, {}, began, time.time(), reached=reached)
        finally:
            if url not in self._kept:
                connection.close()
        self._journal.answered(kind, answer, expected)
        return answer

    def _connection(self, url: str) -> http.client.HTTPConnection:
        """The kept one, unless the server may have closed it in the meantime."""
        connection, used = self._kept.pop(url, (None, 0.0))
        if connection is not None and time.monotonic() - used < KEPT_SECONDS:
            return connection
        if connection is not None:
            connection.close()
        return http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        for connection, _ in self._kept.values():
            connection.close()


def _json(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
