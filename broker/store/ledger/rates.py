"""SqlRateStorage: the moving windows of Flask-Limiter, kept in the same database as everything else.

`limits` has no SQL storage. Ours keeps one row for each limit and key with the times of its hits. It locks
the row while it tests and adds, so that callers on any number of workers and hosts get exactly the limit. A
row has at most 8 bytes for each request that the limit allows.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from limits.storage import MovingWindowSupport, Storage
from sqlalchemy import Connection, bindparam, delete, select, update

from broker.errors import Refusal
from broker.limits.limiter import RateStorage, redis_storage
from broker.store.database.engine import Database
from broker.store.database.tables import rate_windows

SCHEME = "broker-sql"

# Built once: putting a statement together takes longer than running it.
_HITS = select(rate_windows.c.hits).where(rate_windows.c.key == bindparam("window"))
_LOCKED_HITS = _HITS.with_for_update()
# Each request that adds a row deletes a few expired ones.
_FORGET = delete(rate_windows).where(
    rate_windows.c.key.in_(
        select(rate_windows.c.key).where(rate_windows.c.expires_at < bindparam("now")).limit(10)
    )
)
_KEEP = (
    update(rate_windows)
    .where(rate_windows.c.key == bindparam("window"))
    .values(hits=bindparam("packed"), expires_at=bindparam("until"))
)


def rate_storage(database: Database, redis_url: str | None) -> RateStorage:
    """Redis if there is one, otherwise the database. Both are exact."""
    if redis_url is not None:
        return redis_storage(redis_url)
    return RateStorage(f"{SCHEME}://", {"database": database}, in_database=True)


def _pack(hits: list[float]) -> bytes:
    return struct.pack(f"<{len(hits)}d", *hits)


def _unpack(blob: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(blob) // 8}d", blob))


class SqlRateStorage(Storage, MovingWindowSupport):
    """Made by `limits` from the URI `broker-sql://` with `database=` as its option."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the name and shape that limits' registry reads

    def __init__(self, uri: str | None = None, *, database: Database, **_options: Any) -> None:
        super().__init__(uri)
        self._database = database
        # Counts of a transaction stay true until it ends, since it has locked the rows.
        self._counted: WeakKeyDictionary[Connection, dict[str, tuple[float, int]]] = WeakKeyDictionary()

    @property
    def base_exceptions(self) -> type[Exception]:
        return Refusal

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add `amount` hits if the window of `expiry` seconds then still holds at most `limit`."""
        with self._database.write() as connection:
            blob = self._locked_hits(connection, key, expiry)
            # Read after the wait for the lock: the previous holder may have counted at a later time.
            now = self._database.now(connection)
            hits = _within(blob, now, expiry)
            room = len(hits) + amount <= limit
            if room:
                hits.extend([now.timestamp()] * amount)
                until = now + timedelta(seconds=expiry)
                connection.execute(_KEEP, {"window": key, "packed": _pack(hits), "until": until})
            self._counted.setdefault(connection, {})[key] = _window(hits, now)
            return room

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """(time of the oldest hit in the window, number of hits in it); (now, 0) for none."""
        with self._database.read() as connection:
            if counted := self._counted.get(connection, {}).get(key):
                return counted
            now = self._database.now(connection)
            blob = connection.execute(_HITS, {"window": key}).scalar_one_or_none()
        return _window(_within(blob or b"", now, expiry), now)

    def _locked_hits(self, connection: Connection, key: str, expiry: int) -> bytes:
        blob: bytes | None = connection.execute(_LOCKED_HITS, {"window": key}).scalar_one_or_none()
        if blob is None:
            now = self._database.now(connection)
            start = {"key": key, "hits": b"", "expires_at": now + timedelta(seconds=expiry)}
            connection.execute(_FORGET, {"now": now})
            connection.execute(self._database.insert_or_ignore(rate_windows), start)
            blob = connection.execute(_LOCKED_HITS, {"window": key}).scalar_one()
        return bytes(blob)

    def reset(self) -> int | None:
        with self._database.write() as connection:
            return connection.execute(delete(rate_windows)).rowcount

    def clear(self, key: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(rate_windows).where(rate_windows.c.key == key))

    def check(self) -> bool:
        try:
            with self._database.read():
                return True
        except Refusal:
            return False

    # The fixed-window half of the interface. Only the moving window is exact, so only that is used.
    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError


def _window(hits: list[float], now: datetime) -> tuple[float, int]:
    return (hits[0], len(hits)) if hits else (now.timestamp(), 0)


def _within(blob: bytes, now: datetime, expiry: int) -> list[float]:
    """Without hits from the future: after a clock is set back, they would lock the caller out."""
    at = now.astimezone(UTC).timestamp()
    return [hit for hit in _unpack(blob) if at - expiry < hit <= at + expiry]
