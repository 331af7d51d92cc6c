"""Opening a session: addresses, credentials, uses, time windows, and the first message."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from broker.standin import StandIn
from broker.standin.close_reasons import UNREGISTERED
from tests.standin.client import SETUP, address, ahead, opened, refused, session, token, words

USED = (1011, "Token has been used too many times")
LATE = (1011, "new_session_expire_time deadline exceeded")
NOBODY = (1008, UNREGISTERED[:123])
INVALID = (1007, "Request contains an invalid argument.")
SETUP_FIRST = (1007, "setup must be the first message and only the first")


def open_with(url: str, **options: Any) -> Any:
    """setupComplete, or how it was closed."""
    with opened(url, **options) as talker:
        try:
            talker.send({"setup": SETUP})
            return talker.next()
        except ConnectionClosed:
            return talker.closing()


@pytest.mark.parametrize("form", ["?access_token={raw}", "?access_token={quoted}"])
def test_token_in_the_query_raw_or_quoted(standin: StandIn, form: str) -> None:
    name = token(standin)
    query = form.format(raw=name, quoted=name.replace("/", "%2F"))
    assert open_with(address(standin, query)) == {"setupComplete": {}}


def test_token_in_the_header_and_a_single_slash(standin: StandIn) -> None:
    name = token(standin)
    url = address(standin).replace("//ws/", "/ws/")
    headers = {"Authorization": f"Token {name}", "x-goog-api-key": name}
    assert open_with(url, additional_headers=headers) == {"setupComplete": {}}
    assert standin.control.received()["connections"][-1]["auth"] == "header"


def test_api_key_opens_the_plain_method(standin: StandIn) -> None:
    assert open_with(address(standin, "?key=some-key", constrained=False)) == {"setupComplete": {}}
    keyed = {"x-goog-api-key": "some-key"}
    assert open_with(address(standin, constrained=False, version="v1"), additional_headers=keyed) == {
        "setupComplete": {}
    }
    bad = open_with(address(standin, "?key=invalid", constrained=False))
    assert bad == (1007, "API key not valid. Please pass a valid API key.")


def test_token_does_not_open_the_plain_method(standin: StandIn) -> None:
    name = token(standin)
    assert open_with(address(standin, f"?access_token={name}", constrained=False)) == NOBODY
    assert open_with(address(standin, f"?key={name}", constrained=False))[0] == 1007


@pytest.mark.parametrize("query", ["", "?key=some-key", "?access_token=auth_tokens/nobody-made-this"])
def test_constrained_method_requires_known_token(standin: StandIn, query: str) -> None:
    assert open_with(address(standin, query)) == NOBODY


@pytest.mark.parametrize("path", ["/ws/elsewhere", "/ws/google.ai.generativelanguage.v2.GenerativeService.X"])
def test_other_addresses_are_404(standin: StandIn, path: str) -> None:
    url = standin.url.replace("http", "ws") + path
    with pytest.raises(InvalidStatus) as refusal, opened(url):
        pass
    assert refusal.value.response.status_code == 404


def test_token_opens_on_v1beta_too(standin: StandIn) -> None:
    assert open_with(address(standin, f"?access_token={token(standin)}", version="v1beta")) == {
        "setupComplete": {}
    }


def test_tokens_on_v1_are_404_without_scenario(standin: StandIn) -> None:
    url = address(standin, f"?access_token={token(standin)}", version="v1")
    with pytest.raises(InvalidStatus), opened(url):
        pass
    standin.control.scenario("v1-tokens")
    assert open_with(url) == {"setupComplete": {}}


def test_each_use_is_counted_and_no_more(standin: StandIn) -> None:
    name = token(standin, uses=2)
    assert open_with(address(standin, f"?access_token={name}")) == {"setupComplete": {}}
    assert open_with(address(standin, f"?access_token={name}")) == {"setupComplete": {}}
    assert refused(standin, name) == USED


def test_zero_uses_means_unlimited(standin: StandIn) -> None:
    name = token(standin, uses=0)
    for _ in range(3):
        assert open_with(address(standin, f"?access_token={name}")) == {"setupComplete": {}}


def test_spent_token_closes_client_that_sends_nothing(standin: StandIn) -> None:
    name = token(standin)
    open_with(address(standin, f"?access_token={name}"))
    with opened(address(standin, f"?access_token={name}")) as talker:
        assert talker.closing() == USED


def test_two_sockets_cannot_share_the_last_use(standin: StandIn) -> None:
    url = address(standin, f"?access_token={token(standin)}")
    with opened(url) as first, opened(url) as second:
        first.send({"setup": SETUP})
        assert first.next() == {"setupComplete": {}}
        second.send({"setup": SETUP})
        assert second.closing() == USED


def test_join_window_and_expiry_have_different_texts(standin: StandIn) -> None:
    """Ten stand-in seconds are half a real one."""
    late = token(standin, newSessionExpireTime=ahead(10))
    expired = token(standin, newSessionExpireTime=ahead(10), expireTime=ahead(10))
    with session(standin) as other:  # waits without a timer of its own
        standin.control.scenario("idle", seconds=15)
        assert other.closing()[0] == 1008
    standin.control.scenario("idle", off=True)
    assert refused(standin, late) == LATE
    assert refused(standin, expired) == (1011, "Token has expired")


def test_expired_token_ends_open_session(standin: StandIn) -> None:
    with opened(address(standin, f"?access_token={token(standin, expireTime=ahead(30))}")) as talker:
        talker.send({"setup": SETUP})
        assert talker.closing() == (1011, "auth token has expired")


@pytest.mark.parametrize(
    "message",
    [{"realtimeInput": {"text": "hi"}}, {"setup": SETUP, "clientContent": {}}, {}],
)
def test_first_message_is_the_setup_alone(standin: StandIn, message: dict[str, Any]) -> None:
    with opened(address(standin, f"?access_token={token(standin)}")) as talker:
        talker.send(message)
        assert talker.closing() == (INVALID if "setup" in message else SETUP_FIRST)


def test_second_setup_is_refused(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.send({"setup": SETUP})
        assert talker.closing() == SETUP_FIRST


@pytest.mark.parametrize(
    ("message", "at"),
    [
        ({"setup": {**SETUP, "responseModalities": ["AUDIO"]}}, "\"responseModalities\" at 'setup'"),
        ({"setup": {**SETUP, "generationConfig": {"voice": 1}}}, "\"voice\" at 'setup.generation_config'"),
        ({"setup": {**SETUP, "sessionResumption": {"transparent": True}}}, "'setup.session_resumption'"),
        ({"hello": {}}, '"hello": Cannot find field'),
    ],
)
def test_unknown_names_close_with_1007(standin: StandIn, message: dict[str, Any], at: str) -> None:
    with opened(address(standin, f"?access_token={token(standin)}")) as talker:
        talker.send(message)
        code, reason = talker.closing()
        assert code == 1007
        assert reason.startswith("Invalid JSON payload received. Unknown name")
        assert at in reason


def test_frame_that_is_not_json_closes_with_1007(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.send("not json")
        code, reason = talker.closing()
        assert (code, reason) == (1007, "Invalid JSON payload received. Unexpected token.")


def test_python_sdks_mixed_spelling_is_understood(standin: StandIn) -> None:
    setup = {
        **SETUP,
        "realtimeInputConfig": {"automatic_activity_detection": {"silence_duration_ms": 500}},
        "contextWindowCompression": {"trigger_tokens": "25600", "sliding_window": {"target_tokens": 12800}},
        "historyConfig": {"initial_history_in_client_content": True},
    }
    with session(standin, setup):
        pass
    got = standin.control.received()["connections"][-1]["effective_setup"]
    assert got["realtimeInputConfig"]["automaticActivityDetection"]["silenceDurationMs"] == 500
    assert got["contextWindowCompression"] == {
        "triggerTokens": 25600,
        "slidingWindow": {"targetTokens": 12800},
    }


def test_binary_client_frames_are_read_too(standin: StandIn) -> None:
    import json

    with opened(address(standin, f"?access_token={token(standin)}")) as talker:
        talker.send(json.dumps({"setup": SETUP}).encode())
        assert talker.next() == {"setupComplete": {}}
        assert talker.kinds == {bytes}


def test_text_frames_on_request(standin: StandIn) -> None:
    standin.control.scenario("text-frames")
    with session(standin) as talker:
        assert talker.kinds == {str}


@pytest.mark.parametrize(
    ("params", "close"),
    [
        ({"close": "quota", "at": "connect"}, 1011),
        ({"close": "location"}, 1007),
        ({"close": "api-disabled"}, 1008),
        ({"code": 4321, "reason": "of my own"}, 4321),
    ],
)
def test_scenario_refuse(standin: StandIn, params: dict[str, Any], close: int) -> None:
    standin.control.scenario("refuse", times=1, **params)
    assert refused(standin, token(standin))[0] == close
    assert open_with(address(standin, f"?access_token={token(standin)}")) == {"setupComplete": {}}


def test_scenarios_before_setup_complete(standin: StandIn) -> None:
    standin.control.scenario("handshake-status", status=503, times=1)
    url = address(standin, f"?access_token={token(standin, uses=0)}")
    with pytest.raises(InvalidStatus), opened(url):
        pass
    standin.control.scenario("handshake-hang", times=1)
    with pytest.raises(TimeoutError), opened(url, open_timeout=0.2):
        pass
    standin.control.scenario("setup-slow", seconds=1, times=1)
    assert open_with(url) == {"setupComplete": {}}
    standin.control.scenario("setup-hang", times=1)
    with opened(url) as talker:
        talker.send({"setup": SETUP})
        with pytest.raises(TimeoutError):
            talker.next(timeout=0.3)


def test_refused_setup_uses_the_token(standin: StandIn) -> None:
    bad = {**SETUP, "model": "models/nothing"}
    name = token(standin)
    assert refused(standin, name, bad)[0] == 1008
    assert refused(standin, name) == USED
    standin.control.scenario("refused-setup-free")
    name = token(standin)
    assert refused(standin, name, bad)[0] == 1008
    assert open_with(address(standin, f"?access_token={name}")) == {"setupComplete": {}}
    assert refused(standin, name) == USED


def test_unknown_token_can_have_another_close(standin: StandIn) -> None:
    standin.control.scenario("unknown-name")
    assert refused(standin, "auth_tokens/nobody-made-this") == (1008, "Token not found")


def test_early_senders_are_seen(standin: StandIn) -> None:
    url = address(standin, f"?access_token={token(standin, uses=0)}")
    early = {"realtimeInput": {"text": "hello"}}
    with opened(url) as talker:  # usually it waits in a queue
        talker.send({"setup": SETUP})
        talker.send(early)
        assert talker.next() == {"setupComplete": {}}
        assert words(talker.turn()) == "You wrote: hello"
    standin.control.scenario("early-refused")
    with opened(url) as talker:
        talker.send({"setup": SETUP})
        talker.send(early)
        assert talker.closing() == SETUP_FIRST
    assert open_with(url) == {"setupComplete": {}}  # one that waits is served
