"""The soak in its short form: the whole load, some faults, and an audit without a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.soak.run import soak
from tests.load.soak.summary import summary


@pytest.mark.long
def test_soak_finds_nothing(tmp_path: Path) -> None:
    result = soak(tmp_path, 35)
    assert result.violations == [], summary(result)
    assert len(result.journal.tokens) > 20
    assert sum(result.journal.faults.values()) >= 2
