"""Users in SQL: implements `identity.users.Directory` and what operators do to users."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.identity.users import User
from broker.store import audit
from broker.store.engine import Database
from broker.store.tables import users

_FIND = select(users).where(users.c.username == bindparam("name"))


class UserExists(Exception):  # noqa: N818 - reads as what it says
    pass


class SqlUsers:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, username: str) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"name": username}).one_or_none()
        return _user(row) if row else None

    def all(self) -> list[User]:
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.username))]

    def add(self, user: User, *, actor: str) -> None:
        """Raises UserExists. The audit row is in the same transaction: without it there is no user."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            try:
                connection.execute(
                    insert(users).values(
                        username=user.username,
                        password_hash=user.password_hash,
                        plan=user.plan,
                        roles=" ".join(sorted(user.roles)),
                        password_changed_at=now,
                        created_at=now,
                    )
                )
            except IntegrityError as clash:
                raise UserExists(user.username) from clash
            detail = {"user": user.username, "plan": user.plan, "roles": sorted(user.roles)}
            audit.record(connection, now, actor=actor, action="user.add", outcome="ok", detail=detail)

    def rehash(self, username: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash made with older parameters, unless the password changed in the meantime."""
        with self._database.write() as connection:
            connection.execute(
                update(users)
                .where(users.c.username == username, users.c.password_hash == old_hash)
                .values(password_hash=new_hash)
            )


def _user(row: Row[Any]) -> User:
    return User(
        username=row.username,
        password_hash=row.password_hash,
        plan=row.plan,
        roles=frozenset(row.roles.split()),
        blocked_at=row.blocked_at,
        password_changed_at=row.password_changed_at,
        created_at=row.created_at,
    )
