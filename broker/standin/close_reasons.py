"""Google's refusals: close codes with reasons, and HTTP error bodies. Data only.

The texts are the ones seen in public reports. The real text of an entry marked "chosen" is not known, so no
client should depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

REASON_BYTES = 123  # a WebSocket close reason cannot be longer


@dataclass(frozen=True)
class Close:
    code: int
    reason: str = ""

    def payload(self) -> bytes:
        """The reason, cut to the length that a close frame allows."""
        return self.reason.encode()[:REASON_BYTES].decode(errors="ignore").encode()


Ending = Close | Literal["drop", "gone"]
"""How a connection ends: by a close, by a dropped socket, or because the client left."""


class Refused(Exception):  # noqa: N818  (an outcome of the protocol, not a programming error)
    """Raised anywhere below a connection to end it with a close code."""

    def __init__(self, close: Close) -> None:
        super().__init__(f"{close.code} {close.reason}")
        self.close = close


KEY_INVALID = "API key not valid. Please pass a valid API key."
UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
QUOTA = "You exceeded your current quota, please check your plan and billing details."

CLOSES: dict[str, Close] = {
    "normal": Close(1000),
    "going-down": Close(1001),
    "invalid-argument": Close(1007, "Request contains an invalid argument."),
    "media-chunks": Close(
        1007, "realtime_input.media_chunks is deprecated. Use audio, video, or text instead."
    ),
    "text-modality": Close(
        1007, "The requested combination of response modalities (TEXT) is not supported by the model"
    ),
    # In the middle of about 6 % of one app's calls, which were fine after they resumed.
    "audio-type": Close(
        1007,
        "The audio content type (CONTENT_TYPE_AUDIO) is not supported for this model configuration.",
    ),
    "setup-first": Close(1007, "setup must be the first message and only the first"),
    "no-model": Close(
        1007, "* BidiGenerateContentRequest.setup.model: model is not specified"
    ),  # path chosen
    "model-format": Close(1007, "* BidiGenerateContentRequest.setup.model: unexpected model name format"),
    "explicit-activity": Close(
        1007,
        "Explicit activity control is not supported when automatic activity detection is enabled.",
    ),
    "role": Close(1007, "Please use a valid role: user, model."),
    "voice": Close(1007, "no matching speaker voice"),  # known in paraphrase only; see voice_not_found
    "handle-invalid": Close(1007, "Invalid session handle"),  # the other reading
    "key-invalid": Close(1007, KEY_INVALID),
    "key-expired": Close(1007, "API key expired. Please renew the API key."),
    "location": Close(1007, "User location is not supported for the API use."),
    "model-not-found": Close(
        1008,
        "models/unknown is not found for API version v1beta, or is not supported for bidiGenerateContent.",
    ),
    "unregistered": Close(1008, UNREGISTERED),  # code chosen
    "token-unknown": Close(1008, UNREGISTERED),  # chosen
    "token-not-found": Close(1008, "Token not found"),  # the other reading
    "aborted": Close(1008, "The operation was aborted."),
    "stayed-past-go-away": Close(
        1008,
        "Connection aborted because the client failed to close the connection after receiving a GoAway "
        "signal once the session duration was exceeded",
    ),
    "entity-not-found": Close(1008, "Requested entity was not found."),
    "api-disabled": Close(
        1008, "Generative Language API has not been used in project 0 before or it is disabled."
    ),
    "token-used": Close(1011, "Token has been used too many times"),
    "token-late": Close(1011, "new_session_expire_time deadline exceeded"),
    "token-ran-out": Close(1011, "auth token has expired"),  # while the session is open
    "token-expired": Close(1011, "Token has expired"),  # at the time of connecting
    "quota": Close(1011, QUOTA),
    "exhausted": Close(1011, "Resource has been exhausted (e.g. check quota)."),
    "internal": Close(1011, "Internal error occurred."),
    "internal-encountered": Close(1011, "Internal error encountered."),
    "unavailable": Close(1011, "The service is currently unavailable."),
    "deadline": Close(1011, "Deadline expired before operation could complete."),
    "still-open": Close(1011, "Internal error encountered."),  # resume beside an open socket: text chosen
}

BEARER_DETAILS: list[dict[str, Any]] = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
]

# HTTP status -> (google.rpc status word, usual message)
HTTP_ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", KEY_INVALID),
    401: (
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential.",
    ),
    403: ("PERMISSION_DENIED", UNREGISTERED),
    404: ("NOT_FOUND", "Requested entity was not found."),
    409: ("ABORTED", "The operation was aborted."),
    429: ("RESOURCE_EXHAUSTED", QUOTA),
    500: ("INTERNAL", "Internal error encountered."),
    502: ("UNAVAILABLE", "Bad gateway."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}

KEY_INVALID_DETAILS: list[dict[str, Any]] = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
]


def bad_request(field: str, text: str) -> list[dict[str, Any]]:
    """The details of a 400 that name the field at fault."""
    violations = [{"field": field, "description": text}]
    return [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]


def error_body(status: int, message: str = "", details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Google's JSON error envelope. Without a message, it has the usual one of that status."""
    word, usual = HTTP_ERRORS.get(status, ("UNKNOWN", "Unknown error."))
    error: dict[str, Any] = {"code": status, "message": message or usual, "status": word}
    if status == 400 and not message and details is None:
        details = KEY_INVALID_DETAILS
    if details:
        error["details"] = details
    return {"error": error}


def voice_not_found(voice: str, model: str) -> str:
    return f"Requested voice api_name '{voice}' is not available for model {model}"


def model_not_found(model: str, version: str) -> str:
    return (
        f"{model} is not found for API version {version}, or is not supported for bidiGenerateContent. "
        "Call ModelService.ListModels to see the list of available models and their supported methods."
    )
