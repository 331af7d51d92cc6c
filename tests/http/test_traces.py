"""Traces: the caller's trace goes on, the spans of a token, no secret in them, and workers of gunicorn."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from broker.settings.variables import traces_wanted
from broker.standin import StandIn
from broker.telemetry import traces
from tests.conftest import MakeBroker
from tests.http.conftest import MakeApp, bearer
from tests.support.http_server import Answer, HttpServer, Request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Apps that are made now write their spans here."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    exporter = InMemorySpanExporter()
    traces.start(SimpleSpanProcessor(exporter))
    yield exporter
    traces.stop()


def named(spans: tuple[ReadableSpan, ...]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def test_spans_of_a_token_are_in_the_callers_trace(make_app: MakeApp, memory: InMemorySpanExporter) -> None:
    app = make_app()
    alice = bearer(app)
    memory.clear()
    answer = app.test_client().post("/token", headers=alice | TRACEPARENT)
    assert answer.status_code == 200
    spans = memory.get_finished_spans()
    found = named(spans)
    assert set(found) == {"POST /token", "mint", "store read", "store write"}
    request = found["POST /token"]
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 200,
        "broker.session_id": answer.get_json()["session"]["id"],
    }
    assert request.parent
    assert request.parent.span_id == int(PARENT, 16)
    assert {span.context.trace_id for span in spans if span.context} == {int(TRACE, 16)}
    assert all(span.parent and span.parent.span_id for span in spans)
    shown = " ".join(span.to_json() for span in spans)
    for secret in (answer.get_json()["token"], alice["Authorization"].split()[1], "127.0.0.1"):
        assert secret not in shown


def test_failed_mint_is_an_error_with_a_code(make_app: MakeApp, memory: InMemorySpanExporter) -> None:
    with StandIn() as google:
        app = make_app(live_url=google.url)
        alice = bearer(app)
        google.control.scenario("mint-status", status=500, message="the text of Google")
        memory.clear()
        assert app.test_client().post("/token", headers=alice).status_code == 502
        assert "traceparent" not in str(google.control.received()["mints"]).lower()
    found = named(memory.get_finished_spans())
    assert found["mint"].attributes == {"error.type": "upstream-error"}
    assert not found["mint"].status.is_ok
    assert not found["POST /token"].status.is_ok
    assert "the text of Google" not in " ".join(span.to_json() for span in found.values())


def test_unknown_address_and_session_leave_no_text(make_app: MakeApp, memory: InMemorySpanExporter) -> None:
    app = make_app()
    alice = bearer(app)
    memory.clear()
    app.test_client().get("/no-such-place?key=secret", headers={"traceparent": "nonsense"})
    app.test_client().post("/sessions/ses_other/heartbeat", headers=alice)
    spans = memory.get_finished_spans()
    assert {"GET none", "POST /sessions/<session_id>/heartbeat"} <= set(named(spans))
    shown = " ".join(span.to_json() for span in spans)
    assert "no-such-place" not in shown
    assert "secret" not in shown
    assert "ses_other" not in shown


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "voice"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_standard_variables_switch_traces_on(environ: dict[str, str], wanted: bool) -> None:
    assert traces_wanted(environ) is wanted


def test_nothing_of_it_is_imported_by_default() -> None:
    """The client of Redis imports the metrics of the SDK by itself, where they are installed."""
    code = "import sys, broker.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"opentelemetry.sdk.trace", "opentelemetry.exporter"} & set(done.stdout.split())


def test_traces_that_are_wanted_but_not_installed_are_a_warning() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from broker.telemetry import log, traces\n"
        "log.configure('INFO'); traces.start()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "traces_not_installed" in done.stderr


class Receiver(HttpServer):
    """A collector of OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[int, str]] = []
        """(process, name of the span)."""

    def answer_to(self, request: Request) -> Answer:
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert told["service.name"] == "voice"
            for scope in resource.scope_spans:
                self.names += [(id(resource), span.name) for span in scope.spans]
        return 200, {"Content-Type": "application/x-protobuf"}, b""


def test_workers_of_gunicorn_export_after_the_fork(standin: StandIn, make_broker: MakeBroker) -> None:
    with Receiver() as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_SERVICE_NAME": "voice",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "NO_PROXY": "127.0.0.1",
        }
        broker = make_broker(standin.url, workers=2, env=env)
        broker.add_user("alice")
        with broker.client("alice") as http:
            for _ in range(6):
                assert http.post("/token").status_code == 200
        until = time.monotonic() + 30
        while sum(name == "mint" for _, name in receiver.names) < 6 and time.monotonic() < until:
            time.sleep(0.05)
        names = [name for _, name in receiver.names]
        assert names.count("POST /token") == names.count("mint") == 6
        broker.close()
