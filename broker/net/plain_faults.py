"""Says in one plain sentence what is wrong with a value. A leaf.

Pydantic's own messages are written for programmers, and some quote the value, which may be a secret.
"""

from __future__ import annotations

from pydantic_core import ErrorDetails

_PLAIN = {
    "extra_forbidden": "is not allowed here",
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "does not match the required format",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


def plain(fault: ErrorDetails) -> str:
    """A phrase such as `must be at least 30`. Messages of our own validators stay unchanged."""
    if fault["type"] in {"value_error", "assertion_error"}:
        return fault["msg"].split(", ", 1)[-1]
    if fault["type"] in {"string_too_short", "too_short"} and fault["ctx"]["min_length"] == 1:
        return "must not be empty"
    return _PLAIN.get(fault["type"], "has an invalid value").format_map(fault.get("ctx", {}))
