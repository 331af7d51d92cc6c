"""What a client can send to get another session than its token's.

The commands send these at the service that the operator uses. The tests send the same ones at the stand-in,
which also says which setup was in force.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from broker.minting.model_rules import values_at

CANARY = "canary"
NO_MODEL = "models/no-such-model"
OMITTED: Any = object()
"""The client leaves the field out."""
# Google closes a session whose function has such a name.
BAD_FUNCTION = "0 canary"
CODEWORD = "Kanarienvogel"
INSTRUCTION = f"Begin every answer with the word {CODEWORD}."
Setup = Mapping[str, Any]
Sign = Literal["setup", "activity", "instruction", "spoken", "heard", "history"]
"""How a value shows that it is in force: the setup is refused; activity marks are accepted; the answer has
the codeword; what the model says is transcribed; what the user says is; a turn is not answered."""


@dataclass(frozen=True)
class Attack:
    """A first message for the socket. `then` is sent at once after it."""

    name: str
    first: str | bytes
    then: str | None = None


@dataclass(frozen=True)
class FieldAttack:
    """A client's value for one field. `value` and `harmless` depend on the setup that the token carries.

    Most values are ones that the service refuses if they are in force. `harmless` is one that it accepts:
    it tells a service that ignores a locked field from one that refuses every other value.
    """

    field: str
    sign: Sign
    value: Callable[[Setup], Any]
    harmless: Callable[[Setup], Any] = lambda _setup: OMITTED

    def frame(self, setup: Setup) -> dict[str, Any]:
        return _with(setup, self.field, self.value(setup))

    def harmless_frame(self, setup: Setup) -> dict[str, Any]:
        return _with(setup, self.field, self.harmless(setup))


def _with(setup: Setup, field: str, value: Any) -> dict[str, Any]:
    rest = {name: one for name, one in setup.items() if name != field}
    return rest if value is OMITTED else {**rest, field: value}


def _other_modality(setup: Setup) -> Any:
    config = setup.get("generationConfig", {})
    return {**config, "responseModalities": ["AUDIO" if config["responseModalities"] == ["TEXT"] else "TEXT"]}


def _other_presence(field: str) -> Callable[[Setup], Any]:
    return lambda setup: OMITTED if field in setup else {}


def detection_is_off(setup: Setup) -> bool:
    """Whether the client marks when the user speaks. The SDK leaves some names in snake_case."""
    return any(values_at(setup, ["realtimeInputConfig", "automaticActivityDetection", "disabled"]))


def _other_history(setup: Setup) -> Any:
    config = setup.get("historyConfig", {})
    return {"initialHistoryInClientContent": not any(config.values())}


def _tool(name: str) -> list[dict[str, Any]]:
    return [{"functionDeclarations": [{"name": name}]}]


# One entry for each field of a setup; tests/contract compares them with the stand-in's schema.
FIELD_ATTACKS = (
    FieldAttack("model", "setup", lambda _: NO_MODEL, lambda setup: setup["model"]),
    FieldAttack(
        "generationConfig",
        "setup",
        _other_modality,
        lambda setup: {**setup["generationConfig"], "temperature": 0.25},
    ),
    FieldAttack("systemInstruction", "instruction", lambda _: {"parts": [{"text": INSTRUCTION}]}),
    FieldAttack("tools", "setup", lambda _: _tool(BAD_FUNCTION), lambda _: _tool(CANARY)),
    FieldAttack("inputAudioTranscription", "heard", _other_presence("inputAudioTranscription")),
    FieldAttack("outputAudioTranscription", "spoken", _other_presence("outputAudioTranscription")),
    FieldAttack(
        "contextWindowCompression",
        "setup",
        lambda _: {"triggerTokens": "-1"},
        lambda _: {"slidingWindow": {"targetTokens": "12800"}},
    ),
    FieldAttack(
        "realtimeInputConfig",
        "activity",
        lambda setup: {"automaticActivityDetection": {"disabled": not detection_is_off(setup)}},
    ),
    FieldAttack("sessionResumption", "setup", lambda _: {"handle": CANARY}, lambda _: {}),
    FieldAttack("proactivity", "setup", lambda _: {"proactiveAudio": False}),
    FieldAttack("historyConfig", "history", _other_history),
    FieldAttack(
        "safetySettings",
        "setup",
        lambda _: [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}] * 2,
        lambda _: [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    ),
    FieldAttack("avatarConfig", "setup", lambda _: {"avatarName": CANARY}),
    FieldAttack("labels", "setup", lambda _: {"": CANARY}, lambda _: {CANARY: CANARY}),
)


def snake_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", k): snake_case(v) for k, v in value.items()}
    return [snake_case(item) for item in value] if isinstance(value, list) else value


def foreign_setup(honest: Setup, *, harmless: bool) -> dict[str, Any]:
    """Another setup in several fields. Unless `harmless`, a service that puts it in force refuses it."""
    return {
        "model": honest["model"] if harmless else NO_MODEL,
        "generationConfig": {**honest["generationConfig"], "temperature": 1.75},
        "systemInstruction": {"parts": [{"text": CANARY}]},
        "tools": _tool(CANARY if harmless else BAD_FUNCTION),
    }


def whole_frames(honest: Setup, evil: Setup) -> Iterator[Attack]:
    """The setup `evil`, in forms that a parser might read in two ways."""
    good, bad = json.dumps(dict(honest)), json.dumps(evil)
    setup = json.dumps({"setup": evil})
    yield Attack("a whole setup", setup)
    yield Attack("a binary frame", setup.encode())
    yield Attack("escaped names", setup.replace("systemInstruction", "\\u0073ystemInstruction"))
    yield Attack("the setup twice in one frame", f'{{"setup": {good}, "setup": {bad}}}')
    yield Attack("a field twice", f'{{"setup": {bad[:-1]}, {good[1:-1]}, {bad[1:]}}}')
    yield Attack("both spellings", json.dumps({"setup": {**evil, **snake_case(evil)}}))
    yield Attack("both spellings, the other way round", json.dumps({"setup": {**snake_case(evil), **evil}}))
