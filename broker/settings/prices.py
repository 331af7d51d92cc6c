"""`[prices."MODEL"]` of broker.toml: what Google charges for a model, and since when.

Owns the keys of one entry and the faults of all entries together. Prices are whole millionths of the
currency: no price passes through a float. `sessions.cost` computes with them.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, Inexact, InvalidOperation, localcontext
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from broker.profiles.profile import Text
from broker.settings.amounts import DECIMALS

_MOST = 1_000_000


def _millionths(written: object) -> int:
    """A number of the file as millionths. Raises ValueError; nothing is rounded."""
    if isinstance(written, bool) or not isinstance(written, int | Decimal):
        raise ValueError("must be a number without quotes, such as 0.75")
    number = Decimal(written)
    if not number.is_finite():
        raise ValueError("must be a finite number")
    if number < 0:
        raise ValueError("must be at least 0")
    if number > _MOST:
        raise ValueError(f"must be at most {_MOST}")
    if not number:
        return 0
    try:
        with localcontext(prec=40) as context:
            context.traps[Inexact] = True
            scaled = number.scaleb(DECIMALS)
    except Inexact:
        scaled = Decimal("0.1")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"must have at most {DECIMALS} decimals")
    return int(scaled)


def _day(written: object) -> object:
    if not isinstance(written, date) or isinstance(written, datetime):
        raise ValueError("must be a date without quotes, such as 2026-09-15")
    return written


def _currency(written: str) -> str:
    if not re.fullmatch("[A-Z]{3}", written):
        raise ValueError("must be three letters, such as USD")
    return written


Millionths = Annotated[int, BeforeValidator(_millionths)]


class Price(BaseModel):
    """The keys under `[prices."MODEL"]`: per million tokens and per minute, in millionths of the currency."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    text_in: Millionths
    audio_in: Millionths
    video_in: Millionths
    """Of pictures, too."""
    text_out: Millionths
    audio_out: Millionths
    thoughts: Millionths | None = None
    """None: as `text_out`."""
    cached_in: Millionths | None = None
    """None: tokens from the cache cost as much as others."""
    per_minute: Millionths
    """What a minute of a session costs at least."""
    currency: Annotated[str, AfterValidator(_currency)] = "USD"
    valid_from: Annotated[date, BeforeValidator(_day)] | None = None
    """The first day in UTC. None: always, or until the first entry with a day."""

    @property
    def since(self) -> datetime:
        day = self.valid_from or date.min
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _one_or_several(written: object) -> object:
    """`[prices."M"]` is one entry, `[[prices."M"]]` are several."""
    if isinstance(written, dict):
        if written and all(isinstance(value, dict | list) for value in written.values()):
            raise ValueError('has dots in its name, so it needs quotes: [prices."gemini-3.8-live"]')
        return (written,)
    if isinstance(written, list) and written:
        return tuple(written)
    raise ValueError("must be a table")


def _by_date(entries: tuple[Price, ...]) -> tuple[Price, ...]:
    for day, times in Counter(entry.valid_from for entry in entries).items():
        if times > 1:
            which = "without valid_from" if day is None else f"with valid_from = {day}"
            raise ValueError(f"has {times} entries {which}")
    return tuple(sorted(entries, key=lambda entry: entry.since))


Prices = Mapping[
    Text, Annotated[tuple[Price, ...], BeforeValidator(_one_or_several), AfterValidator(_by_date)]
]


_EXACT = ("prices", "plans", "teams", "project")


def with_exact_numbers(document: Mapping[str, Any], text: str) -> dict[str, Any]:
    """`document`, with the numbers of its prices and limits as they are written in `text`.

    The rest keeps its floats: a profile's `config` goes to Google's SDK.
    """
    exact = tomllib.loads(text, parse_float=_exact)
    return {**document, **{name: exact[name] for name in _EXACT if name in exact}}


def _exact(written: str) -> Decimal:
    try:
        return Decimal(written)
    except InvalidOperation:  # an exponent beyond all numbers
        return Decimal("inf")


def as_written(place: tuple[int | str, ...], document: Mapping[str, Any]) -> tuple[int | str, ...]:
    """The place of a fault in the file: a single entry of a model has no number there."""
    match place:
        case ("prices", str(model), 0, *rest) if isinstance(document["prices"][model], dict):
            return ("prices", model, *rest)
    return place


def cross_faults(prices: Prices) -> list[str]:
    faults = []
    names = Counter(map(_bare, prices))
    faults += [
        f"broker.toml: prices.{name}: appears twice, with and without models/"
        for name, times in names.items()
        if times > 1
    ]
    currencies = sorted({entry.currency for entries in prices.values() for entry in entries})
    if len(currencies) > 1:
        faults.append(
            f"broker.toml: prices: must all be in one currency, because costs are added up; "
            f"there are {', '.join(currencies)}"
        )
    return faults


class PriceList:
    """All prices. A session is priced as on the day on which it was opened."""

    def __init__(self, prices: Prices) -> None:
        self._of = {
            _bare(model): [(entry.since, entry) for entry in entries] for model, entries in prices.items()
        }

    @property
    def currency(self) -> str | None:
        """The currency of all prices; None if there are none."""
        return next((entry.currency for entries in self._of.values() for _, entry in entries), None)

    def at(self, model: str, moment: datetime) -> Price | None:
        """The price of `model`, with or without `models/`, at an aware `moment`. None: it has none."""
        found = None
        for since, entry in self._of.get(_bare(model), ()):
            if since > moment:
                break
            found = entry
        return found

    def warnings(self, models: Iterable[str], now: datetime) -> Sequence[str]:
        """At most one sentence, about the models that have no price."""
        unpriced = sorted({_bare(model) for model in models if self.at(model, now) is None})
        if not unpriced:
            return ()
        return [
            f"broker.toml: prices: there is no price for {', '.join(unpriced)}; "
            "the cost of such sessions is unknown"
        ]


def _bare(model: str) -> str:
    return model.removeprefix("models/")
