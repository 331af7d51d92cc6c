"""Conversations, and the handles that resume them on another connection.

A handle names a conversation at one moment. It works for two hours after the connection ended, and only while
no other connection holds the conversation.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field

from broker.standin.clock import Clock
from broker.standin.close_reasons import CLOSES, Refused

HANDLE_SECONDS = 2 * 3600.0
KEPT_HANDLES = 5000


@dataclass
class Conversation:
    model: str
    history: list[tuple[str, str]] = field(default_factory=list)  # (user|model, text)
    context: Counter[str] = field(default_factory=Counter)  # tokens by modality
    pictures: int = 0
    held: bool = False
    released_at: float = 0.0

    def forget(self) -> None:
        self.history.clear()
        self.context.clear()
        self.pictures = 0


@dataclass(frozen=True)
class _Moment:
    conversation: Conversation
    turns: int
    context: Counter[str]


class Conversations:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moments: dict[str, _Moment] = {}

    def handle(self, conversation: Conversation) -> str:
        """Returns a new handle for the conversation as it is now."""
        name = "standin-handle-" + secrets.token_hex(12)
        self._moments[name] = _Moment(conversation, len(conversation.history), Counter(conversation.context))
        while len(self._moments) > KEPT_HANDLES:
            del self._moments[next(iter(self._moments))]
        return name

    def resume(self, handle: str, model: str, unknown: str) -> Conversation:
        """`unknown` names the close for a handle that is not known, or no longer."""
        moment = self._moments.get(handle)
        if moment is None:
            raise Refused(CLOSES[unknown])
        conversation = moment.conversation
        if conversation.held:
            raise Refused(CLOSES["still-open"])
        if self._clock.now() > conversation.released_at + HANDLE_SECONDS:
            raise Refused(CLOSES[unknown])
        if conversation.model != model:  # a resumption may change everything else
            raise Refused(CLOSES["invalid-argument"])
        del conversation.history[moment.turns :]
        conversation.context = Counter(moment.context)
        return conversation

    def clear(self) -> None:
        self._moments.clear()
