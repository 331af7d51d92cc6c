"""`broker dev` as `make run` starts it, in a folder of its own and on a free port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.servers import free_port

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


def clean_environment() -> dict[str, str]:
    """Without a key and without settings of the caller's shell."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


@contextmanager
def dev_broker(folder: Path) -> Iterator[str]:
    """Yields the address of a running `broker dev`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("broker")), "dev", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
