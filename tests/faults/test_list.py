"""README.md lists every file of this folder, and names no test that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_list_of_faults_is_complete() -> None:
    named = set(re.findall(r"[a-z/_]*test_[a-z_]+\.py", (HERE / "README.md").read_text()))
    assert [name for name in named if not ((HERE / name).exists() or (HERE.parent / name).exists())] == []
    assert {path.name for path in HERE.glob("test_*.py")} - named == {Path(__file__).name}
