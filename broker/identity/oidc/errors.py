"""How a sign-in in the browser can fail."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The outcomes that the page can show. The page has a sentence for each."""

    UNKNOWN = "sign-in-failed"
    CANCELLED = "sign-in-cancelled"
    EXPIRED = "sign-in-expired"
    UNAVAILABLE = "sign-in-unavailable"


class SignInFailed(Exception):  # noqa: N818 - an outcome, not a programming error
    """`reason` is for the log and never contains text from the provider."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
