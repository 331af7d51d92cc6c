"""The models list, and the setups that each model accepts."""

from __future__ import annotations

from typing import Any

import pytest

from broker.standin import StandIn
from broker.standin.close_reasons import CLOSES, Close
from tests.standin.client import MODEL, SETUP, call, opened, refused, session, token
from tests.standin.client import address as address_of

M25, M31 = MODEL, "models/gemini-3.1-flash-live-preview"
M38, MX = "models/gemini-3.8-live", "models/gemini-3.8-live-extended-thinking"
INVALID = (1007, "Request contains an invalid argument.")


def with_config(model: str, **config: Any) -> dict[str, Any]:
    return {"model": model, "generationConfig": {"responseModalities": ["AUDIO"], **config}}


def test_lists_and_describes_models(standin: StandIn) -> None:
    _, listing, _ = call(f"{standin.url}/v1beta/models")
    names = [model["name"] for model in listing["models"]]
    assert {M25, M31, M38, MX} <= set(names)
    assert "models/gemini-2.0-flash-live-001" not in names
    status, one, _ = call(f"{standin.url}/v1alpha/{M38}")
    assert (status, one["name"]) == (200, M38)
    assert "bidiGenerateContent" in one["supportedGenerationMethods"]


def pages(standin: StandIn, query: str = "") -> list[list[str]]:
    """The names on each page, following nextPageToken."""
    found: list[list[str]] = []
    token = ""
    while True:
        mark = f"&pageToken={token}" if token else ""
        status, listing, _ = call(f"{standin.url}/v1beta/models?{query}{mark}")
        assert status == 200
        found.append([model["name"] for model in listing["models"]])
        token = listing.get("nextPageToken", "")
        if not token:
            return found


def test_models_list_comes_in_pages(standin: StandIn) -> None:
    [every] = pages(standin)
    assert [name for page in pages(standin, "pageSize=2") for name in page] == every
    assert [len(page) for page in pages(standin, "pageSize=5")] == [5, len(every) - 5]
    standin.control.scenario("models-many", count=60)
    assert [len(page) for page in pages(standin)] == [50, 10 + len(every)]
    assert pages(standin)[1][-len(every) :] == every
    assert len(pages(standin, "pageSize=1000")) == 1


@pytest.mark.parametrize(
    "query", ["pageSize=-1", "pageSize=many", "pageToken=nothing", "pageToken=standin-page-99", "foo=1"]
)
def test_query_of_the_models_list_is_checked(standin: StandIn, query: str) -> None:
    status, answer, _ = call(f"{standin.url}/v1beta/models?{query}")
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_unknown_model_is_404_with_a_body(standin: StandIn) -> None:
    status, answer, _ = call(f"{standin.url}/v1alpha/models/nothing")
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


def test_models_list_requires_key(standin: StandIn) -> None:
    assert call(f"{standin.url}/v1alpha/models", key=None)[0] == 403
    assert call(f"{standin.url}/v1alpha/models", key="invalid")[0] == 400
    standin.control.scenario("models-status", status=429, times=1)
    assert call(f"{standin.url}/v1alpha/models")[0] == 429


def test_retired_model_is_absent_from_list_and_socket(standin: StandIn) -> None:
    standin.control.scenario("models-without", models=[M25])
    assert call(f"{standin.url}/v1alpha/{M25}")[0] == 404
    code, reason = refused(standin, token(standin), with_config(M25))
    assert code == 1008
    assert reason.startswith(f"{M25} is not found for API version v1alpha")
    assert len(reason.encode()) <= 123


@pytest.mark.parametrize(
    ("setup", "close"),
    [
        ({"model": M25}, "modalities"),  # left out means TEXT
        (with_config(M38, responseModalities=["TEXT"]), "modalities"),
        (with_config("models/gemini-3.5-transcribe-live"), INVALID),
        (with_config(M38, thinkingConfig={"thinkingLevel": "LOW"}), INVALID),
        (with_config(M38, thinkingConfig={}), INVALID),
        (with_config(MX, thinkingConfig={"thinkingLevel": "MINIMAL"}), INVALID),
        (with_config(M25, thinkingConfig={"thinkingLevel": "LOW"}), INVALID),
        (with_config(M31, enableAffectiveDialog=True), (1011, "Internal error occurred.")),
        (with_config(M38, enableAffectiveDialog=True), INVALID),
        (with_config(M38) | {"proactivity": {"proactiveAudio": False}}, INVALID),
        (with_config(M31) | {"proactivity": {"proactiveAudio": True}}, INVALID),
        (with_config(M25) | {"tools": [{"codeExecution": {}}]}, INVALID),
        (with_config(M38) | {"tools": [{"urlContext": {}}]}, INVALID),
        (
            with_config(MX) | {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}]},
            INVALID,
        ),
        (with_config(M38, responseModalities=["AUDIO", "TEXT"]), INVALID),
        (
            with_config(M31)
            | {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}]},
            INVALID,
        ),
        ({"model": "gemini-3.8-live"}, CLOSES["model-format"]),
        ({"model": "models/"}, CLOSES["model-format"]),
        ({"model": ""}, CLOSES["no-model"]),
        ({"generationConfig": {"responseModalities": ["AUDIO"]}}, CLOSES["no-model"]),
    ],
)
def test_refused_setups(standin: StandIn, setup: dict[str, Any], close: Any) -> None:
    if close == "modalities":
        close = (
            1007,
            "The requested combination of response modalities (TEXT) is not supported by the model",
        )
    if isinstance(close, Close):
        close = (close.code, close.reason)
    assert refused(standin, token(standin), setup) == close


def voice(name: str) -> dict[str, Any]:
    return {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}}}


@pytest.mark.parametrize(
    "setup",
    [
        with_config(M25, thinkingConfig={"thinkingBudget": 0}, enableAffectiveDialog=True),
        with_config(M25) | {"proactivity": {"proactiveAudio": True}},
        with_config(M31, thinkingConfig={"thinkingLevel": "MINIMAL"}),
        with_config(MX, thinkingConfig={"thinkingLevel": "HIGH"}),
        with_config(M38, **voice("en-us-tavi")) | {"proactivity": {"proactiveAudio": True}},
        with_config(M25, **voice("Kore")) | {"tools": [{"googleSearch": {}}]},
    ],
)
def test_accepted_setups(standin: StandIn, setup: dict[str, Any]) -> None:
    with opened(address_of(standin, f"?access_token={token(standin)}")) as talker:
        talker.send({"setup": setup})
        assert talker.next() == {"setupComplete": {}}


def test_voice_that_the_model_lacks_is_refused(standin: StandIn) -> None:
    for setup in (with_config(M31, **voice("en-us-tavi")), with_config(M38, **voice("Nobody"))):
        code, reason = refused(standin, token(standin), setup)
        assert code == 1007
        assert reason.startswith("Requested voice api_name '")


def test_v1beta_sockets_reject_proactivity(standin: StandIn) -> None:
    with opened(address_of(standin, f"?access_token={token(standin)}", version="v1beta")) as talker:
        talker.send({"setup": {**SETUP, "proactivity": {}}})
        text = "Invalid JSON payload received. Unknown name \"proactivity\" at 'setup': Cannot find field."
        assert talker.closing() == (1007, text)


def test_only_newer_models_send_status_and_activity(standin: StandIn) -> None:
    with session(standin, model=M38) as talker:
        talker.text("hello")
        assert talker.turn()[-1]["serverContent"]["interactionStatus"] == "IDLE"
    with session(standin) as talker:
        talker.text("hello")
        assert "interactionStatus" not in talker.turn()[-1]["serverContent"]


@pytest.mark.parametrize("name", ["1 get time", "1x", "a" * 65, "get time", "größe", "-x", ""])
def test_function_names_are_refused_at_connect_and_not_at_the_mint(standin: StandIn, name: str) -> None:
    setup = with_config(M25) | {"tools": [{"functionDeclarations": [{"name": name}]}]}
    raw = token(standin, bidiGenerateContentSetup=setup)
    assert refused(standin, raw, setup) == INVALID


def test_function_may_be_declared_once_over_all_tools(standin: StandIn) -> None:
    twice = [{"functionDeclarations": [{"name": "f"}]}, {"functionDeclarations": [{"name": "f"}]}]
    assert refused(standin, token(standin), with_config(M25) | {"tools": twice}) == INVALID


def test_odd_but_valid_function_names_are_accepted(standin: StandIn) -> None:
    names = [{"name": name} for name in ("_x", "a" * 64, "a.b:c-d_9")]
    with session(standin, setup=with_config(M25) | {"tools": [{"functionDeclarations": names}]}) as talker:
        assert talker
