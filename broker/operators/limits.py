"""LimitAdmin: shows and changes the limits of single principals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from broker.limits.policy import Policy
from broker.net.plain_faults import plain
from broker.operators.errors import EditConflict, OperatorError
from broker.operators.principals import Principals
from broker.principal import NO_OVERRIDES, OWN_ISSUER, Overrides, Principal
from broker.settings import Plan, Settings, Team
from broker.settings.amounts import BUDGETS
from broker.store.accounts.overrides import SqlOverrides, VersionConflict
from broker.store.database.engine import Database
from broker.store.reporting.people import Person

FIELDS = tuple(vars(NO_OVERRIDES))


@dataclass(frozen=True)
class EffectiveLimits:
    """The limits that apply to one principal, and the operator's overrides among them."""

    rule: str
    plan_name: str
    plan: Plan
    overrides: Overrides


class LimitAdmin:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        config = settings.config
        self._plans = config.plans
        self._has_prices = bool(config.prices)
        self._policy = Policy(config.plans, config.project)
        self._principals = Principals(settings, database)
        self._overrides = SqlOverrides(database)
        self._actor = actor

    def show(self, subject: str, issuer: str = OWN_ISSUER) -> EffectiveLimits:
        """The plan of another issuer's principal is in its credentials, so `default` stands in for it."""
        principal = self._principals.find(subject, issuer)
        return self._effective(principal, self._overrides.find(principal.key))

    def set(
        self,
        subject: str,
        changes: Mapping[str, Any],
        issuer: str = OWN_ISSUER,
        *,
        version: int | None = None,
    ) -> EffectiveLimits:
        """Change overrides. They apply to the next request, on every worker. None restores the plan's limit.

        With a `version`, raises EditConflict if the overrides have changed since that version.
        """
        principal = self._principals.find(subject, issuer)
        if not changes:
            raise OperatorError(f"nothing to set; name at least one of: {', '.join(FIELDS)}")
        plan = changes.get("plan")
        if plan is not None and plan not in self._plans:
            choices = ", ".join(sorted(self._plans))
            raise OperatorError(f"there is no plan {plan!r}; choose one of: {choices}", field="plan")
        limits = {name: value for name, value in changes.items() if name != "plan"}
        checked = checked_limits(limits, self._plans["default"], has_prices=self._has_prices)
        changes = {**changes, **checked}
        try:
            overrides = self._overrides.set(
                issuer, principal.subject, changes, actor=self._actor, version=version
            )
        except VersionConflict:
            raise EditConflict("the limits have changed since they were read; read them again") from None
        return self._effective(principal, overrides)

    def clear(self, subject: str, fields: Collection[str] = (), issuer: str = OWN_ISSUER) -> EffectiveLimits:
        """Remove the overrides in `fields`, or all of them."""
        principal = self._principals.find(subject, issuer)
        cleared = dict.fromkeys(fields or FIELDS)
        overrides = self._overrides.set(issuer, principal.subject, cleared, actor=self._actor)
        return self._effective(principal, overrides)

    def of_person(self, person: Person) -> EffectiveLimits:
        """The limits of a person whose overrides were read with it."""
        principal = Principal(person.issuer, person.subject, person.name, person.plan or "default")
        return self._effective(principal, person.overrides)

    def _effective(self, principal: Principal, overrides: Overrides) -> EffectiveLimits:
        overridden = principal.with_overrides(overrides)
        applied = self._policy.for_principal(overridden)
        return EffectiveLimits(applied.rule, overridden.plan, applied.plan, overrides)


def checked_limits(changes: Mapping[str, Any], shape: Plan | Team, *, has_prices: bool) -> dict[str, Any]:
    """Apply the rules for broker.toml: a value that passes here must never fail a request.

    `shape` has the limits that may be set. Amounts of budgets are decimal numbers as text. They are returned
    in millionths.
    """
    limits = {name: value for name, value in changes.items() if value is not None}
    written = {name: _number(value) if name in BUDGETS else value for name, value in limits.items()}
    try:
        checked = type(shape).model_validate({**shape.model_dump(exclude={*BUDGETS}), **written})
    except ValidationError as error:
        (first, *_) = error.errors()
        field = str(first["loc"][0])
        raise OperatorError(f"{field}: {plain(first)}", field=field) from None
    if len(str(changes.get("rate", ""))) > 255:
        raise OperatorError("rate: must have at most 255 characters", field="rate")
    name = next((name for name in BUDGETS if name in limits), None)
    if name is not None and not has_prices:
        raise OperatorError(f"{name}: needs [prices] in broker.toml", field=name)
    return {**changes, **{name: getattr(checked, name) for name in limits}}


def _number(text: Any) -> Any:
    """A Decimal, or what cannot be one as it is."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text
