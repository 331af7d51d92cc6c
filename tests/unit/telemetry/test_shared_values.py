"""Figures never cost an answer: without a folder, or on a full disk, they are counted in memory."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from broker.telemetry import shared_values


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    shared_values.install()
    made = tmp_path / "figures"
    made.mkdir()
    shared_values.use_folder(made)
    yield made
    shared_values.use_folder(None)


def new_counter() -> Counter:
    return Counter("things", "Things.", ["kind"], registry=CollectorRegistry())


def shared(folder: Path) -> dict[str, float]:
    """What /metrics shows, by label."""
    collector: Any = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    return {
        sample.labels.get("kind", ""): sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == "things_total"
    }


def in_child(work: Callable[[], None]) -> int:
    """Runs it in a fork, and returns its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - where a test without a broker logs
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_memory(counter: Counter) -> float:
    return next(sample.value for sample in next(iter(counter.collect())).samples)


def test_figures_of_all_processes_are_summed(folder: Path) -> None:
    counter = new_counter()
    counter.labels("a").inc()

    def work() -> None:
        counter.labels("a").inc(2)
        counter.labels("b").inc()

    assert in_child(work) == 0
    counter.labels("a").inc()
    assert shared(folder) == {"a": 4, "b": 1}


def test_many_figures_outgrow_the_first_block(folder: Path) -> None:
    counter = new_counter()
    for number in range(2000):
        counter.labels(f"{number}" + "x" * 40).inc()
    assert sum(value for name, value in shared(folder).items() if "x" in name) == 2000


def test_folder_that_vanished_costs_only_the_figures(folder: Path) -> None:
    counter = new_counter()
    counter.labels("a").inc()
    shutil.rmtree(folder)
    counter.labels("a").inc()
    counter.labels("new").inc()
    histogram = Histogram("times", "Times.", registry=CollectorRegistry())  # its file is not open yet
    histogram.observe(1)
    assert in_memory(counter) == 2


@pytest.mark.parametrize("room", [0, 1000, 1 << 16, (1 << 16) + 1000])
def test_full_disk_costs_only_the_figures(folder: Path, room: int) -> None:
    """In a process of its own, because a page without space would end it."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        counter = new_counter()
        for number in range(1000):
            counter.labels(f"{number}" + "x" * 40).inc()
        assert in_memory(counter) == 1

    assert in_child(work) == 0
    shared(folder)  # what was written is readable


def test_folder_without_permission_costs_only_the_figures(tmp_path: Path) -> None:
    shared_values.install()
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    shared_values.use_folder(blocked)
    counter = new_counter()
    counter.labels("a").inc()
    assert in_memory(counter) == 1
    shared_values.use_folder(None)
