"""SqlSignIns: browser sign-ins. Implements `identity.sign_ins.SignIns`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from broker.identity.bearer import Verified
from broker.principal import Principal, team_named
from broker.store import audit
from broker.store.audit import RefusalLog
from broker.store.database.engine import Database
from broker.store.database.expired import delete_expired
from broker.store.database.tables import sign_ins

# Recorded this coarsely, so that a page that polls does not write to the store with each request.
_SEEN_EVERY = timedelta(minutes=5)
_FORGET = delete_expired(sign_ins, sign_ins.c.id_sha256)


class SqlSignIns:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._refusals = RefusalLog(database)

    def open(
        self, principal: Principal, sign_in_id: str, lifetime: timedelta, generation: str | None
    ) -> datetime:
        """Record a sign-in with its audit row and delete expired ones. Returns when the new one expires.

        Other sign-ins of the principal get its plan, roles and team: they are what its issuer says now.
        """
        with self._database.write() as connection:
            # Sign-ins of one principal at the same time would wait for each other's rows.
            self._database.lock(connection, f"sign-ins of {principal.key}")
            now = self._database.now(connection)
            connection.execute(_FORGET, {"now": now})
            team = None if principal.team is None else principal.team.subject
            connection.execute(
                insert(sign_ins).values(
                    id_sha256=sign_in_id,
                    issuer=principal.issuer,
                    subject=principal.subject,
                    name=principal.name,
                    plan=principal.plan,
                    roles=" ".join(sorted(principal.roles)),
                    team=team,
                    generation=generation,
                    created_at=now,
                    last_seen_at=now,
                    expires_at=now + lifetime,
                )
            )
            connection.execute(
                update(sign_ins)
                .where(sign_ins.c.issuer == principal.issuer, sign_ins.c.subject == principal.subject)
                .where(sign_ins.c.expires_at >= now)
                .values(plan=principal.plan, roles=" ".join(sorted(principal.roles)), team=team)
            )
            actor = f"{principal.issuer}:{principal.subject}"
            audit.record(connection, now, actor=actor, action="sign-in", outcome="ok")
            return now + lifetime

    def find(self, ids: Sequence[str], idle: timedelta) -> Verified | None:
        """The sign-in that has one of the ids."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            row = connection.execute(select(sign_ins).where(sign_ins.c.id_sha256.in_(ids))).one_or_none()
        if row is None or row.expires_at <= now or row.last_seen_at + idle <= now:
            return None
        if row.last_seen_at + _SEEN_EVERY <= now:
            with self._database.write() as connection:
                this_row = sign_ins.c.id_sha256 == row.id_sha256
                connection.execute(update(sign_ins).where(this_row).values(last_seen_at=now))
        roles, team = frozenset(row.roles.split()), team_named(row.team)
        principal = Principal(row.issuer, row.subject, row.name, row.plan, roles, team=team)
        return Verified(principal, row.created_at, generation=row.generation)

    def refused(self, username: str | None, address: str, code: str) -> None:
        actor, detail = f"address:{address}", {"user": username}
        self._refusals.record(actor=actor, action="sign-in", outcome=code, detail=detail)

    def close(self, ids: Sequence[str]) -> None:
        with self._database.write() as connection:
            connection.execute(delete(sign_ins).where(sign_ins.c.id_sha256.in_(ids)))

    def close_all(self, issuer: str, subject: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                delete(sign_ins).where(sign_ins.c.issuer == issuer, sign_ins.c.subject == subject)
            )
