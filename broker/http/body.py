"""Request bodies: JSON only, small, no unknown fields. Errors name the field that is wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from broker.errors import Code, Refusal
from broker.http.problems import MessageRefusal
from broker.net import strict_json
from broker.net.plain_faults import plain

MAX_BYTES = 8192
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Empty(Body):
    """An object without fields."""


B = TypeVar("B", bound=BaseModel)
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, separators of lines

NO_CONTROLS: dict[str, JsonValue] = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"}
"""The rule of `without_controls` as a pattern for /openapi.json."""


def without_controls(text: str) -> str:
    """For texts that are stored and shown. Letters of every script are allowed, with their joiners."""
    if any(char in _BIDI_CONTROLS or unicodedata.category(char) in _CONTROLS for char in text):
        raise ValueError("must not contain control characters")
    return text


def read(model: type[B]) -> B:
    """The body of the request as `model`. A missing body counts as the empty object."""
    raw = request.get_data(cache=False)
    # A chunked body states no length. http/wsgi.py cuts it one byte above the limit.
    if len(raw) > MAX_BYTES:
        raise too_large()
    if not raw:
        return validated(model, {})
    check_media_type()
    try:
        value = strict_json.loads(raw)
    except ValueError as error:
        raise Refusal("bad-json", reason=type(error).__name__) from error
    if not isinstance(value, dict):
        raise Refusal("bad-json", "The body must be a JSON object.")
    return validated(model, value)


def check_media_type() -> None:
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding"):
        raise MessageRefusal("media-type", {"Accept-Post": "application/json"})


def too_large() -> Refusal:
    return Refusal("too-large", f"The body may have at most {MAX_BYTES} bytes.")


def invalid(field: str, problem: str) -> Refusal:
    return Refusal(
        "invalid-field",
        f"Invalid value: {_name((field,))}.",
        extensions={"fields": [{"field": _name((field,)), "problem": problem}]},
    )


def validated(model: type[B], value: Mapping[str, object]) -> B:
    """Raises the refusal `field-not-allowed` or `invalid-field`, with the names of the fields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # Leave out the input: the value of a field may be a secret.
        faults = error.errors(include_url=False, include_input=False)
        unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
        fields = [{"field": _name(fault["loc"]), "problem": plain(fault)} for fault in unknown or faults]
        names = ", ".join(str(field["field"]) for field in fields)
        code: Code = "field-not-allowed" if unknown else "invalid-field"
        problem = "Not allowed here" if unknown else "Invalid value"
        hint = _allowed_fields(model) if any(len(fault["loc"]) == 1 for fault in unknown) else None
        raise Refusal(code, f"{problem}: {names}.", hint=hint, extensions={"fields": fields}) from None


def _allowed_fields(model: type[BaseModel]) -> str:
    names = ", ".join(field.alias or name for name, field in model.model_fields.items())
    return f"The fields are: {names}." if names else "There are no fields here."


def _name(place: tuple[int | str, ...]) -> str:
    """The path of a field. A malformed name is the caller's own text, so it is not echoed."""
    return ".".join(str(part) if _NAME.fullmatch(str(part)) else "?" for part in place)
