"""Locking: a profile that cannot be locked, or whose sessions would die, never gets as far as a caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker.minting.compile import (
    ALWAYS_MASKED,
    SETUP_FIELDS,
    ProfileError,
    compile_profile,
    profile_faults,
)
from broker.minting.model_rules import RULES
from broker.profiles.profile import Profile

AUDIO: dict[str, Any] = {"response_modalities": ["AUDIO"]}


def profile(**more: Any) -> Profile:
    return Profile(**{"name": "tutor", "models": ["gemini-3.8-live"], "config": AUDIO, **more})


def faults(**more: Any) -> list[str]:
    with pytest.raises(ProfileError) as raised:
        compile_profile(profile(**more))
    assert all(fault.startswith("broker.toml: profiles.tutor.") for fault in raised.value.faults)
    return raised.value.faults


def test_the_mask_locks_what_is_set_and_what_is_sensitive() -> None:
    locked = compile_profile(
        profile(
            config={
                **AUDIO,
                "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
            },
            lock_also=["proactivity", "tools"],
        )
    )
    assert locked.mask == (*ALWAYS_MASKED, "safetySettings", "proactivity")
    assert locked.open_fields == ("sessionResumption", "historyConfig", "avatarConfig", "labels")


def test_the_masked_fields_are_the_ones_of_the_contract() -> None:
    expected = (
        "model,generationConfig,systemInstruction,tools,inputAudioTranscription,outputAudioTranscription,"
        "contextWindowCompression,realtimeInputConfig"
    )
    assert ",".join(compile_profile(profile()).mask) == expected


def test_the_mask_never_takes_the_clients_handle() -> None:
    every_other = [name for name in SETUP_FIELDS if name != "sessionResumption"]
    locked = compile_profile(profile(lock_also=every_other))
    assert locked.open_fields == ("sessionResumption",)


def test_the_total_lock_has_no_mask_and_leaves_nothing_open() -> None:
    locked = compile_profile(profile(lock="total"))
    assert locked.mask == ()
    assert locked.locked == SETUP_FIELDS
    assert locked.open_fields == ()


def test_each_model_gets_its_setup_in_the_profiles_order() -> None:
    locked = compile_profile(profile(models=["b-live", "models/a-live", "a-live"]))
    assert list(locked.setups) == ["models/b-live", "models/a-live"]
    assert locked.setups["models/a-live"]["model"] == "models/a-live"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"input_audio_transcription": {"diarization": True}}, "inputAudioTranscription"),
        ({"input_audio_transcription": {"language_auto": {}}}, "inputAudioTranscription"),
        ({"output_audio_transcription": {"word_timestamp": True}}, "outputAudioTranscription"),
        ({"tools": [{"computer_use": {"environment": "ENVIRONMENT_BROWSER"}}]}, "tools"),
        ({"tools": [{"file_search": {"file_search_store_names": ["papers"]}}]}, "tools"),
        ({"tools": [{"mcp_servers": [{"name": "desk"}]}]}, "tools"),
        ({"translation_config": {"target_language_code": "de"}}, "generationConfig"),
    ],
)
def test_every_new_option_of_the_sdk_lies_in_a_masked_field(config: dict[str, Any], expected: str) -> None:
    locked = compile_profile(profile(config={**AUDIO, **config}))
    assert expected in locked.setups["models/gemini-3.8-live"]
    assert expected in locked.mask


def test_profile_with_unlockable_option_of_the_sdk_is_rejected() -> None:
    assert "explicit_vad_signal" in faults(config={**AUDIO, "explicit_vad_signal": True})[0]


def test_a_compiled_setup_cannot_be_changed() -> None:
    setup = compile_profile(profile()).setups["models/gemini-3.8-live"]
    with pytest.raises(TypeError):
        setup["model"] = "models/other"  # type: ignore[index]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"models": []}, "models: at least one"),
        ({"models": ["projects/p/locations/l/models/m"]}, "is not the id of a Gemini API model"),
        ({"models": ["../files"]}, "is not the id of a Gemini API model"),
        ({"models": ["gemini-3.8-live?alt=sse"]}, "is not the id of a Gemini API model"),
        ({"config": {}}, "config: is empty"),
        ({"config": {"seed": 1}}, 'config.response_modalities: must be ["AUDIO"]'),
        ({"config": {"response_modalities": ["TEXT"]}}, 'must be ["AUDIO"]'),
        ({"config": {"response_modalities": ["AUDIO", "TEXT"]}}, 'must be ["AUDIO"]'),
        ({"config": {"response_modalities": ["SOUND"]}}, "SOUND is not a valid Modality"),
        ({"config": {**AUDIO, "speed": 1}}, "config.speed: is not a known field"),
        ({"config": {**AUDIO, "tools": [{"function": []}]}}, "is not a known field"),
        ({"config": {**AUDIO, "temperature": "0.7"}}, "config.temperature"),
        ({"config": {**AUDIO, "seed": True}}, "config.seed"),
        ({"config": {**AUDIO, "temperature": float("nan")}}, "config: holds a date, or a number"),
        ({"config": {**AUDIO, "http_options": {"api_version": "v1"}}}, "config.http_options"),
        ({"config": {**AUDIO, "generation_config": {"temperature": 1}}}, "config.generation_config"),
        ({"config": {**AUDIO, "explicit_vad_signal": True}}, "explicit_vad_signal"),
        ({"config": {**AUDIO, "session_resumption": {}}}, "config.session_resumption"),
        ({"config": {**AUDIO, "session_resumption": {"handle": "h"}}, "lock": "total"}, "session_resumption"),
        ({"lock_also": ["safety_settings"]}, "safetySettings is"),
        ({"lock_also": ["tools.0"]}, "is not a top-level field"),
        ({"lock_also": ["generationConfig.temperature"]}, "is not a top-level field"),
        ({"lock_also": ["sessionResumption"]}, "would overwrite the client's handle"),
        ({"lock_also": ["tools"], "lock": "total"}, "leaves nothing to add"),
    ],
)
def test_what_cannot_be_locked_is_refused(more: Mapping[str, Any], expected: str) -> None:
    found = faults(**more)
    assert any(expected in fault for fault in found), found


DEADLY: list[tuple[str, dict[str, Any]]] = [
    ("gemini-3.8-live", {"thinking_config": {"thinking_budget": 0}}),
    ("gemini-3.8-live", {"proactivity": {"proactive_audio": False}}),
    ("gemini-3.8-live", {"enable_affective_dialog": False}),
    ("gemini-3.8-live", {"tools": [{"code_execution": {}}]}),
    ("gemini-3.8-live", {"tools": [{"url_context": {}}]}),
    ("gemini-3.8-live", {"tools": [{"google_maps": {}}]}),
    ("gemini-3.8-live-extended-thinking", {"thinking_config": {"thinking_level": "MINIMAL"}}),
    ("gemini-3.8-live-extended-thinking",
     {"tools": [{"function_declarations": [{"name": "f", "behavior": "BLOCKING"}]}]}),
    ("gemini-3.1-flash-live-preview", {"proactivity": {"proactive_audio": True}}),
    ("gemini-3.1-flash-live-preview", {"enable_affective_dialog": True}),
    ("gemini-3.1-flash-live-preview",
     {"tools": [{"google_search": {}},
                {"function_declarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "config"), DEADLY)
def test_what_would_end_a_session_is_refused(model: str, config: dict[str, Any]) -> None:
    (fault,) = faults(models=[model], config={**AUDIO, **config})
    assert f"does not work with {model}" in fault


def test_every_rule_has_its_example() -> None:
    """A row of the table that no example breaks may well be unreachable."""
    reasons = {
        fault.rpartition(": ")[2] for m, c in DEADLY for fault in faults(models=[m], config={**AUDIO, **c})
    }
    assert reasons == {rule.why for rule in RULES}


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("gemini-3.8-live", {"proactivity": {"proactive_audio": True}}),
        ("gemini-3.8-live", {"tools": [{"function_declarations": [{"name": "f", "behavior": "BLOCKING"}]}]}),
        ("gemini-3.8-live-extended-thinking", {"thinking_config": {"thinking_level": "LOW"}}),
        ("gemini-2.5-flash-native-audio-preview-12-2025", {"enable_affective_dialog": True}),
        ("gemini-2.5-flash-native-audio-preview-12-2025", {"thinking_config": {"thinking_budget": 0}}),
        ("gemini-9.9-unheard-of", {"thinking_config": {"thinking_budget": 0}}),
    ],
)
def test_what_a_model_can_do_is_not_refused(model: str, config: dict[str, Any]) -> None:
    compile_profile(profile(models=[model], config={**AUDIO, **config}))


def test_a_rule_counts_for_every_model_that_may_be_used() -> None:
    models = ["gemini-2.5-flash-native-audio-latest", "gemini-3.8-live"]
    (fault,) = faults(models=models, config={**AUDIO, "thinking_config": {"thinking_budget": 0}})
    assert "gemini-3.8-live" in fault


def test_all_bad_profiles_are_named_together() -> None:
    bad = {name: Profile(name=name, models=("m-live",)) for name in ("a", "b")}
    good = {"c": profile()}
    found = profile_faults({**bad, **good})
    assert [fault.split(":")[1].strip() for fault in found] == ["profiles.a.config", "profiles.b.config"]


def test_the_sdks_spelling_is_kept() -> None:
    """Google reads both; what is sent must stay what the SDK sends, or the captures prove nothing."""
    detection = {"automatic_activity_detection": {"silence_duration_ms": 500}}
    config = {**AUDIO, "realtime_input_config": detection}
    setup = compile_profile(profile(config=config)).setups["models/gemini-3.8-live"]
    assert json.loads(json.dumps(dict(setup)))["realtimeInputConfig"] == detection
