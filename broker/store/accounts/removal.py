"""Removes an own user, in one transaction with its audit row.

Deleted: the user with the hash of the password, roles, block, sign-ins and own limits. Kept: sessions, tokens
and the audit log, because limits count them: a new user of the same name has what is left of the day. They
go with `broker purge` (decision 0040).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from broker.identity.blocks import BlockKind
from broker.identity.users import User
from broker.principal import OWN_ISSUER, Overrides, principal_key
from broker.sessions.session import SessionState, TokenState
from broker.store import audit
from broker.store.accounts import block_rows
from broker.store.accounts.overrides import OVERRIDES, overrides_of
from broker.store.accounts.revocation import end_sign_ins, honoured_until
from broker.store.accounts.users import existing, keep_another_operator, user_of
from broker.store.database.engine import Database
from broker.store.database.tables import limits, sessions, tokens, users
from broker.store.ledger.locks import lock_keys
from broker.store.ledger.reservation_rows import void_token

# Longer than any request: one that was admitted before the removal must not get its token after it.
_STILL_UNDER_WAY = timedelta(hours=1)


def remove_user(database: Database, username: str, *, actor: str, keep_one_operator: bool) -> datetime | None:
    """Returns when the user's last token expires at Google; None if no token is still valid.

    Raises UserUnknown, and LastOperator with `keep_one_operator`.
    """
    with database.write() as connection:
        now = database.now(connection)
        if keep_one_operator:
            keep_another_operator(database, connection, username)
        row = existing(connection, username)
        user = user_of(row)
        key = principal_key(OWN_ISSUER, username)
        lock_keys(database, connection, [*_teams(connection, user), key])
        _end_sessions(connection, key, now)
        before = {"plan": user.plan, "roles": sorted(user.roles), **_taken_limits(connection, key, now)}
        end_sign_ins(connection, OWN_ISSUER, username)
        connection.execute(delete(users).where(users.c.username == username))
        until = now + _STILL_UNDER_WAY
        block_rows.put(
            database, connection, now, BlockKind.PRINCIPAL, OWN_ISSUER, username,
            reason="removed", expires_at=until,
        )  # fmt: skip
        audit.record_change(
            connection, now, actor=actor, action="user.remove", user=username, before=before, after=None
        )
        return honoured_until(connection, OWN_ISSUER, username, now)


def _teams(connection: Connection, user: User) -> list[str]:
    """Those for which its reservations count, in one order: the team now, and earlier ones."""
    own = (tokens.c.principal_key == user.principal().key, tokens.c.state == TokenState.RESERVED)
    earlier = select(sessions.c.team_key).join(tokens, tokens.c.session_id == sessions.c.id).where(*own)
    teams = {one.key for one in user.principal().charged[:-1]}
    return sorted(teams | {key for key in connection.execute(earlier).scalars() if key is not None})


def _end_sessions(connection: Connection, key: str, now: datetime) -> None:
    """No session gets a further token. A delivered token may be in use, so its place stays taken."""
    own = sessions.c.principal_key == key
    reserved = (tokens.c.principal_key == key, tokens.c.state == TokenState.RESERVED)
    for token_id in connection.execute(select(tokens.c.id).where(*reserved)).scalars().all():
        void_token(connection, token_id, "account-blocked")
    connection.execute(
        update(sessions)
        .where(own, sessions.c.state == SessionState.RESERVED)
        .values(state=SessionState.VOID, ended_at=now, held_until=now)
    )
    connection.execute(
        update(sessions)
        .where(own, sessions.c.state == SessionState.OPEN)
        .values(state=SessionState.ENDED, ended_at=now)
    )


def _taken_limits(connection: Connection, key: str, now: datetime) -> dict[str, object]:
    """Clear the overrides. Their row stays, so that no two states ever have the same version."""
    row = connection.execute(select(*OVERRIDES).where(limits.c.key == key)).one_or_none()
    own = {} if row is None else {name: value for name, value in vars(overrides_of(row)).items() if value}
    if not own:
        return {}
    connection.execute(
        update(limits)
        .where(limits.c.key == key)
        .values(**vars(Overrides()), updated_at=now, version=limits.c.version + 1)
    )
    return {"limits": own}
