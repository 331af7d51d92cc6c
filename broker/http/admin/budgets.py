"""Budgets as the routes of /admin answer them."""

from __future__ import annotations

import math
from typing import Literal, cast

from typing_extensions import TypedDict

from broker.limits.budget import Bound, bound_to_json
from broker.parts import parts

OwnerKind = Literal["user", "key", "team", "project"]


class BudgetShown(TypedDict):
    """Amounts are decimal numbers as text. Without a currency, `limit` and `used` are minutes."""

    policy: str
    limit: str | int
    used: str | int
    currency: str | None
    resets_at: str


class NearLimit(BudgetShown):
    """A budget that is used by 80 % or more. `key` names a user or a service key as in the other routes."""

    kind: OwnerKind
    key: str
    name: str
    percent: int


def budget_shown(bound: Bound) -> BudgetShown:
    return cast(BudgetShown, bound_to_json(bound))


def near_limits() -> list[NearLimit]:
    return [
        {
            "kind": cast(OwnerKind, one.kind),
            "key": one.key,
            "name": one.person.name if one.person else one.key,
            "percent": math.ceil(100 * one.share),
            **budget_shown(one.bound),
        }
        for one in parts().budgets.near_limits()
    ]
