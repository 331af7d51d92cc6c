"""Log lines are one JSON object each, contain no secret, and have limited fields."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from broker.telemetry import log

REDACTED = "[redacted]"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


def line(message: str, *, secrets: tuple[str, ...] = (), exc_info: Any = None) -> str:
    """The formatted line of one record, as the loggers of libraries write it."""
    record = logging.LogRecord("library", logging.INFO, __file__, 1, message, (), exc_info)
    return log.formatter(secrets).format(record)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("got auth_tokens/0123456789abcdef", f"got {REDACTED}"),
        ("key AIzaSyA0123456789-0123456789_abcdefg", f"key {REDACTED}"),
        ("key AQ.Ab8RN6L0123456789_x", f"key {REDACTED}"),
        ("key lbk_h3k9x2m7q4ab_0123ABCabc", f"key {REDACTED}"),
        (f"cookie {JWT};", f"cookie {REDACTED};"),
        ("postgresql://me:hunter2@db/x", f"postgresql://{REDACTED}@db/x"),
        ("redis://:hunter2@cache", f"redis://{REDACTED}@cache"),
        ("Authorization: Bearer opaque-token-1", f"Authorization: Bearer {REDACTED}"),
        ("authorization: bearer opaque-token-1", f"authorization: bearer {REDACTED}"),
        ("/ws?access_token=auth_tokens/abc&x=1", f"/ws?access_token={REDACTED}&x=1"),
    ],
)
def test_every_secret_shape_is_redacted(text: str, expected: str) -> None:
    assert json.loads(line(text))["event"] == expected


@pytest.mark.parametrize(
    "text",
    ["https://id.example/keys", "alice@example.com", "12:30:45", "bearer", "AIza", "lbk_h3k9x2m7q4ab"],
)
def test_harmless_text_is_kept(text: str) -> None:
    assert json.loads(line(text))["event"] == text


def test_exact_secrets_are_redacted_everywhere() -> None:
    written = line("secret is correct-horse", secrets=("correct-horse", "correct-horse-battery"))
    assert json.loads(written)["event"] == f"secret is {REDACTED}"
    written = line("secret is correct-horse-battery", secrets=("correct-horse", "correct-horse-battery"))
    assert json.loads(written)["event"] == f"secret is {REDACTED}", "the longer secret is redacted whole"


def test_short_strings_are_not_treated_as_secrets() -> None:
    """A secret of a few characters would redact parts of every line."""
    assert json.loads(line("all is well", secrets=("", "all")))["event"] == "all is well"


def test_secret_in_a_traceback_is_redacted() -> None:
    try:
        raise ValueError("auth_tokens/0123456789abcdef")
    except ValueError:
        written = line("failed", exc_info=sys.exc_info())
    assert "0123456789abcdef" not in written
    assert f"ValueError: {REDACTED}" in json.loads(written)["exception"]


def test_long_field_is_cut() -> None:
    written = json.loads(line("x" * 5000))
    assert written["event"] == "x" * 2000 + "…"


def test_long_traceback_is_kept_whole() -> None:
    try:
        raise ValueError("x" * 5000)
    except ValueError:
        written = json.loads(line("failed", exc_info=sys.exc_info()))
    assert "x" * 5000 in written["exception"]


@pytest.mark.parametrize("text", ["two\nlines", "carriage\rreturn", "nul\0", "escape\x1b[2J", "\u2028"])
def test_control_characters_cannot_break_the_line(text: str) -> None:
    written = line(text)
    assert written.isprintable()
    assert json.loads(written)["event"] == text
