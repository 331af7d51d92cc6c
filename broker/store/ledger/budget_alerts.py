"""Notes the thresholds of budgets that a charge reaches, and reports each of them once.

`budget_alerts` has a row for each threshold of an owner, a limit and a period. It is written in the
transaction of the charge, under the lock of the owner, and reported in the log and the metrics after the
commit. A row stays when a charge is given back, so no threshold is reported twice. Owners whose budgets are
less than half used cost no statement, and neither do those without a budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, func, or_, select

from broker.limits.budget import Bound, bound_to_json
from broker.limits.quota import PROJECT, Quota, QuotaUsage
from broker.principal import KEY_ISSUER, TEAM_ISSUER, Principal
from broker.sessions.token_window import TokenWindow
from broker.store.database.engine import Database
from broker.store.database.statement import Statement
from broker.store.database.sum_tables import budget_alerts
from broker.store.ledger.quota_usage import timed
from broker.store.ledger.spending import Account
from broker.telemetry.metrics import BUDGET_THRESHOLDS

_log = structlog.get_logger("broker.budgets")

_KINDS = {KEY_ISSUER: "key", TEAM_ISSUER: "team"}

_NOTED = Statement(
    select(budget_alerts.c.policy, func.max(budget_alerts.c.threshold))
    .where(
        budget_alerts.c.key == bindparam("owner"),
        or_(budget_alerts.c.period == bindparam("today"), budget_alerts.c.period == bindparam("this_month")),
    )
    .group_by(budget_alerts.c.policy)
)
_NOTE = Statement(
    timed(
        "INSERT INTO budget_alerts (key, period, policy, threshold, kind, used, size, at) "
        "VALUES (:key, :period, :policy, :threshold, :kind, :used, :size, :at) ON CONFLICT DO NOTHING",
        "at",
    )
)


def note_token(
    database: Database,
    connection: Connection,
    principal: Principal,
    usages: Iterable[QuotaUsage],
    account: Account,
    window: TokenWindow,
) -> None:
    """`usages` are those before the token with this window, of everyone whom it is charged to."""
    nanos, seconds = account.nanos_of(window.seconds), window.seconds
    charged = [usage.with_more(nanos, seconds) for usage in usages if usage.bounds]
    if charged:
        note_reached(database, connection, principal, charged, account.label, window.now)


def note_reached(
    database: Database,
    connection: Connection,
    principal: Principal,
    usages: Iterable[QuotaUsage],
    label: str,
    now: datetime,
) -> None:
    """The same for usages with the charge. `label`: the day on which it counts."""
    for usage in usages:
        reached = [bound for bound in usage.bounds if bound.reached]
        if not reached:
            continue
        values = {"owner": usage.quota.key, "today": label, "this_month": label[:7]}
        noted: dict[str, int] = dict(_NOTED.run(connection, values))
        kind, owner = _kind_and_owner(principal, usage.quota)
        for bound in reached:
            for threshold in bound.reached:
                if threshold <= noted.get(bound.policy, 0):
                    continue
                row = _row(usage.quota.key, kind, bound, threshold, now)
                if _NOTE.run(connection, row).changed:
                    act = partial(_report, kind, usage.quota.key, owner, bound, threshold)
                    database.after_commit(act)


def _row(key: str, kind: str, bound: Bound, threshold: int, now: datetime) -> dict[str, Any]:
    return {
        "key": key,
        "period": bound.period.label,
        "policy": bound.policy,
        "threshold": threshold,
        "kind": kind,
        "used": bound.used,
        "size": bound.limit,
        "at": now,
    }


def _kind_and_owner(principal: Principal, quota: Quota) -> tuple[str, str]:
    """One of `metrics.OWNER_KINDS`, and a name for people."""
    if quota.key == PROJECT:
        return "project", PROJECT
    owner = next(one for one in principal.charged if one.key == quota.key)
    return _KINDS.get(owner.issuer, "user"), f"{owner.issuer}:{owner.subject}"


def _report(kind: str, key: str, owner: str, bound: Bound, threshold: int) -> None:
    BUDGET_THRESHOLDS.labels(kind, str(threshold)).inc()
    shown = bound_to_json(bound)
    _log.warning(
        "budget_threshold",
        kind=kind,
        key=key,
        owner=owner,
        policy=bound.policy,
        period=bound.period.label,
        threshold=threshold,
        spent=shown["used"],
        limit=shown["limit"],
        currency=bound.currency,
    )
