"""Turns every failure of a call to Google into the one refusal that the caller gets.

No text from Google, the SDK or the HTTP library is passed on. The text of an error can be the whole body, and
Google's message for a suspended key contains the key. The log gets the name of the exception and Google's
status words, which must match a fixed alphabet.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import httpcore2
import httpx2
from google.genai import errors

from broker.errors import Refusal

QUOTA_RETRY_SECONDS = (20, 40)
STATUS_WORD = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


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
        # This is the quota of the Google project, not of the caller. Google does not say when to retry.
        retry_after = random.randint(*QUOTA_RETRY_SECONDS)  # noqa: S311 - nothing secret
        return Refusal("upstream-quota", reason=reason, retry_after_seconds=retry_after)
    if status in (408, 504):
        return Refusal("upstream-timeout", reason=reason)
    if 400 <= status < 500:
        return Refusal("upstream-rejected", reason=reason)
    # This includes redirects. Following one would send the API key to another host.
    return Refusal("upstream-error", reason=reason)


def _status_words(details: Any) -> Iterator[str]:
    """The status words in Google's error envelope, for example `INVALID_ARGUMENT API_KEY_INVALID`."""
    error = details.get("error") if isinstance(details, dict) else None
    if not isinstance(error, dict):
        return
    rows = error.get("details")
    reasons = [row.get("reason") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    for word in (error.get("status"), *reasons):
        if isinstance(word, str) and STATUS_WORD.fullmatch(word):
            yield word
