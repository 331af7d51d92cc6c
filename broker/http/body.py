"""Request bodies: JSON only, small, closed. Whatever is wrong with one is said by the field's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import ClientDisconnected

from broker.errors import Code, Refusal
from broker.http.problems import MessageRefusal
from broker.net import strict_json

MAX_BYTES = 8192
_CLOSE = {"Connection": "close"}
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Empty(Body):
    """No field at all."""


B = TypeVar("B", bound=BaseModel)


def read(model: type[B]) -> B:
    """The request's body as `model`. No body at all is the empty object."""
    try:
        raw = request.get_data(cache=False)
    except ClientDisconnected as error:
        # Werkzeug's word for what the receive time-out in gunicorn_conf does to a slow body.
        raise MessageRefusal("request-timeout", _CLOSE) from error
    except (ParseException, OSError) as error:  # what gunicorn makes of chunks that are none
        raise MessageRefusal("bad-request", _CLOSE, reason=type(error).__name__) from error
    # A chunked body has no length to refuse beforehand, and is cut without a word at the configured limit.
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
    return Refusal("too-large", f"A body may have {MAX_BYTES} bytes.")


def invalid(field: str, problem: str) -> Refusal:
    return Refusal(
        "invalid-field",
        f"Not valid: {_name((field,))}.",
        extensions={"fields": [{"field": _name((field,)), "problem": problem}]},
    )


def validated(model: type[B], value: Mapping[str, Any]) -> B:
    """Refuses `field-not-allowed` and `invalid-field`, with the names of the fields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # Without the input: the value of a field may be a secret.
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
        fields = [{"field": _name(fault["loc"]), "problem": fault["msg"]} for fault in unknown or faults]
        names = ", ".join(str(field["field"]) for field in fields)
        code: Code = "field-not-allowed" if unknown else "invalid-field"
        problem = "not allowed here" if unknown else "not valid"
        raise Refusal(code, f"{problem.capitalize()}: {names}.", extensions={"fields": fields}) from None


def _name(place: tuple[int | str, ...]) -> str:
    """A field's path. A name that is no name is the caller's text and is not sent back."""
    return ".".join(str(part) if _NAME.fullmatch(str(part)) else "?" for part in place)
