"""Rounds: every service under every load, in turns, and the medians over the rounds."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.load.bench.callers import Result
from tests.load.bench.cost import cpu_seconds, memory_mb, used_since
from tests.load.bench.stage import Service, Stage


@dataclass(frozen=True)
class Cell:
    """One load. 256 callers need longer than one until their requests no longer arrive in one moment."""

    callers: int
    upstream_ms: int
    seconds: float
    settle_seconds: float


def cell(callers: int, upstream_ms: int, scale: float = 1.0) -> Cell:
    seconds, settle = (1.2, 0.6) if callers > 32 else (1.0, 0.25)
    return Cell(callers, upstream_ms, seconds * scale, settle * scale)


@dataclass(frozen=True)
class Row:
    """Medians over the rounds; `errors` is the sum. Times in ms, above the upstream's; CPU per token."""

    service: str
    open_sessions: int
    callers: int
    upstream_ms: int
    per_second: float
    of_possible: float
    p50_above: float
    p99_above: float
    cpu_ms: float
    database_cpu_ms: float
    memory_mb: float
    errors: int
    rounds: int


@dataclass(frozen=True)
class _Measured:
    result: Result
    cpu_ms: float
    database_cpu_ms: float
    memory_mb: float


def measure(stage: Stage, service: Service, load: Cell) -> _Measured:
    before, database_before = cpu_seconds(service.pids), cpu_seconds(service.database_pids())
    result = stage.load(service, load.callers, load.seconds, load.settle_seconds)
    used = used_since(before, service.pids)
    database_used = used_since(database_before, service.database_pids())
    if result.errors:
        print(f"{service.name}: {result.errors} errors, first {result.first_error}", file=sys.stderr)
    each = 1000 / max(1, result.sent - result.errors)
    return _Measured(result, used * each, database_used * each, memory_mb(service.pids))


def run(stage: Stage, services: Sequence[Service], loads: Sequence[Cell], rounds: int) -> list[Row]:
    """The upstream alone, asked by the same callers, says how many tokens a second are possible."""
    found: dict[tuple[Cell, str, int], list[_Measured]] = {}
    turns = [stage.upstream, *services]
    _warm_up(stage, turns)
    for _ in range(rounds):
        for load in loads:
            stage.delay(load.upstream_ms / 1000)
            for service in _under(load, turns):
                found.setdefault((load, *service.key), []).append(measure(stage, service, load))
        turns = turns[1:] + turns[:1]
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    rows = []
    for load in loads:
        possible = statistics.median(one.result.per_second for one in found[load, *stage.upstream.key])
        rows += [
            _row(service, load, found[load, *service.key], possible)
            for service in _under(load, [stage.upstream, *services])
        ]
    return rows


def _under(load: Cell, services: Sequence[Service]) -> list[Service]:
    return [service for service in services if load.callers <= service.most_callers]


def _warm_up(stage: Stage, services: Sequence[Service]) -> None:
    """Every worker opens its connections and loads the SDK. Refusals of a cold process do not count."""
    stage.delay(0)
    for service in services:
        for callers in (4, min(64, service.most_callers)):
            stage.load(service, callers, 0.4, 0)


def _row(service: Service, load: Cell, rounds: Sequence[_Measured], possible: float) -> Row:
    # A round in which no request ended within the measured time has no times.
    timed = [one.result for one in rounds if one.result.p99_ms]
    p50 = statistics.median([one.p50_ms for one in timed] or [math.nan])
    p99 = statistics.median([one.p99_ms for one in timed] or [math.nan])
    per_second = statistics.median([one.result.per_second for one in rounds])
    return Row(
        service=service.name,
        open_sessions=service.open_sessions,
        callers=load.callers,
        upstream_ms=load.upstream_ms,
        per_second=per_second,
        of_possible=per_second / possible if possible else 0.0,
        p50_above=p50 - load.upstream_ms,
        p99_above=p99 - load.upstream_ms,
        cpu_ms=statistics.median([one.cpu_ms for one in rounds]),
        database_cpu_ms=statistics.median([one.database_cpu_ms for one in rounds]),
        memory_mb=statistics.median([one.memory_mb for one in rounds]),
        errors=sum(one.result.errors for one in rounds),
        rounds=len(rounds),
    )
