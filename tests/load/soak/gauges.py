"""Gauges: memory and handles of every process of the brokers, and places in the ledger, every few seconds."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from broker.errors import Refusal
from broker.store.database.tables import sessions
from tests.load.soak.journal import Journal
from tests.load.soak.limits_audit import in_force
from tests.load.soak.secret_sweep import sweep_tables
from tests.load.soak.site import PROJECT_SESSIONS, Site
from tests.load.soak.wire import FAULTS, Wire

# A worker loads its libraries, its models and its pools in this time.
WARM_SECONDS = 45
# A worker's growth is judged if it was watched for this long after that.
JUDGED_SECONDS = 120
_MOST_GROWTH, _MOST_MORE_MB = 1.25, 25.0
_MOST_HANDLES, _MOST_MORE_HANDLES = 1.5, 40
_MOST_SLOWER, _MOST_MORE_SECONDS = 3.0, 0.25


@dataclass(frozen=True)
class Sample:
    at: float
    pid: int
    is_master: bool
    megabytes: float
    handles: int
    threads: int


class Gauges:
    """One thread, until `stop`."""

    def __init__(self, journal: Journal, site: Site, stop: Event, *, every_seconds: float) -> None:
        self.journal, self.site, self._stop = journal, site, stop
        self._every = every_seconds
        self._wire = Wire(journal, site.urls, "198.51.100.201")
        self.samples: list[Sample] = []
        self.most_places = 0

    def run(self) -> None:
        with closing(self._wire):
            while not self._stop.wait(self._every):
                self._look()

    def _look(self) -> None:
        self.journal.probed(self._wire.send("probe", "GET", "/healthz", {}, expected=FAULTS | {"ok"}))
        for broker in self.site.brokers:
            # A process has ended, or all workers have, or one waits for its parent to notice its end.
            with suppress(OSError, IndexError, KeyError):
                workers = broker.workers()
                master = self.site.master(broker)
                self.samples += [_sample(pid, pid == master) for pid in (master, *workers)]
        with suppress(Refusal, OperationalError):  # the store is what is broken at the moment
            self._look_at_places()
            for found in sweep_tables(self.site.brokers[0].database, self.journal.needles, {"idempotency"}):
                self.journal.violation(found)

    def _look_at_places(self) -> None:
        database = self.site.brokers[0].database
        with database.read() as connection:
            now = database.now(connection)
            held = (
                select(sessions.c.principal_key, func.count())
                .where(sessions.c.held_until > now)
                .group_by(sessions.c.principal_key)
            )
            places = {row[0]: row[1] for row in connection.execute(held)}
        self.most_places = max(self.most_places, sum(places.values()))
        if sum(places.values()) > PROJECT_SESSIONS:
            self.journal.violation(f"{sum(places.values())} sessions hold a place at {now}")
        for key, count in places.items():
            # Sessions of an earlier, larger limit may still be open.
            edits = [edit for edit in self.journal.limits[key] if edit.ended + 120 > now.timestamp()]
            of_now = [edit.limits for edit in edits] + in_force(self.journal.limits[key], now.timestamp())
            if count > max(limits.sessions for limits in [*of_now, self.journal.limits[key][0].limits]):
                self.journal.violation(f"principal {key} holds {count} places at {now}")


def _sample(pid: int, is_master: bool) -> Sample:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return Sample(
        time.time(),
        pid,
        is_master,
        int(status["VmRSS"].split()[0]) / 1024,
        sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        int(status["Threads"]),
    )


def thirds(items: Sequence[Sample], value: Callable[[Sample], float]) -> list[float]:
    """The medians of the first, second and last third of the time."""
    if len(items) < 3:
        return []
    first, last = items[0].at, items[-1].at
    parts: list[list[float]] = [[], [], []]
    for item in items:
        parts[min(2, int(3 * (item.at - first) / max(last - first, 0.001)))].append(value(item))
    return [statistics.median(part) for part in parts if part]


def of_processes(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    """The samples of each process after its warm-up, those watched for longest first."""
    found: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.pid].append(sample)
    warm = {
        pid: [one for one in items if one.at - items[0].at > WARM_SECONDS or one.is_master]
        for pid, items in found.items()
    }
    watched = {pid: items for pid, items in warm.items() if len(items) > 2}
    return dict(sorted(watched.items(), key=lambda item: item[1][0].at - item[1][-1].at))


def audit_growth(samples: Iterable[Sample]) -> Iterator[str]:
    """Neither memory nor handles of a process grow while it does the same work all the time."""
    for pid, items in of_processes(samples).items():
        if items[-1].at - items[0].at < JUDGED_SECONDS:
            continue
        memory = thirds(items, lambda one: one.megabytes)
        if memory[-1] > max(memory[0] * _MOST_GROWTH, memory[0] + _MOST_MORE_MB):
            yield f"process {pid} grew from {memory[0]:.0f} to {memory[-1]:.0f} MB"
        handles = thirds(items, lambda one: float(one.handles))
        if handles[-1] > max(handles[0] * _MOST_HANDLES, handles[0] + _MOST_MORE_HANDLES):
            yield f"process {pid} went from {handles[0]:.0f} to {handles[-1]:.0f} handles"


def p95_by_thirds(mints: Sequence[tuple[float, float, bool]], *, calm_only: bool) -> list[float]:
    """Seconds to an answer with a token, in each third of the run."""
    chosen = sorted(mint for mint in mints if mint[2] or not calm_only)
    if len(chosen) < 30:
        return []
    first, last = chosen[0][0], chosen[-1][0]
    parts: list[list[float]] = [[], [], []]
    for ended, seconds, _ in chosen:
        parts[min(2, int(3 * (ended - first) / (last - first)))].append(seconds)
    return [statistics.quantiles(part, n=20)[18] for part in parts if len(part) > 1]


def audit_latency(journal: Journal) -> Iterator[str]:
    """A token takes no longer than at first, also compared with a probe: the machine may be busier."""
    mints = p95_by_thirds(journal.mints, calm_only=True)
    probes = p95_by_thirds(journal.probes, calm_only=True)
    if len(mints) < 3 or mints[2] <= max(mints[0] * _MOST_SLOWER, mints[0] + _MOST_MORE_SECONDS):
        return
    if len(probes) < 3 or mints[2] / probes[2] > mints[0] / probes[0] * _MOST_SLOWER:
        yield f"the p95 of a token went from {mints[0] * 1000:.0f} to {mints[2] * 1000:.0f} ms"
