"""BlockAdmin: blocks principals, single tokens and whole issuers, and lifts those blocks."""

from __future__ import annotations

from datetime import datetime

from broker.identity.blocks import BlockKind
from broker.operators.errors import EditConflict, LastOperator, NotFound
from broker.operators.principals import (
    Principals,
    is_service_key_issuer,
    may_be_without_operators,
    no_user,
    readable,
)
from broker.principal import OWN_ISSUER
from broker.settings import Settings
from broker.store.accounts import users
from broker.store.accounts.blocks import SignedOut, SqlBlocks
from broker.store.accounts.users import SqlUsers, UserUnknown
from broker.store.database.engine import Database


class BlockAdmin:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        self._principals = Principals(settings, database)
        self._users = SqlUsers(database)
        self._blocks = SqlBlocks(database)
        self._actor = actor
        self._keep_one_operator = not may_be_without_operators(settings, actor)

    def block(self, subject: str, issuer: str = OWN_ISSUER, *, reason: str = "") -> datetime | None:
        """Block a principal. The block applies to its next request, on every worker, with any credential.

        Returns when the last token that it already holds expires at Google; None if it holds none. Raises
        LastOperator if no operator would be left.
        """
        reason = _checked_reason(reason)
        if issuer == OWN_ISSUER:
            try:
                return self._users.block(
                    subject, actor=self._actor, reason=reason, keep_one_operator=self._keep_one_operator
                )
            except UserUnknown:
                raise no_user(subject) from None
            except users.LastOperator:
                raise LastOperator(subject) from None
        named = self._principals.named(issuer, subject)
        if self._actor == f"{issuer}:{subject}" and not self._users.has_operator():
            raise LastOperator(subject)
        return self._blocks.block_principal(*named, actor=self._actor, reason=reason)

    def unblock(self, subject: str, issuer: str = OWN_ISSUER) -> None:
        """Lift the block of a principal. Earlier credentials stay revoked: the person signs in again."""
        if issuer == OWN_ISSUER:
            try:
                was_blocked = self._users.unblock(subject, actor=self._actor)
            except UserUnknown:
                raise no_user(subject) from None
        else:
            issuer, subject = self._principals.named(issuer, subject)
            # A service key cannot sign in again, so it works as it did before the block.
            was_blocked = self._blocks.lift(
                BlockKind.PRINCIPAL,
                issuer,
                subject,
                actor=self._actor,
                restores=is_service_key_issuer(issuer),
            )
        if not was_blocked:
            raise EditConflict(f"{subject!r} is not blocked")

    def block_issuer(self, issuer: str, *, reason: str = "") -> None:
        """Block every principal of `issuer`."""
        issuer = self._principals.issuer(issuer)
        self._blocks.block(BlockKind.ISSUER, issuer, actor=self._actor, reason=_checked_reason(reason))

    def block_token(self, issuer: str, token_id: str, *, reason: str = "") -> None:
        """Block one bearer token by its `jti`."""
        self._blocks.block(
            BlockKind.TOKEN,
            self._principals.issuer(issuer),
            readable(token_id),
            actor=self._actor,
            reason=_checked_reason(reason),
        )

    def lift(self, issuer: str, token_id: str | None = None) -> None:
        """Lift the block of a token, or of the issuer if `token_id` is None."""
        kind = BlockKind.ISSUER if token_id is None else BlockKind.TOKEN
        try:
            was_blocked = self._blocks.lift(kind, issuer, token_id or "", actor=self._actor)
        except SignedOut:
            raise EditConflict("the holder of this token has signed out with it, which is final") from None
        if not was_blocked:
            raise NotFound("there is no such block")


def _checked_reason(text: str) -> str:
    return readable(text, "a reason", field="reason") if text else text
