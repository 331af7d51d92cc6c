"""A 30-minute conversation in which something goes wrong every minute, 24 times as fast.

Each minute has one fault of the service and one turn of the user, typed or spoken. The connections and tokens
end 24 times sooner, too. Nothing else runs faster. test_long_conversation.py compares the sound;
test_silent_model.py and test_reconnect.py look at each fault more closely.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import select

from broker.standin import StandIn
from broker.standin.control import Handle
from broker.store.database.tables import session_reports, sessions
from tests.browser.heaps import Heaps
from tests.browser.stage_server import StageServer
from tests.browser.support import wait_for
from tests.support.environment import write_config

pytestmark = pytest.mark.long

# Before a release: MINUTES=45.
MINUTES = int(os.environ.get("MINUTES", "30"))
SCALE = 24.0
MINUTE_SECONDS = 60 / SCALE
WARM_UP_MINUTES = 15
SLICE_SECONDS = int(900 / SCALE)
ANSWER_SECONDS = 40.0
MOST_GROWN = 2_000_000

# A microphone that is silent until the test speaks. It is no device, so nothing filters it.
MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    await context.resume();
    const [tone, voice] = [context.createOscillator(), context.createGain()];
    const out = context.createMediaStreamDestination();
    tone.frequency.value = 500;
    voice.gain.value = 0;
    tone.connect(voice).connect(out);
    tone.start();
    globalThis.speak = (seconds) => {
        voice.gain.setValueAtTime(0.5, context.currentTime);
        voice.gain.setValueAtTime(0, context.currentTime + seconds);
    };
    return out.stream;
};
"""
SPEECH_SECONDS = 0.6
# A connection that breaks again within two seconds of real time has the same problem, of which the library
# tolerates only a few. A minute's fault is a new one.
STABLE_MS = 2300
LEFT_TO_BE_STABLE = "stable => (bench.of('reconnected').at(-1)?.at ?? 0) + stable - Date.now()"
KEPT = ["reconnected", "stalled", "emptyturn", "contextlost", "error"]

Act = Callable[[Handle], None]


@dataclass(frozen=True)
class Fault:
    name: str
    before: Act | None = None
    """Before the user's turn. The connection is back when the user speaks, or types."""
    asked: Act | None = None
    """Soon after the user's turn, before the answer."""
    heard: Act | None = None
    """While the answer is heard."""
    spoken: bool = False


def _once(name: str, **params: Any) -> Act:
    return lambda control: control.scenario(name, times=1, **params)


def _push(**what: Any) -> Act:
    return lambda control: control.push(**what)


def _drop_with(name: str, **params: Any) -> Act:
    """The line drops, and this happens to the next connection."""

    def act(control: Handle) -> None:
        control.scenario(name, times=1, **params)
        control.push(drop=True)

    return act


DROP = _push(drop=True)
FAULTS = (
    Fault("1007 in mid-call", _push(close="audio-type")),
    Fault("line drops in mid-answer", heard=DROP),
    Fault("model is silent", _once("model-silent")),
    Fault("empty turn", _once("empty-turn", reason="RESPONSE_REJECTED")),
    Fault("session forgets", _drop_with("forgets")),
    Fault("transcript comes late", _once("late-transcript"), spoken=True),
    Fault("1007 after a resume", _drop_with("close", after_seconds=0.3, close="audio-type")),
    Fault("handle is refused", _drop_with("resume-refused")),
    Fault("token is refused", _drop_with("mint-status", status=503)),
    Fault("line drops before the answer", _once("answer-slow", seconds=1.5), asked=DROP),
    Fault("model is silent after speech", _once("model-silent"), spoken=True),
    Fault("goAway", _push(go_away=1.0)),
    Fault("turn does not end", _once("no-turn-complete")),
    Fault("session greets again", _drop_with("forgets", greeting="Hello, I am here.")),
    Fault("setup is slow", _drop_with("setup-slow", seconds=1.0)),
)


@dataclass
class Call:
    """What the user noticed, and what is left of it."""

    unanswered: list[str] = field(default_factory=list)
    """The minutes without an answer, with their fault."""
    kinds: dict[str, int] = field(default_factory=dict)
    """How many events of each kind came."""
    errors: list[Any] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    used_before: dict[str, int] = field(default_factory=dict)
    used_after: dict[str, int] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    reports: int = 0
    used_minutes: int = 0
    elapsed_seconds: float = 0.0


class Caller:
    def __init__(self, page: Page, control: Handle) -> None:
        self._page = page
        self._control = control

    def minute(self, number: int, fault: Fault) -> bool:
        """Returns whether the user's turn was answered."""
        self._do(fault.before)
        wait_for("a quiet moment", self._listening, ANSWER_SECONDS)
        since = len(self._turns())
        if fault.spoken:
            self._page.evaluate("seconds => speak(seconds)", SPEECH_SECONDS)
            wanted = "You said something"
        else:
            line = f"line {number}"
            self._page.evaluate("line => bench.session.sendText(line)", line)
            wanted = f"You wrote: {line}"
        if fault.asked:
            self._page.wait_for_timeout(300)
            self._do(fault.asked)
        try:
            wait_for("the answer", lambda: self._answered(since, wanted), ANSWER_SECONDS)
        except AssertionError:
            return False
        self._do(fault.heard)
        wait_for("the end of the answer", self._listening, ANSWER_SECONDS)
        self._page.wait_for_timeout(200)  # the service ends the turn a moment later
        return True

    def _do(self, act: Act | None) -> None:
        if act:
            wait_for("a connection", self._connected)
            act(self._control)
            self._page.wait_for_timeout(100)  # until the page knows

    def _connected(self) -> bool:
        self._page.wait_for_timeout(20)
        return bool(self._control.health()["open_connections"])

    def _listening(self) -> bool:
        self._page.wait_for_timeout(20)
        return bool(self._page.evaluate("bench.session.state === 'listening'"))

    def _turns(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._page.evaluate("bench.session.transcript")
        return found

    def _answered(self, since: int, wanted: str) -> bool:
        self._page.wait_for_timeout(50)
        turns = self._turns()[since:]
        if not any(turn["role"] == "user" for turn in turns):
            return False  # the transcript of speech may come after the answer
        said = [turn["text"].strip() for turn in turns if turn["role"] == "model"]
        # An answer that breaks off counts from its first word that is its own.
        return any(text.startswith(wanted) or wanted.startswith(text) for text in said if len(text) > 14)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, StageServer]]:
    folder = tmp_path_factory.mktemp("faulty")
    config = write_config(folder)
    text = config.read_text().replace("# slice_seconds = 900", f"slice_seconds = {SLICE_SECONDS}")
    config.write_text(
        text.replace("# connect_within_seconds = 120", f"connect_within_seconds = {SLICE_SECONDS}")
    )
    with StandIn(port=0) as standin, StageServer(folder, standin.url, config=config) as broker:
        standin.control.scenario("connection-length", seconds=600 / SCALE, notice_seconds=100 / SCALE)
        yield standin, broker


@pytest.fixture(scope="module")
def call(browser: Browser, quick: tuple[StandIn, StageServer]) -> Iterator[Call]:
    standin, broker = quick
    page = browser.new_page()
    page.set_default_timeout(ANSWER_SECONDS * 1000)
    page.add_init_script(MICROPHONE)
    heaps = Heaps(page)
    page.goto(f"{broker.url}/bench/bench.html")
    page.wait_for_function("globalThis.bench")
    page.evaluate("options => bench.make(options)", {"bearer": broker.bearer(), "keep": KEPT})
    began = time.monotonic()
    page.click("#go")
    assert page.evaluate("bench.going") is None
    caller, call = Caller(page, standin.control), Call()
    for number in range(1, MINUTES + 1):
        fault = FAULTS[(number - 1) % len(FAULTS)]
        minute = time.monotonic()
        if not caller.minute(number, fault):
            call.unanswered.append(f"{number}: {fault.name}")
            if page.evaluate("bench.session.state") in ("error", "ended"):
                break
        page.wait_for_timeout(max(0.0, minute + MINUTE_SECONDS - time.monotonic()) * 1000)
        page.wait_for_timeout(max(0.0, page.evaluate(LEFT_TO_BE_STABLE, STABLE_MS)))
        if number == WARM_UP_MINUTES:
            call.used_before = heaps.used()
    call.used_after = heaps.used()
    kinds = [event["type"] for event in page.evaluate("bench.events")]
    call.kinds = {kind: kinds.count(kind) for kind in KEPT}
    call.errors = page.evaluate("bench.of('error')")
    call.turns = page.evaluate("bench.session.transcript")
    page.evaluate("bench.session.end()")
    call.elapsed_seconds = time.monotonic() - began
    with broker.database.read() as store:
        call.states = list(store.execute(select(sessions.c.state)).scalars())
        call.reports = len(list(store.execute(select(session_reports.c.data))))
    bearer = {"Authorization": f"Bearer {broker.bearer()}"}
    me = httpx2.get(f"{broker.url}/me", headers=bearer, trust_env=False).json()
    call.used_minutes = me["limits"]["minutes_per_day"]["used"]
    print(f"{call.elapsed_seconds:.0f} s, {call.kinds}")  # pytest -rP shows it
    yield call
    page.close()


def test_no_turn_of_the_user_is_lost(call: Call) -> None:
    assert call.unanswered == []
    assert call.errors == []
    typed = [turn["text"] for turn in call.turns if turn.get("typed")]
    assert typed == list(dict.fromkeys(typed)), "each line is in the transcript once"
    spoken = [turn["text"] for turn in call.turns if turn["role"] == "user" and not turn.get("typed")]
    spoken_minutes = sum(FAULTS[minute % len(FAULTS)].spoken for minute in range(MINUTES))
    assert (len(typed), len(spoken)) == (MINUTES - spoken_minutes, spoken_minutes), spoken


def test_every_kind_of_fault_happened(call: Call) -> None:
    rounds = MINUTES // len(FAULTS)
    assert call.kinds["emptyturn"] >= rounds
    assert call.kinds["stalled"] >= 2 * rounds, "silence after text and after speech"
    assert call.kinds["contextlost"] > rounds, "with and without a greeting"
    assert call.kinds["reconnected"] >= 10 * rounds


def test_one_session_is_charged(call: Call) -> None:
    assert call.states == ["ended"]
    assert call.reports == 1
    assert call.used_minutes <= call.elapsed_seconds / 60 + 1


@pytest.mark.parametrize("thread", ["page", "worker", "capture worklet", "playback worklet"])
def test_memory_does_not_grow(call: Call, thread: str) -> None:
    grown = call.used_after[thread] - call.used_before[thread]
    assert grown < MOST_GROWN, f"{grown} bytes in {MINUTES - WARM_UP_MINUTES} minutes"
