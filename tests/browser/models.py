"""A broker with a profile for each model, for tests of the differences between models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.standin import StandIn
from tests.browser.conftest import Service
from tests.browser.stage_server import StageServer
from tests.support.environment import write_config

# name -> (model, whether its setup asks for the history first)
MODELS = {
    "m25": ("gemini-2.5-flash-native-audio-preview-12-2025", False),
    "m31": ("gemini-3.1-flash-live-preview", True),
    "m38": ("gemini-3.8-live", False),
    "deep": ("gemini-3.8-live-extended-thinking", False),
}


def _profile(name: str, model: str, history_first: bool) -> str:
    config = f"profiles.{name}.config"
    functions = "".join(
        f'[[{config}.tools.function_declarations]]\nname = "{function}"\ndescription = "A test\'s own."\n'
        for function in ("slow", "quick", "steps")
    )
    history = f"[{config}.history_config]\ninitial_history_in_client_content = true\n" * history_first
    return (
        f'\n[profiles.{name}]\ndescription = "A test\'s own."\nmodels = ["{model}"]\nplans = ["*"]\n'
        f'[{config}]\nresponse_modalities = ["AUDIO"]\n'
        f"[{config}.input_audio_transcription]\n[{config}.output_audio_transcription]\n{history}"
        f"[[{config}.tools]]\n{functions}"
    )


def serve_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For a module's own `talking` fixture."""
    folder = tmp_path_factory.mktemp("models")
    more = "".join(_profile(name, *about) for name, about in MODELS.items())
    config = write_config(folder, rate="1000/minute", more=more)
    with StandIn(port=0) as standin, StageServer(folder, standin.url, config=config) as broker:
        yield Service(standin, broker)
