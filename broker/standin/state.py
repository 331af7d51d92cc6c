"""Everything that one stand-in holds, handed to each handler: clock, tokens, memory, scenarios, records.

All of it is touched on the event loop only, which is why there are no locks.
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
    """What scenarios draw from, over all connections."""
    tokens: TokenStore = field(init=False)
    conversations: Conversations = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = TokenStore(self.clock)
        self.conversations = Conversations(self.clock)

    def key_accepted(self, key: str) -> bool:
        if self.api_key is not None:
            return key == self.api_key
        return bool(key) and not key.startswith(("invalid", "auth_tokens/"))
