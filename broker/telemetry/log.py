"""Structured logs on stderr, without secrets: one JSON object per line, or plain lines at a terminal.

Events are constant words with fields. Redaction is the last step before a line is written, so it also covers
tracebacks and the lines of libraries.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from broker.telemetry import plain_lines
from broker.telemetry.request_context import current_request_id
from broker.telemetry.stderr import StderrHandler

# Below WARNING, client libraries log every request; at DEBUG also headers and bodies, which contain keys.
QUIET = ("google_genai", "httpx2", "httpcore2", "urllib3", "sqlalchemy", "alembic", "flask-limiter")
_MAX_FIELD = 2000
_SHAPES = re.compile(
    r"auth_tokens/[A-Za-z0-9._~%-]+"  # Live API tokens
    r"|AIza[A-Za-z0-9_-]{20,}|AQ\.[A-Za-z0-9_-]{10,}"  # Google API keys
    r"|lbk_[a-z0-9]{12}_[A-Za-z0-9]+"  # service keys of the broker
    r"|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # JWTs
    r"|(?<=://)[^\s\"]+(?=@)"  # user and password in a URL, which may contain an "@" themselves
    r"|(?i:(?<=bearer ))[A-Za-z0-9._~+/=-]{8,}"
)
_REDACTED = "[redacted]"


def _cap(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > _MAX_FIELD and key != "exception":
            event[key] = value[:_MAX_FIELD] + "…"
    return event


def _add_request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if request_id := current_request_id():
        event.setdefault("request_id", request_id)
    return event


_SHARED: list[Processor] = [
    _add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _cap,
]


def configure(level: str, secrets: Iterable[str] = ()) -> None:
    """Set up logging for this process. `secrets` are exact strings that no line may contain."""
    global _redactor
    secrets = list(secrets)
    _redactor = Redactor(secrets)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = StderrHandler()
    handler.setFormatter(formatter(secrets))
    if sys.stderr.isatty():
        handler.addFilter(plain_lines.is_shown)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Lines show neither, and looking for the caller takes a tenth of a line's time.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(secrets: Iterable[str] = ()) -> logging.Formatter:
    """Turns any log record into one redacted line. Gunicorn's loggers use it too."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            plain_lines.render if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
            Redactor(secrets),
        ],
    )


class Redactor:
    """A structlog processor that redacts the finished line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        exact = sorted({s for s in secrets if len(s) >= 6}, key=len, reverse=True)
        self._exact = re.compile("|".join(map(re.escape, exact))) if exact else None

    def __call__(self, _logger: Any, _method: str, line: Any) -> str:
        text = str(line)
        if self._exact:
            text = self._exact.sub(_REDACTED, text)
        return _SHAPES.sub(_REDACTED, text)


_redactor = Redactor(())


def redact(text: str) -> str:
    """A text of a caller as it may be stored: without the secrets of this process, keys and tokens."""
    return _redactor(None, "", text)
