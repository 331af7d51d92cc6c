"""SqlUsage: what happened in the last hour, day or week, in equal steps, for the people who run the broker.

Owns the arithmetic of the series; the rows are those that the ledger, the sign-ins and the clients' reports
left behind, so there is no counter that could drift from them. Each table is grouped by the database, in one
query; percentiles come from how often each whole millisecond occurs, which is exact and the same everywhere.

Tokens, refusals and minutes are of the whole step; open sessions are those that held a place in its first
second. A token's seconds belong to the step in which it was given out; those of an open session count as far
as they have passed.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from sqlalchemy import Connection, and_, bindparam, func, select, text

from broker.errors import CODES
from broker.sessions.session import SessionState, TokenState
from broker.store.database.engine import Database
from broker.store.database.tables import REFUSED, audit, principals, session_reports, sessions, tokens
from broker.store.ledger.quota_usage import HOLDS_PLACE
from broker.store.reporting.time_buckets import Steps, step_after, step_of, within

# Name of the range -> seconds of a step, number of steps.
RANGES: Mapping[str, tuple[int, int]] = {"hour": (60, 60), "day": (900, 96), "week": (7200, 84)}
PERCENTILES = (50, 95, 99)
MOST_USERS = 10
_NUMBER = "step_number"

_ISSUED = and_(tokens.c.state == TokenState.ISSUED, within(tokens.c.reserved_at))
_MINTS = (
    select(
        step_of(tokens.c.reserved_at).label(_NUMBER),
        tokens.c.mint_ms,
        func.count(),
        func.sum(tokens.c.seconds),
    )
    .where(_ISSUED)
    .group_by(_NUMBER, tokens.c.mint_ms)
)
_TALKERS = (
    select(tokens.c.principal_key, func.sum(tokens.c.seconds).label("seconds"))
    .where(_ISSUED)
    .group_by(tokens.c.principal_key)
    .order_by(func.sum(tokens.c.seconds).desc(), tokens.c.principal_key)
    .limit(bindparam("most"))
)
# What is charged and has not been talked yet. Only of sessions that are open: any other charge is final.
_UNSETTLED = (
    select(
        tokens.c.principal_key,
        step_of(tokens.c.reserved_at).label(_NUMBER),
        tokens.c.covers_from,
        tokens.c.seconds,
    )
    .join(sessions, sessions.c.id == tokens.c.session_id)
    .where(
        _ISSUED,
        tokens.c.expires_at > bindparam("now"),
        sessions.c.state == SessionState.OPEN,
        HOLDS_PLACE,
    )
)
_REFUSALS = (
    select(step_of(audit.c.at).label(_NUMBER), audit.c.outcome, func.count())
    .where(text(REFUSED), within(audit.c.at))
    .group_by(_NUMBER, audit.c.outcome)
)
_HELD = (
    select(
        step_after(sessions.c.opened_at).label("first"),
        step_after(sessions.c.held_until).label("after"),
        func.count(),
    )
    .where(sessions.c.held_until > bindparam("since"), sessions.c.opened_at < bindparam("until"))
    .group_by("first", "after")
)
_FIRST_AUDIO = session_reports.c.data["first_audio_ms"].as_integer().label("first_audio_ms")
_UNDERRUNS = func.sum(func.coalesce(session_reports.c.data["underruns"].as_integer(), 0))
_REPORTS = (
    select(_FIRST_AUDIO, func.count(), _UNDERRUNS)
    .where(within(session_reports.c.reported_at))
    .group_by("first_audio_ms")
)
_NAMES = select(principals).where(principals.c.key.in_(bindparam("keys", expanding=True)))

Percentiles = Mapping[str, float]
"""`p50`, `p95` and `p99`, in milliseconds."""


@dataclass(frozen=True)
class Point:
    at: datetime
    tokens: int
    refusals: Mapping[str, int]
    """By code."""
    mint_ms: Percentiles | None
    open_sessions: int
    seconds: int


@dataclass(frozen=True)
class Talker:
    key: str
    issuer: str
    subject: str
    seconds: int


@dataclass(frozen=True)
class Usage:
    steps: Steps
    points: Sequence[Point]
    mint_ms: Percentiles | None
    first_audio_ms: Percentiles | None
    underruns: int
    talkers: Sequence[Talker]
    """Who talked most, the longest first."""


class SqlUsage:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Usage]] = {}

    def of(self, name: str) -> Usage:
        """The range of that name, up to now, or up to a sixtieth of a step ago. Raises KeyError for no range.

        However many pages look on, a worker adds the rows of a range up once in that time.
        """
        keep_seconds = RANGES[name][0] / 60
        with self._lock:
            made_at, usage = self._kept.get(name, (-math.inf, None))
            if usage is None or time.monotonic() - made_at > keep_seconds:
                usage = self._of(name)
                self._kept[name] = (time.monotonic(), usage)
            return usage

    def _of(self, name: str) -> Usage:
        seconds, count = RANGES[name]
        with self._database.read() as connection:
            now = self._database.now(connection)
            steps = Steps.until_now(now, seconds, count)
            unsettled = _unsettled(connection, steps, now)
            mints, talked = _tokens(connection, steps, unsettled)
            refusals = _refusals(connection, steps)
            held = _held(connection, steps)
            first_audio, underruns = _reports(connection, steps)
            talkers = _talkers(connection, steps, unsettled)
        points = [
            Point(
                at=steps.start_of(number),
                tokens=mints[number].total(),
                refusals=refusals[number],
                mint_ms=percentiles(mints[number]),
                open_sessions=held[number],
                seconds=talked[number],
            )
            for number in range(count)
        ]
        all_mints = sum(mints.values(), Counter[int | None]())
        return Usage(steps, points, percentiles(all_mints), percentiles(first_audio), underruns, talkers)


def percentiles(occurrences: Mapping[int | None, int]) -> Percentiles | None:
    """Of whole numbers, given how often each occurs; None of none at all.

    Between two of them it is interpolated, as numpy and PostgreSQL's percentile_cont do.
    """
    counts = sorted((value, times) for value, times in occurrences.items() if value is not None)
    if not counts:
        return None
    ends = list(accumulate(times for _, times in counts))

    def at(place: float) -> float:
        below = counts[bisect_right(ends, math.floor(place))][0]
        above = counts[bisect_right(ends, math.ceil(place))][0]
        return below + (above - below) * (place - math.floor(place))

    return {f"p{percent}": at((ends[-1] - 1) * percent / 100) for percent in PERCENTILES}


@dataclass(frozen=True)
class _Unsettled:
    by_step: Counter[int]
    by_key: Counter[str]


def _unsettled(connection: Connection, steps: Steps, now: datetime) -> _Unsettled:
    left = _Unsettled(Counter(), Counter())
    for key, number, covers_from, seconds in connection.execute(_UNSETTLED, {**steps.values, "now": now}):
        talked = max(0, math.ceil((now - covers_from).total_seconds()))
        left.by_step[number] += max(0, seconds - talked)
        left.by_key[key] += max(0, seconds - talked)
    return left


def _tokens(
    connection: Connection, steps: Steps, unsettled: _Unsettled
) -> tuple[dict[int, Counter[int | None]], Counter[int]]:
    """By step: how many tokens took each number of milliseconds (None: not known), and seconds of talk."""
    mints: dict[int, Counter[int | None]] = defaultdict(Counter)
    talked: Counter[int] = Counter()
    for number, mint_ms, count, seconds in connection.execute(_MINTS, steps.values):
        mints[number][mint_ms] += count
        talked[number] += int(seconds)
    talked.subtract(unsettled.by_step)
    return mints, talked


def _refusals(connection: Connection, steps: Steps) -> dict[int, dict[str, int]]:
    refusals: dict[int, dict[str, int]] = defaultdict(dict)
    for number, outcome, count in connection.execute(_REFUSALS, steps.values):
        if outcome in CODES:
            refusals[number][outcome] = count
    return refusals


def _held(connection: Connection, steps: Steps) -> list[int]:
    changes = [0] * (steps.count + 1)
    for first, after, count in connection.execute(_HELD, steps.values):
        changes[min(max(first, 0), steps.count)] += count
        changes[min(max(after, 0), steps.count)] -= count
    return list(accumulate(changes[:-1]))


def _reports(connection: Connection, steps: Steps) -> tuple[Counter[int | None], int]:
    first_audio: Counter[int | None] = Counter()
    underruns = 0
    for milliseconds, count, of_these in connection.execute(_REPORTS, steps.values):
        first_audio[milliseconds] += count
        underruns += int(of_these)
    return first_audio, underruns


def _talkers(connection: Connection, steps: Steps, unsettled: _Unsettled) -> list[Talker]:
    # As many more as may lose their rank once what they have not talked yet is taken off.
    most = MOST_USERS + len(unsettled.by_key)
    charged = connection.execute(_TALKERS, {**steps.values, "most": most}).all()
    talked = Counter({key: int(seconds) - unsettled.by_key[key] for key, seconds in charged})
    longest = [(key, seconds) for key, seconds in talked.most_common(MOST_USERS) if seconds > 0]
    rows = connection.execute(_NAMES, {"keys": [key for key, _ in longest]})
    names = {row.key: row for row in rows}
    return [Talker(key, names[key].issuer, names[key].subject, seconds) for key, seconds in longest]
