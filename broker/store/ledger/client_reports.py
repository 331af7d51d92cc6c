"""SqlReports: what clients report about their sessions, one row for each.

Token counts raise the cost of a session (`sessions.cost`), and budgets depend on that; no other limit does.
Counts that cannot be true are set aside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from broker.errors import Refusal
from broker.limits.quota import Quotas
from broker.principal import Principal
from broker.sessions.session import SessionState
from broker.sessions.token_counts import counts_in, greater, problems
from broker.store.database.engine import Database
from broker.store.database.tables import session_reports
from broker.store.ledger import places
from broker.store.ledger.budget_alerts import note_reached
from broker.store.ledger.locks import lock_owners, lock_session
from broker.store.ledger.own_sessions import own_session
from broker.store.ledger.spending import Spending

# The last report is sent when a session is over, perhaps by a page that had lost its network.
ACCEPTED_AFTER_END = timedelta(minutes=10)
APART = timedelta(seconds=1)

_LAST = select(session_reports).where(session_reports.c.session_id == bindparam("session"))
_REPLACE = (
    update(session_reports)
    .where(session_reports.c.session_id == bindparam("session"))
    .values(
        reported_at=bindparam("at"),
        data=bindparam("new_data"),
        token_counts=bindparam("new_counts"),
        set_aside=bindparam("new_set_aside"),
    )
)


class SqlReports:
    def __init__(self, database: Database, spending: Spending | None = None) -> None:
        """Without `spending`, nothing has a price."""
        self._database = database
        self._spending = spending or Spending()

    def put(
        self, principal: Principal, session_id: str, data: Mapping[str, int], quotas: Quotas | None = None
    ) -> Mapping[str, int] | None:
        """Replace the previous report by `data` and return the previous one.

        `quotas` are those of the session's owner: the report may reach a threshold of a budget. Returns None,
        and keeps the previous report, if that is less than 1 s old. Refuses `session-unknown`, and
        `session-ended` if the session has been over for more than ten minutes.
        """
        with self._database.write() as connection:
            session = own_session(connection, principal, session_id)
            lock_owners(self._database, connection, session_id)
            if quotas is not None and quotas.project_budget:
                places.lock(self._database, connection)
            # Two reports at once must not overwrite each other's counts.
            lock_session(self._database, connection, session_id)
            now = self._database.now(connection)
            over_at = session.ends_at
            if session.state is SessionState.ENDED and session.ended_at is not None:
                over_at = min(over_at, session.ended_at)
            if now > over_at + ACCEPTED_AFTER_END:
                raise Refusal("session-ended", "The session ended too long ago.")
            last = connection.execute(_LAST, {"session": session_id}).one_or_none()
            if last is not None and last.reported_at <= now < last.reported_at + APART:
                return None
            elapsed = math.ceil((min(now, over_at) - session.opened_at).total_seconds())
            counted, set_aside = _judged(data, elapsed, last)
            if last is None:
                new = {"session_id": session_id, "reported_at": now, "data": dict(data)}
                new |= {"token_counts": counted, "set_aside": set_aside}
                connection.execute(self._database.insert_or_ignore(session_reports), new)
            else:
                values = {"session": session_id, "at": now, "new_data": dict(data)}
                values |= {"new_counts": counted, "new_set_aside": set_aside}
                connection.execute(_REPLACE, values)
            if counted != (last.token_counts if last else None):
                self._spending.settle(connection, session_id)
                if quotas is not None and session.spent_on:
                    account = self._spending.account(session.model, session.opened_at, session)
                    usages = self._spending.of_all(connection, quotas, now, account)
                    owner = session.owner(principal)
                    note_reached(self._database, connection, owner, usages, account.label, now)
            previous: Mapping[str, int] = last.data if last else {}
            return previous


def _judged(
    data: Mapping[str, int], elapsed_seconds: int, last: Row[Any] | None
) -> tuple[dict[str, int] | None, dict[str, Any] | None]:
    """The new `token_counts` and `set_aside`: a report changes one of the two, or none."""
    counted, set_aside = (None, None) if last is None else (last.token_counts, last.set_aside)
    counts = counts_in(data)
    if found := problems(counts, elapsed_seconds):
        return counted, {"problems": list(found), "counts": dict(counts)}
    if counts:
        counted = dict(greater(counted or {}, counts))
    return counted, set_aside
