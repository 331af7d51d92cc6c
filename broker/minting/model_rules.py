"""The settings that each model rejects in a setup, as one table.

Google ends a session with one of these settings as soon as it connects: each row was observed or is
documented. The broker rejects such a profile at start, where the operator sees it. Rules without a source are
not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EVERY = r".*"
WRITES = r".*transcribe.*"
LIVE_31 = r"gemini-3\.1-flash-live.*"
LIVE_38 = r"gemini-3\.8-live"
THINKING_38 = r"gemini-3\.8-live-extended-thinking"
ANY_38 = rf"{LIVE_38}|{THINKING_38}"
ANYTHING: tuple[Any, ...] = ()

BEHAVIOR = "tools.functionDeclarations.behavior"


@dataclass(frozen=True)
class Rule:
    models: str
    """A pattern for the whole model id, without `models/`."""
    path: str
    """Wire names from the setup downwards. Every item of a list is checked."""
    values: tuple[Any, ...]
    """The rejected values. If empty, the field must be absent."""
    why: str


RULES: tuple[Rule, ...] = (
    Rule(EVERY, "tools.codeExecution", ANYTHING, "Live models cannot execute code"),
    Rule(EVERY, "tools.urlContext", ANYTHING, "Live models do not support URL context"),
    Rule(EVERY, "tools.googleMaps", ANYTHING, "Live models do not support Google Maps"),
    Rule(LIVE_38, "generationConfig.thinkingConfig", ANYTHING, "it decides this itself; leave it out"),
    Rule(
        THINKING_38, "generationConfig.thinkingConfig.thinkingLevel", ("MINIMAL",), "use low, medium or high"
    ),
    Rule(ANY_38, "proactivity.proactiveAudio", (False,), "proactive audio is always on; leave it out"),
    Rule(ANY_38, "generationConfig.enableAffectiveDialog", ANYTHING, "affective dialog was removed"),
    Rule(THINKING_38, BEHAVIOR, ("BLOCKING",), "its functions must be NON_BLOCKING"),
    Rule(LIVE_31, "proactivity", ANYTHING, "it does not support proactivity"),
    Rule(LIVE_31, "generationConfig.enableAffectiveDialog", ANYTHING, "it does not support affective dialog"),
    Rule(LIVE_31, BEHAVIOR, ("NON_BLOCKING",), "its functions must be BLOCKING"),
)


def modality(model: str) -> str:
    """What the model answers with, `AUDIO` or `TEXT`. It rejects everything else.

    Transcription models only write (Google's page on live transcription, September 2026). Models that
    translate speak.
    """
    return "TEXT" if re.fullmatch(WRITES, model.removeprefix("models/")) else "AUDIO"


def broken_rules(model: str, setup: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules of this model that the setup breaks."""
    name = model.removeprefix("models/")
    for rule in RULES:
        if re.fullmatch(rule.models, name):
            found = list(values_at(setup, rule.path.split(".")))
            if found if rule.values is ANYTHING else any(value in rule.values for value in found):
                yield rule


def values_at(node: Any, path: list[str]) -> Iterator[Any]:
    """Every value at the path. Names are compared in camelCase, because the SDK mixes both spellings."""
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
