"""From anything that can go wrong in a call to Google to the one refusal that the caller gets.

Nothing of what Google, the SDK or the HTTP library said is passed on: an error's text can be the whole body,
and Google's own message for a suspended key contains the key. The log gets the exception's name and, from a
fixed alphabet, Google's status words.
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
WORD = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


def refusal_for(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, errors.APIError):
        return _for_status(error)
    timed_out = isinstance(error, (httpx2.TimeoutException, httpcore2.TimeoutException, TimeoutError))
    # Everything else is an upstream that could not be reached or made no sense: refused and reset
    # connections, TLS faults, bodies that are no JSON, too deep or too large, answers of another shape.
    return Refusal("upstream-timeout" if timed_out else "upstream-error", reason=type(error).__name__)


def _for_status(error: errors.APIError) -> Refusal:
    status = error.code if isinstance(error.code, int) else 0
    reason = " ".join([f"HTTP {status}", *_words(error.details)])
    if status == 429:
        # The project's quota, not the caller's allowance; Google names no time.
        retry_after = random.randint(*QUOTA_RETRY_SECONDS)  # noqa: S311 - nothing secret
        return Refusal("upstream-quota", reason=reason, retry_after_seconds=retry_after)
    if status in (408, 504):
        return Refusal("upstream-timeout", reason=reason)
    if 400 <= status < 500:
        return Refusal("upstream-rejected", reason=reason)
    # Redirects too: followed, they would carry the API key to another host.
    return Refusal("upstream-error", reason=reason)


def _words(details: Any) -> Iterator[str]:
    """`INVALID_ARGUMENT API_KEY_INVALID` and the like, out of Google's error envelope."""
    error = details.get("error") if isinstance(details, dict) else None
    if not isinstance(error, dict):
        return
    rows = error.get("details")
    reasons = [row.get("reason") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    for word in (error.get("status"), *reasons):
        if isinstance(word, str) and WORD.fullmatch(word):
            yield word
