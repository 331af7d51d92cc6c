"""The current request, for those who record something: its id and the client's address. Needs nothing."""

from __future__ import annotations

from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_client_address: ContextVar[str] = ContextVar("client_address", default="")


def bind_request_id(request_id: str) -> None:
    """For the current request. An empty text at its end."""
    _request_id.set(request_id)


def current_request_id() -> str:
    return _request_id.get()


def bind_client_address(address: str) -> None:
    """For the current request. Log lines do not show it."""
    _client_address.set(address)


def current_client_address() -> str:
    return _client_address.get()
