"""The audit of a soak's limits: places, rates and minutes, replayed from the rows of the ledger."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from broker.sessions.session import TokenState
from tests.load.soak.journal import Edit, Journal, Limits
from tests.load.soak.ledger_audit import forgiven_of_a_day
from tests.load.soak.rows import Rows
from tests.load.soak.site import PROJECT_SESSIONS

_GRACE = timedelta(seconds=30)
# A request reads its limits, or is counted, at most this long before it reserves.
_SLACK_SECONDS = 12.0
Interval = tuple[datetime, datetime]


def audit_places(rows: Rows, journal: Journal) -> Iterator[str]:
    """Never more places at once than the limit. The intervals hold what is certain, not more."""
    everyone: list[Interval] = []
    of_one: dict[str, list[Interval]] = defaultdict(list)
    for session in rows.sessions.values():
        intervals = _held(session, rows.of_session[session.id])
        everyone += intervals
        of_one[session.principal_key] += intervals
        if session.acting_key:
            of_one[session.acting_key] += intervals
    for at, open_at_once in _counts(everyone):
        if open_at_once > PROJECT_SESSIONS:
            yield f"{open_at_once} sessions of the project at {at}"
    for key, intervals in of_one.items():
        edits = journal.limits.get(key)
        if edits is None:
            yield f"principal {key} is not one of ours"
            continue
        for at, open_at_once in _counts(intervals):
            most = max(limits.sessions for limits in in_force(edits, at.timestamp()))
            if open_at_once > most:
                yield f"principal {key} had {open_at_once} places at {at}; the limit was {most}"


def _held(session: Any, tokens: Iterable[Any]) -> list[Interval]:
    """When the session certainly held its place, as intervals that do not overlap.

    Each token holds it for its join window and the grace, unless the session ends. In a soak, that is longer
    than a token lives, so heartbeats add nothing.
    """
    found: list[Interval] = []
    for row in tokens:
        if row.state == TokenState.VOID and found:
            continue  # a renewal that failed: what it held was given back
        found.append((row.reserved_at, min(session.held_until, row.connect_by + _GRACE)))
    joined: list[Interval] = []
    for start, end in sorted(one for one in found if one[0] < one[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _counts(intervals: list[Interval]) -> Iterator[tuple[datetime, int]]:
    """At each start, how many hold a place, the new one included."""
    ends: list[datetime] = []
    for start, end in sorted(intervals):
        while ends and ends[0] <= start:
            heapq.heappop(ends)
        heapq.heappush(ends, end)
        yield start, len(ends)


def in_force(edits: list[Edit], at: float) -> list[Limits]:
    """The limits that a request which reserved at `at` may have read."""
    found = []
    for number, edit in enumerate(edits):
        following = next((later for later in edits[number + 1 :] if later.sure), None)
        if edit.began <= at and (following is None or following.ended + _SLACK_SECONDS >= at):
            found.append(edit.limits)
    return found


def audit_rates(rows: Rows, journal: Journal) -> Iterator[str]:
    """Never more tokens in a window than the rate, for new sessions and for renewals apart.

    The windows are shorter by the time that may pass between the count and the reservation. Those in which
    Redis lost its counters are left out.
    """
    for (key, is_new), times in _grants(rows).items():
        edits = journal.limits.get(key, [])
        times.sort()
        start = 0
        for number, at in enumerate(times):
            limits = in_force(edits, at)
            if not limits:
                continue
            most, window = max(one.rate for one in limits)
            earliest = at - (window - _SLACK_SECONDS)
            lost = [ended for began, ended in journal.lost_counters if earliest - window < began <= at]
            while times[start] <= max([earliest, *lost]) and start < number:
                start += 1
            if number - start + 1 > most:
                what = "new sessions" if is_new else "renewals"
                yield f"principal {key}: {number - start + 1} {what} within {window} s; the limit was {most}"


def _grants(rows: Rows) -> dict[tuple[str, bool], list[float]]:
    """When the requests with a token were counted, by principal and by whether they opened a session.

    A repeat that takes the place of a dead request is not counted again.
    """
    counted: dict[str, float] = {}
    for session in rows.sessions.values():
        name, at = session.client.get("version"), session.opened_at.timestamp()
        counted[name] = min(counted.get(name, at), at)
    granted: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for session_id, tokens in rows.of_session.items():
        for number, row in enumerate(tokens):
            if row.state == TokenState.ISSUED:
                name = rows.sessions[session_id].client.get("version")
                at = row.reserved_at.timestamp() if number else counted[name]
                for key in filter(None, (row.principal_key, row.acting_key)):
                    granted[key, number == 0].append(at)
    return granted


def audit_suspensions(rows: Rows, journal: Journal) -> Iterator[str]:
    """During a suspension, nothing is reserved for a request that began after it."""
    for row in rows.issued:
        wanted_at, at = journal.wanted_at.get(row.token_sha256, 0.0), row.reserved_at.timestamp()
        if any(began < min(wanted_at, at) and at < ended for began, ended in journal.suspensions):
            yield f"token {row.id} was granted during a suspension"


def audit_minutes(rows: Rows, journal: Journal) -> Iterator[str]:
    """Nobody is charged for more than the day's minutes; what is left of each token is within the session."""
    used: dict[tuple[str, Any], int] = defaultdict(int)
    for row in rows.tokens:
        session = rows.sessions[row.session_id]
        if row.expires_at > session.ends_at:
            yield f"token {row.id} outlives its session"
        if row.state != TokenState.RESERVED:
            day = row.reserved_at.date()
            for key in filter(None, (row.principal_key, row.acting_key)):
                used[key, day] += row.seconds
    for (key, day), seconds in used.items():
        if seconds > (most := journal.most_minutes(key)) * 60:
            yield f"principal {key} was charged {seconds} s on {day}; the limit is {most} minutes"


def audit_forgiven(rows: Rows, journal: Journal) -> Iterator[str]:
    """Nobody is forgiven more than the day's minutes, as no plan of a soak names another number."""
    for (key, day), seconds in forgiven_of_a_day(rows).items():
        if seconds > (most := journal.most_minutes(key)) * 60:
            yield f"principal {key} was forgiven {seconds} s on {day}; the limit is {most} minutes"
