"""KeyCache: an issuer's keys at hand, whatever its key server does.

- A key that is known is answered at once, also while the server is slow, down or asked again.
- One fetch at a time, in a thread of its own and outside the lock; after it, none for a while, however many
  tokens name keys that nobody knows and however often the server failed.
- What was good last is kept for a day of failures.
- Few callers wait for a fetch: a slow key server must not hold every thread.
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
KEEP_SECONDS = 24 * 3600
REST_SECONDS = 30  # after a fetch, good or bad
REST_EMPTY_SECONDS = 5  # after a failure that leaves no key at all
REMEMBER_SECONDS = 300
REMEMBERED_KIDS = 1000
WAITING = 4
WAIT_SECONDS = 4.0  # a fetch ends before that by its own deadline

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
        self._seats = threading.BoundedSemaphore(WAITING)
        self._keys: Mapping[str, IssuerKey] = {}
        self._loaded_at = -math.inf
        self._resting_until = -math.inf
        self._healthy = False
        self._flight: threading.Event | None = None
        self._unknown: dict[str, float] = {}

    def prefetch(self) -> None:
        """Begin to load the keys, so that the first caller need not wait for them."""
        self._refresh(None)

    def key(self, kid: str) -> IssuerKey:
        """Refuses `invalid-token` for a kid that the issuer does not have, `keys-unavailable` if that cannot
        be told."""
        with self._lock:
            key = self._known(kid)
        flight = self._refresh(kid if key is None else None)
        if key is not None:
            return key
        if flight is not None and self._seats.acquire(blocking=False):
            try:
                flight.wait(WAIT_SECONDS)
            finally:
                self._seats.release()
        with self._lock:
            key = self._known(kid)
            if key is not None:
                return key
            raise self._refusal(kid, asked=flight is not None)

    def _known(self, kid: str) -> IssuerKey | None:
        if self._clock() - self._loaded_at > KEEP_SECONDS:
            self._keys = {}
        return self._keys.get(kid)

    def _refresh(self, missing: str | None) -> threading.Event | None:
        """The fetch that may bring the kid `missing`; begun now if one is due."""
        with self._lock:
            now = self._clock()
            wanted = missing is not None and not self._is_remembered(missing, now)
            if self._flight is not None:
                return self._flight if wanted else None
            stale = not self._keys or now - self._loaded_at > FRESH_SECONDS
            if not (stale or wanted) or now < self._resting_until:
                return None
            flight = self._flight = threading.Event()
        try:
            self._spawn(lambda: self._fly(flight))
        except RuntimeError:  # no thread is to be had
            self._land(flight, {})
        return flight

    def _fly(self, flight: threading.Event) -> None:
        keys: Mapping[str, IssuerKey] = {}
        try:
            keys = self._load()
            _log.info("issuer_keys_loaded", entry=self._name, keys=len(keys))
        except Exception as error:  # noqa: BLE001 - whatever it was, the flight must land
            _log.warning(
                "issuer_keys_failed", entry=self._name, error=type(error).__name__, reason=str(error)[:200]
            )
        self._land(flight, keys)

    def _land(self, flight: threading.Event, keys: Mapping[str, IssuerKey]) -> None:
        with self._lock:
            now = self._clock()
            self._healthy = bool(keys)
            if keys:
                self._keys, self._loaded_at = keys, now
            self._resting_until = now + (REST_SECONDS if self._keys else REST_EMPTY_SECONDS)
            self._flight = None
        flight.set()

    def _refusal(self, kid: str, *, asked: bool) -> Refusal:
        now = self._clock()
        if self._is_remembered(kid, now):
            return jws.invalid("unknown kid")
        if self._healthy and self._flight is None:
            # Only what was looked for and not found: a kid that came during a rest may be a new key's.
            if asked:
                self._remember(kid, now)
            return jws.invalid("unknown kid")
        wait = max(1, math.ceil(self._resting_until - now)) if self._flight is None else 1
        return Refusal("keys-unavailable", reason=f"keys of {self._name}", retry_after_seconds=wait)

    def _remember(self, kid: str, now: float) -> None:
        while len(self._unknown) >= REMEMBERED_KIDS:
            self._unknown.pop(next(iter(self._unknown)))
        self._unknown[kid] = now

    def _is_remembered(self, kid: str, now: float) -> bool:
        return now - self._unknown.get(kid, -math.inf) < REMEMBER_SECONDS and bool(self._keys)
