"""What each model refuses in a setup, as one table.

Each row is a setup that Google was seen, or is documented, to end as soon as it connects; a profile that
holds one is refused at start, where somebody reads it, rather than in a caller's ear. What no source tells is
not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EVERY = r".*"
LIVE_31 = r"gemini-3\.1-flash-live.*"
LIVE_38 = r"gemini-3\.8-live"
THINKING_38 = r"gemini-3\.8-live-extended-thinking"
ANY_38 = rf"{LIVE_38}|{THINKING_38}"
ANYTHING: tuple[Any, ...] = ()

BEHAVIOR = "tools.functionDeclarations.behavior"


@dataclass(frozen=True)
class Rule:
    models: str
    """A pattern that the whole id matches, without `models/`."""
    path: str
    """Wire names from the setup downwards; lists are walked through."""
    values: tuple[Any, ...]
    """The refused values; none named means that the field must be absent."""
    why: str


RULES: tuple[Rule, ...] = (
    Rule(EVERY, "tools.codeExecution", ANYTHING, "Live models cannot execute code"),
    Rule(EVERY, "tools.urlContext", ANYTHING, "Live models have no URL context"),
    Rule(EVERY, "tools.googleMaps", ANYTHING, "Live models have no Google Maps"),
    Rule(LIVE_38, "generationConfig.thinkingConfig", ANYTHING, "it thinks by itself; leave that out"),
    Rule(
        THINKING_38, "generationConfig.thinkingConfig.thinkingLevel", ("MINIMAL",), "use low, medium or high"
    ),
    Rule(ANY_38, "proactivity.proactiveAudio", (False,), "proactive audio is always on; leave it out"),
    Rule(ANY_38, "generationConfig.enableAffectiveDialog", ANYTHING, "affective dialog was removed"),
    Rule(THINKING_38, BEHAVIOR, ("BLOCKING",), "its functions are NON_BLOCKING only"),
    Rule(LIVE_31, "proactivity", ANYTHING, "it knows no proactivity"),
    Rule(LIVE_31, "generationConfig.enableAffectiveDialog", ANYTHING, "it has no affective dialog"),
    Rule(LIVE_31, BEHAVIOR, ("NON_BLOCKING",), "its functions are BLOCKING only"),
)


def broken_rules(model: str, setup: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules of this model that the setup breaks."""
    name = model.removeprefix("models/")
    for rule in RULES:
        if re.fullmatch(rule.models, name):
            found = list(values_at(setup, rule.path.split(".")))
            if found if rule.values is ANYTHING else any(value in rule.values for value in found):
                yield rule


def values_at(node: Any, path: list[str]) -> Iterator[Any]:
    """Every value at the path; names meet as camelCase, since the SDK mixes both spellings."""
    if isinstance(node, list):
        for item in node:
            yield from values_at(item, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if camel(key) == path[0]:
                yield from values_at(value, path[1:])


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
