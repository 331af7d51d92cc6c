"""Whether the stand-in plays Google's part. An address on loopback is not enough: it may be a proxy."""

from __future__ import annotations

import time

import httpx2

from broker.minting.transport import BoundedTransport

_HEALTH = "/_standin/health"
_SECONDS = 1.0
_AGAIN_SECONDS = 10.0


class StandInProbe:
    """Asks the upstream once, and again later while it does not answer. Never asks anyone but loopback."""

    def __init__(self, live_url: str, *, is_loopback: bool) -> None:
        self._live_url = live_url
        self._is_standin = is_loopback
        self._asked_at: float | None = None if is_loopback else float("inf")

    def __call__(self) -> bool:
        """While nothing answers on loopback, the stand-in is the likelier of the two."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= _AGAIN_SECONDS:
            # Requests that come meanwhile get the present answer instead of asking too.
            self._asked_at = now
            answer = _ask(self._live_url)
            if answer is not None:
                self._is_standin = answer
                self._asked_at = float("inf")
        return self._is_standin


def _ask(live_url: str) -> bool | None:
    transport = BoundedTransport(max_connections=1, default_seconds=_SECONDS)
    try:
        with httpx2.Client(transport=transport, timeout=_SECONDS) as client:
            found = client.get(live_url + _HEALTH)
            return found.status_code == 200 and "open_connections" in found.json()
    except ValueError:
        return False  # an answer, but not the stand-in's
    except Exception:  # noqa: BLE001 - nothing answers there, in one of the many ways
        return None
