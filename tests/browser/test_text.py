"""Typed text and history on each model, and messages besides speech: thoughts, sources, unknown keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import OpenStage, Service
from tests.browser.models import MODELS, serve_models
from tests.browser.support import Bench, wait_for

HISTORY = [{"role": "user", "text": "My name is Ada."}, {"role": "model", "text": "Hello Ada."}]

talking = pytest.fixture(scope="module")(serve_models)


def messages(service: Service) -> list[dict[str, Any]]:
    """The client's messages after its setup, without audio."""
    received = service.standin.control.received()["connections"][-1]["received"][1:]
    return [e["frame"] for e in received if "audio" not in e["frame"].get("realtimeInput", {})]


def begin(open_stage: OpenStage, service: Service, profile: str, **options: Any) -> Bench:
    bench = open_stage(Bench)
    bench.open(service.broker.bearer(), body={"profile": profile}, **options)
    assert bench.start(microphone=False) is None
    return bench


def answered(bench: Bench, text: str) -> list[str]:
    """Sends the text. Returns the model's answers."""
    before = len(bench.page.evaluate("bench.session.transcript"))
    bench.say(text)
    bench.wait_state("speaking")
    bench.wait_state("listening", 40)
    turns = bench.page.evaluate("bench.session.transcript")
    said = {key: turns[before][key] for key in ("text", "typed", "final")}
    assert said == {"text": text, "typed": True, "final": True}
    return [turn["text"] for turn in turns[before + 1 :]]


@pytest.mark.parametrize("profile", MODELS)
def test_every_model_accepts_a_history_and_typed_text(
    open_stage: OpenStage, service: Service, profile: str
) -> None:
    model, history_first = MODELS[profile]
    bench = begin(open_stage, service, profile, history=HISTORY)
    assert bench.page.evaluate("bench.session.model.name") == f"models/{model}"
    [told] = answered(bench, "/history")
    assert told == "I remember 2 turns. user: My name is Ada.; model: Hello Ada."
    seed, typed = messages(service)
    assert seed["clientContent"]["turnComplete"] is history_first
    assert [turn["role"] for turn in seed["clientContent"]["turns"]] == ["user", "model"]
    assert typed == {"realtimeInput": {"text": "/history"}}


def test_text_typed_while_connecting_is_sent_once_connected(open_stage: OpenStage, service: Service) -> None:
    service.standin.control.scenario("setup-slow", seconds=1.0, times=1)
    bench = open_stage(Bench)
    bench.open(service.broker.bearer(), body={"profile": "m38"})
    bench.page.evaluate("bench.options = { microphone: false }")
    bench.page.click("#go")
    bench.say("early")
    assert bench.page.evaluate("bench.going") is None
    wait_for("the text", lambda: {"realtimeInput": {"text": "early"}} in messages(service))
    bench.wait_state("speaking")


def test_content_can_be_added_with_and_without_an_answer(open_stage: OpenStage, service: Service) -> None:
    bench = begin(open_stage, service, "m38")
    add = "turnComplete => bench.session.sendContent({ turns: 'The code is 7.', turnComplete })"
    bench.page.evaluate(add, False)
    bench.page.wait_for_timeout(500)
    assert bench.state() == "listening"
    bench.page.evaluate(add, True)
    bench.wait_state("speaking")


def test_content_is_rejected_for_a_model_without_it(bench: Bench) -> None:
    """The stand-in has no such model, so the test changes the model in the token response."""
    refused = bench.page.evaluate("""async () => {
      const headers = { Authorization: `Bearer ${bench.bearer}` };
      const answer = await (await fetch('/token', { method: 'POST', headers })).json();
      const model = 'models/gemini-3.5-transcribe-live';
      const tokenSource = bench.live.TokenSource.literal({ ...answer, model });
      const session = new bench.live.LiveSession({ tokenSource });
      await session.start({ microphone: false });
      try {
        session.sendContent({ turns: 'Hello' });
      } catch (error) {
        return [error.reason, session.state];
      } finally {
        await session.end();
      }
    }""")
    assert refused == ["unsupported", "listening"]


def test_every_key_of_every_frame_is_handled_or_reported(open_stage: OpenStage, service: Service) -> None:
    bench = begin(open_stage, service, "m38")
    assert answered(bench, "/thought Seven.") == ["Seven."]
    [thought] = bench.events("thought")
    assert thought["detail"]["text"] == "Let me think about that."
    answered(bench, "/search warm socks")
    [found] = bench.events("grounding")
    assert found["detail"]["queries"] == ["warm socks"]
    # The stand-in also sends the address of a page without encryption.
    assert found["detail"]["links"] == [{"title": "The first page", "url": "https://example.org/1"}]
    bench.say("/unsure")  # and waits for more
    bench.wait_state("listening")
    states = [e["detail"]["state"] for e in bench.events("statechange")]
    assert states[-2:] == ["thinking", "listening"]
    assert bench.diagnostics()["unknownKeys"] == []
    for _ in range(3):
        service.standin.control.push(frame={"serverContent": {"novelty": 1}, "surprise": {}})
    wait_for(
        "the frames", lambda: sum("surprise" in e["detail"]["message"] for e in bench.events("message")) == 3
    )
    assert bench.diagnostics()["unknownKeys"] == ["serverContent.novelty", "surprise"]
