"""The costs of the sessions that were opened within a range of time, in all and by principal.

They are computed from the rows of the ledger and the reports, with the prices in force, so no stored amount
can drift from them. A session costs from its first token on: seconds that are charged in advance are part of
its cost until its end gives them back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from broker.sessions.cost import cost_of
from broker.sessions.session import SessionState
from broker.settings import PriceList
from broker.settings.amounts import amount
from broker.store.database.tables import session_reports, sessions
from broker.store.ledger.usage_sums import ISSUED_SECONDS
from broker.store.reporting.time_buckets import TimeBuckets, within

_OPENED = (
    select(
        sessions.c.principal_key,
        sessions.c.model,
        sessions.c.opened_at,
        ISSUED_SECONDS,
        session_reports.c.token_counts,
        session_reports.c.set_aside.is_not(None),
    )
    .select_from(sessions.outerjoin(session_reports, session_reports.c.session_id == sessions.c.id))
    .where(within(sessions.c.opened_at), sessions.c.state.in_([SessionState.OPEN, SessionState.ENDED]))
)


@dataclass
class CostSum:
    """`nanos` is the sum over the sessions that have a price. `implausible`: reports that were set aside.

    `are_prices`: whether any model has a price.
    """

    are_prices: bool
    nanos: int = 0
    priced: int = 0
    unpriced: int = 0
    implausible: int = 0

    @property
    def amount(self) -> str | None:
        """The sum as a decimal number. None: unknown, because no session has a price."""
        is_known = self.priced > 0 if self.unpriced else self.are_prices
        return amount(self.nanos) if is_known else None

    def add(self, other: CostSum) -> None:
        self.nanos += other.nanos
        self.priced += other.priced
        self.unpriced += other.unpriced
        self.implausible += other.implausible


@dataclass(frozen=True)
class Costs:
    """`currency` is None if there are no prices."""

    currency: str | None
    total: CostSum
    by_key: Mapping[str, CostSum]
    """The principals that opened sessions, or for whom a service key did."""

    def of(self, key: str) -> CostSum:
        return self.by_key.get(key) or CostSum(self.currency is not None)


def costs_within(connection: Connection, buckets: TimeBuckets, prices: PriceList) -> Costs:
    are_prices = prices.currency is not None
    by_key: defaultdict[str, CostSum] = defaultdict(lambda: CostSum(are_prices))
    rows = connection.execute(_OPENED, buckets.parameters)
    for key, model, opened_at, seconds, counts, is_implausible in rows:
        of_key = by_key[key]
        cost = cost_of(prices, model, opened_at, int(seconds), counts)
        if cost is None:
            of_key.unpriced += 1
        else:
            of_key.priced += 1
            of_key.nanos += cost.nanos
        of_key.implausible += bool(is_implausible)
    total = CostSum(are_prices)
    for one in by_key.values():
        total.add(one)
    return Costs(prices.currency, total, by_key)
