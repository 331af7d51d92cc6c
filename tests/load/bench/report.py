"""Report: the tables of docs/performance.md and docs/scaling.md, between two markers of each page."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.load.bench.heartbeats import Cost
from tests.load.bench.rounds import Row
from tests.load.bench.sizes import Size
from tests.load.bench.statements import Statements

ROOT = Path(__file__).parents[3]
PAGE, SCALING = ROOT / "docs/performance.md", ROOT / "docs/scaling.md"
BEGIN, END = "<!-- Written by make bench. Do not edit. -->", "<!-- The end of what make bench writes. -->"
BASELINE = "shared client"
_PACKAGES = ("flask", "gunicorn", "google-genai", "sqlalchemy", "psycopg", "aiohttp")
COLUMNS = (
    "service", "tokens/s", "of possible", "p50 above", "p99 above", "CPU per token", "CPU to shared client",
    "CPU of the database", "memory MB", "errors",
)  # fmt: skip


def write(page: Path, text: str) -> None:
    """Replaces what is between the markers. Raises ValueError if the page has none."""
    before, begins, rest = page.read_text().partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not begins or not ends:
        raise ValueError(f"{page} lacks the markers")
    page.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")


def method(rounds: int, began: datetime) -> str:
    """Machine, date and versions, as a list."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, check=False, text=True
    ).stdout.strip()
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d, %H:%M} UTC at commit {commit or 'unknown'};"
        f" {rounds} {'round' if rounds == 1 else 'rounds'} in"
        f" {(datetime.now(UTC) - began).total_seconds() / 60:.0f} minutes.",
        f"Machine: {os.cpu_count()} x {model[1].strip() if model else platform.machine()}.",
        f"Load average at the end: {load}. On an idle machine it is about 2; far more means that other work"
        " took the cores, and that only the ratios say something.",
        f"Python {platform.python_version()}, {packages}.",
    ]
    return "\n".join("- " + _wrapped(line) for line in lines)


def _wrapped(line: str) -> str:
    found, length = [], 2
    for word in line.split(" "):
        if length + len(word) > 116:
            found.append("\n ")
            length = 2
        found.append(word)
        length += len(word) + 1
    return " ".join(found).replace(" \n", "\n")


def baseline_cpu(rows: Sequence[Row], row: Row) -> float:
    """CPU per token of the shared client under the same load; NaN without it."""
    for one in rows:
        if (one.service, one.callers, one.upstream_ms) == (BASELINE, row.callers, row.upstream_ms):
            return one.cpu_ms
    return math.nan


def cells(rows: Sequence[Row], row: Row) -> list[str]:
    """The row under `COLUMNS`."""
    baseline = baseline_cpu(rows, row)
    name = row.service + (f", {row.open_sessions:,} open" if row.open_sessions else "")
    return [
        name, f"{row.per_second:.0f}", f"{row.of_possible:.0%}", _number(row.p50_above),
        _number(row.p99_above), f"{row.cpu_ms:.2f}", _number(row.cpu_ms / baseline, 2),
        f"{row.database_cpu_ms:.2f}" if "postgres" in row.service else "-", f"{row.memory_mb:.0f}",
        str(row.errors),
    ]  # fmt: skip


def _number(value: float, digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def loads(rows: Sequence[Row]) -> str:
    """One table for each load. Times are in ms."""
    found = dict.fromkeys((row.callers, row.upstream_ms) for row in rows)
    texts = []
    for callers, upstream_ms in found:
        of = [row for row in rows if (row.callers, row.upstream_ms) == (callers, upstream_ms)]
        who = "1 caller" if callers == 1 else f"{callers} callers"
        texts.append(
            f"### {who}, upstream {upstream_ms} ms\n\n{table(COLUMNS, [cells(rows, one) for one in of])}"
        )
    return "\n\n".join(texts)


def requests(costs: Sequence[Cost], counted: Sequence[Statements], rows: Sequence[Row]) -> str:
    """What one request costs, by kind of store."""
    busy = {row.service: row for row in rows if (row.callers, row.upstream_ms) == (32, 0)}
    cpu = {(one.request, one.store.removeprefix("broker, ")): one for one in costs}
    lines = []
    for one in counted:
        cost = cpu.get((one.request, one.store))
        row = busy.get(f"broker, {one.store}") if one.request == "token" else None
        own = cost.cpu_ms if cost else row.cpu_ms if row else math.nan
        database = cost.database_cpu_ms if cost else row.database_cpu_ms if row else math.nan
        if one.store == "sqlite":
            database = math.nan
        counts = [f"{one.statements:.0f}", f"{one.commits:.0f}"]
        lines.append([one.request, one.store, *counts, _number(own, 2), _number(database, 2)])
    columns = ("request", "store", "statements", "transactions", "CPU of the broker", "CPU of the database")
    return table(columns, lines)


def limits(rows: Sequence[Row]) -> str:
    """Tokens a second that one core serves: the inverse of the processor time at 32 callers."""
    lines = [
        [
            row.service.removeprefix("broker, "), f"{1000 / row.cpu_ms:.0f}",
            f"{1000 / row.database_cpu_ms:.0f}" if row.database_cpu_ms > 0.01 else "-",
            f"{row.per_second:.0f}",
        ]
        for row in rows
        if row.service.startswith("broker") and (row.callers, row.upstream_ms) == (32, 0)
    ]  # fmt: skip
    columns = ("store", "tokens/s per core of the broker", "per core of the database", "measured in all")
    return table(columns, lines)


def table_sizes(found: Sequence[Size]) -> str:
    stores = list(dict.fromkeys(one.store for one in found))
    of = {(one.table, one.store): one.bytes_per_row for one in found}
    names = list(dict.fromkeys(one.table for one in found))
    lines = [[name, *(f"{of[name, store]:.0f}" for store in stores)] for name in names]
    return table(("bytes for each row of", *stores), lines)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
