"""The tables of sums: `usage_days` for exports, `spending` and `budget_alerts` for budgets, `day_sums` for
minutes per day.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from broker.sessions.token_counts import NAMES
from broker.store.database.column_types import UtcDateTime
from broker.store.database.tables import metadata

DIMENSIONS = ("principal_key", "day", "service_key", "profile", "model", "code", "team")
SUMS = ("sessions", "seconds", *NAMES, "nanos", "unpriced", "refusals")
# What was used, by the day (UTC) on which a session was opened or a request was refused. Each session and
# each refusal is in one row; `code` is empty in rows of sessions. `service_key` is the id of the key that
# acted, or empty; `team` is the name of the team, or empty; `principal_key` is empty for callers who are not
# known. `nanos` leaves out the unpriced sessions. `ledger.usage_sums` keeps them. There is no index on the
# day: a database would choose it for each page of an export by user, and read all days of all users for
# each.
usage_days = Table(
    "usage_days",
    metadata,
    Column("principal_key", String(40), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("service_key", String(32), primary_key=True),
    Column("profile", String(64), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("code", String(32), primary_key=True),
    Column("team", String(64), primary_key=True, server_default=""),
    *(Column(name, BigInteger, nullable=False) for name in SUMS),
)

# For each owner (the key of a principal or team, or "project") and each day or month of the operator (such as
# 2026-11-30 or 2026-11): the sums over the sessions that were opened in it. See `ledger.spending`.
spending = Table(
    "spending",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("nanos", BigInteger, nullable=False),
    Column("seconds", BigInteger, nullable=False),
)

# For each principal or team and each day (such as 2026-11-30): the sums over the tokens that were reserved on
# that day. Each statement that changes `seconds` or `forgiven` of a token changes these in the same
# transaction.
day_sums = Table(
    "day_sums",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("seconds", BigInteger, nullable=False),
    Column("forgiven", BigInteger, nullable=False),
)

# The thresholds of budgets that an owner (see `spending`) has reached in a day or a month. `policy` is the
# name of the limit. `used` and `size` are what was used of how much at that moment, in nanos or in seconds.
# `kind` is one of `metrics.OWNER_KINDS`.
budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("policy", String(32), primary_key=True),
    Column("threshold", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
