"""Strict proto3-JSON: reads a JSON value as a message and returns camelCase data, or Google's error text.

It accepts both spellings of a name (`realtimeInput`, `realtime_input`), 64-bit integers as text or number,
and bytes in either base64 alphabet. `schema.py` holds the messages.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

from broker.standin.schema import MESSAGES, ONLY_IN, PROTO_NAMES, SCHEMA_TYPES

_URL_SAFE = str.maketrans("-_", "+/")
_PATH = re.compile(r"[a-z][A-Za-z0-9]*")
_GOOGLE = "type.googleapis.com/google"


class BadMessage(Exception):  # noqa: N818  (the peer's fault, reported to the peer)
    """Google's error text. `where` is the proto path for the details of the HTTP error."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.where = where


class _BadValue(ValueError):  # noqa: N818
    """A value with an explanation of its own."""


def to_snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), name)


def to_camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


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
        raise _invalid(path, _api_type(PROTO_NAMES.get(message, message), version), value)
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
            raise BadMessage(f"Invalid value at '{_join(path, name)}' (oneof), it is set already.", path)
        out[name] = _field(fields[name], item, version, _join(path, name))
    return out


def _join(path: str, name: str) -> str:
    return f"{path}.{to_snake(name)}" if path else to_snake(name)


def _invalid(path: str, kind: str, value: Any) -> BadMessage:
    """`value` is shown as JSON; a `_BadValue` is Google's explanation in place of it."""
    shown = str(value) if isinstance(value, _BadValue) else json.dumps(value, default=str)[:200]
    return BadMessage(f"Invalid value at '{path}' ({kind}), {shown}", path)


def _api_type(name: str, version: str) -> str:
    return f"{_GOOGLE}.ai.generativelanguage.{version}.{name}"


def _field(kind: str, value: Any, version: str, path: str) -> Any:
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise _invalid(path, "list", value)
        return [_field(kind[:-2], item, version, f"{path}[{i}]") for i, item in enumerate(value)]
    if kind.startswith("{}"):
        if not isinstance(value, dict):
            raise _invalid(path, "map", value)
        return {key: _field(kind[2:], item, version, f"{path}.{key}") for key, item in value.items()}
    if kind == "schematype":  # often sent in lower case, which Google accepts
        kind, value = f"enum:{SCHEMA_TYPES}", value.upper() if isinstance(value, str) else value
    if kind.startswith("enum:"):
        return _enum(kind[5:].split("|"), value, version, path)
    if kind in MESSAGES:
        return _read(kind, value, version, path)
    reader, shown = _SCALARS[kind]
    try:
        return reader(value)
    except _BadValue as bad:
        name = to_camel(path.rpartition(".")[2])
        raise _invalid(path, shown, _BadValue(f"Field '{name}', {bad}")) from None
    except (ValueError, TypeError, binascii.Error, OverflowError):
        raise _invalid(path, shown, value) from None


def _enum(names: list[str], value: Any, version: str, path: str) -> str:
    """Takes a name or, as proto3 JSON does, a number. The numbers are those of the table."""
    if isinstance(value, str) and value in names:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]
    stem = names[0].removesuffix("UNSPECIFIED").strip("_") or path.rpartition(".")[2].upper()
    raise _invalid(path, _api_type("".join(part.title() for part in stem.split("_")), version), value)


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
    if not isinstance(value, str):
        raise _BadValue(f"Invalid data type for timestamp, value is {json.dumps(value)[:200]}")
    with suppress(ValueError):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:  # RFC 3339 requires an offset
            return moment
    raise _BadValue("Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset.")


def _float(value: Any) -> float:
    return float(_only(int, float, str)(value))


def _fieldmask(value: Any) -> list[str]:
    """Paths into the setup, in lowerCamel as FieldMask's JSON form requires. Each must name a real field."""
    paths = [path for path in _only(str)(value).split(",") if path]
    for path in paths:
        kind = "Setup"
        for name in path.split("."):
            if not _PATH.fullmatch(name) or name not in MESSAGES.get(kind, {}):
                raise _BadValue(f"Invalid path '{path}'.")  # chosen text
            kind = MESSAGES[kind][name]
    return paths


# How to read a scalar, and its name in error texts.
_SCALARS: dict[str, tuple[Any, str]] = {
    "string": (_only(str), "TYPE_STRING"),
    "bool": (_only(bool), "TYPE_BOOL"),
    "int32": (_int(32), "TYPE_INT32"),
    "int64": (_int(64), "TYPE_INT64"),
    "float": (_float, "TYPE_FLOAT"),
    "bytes": (_bytes, "TYPE_BYTES"),
    "timestamp": (_timestamp, f"{_GOOGLE}.protobuf.Timestamp"),
    "fieldmask": (_fieldmask, f"{_GOOGLE}.protobuf.FieldMask"),
    "struct": (_only(dict), f"{_GOOGLE}.protobuf.Struct"),
    "value": (lambda value: value, ""),
}
