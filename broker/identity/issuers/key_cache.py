"""KeyCache: keeps the keys of an issuer available while its key server is slow or down.

- A known key is returned at once, also while a fetch is running.
- One fetch runs at a time, in its own thread and outside the lock. After it, the cache waits before the next
  fetch, even if many tokens name unknown keys or the server failed. It does not remember unknown keys, so the
  next fetch finds a new key even if a token has named it before.
- While fetches fail, the last good keys stay valid for one day.
- Few callers wait for a fetch, so that a slow key server cannot hold every thread.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping

import structlog

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.issuers.jwks import IssuerKey

FRESH_SECONDS = 600
STALE_SECONDS = 24 * 3600
COOLDOWN_SECONDS = 30  # after a fetch, also after a failed one
COOLDOWN_EMPTY_SECONDS = 5  # after a failure, while there are no keys
MAX_WAITING = 4
WAIT_SECONDS = 4.0  # longer than the deadline of a fetch

Load = Callable[[], Mapping[str, IssuerKey]]
_log = structlog.get_logger("broker.identity")


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="issuer-keys", daemon=True).start()


class KeyCache:
    def __init__(
        self,
        name: str,
        load: Load,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._name = name
        self._load = load
        self._clock = clock
        self._spawn = spawn
        self._lock = threading.Lock()
        self._waiting_slots = threading.BoundedSemaphore(MAX_WAITING)
        self._keys: Mapping[str, IssuerKey] = {}
        self._loaded_at = -math.inf
        self._next_fetch_at = -math.inf
        self._healthy = False
        self._fetch: threading.Event | None = None

    def prefetch(self) -> None:
        """Start to load the keys, so that the first caller need not wait."""
        self._refresh(None)

    def key(self, kid: str) -> IssuerKey:
        """Refuses `invalid-token` for a kid that the issuer does not have.

        Refuses `keys-unavailable` while the broker cannot find out.
        """
        with self._lock:
            key = self._known(kid)
        fetch = self._refresh(kid if key is None else None)
        if key is not None:
            return key
        if fetch is not None and self._waiting_slots.acquire(blocking=False):
            try:
                fetch.wait(WAIT_SECONDS)
            finally:
                self._waiting_slots.release()
        with self._lock:
            key = self._known(kid)
            if key is not None:
                return key
            raise self._refusal()

    def _known(self, kid: str) -> IssuerKey | None:
        if self._clock() - self._loaded_at > STALE_SECONDS:
            self._keys = {}
        return self._keys.get(kid)

    def _refresh(self, missing: str | None) -> threading.Event | None:
        """The fetch that may find the kid `missing`. Starts one if it is due."""
        with self._lock:
            now = self._clock()
            if self._fetch is not None:
                return self._fetch if missing else None
            stale = not self._keys or now - self._loaded_at > FRESH_SECONDS
            if not (stale or missing) or now < self._next_fetch_at:
                return None
            fetch = self._fetch = threading.Event()
        try:
            self._spawn(lambda: self._fetch_now(fetch))
        except RuntimeError:  # no thread is available
            self._finish(fetch, {})
        return fetch

    def _fetch_now(self, fetch: threading.Event) -> None:
        keys: Mapping[str, IssuerKey] = {}
        try:
            keys = self._load()
            _log.info("issuer_keys_loaded", entry=self._name, keys=len(keys))
        except Exception as error:  # noqa: BLE001 - the fetch must end after any error
            _log.warning(
                "issuer_keys_failed", entry=self._name, error=type(error).__name__, reason=str(error)[:200]
            )
        self._finish(fetch, keys)

    def _finish(self, fetch: threading.Event, keys: Mapping[str, IssuerKey]) -> None:
        with self._lock:
            now = self._clock()
            self._healthy = bool(keys)
            if keys:
                self._keys, self._loaded_at = keys, now
            self._next_fetch_at = now + (COOLDOWN_SECONDS if self._keys else COOLDOWN_EMPTY_SECONDS)
            self._fetch = None
        fetch.set()

    def _refusal(self) -> Refusal:
        if self._healthy and self._fetch is None:
            return jws.invalid("unknown kid")
        wait = max(1, math.ceil(self._next_fetch_at - self._clock())) if self._fetch is None else 1
        return Refusal("keys-unavailable", reason=f"keys of {self._name}", retry_after_seconds=wait)
