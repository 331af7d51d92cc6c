"""What principals, teams and the project spend in each day and month, as sums that are kept.

A session's charge is what its tokens cost by their seconds, or what its client reported, whichever is more
(`sessions.cost`). It is kept in `sessions.spent_nanos`, and the sums change by the same amount in the same
transaction: when a token is reserved or void, and when a report or the end of the session settles it. All of
it counts in the day and the month in which the session was opened. A reservation that is never confirmed is
subtracted when the sums are read.

The rows of `spending` are changed after everything else of a transaction: those of the team, the
service key, the principal and the project, in this order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, text, update

from broker.limits.budget import Calendar, Spent, Tariff, bounds_of
from broker.limits.quota import PROJECT, Quotas, QuotaUsage, project_quota
from broker.sessions.cost import cost_of, time_nanos
from broker.sessions.session import Session, TokenState
from broker.settings import PriceList
from broker.store.database.statement import Query, Statement, Writes
from broker.store.database.tables import session_reports, sessions, tokens
from broker.store.ledger.quota_usage import DEAD, GRACE, counted, of_both, spent_query, timed

_OF_PROJECT = Statement(timed(spent_query(DEAD), "lapsed"))
_OF_PRINCIPAL = Statement(timed(spent_query(of_both(f"{DEAD} AND tokens.{{owner}} = :key")), "lapsed"))


def _sum(column: Any, *conditions: Any) -> Any:
    return (
        select(func.coalesce(func.sum(column), 0))
        .where(tokens.c.session_id == sessions.c.id, *conditions)
        .correlate(sessions)
        .scalar_subquery()
    )


_CHARGES = Query(
    select(
        sessions.c.model,
        sessions.c.opened_at,
        sessions.c.principal_key,
        sessions.c.acting_key,
        sessions.c.team_key,
        sessions.c.spent_on,
        sessions.c.spent_nanos,
        sessions.c.spent_seconds,
        _sum(tokens.c.seconds).label("seconds"),
        _sum(tokens.c.seconds, tokens.c.state == TokenState.ISSUED).label("issued_seconds"),
        _sum(tokens.c.nanos, tokens.c.state == TokenState.RESERVED).label("reserved_nanos"),
        session_reports.c.token_counts,
    )
    .select_from(sessions.outerjoin(session_reports, session_reports.c.session_id == sessions.c.id))
    .where(sessions.c.id == bindparam("session"))
)
_CHANGE = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(
        spent_on=bindparam("day"),
        spent_nanos=sessions.c.spent_nanos + bindparam("nanos"),
        spent_seconds=sessions.c.spent_seconds + bindparam("more"),
    )
)


@dataclass(frozen=True)
class Account:
    """Where the charges of one session go: the day on which it was opened, and what it has cost so far."""

    label: str
    tariff: Tariff

    def nanos_of(self, seconds: int) -> int:
        """What so many more seconds add to the charge of the session."""
        price = self.tariff.price
        if price is None:
            return 0
        return max(0, time_nanos(price, self.tariff.seconds + seconds) - self.tariff.nanos)


class Spending:
    """`calendar` says when days and months begin."""

    def __init__(self, prices: PriceList | None = None, calendar: Calendar | None = None) -> None:
        self._prices = prices or PriceList({})
        self._calendar = calendar or Calendar()

    def account(self, model: str | None, opened_at: datetime, session: Session | None = None) -> Account:
        """Of a session that is opened now, or of an existing one."""
        price = None if model is None else self._prices.at(model, opened_at)
        tariff = Tariff(price, self._prices.currency)
        if session is None or not session.spent_on:
            return Account(self._calendar.label_of(opened_at), tariff)
        return Account(
            session.spent_on, replace(tariff, nanos=session.spent_nanos, seconds=session.spent_seconds)
        )

    def bounded(self, usage: QuotaUsage, spent: Spent | None, account: Account) -> QuotaUsage:
        """The usage with what is left of the owner's budgets."""
        if spent is None:
            return usage
        periods = self._calendar.periods(account.label)
        return replace(usage, bounds=bounds_of(usage.quota.budget, spent, periods, account.tariff))

    def of_project(
        self, connection: Connection, quotas: Quotas, now: datetime, account: Account
    ) -> list[QuotaUsage]:
        """The project's budget as one more usage; none without a budget. Exact under the project's lock."""
        if not quotas.project_budget:
            return []
        usage = QuotaUsage(project_quota(quotas), now, 0, 0)
        return [self.bounded(usage, spent_of(connection, PROJECT, account.label, now), account)]

    def of_all(
        self, connection: Connection, quotas: Quotas, now: datetime, account: Account
    ) -> list[QuotaUsage]:
        """The usages of all owners of budgets, the project included."""
        own = [counted(connection, quota, now, label=account.label) for quota in quotas.of if quota.budget]
        return [
            *self.of_project(connection, quotas, now, account),
            *(self.bounded(one.usage, one.spent, account) for one in own),
        ]

    def settle(self, connection: Connection, session_id: str) -> None:
        """The charge of a session from its rows. Called under the locks of its owners."""
        (row,) = _CHARGES.rows(connection, {"session": session_id})
        if not row.spent_on:
            return  # it was opened before budgets were kept
        cost = cost_of(self._prices, row.model, row.opened_at, int(row.issued_seconds), row.token_counts)
        nanos = (cost.nanos if cost else 0) + int(row.reserved_nanos)
        with Writes(connection) as writes:
            change(
                writes,
                session_id,
                row.spent_on,
                (row.team_key, row.acting_key, row.principal_key),
                nanos - row.spent_nanos,
                int(row.seconds) - row.spent_seconds,
            )


def spent_of(connection: Connection, key: str, label: str, now: datetime) -> Spent:
    """What an owner has spent in the day with this label, and in its month."""
    values = {"key": key, "label": label, "month": label[:7], "lapsed": now - GRACE}
    statement = _OF_PROJECT if key == PROJECT else _OF_PRINCIPAL
    (sums,) = statement.run(connection, values)
    return Spent(*map(int, sums))


def change(
    writes: Writes, session_id: str, label: str, keys: tuple[str | None, ...], nanos: int, seconds: int
) -> None:
    """Add to the charge of a session and to all sums. Numbers may be negative."""
    if nanos or seconds:
        values = {"session": session_id, "day": label, "nanos": nanos, "more": seconds}
        writes.add(_CHANGE, values)
        add(writes, label, keys, nanos, seconds)


def add(writes: Writes, label: str, keys: tuple[str | None, ...], nanos: int, seconds: int) -> None:
    """Add to the sums of the day, the month, `keys` and the project."""
    owners = [key for key in keys if key is not None]
    values: dict[str, Any] = {f"key{number}": key for number, key in enumerate([*owners, PROJECT])}
    values |= {"today": label, "month": label[:7], "nanos": nanos, "seconds": seconds}
    writes.add(_add(len(owners) + 1), values)


@cache
def _add(owners: int) -> Statement:
    rows = ", ".join(
        f"(:key{number}, :{period}, :nanos, :seconds)"
        for number in range(owners)
        for period in ("today", "month")
    )
    return Statement(
        text(
            f"INSERT INTO spending (key, period, nanos, seconds) VALUES {rows} "  # noqa: S608 # nosec B608
            "ON CONFLICT (key, period) DO UPDATE SET nanos = spending.nanos + excluded.nanos, "
            "seconds = spending.seconds + excluded.seconds"
        )
    )
