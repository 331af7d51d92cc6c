"""SqlBudgets: what is spent in the operator's day and month, and whose budgets are nearly used.

The sums are those of `ledger.spending`, so operators read the amounts by which requests are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, and_, bindparam, or_, select

from broker.limits.budget import Bound, Budget, Calendar, Spent, Tariff, bounds_of
from broker.limits.policy import Policy, team_quota
from broker.limits.quota import PROJECT
from broker.principal import KEY_ISSUER, TEAM_ISSUER, Principal, team_named
from broker.store.accounts.overrides import OVERRIDES, overrides_of
from broker.store.database.engine import Database
from broker.store.database.sum_tables import budget_alerts, spending
from broker.store.database.tables import limits, principals
from broker.store.ledger.spending import spent_of
from broker.store.reporting.people import Person, SqlPeople

NEAR_PERCENT = 80
MOST_NEAR = 20

# The project's come first, then those that were reached last.
_REACHED = (
    select(
        budget_alerts.c.key,
        budget_alerts.c.kind,
        budget_alerts.c.policy,
        budget_alerts.c.period,
        budget_alerts.c.size,
    )
    .where(
        or_(budget_alerts.c.period == bindparam("today"), budget_alerts.c.period == bindparam("this_month")),
        budget_alerts.c.threshold >= NEAR_PERCENT,
    )
    .order_by((budget_alerts.c.key == PROJECT).desc(), budget_alerts.c.at.desc())
    .limit(bindparam("most"))
)


OwnerKind = Literal["user", "key", "team"]
"""Who has sums of their own, besides the project."""

_OF_KIND: dict[OwnerKind, ColumnElement[bool]] = {
    "user": principals.c.issuer.not_in([KEY_ISSUER, TEAM_ISSUER]),
    "key": principals.c.issuer == KEY_ISSUER,
    "team": principals.c.issuer == TEAM_ISSUER,
}
_TEAMS = (
    select(principals.c.key, principals.c.subject, *OVERRIDES)
    .select_from(principals.outerjoin(limits, limits.c.key == principals.c.key))
    .where(principals.c.issuer == TEAM_ISSUER, principals.c.key.in_(bindparam("keys", expanding=True)))
)
_SUMS = (
    select(spending.c.key, spending.c.nanos, principals.c.issuer, principals.c.subject)
    .join(principals, principals.c.key == spending.c.key)
    .where(spending.c.period == bindparam("this_month"), spending.c.nanos > 0)
    .order_by(spending.c.nanos.desc(), spending.c.key)
    .limit(bindparam("most"))
)


@dataclass(frozen=True)
class ProjectSpending:
    """In nanos. `projected`: for the whole month; None on its first day. `bounds`: the project's budgets."""

    currency: str | None
    day: int
    month: int
    projected: int | None
    bounds: tuple[Bound, ...]


@dataclass(frozen=True)
class Spender:
    """Nanos of today and of this month. `known` is false if it was removed. `rank`: its place in the list."""

    key: str
    issuer: str
    subject: str
    name: str
    known: bool
    day: int
    month: int
    bounds: tuple[Bound, ...]
    rank: int


@dataclass(frozen=True)
class NearLimit:
    kind: str
    key: str
    name: str
    bound: Bound

    @property
    def share(self) -> float:
        return self.bound.used / max(1, self.bound.limit)


class SqlBudgets:
    def __init__(
        self,
        database: Database,
        policy: Policy,
        calendar: Calendar,
        currency: str | None,
    ) -> None:
        self._database = database
        self._policy = policy
        self._calendar = calendar
        self._tariff = Tariff(None, currency)

    def of_project(self) -> ProjectSpending:
        with self._database.read() as connection:
            now = self._database.now(connection)
            label = self._calendar.label_of(now)
            spent = spent_of(connection, PROJECT, label, now)
        return ProjectSpending(
            self._tariff.currency,
            spent.day_nanos,
            spent.month_nanos,
            self._calendar.projected(spent.month_nanos, now),
            self.bounds(self._policy.project_budget, spent, label),
        )

    def spenders(self, kind: OwnerKind, *, after: tuple[int, str] | None = None, limit: int) -> list[Spender]:
        """Those who have spent most this month first; `after` is the rank and the key of one."""
        query = _SUMS.where(_OF_KIND[kind])
        if after is not None:
            nanos, key = after
            same = and_(spending.c.nanos == nanos, spending.c.key > key)
            query = query.where(or_(spending.c.nanos < nanos, same))
        with self._database.read() as connection:
            now = self._database.now(connection)
            label = self._calendar.label_of(now)
            rows = connection.execute(query, {"this_month": label[:7], "most": limit}).all()
            spent = {row.key: spent_of(connection, row.key, label, now) for row in rows}
        owners = self._owners(spent)
        return [
            Spender(
                row.key,
                row.issuer,
                row.subject,
                owners[row.key].name if row.key in owners else row.subject,
                row.key in owners,
                spent[row.key].day_nanos,
                spent[row.key].month_nanos,
                self.bounds(self.budget_of(row.key, owners.get(row.key)), spent[row.key], label),
                row.nanos,
            )
            for row in rows
        ]

    def near_limits(self) -> list[NearLimit]:
        """Budgets used by 80 % or more now: those of the project, then the fullest. At most `MOST_NEAR`."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            label = self._calendar.label_of(now)
            values = {"today": label, "this_month": label[:7], "most": 2 * MOST_NEAR}
            rows = connection.execute(_REACHED, values).all()
        if not rows:
            return []
        owners = self._owners({row.key for row in rows})
        found: dict[tuple[str, str], NearLimit] = {}
        with self._database.read() as connection:
            spent = {row.key: spent_of(connection, row.key, label, now) for row in rows}
        for row in rows:
            if (row.key, row.policy) not in found:  # the last alert comes first
                owner = owners.get(row.key)
                bound = self._bound(row.key, row.policy, owner, spent[row.key], label, row.size)
                if bound is not None and bound.used * 100 >= bound.limit * NEAR_PERCENT:
                    name = row.key if owner is None else owner.name
                    found[row.key, row.policy] = NearLimit(row.kind, row.key, name, bound)
        first = sorted(found.values(), key=lambda one: (one.key != PROJECT, -one.share))
        return first[:MOST_NEAR]

    def bounds(self, budget: Budget, spent: Spent, label: str) -> tuple[Bound, ...]:
        return bounds_of(budget, spent, self._calendar.periods(label), self._tariff)

    def _bound(
        self, key: str, policy: str, owner: Person | Principal | None, spent: Spent, label: str, size: int
    ) -> Bound | None:
        """The limit as it is now. Where only a credential names the plan, as it was at the last alert."""
        budget = self.budget_of(key, owner)
        for bound in self.bounds(budget, spent, label):
            if bound.policy == policy:
                return bound
        if key == PROJECT or (owner is not None and owner.plan is not None):
            return None  # it was removed
        day, month = self._calendar.periods(label)
        is_minutes = policy == "minutes_per_month"
        used = spent.month_seconds if is_minutes else spent.month_nanos
        if policy == "budget_per_day":
            used = spent.day_nanos
        currency = None if is_minutes else self._tariff.currency
        return Bound(policy, size, used, currency, day if policy == "budget_per_day" else month, 0)

    def budget_of(self, key: str, owner: Person | Principal | None) -> Budget:
        """`owner`: as `_owners` has it."""
        if key == PROJECT:
            return self._policy.project_budget
        if owner is None:
            return Budget()
        if isinstance(owner, Principal):
            return team_quota(self._policy.for_team(owner)).budget
        principal = Principal(owner.issuer, owner.subject, owner.name, owner.plan or "default")
        return self._policy.for_principal(principal.with_overrides(owner.overrides)).quotas.of[-1].budget

    def _owners(self, keys: Iterable[str]) -> dict[str, Person | Principal]:
        """Those that the broker knows. A team is a principal, with its overrides."""
        found: dict[str, Person | Principal] = {one.key: one for one in SqlPeople(self._database).of(keys)}
        with self._database.read() as connection:
            for row in connection.execute(_TEAMS, {"keys": list(keys)}):
                found[row.key] = team_named(row.subject).with_overrides(overrides_of(row))
        return found
