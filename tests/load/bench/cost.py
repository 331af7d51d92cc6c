"""Cost: processor time and memory of a process and all its descendants, as Linux counts them."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and its descendants, as far as they run now."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in (_PROC / str(one) / "task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    """User and system time. From the clock of each process: /proc/…/stat counts in steps of 10 ms."""
    found = {}
    for pid in pids:
        with suppress(OSError):  # it has ended
            found[pid] = time.clock_gettime(~pid << 3 | 2)
    return found


def used_since(before: dict[int, float], pids: list[int]) -> float:
    """Seconds. Those of a process that has ended are lost, those of a new one count."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in cpu_seconds(pids).items())


def memory_mb(pids: list[int]) -> float:
    """Proportional set size (PSS): a page that n processes share counts 1/n for each."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024
