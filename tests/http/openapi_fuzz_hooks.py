"""Loaded by Schemathesis: what the document cannot say, because the state or the settings decide it."""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData

IS_SERVICE_KEY = os.environ["FUZZ_CALLER"] == "service key"
# The key of the operator who calls, and of someone else.
OWN_KEY, OTHER_KEY = os.environ["FUZZ_KEYS"].split()
BEARERS = itertools.cycle(os.environ["FUZZ_BEARERS"].split())
# A value of the right form is refused for these reasons. The document cannot list the right values: it is
# public, and the names of plans and profiles are not.
TAKEN_OR_UNKNOWN = re.compile(
    "already exists|is already the name|there is no (plan|profile)|is not a cursor of this list"
    "|printable characters|form NFC"  # patterns know no Unicode properties
    "|must look like"  # a rate has a grammar of its own
    "|must be a whole number"  # JSON Schema takes 60.0 for an integer, the broker does not
)


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """The document has the widest body. Of all callers, only service keys may use these fields."""
    if not IS_SERVICE_KEY:
        body = raw_schema["components"]["schemas"]["KeyTokenBody"]
        del body["properties"]["on_behalf_of"], body["properties"]["plan"], body["dependentRequired"]


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """After a block of itself, or a sign-out, the caller would get 401 for everything else."""
    if case.path_parameters.get("user_key") == OWN_KEY:
        case.path_parameters["user_key"] = OTHER_KEY
    if case.path == "/auth/logout" and "Authorization" in kwargs.get("headers", {}):
        kwargs["headers"] = {**kwargs["headers"], "Authorization": f"Bearer {next(BEARERS)}"}


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> bool:
    """False for an answer that is right all the same."""
    if isinstance(failure, ServerError):
        # The operator suspends minting, and then asks for a token.
        return bool(response.json()["code"] != "minting-suspended")
    if isinstance(failure, RejectedPositiveData):
        answer = response.json()
        problems = answer.get("fields", [])
        return answer["code"] != "ttl-too-long" and not any(
            TAKEN_OR_UNKNOWN.search(one["problem"]) for one in problems
        )
    return True
