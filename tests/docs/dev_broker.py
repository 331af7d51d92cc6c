"""`broker dev` as `make run` starts it, in a folder of its own and on a free port."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import Process, responds

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


def clean_environment() -> dict[str, str]:
    """Without a key and without settings of the caller's shell."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


@contextmanager
def dev_broker(folder: Path) -> Iterator[str]:
    """Yields the address of a running `broker dev`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        [str(Path(sys.executable).with_name("broker")), "dev", "--port", str(port)],
        log_path=folder / "log",
        answers=lambda: responds(f"{url}/readyz"),
        cwd=folder,
        env=clean_environment(),
    )
    try:
        yield url
    finally:
        process.end()
