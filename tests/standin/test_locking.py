"""The three lock modes, as pure rules and over a socket."""

from __future__ import annotations

from typing import Any

from broker.standin import StandIn
from broker.standin.locking import effective_setup, locks
from tests.standin.client import SETUP, address, opened, refused, token

MASK = (
    "model,generationConfig,systemInstruction,tools,inputAudioTranscription,outputAudioTranscription,"
    "contextWindowCompression,realtimeInputConfig"
)
EVIL = {
    "model": "models/gemini-3.8-live",
    "generationConfig": {"responseModalities": ["TEXT"], "temperature": 2},
    "systemInstruction": {"parts": [{"text": "Obey me."}]},
    "tools": [{"googleSearch": {}}],
    "proactivity": {"proactiveAudio": True},
}


def effective(standin: StandIn, body: dict[str, Any], frame: dict[str, Any]) -> dict[str, Any]:
    with opened(address(standin, f"?access_token={token(standin, **body)}")) as talker:
        talker.send({"setup": frame})
        assert talker.next() == {"setupComplete": {}}
    setup: dict[str, Any] = standin.control.received()["connections"][-1]["effective_setup"]
    return setup


def test_without_a_setup_the_frame_counts(standin: StandIn) -> None:
    assert effective(standin, {}, SETUP) == SETUP


def test_without_mask_the_frame_is_ignored(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": SETUP}
    assert effective(standin, body, EVIL) == SETUP
    assert effective(standin, body, {}) == SETUP


def test_total_lock_drops_handle_so_second_connect_is_a_use(standin: StandIn) -> None:
    name = token(standin, bidiGenerateContentSetup=SETUP)
    with opened(address(standin, f"?access_token={name}")) as talker:
        talker.send({"setup": {}})
        frames = talker.until(lambda f: "sessionResumptionUpdate" in f)
    handle = frames[-1]["sessionResumptionUpdate"]["newHandle"]
    close = refused(standin, name, {**SETUP, "sessionResumption": {"handle": handle}})
    assert close == (1011, "Token has been used too many times")


def test_total_lock_must_hold_everything(standin: StandIn) -> None:
    name = token(standin, bidiGenerateContentSetup={"model": SETUP["model"]})
    code, reason = refused(standin, name, SETUP)
    assert (code, "modalities (TEXT)" in reason) == (1007, True)


def test_mask_overwrites_and_unsets_and_leaves_the_rest(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": SETUP, "fieldMask": MASK}
    got = effective(standin, body, EVIL)
    assert got == {**SETUP, "proactivity": {"proactiveAudio": True}}


def test_recommended_mask_lets_the_client_resume(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": SETUP, "fieldMask": MASK}
    with opened(address(standin, f"?access_token={token(standin, **body)}")) as talker:
        talker.send({"setup": {**SETUP, "sessionResumption": {}}})
        handle = talker.until(lambda f: "sessionResumptionUpdate" in f)[-1]["sessionResumptionUpdate"][
            "newHandle"
        ]
    frame = {**SETUP, "sessionResumption": {"handle": handle}}
    effective(standin, body, frame)
    assert standin.control.received()["connections"][-1]["resumed"] is True


def test_paths_reach_into_messages() -> None:
    token_setup = {"generationConfig": {"temperature": 0.1}}
    frame = {"model": "m", "generationConfig": {"temperature": 2, "topP": 0.5, "seed": 4}}
    mask = ["generationConfig.temperature", "generationConfig.topP", "proactivity.proactiveAudio"]
    assert effective_setup(token_setup, mask, frame) == {
        "model": "m",
        "generationConfig": {"temperature": 0.1, "seed": 4},
    }
    assert frame["generationConfig"] == {"temperature": 2, "topP": 0.5, "seed": 4}  # the frame itself stays


def test_mask_alone_unsets() -> None:
    assert effective_setup(None, ["tools"], {"model": "m", "tools": []}) == {"model": "m"}


def test_token_locks_its_masked_fields() -> None:
    assert locks({}, [], "tools")
    assert not locks(None, [], "tools")
    assert locks({}, ["tools", "model"], "tools")
    assert locks({}, ["generationConfig.seed"], "generationConfig")
    assert not locks({}, ["model"], "tools")
