"""The samples in tests/wire/ equal what the locked google-genai sends for each call."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.contract.python_sdk_recorder import SUFFIX, WIRE, record

LOCK = Path(__file__).parents[2] / "requirements" / "test.txt"
STORED = {path.name.removesuffix(SUFFIX): json.loads(path.read_text()) for path in WIRE.glob(f"*{SUFFIX}")}


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    return record()


@pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning")
@pytest.mark.parametrize("sample", sorted(STORED))
def test_stored_sample_is_what_the_sdk_sends(sample: str, sent: dict[str, Any]) -> None:
    assert sent[sample] == STORED[sample], "run `python -m tests.contract.python_sdk_recorder`, read the diff"


def test_every_recorded_call_has_a_stored_sample(sent: dict[str, Any]) -> None:
    assert set(sent) == set(STORED)


def test_samples_were_recorded_with_the_locked_version() -> None:
    locked = re.search(r"^google-genai==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert locked
    assert version("google-genai") == locked[1], (
        "the installed SDK is not the locked one: run scripts/setup test"
    )
    recorded = {s["headers"]["user-agent"].split()[0] for s in STORED.values() if "headers" in s}
    assert recorded == {f"google-genai-sdk/{locked[1]}"}
    assert f"google-genai {locked[1]} " in (WIRE / "README.md").read_text()
