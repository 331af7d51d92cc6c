"""SqlRateStorage: the moving windows of Flask-Limiter, kept in the same database as everything else.

`limits` has no SQL storage. Ours keeps one row for each limit and key with the times of its hits. It locks
the row while it tests and adds, so that callers on any number of workers and hosts get exactly the limit. A
row has at most 8 bytes for each request that the limit allows.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from limits.storage import MovingWindowSupport, Storage
from sqlalchemy import Connection, bindparam, case, delete, func, null, select, text

from broker.errors import Refusal
from broker.limits.limiter import Counts, RateStorage, Window, redis_storage
from broker.store.database.engine import Database
from broker.store.database.expired import delete_expired
from broker.store.database.statement import Rows, Statement
from broker.store.database.tables import rate_windows

SCHEME = "broker-sql"

# Built once: putting a statement together takes longer than running it.
_HITS = select(rate_windows.c.hits).where(rate_windows.c.key == bindparam("window"))
# Each request that adds a row deletes a few expired ones.
_FORGET = delete_expired(rate_windows, rate_windows.c.key, 10)
# The row of a window that many share outlives theirs: a request that adds it must not hold theirs already.
_SHARED_KEPT = timedelta(days=1)


@cache
def _keep(number: int) -> Statement:
    """New hits of so many windows."""
    rows = ", ".join(f"(:window{one}, :packed{one}, :until{one})" for one in range(number))
    types = {"packed": rate_windows.c.hits.type, "until": rate_windows.c.expires_at.type}
    binds = [bindparam(f"{name}{one}", type_=type_) for name, type_ in types.items() for one in range(number)]
    return Statement(
        text(
            f"INSERT INTO rate_windows (key, hits, expires_at) VALUES {rows} "  # noqa: S608 # nosec B608
            "ON CONFLICT (key) DO UPDATE SET hits = excluded.hits, expires_at = excluded.expires_at"
        ).bindparams(*binds)
    )


@cache
def _locked(number: int, *, with_time: bool) -> Statement:
    """So many windows, always locked in their order, shared ones first: no two requests wait for each other.

    `with_time`: the server's time, row by row after the wait for each.
    """
    keys = [bindparam(str(one), type_=rate_windows.c.key.type) for one in range(number)]
    locked = (
        select(rate_windows.c.key, rate_windows.c.hits)
        .where(rate_windows.c.key.in_(keys))
        .order_by(case({key: number for number, key in enumerate(keys)}, value=rate_windows.c.key))
        .with_for_update()
        .cte("locked")
    )
    return Statement(select(locked, (func.clock_timestamp() if with_time else null()).label("at")))


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

    @property
    def base_exceptions(self) -> type[Exception]:
        return Refusal

    def acquire_all(self, windows: Sequence[Window]) -> tuple[bool, Counts]:
        """Add one hit to each window if all of them have room; otherwise add none."""
        with self._database.write() as connection:
            # The time is read after the wait for the locks: the previous holder may have counted at a later
            # time.
            blobs, now, are_new = self._locked_hits(connection, windows)
            hits = {window: _within(blobs[window.key], now, window.seconds) for window in windows}
            room = all(len(found) < window.limit for window, found in hits.items())
            if room:
                for found in hits.values():
                    found.append(now.timestamp())
                own = windows[-1].allowance.key
                rows = [_row(window, found, now, own) for window, found in hits.items()]
                _keep(len(rows)).run(connection, _numbered(rows))
            if are_new:
                # Last, because it locks windows of others: no window may be waited for after that.
                connection.execute(_FORGET, {"now": now})
            return room, {window: _count(found, window.limit, now) for window, found in hits.items()}

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """(time of the hit that has to expire before there is room, number of hits); (now, 0) for none."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            blob = connection.execute(_HITS, {"window": key}).scalar_one_or_none()
        return _count(_within(blob or b"", now, expiry), limit, now)

    def _locked_hits(
        self, connection: Connection, windows: Sequence[Window]
    ) -> tuple[Mapping[str, bytes], datetime, bool]:
        """Also the time at which all locks were there, and whether rows were added."""
        found, are_new = self._lock(connection, windows), False
        while missing := _first_missing(windows, {key for key, _, _ in found}):
            now = self._database.now(connection)
            until = now + timedelta(seconds=max(window.seconds for window in windows))
            rows = [{"key": key, "hits": b"", "expires_at": until} for key in missing]
            connection.execute(self._database.insert_or_ignore(rate_windows), rows)
            found, are_new = self._lock(connection, windows), True
        _, _, at = found[-1]
        return {key: bytes(hits) for key, hits, _ in found}, self._database.moment(at), are_new

    def _lock(self, connection: Connection, windows: Sequence[Window]) -> Rows:
        """(key, packed hits, time) of each window that has a row."""
        keys = {str(number): window.key for number, window in enumerate(windows)}
        return _locked(len(windows), with_time=not self._database.is_sqlite).run(connection, keys)

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

    # The rest of the interface is not used: only the moving window is exact, and it is counted above.
    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        raise NotImplementedError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError


def _first_missing(windows: Sequence[Window], found: Collection[str]) -> Sequence[str]:
    """The keys of one owner that have no row, those of a team or a service key before their users'.

    A request that had added a row of a user, and then waited for the row that all users share, would hold up
    another one of this user that has the shared row already.
    """
    missing = [window for window in windows if window.key not in found]
    return sorted(one.key for one in missing if one.allowance.key == missing[0].allowance.key)


def _numbered(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}{number}": value for number, row in enumerate(rows) for name, value in row.items()}


def _row(window: Window, hits: list[float], now: datetime, own: str) -> dict[str, Any]:
    until = now + timedelta(seconds=window.seconds)
    if window.allowance.key != own:
        until += _SHARED_KEPT
    return {"window": window.key, "packed": _pack(hits), "until": until}


def _count(hits: list[float], limit: int, now: datetime) -> tuple[float, int]:
    """In this host's time, because the caller compares it with this host's clock."""
    oldest = hits[max(0, len(hits) - limit)] if hits else now.timestamp()
    return time.time() - (now.timestamp() - oldest), len(hits)


def _within(blob: bytes, now: datetime, expiry: int) -> list[float]:
    """Without hits from the future: after a clock is set back, they would lock the caller out."""
    at = now.astimezone(UTC).timestamp()
    return [hit for hit in _unpack(blob) if at - expiry < hit <= at + expiry]
