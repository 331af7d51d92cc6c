"""FakeTime: the wall clock of a program, moved while it runs. libfaketime reads the offset from a file.

The monotonic clock stays as it is, as when a machine's clock is set.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self

# libfaketime 0.9.10 refuses to sleep until a moment of the monotonic clock, as Python's time.sleep does.
_PYTHON = """import select, time
time.sleep = lambda seconds: select.select([], [], [], max(0.0, seconds)) and None
"""


class FakeTime:
    """Use as a context manager. `environ` is for the program."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="broker-clock-", dir="/tmp"))
        self._folder.chmod(0o755)  # the program may run as another user
        self._file = self._folder / "offset"
        (self._folder / "sitecustomize.py").write_text(_PYTHON)
        self.move(0)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def environ(self) -> dict[str, str]:
        (library,) = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))[:1]
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self._folder),
        }

    def move(self, seconds: int) -> None:
        """To so many seconds ahead of the true time."""
        new = self._folder / "new"
        new.write_text(f"{seconds:+}s\n")
        new.replace(self._file)
