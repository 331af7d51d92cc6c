"""What is spent, and whose budgets are nearly used, as the routes of /admin answer it."""

from __future__ import annotations

import math
from typing import Literal, cast

from flask import Blueprint
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from broker.http import guards
from broker.http.admin import lists
from broker.http.credentials import Caller
from broker.http.ratelimit import BudgetLeft, budgets_left
from broker.http.responses import operation
from broker.parts import parts
from broker.settings.amounts import NANOS, amount
from broker.store.reporting.budgets import OwnerKind, Spender

bp = Blueprint("budgets", __name__)

_CENT = NANOS // 100
_POSITION = TypeAdapter(tuple[lists.PositionNumber, lists.PositionText])


class NearLimit(BudgetLeft):
    """A budget that is used by 80 % or more. `key` names a user or a service key as in the other routes.

    A team has its name in `name`.
    """

    kind: Literal["user", "key", "team", "project"]
    key: str
    name: str
    percent: int


class ProjectSpent(TypedDict):
    """By the operator's time zone. `projected`: the whole month; null on its first day, or without prices."""

    currency: str | None
    today: str
    this_month: str
    projected: str | None
    budgets: list[BudgetLeft]


class SpendingQuery(lists.ListQuery):
    kind: OwnerKind = "user"


class SpenderShown(TypedDict):
    """`known` is false for a user that was removed."""

    key: str
    issuer: str
    subject: str
    name: str
    known: bool
    today: str
    this_month: str
    budgets: list[BudgetLeft]


class Spending(TypedDict):
    spending: list[SpenderShown]
    next: str | None


@bp.get("/spending")
@guards.require_operator
@operation("List who has spent most this month", query=SpendingQuery)
def list_spending(_caller: Caller) -> Spending:
    asked = lists.query(SpendingQuery)
    found = parts().budgets.spenders(asked.kind, after=asked.position(_POSITION), limit=asked.limit + 1)
    shown, following = lists.cut(found, asked.limit, lambda one: (one.rank, one.key))
    return {"spending": [_spender(one) for one in shown], "next": following}


def project_spent() -> ProjectSpent:
    spent = parts().budgets.of_project()
    has_prices = spent.currency is not None
    projected = None
    if spent.projected is not None and has_prices:
        projected = amount(-(-spent.projected // _CENT) * _CENT)
    return {
        "currency": spent.currency,
        "today": amount(spent.day),
        "this_month": amount(spent.month),
        "projected": projected,
        "budgets": budgets_left(spent.bounds),
    }


def near_limits() -> list[NearLimit]:
    return [
        {
            "kind": cast("Literal['user', 'key', 'team', 'project']", one.kind),
            "key": one.key,
            "name": one.name,
            "percent": math.ceil(100 * one.share),
            **budgets_left([one.bound])[0],
        }
        for one in parts().budgets.near_limits()
    ]


def _spender(one: Spender) -> SpenderShown:
    return {
        "key": one.key,
        "issuer": one.issuer,
        "subject": one.subject,
        "name": one.name,
        "known": one.known,
        "today": amount(one.day),
        "this_month": amount(one.month),
        "budgets": budgets_left(one.bounds),
    }
