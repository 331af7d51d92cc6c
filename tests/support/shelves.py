"""What lies on the shelves of warm tokens."""

from __future__ import annotations

from broker.minting.minter import TokenPlan
from broker.minting.warm_shelf import Shelf


def tokens_on(shelf: Shelf, plan: TokenPlan) -> int:
    """How many tokens a caller with this plan could get now."""
    lent = []
    while token := shelf.lend(plan):
        lent.append(token)
    for token in reversed(lent):
        shelf.put_back(token)
    return len(lent)
