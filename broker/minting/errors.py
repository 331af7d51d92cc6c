"""Turns every failure of a call to Google into the one refusal that the caller gets.

No text from Google, the SDK or the HTTP library is passed on. The text of an error can be the whole body, and
Google's message for a suspended key contains the key. The log gets the name of the exception and Google's
status words, which must match a fixed alphabet.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from typing import Any

import httpcore2
import httpx2
from google.genai import errors

from broker.errors import Refusal
from broker.telemetry import clocks

QUOTA_RETRY_SECONDS = (20, 40)
LONGEST_DELAY_SECONDS = 86_400
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")
STATUS_WORD = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


class QuotaRefusal(Refusal):
    """Google's 429. `delay_seconds` is the time that Google asks us to wait, or None if it does not say."""

    def __init__(self, reason: str, delay_seconds: int | None) -> None:
        told = delay_seconds
        if told is None:
            told = random.randint(*QUOTA_RETRY_SECONDS)  # noqa: S311 - nothing secret # nosec B311
        super().__init__("upstream-quota", reason=reason, retry_after_seconds=told)
        self.delay_seconds = delay_seconds


def refusal_for(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, errors.APIError):
        return _for_status(error)
    timed_out = isinstance(error, (httpx2.TimeoutException, httpcore2.TimeoutException, TimeoutError))
    # Everything else means that Google was unreachable or its answer was unusable: refused and reset
    # connections, TLS errors, bodies that are not JSON, too deep or too large, and answers of another shape.
    return Refusal("upstream-timeout" if timed_out else "upstream-error", reason=type(error).__name__)


def _for_status(error: errors.APIError) -> Refusal:
    status = error.code if isinstance(error.code, int) else 0
    reason = " ".join([f"HTTP {status}", *_status_words(error.details)])
    if status == 429:
        # This is the quota of the Google project, not of the caller.
        return QuotaRefusal(reason, _delay_seconds(error))
    if status in (408, 504):
        return Refusal("upstream-timeout", reason=reason)
    if 400 <= status < 500:
        # The store's clock sets the times of a token, and Google's clock checks them.
        differences = clocks.differences() if status == 400 else []
        return Refusal("upstream-rejected", reason="; ".join([reason, *differences]))
    # This includes redirects. Following one would send the API key to another host.
    return Refusal("upstream-error", reason=reason)


def _delay_seconds(error: errors.APIError) -> int | None:
    """The delay in Google's RetryInfo, or in the header Retry-After. In whole seconds, at most a day."""
    texts = [row.get("retryDelay") for row in _detail_rows(error.details) if row.get("@type") == RETRY_INFO]
    headers = getattr(error.response, "headers", {})
    texts.append(f"{headers.get('Retry-After', '')}s")
    matches = (DURATION.fullmatch(text) for text in texts if isinstance(text, str))
    delays = [math.ceil(float(match[1])) for match in matches if match]
    return min(max(1, delays[0]), LONGEST_DELAY_SECONDS) if delays else None


def _detail_rows(details: Any) -> list[dict[str, Any]]:
    error = details.get("error") if isinstance(details, dict) else None
    rows = error.get("details") if isinstance(error, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _status_words(details: Any) -> Iterator[str]:
    """The status words in Google's error envelope, for example `INVALID_ARGUMENT API_KEY_INVALID`."""
    error = details.get("error") if isinstance(details, dict) else None
    if not isinstance(error, dict):
        return
    reasons = [row.get("reason") for row in _detail_rows(details)]
    for word in (error.get("status"), *reasons):
        if isinstance(word, str) and STATUS_WORD.fullmatch(word):
            yield word
