"""The recorded messages of the official SDKs are understood, and the answers have the recorded shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.standin import StandIn
from broker.standin.close_reasons import CLOSES, KEY_INVALID_DETAILS, error_body
from broker.standin.protojson import read
from tests.standin.client import GET_TIME, ahead, mint, quiet, session, speech

WIRE = Path(__file__).parents[1] / "wire"
SENT = sorted(path for path in WIRE.glob("*-sdk*.json") if not path.name.startswith(("mint", "connect")))
MINTS = sorted(WIRE.glob("mint-*.json"))
# Paths that are no lowerCamel field of the setup: `output_audio_transcription`, `thinkingConfig`, `tools.0`.
BAD_MASKS = {"mint-lock-additional.request.python-sdk", "mint-lock-additional.request.js-sdk"}
BAD_MASKS |= {"mint-lock-tools.request.js-sdk-2.32.0"}


def load(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_every_client_message_is_understood(path: Path) -> None:
    assert len(read("ClientMessage", load(path), "v1alpha")) == 1


def test_both_sdks_rich_setups_mean_the_same() -> None:
    python, js = (load(WIRE / f"setup-rich.{sdk}-sdk.json") for sdk in ("python", "js"))
    python["setup"].pop("historyConfig")  # the JS SDK drops it
    meant = [read("ClientMessage", message, "v1alpha")["setup"] for message in (python, js)]
    for setup in meant:
        setup["tools"].sort(key=str)  # their order is free
    assert meant[0] == meant[1]


@pytest.mark.parametrize("path", MINTS, ids=lambda path: path.stem)
def test_every_mint_body_is_answered(standin: StandIn, path: Path) -> None:
    body = load(path)["body"]
    for name in ("expireTime", "newSessionExpireTime"):
        if body and name in body:
            body[name] = ahead(600)
    status, answer = mint(standin, b"" if body is None else body)
    assert status == (400 if path.stem in BAD_MASKS else 200), answer
    if path.stem in BAD_MASKS:
        assert "auth_token.field_mask" in answer["error"]["message"]


def test_close_texts_are_those_on_record() -> None:
    known = {(close.code, close.payload().decode()) for close in CLOSES.values()}
    seen = {(c["code"], c["reason"]) for c in load(WIRE / "errors-and-closes.derived.json")["closes"]}
    composed = {(code, text) for code, text in seen if '"X"' in text or "models/X" in text}
    assert seen - composed <= known


def test_http_errors_are_those_on_record() -> None:
    for case in load(WIRE / "errors-and-closes.derived.json")["mint_http"]:
        if case["case"] in ("quota", "unavailable"):
            assert error_body(case["status"]) == case["body"]
        if case["case"] == "bad-api-key":
            assert error_body(400, details=KEY_INVALID_DETAILS) == case["body"]


def shape(value: Any) -> Any:
    """Names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value)


def test_frames_have_the_shapes_on_record(standin: StandIn) -> None:
    """Of each kind of frame that it sends, one equals a recorded one in names and types."""
    said = []
    tools = [GET_TIME]
    for model in ("models/gemini-2.5-flash-native-audio-preview-09-2025", "models/gemini-3.8-live"):
        with session(standin, model=model, tools=tools) as talker:
            # Comes with a handle only while nothing is being answered.
            talker.until(lambda f: "sessionResumptionUpdate" in f)
            talker.audio(speech(1) + quiet(1))
            talker.turn()
            talker.text('/tool get_time {"city": "Oslo"}')
            talker.until(lambda f: "toolCall" in f)
            talker.audio(speech(0.5) + quiet(1))
            talker.turn()
            talker.text("/goaway 1")
            talker.closing()
            said += [{"setupComplete": {}}, *talker.frames]
    shapes = [shape(frame) for frame in said]
    cases = {c["case"]: shape(c["frame"]) for c in load(WIRE / "server-messages.derived.json")["frames"]}
    for case in (
        "setup-complete",
        "resumption-update-early",
        "input-transcription",
        "model-audio",
        "output-transcription",
        "generation-complete",
        "interrupted",
        "tool-call",
        "tool-call-with-top-level-interaction-status",
        "tool-call-cancellation",
        "voice-activity-start",
        "voice-activity-end",
        "go-away",
    ):
        assert cases[case] in shapes, case
    assert {"sessionResumptionUpdate": {}} in said  # not resumable: proto3 JSON leaves `false` out
    assert any(s == cases["turn-complete"] for s in shapes)
    ended = [s["serverContent"] for s in shapes if "turnComplete" in s.get("serverContent", {})]
    assert cases["turn-complete-3.8"]["serverContent"] in ended
