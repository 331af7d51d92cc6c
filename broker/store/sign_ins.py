"""Browser logins in SQL: implements `identity.sign_ins.SignIns`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from broker.store import audit
from broker.store.engine import Database
from broker.store.tables import sign_ins


class SqlSignIns:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, username: str, id_sha256: str, lifetime: timedelta) -> datetime:
        """Record a login and its audit row together; returns when it ends. Clears out what has expired."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            connection.execute(delete(sign_ins).where(sign_ins.c.expires_at < now))
            connection.execute(
                insert(sign_ins).values(
                    id_sha256=id_sha256, username=username, created_at=now, expires_at=now + lifetime
                )
            )
            audit.record(connection, now, actor=f"live-broker:{username}", action="sign-in", outcome="ok")
            return now + lifetime

    def username(self, id_sha256: str) -> str | None:
        with self._database.read() as connection:
            now = self._database.now(connection)
            return connection.execute(
                select(sign_ins.c.username).where(
                    sign_ins.c.id_sha256 == id_sha256, sign_ins.c.expires_at > now
                )
            ).scalar_one_or_none()

    def close(self, id_sha256: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(sign_ins).where(sign_ins.c.id_sha256 == id_sha256))
