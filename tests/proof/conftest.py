"""Settings and mints of the proof, against a stand-in of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.app import load_settings
from broker.cli import trial
from broker.cli.proof.mints import Mints
from broker.settings import Settings
from broker.standin import StandIn
from tests.support.environment import environment, write_config

MakeMints = Callable[[str], Mints]
# A total lock; a field of each kind that only some profiles lock; a client that marks activity.
PROFILES = """
[profiles.total]
models = ["gemini-3.8-live"]
lock = "total"
[profiles.total.config]
response_modalities = ["AUDIO"]
output_audio_transcription = {}
[profiles.marked]
models = ["gemini-3.8-live"]
lock_also = ["historyConfig", "proactivity", "labels"]
[profiles.marked.config]
response_modalities = ["AUDIO"]
realtime_input_config = {automatic_activity_detection = {disabled = true}}
"""


@pytest.fixture
def fast() -> Iterator[StandIn]:
    with StandIn(port=0, time_scale=8) as running:
        yield running


@pytest.fixture
def settings(fast: StandIn, tmp_path: Path) -> Settings:
    return load_settings(environment(tmp_path, fast.url, config=write_config(tmp_path, more=PROFILES)))


@pytest.fixture
def make_mints(settings: Settings) -> Iterator[MakeMints]:
    with trial.minter_of(settings) as minter:
        yield lambda name: Mints(settings, minter, name)
