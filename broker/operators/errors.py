"""Why an operator's action was rejected. The action changed nothing."""

from __future__ import annotations


class OperatorError(Exception):
    """An action that cannot be carried out. The message says why: lower case, no full stop.

    `field` is the invalid member of the request, by its name in the admin API.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(OperatorError):  # noqa: N818 - reads as what it says
    """The request names something that does not exist."""


class EditConflict(OperatorError):  # noqa: N818 - reads as what it says
    """The state has changed since the operator read it, usually by another operator's action."""


class LastOperator(OperatorError):  # noqa: N818 - reads as what it says
    """The action would leave the broker without an operator."""

    def __init__(self, username: str) -> None:
        super().__init__(f"{username!r} is the last operator; make another user an operator first")


class SessionEnded(OperatorError):  # noqa: N818 - reads as what it says
    """The named session has already ended."""
