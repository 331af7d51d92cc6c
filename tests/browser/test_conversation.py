"""A conversation from the microphone to the loudspeaker, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import Bench, Demo, assert_same_sound, pcm, speak, wait_for

SENTENCE = "Hello there. Can you hear me well today?"


def hear_out(bench: Bench, service: Service) -> None:
    """Waits until the answer has ended at the stand-in and on the page."""
    wait_for("the turn's end", service.answered, 40)
    bench.wait_state("listening")
    bench.page.wait_for_timeout(300)  # the recorder posts ten times a second


@pytest.mark.measured
def test_spoken_sentence_is_answered_and_heard_sample_for_sample(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    """Through the page: microphone, resampler, socket, VAD, answer, jitter buffer, loudspeaker."""
    # The whole answer at once, as the service may send it. A busy machine then causes no underrun.
    service.standin.control.scenario("burst")
    demo = open_stage(Demo, launch_browser(speak(tmp_path, SENTENCE)))
    demo.open()
    demo.talk()
    demo.wait_state("speaking", 30)
    demo.wait_state("listening")
    wait_for("the turn's end", service.answered)

    demo.page.wait_for_timeout(300)
    sent = pcm(service.standin.control.sent_audio(turn=1))
    assert len(sent) > 24000, "the answer is shorter than a second"
    assert_same_sound(demo.recording().heard(), sent)
    assert demo.captions("user"), "no caption of what was said"
    assert demo.captions("model"), "no caption of the answer"


@pytest.mark.parametrize(
    "scenario",
    [
        "burst",
        pytest.param("odd-bytes", marks=pytest.mark.measured),
        pytest.param("big-chunks", marks=pytest.mark.measured),
        pytest.param("text-frames", marks=pytest.mark.measured),
    ],
)
def test_every_packing_of_an_answer_sounds_the_same(bench: Bench, service: Service, scenario: str) -> None:
    service.standin.control.scenario(scenario)
    assert bench.start(microphone=False) is None
    bench.say("/long 2")
    bench.wait_state("speaking")
    hear_out(bench, service)
    assert_same_sound(bench.recording().heard(), pcm(service.standin.control.sent_audio(turn=1)))
    assert bench.diagnostics()["playback"]["underruns"] == 0


@pytest.mark.measured
def test_late_network_is_bridged_without_a_click(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("stall", after_seconds=0.5, seconds=0.8)
    service.standin.control.scenario("pace", speed=1.0)
    assert bench.start(microphone=False) is None
    bench.say("/tone 200 2")
    bench.wait_state("speaking")
    hear_out(bench, service)
    heard = bench.recording().heard()
    assert bench.diagnostics()["playback"]["underruns"] >= 1
    steps = abs(heard[1:] - heard[:-1])
    assert steps.max() <= 0.03


def test_page_answers_a_function_call(open_stage: OpenStage, service: Service) -> None:
    demo = open_stage(Demo)
    demo.open()
    demo.type("/tool get_time")
    demo.wait_state("speaking", 30)
    received = service.standin.control.received()["connections"][-1]["received"]
    answers = [entry["frame"]["toolResponse"] for entry in received if "toolResponse" in entry["frame"]]
    assert [answer["name"] for answer in answers[0]["functionResponses"]] == ["get_time"]
    demo.wait_state("listening")


def test_page_never_holds_the_token(bench: Bench, service: Service) -> None:
    """The worker requests and uses it. Nothing that the page can reach holds it."""
    assert bench.start(microphone=False) is None
    bench.say("hello")
    bench.wait_state("speaking")
    reachable: str = bench.page.evaluate(
        "JSON.stringify([bench.events, bench.session.diagnostics(), {...localStorage}, {...sessionStorage},"
        " document.cookie, location.href, performance.getEntries().map(entry => entry.name)])"
    )
    assert service.standin.control.received()["connections"][-1]["auth"] == "query"
    assert "auth_tokens/" not in reachable
    bench.end()


def test_low_level_api_connects_and_talks(bench: Bench) -> None:
    """On the main thread, with a token that the app requested itself."""
    said = bench.page.evaluate(
        """async () => {
          const headers = { Authorization: `Bearer ${bench.bearer}`, 'Content-Type': 'application/json' };
          const answer = await (await fetch('/token', { method: 'POST', headers, body: '{}' })).json();
          const seen = new Set();
          let over;
          const done = new Promise((resolve) => (over = resolve));
          const callbacks = {
            onopen: () => seen.add('open'),
            onmessage: (message) => {
              for (const key of Object.keys(message.serverContent ?? {})) seen.add(key);
              if (message.serverContent?.turnComplete) over();
            },
            onclose: ({ code }) => seen.add(`close ${code}`),
          };
          const session = await bench.live.connect({ ...answer, callbacks });
          session.sendRealtimeInput({ text: 'hello' });
          await done;
          session.close();
          await new Promise((resolve) => setTimeout(resolve, 300));
          return [...seen];
        }"""
    )
    assert {
        "open",
        "modelTurn",
        "outputTranscription",
        "generationComplete",
        "turnComplete",
        "close 1000",
    } <= set(said)


@pytest.mark.parametrize(
    ("close", "reason"),
    [
        ("token-used", "connection-refused"),
        ("quota", "connection-refused"),
        ("internal", "connection-lost"),
    ],
)
def test_refused_connection_has_a_reason(bench: Bench, service: Service, close: str, reason: str) -> None:
    service.standin.control.scenario("refuse", close=close)
    error = bench.start()
    assert error["reason"] == reason
    assert error["closeCode"] == 1011
    assert bench.state() == "error"
    wait_for("the worker's end", bench.worker_ended)


def test_refused_token_has_the_brokers_code_and_detail(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("mint-status", status=503)
    error = bench.start()
    assert error["reason"] == "token-refused"
    assert error["status"] in (502, 503)
    assert error["code"].startswith("upstream-")
    assert error["detail"]


def test_start_after_a_lost_answer_gets_the_same_session(bench: Bench, service: Service) -> None:
    """One wish is one session, however often it is requested. The next wish is another one."""
    broker = service.broker
    sessions = len(broker.sessions())
    broker.lose_answers = 2
    assert [bench.start()["reason"] for _ in range(2)] == ["network", "network"]
    assert bench.start() is None
    assert len(broker.sessions()) == sessions + 1
    bench.end()
    wait_for("the end", lambda: broker.sessions()[-1] == "ended")
    assert bench.start() is None
    assert len(broker.sessions()) == sessions + 2
    assert broker.requests.count("POST /token") == 4
    bench.end()
    bench.faults.clear()  # the browser logs lost answers


def test_final_close_releases_everything_and_allows_a_restart(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    service.standin.control.push(close="quota")
    bench.wait_state("error")
    [failure] = bench.events("error")
    assert failure["detail"]["error"]["reason"] == "connection-refused"
    wait_for("the worker's end", bench.worker_ended)
    assert bench.start() is None
    bench.end()
    assert bench.state() == "ended"


def test_end_while_connecting_aborts_the_start(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("setup-hang")
    bench.page.evaluate("bench.options = {}")
    bench.page.click("#go")
    wait_for("the setup", lambda: [c["setup"] for c in service.standin.control.received()["connections"]])
    bench.end()
    error = bench.page.evaluate("bench.going")
    assert error["reason"] == "aborted"
    assert bench.state() == "ended"
    wait_for("the close", lambda: service.standin.control.health()["open_connections"] == 0)


def test_leaving_the_page_ends_the_session(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    bench.page.goto("about:blank")
    wait_for("the close", lambda: service.standin.control.health()["open_connections"] == 0)
    wait_for("the end", lambda: service.broker.asked(r"POST /sessions/ses_\w+/end"))
