"""TeamAdmin: shows teams, and changes the limits that operators set for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from broker.limits.budget import Calendar
from broker.limits.policy import Policy
from broker.operators.errors import EditConflict, NotFound, OperatorError
from broker.operators.limits import checked_limits
from broker.principal import TEAM_ISSUER, TEAM_NAME, TEAM_NAME_RULE
from broker.settings import PriceList, Settings, Team
from broker.settings.amounts import amount, with_amounts
from broker.store.accounts.overrides import SqlOverrides, VersionConflict
from broker.store.database.engine import Database
from broker.store.ledger.spending import Spending
from broker.store.reporting.teams import SqlTeams, TeamRow

FIELDS = tuple(Team.model_fields)


class TeamAdmin:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        config = settings.config
        self._prices = PriceList(config.prices)
        self._policy = Policy(config.plans, config.project, config.teams)
        spending = Spending(self._prices, Calendar(config.project.time_zone))
        named = [name for name in config.teams if name != "default"]
        self._teams = SqlTeams(database, self._policy, spending, named)
        self._overrides = SqlOverrides(database)
        self._actor = actor

    def show(self, name: str) -> TeamRow:
        """Raises NotFound if there can be no such team."""
        return self._teams.find(checked_name(name))

    def page(
        self, *, query: str = "", after: str | None = None, limit: int | None = None
    ) -> Sequence[TeamRow]:
        return self._teams.page(query=query, after=after, limit=limit)

    def set(self, name: str, changes: Mapping[str, Any], *, version: int | None = None) -> TeamRow:
        """Change overrides. They apply to the next request of each member. None restores the settings' limit.

        With a `version`, raises EditConflict if the overrides have changed since that version.
        """
        name = checked_name(name)
        if not changes:
            raise OperatorError(f"nothing to set; name at least one of: {', '.join(FIELDS)}")
        checked = checked_limits(changes, Team(), has_prices=self._prices.currency is not None)
        try:
            self._overrides.set(TEAM_ISSUER, name, checked, actor=self._actor, version=version)
        except VersionConflict:
            raise EditConflict("the limits have changed since they were read; read them again") from None
        return self._teams.find(name)

    def clear(self, name: str, fields: Collection[str] = ()) -> TeamRow:
        """Remove the overrides in `fields`, or all of them."""
        return self.set(name, dict.fromkeys(fields or FIELDS))

    def facts(self, row: TeamRow) -> dict[str, Any]:
        """One team for operators, in commands and in the admin API. Amounts are decimal numbers as text."""
        currency = self._prices.currency
        spent = (row.spent.day_nanos, row.spent.month_nanos)
        today, month = (None if currency is None else amount(nanos) for nanos in spent)
        return {
            "name": row.name,
            "rule": row.limits.rule,
            "members": row.members,
            "open_sessions": row.usage.open,
            "minutes_today": row.usage.used_minutes,
            "minutes_month": -(-row.spent.month_seconds // 60),
            "cost_today": today,
            "cost_month": month,
            "currency": currency,
            "limits": with_amounts(row.limits.limits.model_dump()),
            "settings": with_amounts(self._policy.for_team(row.team).limits.model_dump()),
            "overrides": with_amounts({name: getattr(row.overrides, name) for name in FIELDS}),
            "version": row.version,
        }


def checked_name(name: str, *, field: str | None = None) -> str:
    """Raises NotFound for a name that no team can have, or OperatorError if it is the value of a `field`."""
    if TEAM_NAME.fullmatch(name) is not None:
        return name
    problem = f"{name!r} is not a valid name of a team: {TEAM_NAME_RULE}"
    raise NotFound(problem) if field is None else OperatorError(problem, field=field)
