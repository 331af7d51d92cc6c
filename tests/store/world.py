"""World: the store's transactions as requests use them, with a clock that the test moves."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from broker.limits.limiter import create_rates
from broker.limits.quota import Quota, Quotas, QuotaUsage
from broker.minting.minter import MintedToken
from broker.principal import Principal
from broker.sessions.session import Reservation, Session, SessionTerms, TokenState
from broker.settings import PriceList
from broker.store.database.engine import Database
from broker.store.database.tables import metadata, sessions, tokens
from broker.store.ledger.client_reports import SqlReports
from broker.store.ledger.idempotency import SqlIdempotencyRecords
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.rates import rate_storage
from broker.store.ledger.spending import Spending
from broker.store.ledger.suspension import SqlSuspensions
from broker.store.reporting.sessions import SqlSessions
from tests.support.prices import price
from tests.support.servers import own_principal

TERMS = SessionTerms(
    "default", "models/m", session_seconds=7200, slice_seconds=900, connect_within_seconds=120, client={}
)
PRICES = PriceList({"m": (price(),)})


class World:
    """A store whose clock the test moves, with a new person for each crossing."""

    def __init__(self, database: Database) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.database = database
        spending = Spending(PRICES)
        self.ledger = SqlLedger(database, spending)
        self.rates = create_rates(rate_storage(database, None))
        self.operator = SqlSessions(database)
        self.records = SqlIdempotencyRecords(database)
        self.reports = SqlReports(database, spending)
        self.suspensions = SqlSuspensions(database)

    def start_anew(self) -> None:
        """An empty store early on the next day: checks stay quick, and no minutes fall on two days."""
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        self.now = self.now.replace(hour=0, minute=30) + timedelta(days=1)

    def someone(self) -> Principal:
        return own_principal("p" + secrets.token_hex(8))

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def quotas(
        self,
        who: Principal,
        *,
        places: int = 50,
        minutes: int = 10_000,
        project: int = 10**6,
        forgiven: int | None = None,
    ) -> Quotas:
        of = [Quota(one.key, places, minutes, None, forgiven, is_team=one is who.team) for one in who.charged]
        return Quotas(tuple(of), project)

    def open(self, who: Principal, *, chosen: int | None = None, **limits: int) -> Reservation:
        """Reserves and confirms, as a request does; a refused confirmation voids.

        `chosen`: the token's life in seconds, if the caller names one.
        """
        terms = TERMS if chosen is None else replace(TERMS, slice_seconds=chosen, slice_is_fixed=True)
        return self._confirmed(who, self.ledger.reserve(who, terms, self.quotas(who, **limits)))

    def renew(self, who: Principal, session_id: str, **limits: int) -> Reservation:
        return self._confirmed(
            who, self.ledger.reserve_next(who, session_id, 900, 120, self.quotas(who, **limits))
        )

    def end(self, who: Principal, session_id: str, **limits: int) -> Session:
        return self.ledger.end(who, session_id, self.quotas(who, **limits))

    def _confirmed(self, who: Principal, reservation: Reservation) -> Reservation:
        try:
            self.ledger.confirm(who, reservation, MintedToken(secrets.token_hex(8)))
        except BaseException:
            self.ledger.void(reservation, "upstream-error")
            raise
        return reservation

    def usage(self, who: Principal) -> QuotaUsage:
        return self.ledger.usages(self.quotas(who))[0][-1]

    def places(self, who: Principal) -> int:
        return self.usage(who).open

    def row(self, session_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(sessions).where(sessions.c.id == session_id)).one()

    def tokens(self, session_id: str, state: TokenState) -> list[Any]:
        with self.database.read() as connection:
            of = select(tokens).where(tokens.c.session_id == session_id, tokens.c.state == state)
            return list(connection.execute(of))

    def free_everything(self) -> None:
        with self.database.write() as connection:
            connection.execute(update(sessions).values(held_until=self.now))
