"""The calls whose requests and frames are stored in tests/wire/: one entry for each sample."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from google.genai import live, types

MODEL = "gemini-3.8-live"
VOICE = {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}
BASE: dict[str, Any] = {
    "response_modalities": ["AUDIO"],
    "speech_config": VOICE,
    "system_instruction": "Be brief.",
    "input_audio_transcription": {},
    "output_audio_transcription": {},
    "context_window_compression": {"sliding_window": {}},
}
FULL = {**BASE, "temperature": 0.7, "session_resumption": {}}
MASK = (
    "model,generationConfig,systemInstruction,tools,inputAudioTranscription,outputAudioTranscription,"
    "contextWindowCompression,realtimeInputConfig"
)
RICH: dict[str, Any] = {
    "response_modalities": ["AUDIO"], "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 7,
    "max_output_tokens": 1024, "media_resolution": "MEDIA_RESOLUTION_LOW",
    "speech_config": {**VOICE, "language_code": "en-US"},
    "thinking_config": {"include_thoughts": True, "thinking_level": "LOW"},
    "enable_affective_dialog": True,
    "system_instruction": "Be brief.",
    "tools": [{"google_search": {}}, {"function_declarations": [{
        "name": "get_weather", "description": "w", "behavior": "NON_BLOCKING",
        "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
    }]}],
    "session_resumption": {"handle": "HANDLE_1"},
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


def constraints(config: dict[str, Any]) -> dict[str, Any]:
    return {"live_connect_constraints": {"model": MODEL, "config": config}}


def _until(minute: int) -> dict[str, Any]:
    moment = datetime(2026, 1, 2, 3, minute, 5, tzinfo=UTC)
    return {"expire_time": moment, "new_session_expire_time": moment}


def _mint(**config: Any) -> types.CreateAuthTokenConfig:
    return types.CreateAuthTokenConfig(uses=1, **config)


# Sample -> the API version (None: the SDK's default) and the config of `auth_tokens.create`.
MINTS: dict[str, tuple[str | None, types.CreateAuthTokenConfig | None]] = {
    "mint-empty": (None, None),
    "mint-default-version": (None, _mint()),
    "mint-no-constraints": ("v1alpha", _mint(**_until(4))),
    "mint-lock-all": ("v1alpha", _mint(**_until(4), **constraints(FULL))),
    "mint-lock-set-fields": ("v1alpha", _mint(**constraints(FULL), lock_additional_fields=[])),
    "mint-lock-model-only": ("v1alpha", _mint(**constraints({}), lock_additional_fields=[])),
    "mint-mask-without-constraints": ("v1alpha", _mint(lock_additional_fields=["model"])),
    "mint-lock-additional": ("v1alpha", _mint(
        **constraints({"response_modalities": ["AUDIO"], "system_instruction": "Be brief."}),
        lock_additional_fields=[
            "temperature", "top_p", "topP", "tools", "output_audio_transcription",
            "generationConfig.thinkingConfig",
        ],
    )),
    "mint-explicit-mask": ("v1alpha", _mint(
        **_until(34), **constraints(BASE),
        http_options=types.HttpOptions(timeout=8000, extra_body={"fieldMask": MASK}),
    )),
}  # fmt: skip

AUDIO = types.Blob(data=bytes(range(4)), mime_type="audio/pcm;rate=16000")
IMAGE = types.Blob(data=b"\xff\xd8", mime_type="image/jpeg")


def _turn(role: str, text: str) -> types.Content:
    return types.Content(role=role, parts=[types.Part(text=text)])


Call = Callable[[live.AsyncSession], Awaitable[None]]
# Sample -> the call that sends this one frame after the setup.
FRAMES: dict[str, Call] = {
    "realtime-text": lambda session: session.send_realtime_input(text="hi"),
    "realtime-audio": lambda session: session.send_realtime_input(audio=AUDIO),
    "realtime-video": lambda session: session.send_realtime_input(video=IMAGE),
    "realtime-media-audio": lambda session: session.send_realtime_input(media=AUDIO),
    "realtime-media-image": lambda session: session.send_realtime_input(media=IMAGE),
    "realtime-audio-stream-end": lambda session: session.send_realtime_input(audio_stream_end=True),
    "realtime-activity-start": lambda session: session.send_realtime_input(
        activity_start=types.ActivityStart()
    ),
    "realtime-activity-end": lambda session: session.send_realtime_input(activity_end=types.ActivityEnd()),
    "client-content-text": lambda session: session.send_client_content(turns=_turn("user", "hello")),
    "client-content-empty": lambda session: session.send_client_content(),
    "client-content-open-turns": lambda session: session.send_client_content(
        turns=[_turn("user", "a"), _turn("model", "b")], turn_complete=False
    ),
    "context-update": lambda session: session.send_context_update(
        system_instruction="New rules.", tools=[]
    ),
    "tool-response": lambda session: session.send_tool_response(
        function_responses=types.FunctionResponse(
            id="call_1",
            name="get_weather",
            response={"result": "ok"},
            scheduling=types.FunctionResponseScheduling.WHEN_IDLE,
        )
    ),
}  # fmt: skip
