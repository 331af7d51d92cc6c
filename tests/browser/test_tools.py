"""Function calls: in parallel, blocking or not, cancelled, and answered on their own connection only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.models import serve_models
from tests.browser.support import Bench, wait_for, write_wav

# `slow` waits for the test, and tells it when it is given up; `quick` does not; `steps` has three results.
TOOLS = """
globalThis.given = [];
globalThis.tools = {
  slow: { scheduling: 'SILENT', run: (_args, { signal }) => new Promise((resolve) => {
    signal.addEventListener('abort', () => given.push(signal.reason.reason));
    globalThis.finish = resolve;
  }) },
  quick: () => 'done',
  async *steps() { yield 'one'; yield 'two'; return 'three'; },
};
"""

talking = pytest.fixture(scope="module")(serve_models)


def responses(service: Service, connection: int = -1) -> list[list[dict[str, Any]]]:
    """The function responses that arrived, frame by frame."""
    received = service.standin.control.received()["connections"][connection]["received"]
    return [e["frame"]["toolResponse"]["functionResponses"] for e in received if "toolResponse" in e["frame"]]


def begin(bench: Bench, service: Service, profile: str, *, microphone: bool = False) -> None:
    bench.open(service.broker.bearer(), body={"profile": profile})
    assert bench.start(microphone=microphone) is None


def call(bench: Bench, line: str, count: int = 1) -> None:
    before = len(bench.events("toolcall"))
    bench.say(line)
    wait_for("the call", lambda: len(bench.events("toolcall")) >= before + count)


def test_start_fails_if_its_functions_cannot_load_and_the_next_start_succeeds(
    open_stage: OpenStage, service: Service
) -> None:
    bench = open_stage(Bench, script=TOOLS)
    bench.open(service.broker.bearer(), body={"profile": "m38"})
    bench.page.route("**/live/conversation/tool-runner.js", lambda route: route.abort(), times=1)
    assert bench.start(microphone=False)["reason"] == "network"
    assert bench.state() == "error"
    bench.faults.clear()  # the browser's own line about what was not loaded
    bench.page.evaluate("bench.session.prepare()")
    assert bench.start(microphone=False) is None
    call(bench, "/tool quick")
    wait_for("the answer", lambda: responses(service))


def test_blocking_calls_are_answered_together_and_hold_the_microphone(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(48000 * 30))
    bench = open_stage(Bench, launch_browser(silence), TOOLS)
    begin(bench, service, "m25", microphone=True)
    call(bench, "/tools", 3)
    assert [e["detail"]["blocking"] for e in bench.events("toolcall")] == [True] * 3
    assert bench.state() == "thinking"
    bench.page.wait_for_timeout(300)

    def sound() -> int:
        return int(service.standin.control.received()["connections"][-1]["audio_frames"])

    before = sound()
    bench.page.wait_for_timeout(600)  # 30 chunks
    held = sound() - before
    assert responses(service) == []
    bench.page.evaluate("finish({ found: 3 })")
    [answers] = wait_for("the answers", lambda: responses(service))
    assert {answer["name"]: answer["response"] for answer in answers} == {
        "slow": {"found": 3},
        "quick": {"result": "done"},
        "steps": {"result": "three"},
    }
    assert not any("scheduling" in answer or "willContinue" in answer for answer in answers)
    assert held <= 2, "sound went to a model that waits for a function"
    wait_for("what was said meanwhile", lambda: sound() - before >= 25)


def test_non_blocking_calls_are_answered_when_ready(open_stage: OpenStage, service: Service) -> None:
    bench = open_stage(Bench, None, TOOLS)
    begin(bench, service, "m38")
    call(bench, "/tools", 3)
    assert [e["detail"]["blocking"] for e in bench.events("toolcall")] == [False] * 3
    steps = wait_for(
        "the steps",
        lambda: [r for [r] in responses(service) if r["name"] == "steps"][2:] and responses(service),
    )
    assert [
        (r["response"]["result"], r.get("willContinue", False)) for [r] in steps if r["name"] == "steps"
    ] == [
        ("one", True),
        ("two", True),
        ("three", False),
    ]
    assert not [r for [r] in responses(service) if r["name"] == "slow"]
    bench.page.evaluate("finish('late')")
    wait_for("the late one", lambda: [r for [r] in responses(service) if r["name"] == "slow"])
    [[last]] = responses(service)[-1:]
    assert last["scheduling"] == "SILENT"


def test_answers_for_extended_thinking_have_no_scheduling(open_stage: OpenStage, service: Service) -> None:
    bench = open_stage(Bench, None, TOOLS)
    begin(bench, service, "deep")
    call(bench, "/tool slow")
    bench.page.evaluate("finish('here')")
    [[answer]] = wait_for("the answer", lambda: responses(service))
    assert answer["response"] == {"result": "here"}
    assert "scheduling" not in answer


def test_call_is_cancelled_when_the_user_continues(open_stage: OpenStage, service: Service) -> None:
    bench = open_stage(Bench, None, TOOLS)
    begin(bench, service, "m31")
    call(bench, "/tool slow")
    bench.say("Never mind.")
    [cancelled] = wait_for("the cancellation", lambda: bench.events("toolcancel"))
    assert (cancelled["detail"]["name"], cancelled["detail"]["reason"]) == ("slow", "service")
    assert cancelled["detail"]["ms"] >= 0
    assert bench.page.evaluate("given") == ["aborted"]
    bench.page.evaluate("finish('too late')")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    assert responses(service) == []


def test_call_of_a_lost_connection_is_not_answered_on_the_next(
    open_stage: OpenStage, service: Service
) -> None:
    """Google sends no handle during a call, so the resumed session would close with 1007."""
    bench = open_stage(Bench, None, TOOLS)
    begin(bench, service, "m25")
    bench.page.wait_for_timeout(
        400
    )  # the first handle comes after 0.1 s, and none while something is going on
    bench.say("hello")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    call(bench, "/tool slow")
    service.standin.control.push(drop=True)
    [again] = wait_for("the next connection", lambda: bench.events("reconnected"), 30)
    assert again["detail"]["resumed"]
    assert [e["detail"]["reason"] for e in bench.events("toolcancel")] == ["connection"]
    bench.page.evaluate("finish('too late')")
    bench.say("/tool quick")
    wait_for("the next answer", lambda: responses(service))
    assert [[answer["name"] for answer in answers] for answers in responses(service)] == [["quick"]]
    bench.wait_state("speaking")
    bench.wait_state("listening")
    assert service.standin.control.health()["open_connections"] == 1
