"""A 45-minute conversation over connections that end, break and are refused; the broker restarts once.

Everything that ends at Google or at the broker ends 45 times sooner: connections, and the time that one token
pays for. So the test takes one minute. Nothing else runs faster. The microphone plays numbered pips, and a
line is typed every two seconds. test_reconnect.py has a fast form with three handovers.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Playwright
from sqlalchemy import select

from broker.standin import StandIn
from broker.store.database.tables import session_reports, sessions
from tests.browser.stage_server import StageServer
from tests.browser.support import UNPROCESSED, Bench, Samples, launch, pcm, wait_for, write_wav
from tests.support.environment import write_config

pytestmark = [pytest.mark.measured, pytest.mark.long]

MINUTES = 45
SCALE = 45.0
TALK_SECONDS = MINUTES * 60 / SCALE
SLICE_SECONDS = int(900 / SCALE)
SAY_EVERY_SECONDS = 2.0
MARGIN_MS = 300  # the time of an answer
MOST_UNDERRUNS = 2
FADE_SAMPLES = 120  # of an answer that was interrupted; they are mixed into the beginning of the next one
AWAY_SECONDS = 1.5
MIC_RATE, HEARD_RATE = 48000, 16000
PIP_SECONDS, PIP_EVERY_SECONDS = 0.015, 0.5
PIPS_HZ = [600.0 + 200 * n for n in range(8)]


@dataclass(frozen=True)
class Talk:
    """Everything recorded about the conversation. Times are epoch milliseconds."""

    connections: list[dict[str, Any]]
    said: dict[str, float]
    """Typed lines, and when each was typed."""
    answers: list[tuple[dict[str, Any], Samples]]
    """Each turn of the stand-in, with its sound."""
    played: Samples
    """The samples that went to the loudspeaker."""
    spoken: list[Samples]
    """The microphone's sound, per connection."""
    diagnostics: dict[str, Any]
    events: dict[str, list[dict[str, Any]]]
    rows: list[Any]
    reports: list[dict[str, int]]
    used_minutes: int
    elapsed_seconds: float
    faults: list[str]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """From each break to the next connection, as the page saw it."""
        ends = self.events["reconnected"]
        return [(event["at"] - event["detail"]["gapMs"], event["at"]) for event in ends]

    def in_a_gap(self, begin: float, end: float) -> bool:
        """Whether an answer in this interval overlaps a gap."""
        return any(gap[0] - MARGIN_MS <= end and begin <= gap[1] + MARGIN_MS for gap in self.gaps)


def pips() -> Samples:
    """Sounds too short and too soft to count as speech."""
    out = np.zeros(int((TALK_SECONDS + 30) * MIC_RATE))
    t = np.arange(int(PIP_SECONDS * MIC_RATE)) / MIC_RATE
    for n in range(int((TALK_SECONDS + 29) / PIP_EVERY_SECONDS)):
        at = int(n * PIP_EVERY_SECONDS * MIC_RATE)
        out[at : at + len(t)] = 0.025 * np.sin(2 * np.pi * PIPS_HZ[n % 8] * t) * np.hanning(len(t))
    return out


def pips_in(heard: Samples) -> list[tuple[int, int]]:
    """(first sample, number of the pip from 0 to 7)."""
    t = np.arange(int(PIP_SECONDS * HEARD_RATE)) / HEARD_RATE
    waves = np.exp(-2j * np.pi * np.outer(PIPS_HZ, t))
    loud = np.flatnonzero(np.abs(heard) > 0.008)
    begins = loud[np.diff(loud, prepend=-HEARD_RATE) > HEARD_RATE // 8]
    whole = [int(at) for at in begins if at + len(t) <= len(heard)]
    return [(at, int(np.argmax(np.abs(waves @ heard[at : at + len(t)])))) for at in whole]


def lost_ms(spoken: list[Samples]) -> list[float]:
    """The missing milliseconds between neighbouring pips, over all connections."""
    found = pips_in(np.concatenate(spoken))
    pip = PIP_EVERY_SECONDS * HEARD_RATE
    return [
        ((which - before) % 8 * pip - (at - earlier)) * 1000 / HEARD_RATE
        for (earlier, before), (at, which) in itertools.pairwise(found)
    ]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, StageServer]]:
    folder = tmp_path_factory.mktemp("long")
    config = write_config(folder)
    text = config.read_text().replace("# slice_seconds = 900", f"slice_seconds = {SLICE_SECONDS}")
    text = text.replace("# connect_within_seconds = 120", f"connect_within_seconds = {SLICE_SECONDS}")
    assert text.count(f"= {SLICE_SECONDS}\n") >= 2
    config.write_text(text)
    with (
        StandIn(port=0) as standin,
        StageServer(folder, standin.url, config=config) as broker,
    ):
        yield standin, broker


def misbehave(standin: StandIn) -> None:
    """Connections last seven and a half minutes at most, and most end earlier."""
    standin.control.scenario("connection-length", seconds=450 / SCALE, notice_seconds=100 / SCALE)
    standin.control.scenario("random-close", from_seconds=120 / SCALE, to_seconds=1000 / SCALE, seed=4)
    standin.control.scenario("burst")


def converse(bench: Bench, standin: StandIn, broker: StageServer) -> dict[str, float]:
    restart = threading.Thread(target=broker.restart, args=(AWAY_SECONDS,))
    began = time.monotonic()
    trouble: list[tuple[float, Callable[[], None]]] = [
        (TALK_SECONDS * 0.35, lambda: refuse_twice(standin)),
        (TALK_SECONDS * 0.6, restart.start),
    ]
    said: dict[str, float] = {}
    while (now := time.monotonic() - began) < TALK_SECONDS:
        if trouble and now > trouble[0][0]:
            trouble.pop(0)[1]()
        number = len(said) + 1
        line = f"number {number} {2 * number} {5 * number}"  # each answer sounds different
        said[line] = time.time() * 1000
        bench.say(line)
        bench.page.wait_for_timeout(max(0.0, now + SAY_EVERY_SECONDS - (time.monotonic() - began)) * 1000)
    restart.join(10)
    return said


def refuse_twice(standin: StandIn) -> None:
    standin.control.scenario("resume-refused", close="internal", times=2)
    standin.control.push(drop=True)


@pytest.fixture(scope="module")
def talk(
    quick: tuple[StandIn, StageServer], playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Talk]:
    standin, broker = quick
    browser = launch(playwright, write_wav(tmp_path_factory.mktemp("mic") / "pips.wav", pips(), MIC_RATE))
    page = browser.new_page()
    page.add_init_script(UNPROCESSED)  # what browsers do to a voice would blur the pips
    bench = Bench(page, broker.url)
    bench.open(broker.bearer())
    misbehave(standin)
    began = time.monotonic()
    assert bench.start() is None
    said = converse(bench, standin, broker)
    wait_for("the line", lambda: bench.state() != "reconnecting", 30)
    standin.control.reset_scenarios()
    bench.wait_state("listening", 30)
    page.wait_for_timeout(500)  # the recorder posts ten times a second
    kinds = ("reconnecting", "reconnected", "statechange", "error", "clock")
    played = bench.recording().samples
    # Both in one call, because the connection may change again.
    diagnostics, events = page.evaluate(
        "kinds => [bench.session.diagnostics(),"
        " Object.fromEntries(kinds.map(kind => [kind, bench.of(kind)]))]",
        list(kinds),
    )
    bench.end()
    elapsed = time.monotonic() - began
    yield collect(standin, broker, said, played, diagnostics, events, elapsed, bench.faults)
    browser.close()


def collect(
    standin: StandIn,
    broker: StageServer,
    said: dict[str, float],
    played: Samples,
    diagnostics: dict[str, Any],
    events: dict[str, list[dict[str, Any]]],
    elapsed_seconds: float,
    faults: list[str],
) -> Talk:
    control = standin.control
    connections = control.received()["connections"]
    numbers = [int(connection["number"]) for connection in connections]
    answers = [
        (turn, pcm(control.sent_audio(number, turn["number"])))
        for number in numbers
        for turn in control.sent(number)["turns"]
    ]
    with broker.database.read() as store:
        rows = list(store.execute(select(sessions.c.id, sessions.c.state)))
        reports = list(store.execute(select(session_reports.c.data)).scalars())
    me = httpx2.get(
        f"{broker.url}/me", headers={"Authorization": f"Bearer {broker.bearer()}"}, trust_env=False
    ).json()
    return Talk(
        connections=connections,
        said=said,
        answers=answers,
        played=played,
        spoken=[pcm(control.received_audio(number)) for number in numbers],
        diagnostics=diagnostics,
        events=events,
        rows=rows,
        reports=reports,
        used_minutes=me["limits"]["minutes_per_day"]["used"],
        elapsed_seconds=elapsed_seconds,
        faults=faults,
    )


def test_connections_ended_in_every_intended_way(talk: Talk) -> None:
    ends = Counter((c["closed"] or {}).get("code") for c in talk.connections)
    reconnected = [event["detail"] for event in talk.events["reconnected"]]
    assert ends[1006] >= 1
    assert ends[1011] >= 3
    assert sum(event["planned"] for event in reconnected) >= 2
    assert any(event["seeded"] for event in reconnected)
    assert any(event["resumed"] and not event["planned"] for event in reconnected)
    assert talk.diagnostics["line"]["handovers"] + talk.diagnostics["line"]["reconnects"] == len(reconnected)


def test_conversation_never_ended(talk: Talk) -> None:
    assert talk.events["error"] == []
    states = {event["detail"]["state"] for event in talk.events["statechange"]}
    assert states <= {"connecting", "listening", "thinking", "speaking", "reconnecting"}
    # The broker restarted, and the browser logged its failed requests.
    assert [fault for fault in talk.faults if "/sessions/" not in fault] == []


def test_each_line_arrived_in_order_and_was_answered_outside_gaps(talk: Talk) -> None:
    arrived = [
        entry["frame"]["realtimeInput"]["text"]
        for connection in talk.connections
        for entry in connection["received"]
        if "text" in entry["frame"].get("realtimeInput", {})
    ]
    assert list(dict.fromkeys(arrived)) == list(talk.said)
    again = [line for line, times in Counter(arrived).items() if times > 1]
    assert all(talk.in_a_gap(talk.said[line], talk.said[line] + MARGIN_MS) for line in again)
    whole = {turn["text"] for turn, _sound in talk.answers if turn["generation_complete_ms"]}
    in_a_gap = {line for line, at in talk.said.items() if talk.in_a_gap(at, at)}
    unanswered = {line for line in talk.said if f"You wrote: {line}" not in whole}
    assert unanswered <= in_a_gap
    assert len(unanswered) < len(talk.said) / 4


def test_answers_were_heard_in_order_and_without_holes(talk: Talk) -> None:
    """Sample for sample: nothing is missing, and no silence was inserted while sound was queued.

    If the machine is too busy to send an answer at once, the queue runs empty. The client counts an underrun.
    """
    playback = talk.diagnostics["playback"]
    assert playback["droppedSamples"] == 0
    assert playback["underruns"] <= MOST_UNDERRUNS
    played = talk.played.astype("<f4").tobytes()
    heard_at: dict[str, int] = {}
    broken = []
    fading = 0
    for turn, sound in talk.answers:
        skipped, fading = fading, FADE_SAMPLES if turn["interrupted_ms"] else 0
        if not turn["generation_complete_ms"] or turn["interrupted_ms"]:
            continue
        loud = np.flatnonzero(sound)
        at = played.find(sound[loud[0] + skipped : loud[-1] + 1].astype("<f4").tobytes())
        if at >= 0:
            heard_at[turn["text"]] = at
        # An answer in transit when the connection broke arrives only in part. The rest is lost in the gap.
        elif not talk.in_a_gap(turn["started_ms"], turn["generation_complete_ms"]):
            broken.append(turn["text"])
    assert len(broken) <= playback["underruns"], broken
    assert len(heard_at) > len(talk.said) / 2
    positions = list(heard_at.values())
    assert len(set(positions)) == len(positions), "two answers that sound the same"
    assert positions == sorted(positions)


def test_every_token_was_renewed_before_it_expired(talk: Talk) -> None:
    """A token ends its connection when it expires, so a missed renewal would end the conversation."""
    renewals = [event["at"] for event in talk.events["clock"]]
    assert len(renewals) > TALK_SECONDS / SLICE_SECONDS
    assert max(np.diff(renewals)) < SLICE_SECONDS * 1000


def test_hardly_any_speech_was_lost(talk: Talk) -> None:
    """At most 200 ms per change of connection, plus speech that gaps over five seconds made too old."""
    lost = lost_ms(talk.spoken)
    too_old = talk.diagnostics["line"]["lostMs"]
    assert len(lost) > 1.5 * TALK_SECONDS
    assert min(lost) > -50, "something was heard twice"
    assert sum(lost) <= 200 * len(talk.gaps) + too_old
    if too_old == 0:
        assert max(lost) <= 200
    assert too_old <= sum(max(0.0, end - begin - 4900) for begin, end in talk.gaps)


def test_conversation_was_one_session_and_charged_once(talk: Talk) -> None:
    assert [row.state for row in talk.rows] == ["ended"]
    assert talk.used_minutes <= talk.elapsed_seconds / 60 + 1
    [report] = talk.reports
    assert report["reconnects"] == talk.diagnostics["line"]["reconnects"]
