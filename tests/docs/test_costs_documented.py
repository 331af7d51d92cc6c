"""docs/costs.md: the worked example is computed here from the shipped prices, turn by turn."""

from __future__ import annotations

from datetime import UTC, datetime

from broker.sessions.cost import cost_of, time_nanos, token_nanos
from broker.settings import PriceList, document
from broker.settings.amounts import NANOS
from tests.docs.markdown import rows, section

MODEL = "gemini-3.8-live"
NOW = datetime.now(UTC)
TURNS_A_MINUTE, HEARD, SPOKEN = 3, 500, 250


def shipped() -> PriceList:
    config = document.read(None).config
    assert config is not None
    return PriceList(config.prices)


def tokens(minutes: int, trigger: int | None = None, target: int = 0) -> dict[str, int]:
    """What the client of the example reports. The context is cut to `target` when it exceeds `trigger`."""
    context = heard = spoken = 0
    for _ in range(minutes * TURNS_A_MINUTE):
        heard += context + HEARD
        spoken += SPOKEN
        context += HEARD + SPOKEN
        if trigger is not None and context > trigger:
            context = target
    return {
        "input_tokens": heard,
        "input_audio_tokens": heard,
        "output_tokens": spoken,
        "output_audio_tokens": spoken,
    }


def dollars(nanos: int) -> str:
    return f"{nanos / NANOS:.2f}"


def test_worked_example_follows_from_the_shipped_prices() -> None:
    price = shipped().at(MODEL, NOW)
    assert price is not None
    documented = rows(section("docs/costs.md", "## A worked example"))
    computed = []
    for minutes in (1, 5, 10, 20, 30):
        whole, cut = tokens(minutes), tokens(minutes, trigger=16_000, target=8_000)
        computed.append(
            [
                str(minutes),
                str(minutes * TURNS_A_MINUTE),
                f"{whole['input_tokens']:,}",
                dollars(time_nanos(price, minutes * 60)),
                dollars(token_nanos(price, whole)),
                dollars(token_nanos(price, cut)),
            ]
        )
    assert [list(row) for row in documented] == computed


def test_example_of_a_single_session_is_exact() -> None:
    """The numbers under `What a session costs`."""
    found = cost_of(shipped(), MODEL, NOW, 600, tokens(10))
    assert found is not None
    assert (found.nanos, found.basis) == (1_113_750_000, "tokens")
    text = section("docs/costs.md", "## What a session costs")
    assert "1.11375" in text
    assert "0.23" in text
