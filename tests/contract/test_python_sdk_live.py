"""google-genai's Live client, unchanged, connects with a token from POST /token and holds a conversation.

It requires TLS and sends the token in a header (`Authorization: Token …`), which browsers cannot. So this
also tests that form of authentication.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google import genai
from google.genai import errors, live, types

from tests.contract import speech
from tests.contract.apart import run
from tests.contract.conftest import AskToken, Upstream

pytestmark = pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning")
TURN_SECONDS = 60


@asynccontextmanager
async def connected(token: dict[str, Any], upstream: Upstream) -> AsyncIterator[live.AsyncSession]:
    options = types.HttpOptions(
        base_url=upstream.url,
        api_version=token["api_version"],
        async_client_args={"ssl": upstream.tls} if upstream.tls else None,
    )
    client = genai.Client(vertexai=False, api_key=token["token"], http_options=options)
    config = types.LiveConnectConfig(response_modalities=[types.Modality.AUDIO])
    async with client.aio.live.connect(model=token["model"], config=config) as session:
        yield session


async def one_turn(session: live.AsyncSession) -> list[types.LiveServerMessage]:
    """Returns every message up to the end of the turn."""
    async with asyncio.timeout(TURN_SECONDS):
        return [message async for message in session.receive()]


def audio_of(messages: list[types.LiveServerMessage]) -> bytes:
    return b"".join(message.data or b"" for message in messages)


def test_typed_line_is_answered_with_audio(ask_token: AskToken, tls_upstream: Upstream) -> None:
    token = ask_token()

    async def talk() -> list[types.LiveServerMessage]:
        async with connected(token, tls_upstream) as session:
            await session.send_client_content(
                turns=types.Content(role="user", parts=[types.Part(text="Hello there.")]), turn_complete=True
            )
            return await one_turn(session)

    messages = run(talk())
    assert messages[-1].server_content
    assert messages[-1].server_content.turn_complete
    assert len(audio_of(messages)) > 4800, "more than a tenth of a second"
    if tls_upstream.standin:
        record = tls_upstream.standin.control.received()["connections"][-1]
        assert record["auth"] == "header"
        assert record["version"] == "v1alpha"
        assert record["method"] == "BidiGenerateContentConstrained"
        assert record["token_sha256"] == hashlib.sha256(token["token"].encode()).hexdigest()
        assert audio_of(messages) == tls_upstream.standin.control.sent_audio()


def test_spoken_sentence_is_heard_and_answered(ask_token: AskToken, tls_upstream: Upstream) -> None:
    sentence = speech.spoken()
    said = speech.silence(0.2) + sentence + speech.silence(1.4)

    async def speak(session: live.AsyncSession) -> None:
        for chunk in speech.chunks(said):
            await session.send_realtime_input(audio=types.Blob(data=chunk, mime_type="audio/pcm;rate=16000"))
            await asyncio.sleep(0.02)

    async def talk() -> list[types.LiveServerMessage]:
        async with connected(ask_token(), tls_upstream) as session:
            speaking = asyncio.create_task(speak(session))
            messages = await one_turn(session)
            await speaking
            return messages

    messages = run(talk())
    contents = [message.server_content for message in messages if message.server_content]
    heard = "".join(c.input_transcription.text or "" for c in contents if c.input_transcription)
    answered = "".join(c.output_transcription.text or "" for c in contents if c.output_transcription)
    assert heard
    assert answered
    assert audio_of(messages)
    if tls_upstream.standin:
        control = tls_upstream.standin.control
        assert control.received_audio() == said, "every chunk, in order"
        assert audio_of(messages) == control.sent_audio()


def test_sdk_cannot_change_locked_fields(ask_token: AskToken, tls_upstream: Upstream) -> None:
    """The client's setup cannot replace the profile's. It is ignored without an error."""
    token = ask_token()

    async def talk() -> None:
        options = types.HttpOptions(
            base_url=tls_upstream.url,
            api_version=token["api_version"],
            async_client_args={"ssl": tls_upstream.tls} if tls_upstream.tls else None,
        )
        client = genai.Client(vertexai=False, api_key=token["token"], http_options=options)
        config = types.LiveConnectConfig(
            response_modalities=[types.Modality.AUDIO],
            system_instruction="Talk like a pirate.",
            tools=[types.Tool(google_search=types.GoogleSearch())],
        )
        async with client.aio.live.connect(model=token["model"], config=config) as session:
            await session.send_realtime_input(text="Hello.")
            await one_turn(session)

    run(talk())
    if tls_upstream.standin:
        record = tls_upstream.standin.control.received()["connections"][-1]
        assert "pirate" in str(record["setup"])
        assert "pirate" not in str(record["effective_setup"])
        assert "googleSearch" not in str(record["effective_setup"])
        assert "friendly tone" in str(record["effective_setup"])


def test_token_opens_one_connection(ask_token: AskToken, tls_upstream: Upstream) -> None:
    token = ask_token()

    async def open_once() -> None:
        async with connected(token, tls_upstream) as session:
            await session.send_realtime_input(text="Hello.")
            await one_turn(session)

    run(open_once())
    with pytest.raises(errors.APIError, match="used too many times"):
        run(open_once())
