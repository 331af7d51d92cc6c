"""A long conversation through the library, both ways, and the memory that each thread keeps afterwards.

The clocks of the audio contexts run as fast as the machine can render (pages/stepped-audio.js). The stand-in
sends at once, and its clock runs a hundred times faster. The library, worker, worklets and socket are the
product's own, and every chunk passes through each of them. The fast form talks for a minute, the long form
for ten, and the form for a release for an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page

from broker.standin import StandIn
from tests.browser.conftest import Service
from tests.browser.heaps import Heaps
from tests.browser.stage_server import StageServer
from tests.browser.support import OUTPUT_RATE, PAGES

WARM_UP_ROUNDS = 4
SCALE = 100.0
MOST_GROWN = 2_000_000
THREADS = ["page", "worker", "capture worklet", "playback worklet"]

WATCH = """() => {
    globalThis.next = { generationComplete: () => {}, turnComplete: () => {} };
    bench.session.addEventListener('message', ({ detail: { message: { serverContent = {} } } }) => {
        for (const kind of Object.keys(next)) if (serverContent[kind]) next[kind]();
    });
}"""
HEAR_OUT = """async (line) => {
    const come = (kind) => new Promise((resolve, reject) => {
        next[kind] = resolve;
        setTimeout(reject, 30_000, new Error(`no ${kind}`));
    });
    const generated = come('generationComplete');
    bench.session.sendText(line);
    await generated;
    const over = come('turnComplete');
    for (let second = 0, begun = false, speaks; !begun || speaks; second += 1) {
        if (second > 60) throw new Error('the answer does not end');
        await audio.step(1);
        speaks = bench.session.state === 'speaking';
        begun ||= speaks;
    }
    await over;
    return bench.session.transcript.at(-1);
}"""
LINE = "/long 20"


@dataclass(frozen=True)
class Growth:
    seconds: float
    before: dict[str, int]
    after: dict[str, int]
    heard_seconds: float
    spoken_seconds: float


class Talk:
    """Types lines and listens to the answers."""

    def __init__(self, page: Page, standin: StandIn) -> None:
        self._page = page
        self._control = standin.control
        self.heard_seconds = 0.0
        page.evaluate(WATCH)

    @property
    def spoken_seconds(self) -> float:
        """Seconds of microphone sound that the stand-in received."""
        return float(self._control.received()["connections"][-1]["audio_frames"]) * 0.02

    def round(self) -> None:
        """Types a line and waits for the end of its answer."""
        caption = self._page.evaluate(HEAR_OUT, LINE)
        assert caption["final"]
        assert not caption["interrupted"]
        self.heard_seconds += caption["heardSamples"] / OUTPUT_RATE


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, StageServer]]:
    with (
        StandIn(port=0, time_scale=SCALE) as standin,
        StageServer(tmp_path_factory.mktemp("hour"), standin.url) as broker,
    ):
        standin.control.scenario(
            "clock-skew", seconds=-60_000
        )  # otherwise tokens would expire a hundred times sooner too
        standin.control.scenario("burst")
        standin.control.scenario("big-chunks", ms=200)
        standin.control.scenario("resumption-updates", mode="not-resumable")  # hundreds of handles are slow
        for endless in ("connection-length", "idle"):
            standin.control.scenario(endless, seconds=1_000_000)
        yield standin, broker


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(60, id="a minute"),
        pytest.param(600, id="ten minutes", marks=pytest.mark.long),
        pytest.param(3600, id="an hour", marks=pytest.mark.release),
    ],
)
def growth(
    browser: Browser, quick: tuple[StandIn, StageServer], request: pytest.FixtureRequest
) -> Iterator[Growth]:
    seconds = float(request.param)
    standin, broker = quick
    page = browser.new_page()
    page.add_init_script(path=PAGES / "stepped-audio.js")
    heaps = Heaps(page)
    page.goto(f"{broker.url}/bench/bench.html")
    page.wait_for_function("globalThis.bench")
    page.evaluate("options => bench.make(options)", {"bearer": broker.bearer(), "keep": []})
    page.click("#go")
    assert page.evaluate("bench.going") is None
    talk = Talk(page, standin)
    for _ in range(WARM_UP_ROUNDS):
        talk.round()
    before = heaps.used()
    heard, spoken = talk.heard_seconds, talk.spoken_seconds
    while talk.heard_seconds - heard < seconds or talk.spoken_seconds - spoken < seconds:
        talk.round()
    yield Growth(
        seconds=seconds,
        before=before,
        after=heaps.used(),
        heard_seconds=talk.heard_seconds - heard,
        spoken_seconds=talk.spoken_seconds - spoken,
    )
    page.close()


@pytest.mark.parametrize("thread", THREADS)
def test_talk_grows_each_threads_memory_by_less_than_2_mb(growth: Growth, thread: str) -> None:
    assert growth.heard_seconds >= growth.seconds
    assert growth.spoken_seconds >= growth.seconds
    assert set(growth.after) == set(THREADS)
    grown = growth.after[thread] - growth.before[thread]
    assert grown < MOST_GROWN, f"{grown} bytes"


TEN_MINUTES = """async () => {
    const { Captions } = await import('/demo/captions.js');
    const [scroll, list] = [document.createElement('div'), document.createElement('ol')];
    const newest = document.createElement('button');
    newest.id = 'newest';
    scroll.append(list, newest);
    document.body.append(scroll);
    const captions = new Captions(list, scroll, () => {});
    const observer = new MutationObserver(() => {});
    observer.observe(list, { subtree: true, childList: true, characterData: true });
    // Words of the same length, so that the work can be compared.
    const words = Array.from({ length: 1500 }, (_, n) => `word${String(n).padStart(4, '0')}`);
    const work = [];
    let text = '';
    for (const word of words) {
        text += `${word} `;
        captions.show({ id: 'long', role: 'model', text, final: false });
        const changes = observer.takeRecords();
        work.push(changes.length);
    }
    const paragraphs = [...list.querySelectorAll('.words')].map((one) => one.textContent);
    captions.show({ id: 'long', role: 'model', text: 'Something else.', final: true });
    return {
        work,
        longest: Math.max(...paragraphs.map((one) => one.length)),
        paragraphs: paragraphs.length,
        same: paragraphs.join('') === text,
        after: [...list.querySelectorAll('.words')].map((one) => one.textContent),
    };
}"""


def test_word_of_a_long_speech_costs_the_page_as_much_as_the_first(
    browser: Browser, talking: Service
) -> None:
    """Ten minutes without a pause, as one caption. Counted in changes of the page and in their size."""
    page = browser.new_page()
    page.goto(f"{talking.broker.url}/bench/bench.html")
    shown = page.evaluate(TEN_MINUTES)
    page.close()
    assert shown["same"]
    assert shown["longest"] <= 1000
    assert shown["paragraphs"] <= 15
    early, late = shown["work"][100:700], shown["work"][-600:]
    assert abs(sum(late) - sum(early)) <= 4, "one more or one less paragraph"
    assert max(late) <= max(early)
    assert shown["after"] == ["Something else."]


def test_page_keeps_the_newest_lines_only(browser: Browser, talking: Service) -> None:
    page = browser.new_page()
    page.goto(f"{talking.broker.url}/bench/bench.html")
    shown = page.evaluate(
        """async () => {
            const { Captions } = await import('/demo/captions.js');
            const [scroll, list] = [document.createElement('div'), document.createElement('ol')];
            const newest = document.createElement('button');
            newest.id = 'newest';
            scroll.append(list, newest);
            document.body.append(scroll);
            const captions = new Captions(list, scroll, () => {});
            for (let turn = 0; turn < 500; turn += 1) {
                captions.show({ id: `${turn}`, role: 'user', text: `line ${turn}`, final: true });
            }
            return [...list.querySelectorAll('.words')].map((words) => words.textContent);
        }"""
    )
    page.close()
    assert shown == [f"line {turn}" for turn in range(500 - len(shown), 500)]
    assert len(shown) == 60
