"""SqlUsage: tokens, refusals, latencies, sessions and minutes of the last hour, day or week, in buckets.

The series are computed from the rows that the ledger, the sign-ins and the clients' reports leave, so no
counter can drift from them. The database groups each table in one query. Percentiles are computed from how
often each whole millisecond occurs, which is exact and the same on every database.

Tokens, refusals and minutes belong to the whole bucket. `open_sessions` counts those that held a place in its
first second; in the last bucket, those that hold one now. The seconds of a token belong to the bucket in
which it was reserved. All of them are charged. While a session is open, only those that have passed count as
talked.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from sqlalchemy import Connection, and_, bindparam, func, select, text

from broker.errors import CODES
from broker.sessions.session import SessionState, TokenState
from broker.settings import PriceList
from broker.store.database.engine import Database
from broker.store.database.tables import REFUSED, audit, principals, session_reports, sessions, tokens
from broker.store.ledger.quota_usage import HOLDS_PLACE, times
from broker.store.reporting.costs import Costs, CostSum, costs_within
from broker.store.reporting.percentiles import Percentiles, percentiles
from broker.store.reporting.time_buckets import TimeBuckets, bucket_after, bucket_of, within

# Name of the range -> seconds of a bucket, number of buckets.
RANGES: Mapping[str, tuple[int, int]] = {"hour": (60, 60), "day": (900, 96), "week": (7200, 84)}
MOST_USERS = 10
_NUMBER = "bucket_number"

_ISSUED = and_(tokens.c.state == TokenState.ISSUED, within(tokens.c.reserved_at))
_MINTS = (
    select(
        bucket_of(tokens.c.reserved_at).label(_NUMBER),
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
# Charged seconds that have not passed yet. Only open sessions have them: any other charge is final.
_UNSETTLED = (
    select(
        tokens.c.principal_key,
        bucket_of(tokens.c.reserved_at).label(_NUMBER),
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
    select(bucket_of(audit.c.at).label(_NUMBER), audit.c.outcome, func.sum(audit.c.times))
    .where(text(REFUSED), within(audit.c.at))
    .group_by(_NUMBER, audit.c.outcome)
)
_HELD = (
    select(
        bucket_after(sessions.c.opened_at).label("first"),
        bucket_after(sessions.c.held_until).label("after"),
        func.count(),
    )
    .where(sessions.c.held_until > bindparam("since"), sessions.c.opened_at < bindparam("until"))
    .group_by("first", "after")
)
_HELD_NOW = select(func.count()).select_from(sessions).where(HOLDS_PLACE)
_FIRST_AUDIO = session_reports.c.data["first_audio_ms"].as_integer().label("first_audio_ms")
_UNDERRUNS = func.sum(func.coalesce(session_reports.c.data["underruns"].as_integer(), 0))
_REPORTS = (
    select(_FIRST_AUDIO, func.count(), _UNDERRUNS)
    .where(within(session_reports.c.reported_at))
    .group_by("first_audio_ms")
)
_ANSWER = session_reports.c.data["speech_end_to_audio_ms"].as_integer().label("answer_ms")
_ANSWERS = (
    select(bucket_of(session_reports.c.reported_at).label(_NUMBER), _ANSWER, func.count())
    .where(within(session_reports.c.reported_at))
    .group_by(_NUMBER, "answer_ms")
)
_NAMES = select(principals).where(principals.c.key.in_(bindparam("keys", expanding=True)))


@dataclass(frozen=True)
class Point:
    """One bucket. `refusals` are counted by code, the others with `_ms` in milliseconds.

    `answer_ms` is the time from the end of speech to the sound of the answer, as clients report it: that of
    the last answer of each session. `charged_seconds` include those of open sessions that have not passed
    yet; `seconds`, the time talked, do not.
    """

    at: datetime
    tokens: int
    refusals: Mapping[str, int]
    mint_ms: Percentiles | None
    answer_ms: Percentiles | None
    open_sessions: int
    seconds: int
    charged_seconds: int


@dataclass(frozen=True)
class Talker:
    key: str
    issuer: str
    subject: str
    seconds: int
    charged_seconds: int
    cost: CostSum


@dataclass(frozen=True)
class Usage:
    """`talkers` are the principals who talked longest, in that order.

    `costs` are those of the sessions that were opened within the range.
    """

    buckets: TimeBuckets
    points: Sequence[Point]
    mint_ms: Percentiles | None
    first_audio_ms: Percentiles | None
    answer_ms: Percentiles | None
    underruns: int
    talkers: Sequence[Talker]
    costs: Costs


class SqlUsage:
    def __init__(self, database: Database, prices: PriceList) -> None:
        self._database = database
        self._prices = prices
        self._lock = threading.Lock()
        self._cached: dict[str, tuple[float, Usage]] = {}

    def of(self, name: str) -> Usage:
        """The range called `name`, up to now or up to a sixtieth of a bucket ago. Raises KeyError.

        Within that time a worker computes a range once, however many pages ask for it.
        """
        lifetime_seconds = RANGES[name][0] / 60
        with self._lock:
            made_at, usage = self._cached.get(name, (-math.inf, None))
            if usage is None or time.monotonic() - made_at > lifetime_seconds:
                usage = self._of(name)
                self._cached[name] = (time.monotonic(), usage)
            return usage

    def _of(self, name: str) -> Usage:
        seconds, count = RANGES[name]
        with self._database.read() as connection:
            now = self._database.now(connection)
            buckets = TimeBuckets.until_now(now, seconds, count)
            unsettled = _unsettled(connection, buckets, now)
            mints, charged = _tokens(connection, buckets)
            refusals = _refusals(connection, buckets)
            held = _held(connection, buckets, now)
            first_audio, underruns = _reports(connection, buckets)
            answers = _answers(connection, buckets)
            costs = costs_within(connection, buckets, self._prices)
            talkers = _talkers(connection, buckets, unsettled, costs)
        points = [
            Point(
                at=buckets.start_of(number),
                tokens=mints[number].total(),
                refusals=refusals[number],
                mint_ms=percentiles(mints[number]),
                answer_ms=percentiles(answers[number]),
                open_sessions=held[number],
                seconds=charged[number] - unsettled.by_bucket[number],
                charged_seconds=charged[number],
            )
            for number in range(count)
        ]
        return Usage(
            buckets,
            points,
            mint_ms=percentiles(_all(mints)),
            first_audio_ms=percentiles(first_audio),
            answer_ms=percentiles(_all(answers)),
            underruns=underruns,
            talkers=talkers,
            costs=costs,
        )


def _all(buckets: Mapping[int, Counter[int | None]]) -> Counter[int | None]:
    return sum(buckets.values(), Counter[int | None]())


@dataclass(frozen=True)
class _Unsettled:
    by_bucket: Counter[int]
    by_key: Counter[str]


def _unsettled(connection: Connection, buckets: TimeBuckets, now: datetime) -> _Unsettled:
    unsettled = _Unsettled(Counter(), Counter())
    parameters = {**buckets.parameters, "now": now}
    for key, number, covers_from, seconds in connection.execute(_UNSETTLED, parameters):
        talked = max(0, math.ceil((now - covers_from).total_seconds()))
        unsettled.by_bucket[number] += max(0, seconds - talked)
        unsettled.by_key[key] += max(0, seconds - talked)
    return unsettled


def _tokens(
    connection: Connection, buckets: TimeBuckets
) -> tuple[dict[int, Counter[int | None]], Counter[int]]:
    """Per bucket: how many tokens took how many milliseconds (None: unknown), and the charged seconds."""
    mints: dict[int, Counter[int | None]] = defaultdict(Counter)
    charged: Counter[int] = Counter()
    for number, mint_ms, count, seconds in connection.execute(_MINTS, buckets.parameters):
        mints[number][mint_ms] += count
        charged[number] += int(seconds)
    return mints, charged


def _refusals(connection: Connection, buckets: TimeBuckets) -> dict[int, dict[str, int]]:
    refusals: dict[int, dict[str, int]] = defaultdict(dict)
    for number, outcome, count in connection.execute(_REFUSALS, buckets.parameters):
        if outcome in CODES:
            refusals[number][outcome] = int(count)
    return refusals


def _held(connection: Connection, buckets: TimeBuckets, now: datetime) -> list[int]:
    changes = [0] * (buckets.count + 1)
    for first, after, count in connection.execute(_HELD, buckets.parameters):
        changes[min(max(first, 0), buckets.count)] += count
        changes[min(max(after, 0), buckets.count)] -= count
    held = list(accumulate(changes[:-1]))
    held[-1] = connection.execute(_HELD_NOW, times(now)).scalar_one()
    return held


def _reports(connection: Connection, buckets: TimeBuckets) -> tuple[Counter[int | None], int]:
    first_audio: Counter[int | None] = Counter()
    underruns = 0
    for milliseconds, count, of_these in connection.execute(_REPORTS, buckets.parameters):
        first_audio[milliseconds] += count
        underruns += int(of_these)
    return first_audio, underruns


def _answers(connection: Connection, buckets: TimeBuckets) -> dict[int, Counter[int | None]]:
    answers: dict[int, Counter[int | None]] = defaultdict(Counter)
    for number, milliseconds, count in connection.execute(_ANSWERS, buckets.parameters):
        answers[number][milliseconds] += count
    return answers


def _talkers(
    connection: Connection, buckets: TimeBuckets, unsettled: _Unsettled, costs: Costs
) -> list[Talker]:
    # Subtracting unsettled seconds can lower the rank of that many principals, so read that many more.
    most = MOST_USERS + len(unsettled.by_key)
    charged = connection.execute(_TALKERS, {**buckets.parameters, "most": most}).all()
    charged_of = {key: int(seconds) for key, seconds in charged}
    talked = Counter({key: seconds - unsettled.by_key[key] for key, seconds in charged_of.items()})
    longest = [(key, seconds) for key, seconds in talked.most_common(MOST_USERS) if seconds > 0]
    rows = connection.execute(_NAMES, {"keys": [key for key, _ in longest]})
    names = {row.key: row for row in rows}
    return [
        Talker(key, names[key].issuer, names[key].subject, seconds, charged_of[key], costs.of(key))
        for key, seconds in longest
    ]
