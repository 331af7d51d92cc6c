"""SqlServiceKeys: implements `identity.service_keys.KeyStore` and operators' changes to service keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.identity.service_keys import ServiceKey
from broker.principal import TEAM_ISSUER
from broker.store import audit
from broker.store.accounts.principals import ensure_principal
from broker.store.database.engine import Database
from broker.store.database.tables import service_keys

# Recorded this coarsely, so that a busy backend does not write to the store with each request.
_USED_EVERY = timedelta(minutes=5)
_AUDITED = ("plan", "scopes", "profiles", "on_behalf_of_prefix", "team", "user_plan", "plans")
_FIND = select(service_keys).where(service_keys.c.id == bindparam("key"))
_USED = update(service_keys).where(service_keys.c.id == bindparam("key")).values(last_used_at=bindparam("at"))


class KeyExists(Exception):  # noqa: N818 - reads as what it says
    pass


class SqlServiceKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key_id: str) -> tuple[ServiceKey | None, datetime]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            row = connection.execute(_FIND, {"key": key_id}).one_or_none()
        return (_key(row) if row else None), now

    def used(self, key: ServiceKey, now: datetime) -> None:
        if key.last_used_at is None or key.last_used_at + _USED_EVERY <= now:
            with self._database.write() as connection:
                connection.execute(_USED, {"key": key.id, "at": now})

    def rehash(self, key_id: str, old_hmac: str, new_hmac: str) -> None:
        """Replace a hash that was made with an earlier server secret."""
        with self._database.write() as connection:
            connection.execute(
                update(service_keys)
                .where(service_keys.c.id == key_id, service_keys.c.secret_hmac == old_hmac)
                .values(secret_hmac=new_hmac)
            )

    def named(self, name_or_id: str) -> ServiceKey | None:
        with self._database.read() as connection:
            row = _named(connection, name_or_id)
        return _key(row) if row else None

    def page(self, *, after: str | None = None, limit: int | None = None) -> list[ServiceKey]:
        """Keys in the order of their names, starting after `after`."""
        query = select(service_keys).order_by(service_keys.c.name).limit(limit)
        if after is not None:
            query = query.where(service_keys.c.name > after)
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def add(self, key: ServiceKey, lifetime: timedelta | None, *, actor: str) -> ServiceKey:
        """Raises KeyExists if the name is taken, also as an id. The audit row is in the same transaction."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            expires_at = None if lifetime is None else now + lifetime
            values = {
                "id": key.id,
                "name": key.name,
                "secret_hmac": key.secret_hmac,
                "plan": key.plan,
                "scopes": " ".join(sorted(key.scopes)),
                "profiles": None if key.profiles is None else sorted(key.profiles),
                "on_behalf_of_prefix": key.on_behalf_of_prefix,
                "team": key.team,
                "user_plan": key.user_plan,
                "plans": sorted(key.plans) or None,
                "created_at": now,
                "expires_at": expires_at,
            }
            if connection.execute(_FIND, {"key": key.name}).first() is not None:
                raise KeyExists(key.name)
            try:
                connection.execute(insert(service_keys).values(values))
            except IntegrityError as clash:
                raise KeyExists(key.name) from clash
            if key.team is not None:
                ensure_principal(self._database, connection, TEAM_ISSUER, key.team)
            after = {name: values[name] for name in _AUDITED}
            after["expires_at"] = expires_at.isoformat() if expires_at else None
            audit.record_change(
                connection,
                now,
                actor=actor,
                action="key.create",
                id=key.id,
                name=key.name,
                before=None,
                after=after,
            )
            return _key(connection.execute(_FIND, {"key": key.id}).one())

    def revoke(self, name_or_id: str, *, actor: str) -> ServiceKey | None:
        """Returns the revoked key; None if there is no such key. Revoking it again changes nothing."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = _named(connection, name_or_id)
            if row is None:
                return None
            if row.revoked_at is None:
                this_key = service_keys.c.id == row.id
                connection.execute(update(service_keys).where(this_key).values(revoked_at=now))
                audit.record_change(
                    connection,
                    now,
                    actor=actor,
                    action="key.revoke",
                    id=row.id,
                    name=row.name,
                    before={"revoked_at": None},
                    after={"revoked_at": now.isoformat(timespec="seconds")},
                )
            return _key(connection.execute(_FIND, {"key": row.id}).one())


def _named(connection: Connection, name_or_id: str) -> Row[Any] | None:
    """The key with this id, or else with this name.

    The id first: earlier versions allowed a name that is another key's id, and such a name must not keep an
    operator from the other key.
    """
    by_name = select(service_keys).where(service_keys.c.name == name_or_id)
    row = connection.execute(_FIND, {"key": name_or_id}).one_or_none()
    return row or connection.execute(by_name).one_or_none()


def _key(row: Row[Any]) -> ServiceKey:
    return ServiceKey(
        id=row.id,
        name=row.name,
        secret_hmac=row.secret_hmac,
        plan=row.plan,
        scopes=frozenset(row.scopes.split()),
        profiles=None if row.profiles is None else frozenset(row.profiles),
        on_behalf_of_prefix=row.on_behalf_of_prefix,
        user_plan=row.user_plan,
        plans=frozenset(row.plans or ()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        team=row.team,
    )
