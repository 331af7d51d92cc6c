"""The stand-in knows every field that google-genai sends over Live: each one is set alone, and converted."""

from __future__ import annotations

import enum
import json
import ssl
import types as python_types
import typing
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel

from broker.minting.model_rules import camel
from broker.standin.protojson import read
from broker.standin.schema import MESSAGES

FREE = {types.Content, types.Part, types.HttpOptions}
"""Not set by `samples`: the SDK takes them in other forms. Names of the first two are compared below."""
TABLES = {
    types.Blob: "Blob",
    types.Content: "Content",
    types.FunctionResponse: "FunctionResponse",
    types.Part: "Part",
}
# What the report of the newest SDK named.
KNOWN = [
    "input_audio_transcription.diarization",
    "input_audio_transcription.word_timestamp",
    "input_audio_transcription.language_auto",
    "realtime_input_config.interim_transcript_timestamp_enabled",
    "tools.function_declarations.parameters.additional_properties",
    "tools.computer_use.environment",
    "tools.file_search.top_k",
    "tools.mcp_servers.name",
]


def samples(annotation: Any, around: tuple[Any, ...] = ()) -> Iterator[Any]:
    """JSON values of a type. Of a message: one for each of its fields, with nothing else set."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Annotated, typing.Union, python_types.UnionType):
        yield from samples(arguments[0], around)
    elif origin is list or annotation is list:
        yield from ([value] for value in samples(arguments[0] if arguments else types.Tool, around))
    elif origin is dict:
        yield from ({"key": value} for value in samples(arguments[1], around))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in FREE or annotation in around:
            return
        if not annotation.model_fields:
            yield {}
        for name, field in annotation.model_fields.items():
            yield from ({name: value} for value in samples(field.annotation, (*around, annotation)))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield list(annotation)[-1].value  # the newest
    else:
        yield {bool: True, int: 1, float: 1, bytes: "AAAA", Any: True}.get(annotation, "text")


def place(value: Any) -> str:
    """The names on the way to the field that is set."""
    while isinstance(value, list):
        value = value[0]
    if not isinstance(value, dict) or not value:
        return ""
    [(name, inner)] = value.items()
    return f"{name}.{place(inner)}".rstrip(".")


@pytest.fixture(scope="module")
def sent() -> Iterator[Callable[[dict[str, Any]], dict[str, Any] | None]]:
    """The setup that the SDK sends for a configuration; None if it refuses that for the Gemini API."""
    bodies: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.read()))
        return httpx2.Response(200, json={"name": "auth_tokens/recorded"})

    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = types.HttpOptions(
        base_url="http://nowhere.invalid",
        client_args={"transport": httpx2.MockTransport(answer), "verify": trust, "trust_env": False},
        async_client_args={"verify": trust, "ssl": trust, "trust_env": False},
    )
    client = genai.Client(vertexai=False, api_key="unused", http_options=options)

    def convert(config: dict[str, Any]) -> dict[str, Any] | None:
        try:
            parsed = types.LiveConnectConfig.model_validate_json(json.dumps(config))
            constraints = types.LiveConnectConstraints(model="models/any", config=parsed)
            wanted = types.CreateAuthTokenConfig(live_connect_constraints=constraints)
            client.auth_tokens.create(config=wanted)
        except ValueError:
            return None
        setup: dict[str, Any] = bodies.pop()["bidiGenerateContentSetup"]
        return setup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield convert
    client.close()


def test_every_field_that_the_sdk_sends_is_known(
    sent: Callable[[dict[str, Any]], dict[str, Any] | None],
) -> None:
    seen = set()
    for config in samples(types.LiveConnectConfig):
        setup = sent(config)
        if setup is not None:
            read("Setup", setup, "v1alpha")
            seen.add(place(config))
    assert set(KNOWN) <= seen
    assert len(seen) > 100


@pytest.mark.parametrize("message", TABLES, ids=lambda message: message.__name__)
def test_messages_have_every_name_of_the_sdk(message: type[BaseModel]) -> None:
    assert {camel(name) for name in message.model_fields} <= set(MESSAGES[TABLES[message]])
