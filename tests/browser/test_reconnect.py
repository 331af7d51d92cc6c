"""Connections that end or break during a conversation, in a real Chromium."""

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
    """(connection, text) of every typed line that arrived."""
    return [
        (connection["number"], entry["frame"]["realtimeInput"]["text"])
        for connection in service.standin.control.received()["connections"]
        for entry in connection["received"]
        if "text" in entry["frame"].get("realtimeInput", {})
    ]


def back(bench: Bench, times: int = 1, seconds: float = 20.0) -> dict[str, Any]:
    """Waits for this many `reconnected` events. Returns the detail of the last."""
    wait_for("the next connection", lambda: len(bench.events("reconnected")) >= times, seconds)
    detail: dict[str, Any] = bench.events("reconnected")[-1]["detail"]
    return detail


def states(bench: Bench) -> list[str]:
    return [event["detail"]["state"] for event in bench.events("statechange")]


def handles(service: Service) -> list[float]:
    """The times at which handles were sent, in epoch milliseconds."""
    frames = service.standin.control.sent()["frames"]
    return [f["ms"] for f in frames if f["frame"].get("sessionResumptionUpdate", {}).get("resumable")]


def handle_known(service: Service) -> None:
    """Waits until the client has a handle."""
    wait_for("a handle", lambda: handles(service))


def handle_knows_the_turn(service: Service) -> None:
    """Waits until the client has a handle that is newer than the first answer."""
    wait_for("the turn's end", lambda: service.standin.control.sent()["turns"][0]["turn_complete_ms"])
    over = service.standin.control.sent()["turns"][0]["turn_complete_ms"]
    wait_for("a handle that knows of the turn", lambda: handles(service)[-1:] > [over])


@pytest.mark.measured
def test_planned_handover_is_not_heard_and_not_seen(bench: Bench, service: Service) -> None:
    """An answer of four seconds plays during the change from one connection to the next."""
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


def test_dropped_connection_resumes_and_answers_what_was_typed_meanwhile(
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


def test_three_handovers_keep_every_line_in_one_session(bench: Bench, service: Service) -> None:
    """The fast form of the 45-minute conversation in test_long_conversation.py."""
    assert bench.start(microphone=False) is None
    handle_known(service)
    lines = [f"line {number}" for number in range(4)]
    for number, line in enumerate(lines):
        bench.say(line)
        bench.wait_state("speaking")
        bench.wait_state("listening")
        if number == 3:
            break
        service.standin.control.push(go_away=2)
        detail = back(bench, number + 1)
        assert detail["planned"]
        assert detail["resumed"]
    assert typed(service) == [(number + 1, line) for number, line in enumerate(lines)]
    assert "reconnecting" not in states(bench)
    assert bench.diagnostics()["line"]["handovers"] == 3
    assert bench.events("error") == []
    assert len(open_sessions(service)) == 1
    assert [request for request in service.broker.requests if request == "POST /token"] == ["POST /token"]
    ended_without_a_trace(bench, service)


def test_new_session_gets_the_history_when_its_handle_is_refused(bench: Bench, service: Service) -> None:
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


def test_typed_conversation_resumes_after_its_last_turn(bench: Bench, service: Service) -> None:
    """Google sends handles only after input. Without a nudge the newest one would precede the last turn."""
    assert bench.start(microphone=False) is None
    handle_known(service)
    bench.say("the word is marmalade")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    handle_knows_the_turn(service)
    service.standin.control.push(drop=True)
    assert back(bench)["resumed"]
    bench.say("/history")
    wait_for("the answer", lambda: service.standin.control.sent()["turns"])
    wait_for(
        "what was said before", lambda: "marmalade" in service.standin.control.sent()["turns"][-1]["text"]
    )


def test_reconnect_waits_while_offline_and_starts_when_online(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    handle_known(service)
    bench.page.context.set_offline(True)
    bench.page.wait_for_timeout(500)
    assert bench.events("network") == [], "the connection works, whatever the browser says"
    service.standin.control.push(drop=True)
    bench.wait_state("reconnecting")
    wait_for("the event", lambda: bench.events("network"))
    assert bench.events("network")[-1]["detail"]["state"] == "offline"
    bench.page.wait_for_timeout(1500)
    assert len(service.standin.control.received()["connections"]) == 1
    assert bench.events("error") == []
    began = time.monotonic()
    bench.page.context.set_offline(False)
    assert back(bench)["resumed"]
    assert time.monotonic() - began < 10
    assert bench.state() == "listening"
    bench.faults.clear()  # the browser logs requests of an offline page


def test_handover_survives_a_lost_network(bench: Bench, service: Service) -> None:
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


def test_silent_connection_is_replaced_after_a_network_change(bench: Bench, service: Service) -> None:
    """The connection is open but no frame arrives. The network change makes the client check it."""
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
def test_slow_network_is_reported_and_drops_only_old_speech(
    open_stage: OpenStage, wired: tuple[Wire, StandIn, StageServer]
) -> None:
    wire, standin, broker = wired
    bench = open_stage(Bench)
    bench.origin = broker.url
    bench.open(broker.bearer())
    assert bench.start() is None
    bench.page.wait_for_timeout(1000)
    wire.clog()
    # Fill the system's own buffers, which the page cannot see.
    bench.page.evaluate("bench.session.sendText('x'.repeat(6_000_000))")
    wait_for("slow", lambda: [e for e in bench.events("network") if e["detail"]["state"] == "slow"])
    bench.page.wait_for_timeout(6500)
    dropped = bench.events("network")[-1]["detail"]["droppedMs"]
    assert 0 < dropped < 4000, "five seconds are kept, and older speech is counted"
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


def test_end_during_the_token_request_releases_the_session(bench: Bench, service: Service) -> None:
    """The broker still issues the token. Without an end the session would count until it expires."""
    service.standin.control.scenario("mint-slow", seconds=1.0)
    bench.page.evaluate("bench.options = {}")
    bench.page.click("#go")
    wait_for("the request", lambda: service.broker.asked("POST /token"))
    bench.end()
    assert bench.page.evaluate("bench.going")["reason"] == "aborted"
    wait_for("the end", lambda: service.broker.asked(r"POST /sessions/ses_\w+/end"))
    ended_without_a_trace(bench, service)


@pytest.mark.parametrize("when", ["waiting to try again", "asking for the next token", "opening", "leaving"])
def test_end_while_disconnected_leaves_nothing_open(bench: Bench, service: Service, when: str) -> None:
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


def test_session_past_its_end_time_ends_with_a_reason(bench: Bench) -> None:
    """An app's own backend sets five seconds. The client needs two of them to hang up."""
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


def test_total_lock_puts_the_handle_into_the_token(
    open_stage: OpenStage, tmp_path: Path, service: Service
) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace('# lock = "mask"', 'lock = "total"', 1))
    with StageServer(tmp_path, service.standin.url, config=config) as broker:
        bench = open_stage(Bench)
        bench.origin = broker.url
        bench.open(broker.bearer())
        assert bench.start(microphone=False) is None
        handle_known(service)
        bench.say("the word is marmalade")
        bench.wait_state("speaking")
        bench.wait_state("listening")
        handle_knows_the_turn(service)
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
