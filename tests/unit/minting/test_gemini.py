"""GeminiMinter on real sockets: it returns a token, or raises one refusal for every kind of failure."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from google import genai
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.minting.gemini import GeminiMinter
from broker.minting.minter import MintedToken
from broker.minting.transport import BoundedTransport
from broker.profiles.profile import Profile
from broker.standin import StandIn
from broker.standin.certificate import make_certificate
from tests.support import upstream as behaviours
from tests.support.upstream import NAME, Behaviour, Upstream, text

KEY = "AQ.canary-" + secrets.token_hex(12)
PROFILE = Profile(name="p", models=("gemini-3.8-live",), config={"response_modalities": ["AUDIO"]})
TOTAL = PROFILE.model_copy(update={"name": "t", "lock": "total"})
MANUAL = {"realtime_input_config": {"automatic_activity_detection": {"disabled": True}}}
PRESS_TO_TALK = PROFILE.model_copy(update={"name": "ptt", "config": {**PROFILE.config, **MANUAL}})
FUNCTIONS = [{"name": "wait", "description": "canary", "behavior": "BLOCKING"}, {"name": "tell"}]
HINTS = {
    "tools": [{"function_declarations": FUNCTIONS}],
    "history_config": {"initial_history_in_client_content": True},
}
WITH_HINTS = PROFILE.model_copy(update={"name": "hints", "config": {**PROFILE.config, **HINTS}})
MakeMinter = Callable[..., GeminiMinter]


@pytest.fixture
def google() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def make() -> Iterator[MakeMinter]:
    made: list[GeminiMinter] = []

    def build(url: str, **more: Any) -> GeminiMinter:
        options: dict[str, Any] = {"profiles": [PROFILE, TOTAL, PRESS_TO_TALK, WITH_HINTS]}
        options |= {"max_concurrent": 8, "deadline_seconds": 5.0}
        made.append(GeminiMinter(api_key=KEY, base_url=url, **{**options, **more}))
        return made[-1]

    yield build
    for minter in made:
        minter.close()


def mint(minter: GeminiMinter, profile: Profile = PROFILE, handle: str | None = None) -> MintedToken:
    now = datetime.now(UTC)
    token_plan = minter.token_plan(profile, handle)
    return minter.mint(
        profile,
        token_plan,
        expires_at=now + timedelta(minutes=15),
        connect_by=now + timedelta(minutes=2),
        handle=handle,
    )


def refused(minter: GeminiMinter) -> Refusal:
    with pytest.raises(Refusal) as raised:
        mint(minter)
    refusal = raised.value
    output = "".join(traceback.format_exception(refusal)) + str(vars(refusal))
    assert KEY not in output
    assert "canary" not in output
    assert refusal.detail is None, "the caller sees no text from Google"
    return refusal


def test_minter_gets_a_token_from_the_stand_in(make: MakeMinter) -> None:
    with StandIn(port=0) as standin:
        token = mint(make(standin.url))
        again = mint(make(standin.url), TOTAL, "handle-1")
    assert token.name.startswith("auth_tokens/")
    assert token.name != again.name
    assert token.name not in repr(token)


def test_model_beyond_the_first_page_of_the_list_is_found(make: MakeMinter) -> None:
    """Google lists 50 models a page. A look-up of one model depends on no page."""
    models = ("gemini-of-tomorrow", "gemini-3.8-live")
    profile = PROFILE.model_copy(update={"models": models})
    with StandIn(port=0) as standin:
        standin.control.scenario("models-many", count=120)
        minter = make(standin.url, profiles=[profile])
        assert minter.token_plan(profile).model == "models/gemini-3.8-live"
        asked = [request["path"] for request in standin.control.received()["other"]]
    assert asked == [f"/v1alpha/models/{name}" for name in models]


def test_token_plan_contains_the_first_frame(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    first = {"model": "models/gemini-3.8-live", "generationConfig": {"responseModalities": ["AUDIO"]}}
    assert minter.token_plan(PROFILE).setup == {**first, "sessionResumption": {}}
    assert minter.token_plan(PROFILE, "h1").setup == {**first, "sessionResumption": {"handle": "h1"}}
    assert minter.token_plan(TOTAL, "h1").setup == first
    manual = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
    assert minter.token_plan(PRESS_TO_TALK).setup == {**first, **manual, "sessionResumption": {}}
    assert "realtimeInputConfig" in minter.token_plan(PRESS_TO_TALK).locked
    hints = minter.token_plan(WITH_HINTS).setup
    assert hints["tools"] == [{"functionDeclarations": [{"name": "wait", "behavior": "BLOCKING"}]}]
    assert hints["historyConfig"] == {"initialHistoryInClientContent": True}
    assert {"tools", "historyConfig"} <= set(minter.token_plan(WITH_HINTS).locked)
    assert "sessionResumption" not in minter.token_plan(PROFILE).locked
    assert "sessionResumption" in minter.token_plan(TOTAL).locked


def test_only_the_total_lock_puts_the_handle_into_the_token(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    mint(minter, PROFILE, "h1")
    assert "sessionResumption" not in google.mints[-1].body["bidiGenerateContentSetup"]
    mint(minter, TOTAL, "h1")
    assert google.mints[-1].body["bidiGenerateContentSetup"]["sessionResumption"] == {"handle": "h1"}
    mint(minter, TOTAL)
    assert google.mints[-1].body["bidiGenerateContentSetup"]["sessionResumption"] == {}


def test_request_for_a_token_is_the_one_of_the_sdk(make: MakeMinter, google: Upstream) -> None:
    """The broker writes the body and keeps the SDK's URL and headers. Both must stay what the SDK sends."""
    minter = make(google.url)
    expires_at = datetime(2026, 11, 30, 12, 34, 56, 789_000, UTC)
    times: dict[str, Any] = {
        "expires_at": expires_at,
        "connect_by": expires_at - timedelta(minutes=13, microseconds=7),
    }
    minter.mint(WITH_HINTS, minter.token_plan(WITH_HINTS), **times)
    setup = google.mints[-1].body["bidiGenerateContentSetup"]
    mask = google.mints[-1].body["fieldMask"]
    options = types.HttpOptions(base_url=google.url, api_version="v1alpha", timeout=5000)
    with genai.Client(api_key=KEY, http_options=options) as client:
        client.auth_tokens.create(
            config=types.CreateAuthTokenConfig(
                uses=1,
                expire_time=times["expires_at"],
                new_session_expire_time=times["connect_by"],
                http_options=types.HttpOptions(
                    extra_body={"bidiGenerateContentSetup": setup, "fieldMask": mask}
                ),
            )
        )
    ours, sdk = google.mints[-2:]
    assert (ours.path, json.dumps(ours.body)) == (sdk.path, json.dumps(sdk.body))
    assert ours.headers == {**sdk.headers, "accept-encoding": "identity"}


def test_retired_model_is_skipped(make: MakeMinter, google: Upstream) -> None:
    google.models["gone-live"] = text('{"error":{"code":404,"status":"NOT_FOUND"}}', 404)
    google.models["text-only"] = text('{"name":"models/x","supportedGenerationMethods":["generateContent"]}')
    profile = PROFILE.model_copy(update={"models": ("gone-live", "text-only", "gemini-3.8-live")})
    minter = make(google.url, profiles=[profile])
    mint(minter, profile)
    mint(minter, profile)
    assert google.mints[-1].body["bidiGenerateContentSetup"]["model"] == "models/gemini-3.8-live"
    assert len(google.seen) == 3 + 2, "one look-up for each model, not for each token"


def test_times_without_time_zone_raise_value_error(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    naive = datetime.now(UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        minter.mint(PROFILE, minter.token_plan(PROFILE), expires_at=naive, connect_by=datetime.now(UTC))
    assert not google.mints


ENVELOPE = '{{"error":{{"code":{0},"message":"Key {1} is suspended.","status":"{2}"}}}}'


def envelope(status: int, word: str) -> Behaviour:
    return text(ENVELOPE.format(status, KEY, word), status)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (envelope(400, "INVALID_ARGUMENT"), "upstream-rejected"),
        (envelope(401, "UNAUTHENTICATED"), "upstream-rejected"),
        (envelope(403, "PERMISSION_DENIED"), "upstream-rejected"),
        (text("", 404), "upstream-rejected"),
        (text("<h1>gone", 410, "Content-Type: text/html"), "upstream-rejected"),
        (text(b"\xff\xfe", 401), "upstream-rejected"),
        (text("[" * 60_000, 403), "upstream-rejected"),
        (text('"a string"', 400), "upstream-rejected"),
        (envelope(429, "RESOURCE_EXHAUSTED"), "upstream-quota"),
        (envelope(500, "INTERNAL"), "upstream-error"),
        (envelope(503, "UNAVAILABLE"), "upstream-error"),
        (text("", 502), "upstream-error"),
        (text("", 504), "upstream-timeout"),
        (text('{"name":"auth_tokens/0123456789"}', 201), "upstream-error"),
        (text(""), "upstream-error"),
        (text("{}"), "upstream-error"),
        (text("[]"), "upstream-error"),
        (text("null"), "upstream-error"),
        (text("not json"), "upstream-error"),
        (text(b"\xff\xfe\x00"), "upstream-error"),
        (text("[" * 60_000), "upstream-error"),
        (text('{"name":17}'), "upstream-error"),
        (text('{"name":"auth_tokens/"}'), "upstream-error"),
        (text('{"name":"auth_tokens/short"}'), "upstream-error"),
        (text('{"name":"auth_tokens/0123456789\\n"}'), "upstream-error"),
        (text('{"name":"auth_tokens/0123456789?key=1"}'), "upstream-error"),
        (text('{"name":"models/0123456789abcdef"}'), "upstream-error"),
        (text('{"name":"auth_tokens/' + "a" * 600 + '"}'), "upstream-error"),
        (text(b"\x1f\x8b\x08\x00", 200, "Content-Encoding: gzip"), "upstream-error"),
        (text(" " * 70_000 + '{"name":"auth_tokens/0123456789"}'), "upstream-error"),
        (behaviours.flood, "upstream-error"),
        (behaviours.reset, "upstream-error"),
        (behaviours.leave, "upstream-error"),
        (behaviours.cut_short, "upstream-error"),
        (behaviours.no_http, "upstream-error"),
    ],
)
def test_every_bad_answer_becomes_one_refusal(
    make: MakeMinter, google: Upstream, behaviour: Behaviour, code: str
) -> None:
    google.behaviour = behaviour
    refusal = refused(make(google.url))
    assert refusal.code == code
    assert len(google.mints) == 1, "no retries"
    if refusal.status == 503:
        assert (refusal.retry_after_seconds or 0) >= 1


def test_reason_contains_only_googles_status_words(make: MakeMinter, google: Upstream) -> None:
    details = [{"reason": "API_KEY_INVALID"}, {"reason": KEY}, 3]
    error = {"code": 400, "message": f"Bad key {KEY}", "status": "INVALID_ARGUMENT", "details": details}
    google.behaviour = text(json.dumps({"error": error}), 400)
    assert refused(make(google.url)).reason == "HTTP 400 INVALID_ARGUMENT API_KEY_INVALID"


@pytest.mark.parametrize("behaviour", [behaviours.hang, behaviours.drip_headers, behaviours.drip_body])
def test_deadline_covers_the_whole_request(make: MakeMinter, google: Upstream, behaviour: Behaviour) -> None:
    """Each of these takes a minute. A timeout for each read never fires while bytes keep arriving."""
    google.behaviour = behaviour
    minter = make(google.url, deadline_seconds=0.4)
    started = time.monotonic()
    assert refused(minter).code == "upstream-timeout"
    assert time.monotonic() - started < 10


def test_deadline_covers_the_model_look_up(make: MakeMinter, google: Upstream) -> None:
    google.models["gemini-3.8-live"] = behaviours.drip_body
    assert refused(make(google.url, deadline_seconds=0.4)).code == "upstream-timeout"
    assert not google.mints


def test_deadline_covers_the_tls_handshake(make: MakeMinter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert refused(make(url, deadline_seconds=0.4)).code == "upstream-timeout"


def test_refused_connection_is_an_upstream_error(make: MakeMinter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert refused(make(f"http://127.0.0.1:{port}")).code == "upstream-error"


def test_certificate_must_be_trusted_and_match_the_name(
    make: MakeMinter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The CA file is the only connection setting that the environment can change."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Upstream(tls=context) as google, Upstream(tls=context, host="127.0.0.2") as other:
        assert refused(make(google.url)).code == "upstream-error"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert mint(make(google.url)).name == NAME
        assert refused(make(other.url)).code == "upstream-error"
        assert other.seen == [], "the key went only to the right server"


def test_redirects_are_not_followed(make: MakeMinter, google: Upstream) -> None:
    with Upstream() as thief:
        for status in (301, 302, 303, 307, 308):
            google.behaviour = text("", status, f"Location: {thief.url}/v1alpha/auth_tokens")
            assert refused(make(google.url)).code == "upstream-error"
        assert thief.seen == []


def test_environment_cannot_redirect_requests(
    make: MakeMinter, google: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings reject these variables at start. The client also ignores them."""
    with Upstream() as thief:
        to_thief = ("GOOGLE_GEMINI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
        switches = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
        others = {
            "GOOGLE_API_KEY": "other",
            "GOOGLE_CLOUD_PROJECT": "p",
            "GOOGLE_CLOUD_LOCATION": "l",
            "GOOGLE_GENAI_API_VERSION": "v1",
            "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
        }
        for name, value in {
            **dict.fromkeys(to_thief, thief.url),
            **dict.fromkeys(switches, "true"),
            **others,
        }.items():
            monkeypatch.setenv(name, value)
        assert mint(make(google.url)).name == NAME
        assert thief.seen == []
    assert google.mints[0].headers["x-goog-api-key"] == KEY
    assert google.mints[0].path == "/v1alpha/auth_tokens"


def test_mints_share_one_connection(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    for _ in range(5):
        mint(minter)
    assert google.connections == 1


def test_calls_beyond_the_concurrency_limit_are_refused_as_busy(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url, max_concurrent=2, deadline_seconds=2.0)
    minter.token_plan(PROFILE)
    arrived = threading.Semaphore(0)
    go_on = threading.Event()

    def wait(exchange: behaviours.Exchange) -> None:
        arrived.release()
        go_on.wait(10)
        behaviours.token(exchange)

    google.behaviour = wait
    results: list[MintedToken] = []
    threads = [threading.Thread(target=lambda: results.append(mint(minter))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)
    try:
        assert refused(minter).code == "busy"
    finally:
        go_on.set()
        for thread in threads:
            thread.join(10)
    assert [token.name for token in results] == [NAME, NAME]


def test_outage_stops_further_attempts(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    google.behaviour = behaviours.leave
    codes = [refused(minter).code for _ in range(12)]
    assert set(codes) == {"upstream-error"}
    assert len(google.mints) < 12


RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("delay", "told"),
    [("90s", 90), ("89.2s", 90), ("0.4s", 1), ("0s", 1), ("3600s", 3600), ("999999999s", 86_400)],
)
def test_delay_of_googles_quota_is_told_and_kept(
    make: MakeMinter, google: Upstream, delay: str, told: int
) -> None:
    rows = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": RETRY_INFO, "retryDelay": delay}]
    google.behaviour = text(json.dumps({"error": {"code": 429, "details": rows}}), 429)
    minter = make(google.url)
    assert refused(minter).retry_after_seconds == told
    for _ in range(5 if told > 1 else 0):
        assert refused(minter).code == "upstream-quota"
        assert len(google.mints) == 1


def test_delay_in_a_header_is_told(make: MakeMinter, google: Upstream) -> None:
    google.behaviour = text("", 429, "Retry-After: 75")
    assert refused(make(google.url)).retry_after_seconds == 75


@pytest.mark.parametrize("delay", [90, None, "soon", "-5s", "1e9s", "", ["90s"], {"seconds": 90}, "90"])
def test_unreadable_delay_is_not_told(make: MakeMinter, google: Upstream, delay: Any) -> None:
    rows = [{"@type": RETRY_INFO, "retryDelay": delay}, {"@type": 3}, "row", None]
    google.behaviour = text(json.dumps({"error": {"code": 429, "details": rows}}), 429)
    minter = make(google.url)
    for _ in range(12):
        refusal = refused(minter)
        assert refusal.code == "upstream-quota"
        assert 1 <= (refusal.retry_after_seconds or 0) <= 40
    assert len(google.mints) < 12, "the breaker is open"


@pytest.mark.parametrize("speaks_first", [True, False])
@pytest.mark.parametrize(
    "greeting", [b"hi\n", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
def test_plain_text_in_place_of_tls_is_an_upstream_error(
    make: MakeMinter, greeting: bytes, speaks_first: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                accepted.append(connection)
                if not speaks_first:
                    connection.recv(4096)
                connection.sendall(greeting)

        accepted: list[socket.socket] = []
        threading.Thread(target=greet, daemon=True).start()
        started = time.monotonic()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        assert refused(make(url, deadline_seconds=20)).code == "upstream-error"
        assert time.monotonic() - started < 10
    for connection in accepted:
        connection.close()


def test_many_threads_share_the_client(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url, max_concurrent=16)
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.extend(mint(minter).name for _ in range(5))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert names == [NAME] * 80
    assert google.connections <= 16


def test_minter_can_be_used_again_after_close(make: MakeMinter, google: Upstream) -> None:
    minter = make(google.url)
    mint(minter)
    minter.close()
    assert mint(minter).name == NAME


def test_second_address_of_a_name_is_tried(make: MakeMinter, google: Upstream) -> None:
    """`localhost` is also ::1, where no server listens."""
    assert mint(make(google.url.replace("127.0.0.1", "localhost"))).name == NAME


def test_deadline_covers_a_hanging_name_look_up(make: MakeMinter, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: [][: released.wait(60)])
    started = time.monotonic()
    try:
        assert refused(make("http://google.example", deadline_seconds=0.4)).code == "upstream-timeout"
    finally:
        released.set()
    assert time.monotonic() - started < 10


def test_unknown_host_name_is_an_upstream_error(make: MakeMinter, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: Any, **_more: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refused(make("http://google.example")).code == "upstream-error"


class FixedAnswer(BoundedTransport):
    """Answers every mint with the same status and body, and offers every model."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(max_connections=1)
        self.answer = status, body

    def send(
        self, request: httpcore2.Request, seconds: float
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        assert seconds > 0
        status, body = self.answer if request.method == b"POST" else (200, b"{}")
        return status, [], body


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("name"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(200, 599),
    body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_any_answer_without_a_token_becomes_a_refusal(status: int, body: bytes) -> None:
    minter = GeminiMinter(
        api_key=KEY,
        base_url="http://127.0.0.1:1",
        profiles=[PROFILE],
        max_concurrent=1,
        transport=FixedAnswer(status, body),
    )
    try:
        with pytest.raises(Refusal) as raised:
            mint(minter)
    finally:
        minter.close()
    assert raised.value.code.startswith("upstream-")
