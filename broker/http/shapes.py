"""Shapes of answers that several resources share, and the functions that make them."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict

from broker.net.timestamps import rfc3339
from broker.sessions.session import SessionState


class Nothing(TypedDict):
    """An empty object: the action succeeded."""


class Ended(TypedDict):
    """Google cannot revoke a token: it may accept the last one until `honoured_until`.

    Until `held_until` the session still counts among the open ones; null if its place is free.
    """

    id: str
    state: str
    honoured_until: str | None
    held_until: str | None


def ended(
    session_id: str,
    state: SessionState,
    honoured_until: datetime | None,
    held_until: datetime | None = None,
) -> Ended:
    return {
        "id": session_id,
        "state": state.value,
        "honoured_until": timestamp_or_none(honoured_until),
        "held_until": timestamp_or_none(held_until),
    }


def timestamp_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
