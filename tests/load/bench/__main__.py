"""`python -m tests.load.bench [--quick | --rounds N]`, or `make bench` and `make bench-quick`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.load.bench import heartbeats, report, rounds, sizes, statements, warm
from tests.load.bench.rounds import Row, cell
from tests.load.bench.stage import PEERS, Stage
from tests.support.stores import DATABASES, STORES

_USERS = 2000
_OPEN = (0, 10_000, 50_000)
_SIZE_ROWS = 50_000


def full(number_of_rounds: int) -> None:
    # Only scripts/setup bench installs what the plots need, so this fails at once without it.
    from tests.load.bench import plots

    began = datetime.now(UTC)
    with _stage() as stage:
        report.note("starting the services")
        brokers = [stage.broker(kind) for kind in STORES]
        services = [*brokers, *(stage.peer(name) for name in PEERS)]
        loads = [cell(callers, upstream_ms) for upstream_ms in (0, 150) for callers in (1, 32, 256)]
        report.note(f"{number_of_rounds} rounds of {len(services)} services under {len(loads)} loads")
        rows = rounds.run(stage, services, loads, number_of_rounds)
        beats = [one for broker in brokers for one in heartbeats.costs(stage, broker)]
    with _stage() as stage:
        report.note("the brokers again, with sessions that others hold open")
        brokers = [stage.broker(kind, open_sessions=held) for kind in STORES for held in _OPEN]
        held = rounds.run(stage, brokers, [cell(32, 0)], number_of_rounds)
        report.note("statements and sizes of tables")
        counted = [one for kind in STORES for one in statements.count(kind, stage.store_environ(kind))]
        found = [one for kind in DATABASES for one in sizes.sizes(kind, stage.store(kind), _SIZE_ROWS)]
    with _stage() as stage:
        report.note("tokens minted ahead")
        waits = warm.run(stage, warm.services(stage, DATABASES), number_of_rounds)
    method = report.method(number_of_rounds, began)
    texts = [method, report.loads(rows), "## Tokens minted ahead", warm.report(waits)]
    texts += ["## Sessions that others hold open", report.loads(held)]
    report.write(report.PAGE, "\n\n".join(texts))
    texts = [method, report.limits(rows), report.requests(beats, counted, rows), report.table_sizes(found)]
    report.write(report.SCALING, "\n\n".join(texts))
    plots.write(report.ROOT / "docs/images", rows, held)


def quick() -> None:
    """Ratios only: they hold on a busy machine, too, because the services take turns."""
    with _stage() as stage:
        brokers = [stage.broker(kind) for kind in DATABASES]
        rows = rounds.run(stage, [*brokers, stage.peer(report.BASELINE)], [cell(32, 150)], 5)
        counted = [one for kind in DATABASES for one in statements.count(kind, stage.store_environ(kind))]
    print("\n".join(ratios(rows, counted)))


def ratios(rows: list[Row], counted: list[statements.Statements]) -> list[str]:
    number = {one.store: one.statements for one in counted if one.request == "token"}
    found = [f"{'':22}{'CPU to its peer':>20}{'tokens of possible':>20}{'statements':>12}{'errors':>8}"]
    for row in rows:
        cpu = row.cpu_ms / report.baseline_cpu(rows, row)
        made = number.get(row.service.removeprefix("broker, "))
        text = f"{row.service:22}{cpu:20.2f}{row.of_possible:20.0%}"
        found.append(f"{text}{'-' if made is None else f'{made:.0f}':>12}{row.errors:8}")
    return found


@contextmanager
def _stage() -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="broker-bench-") as folder,
        Stage(Path(folder), callers=_USERS) as stage,
    ):
        yield stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only ratios of processor time and statements")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the full form (5)")
    chosen = parser.parse_args()
    if chosen.quick:
        quick()
    else:
        full(chosen.rounds)


if __name__ == "__main__":
    main()
