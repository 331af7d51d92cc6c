"""SqlUsers: the broker's own users. Implements `identity.users.Directory` and operators' changes to users.

A change, its audit row and everything that it revokes are one transaction: a change without its row does not
happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.identity.blocks import BlockKind
from broker.identity.users import User
from broker.principal import OPERATOR, OWN_ISSUER, TEAM_ISSUER
from broker.store import audit
from broker.store.accounts import block_rows
from broker.store.accounts.principals import ensure_principal
from broker.store.accounts.revocation import (
    end_sign_ins,
    honoured_until,
    new_generation,
    revoke_all,
    revoke_but_keep_sign_ins,
)
from broker.store.database.engine import Database
from broker.store.database.tables import users

_FIND = select(users).where(users.c.username == bindparam("name"))


class UserExists(Exception):  # noqa: N818 - reads as what it says
    pass


class UserUnknown(Exception):  # noqa: N818 - reads as what it says
    pass


class LastOperator(Exception):  # noqa: N818 - reads as what it says
    """The change would leave no user with the role that is not blocked."""


class SqlUsers:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, username: str) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"name": username}).one_or_none()
        return user_of(row) if row else None

    def all(self) -> list[User]:
        with self._database.read() as connection:
            return [user_of(row) for row in connection.execute(select(users).order_by(users.c.username))]

    def add(self, user: User, *, actor: str) -> None:
        """Raises UserExists."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            try:
                connection.execute(
                    insert(users).values(
                        username=user.username,
                        password_hash=user.password_hash,
                        plan=user.plan,
                        roles=" ".join(sorted(user.roles)),
                        generation=new_generation(),
                        password_changed_at=now,
                        created_at=now,
                        team=user.team,
                    )
                )
            except IntegrityError as clash:
                raise UserExists(user.username) from clash
            for one in user.principal().charged:
                ensure_principal(self._database, connection, one.issuer, one.subject)
            # Left by the removal of an earlier user of this name.
            block_rows.take(connection, BlockKind.PRINCIPAL, OWN_ISSUER, user.username)
            after = {"plan": user.plan, "roles": sorted(user.roles)}
            _record(connection, now, user.username, "user.add", actor, None, after)

    def set_password(self, username: str, password_hash: str, *, actor: str) -> None:
        """Change a password and revoke all sign-ins and bearers. Raises UserUnknown."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = existing(connection, username)
            _update(connection, username, password_hash=password_hash, password_changed_at=now)
            revoke_all(connection, username)
            before, after = ({"password_changed_at": _to_json(at)} for at in (row.password_changed_at, now))
            _record(connection, now, username, "user.password", actor, before, after)

    def set_roles(
        self, username: str, roles: frozenset[str], *, actor: str, keep_one_operator: bool = True
    ) -> None:
        """Replace the roles of a user, from the next request on. Raises UserUnknown and LastOperator."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            if keep_one_operator and OPERATOR not in roles:
                keep_another_operator(self._database, connection, username)
            row = existing(connection, username)
            _update(connection, username, roles=" ".join(sorted(roles)))
            before, after = ({"roles": sorted(kept)} for kept in (row.roles.split(), roles))
            _record(connection, now, username, "user.roles", actor, before, after)

    def set_team(self, username: str, team: str | None, *, actor: str) -> None:
        """From the next session on; None: in no team. Raises UserUnknown."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = existing(connection, username)
            if team is not None:
                ensure_principal(self._database, connection, TEAM_ISSUER, team)
            _update(connection, username, team=team)
            _record(connection, now, username, "user.team", actor, {"team": row.team}, {"team": team})

    def has_operator(self) -> bool:
        with self._database.read() as connection:
            return bool(_operators(connection))

    def block(
        self, username: str, *, actor: str, reason: str = "", keep_one_operator: bool = False
    ) -> datetime | None:
        """Block a user and revoke all sign-ins and bearers: unblocking restores none. Raises UserUnknown.

        Returns when the user's last token expires at Google; None if no token is still valid. With
        `keep_one_operator`, raises LastOperator.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            if keep_one_operator:
                keep_another_operator(self._database, connection, username)
            row = existing(connection, username)
            _update(connection, username, blocked_at=now, blocked_reason=reason)
            revoke_but_keep_sign_ins(connection, username)
            after = _block(now, reason)
            before = _block(row.blocked_at, row.blocked_reason)
            _record(connection, now, username, "user.block", actor, before, after)
            return honoured_until(connection, OWN_ISSUER, username, now)

    def unblock(self, username: str, *, actor: str) -> bool:
        """Returns whether the user was blocked. Raises UserUnknown."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = existing(connection, username)
            if row.blocked_at is None:
                return False
            _update(connection, username, blocked_at=None, blocked_reason="")
            end_sign_ins(connection, OWN_ISSUER, username)
            before = _block(row.blocked_at, row.blocked_reason)
            _record(connection, now, username, "user.unblock", actor, before, None)
            return True

    def sign_out(self, username: str, *, actor: str) -> None:
        """Revoke all sign-ins and bearers. Raises UserUnknown."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            existing(connection, username)
            ended = revoke_all(connection, username)
            _record(connection, now, username, "user.sign-out", actor, {"sign_ins": ended}, {"sign_ins": 0})

    def record(self, username: str, action: str, *, actor: str) -> None:
        """Audit an action that changes nothing in the store."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            audit.record(connection, now, actor=actor, action=action, outcome="ok", detail={"user": username})

    def rehash(self, username: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash that was made with older parameters, unless the password has changed meanwhile."""
        with self._database.write() as connection:
            connection.execute(
                update(users)
                .where(users.c.username == username, users.c.password_hash == old_hash)
                .values(password_hash=new_hash)
            )


def existing(connection: Connection, username: str) -> Row[Any]:
    row = connection.execute(_FIND, {"name": username}).one_or_none()
    if row is None:
        raise UserUnknown(username)
    return row


def keep_another_operator(database: Database, connection: Connection, username: str) -> None:
    """Raises LastOperator."""
    # Without the lock, two operators could block each other at once.
    database.lock(connection, "operators")
    if _operators(connection) == {username}:
        raise LastOperator(username)


def _operators(connection: Connection) -> set[str]:
    """The users with the role who are not blocked."""
    rows = connection.execute(
        select(users.c.username, users.c.roles).where(users.c.roles != "", users.c.blocked_at.is_(None))
    )
    return {row.username for row in rows if OPERATOR in row.roles.split()}


def _update(connection: Connection, username: str, **values: Any) -> None:
    connection.execute(update(users).where(users.c.username == username).values(values))


def _record(
    connection: Connection,
    now: datetime,
    username: str,
    action: str,
    actor: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    audit.record_change(
        connection, now, actor=actor, action=action, user=username, before=before, after=after
    )


def _block(at: datetime | None, reason: str) -> dict[str, str] | None:
    return None if at is None else {"blocked_at": str(_to_json(at)), "reason": reason}


def _to_json(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def user_of(row: Row[Any]) -> User:
    return User(
        username=row.username,
        password_hash=row.password_hash,
        plan=row.plan,
        roles=frozenset(row.roles.split()),
        blocked_at=row.blocked_at,
        generation=row.generation,
        password_changed_at=row.password_changed_at,
        created_at=row.created_at,
        team=row.team,
    )
