"""Warm tokens: what callers wait in all, with and without them. Alone: `python -m tests.load.bench.warm`.

32 callers ask 60 times a second together, which two workers can refill. Requests as fast as possible would
only measure how fast the double is.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from broker.store.database.tables import tokens
from tests.load.bench.cost import cpu_seconds, used_since
from tests.load.bench.report import table
from tests.load.bench.stage import Service, Stage

CALLERS, UPSTREAM_MS, PER_SECOND, KEPT = 32, 150, 60, 32
# Until the demand of a minute is known, and as long as is measured.
_SETTLE_SECONDS, _SECONDS = 1.5, 3.0
_NO_WAIT_MS = 5
_USERS = 2000


@dataclass(frozen=True)
class Waits:
    """Medians over the rounds. Times in ms, in all; CPU per token."""

    service: str
    per_second: float
    p50_ms: float
    p99_ms: float
    warm: float
    cpu_ms: float
    errors: int


def services(stage: Stage, kinds: Sequence[str]) -> list[Service]:
    return [stage.broker(kind, warm=warm) for kind in kinds for warm in (0, KEPT)]


def run(stage: Stage, brokers: Sequence[Service], rounds: int, scale: float = 1.0) -> list[Waits]:
    stage.delay(0)
    for broker in brokers:
        stage.load(broker, CALLERS, 0.4 * scale, 0)
    stage.delay(UPSTREAM_MS / 1000)
    found: dict[str, list[Waits]] = {}
    for _ in range(rounds):
        for broker in brokers:
            found.setdefault(broker.name, []).append(_measure(stage, broker, scale))
    return [_median(rounds_of) for rounds_of in found.values()]


def report(found: Sequence[Waits]) -> str:
    rows = [
        [
            one.service, f"{one.per_second:.0f}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.warm:.0%}",
            f"{one.cpu_ms:.2f}", str(one.errors),
        ]
        for one in found
    ]  # fmt: skip
    columns = ("service", "tokens/s", "p50 in all", "p99 in all", "warm", "CPU per token", "errors")
    text = f"{CALLERS} callers, {PER_SECOND} requests a second, upstream {UPSTREAM_MS} ms, `warm = {KEPT}`"
    return f"### {text}\n\n{table(columns, rows)}"


def _measure(stage: Stage, broker: Service, scale: float) -> Waits:
    known = _minted(broker)
    before = cpu_seconds(broker.pids)
    each = CALLERS / PER_SECOND
    result = stage.load(broker, CALLERS, _SECONDS * scale, _SETTLE_SECONDS * scale, each)
    used = used_since(before, broker.pids)
    answered = max(1, result.sent - result.errors)
    all_of, at_once = (now - then for now, then in zip(_minted(broker), known, strict=True))
    return Waits(
        broker.name, result.per_second, result.p50_ms, result.p99_ms, at_once / max(1, all_of),
        used * 1000 / answered, result.errors,
    )  # fmt: skip


def _minted(broker: Service) -> tuple[int, int]:
    """How many tokens were delivered so far, and how many without a call to Google."""
    assert broker.server is not None
    query = select(
        func.count(tokens.c.mint_ms), func.count(tokens.c.id).filter(tokens.c.mint_ms < _NO_WAIT_MS)
    )
    with broker.server.database.read() as connection:
        all_of, at_once = connection.execute(query).one()
    return all_of, at_once


def _median(rounds: Sequence[Waits]) -> Waits:
    def of(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in rounds))

    return Waits(
        rounds[0].service, of("per_second"), of("p50_ms"), of("p99_ms"), of("warm"), of("cpu_ms"),
        sum(one.errors for one in rounds),
    )  # fmt: skip


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="broker-bench-") as folder,
        Stage(Path(folder), callers=_USERS) as stage,
    ):
        print(report(run(stage, services(stage, ("sqlite", "postgresql")), 5)))


if __name__ == "__main__":
    main()
