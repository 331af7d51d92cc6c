"""The log for someone at a terminal: one plain line for each event, without the files of the pages.

A program reads JSON instead, because the fields of a plain line have no fixed places.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

_REQUEST = "request"
_KNOWN = {
    "event", "level", "logger", "timestamp", "exception", "request_id", "method", "route", "status", "code",
    "reason", "milliseconds", "issuer", "subject",
}  # fmt: skip
# The rules of the pages' files; see `http.pages`. A terminal would show dozens of them for each page.
_FILES = ("/<any(", "/assets/", "/favicon.ico")


def is_shown(record: logging.LogRecord) -> bool:
    """Whether a terminal shows the record: not the delivery of a file."""
    event = record.msg
    if not isinstance(event, Mapping) or event.get("event") != _REQUEST:
        return True
    return not (str(event.get("route")).startswith(_FILES) and event.get("status", 500) < 400)


def render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`09:15:02 POST /token 429 rate-limited alice 3 ms`. A traceback follows on lines of its own."""
    words = [_clock(event.get("timestamp"))]
    if (level := str(event.get("level", "info"))) != "info":
        words.append(level.upper())
    if event.get("event") == _REQUEST:
        words += _request(event)
    else:
        words.append(_text(event.get("event"), quoted=False))
    words += [f"{name}={_text(value)}" for name, value in event.items() if name not in _KNOWN]
    if event.get("event") != _REQUEST:
        words += [f"{name}={_text(event[name])}" for name in ("code", "reason") if name in event]
    trace = [_text(line, quoted=False) for line in str(event.get("exception") or "").splitlines()]
    return "\n".join([" ".join(filter(None, words)), *(f"    {line}" for line in trace)])


def _request(event: Mapping[str, Any]) -> list[str]:
    words = [_text(event.get(name), quoted=False) for name in ("method", "route", "status", "code")]
    if event.get("reason"):
        words.append(f"({_text(event['reason'], quoted=False)})")
    words.append(_text(event.get("subject")))
    if "milliseconds" in event:
        words.append(f"{event['milliseconds']:.0f} ms")
    return words


def _clock(timestamp: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(timestamp)).astimezone():%H:%M:%S}"
    except ValueError:
        return ""


def _text(value: object, *, quoted: bool = True) -> str:
    """Without control characters: a caller's text must not move the cursor or begin a line."""
    if value is None:
        return ""
    text = str(value)
    if not text.isprintable():
        return ascii(text)
    return repr(text) if quoted and (" " in text or not text) else text
