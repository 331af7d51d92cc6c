"""The folder in which the workers of one gunicorn share their figures. Made and removed by the master.

It is always new, so that files of earlier runs are not counted. Only what was made here is ever removed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

# prometheus_client reads this variable when it serves /metrics.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The folder that a broker made. A master that takes over after SIGUSR2 inherits it.
_MADE = "LIVE_BROKER_METRICS_DIR"
_IN_MEMORY = "/dev/shm"  # noqa: S108 - only folders with random names are made in it # nosec B108


def prepare(environ: MutableMapping[str, str]) -> Path | None:
    """Makes the folder inside the one that the operator named, or in memory, and names it in `environ`.

    Returns None if it can be made nowhere. Each worker then reports only its own figures.
    """
    given = environ.pop(_VARIABLE, "").strip()
    inherited = environ.pop(_MADE, "")
    made = Path(inherited) if given and given == inherited and Path(given).is_dir() else _make(given)
    if made is not None:
        environ[_VARIABLE] = environ[_MADE] = str(made)
    return made


def remove(environ: Mapping[str, str]) -> None:
    if made := environ.get(_MADE):
        shutil.rmtree(made, ignore_errors=True)


def _scratch_folder() -> str | None:
    """A folder that can be written, in memory if possible. None: there is none."""
    for parent in (_IN_MEMORY, None):
        try:
            with tempfile.NamedTemporaryFile(dir=parent) as probe:
                probe.write(bytes(4096))
                probe.flush()
                return str(Path(probe.name).parent)
        except OSError:
            continue
    return None


def _make(given: str) -> Path | None:
    for parent in (given, _scratch_folder()):
        try:
            if parent:
                return Path(tempfile.mkdtemp(prefix="live-broker-metrics-", dir=Path(parent).absolute()))
        except OSError:
            continue
    return None
