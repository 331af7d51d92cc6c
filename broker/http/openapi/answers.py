"""The answers of a route in the document: its success, its problems, and the schemas that they refer to."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from broker.errors import CODES, Code
from broker.http.openapi.routes import Route
from broker.http.problems import Problem

Json = dict[str, object]

_REF = "#/components/schemas/{model}"
_MEANINGS = {200: "Success.", 201: "Created.", 204: "Success, without a body.", 303: "Redirect."}
# Size, media type and time limit of a request are checked before the route, even if it expects no body.
# A worker that shuts down may answer any request with `draining`.
_ALWAYS: tuple[Code, ...] = (
    "bad-request", "origin-forbidden", "request-timeout", "too-large", "media-type", "internal",
    "store-unavailable", "draining",
)  # fmt: skip
_IDENTIFIED: tuple[Code, ...] = (
    "missing-credentials", "invalid-token", "token-expired", "account-blocked", "keys-unavailable",
    "forbidden",
)  # fmt: skip
_WITH_BODY: tuple[Code, ...] = ("bad-json", "field-not-allowed", "invalid-field")
_WITH_QUERY: tuple[Code, ...] = ("field-not-allowed", "invalid-field")


def success(route: Route) -> Json:
    stated = route.operation
    answer: Json = {"description": _MEANINGS[stated.status]}
    if stated.status not in (204, 303):
        schema = ref(route.shape) if route.shape else {}
        answer["content"] = {media: {"schema": schema} for media in (stated.media, *stated.other_media)}
    return answer


def problems(route: Route) -> Json:
    """One answer for each error status, with the codes that it may have."""
    stated = route.operation
    codes: set[Code] = {*_ALWAYS, *stated.codes}
    if route.guard.level != "public":
        codes.update(_IDENTIFIED)
        if route.method != "GET":
            codes.add("csrf-failed")
    if stated.body is not None:
        codes.update(_WITH_BODY)
    if stated.query is not None:
        codes.update(_WITH_QUERY)
    by_status: dict[int, list[Code]] = {}
    for code, (status, _title) in CODES.items():
        if code in codes:
            by_status.setdefault(status, []).append(code)
    return {str(status): _problem(status, by_status[status]) for status in sorted(by_status)}


def _problem(status: int, codes: list[Code]) -> Json:
    schema = {**ref(Problem), "properties": {"code": {"enum": codes}}}
    answer: Json = {
        "description": " ".join(f"`{code}`: {CODES[code][1]}" for code in codes),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        wait = {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": wait}
    return answer


def ref(shape: type) -> Json:
    return {"$ref": _REF.format(model=shape.__name__)}


def schemas(routes: Sequence[Route]) -> Json:
    """The schemas of all bodies and answers, and of the types inside them, by name."""
    named: dict[str, type] = {Problem.__name__: Problem}
    for route in routes:
        for shape in (route.operation.body, route.shape):
            if shape is not None:
                assert named.setdefault(shape.__name__, shape) is shape, f"two shapes: {shape.__name__}"
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[object]]] = [
        (name, "validation", TypeAdapter(named[name])) for name in sorted(named)
    ]
    _, found = TypeAdapter.json_schemas(inputs, ref_template=_REF, schema_generator=_ClosedAnswers)
    definitions: Json = found["$defs"]
    return definitions


class _ClosedAnswers(GenerateJsonSchema):
    """An answer has no other members than its shape, unless the shape says so itself."""

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {"additionalProperties": False, **super().typed_dict_schema(schema)}
