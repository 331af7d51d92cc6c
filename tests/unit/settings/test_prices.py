"""`[prices."MODEL"]`: exact numbers, clear errors, and the entry that applies on a day."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings import PriceList, Settings, SettingsError, document, load
from broker.settings.document import SHIPPED
from broker.settings.prices import Price

GOOD = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}
REST = (
    '[plans.default]\nrate = "10/minute"\nsessions = 2\nminutes_per_day = 60\nsession_minutes = 30\n'
    '[profiles.default]\nmodels = ["gemini-3.8-live"]\n[profiles.default.config]\ntemperature = 0.7\n'
)
KEYS = {
    "text_in": "0.75",
    "audio_in": "3.00",
    "video_in": "1",
    "text_out": "4.5",
    "audio_out": "12.0",
    "per_minute": "0.023",
}
MODEL = '[prices."gemini-3.8-live"]'
EACH = f"[{MODEL}]"


def entry(head: str = MODEL, without: str = "", **keys: str) -> str:
    lines = {**KEYS, **keys}
    lines.pop(without, None)
    return "\n".join([head, *(f"{key} = {value}" for key, value in lines.items()), ""])


def settings(tmp_path: Path, prices: str) -> Settings:
    path = tmp_path / "broker.toml"
    path.write_text(REST + prices)
    path.chmod(0o600)
    return load({**GOOD, "BROKER_CONFIG": str(path)})


def price_list(tmp_path: Path, prices: str) -> PriceList:
    return PriceList(settings(tmp_path, prices).config.prices)


def faults(tmp_path: Path, prices: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        settings(tmp_path, prices)
    return raised.value.faults


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00")


def test_prices_are_read_exactly(tmp_path: Path) -> None:
    found = price_list(tmp_path, entry(cached_in="0.018750", thoughts="1e-6"))
    price = found.at("models/gemini-3.8-live", noon("2026-11-30"))
    assert price is not None
    assert price.model_dump() == {
        "text_in": 750_000,
        "audio_in": 3_000_000,
        "video_in": 1_000_000,
        "text_out": 4_500_000,
        "audio_out": 12_000_000,
        "thoughts": 1,
        "cached_in": 18_750,
        "per_minute": 23_000,
        "currency": "USD",
        "valid_from": None,
    }
    assert found.currency == "USD"


@given(st.integers(0, 10**12), st.integers(0, 30))
def test_no_price_is_rounded(millionths: int, zeros: int) -> None:
    """0.1 + 0.2 and all others: as many digits as are allowed, with or without zeros at the end."""
    written = f"{millionths // 10**6}.{millionths % 10**6:06}{'0' * zeros}"
    price = Price.model_validate(
        {**{key: Decimal(value) for key, value in KEYS.items()}, "text_in": Decimal(written)}
    )
    assert price.text_in == millionths


def test_rest_of_the_file_keeps_its_floats(tmp_path: Path) -> None:
    temperature = settings(tmp_path, entry()).config.profiles["default"].config["temperature"]
    assert type(temperature) is float


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("-0.01", "must be at least 0"),
        ("inf", "must be a finite number"),
        ("nan", "must be a finite number"),
        ("-nan", "must be a finite number"),
        ("1e999999999999999999999", "must be a finite number"),
        ("0.0000001", "must have at most 6 decimals"),
        ("1e-999999999", "must have at most 6 decimals"),
        ("0.30000000000000000000000000000000000000000000000004", "must have at most 6 decimals"),
        ("1_000_000.01", "must be at most 1000000"),
        ("1e999999999", "must be at most 1000000"),
        ('"0.75"', "must be a number without quotes, such as 0.75"),
        ("true", "must be a number without quotes, such as 0.75"),
        ("[1]", "must be a number without quotes, such as 0.75"),
    ],
)
def test_bad_number_is_rejected_by_name(tmp_path: Path, written: str, problem: str) -> None:
    for key in ("audio_in", "per_minute"):
        assert faults(tmp_path, entry(**{key: written})) == [
            f"broker.toml: prices.gemini-3.8-live.{key}: {problem}"
        ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (entry(thought="1"), "gemini-3.8-live.thought: is not a known key"),
        (entry(without="audio_out"), "gemini-3.8-live.audio_out: is missing"),
        (entry(without="per_minute"), "gemini-3.8-live.per_minute: is missing"),
        (entry(currency='"usd"'), "gemini-3.8-live.currency: must be three letters, such as USD"),
        (entry(currency='"Dollar"'), "gemini-3.8-live.currency: must be three letters, such as USD"),
        (entry(currency="840"), "gemini-3.8-live.currency: must be text"),
        (
            entry(valid_from='"2026-09-15"'),
            "gemini-3.8-live.valid_from: must be a date without quotes, such as 2026-09-15",
        ),
        (
            entry(valid_from="2026-09-15T00:00:00Z"),
            "gemini-3.8-live.valid_from: must be a date without quotes, such as 2026-09-15",
        ),
        (
            entry("[prices.gemini-3.8-live]"),
            'gemini-3: has dots in its name, so it needs quotes: [prices."gemini-3.8-live"]',
        ),
        ("[prices]\nx = 3\n", "x: must be a table"),
        ("[prices]\nx = []\n", "x: must be a table"),
        (entry(EACH) + entry(EACH), "gemini-3.8-live: has 2 entries without valid_from"),
        (
            entry(EACH, valid_from="2026-09-15") + entry(EACH, valid_from="2026-09-15"),
            "gemini-3.8-live: has 2 entries with valid_from = 2026-09-15",
        ),
        (
            entry(EACH) + entry(EACH, valid_from="2026-09-15", text_in="-1"),
            "gemini-3.8-live.1.text_in: must be at least 0",
        ),
    ],
)
def test_bad_entry_is_rejected_by_name(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [f"broker.toml: prices.{fault}"]


def test_prices_in_two_currencies_cannot_be_added_up(tmp_path: Path) -> None:
    assert faults(tmp_path, entry() + entry("[prices.other]", currency='"EUR"')) == [
        "broker.toml: prices: must all be in one currency, because costs are added up; there are EUR, USD"
    ]


def test_model_with_and_without_prefix_is_one_model(tmp_path: Path) -> None:
    assert faults(tmp_path, entry() + entry('[prices."models/gemini-3.8-live"]')) == [
        "broker.toml: prices.gemini-3.8-live: appears twice, with and without models/"
    ]


def test_prices_of_a_day_apply_from_midnight_in_utc(tmp_path: Path) -> None:
    found = price_list(
        tmp_path,
        entry(EACH, valid_from="2026-12-01", text_in="3")
        + entry(EACH, text_in="1")
        + entry(EACH, valid_from="2026-09-15", text_in="2"),
    )

    def text_in(moment: str) -> int | None:
        price = found.at("gemini-3.8-live", datetime.fromisoformat(moment))
        return None if price is None else price.text_in // 10**6

    assert text_in("2020-01-01T00:00:00+00:00") == 1
    assert text_in("2026-09-14T23:59:59.999999+00:00") == 1
    assert text_in("2026-09-15T00:00:00+00:00") == 2
    assert text_in("2026-12-01T00:30:00+02:00") == 2
    assert text_in("2026-12-01T02:00:00+02:00") == 3
    assert found.at("gemini-3.1-live", noon("2026-12-01")) is None


def test_first_price_may_lie_in_the_future(tmp_path: Path) -> None:
    found = price_list(tmp_path, entry(valid_from="2026-09-15"))
    assert found.at("gemini-3.8-live", noon("2026-09-14")) is None
    assert found.warnings(["models/gemini-3.8-live"], noon("2026-09-14"))
    assert not found.warnings(["models/gemini-3.8-live"], noon("2026-09-15"))


@pytest.mark.parametrize("prices", ["", entry("[prices.other]"), entry(valid_from="2999-01-01")])
def test_model_without_a_price_is_a_warning(tmp_path: Path, prices: str) -> None:
    assert settings(tmp_path, prices).warnings == (
        "broker.toml: prices: there is no price for gemini-3.8-live; the cost of such sessions is unknown",
    )


def test_shipped_models_have_prices() -> None:
    config = document.read(None).config
    assert config is not None
    models = [model for profile in config.profiles.values() for model in profile.models]
    assert models
    assert not PriceList(config.prices).warnings(models, datetime.now(UTC))


def test_shipped_prices_say_where_they_are_from() -> None:
    text = SHIPPED.read_text()
    comment = text[: text.index("[prices.")].rsplit("\n\n", 1)[-1]
    assert "https://ai.google.dev/gemini-api/docs/pricing" in comment
    assert date.fromisoformat("2026-09-28").isoformat() in comment
    assert "THESE PRICES" in comment
