"""The state of one stand-in, which every handler gets: clock, tokens, conversations, scenarios, records.

Only the event loop touches it, so it needs no locks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from broker.standin.clock import Clock
from broker.standin.conversations import Conversations
from broker.standin.messages import MessageConnection
from broker.standin.records import Records
from broker.standin.scenarios import Scenarios
from broker.standin.tokens import TokenStore


@dataclass
class State:
    clock: Clock
    api_key: str | None = None  # None: any key but one that starts with "invalid"
    scenarios: Scenarios = field(default_factory=Scenarios)
    records: Records = field(default_factory=Records)
    open: dict[int, MessageConnection] = field(default_factory=dict)
    draws: dict[str, Random] = field(default_factory=dict)
    """Random generators of scenarios, shared by all connections."""
    tokens: TokenStore = field(init=False)
    conversations: Conversations = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = TokenStore(self.clock)
        self.conversations = Conversations(self.clock)

    def key_accepted(self, key: str) -> bool:
        if self.api_key is not None:
            return key == self.api_key
        return bool(key) and not key.startswith(("invalid", "auth_tokens/"))
