"""What is sent for a token, byte by byte of meaning: the SDK's recorded requests and the shipped profiles'.

A golden file changes only together with a decision that says why. To write one anew, delete it and run the
test, which then fails once and leaves what it saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.minting.gemini import GeminiMinter, socket_url
from broker.profiles.profile import Profile
from broker.settings import document
from tests.unit.minting.upstream import Seen, Upstream

WIRE = Path(__file__).parents[2] / "wire"
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = document.read(None).profiles

RECORDED_CONFIG: dict[str, Any] = {
    "response_modalities": ["AUDIO"],
    "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
    "system_instruction": "Be brief.",
    "input_audio_transcription": {},
    "output_audio_transcription": {},
    "context_window_compression": {"sliding_window": {}},
}


@pytest.fixture
def google() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def mint(google: Upstream, profile: Profile, *, handle: str | None = None, minute: int = 34) -> Seen:
    minter = GeminiMinter(api_key="FAKE_KEY", base_url=google.url, profiles=[profile], max_concurrent=4)
    try:
        moment = datetime(2026, 1, 2, 3, minute, 5, tzinfo=UTC)
        token_plan = minter.token_plan(profile, handle)
        minter.mint(profile, token_plan, expires_at=moment, connect_by=moment, handle=handle)
    finally:
        minter.close()
    return google.mints[-1]


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((WIRE / name).read_text())
    return content


def assert_same_request(seen: Seen, recording: dict[str, Any]) -> None:
    assert (seen.method, seen.path) == (recording["method"], recording["path"])
    assert seen.body == recording["body"]
    for name in ("content-type", "x-goog-api-key"):
        assert seen.headers[name] == recording["headers"][name]
    assert "authorization" not in seen.headers
    assert "cookie" not in seen.headers


def test_the_mask_lock_is_the_recorded_request(google: Upstream) -> None:
    profile = Profile(name="p", models=("gemini-3.8-live",), config=RECORDED_CONFIG)
    assert_same_request(mint(google, profile), recorded("mint-explicit-mask.request.python-sdk.json"))


def test_the_total_lock_is_the_recorded_request(google: Upstream) -> None:
    config = {**RECORDED_CONFIG, "temperature": 0.7}
    profile = Profile(name="p", models=("gemini-3.8-live",), lock="total", config=config)
    assert_same_request(mint(google, profile, minute=4), recorded("mint-lock-all.request.python-sdk.json"))


@pytest.mark.parametrize("lock", ["mask", "total"])
def test_every_kind_of_field_is_the_recorded_setup(google: Upstream, lock: Any) -> None:
    """All fields at once, against the first frame that the SDK's live client sends for the same config."""
    setup = recorded("setup-rich.python-sdk.json")["setup"]
    handle = setup["sessionResumption"]["handle"]
    if lock == "mask":
        del setup["sessionResumption"]
    config = {
        "response_modalities": ["AUDIO"], "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 7,
        "max_output_tokens": 1024, "media_resolution": "MEDIA_RESOLUTION_LOW",
        "speech_config": {
            "voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}, "language_code": "en-US",
        },
        "thinking_config": {"include_thoughts": True, "thinking_level": "LOW"},
        "enable_affective_dialog": True,
        "system_instruction": "Be brief.",
        "tools": [{"google_search": {}}, {"function_declarations": [{
            "name": "get_weather", "description": "w", "behavior": "NON_BLOCKING",
            "parameters": {
                "type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"],
            },
        }]}],
        "input_audio_transcription": {"language_codes": ["en-US"]},
        "output_audio_transcription": {},
        "realtime_input_config": {
            "automatic_activity_detection": {
                "disabled": False, "start_of_speech_sensitivity": "START_SENSITIVITY_LOW",
                "end_of_speech_sensitivity": "END_SENSITIVITY_LOW", "prefix_padding_ms": 20,
                "silence_duration_ms": 500,
            },
            "activity_handling": "START_OF_ACTIVITY_INTERRUPTS",
            "turn_coverage": "TURN_INCLUDES_ONLY_ACTIVITY",
        },
        "context_window_compression": {"trigger_tokens": 25600, "sliding_window": {"target_tokens": 12800}},
        "proactivity": {"proactive_audio": True},
        "history_config": {"initial_history_in_client_content": True},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
    }  # fmt: skip
    # No single model takes all of it, so an id without rules of its own stands in.
    setup["model"] = "models/any-live"
    profile = Profile(name="p", models=("any-live",), lock=lock, config=config)
    body = mint(google, profile, handle=handle).body
    assert body["bidiGenerateContentSetup"] == setup
    if lock == "mask":
        assert set(body["fieldMask"].split(",")) == set(setup)
    else:
        assert "fieldMask" not in body


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_profiles_send_what_is_on_file(google: Upstream, name: str) -> None:
    path = GOLDEN / f"{name}.json"
    body = mint(google, SHIPPED[name]).body
    if not path.exists():
        path.write_text(json.dumps(body, indent=2) + "\n")
        pytest.fail(f"{path.name} was missing and is written; read it before you keep it")
    assert body == json.loads(path.read_text())


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(SHIPPED)


def test_the_shipped_profile_says_what_was_asked_for() -> None:
    setup = json.loads((GOLDEN / "default.json").read_text())["bidiGenerateContentSetup"]
    assert setup["systemInstruction"]["parts"] == [
        {"text": "You are a helpful assistant and answer in a friendly tone."}
    ]
    assert setup["generationConfig"] == {"responseModalities": ["AUDIO"]}
    assert [tool["name"] for tool in setup["tools"][0]["functionDeclarations"]] == ["get_time"]
    assert "sessionResumption" not in setup
    assert SHIPPED["default"].models == ("gemini-2.5-flash-native-audio-preview-09-2025", "gemini-3.8-live")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://generativelanguage.googleapis.com", "wss://generativelanguage.googleapis.com"),
        ("http://127.0.0.1:9090", "ws://127.0.0.1:9090"),
    ],
)
def test_the_socket_is_the_constrained_one_of_the_same_version(base: str, expected: str) -> None:
    path = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
    assert socket_url(base) == expected + path
