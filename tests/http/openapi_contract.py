"""The contract in /openapi.json without its texts for people, one line per route and member.

`python -m tests.http.openapi_contract` writes it to openapi_contract.json beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Flask

from broker.app import mount
from broker.http.openapi.document import document

TEXTS = {"title", "description", "summary", "examples"}


def contract(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    routes = {
        f"{method.upper()} {path}": _route(operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    }
    members = {
        f"{name}.{member}": [
            "required" if member in shape.get("required", []) else "optional",
            _without_texts(schema),
        ]
        for name, shape in spec["components"]["schemas"].items()
        for member, schema in shape["properties"].items()
    }
    closed = {
        name: not shape.get("additionalProperties", True)
        for name, shape in spec["components"]["schemas"].items()
    }
    return {"routes": routes, "members": members, "closed": closed}


def lines(found: dict[str, dict[str, Any]]) -> str:
    """JSON with one line for each entry, so that a review shows which one changed."""
    parts = []
    for heading, entries in found.items():
        rows = [f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items())]
        parts.append(f"  {json.dumps(heading)}: {{\n" + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _route(operation: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": operation["operationId"],
        "security": [name for one in operation["security"] for name in one],
        "parameters": _without_texts(operation.get("parameters", [])),
        "body": _without_texts(operation.get("requestBody")),
        "answers": {status: _answer(answer) for status, answer in operation["responses"].items()},
    }


def _answer(answer: dict[str, Any]) -> Any:
    """The schema of a success, or the codes of an error."""
    content = answer.get("content", {})
    problem = content.get("application/problem+json")
    return problem["schema"]["properties"]["code"]["enum"] if problem else _without_texts(content)


def _without_texts(value: Any) -> Any:
    """A reference becomes the name that it refers to."""
    if isinstance(value, dict) and value.keys() == {"$ref"}:
        return value["$ref"].rsplit("/", 1)[-1]
    if isinstance(value, dict):
        return {name: _without_texts(one) for name, one in value.items() if name not in TEXTS}
    return [_without_texts(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    app = Flask("broker")
    mount(app)
    Path(__file__).with_suffix(".json").write_text(lines(contract(document(app))))


if __name__ == "__main__":
    main()
