"""Reads the files that settings name: only ordinary files, so that a start never waits for a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_text(path: Path, most_bytes: int) -> str:
    """Its text, without a byte order mark. Raises `OSError` and `UnicodeDecodeError`."""
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not an ordinary file")
        content = source.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"it is larger than {most_bytes} bytes")
    return content.decode("utf-8-sig")
