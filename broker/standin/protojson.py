"""Strict proto3-JSON: reads a JSON value as a message and returns camelCase data, or Google's error text.

It accepts both spellings of a name (`realtimeInput`, `realtime_input`), 64-bit integers as text or number,
and bytes in either base64 alphabet. `schema.py` holds the messages.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import datetime
from functools import cache
from typing import Any

from broker.standin.schema import MESSAGES, ONLY_IN, SCHEMA_TYPES

_URL_SAFE = str.maketrans("-_", "+/")
_PATH = re.compile(r"[a-z][A-Za-z0-9]*")


class BadMessage(Exception):  # noqa: N818  (the peer's fault, reported to the peer)
    """Google's error text. `where` is the proto path for the details of the HTTP error."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.where = where


def to_snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), name)


@cache
def _names(message: str, version: str) -> dict[str, str]:
    """Every accepted spelling -> the camelCase name."""
    known = [n for n in MESSAGES[message] if ONLY_IN.get((message, n), version) == version]
    return {spelling: name for name in known for spelling in (name, to_snake(name))}


def load(raw: str | bytes) -> Any:
    """Parses JSON as Google's parser does: no NaN, no text outside an object."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise BadMessage("Invalid JSON payload received. Unexpected token.") from None


def read(message: str, value: Any, version: str, path: str = "") -> dict[str, Any]:
    """Returns `value` as a `message` with normalised names. Refuses unknown members."""
    try:
        return _read(message, value, version, path)
    except RecursionError:  # a schema within a schema within …
        raise BadMessage("Invalid JSON payload received. Message too deep.", path) from None


def _read(message: str, value: Any, version: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(path, message, value)
    names = _names(message, version)
    fields = MESSAGES[message]
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = names.get(key)
        if name is None:
            at = f" at '{path}'" if path else ""
            raise BadMessage(
                f'Invalid JSON payload received. Unknown name "{key}"{at}: Cannot find field.', path
            )
        if item is None:  # null is "not set"
            continue
        if name in out:
            raise _invalid(_join(path, name), message, "given under both spellings")
        out[name] = _field(fields[name], item, version, _join(path, name))
    return out


def _join(path: str, name: str) -> str:
    return f"{path}.{to_snake(name)}" if path else to_snake(name)


def _invalid(path: str, kind: str, value: Any) -> BadMessage:
    shown = json.dumps(value, default=str)[:200]
    return BadMessage(f"Invalid value at '{path}' ({kind}), {shown}", path)


def _field(kind: str, value: Any, version: str, path: str) -> Any:
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise _invalid(path, "list", value)
        return [_field(kind[:-2], item, version, f"{path}[{i}]") for i, item in enumerate(value)]
    if kind.startswith("{}"):
        if not isinstance(value, dict):
            raise _invalid(path, "map", value)
        return {key: _field(kind[2:], item, version, f"{path}.{key}") for key, item in value.items()}
    if kind.startswith("enum:"):
        if isinstance(value, str) and value in kind[5:].split("|"):
            return value
        raise _invalid(path, "enum", value)
    if kind == "schematype" and isinstance(value, str):  # often sent in lower case, which Google accepts
        return _field(f"enum:{SCHEMA_TYPES}", value.upper(), version, path)
    if kind in MESSAGES:
        return _read(kind, value, version, path)
    reader = _SCALARS[kind]
    try:
        return reader(value)
    except (ValueError, TypeError, binascii.Error, OverflowError):
        raise _invalid(path, f"TYPE_{kind.upper()}", value) from None


def _int(bits: int) -> Any:
    def take(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError
        number = float(value) if isinstance(value, float) else int(value)
        if number != int(number) or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise ValueError
        return int(number)

    return take


def _only(*types: type) -> Any:
    def take(value: Any) -> Any:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError
        return value

    return take


def _bytes(value: Any) -> bytes:
    text = _only(str)(value).translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(_only(str)(value))
    if moment.tzinfo is None:  # RFC 3339 requires an offset
        raise ValueError(value)
    return moment


def _float(value: Any) -> float:
    return float(_only(int, float, str)(value))


def _fieldmask(value: Any) -> list[str]:
    """Paths into the setup, in lowerCamel as FieldMask's JSON form requires. Each must name a real field."""
    paths = [path for path in _only(str)(value).split(",") if path]
    for path in paths:
        kind = "Setup"
        for name in path.split("."):
            if not _PATH.fullmatch(name) or name not in MESSAGES.get(kind, {}):
                raise ValueError(path)
            kind = MESSAGES[kind][name]
    return paths


_SCALARS: dict[str, Any] = {
    "string": _only(str),
    "bool": _only(bool),
    "int32": _int(32),
    "int64": _int(64),
    "float": _float,
    "bytes": _bytes,
    "timestamp": _timestamp,
    "fieldmask": _fieldmask,
    "struct": _only(dict),
    "schematype": _only(str),
    "value": lambda value: value,
}
