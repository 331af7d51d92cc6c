"""The connection works and the model does not: silence, empty turns, a forgotten conversation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from sqlalchemy import func, select

from broker.store.database.tables import sessions
from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import Bench, Demo, assert_at_most, speak, wait_for

# The bound, and what three quick answers make of it.
FIRST_MS = 6000
LEARNED_MS = 2000
MOST_REQUESTS = 6


def tokens(service: Service) -> int:
    return sum(request.endswith("/token") for request in service.broker.requests)


def count_sessions(service: Service) -> int:
    with service.broker.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(sessions)).scalar_one())


def details(bench: Bench, kind: str) -> list[dict[str, Any]]:
    return [event["detail"] for event in bench.events(kind)]


def states(bench: Bench) -> list[str]:
    return [detail["state"] for detail in details(bench, "statechange")]


def at_state(bench: Bench, state: str) -> list[int]:
    return [event["at"] for event in bench.events("statechange") if event["detail"]["state"] == state]


def say(bench: Bench, text: str) -> int:
    """Says it and returns when."""
    at: int = bench.page.evaluate("text => { bench.session.sendText(text); return Date.now(); }", text)
    return at


def talk(bench: Bench) -> None:
    """Three short turns, from which the bound is learned."""
    for _ in range(3):
        heard_after_ms(bench, say(bench, "/tone 300 0.3"))
        bench.wait_state("listening")


@pytest.fixture
def chat(bench: Bench, service: Service) -> Bench:
    """A conversation of three turns."""
    assert bench.start(microphone=False) is None
    talk(bench)
    return bench


def heard_after_ms(bench: Bench, asked: int) -> int:
    """How long the next answer took to be heard."""
    return int(
        wait_for("an answer", lambda: [at for at in at_state(bench, "speaking") if at > asked])[0] - asked
    )


def history(bench: Bench, service: Service) -> str:
    """What the model knows."""
    say(bench, "/history")
    turns = wait_for("the history", lambda: _with_text(service, "I remember"))
    return str(turns[-1]["text"])


def _with_text(service: Service, start: str) -> list[dict[str, Any]]:
    turns = service.standin.control.sent()["turns"]
    return [turn for turn in turns if turn["text"].startswith(start) and turn["turn_complete_ms"]]


def _has_fresh_handle(service: Service) -> bool:
    """Whether the newest handle includes the last turn."""
    sent = service.standin.control.sent()
    updates = [f for f in sent["frames"] if f["frame"].get("sessionResumptionUpdate", {}).get("resumable")]
    over = sent["turns"][-1]["turn_complete_ms"]
    return bool(over and updates and updates[-1]["ms"] > over)


def test_silent_model_answers_when_it_is_asked_again(chat: Bench, service: Service) -> None:
    service.standin.control.scenario("model-silent", times=1)
    asked = say(chat, "are you there?")
    heard_after_ms(chat, asked)
    stalled = details(chat, "stalled")
    assert [one["step"] for one in stalled] == ["nudge"]
    assert stalled[0]["waitedMs"] >= LEARNED_MS
    assert "waiting" in states(chat)
    assert tokens(service) == 1
    assert details(chat, "reconnecting") == []


@pytest.mark.parametrize(
    ("times", "step"), [pytest.param(2, "resume", marks=pytest.mark.long), (3, "restart")]
)
def test_silent_model_answers_on_another_connection(
    chat: Bench, service: Service, times: int, step: str
) -> None:
    before = count_sessions(service)
    service.standin.control.scenario("model-silent", times=times)
    asked = say(chat, "the word is marmalade")
    heard_after_ms(chat, asked)
    assert details(chat, "stalled")[-1]["step"] == step
    assert details(chat, "reconnected")[-1]["resumed"] == (step == "resume")
    assert tokens(service) == times
    assert count_sessions(service) == before
    chat.wait_state("listening")
    known = history(chat, service)
    # A new session gets the question once. A resumed one may know it already.
    assert known.count("user: the word is marmalade") == (1 if step == "restart" else 3)


def test_model_that_is_always_silent_ends_the_conversation(chat: Bench, service: Service) -> None:
    before = count_sessions(service)
    service.standin.control.scenario("model-silent")
    say(chat, "are you there?")
    chat.wait_state("error", 30)
    assert [one["step"] for one in details(chat, "stalled")] == ["nudge", "resume", "restart", "end"]
    assert [one["error"]["reason"] for one in details(chat, "error")] == ["no-answer"]
    assert tokens(service) == 3 <= MOST_REQUESTS
    assert count_sessions(service) == before
    wait_for("the end at the broker", lambda: any(one.endswith("/end") for one in service.broker.requests))


def test_first_answer_is_waited_for_longer(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    service.standin.control.scenario("answer-slow", seconds=LEARNED_MS / 1000 + 1)
    asked = say(bench, "take your time")
    assert heard_after_ms(bench, asked) > LEARNED_MS
    assert details(bench, "stalled") == []


@pytest.mark.measured
@pytest.mark.parametrize(
    ("scenario", "times", "bound_ms"),
    [("model-silent", 1, LEARNED_MS), ("model-silent", 2, 2 * LEARNED_MS), ("empty-turn", 1, 0)],
)
def test_answer_is_heard_soon_after_the_bound(
    chat: Bench, service: Service, scenario: str, times: int, bound_ms: int
) -> None:
    def once() -> float:
        chat.wait_state("listening")
        service.standin.control.scenario(scenario, times=times)
        after = heard_after_ms(chat, say(chat, "/tone 300 0.3"))
        chat.wait_state("listening")
        talk(chat)  # the wait counts as a latency
        return after

    assert_at_most(bound_ms + 2000, once)


@pytest.mark.parametrize("reason", ["", "RESPONSE_REJECTED", "MALFORMED_FUNCTION_CALL"])
def test_empty_turn_is_asked_again_once(bench: Bench, service: Service, reason: str) -> None:
    assert bench.start(microphone=False) is None
    service.standin.control.scenario("empty-turn", reason=reason, times=1)
    asked = say(bench, "are you there?")
    heard_after_ms(bench, asked)
    (empty,) = details(bench, "emptyturn")
    assert (empty["reason"], empty["step"]) == (reason, "nudge")
    assert empty["detail"].startswith("The model ")
    assert tokens(service) == 1


def test_turns_that_are_always_empty_end_the_conversation(bench: Bench, service: Service) -> None:
    before = count_sessions(service)
    assert bench.start(microphone=False) is None
    service.standin.control.scenario("empty-turn", reason="RESPONSE_REJECTED")
    say(bench, "are you there?")
    bench.wait_state("error", 30)
    assert [one["step"] for one in details(bench, "emptyturn")] == ["nudge", "resume", "restart", "end"]
    assert [one["error"]["reason"] for one in details(bench, "error")] == ["no-answer"]
    assert tokens(service) <= 3
    assert count_sessions(service) - before == 1


@pytest.mark.parametrize("reason", ["GENERATED_CONTENT_SAFETY", "BLOCKLIST", "NEED_MORE_INPUT"])
def test_turn_that_is_empty_for_a_reason_is_told_and_not_asked_again(
    bench: Bench, service: Service, reason: str
) -> None:
    assert bench.start(microphone=False) is None
    service.standin.control.scenario("empty-turn", reason=reason)
    say(bench, "tell me")
    (empty,) = wait_for("the event", lambda: details(bench, "emptyturn"))
    assert empty["step"] == "none"
    assert ("safety" in empty["detail"]) == (reason != "NEED_MORE_INPUT")
    bench.wait_state("listening")
    bench.page.wait_for_timeout(500)
    assert len(details(bench, "emptyturn")) == 1


@pytest.mark.parametrize(
    "greeting", [pytest.param("", marks=pytest.mark.long), "You wrote: my name is Ada Lovelace."]
)
def test_forgotten_conversation_is_told_again(bench: Bench, service: Service, greeting: str) -> None:
    before = count_sessions(service)
    assert bench.start(microphone=False) is None
    lines = [
        "my name is Ada Lovelace",
        "and I live in London, near the river",
        "I like tea very much, and mathematics",
    ]
    for line in lines:
        heard_after_ms(bench, say(bench, line))
        bench.wait_state("listening")
    wait_for("a handle", lambda: _has_fresh_handle(service))
    service.standin.control.scenario("forgets", greeting=greeting, times=1)
    service.standin.control.push(drop=True)
    wait_for("the next connection", lambda: details(bench, "reconnected"))
    assert details(bench, "reconnected")[-1]["resumed"]
    if not greeting:
        asked = say(bench, "what is my name?")
        heard_after_ms(bench, asked)
    assert wait_for("the event", lambda: details(bench, "contextlost")) == [{"seeded": True}]
    bench.wait_state("listening")
    assert "Lovelace" in history(bench, service)
    assert tokens(service) == 2
    assert count_sessions(service) - before == 1


def test_silent_model_answers_speech_when_it_is_told_to_go_on(
    launch_browser: LaunchBrowser, open_stage: OpenStage, service: Service, tmp_path: Path
) -> None:
    wav = speak(tmp_path, "Hello, are you there?", before=1.5)
    bench = open_stage(Bench, launch_browser(wav))
    bench.open(service.broker.bearer())
    service.standin.control.scenario("model-silent", times=1)
    assert bench.start() is None
    bench.wait_state("speaking", 30)
    (stalled,) = details(bench, "stalled")
    assert stalled["step"] == "nudge"
    assert stalled["waitedMs"] >= FIRST_MS - 1
    assert tokens(service) == 1
    assert details(bench, "reconnecting") == []


def test_page_says_what_it_does_about_a_silent_model(open_stage: OpenStage, service: Service) -> None:
    demo = open_stage(Demo)
    demo.open()
    for answers in (1, 2, 3):
        demo.type("/tone 300 0.3")
        wait_for("the answer", partial(service.answered, answers))
        demo.wait_state("listening")
    service.standin.control.scenario("model-silent", times=2)
    demo.type("are you there?")
    demo.wait_state("waiting")
    assert demo.page.inner_text("#status") == "Still waiting for the assistant"
    expect(note(demo, "No answer yet. Asking again.")).to_be_visible()
    expect(note(demo, "No answer yet. Trying another connection.")).to_be_visible()
    expect(note(demo, "Reconnected. Your question was asked again.")).to_be_visible()
    demo.wait_state("speaking")


def test_page_says_why_there_is_no_answer(open_stage: OpenStage, service: Service) -> None:
    demo = open_stage(Demo)
    demo.open()
    service.standin.control.scenario("empty-turn", reason="BLOCKLIST", times=1)
    demo.type("tell me")
    expect(note(demo, "The service does not answer this because of its safety rules.")).to_be_visible()
    demo.wait_state("listening")
    service.standin.control.scenario("empty-turn", reason="RESPONSE_REJECTED")
    demo.type("tell me more")
    expect(note(demo, "The assistant rejected its own answer. Asking again.")).to_be_visible()
    demo.wait_state("error", 30)
    expect(demo.page.locator("#notice")).to_have_attribute("data-code", "no-answer")


def note(demo: Demo, text: str) -> Locator:
    return demo.page.locator("#captions p", has_text=text)
