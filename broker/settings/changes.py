"""What changes between two `broker.toml`, and for whom. Pure.

The comparison is of what the files mean, with all defaults: a key that is written out with its default value
is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

from broker.settings.document import BrokerConfig
from broker.settings.prices import Price

MISSING: Any = object()
_MOST_SHOWN = 60
_MONEY = {"budget_per_day", "budget_per_month", *Price.model_fields} - {"currency", "valid_from"}
MILLION = 1_000_000


@dataclass(frozen=True)
class Change:
    kind: Literal["added", "removed", "changed"]
    key: str
    """As in the file, such as `plans.default.rate`. Issuers go by their name."""
    concerns: str
    before: str | None = None
    after: str | None = None


def changes(old: BrokerConfig, new: BrokerConfig) -> list[Change]:
    before, after = _sections(old), _sections(new)
    return [
        change
        for section in before
        for change in _compare(section, before[section], after[section], _audience(section, old, new))
    ]


def _sections(config: BrokerConfig) -> dict[str, dict[str, Any]]:
    """Section -> its keys; those with names have a level more."""
    dumped = config.model_dump()
    sections = {name: _plain(value) for name, value in dumped.items() if name != "issuers"}
    for profile in sections["profiles"].values():
        del profile["name"]
    for table in (*sections["prices"].values(), *sections["plans"].values(), {"": sections["project"]}):
        _in_currency(table)
    sections["issuers"] = {issuer["name"]: _plain(issuer) for issuer in dumped["issuers"]}
    return sections


def _in_currency(table: dict[str, Any]) -> None:
    """Money as in the file. The settings keep it in millionths."""
    for key, value in table.items():
        if isinstance(value, dict):
            _in_currency(value)
        elif isinstance(value, int) and key in _MONEY:
            table[key] = f"{Decimal(value) / MILLION:f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
        return {str(number): _plain(item) for number, item in enumerate(value)}  # a function, a price
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _compare(key: str, before: Any, after: Any, concerns: Mapping[str, str]) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{key}.{name}"
            yield from _compare(inner, before.get(name, MISSING), after.get(name, MISSING), concerns)
        return
    whom = next((text for place, text in concerns.items() if f"{key}.".startswith(place)), "everyone")
    if before is MISSING:
        yield Change("added", key, whom, after=_shown(after))
    elif after is MISSING:
        yield Change("removed", key, whom, before=_shown(before))
    else:
        yield Change("changed", key, whom, _shown(before), _shown(after))


def _shown(value: Any) -> str | None:
    """None for a whole table, which the key names."""
    if isinstance(value, dict):
        return None
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _audience(section: str, old: BrokerConfig, new: BrokerConfig) -> Mapping[str, str]:
    """Beginning of a key -> who notices a change of it."""
    if section == "plans":
        return {f"plans.{name}.": f"users of the plan {name}" for name in {**old.plans, **new.plans}}
    if section == "issuers":
        names = [issuer.name for issuer in (*old.issuers, *new.issuers)]
        return {f"issuers.{name}.": f"users of the issuer {name}" for name in names}
    if section == "prices":
        return {f"prices.{name}.": f"sessions with {name}" for name in {**old.prices, **new.prices}}
    if section == "profiles":
        found = {}
        for name in {**old.profiles, **new.profiles}:
            both = [file.profiles[name].plans for file in (old, new) if name in file.profiles]
            plans = frozenset().union(*both)
            whom = "everyone" if "*" in plans else f"users of the plans {', '.join(sorted(plans))}"
            found[f"profiles.{name}."] = f"{whom} with the profile {name}"
        return found
    return {"guests.": "guests"}
