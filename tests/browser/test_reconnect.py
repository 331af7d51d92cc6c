"""Connections that end or break in mid-conversation, as a page sees it in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from broker.standin import StandIn
from broker.store.database.tables import sessions
from tests.browser.conftest import OpenStage, Service
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench, assert_same_sound, pcm, wait_for
from tests.browser.wire import Wire
from tests.support.environment import write_config


def typed(service: Service) -> list[tuple[int, str]]:
    """(connection, text) of every line that arrived."""
    return [
        (connection["number"], entry["frame"]["realtimeInput"]["text"])
        for connection in service.standin.control.received()["connections"]
        for entry in connection["received"]
        if "text" in entry["frame"].get("realtimeInput", {})
    ]


def back(bench: Bench, times: int = 1, seconds: float = 20.0) -> dict[str, Any]:
    """The detail of the last `reconnected`, once there are so many."""
    wait_for("the next connection", lambda: len(bench.events("reconnected")) >= times, seconds)
    detail: dict[str, Any] = bench.events("reconnected")[-1]["detail"]
    return detail


def states(bench: Bench) -> list[str]:
    return [event["detail"]["state"] for event in bench.events("statechange")]


def handles(service: Service) -> list[float]:
    """When each was sent, epoch milliseconds."""
    frames = service.standin.control.sent()["frames"]
    return [f["ms"] for f in frames if f["frame"].get("sessionResumptionUpdate", {}).get("resumable")]


def handle_known(service: Service) -> None:
    """The client has been given a handle."""
    wait_for("a handle", lambda: handles(service))


@pytest.mark.measured
def test_a_planned_change_of_connection_is_not_heard_and_not_seen(bench: Bench, service: Service) -> None:
    """An answer of four seconds is playing while the line goes from one connection to the next."""
    service.standin.control.scenario("burst")
    assert bench.start(microphone=False) is None  # whose beeps would interrupt
    handle_known(service)
    bench.say("/tone 300 4")
    bench.wait_state("speaking")
    service.standin.control.push(go_away=2)
    detail = back(bench)
    assert detail["planned"]
    assert detail["resumed"]
    assert bench.state() == "speaking"
    bench.wait_state("listening", 30)
    bench.page.wait_for_timeout(300)
    assert_same_sound(bench.recording().heard(), pcm(service.standin.control.sent_audio(1, 1)))
    assert "reconnecting" not in states(bench)
    assert bench.diagnostics()["line"]["handovers"] == 1
    first, second = service.standin.control.received()["connections"]
    assert first["closed"]["code"] == 1000
    assert first["closed"]["ms"] <= second["opened_ms"], "Google refuses a handle while its session is open"
    assert second["resumed"]


def test_a_broken_line_is_taken_up_again_and_what_was_typed_meanwhile_is_answered(
    bench: Bench, service: Service
) -> None:
    assert bench.start(microphone=False) is None
    handle_known(service)
    service.standin.control.scenario("setup-slow", seconds=1, times=1)
    service.standin.control.push(drop=True)
    bench.wait_state("reconnecting")
    bench.say("are you still there?")
    detail = back(bench)
    assert detail["resumed"]
    assert not detail["planned"]
    bench.wait_state("speaking")
    assert typed(service) == [(2, "are you still there?")]
    assert bench.diagnostics()["line"]["reconnects"] == 1
    assert bench.events("error") == []


def test_a_conversation_whose_handle_is_refused_is_told_what_was_said(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    handle_known(service)
    bench.say("the word is marmalade")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    service.standin.control.scenario("resume-refused", close="internal", times=2)
    service.standin.control.push(drop=True)
    detail = back(bench)
    assert detail["seeded"]
    assert not detail["resumed"]
    bench.say("/history")
    wait_for("the answer", lambda: service.standin.control.sent()["turns"])
    wait_for(
        "what was said before", lambda: "marmalade" in service.standin.control.sent()["turns"][-1]["text"]
    )
    tokens = [request for request in service.broker.requests if request == "POST /token"]
    renewals = [request for request in service.broker.requests if request.endswith("/token")]
    assert len(renewals) - len(tokens) >= 3


def test_who_only_types_is_taken_up_after_the_last_turn_too(bench: Bench, service: Service) -> None:
    """Handles come in reaction to input only: without a nudge the newest one would be from before it."""
    assert bench.start(microphone=False) is None
    handle_known(service)
    bench.say("the word is marmalade")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    wait_for("the turn's end", lambda: service.standin.control.sent()["turns"][0]["turn_complete_ms"])
    over = service.standin.control.sent()["turns"][0]["turn_complete_ms"]
    wait_for("a handle that knows of the turn", lambda: handles(service)[-1] > over)
    service.standin.control.push(drop=True)
    assert back(bench)["resumed"]
    bench.say("/history")
    wait_for("the answer", lambda: service.standin.control.sent()["turns"])
    wait_for(
        "what was said before", lambda: "marmalade" in service.standin.control.sent()["turns"][-1]["text"]
    )


def test_offline_it_waits_and_online_it_tries_at_once(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    handle_known(service)
    bench.page.context.set_offline(True)
    wait_for("the event", lambda: bench.events("network"))
    assert bench.events("network")[-1]["detail"]["state"] == "offline"
    service.standin.control.push(drop=True)
    bench.wait_state("reconnecting")
    bench.page.wait_for_timeout(1500)
    assert len(service.standin.control.received()["connections"]) == 1
    assert bench.events("error") == []
    began = time.monotonic()
    bench.page.context.set_offline(False)
    assert back(bench)["resumed"]
    assert time.monotonic() - began < 10
    assert bench.state() == "listening"
    bench.faults.clear()  # the browser notes requests that an offline page makes


def test_the_network_goes_in_the_middle_of_a_planned_change(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    handle_known(service)
    service.standin.control.scenario("setup-hang", times=1)
    service.standin.control.push(go_away=3)
    wait_for("the second connection", lambda: len(service.standin.control.received()["connections"]) == 2)
    bench.say("can you hear me?")
    bench.page.context.set_offline(True)
    service.standin.control.reset_scenarios()
    bench.page.evaluate("0")
    bench.page.context.set_offline(False)
    detail = back(bench, seconds=30)
    assert detail["resumed"]
    wait_for("the line", lambda: [text for _number, text in typed(service)] == ["can you hear me?"])
    bench.faults.clear()


@pytest.mark.measured
@pytest.mark.long
def test_a_line_that_stayed_behind_in_another_network_is_left(bench: Bench, service: Service) -> None:
    """Open, and dead: no frame comes any more. That the network is another one makes it suspect."""
    assert bench.start() is None
    service.standin.control.scenario("fall-silent", after_seconds=2.5, times=1)
    service.standin.control.push(drop=True)
    back(bench)
    bench.page.wait_for_timeout(2700)
    bench.page.evaluate("dispatchEvent(new Event('online'))")
    wait_for(
        "the warning",
        lambda: any(event["detail"]["state"] == "silent" for event in bench.events("network")),
    )
    detail = back(bench, 2, 15)
    assert not detail["planned"]
    assert bench.state() in ("listening", "reconnecting")


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[tuple[Wire, StandIn, StageServer]]:
    with (
        StandIn(port=0) as standin,
        Wire(standin.url) as wire,
        StageServer(tmp_path, wire.url) as broker,
    ):
        yield wire, standin, broker


@pytest.mark.measured
@pytest.mark.long
def test_a_slow_network_is_told_and_loses_only_what_is_too_old(
    open_stage: OpenStage, wired: tuple[Wire, StandIn, StageServer]
) -> None:
    wire, standin, broker = wired
    bench = open_stage(Bench)
    bench.origin = broker.url
    bench.open(broker.bearer())
    assert bench.start() is None
    bench.page.wait_for_timeout(1000)
    wire.clog()
    # What the system's own buffers take is not ours to see: fill them.
    bench.page.evaluate("bench.session.sendText('x'.repeat(6_000_000))")
    wait_for("slow", lambda: [e for e in bench.events("network") if e["detail"]["state"] == "slow"])
    bench.page.wait_for_timeout(6500)
    dropped = bench.events("network")[-1]["detail"]["droppedMs"]
    assert 0 < dropped < 4000, "five seconds are kept, and what is older is counted"
    wire.free()
    wait_for("ok", lambda: bench.events("network")[-1]["detail"]["state"] == "ok")
    before = standin.control.received()["connections"][-1]["audio_in_seconds"]
    wait_for(
        "speech again",
        lambda: standin.control.received()["connections"][-1]["audio_in_seconds"] > before + 1,
    )
    assert bench.events("error") == []


def open_sessions(service: Service) -> list[str]:
    with service.broker.database.read() as store:
        return [row.id for row in store.execute(select(sessions.c.id).where(sessions.c.state == "open"))]


def ended_without_a_trace(bench: Bench, service: Service) -> None:
    bench.end()
    assert bench.state() == "ended"
    wait_for("the worker's end", bench.worker_ended)
    wait_for("the sessions", lambda: open_sessions(service) == [])
    connections = len(service.standin.control.received()["connections"])
    bench.page.wait_for_timeout(500)
    assert len(service.standin.control.received()["connections"]) == connections
    assert service.standin.control.health()["open_connections"] == 0
    assert bench.events("error") == []


def test_an_end_while_the_token_is_asked_for_gives_the_session_back(bench: Bench, service: Service) -> None:
    """The broker grants what nobody waits for any more; it would count until it ran out."""
    service.standin.control.scenario("mint-slow", seconds=1.0)
    bench.page.evaluate("bench.options = {}")
    bench.page.click("#go")
    wait_for("the request", lambda: service.broker.asked("POST /token"))
    bench.end()
    assert bench.page.evaluate("bench.going")["reason"] == "aborted"
    wait_for("the end", lambda: service.broker.asked(r"POST /sessions/ses_\w+/end"))
    ended_without_a_trace(bench, service)


@pytest.mark.parametrize("when", ["waiting to try again", "asking for the next token", "opening", "leaving"])
def test_an_end_while_the_line_is_down_leaves_nothing_behind(
    bench: Bench, service: Service, when: str
) -> None:
    assert bench.start() is None
    handle_known(service)
    control = service.standin.control
    if when == "waiting to try again":
        control.scenario("refuse", close="internal")
    elif when == "asking for the next token":
        control.scenario("mint-slow", seconds=1.0)
    else:
        control.scenario("setup-hang")
    if when == "leaving":
        control.push(go_away=2)
        wait_for("the next one", lambda: len(control.received()["connections"]) == 2)
    else:
        control.push(drop=True)
        bench.wait_state("reconnecting")
        if when == "opening":
            wait_for("the next one", lambda: len(control.received()["connections"]) == 2)
        elif when == "waiting to try again":
            wait_for("the second try", lambda: len(bench.events("reconnecting")) >= 2)
    ended_without_a_trace(bench, service)


def test_a_session_that_has_had_its_time_ends_and_says_so(bench: Bench) -> None:
    """As an app's own backend may tell it: five seconds, of which the client leaves itself two to hang up."""
    bench.page.evaluate(
        """async () => {
          await bench.session.end();
          const ask = async () => {
            const headers = { Authorization: `Bearer ${bench.bearer}`, 'Content-Type': 'application/json' };
            const answer = await (await fetch('/token', { method: 'POST', headers, body: '{}' })).json();
            const end = '2001-01-01T00:00:05Z'; // the device's clock must not matter
            const session = { id: answer.session.id, ends_at: end };
            return { ...answer, expires_in: 5, expires_at: end, session };
          };
          bench.session = new bench.live.LiveSession({ tokenSource: bench.live.TokenSource.custom(ask) });
          for (const type of ['statechange', 'error', 'clock']) {
            bench.session.addEventListener(type, ({ detail }) =>
              bench.events.push({ type, at: Date.now(), detail: JSON.parse(JSON.stringify(detail)) }));
          }
        }"""
    )
    assert bench.start(microphone=False) is None
    assert 0 < bench.events("clock")[0]["detail"]["remainingMs"] <= 5000
    bench.wait_state("ended")
    ended = bench.events("statechange")[-1]["detail"]
    assert ended["error"]["reason"] == "session-ended"
    assert bench.events("error") == []
    wait_for("the worker's end", bench.worker_ended)


def test_with_a_total_lock_the_handle_goes_into_the_token(
    open_stage: OpenStage, tmp_path: Path, service: Service
) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace('# lock = "mask"', 'lock = "total"', 1))
    with StageServer(tmp_path, service.standin.url, config=config) as broker:
        bench = open_stage(Bench)
        bench.origin = broker.url
        bench.open(broker.bearer())
        assert bench.start() is None
        bench.say("the word is marmalade")
        bench.wait_state("speaking")
        bench.wait_state("listening")
        service.standin.control.push(go_away=3)
        assert back(bench)["resumed"]
        assert service.standin.control.received()["connections"][-1]["resumed"]
        service.standin.control.push(drop=True)
        assert back(bench, 2)["resumed"]
        assert service.standin.control.received()["connections"][-1]["resumed"]
        bench.say("/history")
        wait_for("the answer", lambda: service.standin.control.sent()["turns"])
        wait_for("what was said", lambda: "marmalade" in service.standin.control.sent()["turns"][-1]["text"])
        bench.end()
