"""Times as the broker writes them for others: RFC 3339 in UTC, with whole seconds."""

from __future__ import annotations

from datetime import datetime


def rfc3339(moment: datetime) -> str:
    """`moment` must be in UTC, as all times of the store are."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
