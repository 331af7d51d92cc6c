"""Spans of OpenTelemetry: requests, transactions and mints. Off, and not even imported, unless started.

Attributes hold fixed words and session ids: no token, no header, no address, no query. An exception leaves
its code and not its text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from broker.errors import Refusal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

_log = structlog.get_logger("broker.telemetry")


class _Process:
    """What belongs to one process: the exporter's thread does not survive a fork."""

    pid = 0
    provider: TracerProvider | None = None
    tracer: Any = None


def start(processor: SpanProcessor | None = None) -> None:
    """Once in each process, after the fork. Tests pass a `processor` that keeps the spans."""
    if processor is None and os.getpid() == _Process.pid:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("traces_not_installed", missing="live-broker[otel]")
        return
    own = Resource({SERVICE_NAME: "live-broker", SERVICE_VERSION: version("live-broker")})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    _Process.pid, _Process.provider = os.getpid(), provider
    _Process.tracer = provider.get_tracer("broker")


def stop() -> None:
    """Sends what is left. After it, spans are off."""
    provider, _Process.provider, _Process.tracer, _Process.pid = _Process.provider, None, None, 0
    if provider is not None:
        provider.shutdown()


@contextmanager
def span(name: str) -> Iterator[None]:
    """A part of the current request."""
    if _Process.tracer is None:
        yield
        return
    with (
        _Process.tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as current,
        _told(current),
    ):
        yield


@contextmanager
def request(headers: Mapping[str, str]) -> Iterator[None]:
    """The span of a request. `headers` are those of W3C Trace Context; the caller's trace goes on."""
    if _Process.tracer is None:
        yield
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(headers, Context())
    with (
        _Process.tracer.start_as_current_span(
            "request",
            context,
            SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as current,
        _told(current),
    ):
        yield


def note(attributes: Mapping[str, str | int], *, name: str | None = None, failed: bool = False) -> None:
    """Attributes of the current span, and its name if there is a better one."""
    if _Process.tracer is None:
        return
    from opentelemetry.trace import StatusCode, get_current_span

    current = get_current_span()
    current.set_attributes(dict(attributes))
    if name is not None:
        current.update_name(name)
    if failed:
        current.set_status(StatusCode.ERROR)


@contextmanager
def _told(current: Span) -> Iterator[None]:
    """Records the code of a refusal, or the type of another exception."""
    from opentelemetry.trace import StatusCode

    try:
        yield
    except Exception as error:
        code = error.code if isinstance(error, Refusal) else type(error).__name__
        current.set_attribute("error.type", code)
        current.set_status(StatusCode.ERROR)
        raise
