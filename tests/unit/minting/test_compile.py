"""A profile that cannot be locked, or whose sessions Google would end, is rejected at start."""

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


def test_mask_locks_set_fields_and_sensitive_fields() -> None:
    compiled = compile_profile(
        profile(
            config={
                **AUDIO,
                "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
            },
            lock_also=["proactivity", "tools"],
        )
    )
    assert compiled.mask == (*ALWAYS_MASKED, "safetySettings", "proactivity")
    assert compiled.open_fields == ("sessionResumption", "historyConfig", "avatarConfig", "labels")


def test_masked_fields_match_the_contract() -> None:
    expected = (
        "model,generationConfig,systemInstruction,tools,inputAudioTranscription,outputAudioTranscription,"
        "contextWindowCompression,realtimeInputConfig"
    )
    assert ",".join(compile_profile(profile()).mask) == expected


def test_mask_never_locks_the_resumption_handle() -> None:
    every_other = [name for name in SETUP_FIELDS if name != "sessionResumption"]
    compiled = compile_profile(profile(lock_also=every_other))
    assert compiled.open_fields == ("sessionResumption",)


def test_total_lock_has_no_mask_and_no_open_fields() -> None:
    compiled = compile_profile(profile(lock="total"))
    assert compiled.mask == ()
    assert compiled.locked_fields == SETUP_FIELDS
    assert compiled.open_fields == ()


def test_setups_keep_the_order_of_the_models() -> None:
    compiled = compile_profile(profile(models=["b-live", "models/a-live", "a-live"]))
    assert list(compiled.setups) == ["models/b-live", "models/a-live"]
    assert compiled.setups["models/a-live"]["model"] == "models/a-live"


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
def test_new_sdk_options_are_inside_masked_fields(config: dict[str, Any], expected: str) -> None:
    compiled = compile_profile(profile(config={**AUDIO, **config}))
    assert expected in compiled.setups["models/gemini-3.8-live"]
    assert expected in compiled.mask


@pytest.mark.parametrize("name", ["gemini-3.5-transcribe-live", "models/gemini-3.5-transcribe-live"])
def test_model_that_only_writes_answers_with_text(name: str) -> None:
    written = {"response_modalities": ["TEXT"], "input_audio_transcription": {}}
    (setup,) = compile_profile(profile(models=[name], config=written)).setups.values()
    assert setup["generationConfig"]["responseModalities"] == ["TEXT"]


def test_option_outside_the_setup_is_rejected() -> None:
    assert "explicit_vad_signal" in faults(config={**AUDIO, "explicit_vad_signal": True})[0]


def test_compiled_setup_cannot_be_changed() -> None:
    setup = compile_profile(profile()).setups["models/gemini-3.8-live"]
    with pytest.raises(TypeError):
        setup["model"] = "models/other"  # type: ignore[index]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"models": []}, "models: at least one"),
        ({"models": ["projects/p/locations/l/models/m"]}, "is not a model id of the Gemini API"),
        ({"models": ["../files"]}, "is not a model id of the Gemini API"),
        ({"models": ["gemini-3.8-live?alt=sse"]}, "is not a model id of the Gemini API"),
        ({"config": {}}, "config: is empty"),
        ({"config": {"seed": 1}}, 'config.response_modalities: must be ["AUDIO"]'),
        ({"config": {"response_modalities": ["TEXT"]}}, 'must be ["AUDIO"]'),
        ({"config": {"response_modalities": ["AUDIO", "TEXT"]}}, 'must be ["AUDIO"]'),
        ({"models": ["gemini-3.5-transcribe-live"]}, 'config.response_modalities: must be ["TEXT"]'),
        (
            {"models": ["gemini-3.5-live-translate-preview"], "config": {"response_modalities": ["TEXT"]}},
            'must be ["AUDIO"]',
        ),
        ({"models": ["gemini-3.5-transcribe-live", "gemini-3.8-live"]}, "write a profile for each kind"),
        ({"config": {"response_modalities": ["SOUND"]}}, "SOUND is not a valid Modality"),
        ({"config": {**AUDIO, "speed": 1}}, "config.speed: is not a known field"),
        ({"config": {**AUDIO, "tools": [{"function": []}]}}, "is not a known field"),
        ({"config": {**AUDIO, "temperature": "0.7"}}, "config.temperature"),
        ({"config": {**AUDIO, "seed": True}}, "config.seed"),
        ({"config": {**AUDIO, "temperature": float("nan")}}, "config: contains a date, or a number"),
        ({"config": {**AUDIO, "http_options": {"api_version": "v1"}}}, "config.http_options"),
        ({"config": {**AUDIO, "generation_config": {"temperature": 1}}}, "config.generation_config"),
        ({"config": {**AUDIO, "explicit_vad_signal": True}}, "explicit_vad_signal"),
        ({"config": {**AUDIO, "session_resumption": {}}}, "config.session_resumption"),
        ({"config": {**AUDIO, "session_resumption": {"handle": "h"}}, "lock": "total"}, "session_resumption"),
        ({"lock_also": ["safety_settings"]}, "did you mean safetySettings?"),
        ({"lock_also": ["tools.0"]}, "is not a top-level field"),
        ({"lock_also": ["generationConfig.temperature"]}, "is not a top-level field"),
        ({"lock_also": ["sessionResumption"]}, "would overwrite the client's handle"),
        ({"lock_also": ["tools"], "lock": "total"}, "already locks every field"),
    ],
)
def test_profile_that_cannot_be_locked_is_rejected(more: Mapping[str, Any], expected: str) -> None:
    found = faults(**more)
    assert any(expected in fault for fault in found), found


REJECTED_BY_GOOGLE: list[tuple[str, dict[str, Any]]] = [
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


@pytest.mark.parametrize(("model", "config"), REJECTED_BY_GOOGLE)
def test_profile_that_google_would_end_is_rejected(model: str, config: dict[str, Any]) -> None:
    (fault,) = faults(models=[model], config={**AUDIO, **config})
    assert f"does not work with {model}" in fault


def test_every_rule_has_an_example() -> None:
    """A rule that no example breaks may be unreachable."""
    reasons = {
        fault.rpartition(": ")[2]
        for m, c in REJECTED_BY_GOOGLE
        for fault in faults(models=[m], config={**AUDIO, **c})
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
def test_supported_options_are_accepted(model: str, config: dict[str, Any]) -> None:
    compile_profile(profile(models=[model], config={**AUDIO, **config}))


def test_rules_apply_to_every_model_of_the_profile() -> None:
    models = ["gemini-2.5-flash-native-audio-latest", "gemini-3.8-live"]
    (fault,) = faults(models=models, config={**AUDIO, "thinking_config": {"thinking_budget": 0}})
    assert "gemini-3.8-live" in fault


def test_faults_of_all_profiles_are_reported_together() -> None:
    bad = {name: Profile(name=name, models=("m-live",)) for name in ("a", "b")}
    good = {"c": profile()}
    found = profile_faults({**bad, **good})
    assert [fault.split(":")[1].strip() for fault in found] == ["profiles.a.config", "profiles.b.config"]


def test_spelling_of_the_sdk_is_kept() -> None:
    """Google accepts both spellings. The body must equal the SDK's, or the recorded samples prove nothing."""
    detection = {"automatic_activity_detection": {"silence_duration_ms": 500}}
    config = {**AUDIO, "realtime_input_config": detection}
    setup = compile_profile(profile(config=config)).setups["models/gemini-3.8-live"]
    assert json.loads(json.dumps(dict(setup)))["realtimeInputConfig"] == detection


def with_functions(*names: str) -> dict[str, Any]:
    return {**AUDIO, "tools": [{"function_declarations": [{"name": name} for name in names]}]}


@pytest.mark.parametrize("name", ["get_time", "_x", "a" * 64, "a.b:c-d_9"])
def test_function_names_that_google_takes(name: str) -> None:
    assert compile_profile(profile(config=with_functions(name)))


@pytest.mark.parametrize("name", ["1 get time", "1x", "a" * 65, "get time", "größe", "-x", "", "a\n"])
def test_function_name_that_google_refuses_is_a_fault_at_start(name: str) -> None:
    """Google mints a token with it, and then closes every session at its setup (1007)."""
    (fault,) = faults(config=with_functions("get_time", name))
    assert f"Google refuses the function name {name!r}: it must begin with a letter or _" in fault


def test_function_that_is_declared_twice_is_a_fault_at_start() -> None:
    declared = [{"function_declarations": [{"name": "f"}]}, {"function_declarations": [{"name": "f"}]}]
    (fault,) = faults(config={**AUDIO, "tools": declared})
    assert "the function 'f' is declared 2 times" in fault
