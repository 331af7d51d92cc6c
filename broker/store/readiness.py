"""Readiness: whether a token could be recorded and counted now. Proved by writing, not by asking.

A store may answer and still take no writes: a server that became read-only, a full disk, a full Redis, an
audit table without permission to insert. So the proof writes what a mint writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import false, insert, select, update

from broker.errors import Refusal
from broker.limits.limiter import Rates
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.tables import principals, rate_windows, sessions, tokens
from broker.telemetry import clocks

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_KEY = "readiness"
# A mint inserts into these too. An insert of no rows needs the same permissions and leaves nothing.
_INSERTS = [insert(table).from_select(table.c.keys(), select(table).where(false())) for table in (
    principals, sessions, tokens,
)]  # fmt: skip
_COMMITTED = update(rate_windows).where(rate_windows.c.key == _KEY)


class Readiness:
    """Asks the stores at most once a second, however often `check` is called."""

    def __init__(
        self,
        database: Database,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._rates = rates
        self._clock = clock
        self._asking = threading.Lock()
        self._asked_at = float("-inf")
        self._refusal: Refusal | None = None

    def check(self) -> None:
        """Refuses `store-unavailable` or `audit-unavailable` while no token could be recorded and counted."""
        # Anyone may call the probe, so callers must not wait behind a store that hangs.
        if not self._asking.acquire(timeout=_PATIENCE_SECONDS):
            raise Refusal("store-unavailable", reason="the previous check has not ended")
        try:
            if self._clock() - self._asked_at >= _FRESH_SECONDS:
                self._refusal = self._ask()
                self._asked_at = self._clock()
            refusal = self._refusal
        finally:
            self._asking.release()
        if refusal is not None:
            raise Refusal(refusal.code, reason=refusal.reason)

    def _ask(self) -> Refusal | None:
        try:
            prove_writable(self._database)
            prove_countable(self._rates)
        except Refusal as refusal:
            return refusal
        return None


def prove_writable(database: Database) -> None:
    """Write an audit row and take it back, then commit a row that only this check uses."""
    with database.write() as connection:
        started = time.monotonic()
        now = database.now(connection)
        if not database.is_sqlite:
            clocks.DATABASE.compare(now.timestamp(), time.monotonic() - started)
        attempt = connection.begin_nested()
        audit.record(connection, now, actor="readiness", action="check", outcome="ok")
        attempt.rollback()
        for statement in _INSERTS:
            connection.execute(statement)
        until = now + timedelta(days=1)
        row = {"key": _KEY, "hits": b"", "expires_at": until}
        connection.execute(database.insert_or_ignore(rate_windows), row)
        connection.execute(_COMMITTED.values(expires_at=until))


def prove_countable(rates: Rates) -> None:
    """Count one request, if the counters are not in the database, which `prove_writable` covers."""
    if not rates.in_database:
        rates.spend("1000000/second", _KEY, _KEY)
