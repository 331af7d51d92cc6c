"""Makes counters in Redis survive a failover.

The former primary becomes a replica and keeps its connections. Every count on them fails as read-only. Such
an answer closes the connection, and the count is repeated on a new one, which leads to the new primary.
"""

from __future__ import annotations

from dataclasses import replace

from redis.exceptions import ReadOnlyError

from broker.limits.limiter import RateStorage


def surviving_failover(storage: RateStorage) -> RateStorage:
    """The same storage. Counters in the database need nothing."""
    if storage.in_database:
        return storage
    return replace(storage, options={**storage.options, "retry_on_error": [ReadOnlyError]})
