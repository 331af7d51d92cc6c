"""The clean-up of rows that have expired, as a part of requests that add such rows."""

from __future__ import annotations

from sqlalchemy import Column, Delete, Table, bindparam, delete, select


def delete_expired(table: Table, key: Column[str], most: int | None = None) -> Delete:
    """A DELETE of at most this many rows with `expires_at` before the value `now`.

    It leaves rows that another request has locked, so that no clean-up waits. PostgreSQL checks the outer
    condition again on the newest version of a row: its owner may just have come back.
    """
    expired = table.c.expires_at < bindparam("now")
    unlocked = select(key).where(expired).limit(most).with_for_update(skip_locked=True)
    return delete(table).where(key.in_(unlocked), expired)
