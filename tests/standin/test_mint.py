"""The token endpoint: accepted bodies, and refusals with their texts."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest

from broker.standin import StandIn
from tests.standin.client import MODEL, SETUP, ahead, call, mint, token

MASK = "model,generationConfig,systemInstruction,tools,inputAudioTranscription,outputAudioTranscription"
RICH = {
    "uses": "1",
    "expire_time": "2999-01-01T00:00:00+00:00",
    "bidiGenerateContentSetup": {
        "model": MODEL,
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "topK": 40.0,
            "speechConfig": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
        },
        "contextWindowCompression": {"triggerTokens": "25600", "sliding_window": {"target_tokens": 12800}},
    },
    "fieldMask": MASK,
}


@pytest.mark.parametrize("version", ["v1alpha", "v1beta"])
def test_answers_with_a_name_and_nothing_else(standin: StandIn, version: str) -> None:
    status, answer = mint(standin, {"uses": 1}, version)
    assert status == 200
    assert list(answer) == ["name"]
    assert re.fullmatch(r"auth_tokens/standin-[0-9a-f]{32}", answer["name"])


def test_empty_body_gets_the_default_terms(standin: StandIn) -> None:
    assert mint(standin, b"")[0] == 200


def test_accepts_both_spellings_and_integers_as_text(standin: StandIn) -> None:
    body = RICH | {"expire_time": ahead(900)}
    assert mint(standin, body)[0] == 200
    assert standin.control.received()["mints"][-1]["body"] == body


def test_v1_has_no_tokens_without_scenario(standin: StandIn) -> None:
    assert mint(standin, version="v1") == (404, "")
    standin.control.scenario("v1-tokens")
    assert mint(standin, version="v1")[0] == 200


@pytest.mark.parametrize("path", ["/v1alpha/auth_tokens", "/v1beta/auth_tokens/x", "/v1alpha/elsewhere", "/"])
def test_listing_and_reading_tokens_is_404_with_an_empty_body(standin: StandIn, path: str) -> None:
    assert call(standin.url + path)[:2] == (404, "")


def test_unknown_name_gets_googles_error_text(standin: StandIn) -> None:
    status, answer = mint(standin, {"uses": 1, "liveConnectConstraints": {}})
    message = (
        "Invalid JSON payload received. Unknown name \"liveConnectConstraints\" at 'auth_token': "
        "Cannot find field."
    )
    violation = {"field": "auth_token", "description": message}
    assert status == 400
    assert answer["error"] == {
        "code": 400,
        "message": message,
        "status": "INVALID_ARGUMENT",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},
        ],
    }


def test_nested_unknown_name_reports_proto_path(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": {"generationConfig": {"topp": 1}}}
    message = mint(standin, body)[1]["error"]["message"]
    assert "Unknown name \"topp\" at 'auth_token.bidi_generate_content_setup.generation_config'" in message


def test_body_is_read_before_the_key_is_checked(standin: StandIn) -> None:
    assert "Unknown name" in str(mint(standin, {"x": 1}, key="invalid-key")[1])
    assert "API key not valid" in str(mint(standin, {}, key="invalid-key")[1])


def test_bad_key_is_400_and_a_missing_one_403(standin: StandIn) -> None:
    status, answer = mint(standin, {}, key="invalid-key")
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer["error"]["message"] == "API key not valid. Please pass a valid API key."
    assert answer["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert mint(standin, {}, key=None)[0] == 403


def test_bearers_are_no_keys(standin: StandIn) -> None:
    url = f"{standin.url}/v1alpha/auth_tokens"
    for more in ({}, {"x-goog-api-key": "test-key"}):
        request = urllib.request.Request(url, b"{}", {"Authorization": "Bearer ya29.x", **more})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=10)
        with refusal.value as answer:
            error = json.loads(answer.read())["error"]
        assert (answer.code, error["status"]) == (401, "UNAUTHENTICATED")
        assert error["details"][0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def test_unknown_query_parameter_is_refused(standin: StandIn) -> None:
    url = f"{standin.url}/v1alpha/auth_tokens"
    status, answer, _ = call(f"{url}?foo=1", {})
    assert status == 400
    assert 'Unknown name "foo": Cannot bind query parameter.' in answer["error"]["message"]
    assert call(f"{url}?key=test-key&alt=json", {}, key=None)[0] == 200


def test_mask_in_snake_case_is_refused_and_named(standin: StandIn) -> None:
    body = {"fieldMask": "model,generationConfig.top_k"}
    status, answer = mint(standin, body)
    assert (status, "'generationConfig.top_k'" in answer["error"]["message"]) == (400, True)
    violation = answer["error"]["details"][0]["fieldViolations"][0]
    assert violation["field"] == "auth_token.field_mask"
    standin.control.scenario("snake-masks")
    assert mint(standin, body)[0] == 200
    assert mint(standin, {"field_mask": "output_audio_transcription"})[0] == 200
    assert mint(standin, {"fieldMask": "tools.0"})[0] == 400


def test_only_the_configured_key_is_valid() -> None:
    with StandIn(api_key="the-key") as strict:
        assert mint(strict, {}, key="the-key")[0] == 200
        assert mint(strict, {}, key="another")[0] == 400


@pytest.mark.parametrize("field", ["expireTime", "newSessionExpireTime"])
def test_lifetime_is_at_most_twenty_hours(standin: StandIn, field: str) -> None:
    assert mint(standin, {field: ahead(20 * 3600 - 60)})[0] == 200
    status, answer = mint(standin, {field: ahead(20 * 3600 + 60)})
    proto = "expire_time" if field == "expireTime" else "new_session_expire_time"
    assert status == 400
    text = f"{proto} is too far in the future. Maximum lifetime is 20h"
    assert answer["error"]["message"] == text
    violations = answer["error"]["details"][0]["fieldViolations"]
    assert violations == [{"field": f"auth_token.{proto}", "description": text}]


@pytest.mark.parametrize(
    "body",
    [
        {"expireTime": "2026-01-01T00:00:00"},  # no offset
        {"expireTime": "soon"},
        {"expireTime": "2020-01-01T00:00:00Z"},  # past
        {"uses": -1},
        {"uses": 1.5},
        {"uses": True},
        {"uses": "many"},
        {"fieldMask": "generationConfig.top_p"},  # FieldMask is lowerCamel
        {"fieldMask": "tools.0"},
        {"fieldMask": "topP"},  # no setup field
        {"fieldMask": ["model"]},
        {"uses": 1, "bidiGenerateContentSetup": {"model": 3}},
        {"bidiGenerateContentSetup": {"generationConfig": {"responseModalities": ["SONG"]}}},
        {"bidiGenerateContentSetup": {"generationConfig": {"responseModalities": ["audio"]}}},
        {"bidiGenerateContentSetup": {"generationConfig": {}, "generation_config": {}}},
        {"authToken": {}},
        [],
    ],
)
def test_malformed_value_is_400(standin: StandIn, body: object) -> None:
    status, answer = mint(standin, body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


DEEP_SCHEMA = b'{"items":' * 900 + b"{}" + b"}" * 900
DEEP_TOOL = (
    b'{"bidiGenerateContentSetup":{"tools":[{"functionDeclarations":[{"parameters":%b}]}]}}' % DEEP_SCHEMA
)


@pytest.mark.parametrize("raw", [b"{", b'{"uses": NaN}', b"\xff", b"[" * 100_000, DEEP_TOOL])
def test_broken_json_is_400(standin: StandIn, raw: bytes) -> None:
    status, answer = mint(standin, raw)
    assert status == 400
    assert answer["error"]["message"].startswith("Invalid JSON payload received.")


def test_v1beta_rejects_proactivity(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": {**SETUP, "proactivity": {}}}
    assert mint(standin, body)[0] == 200
    assert 'Unknown name "proactivity"' in str(mint(standin, body, "v1beta")[1])


def test_record_holds_no_key_and_no_token(standin: StandIn) -> None:
    name = token(standin)
    record = json.dumps(standin.control.received())
    assert name not in record
    assert "test-key" not in record


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_scenario_mint_status(standin: StandIn, status: int) -> None:
    standin.control.scenario("mint-status", status=status, times=1)
    got, answer = mint(standin)
    assert got == status
    assert answer["error"]["code"] == status
    assert mint(standin)[0] == 200


def test_other_misbehaviours_of_minting(standin: StandIn) -> None:
    standin.control.scenario("mint-redirect", times=1)
    status, _, headers = call(f"{standin.url}/v1alpha/auth_tokens", {})
    assert (status, headers["Location"]) == (302, "/_standin/redirected")
    standin.control.scenario("mint-bad-json", times=1)
    assert mint(standin)[1].startswith("<html>")
    standin.control.scenario("mint-empty-name", times=1)
    assert mint(standin) == (200, {})
    standin.control.scenario("mint-big", megabytes=2, times=1)
    assert len(mint(standin)[1]["padding"]) == 2_000_000
    standin.control.scenario("mint-drip", interval_seconds=0.001, times=1)
    assert mint(standin)[1]["name"]
    standin.control.scenario("mint-slow", seconds=0.05, times=1)
    assert mint(standin)[0] == 200
    standin.control.scenario("mint-disconnect", times=1)
    with pytest.raises(OSError):  # noqa: PT011  (urllib wraps a dropped connection in several ways)
        mint(standin)
    standin.control.scenario("mint-hang", times=1)
    with pytest.raises(TimeoutError):
        mint(standin, timeout=0.2)
    assert mint(standin)[0] == 200


def test_skewed_clock_shortens_join_window(standin: StandIn) -> None:
    standin.control.scenario("clock-skew", seconds=120)
    assert mint(standin, {"newSessionExpireTime": ahead(60)})[0] == 400
    assert mint(standin, {"newSessionExpireTime": ahead(240)})[0] == 200
