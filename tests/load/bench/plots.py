"""Plots: three small SVG files for docs/performance.md."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.load.bench.rounds import Row

_BROKER, _PEER = "#0b57d0", "#9aa0a6"


def write(folder: Path, rows: Sequence[Row], held: Sequence[Row]) -> None:
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    mpl.rcParams["font.family"] = "sans-serif"
    of = [row for row in rows if (row.callers, row.upstream_ms) == (32, 150)]
    of = [row for row in of if row.service != "upstream alone"]
    _bars(folder / "bench-cpu.svg", of, "CPU per token (ms), 32 callers, upstream 150 ms", "cpu_ms")
    of = [row for row in rows if (row.callers, row.upstream_ms) == (256, 150)]
    _bars(folder / "bench-rate.svg", of, "Tokens per second, 256 callers, upstream 150 ms", "per_second")
    _curves(folder / "bench-open.svg", held)


def _bars(path: Path, rows: Sequence[Row], title: str, value: str) -> None:
    figure, axes = _figure(title)
    names = [row.service for row in rows][::-1]
    values = [getattr(row, value) for row in rows][::-1]
    colors = [_BROKER if name.startswith("broker") else _PEER for name in names]
    bars = axes.barh(names, values, color=colors)
    axes.bar_label(bars, fmt="%.1f" if value == "cpu_ms" else "%.0f", padding=3)
    axes.margins(x=0.12)
    _save(path, figure)


def _curves(path: Path, rows: Sequence[Row]) -> None:
    figure, axes = _figure("CPU per token (ms), broker and database, by sessions that others hold open")
    for name in dict.fromkeys(row.service for row in rows if row.service.startswith("broker")):
        of = sorted((row for row in rows if row.service == name), key=lambda row: row.open_sessions)
        points = [row.cpu_ms + row.database_cpu_ms for row in of]
        axes.plot([row.open_sessions for row in of], points, marker="o", label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("open sessions")
    axes.legend(frameon=False)
    _save(path, figure)


def _figure(title: str) -> tuple[Any, Any]:
    figure = Figure(figsize=(6.4, 2.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(path: Path, figure: Any) -> None:
    """Without the date, and with two decimals: the same figures make the same small file."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", written.getvalue())
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    path.write_text(re.sub(r"\s*\n\s*", "\n", text).strip() + "\n")
