"""What a client can put into its setup frame: a value for each field, built from the stand-in's own schema.

A field that the schema learns is tried from then on. `broker.cli.proof.attacks` has what `broker check`
tries, too.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from broker.cli.proof.attacks import CANARY, NO_MODEL, Attack, foreign_setup, snake_case, whole_frames
from broker.standin.schema import MESSAGES

FIELDS = tuple(MESSAGES["Setup"])
OTHER_MODELS = ("models/gemini-3.1-flash-live-preview", NO_MODEL, "")
_SCALARS: dict[str, Any] = {
    "string": CANARY, "bool": True, "int32": 7, "int64": "7", "float": 1.75, "bytes": "Y2FuYXJ5",
    "struct": {CANARY: CANARY}, "value": {CANARY: 1}, "schematype": "OBJECT",
}  # fmt: skip
# A model would refuse these, so a frame with them would say nothing about the lock of its other leaves.
_REFUSED = re.compile(
    r"tools\.(codeExecution|urlContext|googleMaps|empty)|sessionResumption\.handle"
    r"|generationConfig\.(responseModalities|enableAffectiveDialog|thinkingConfig)\b.*"
)
# Only fields that make the others of their message valid.
_NEEDED = {"FunctionDeclaration": {"name": CANARY}, "Schema": {"type": "OBJECT"}}


def leaves(honest: dict[str, Any], *, both_spellings: bool) -> Iterator[Attack]:
    """Frames that differ from the honest one in one leaf: in camelCase and snake_case, or in turns."""
    number = 0
    for field, kind in MESSAGES["Setup"].items():
        found = _leaves(kind, field)
        for value, path in _models() if field == "model" else found:
            frame, number = merged(honest, value), number + 1
            if both_spellings or number % 2:
                yield Attack(path, json.dumps({"setup": frame}))
            if both_spellings or not number % 2:
                yield Attack(f"{path} in snake_case", json.dumps({"setup": snake_case(frame)}))


def fields(honest: dict[str, Any]) -> Iterator[Attack]:
    """The same with all leaves of a top-level field at once that a model accepts."""
    for number, (field, kind) in enumerate(MESSAGES["Setup"].items()):
        frame = honest
        for value, path in _leaves(kind, field):
            if not _REFUSED.fullmatch(path):
                frame = merged(frame, value)
        if field == "model":
            frame = {**honest, "model": OTHER_MODELS[0]}
        if field == "tools":
            frame = {**frame, "tools": _with_names_of_their_own(frame["tools"])}
        shown = snake_case(frame) if number % 2 else frame
        yield Attack(field, json.dumps({"setup": shown}))


def _with_names_of_their_own(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Google refuses two functions of the same name."""
    number = itertools.count()
    return [
        {
            key: [
                {**function, "name": f"{CANARY}_{next(number)}"} if function["name"] == CANARY else function
                for function in value
            ]
            if key == "functionDeclarations"
            else value
            for key, value in tool.items()
        }
        for tool in tools
    ]


def merged(base: Any, change: Any) -> Any:
    """The value of `change` wins. Lists grow."""
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: merged(base.get(key), item) for key, item in change.items()}}
    if isinstance(base, list) and isinstance(change, list) and all(isinstance(one, dict) for one in change):
        return base + change
    return change


def _leaves(kind: str, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """(the setup with only this leaf, its path)."""
    for value, inner in _values(kind):
        full = f"{path}.{inner}" if inner else path
        yield {path: value}, full


def _models() -> Iterator[tuple[dict[str, Any], str]]:
    yield from (({"model": model}, f"model {model!r}") for model in OTHER_MODELS)


def _values(kind: str) -> Iterator[tuple[Any, str]]:
    if kind.endswith("[]"):
        yield from (([value], inner) for value, inner in _values(kind[:-2]))
    elif kind.startswith("{}"):
        yield from (({CANARY: value}, inner) for value, inner in _values(kind[2:]))
    elif kind.startswith("enum:"):
        yield from ((value, value) for value in kind[5:].split("|")[1:])
    elif kind in MESSAGES:
        needed = _NEEDED.get(kind, {})
        yield needed, "empty"
        if kind == "PrebuiltVoice":
            yield {"voiceName": "Fenrir"}, "voiceName Fenrir"
            return
        for field, inner_kind in MESSAGES[kind].items():
            if inner_kind.strip("[]{}") == "Schema":  # a message that holds itself
                yield {**needed, field: _container(inner_kind)}, field
                continue
            for value, inner in _values(inner_kind):
                yield {**needed, field: value}, f"{field}.{inner}" if inner else field
    else:
        yield _SCALARS[kind], ""


def _container(kind: str) -> Any:
    schema = {"type": "OBJECT", "description": CANARY}
    return [schema] if kind.endswith("[]") else {CANARY: schema} if kind.startswith("{}") else schema


def odd_frames(honest: dict[str, Any]) -> Iterator[Attack]:
    """Frames that a parser might read in two ways, and members that a setup does not have."""
    evil = foreign_setup(honest, harmless=True)
    bad, setup = json.dumps(evil), json.dumps({"setup": evil})
    yield from whole_frames(honest, evil)
    yield Attack("two setups at once", json.dumps({"setup": honest}), then=setup)
    yield Attack("two setups at once, the first one empty", '{"setup": {}}', then=setup)
    yield Attack("the setup after another message", '{"clientContent": {}}', then=setup)
    yield Attack(
        "an update at once", json.dumps({"setup": honest}), then=json.dumps({"setup": {"tools": []}})
    )
    for name in ("setup", "clientContent", "contextUpdate"):
        yield Attack(f"beside {name}", json.dumps({"Setup": evil, name: {}}))
    for name in ("Setup", "SETUP", "bidiGenerateContentSetup", "authToken", "config"):
        yield Attack(f"under {name}", json.dumps({name: evil}))
    # What belongs to a token, to another place of the setup, or nowhere.
    for name in (
        "uses", "expireTime", "newSessionExpireTime", "expire_time", "fieldMask", "field_mask", "name",
        "bidiGenerateContentSetup", "setup", "responseModalities", "mediaResolution", "thinkingConfig",
        "speechConfig", "temperature", "explicitVadSignal", "Model", "MODEL", "model ", "tool", "*", "",
    ):  # fmt: skip
        yield Attack(f"unknown field {name!r}", json.dumps({"setup": {**honest, name: evil}}))
    for name in FIELDS:
        yield Attack(f"{name} is null", json.dumps({"setup": {**honest, name: None}}))
    yield Attack("nothing but tools", '{"setup": {"tools": []}}')
    yield Attack("an empty setup", '{"setup": {}}')
    yield Attack("null as setup", '{"setup": null}')
    yield Attack("a list as setup", f'{{"setup": [{bad}]}}')
    yield Attack("a list", f"[{setup}]")
    yield Attack("two documents", f"{json.dumps({'setup': honest})}{setup}")
    yield Attack("a byte order mark", "\ufeff" + setup)
    yield Attack("not JSON", setup[:-1])
    yield Attack("deep", '{"setup": ' + '{"setup": ' * 500 + bad + "}" * 501)
