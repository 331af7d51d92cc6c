"""The strict reader alone: for any input it returns data or an error text."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.standin.protojson import BadMessage, load, read, to_snake
from broker.standin.records import Records, summary
from broker.standin.schema import MESSAGES

NAMES = sorted({spelling for m in MESSAGES.values() for name in m for spelling in (name, to_snake(name))})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


@given(ANYTHING, st.sampled_from(["ClientMessage", "AuthToken", "Setup"]))
def test_reads_or_reports_and_never_raises_anything_else(value: Any, message: str) -> None:
    found: dict[str, Any] = {}
    with suppress(BadMessage):
        found = read(message, value, "v1alpha")
    assert set(found) <= set(MESSAGES[message])


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_bytes_are_json_or_refused(raw: bytes | str) -> None:
    with suppress(BadMessage):
        json.dumps(load(raw))  # what is let through is JSON


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ({"context_window_compression": {"trigger_tokens": "9007199254740993"}}, 9007199254740993),
        ({"contextWindowCompression": {"triggerTokens": 5.0}}, 5),
    ],
)
def test_64_bit_integers_keep_every_digit(setup: dict[str, Any], expected: int) -> None:
    assert read("Setup", setup, "v1beta")["contextWindowCompression"]["triggerTokens"] == expected


def test_schema_types_in_either_case() -> None:
    for word in ("object", "OBJECT"):
        assert read("Schema", {"type": word}, "v1beta") == {"type": "OBJECT"}
    with pytest.raises(BadMessage, match="Invalid value at 'type'"):
        read("Schema", {"type": "song"}, "v1beta")


def test_enums_are_names_or_numbers() -> None:
    for name in ("AUDIO", 3):
        assert read("GenerationConfig", {"responseModalities": [name]}, "v1beta") == {
            "responseModalities": ["AUDIO"]
        }
    for value in (-1, 99, 1.0, True, "3"):
        with pytest.raises(BadMessage, match=r"v1beta\.Modality\), "):
            read("GenerationConfig", {"responseModalities": [value]}, "v1beta")


GOOGLE = "type.googleapis.com/google"


@pytest.mark.parametrize(
    ("message", "value", "text"),
    [
        (
            "AuthToken",
            {"expireTime": "soon"},
            f"at 'expire_time' ({GOOGLE}.protobuf.Timestamp), Field 'expireTime', Illegal timestamp format;",
        ),
        (
            "AuthToken",
            {"fieldMask": "generationConfig.top_p"},
            f"at 'field_mask' ({GOOGLE}.protobuf.FieldMask), Field 'fieldMask', "
            "Invalid path 'generationConfig.top_p'.",
        ),
        (
            "Setup",
            {"systemInstruction": "Hi"},
            f"at 'system_instruction' ({GOOGLE}.ai.generativelanguage.v1alpha.Content), \"Hi\"",
        ),
        (
            "AuthToken",
            {"bidiGenerateContentSetup": []},
            "at 'bidi_generate_content_setup' "
            f"({GOOGLE}.ai.generativelanguage.v1alpha.BidiGenerateContentSetup), []",
        ),
        ("FunctionResponse", {"response": [1]}, f"at 'response' ({GOOGLE}.protobuf.Struct), [1]"),
        ("AuthToken", {"uses": "many"}, "at 'uses' (TYPE_INT32), \"many\""),
    ],
)
def test_texts_have_googles_style(message: str, value: dict[str, Any], text: str) -> None:
    with pytest.raises(BadMessage) as fault:
        read(message, value, "v1alpha")
    assert fault.value.text.startswith(f"Invalid value {text}")


def test_null_means_unset() -> None:
    assert read("Setup", {"model": None, "tools": []}, "v1beta") == {"tools": []}


def test_records_hold_no_raw_bytes_and_stay_small() -> None:
    assert json.dumps(summary({"data": b"abc", "parts": [{"data": "AAAA"}]}))
    records = Records()
    about: dict[str, Any] = {"path": "", "method": "", "version": "", "auth": "", "token_sha256": None}
    first = records.open(**about, headers={})
    first.audio_out.extend(bytes(210_000_000))
    records.open(**about, headers={})
    assert first.audio_out  # still open: kept
    first.closed = {"by": "client"}
    records.open(**about, headers={})
    assert not first.audio_out
