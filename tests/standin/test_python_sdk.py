"""google-genai itself, unchanged, against the stand-in over TLS: mints, connects, talks, uses a tool."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types

from broker.standin import StandIn
from broker.standin.models import available
from tests.standin.client import quiet, speech

MODEL = "gemini-3.8-live"


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tls=True, time_scale=20) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.ca_file))
        yield running


def client(standin: StandIn, key: str) -> genai.Client:
    trust = ssl.create_default_context(cafile=str(standin.ca_file))
    options = types.HttpOptions(
        base_url=standin.url, api_version="v1alpha", async_client_args={"ssl": trust, "proxy": None}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return genai.Client(api_key=key, vertexai=False, http_options=options)


def mint(standin: StandIn, config: types.LiveConnectConfig) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        google = client(standin, "test-key")
        made = google.auth_tokens.create(
            config=types.CreateAuthTokenConfig(
                uses=1,
                live_connect_constraints=types.LiveConnectConstraints(model=MODEL, config=config),
                lock_additional_fields=[],
            )
        )
        google.close()
    name = str(made.name)
    assert name.startswith("auth_tokens/standin-")
    return name


async def talk(standin: StandIn, name: str, config: types.LiveConnectConfig) -> tuple[bytes, str, str]:
    heard, transcript, asked = b"", "", ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        google = client(standin, name)
        async with google.aio.live.connect(model=MODEL, config=config) as live:
            samples = speech(1) + quiet(1)
            for at in range(0, len(samples), 320):
                blob = types.Blob(data=samples[at : at + 320].tobytes(), mime_type="audio/pcm;rate=16000")
                await live.send_realtime_input(audio=blob)
            async for message in live.receive():
                content = message.server_content
                if content and content.model_turn:
                    for part in content.model_turn.parts or []:
                        heard += (part.inline_data.data or b"") if part.inline_data else b""
                if content and content.output_transcription:
                    transcript += content.output_transcription.text or ""
            await live.send_client_content(
                turns=types.Content(role="user", parts=[types.Part(text="/tool")]), turn_complete=True
            )
            async for message in live.receive():
                if message.tool_call and message.tool_call.function_calls:
                    asked = message.tool_call.function_calls[0].name or ""
                    await live.send_tool_response(
                        function_responses=types.FunctionResponse(
                            id=message.tool_call.function_calls[0].id, name=asked, response={"result": "noon"}
                        )
                    )
        await google.aio.aclose()
    return heard, transcript, asked


def test_python_sdk_mints_and_talks(secure: StandIn) -> None:
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(name="get_time")])],
    )
    heard, transcript, asked = asyncio.run(talk(secure, mint(secure, config), config))
    assert 1.0 < len(heard) / 48000 < 2.0
    assert transcript.startswith("You said something that took 1.0 seconds")
    assert asked == "get_time"
    connection = secure.control.received()["connections"][0]
    assert (connection["auth"], connection["version"]) == ("header", "v1alpha")
    secure.control.reset()


def test_python_sdk_lists_the_models_of_every_page(secure: StandIn) -> None:
    secure.control.scenario("models-many", count=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        google = client(secure, "test-key")
        listed = [str(model.name) for model in google.models.list()]
        google.close()
    assert len(listed) == 60 + len(available([]))
    assert f"models/{MODEL}" in listed[50:]


def test_python_sdk_masks_in_snake_case_are_refused_by_name(secure: StandIn) -> None:
    config = types.CreateAuthTokenConfig(
        live_connect_constraints=types.LiveConnectConstraints(
            model=MODEL, config=types.LiveConnectConfig(response_modalities=[types.Modality.AUDIO])
        ),
        lock_additional_fields=["top_k"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        google = client(secure, "test-key")
        with pytest.raises(errors.ClientError, match=r"generationConfig\.top_k"):
            google.auth_tokens.create(config=config)
        secure.control.scenario("snake-masks")
        assert google.auth_tokens.create(config=config).name
        google.close()


def test_bad_keys_reach_the_caller_as_client_errors(secure: StandIn) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        google = client(secure, "invalid")
        with pytest.raises(errors.ClientError, match="API key not valid"):
            google.auth_tokens.create(config={"uses": 1})
        google.close()
