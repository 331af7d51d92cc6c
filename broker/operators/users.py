"""What operators do, in one place: the command line calls it, and so does the admin API."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from broker.errors import Refusal
from broker.identity import passwords
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission, BlockKind
from broker.identity.service_keys import ServiceKey, check_subject
from broker.identity.signing import KeyRing, issue_access_token
from broker.identity.users import USERNAME_RULE, User, canonical_username
from broker.issuing.dry_run import DryRun, DryRuns
from broker.limits.limiter import rates_without_app
from broker.limits.policy import Policy
from broker.principal import GUEST_ISSUER, KEY_ISSUER, OPERATOR, OWN_ISSUER, Principal
from broker.profiles.catalog import Catalog
from broker.settings import Settings
from broker.store.accounts.blocks import BlockRow, SqlBlocks
from broker.store.accounts.overrides import SqlLimits
from broker.store.accounts.service_keys import SqlServiceKeys
from broker.store.accounts.users import SqlUsers, UserExists, UserUnknown
from broker.store.database.engine import Database
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.suspension import SqlSuspensions


class OpsError(Exception):
    """An operator's request that cannot be carried out; the message says why. Nothing was changed.

    `field` is what of the request is at fault, under the name that the admin API has for it.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Unknown(OpsError):  # noqa: N818 - reads as what it says
    """What the request names is not there."""


class EditConflict(OpsError):  # noqa: N818 - reads as what it says
    """It is not any more as the request takes it to be: somebody else was there before."""


class Ops:
    def __init__(
        self, settings: Settings, database: Database, *, actor: str, previews: DryRuns | None = None
    ) -> None:
        """`previews` are those of a server; a command makes its own."""
        self._previews = previews
        self._settings = settings
        self._database = database
        self._users = SqlUsers(database)
        self._blocks = SqlBlocks(database)
        self._service_keys = SqlServiceKeys(database)
        self._actor = actor

    def add_user(
        self, username: str, password: str, *, plan: str = "default", roles: Collection[str] = ()
    ) -> User:
        name = canonical_username(username)
        if name is None or name != username:
            raise OpsError(f"{username!r} is no user name: {USERNAME_RULE}", field="username")
        _check_password(password)
        if plan not in self._settings.config.plans:
            known = ", ".join(sorted(self._settings.config.plans))
            raise OpsError(f"there is no plan {plan!r}; there are: {known}", field="plan")
        if unknown := sorted({*roles} - {OPERATOR}):
            raise OpsError(f"there is no role {unknown[0]!r}; there is: {OPERATOR}", field="roles")
        user = User(name, passwords.hash_password(password), plan, frozenset(roles))
        try:
            self._users.add(user, actor=self._actor)
        except UserExists:
            raise OpsError(f"the user {name!r} exists already", field="username") from None
        return user

    def users(self) -> list[User]:
        return self._users.all()

    def set_password(self, username: str, password: str, issuer: str = OWN_ISSUER) -> None:
        """Ends every sign-in and bearer of the user."""
        if issuer != OWN_ISSUER:
            raise OpsError("only users of the broker's own have a password here")
        _check_password(password)
        with _known(username):
            self._users.set_password(username, passwords.hash_password(password), actor=self._actor)

    def sign_out(self, subject: str, issuer: str = OWN_ISSUER) -> None:
        """End every sign-in and every bearer of before this moment."""
        if issuer == OWN_ISSUER:
            with _known(subject):
                self._users.sign_out(subject, actor=self._actor)
        else:
            if _is_of_keys(issuer):
                raise OpsError("a service key and its users do not sign in: revoke the key, or block them")
            self._blocks.withdraw_before_now(*self._named(issuer, subject), actor=self._actor)

    def block(self, subject: str, issuer: str = OWN_ISSUER, *, reason: str = "") -> datetime | None:
        """From the next request on, whatever credential is presented, on every worker.

        Returns until when Google may still honour tokens that were given out before.
        """
        if issuer == OWN_ISSUER:
            with _known(subject):
                return self._users.block(subject, actor=self._actor, reason=_reason(reason))
        return self._blocks.block_principal(
            *self._named(issuer, subject), actor=self._actor, reason=_reason(reason)
        )

    def unblock(self, subject: str, issuer: str = OWN_ISSUER) -> None:
        """Credentials of before the block stay withdrawn: whoever is unblocked signs in again."""
        if issuer == OWN_ISSUER:
            with _known(subject):
                was_blocked = self._users.unblock(subject, actor=self._actor)
        else:
            issuer, subject = self._named(issuer, subject)
            # A service key is no sign-in that could be made again: unblocked, it is as good as before.
            was_blocked = self._blocks.lift(
                BlockKind.PRINCIPAL, issuer, subject, actor=self._actor, revives=_is_of_keys(issuer)
            )
        if not was_blocked:
            raise EditConflict(f"{subject!r} is not blocked")

    def block_issuer(self, issuer: str, *, reason: str = "") -> None:
        """Turn away everybody whom `issuer` vouches for."""
        self._blocks.block(BlockKind.ISSUER, self._issuer(issuer), actor=self._actor, reason=_reason(reason))

    def block_token(self, issuer: str, token_id: str, *, reason: str = "") -> None:
        """Turn one bearer away by its `jti`."""
        self._blocks.block(
            BlockKind.TOKEN,
            self._issuer(issuer),
            _subject(token_id),
            actor=self._actor,
            reason=_reason(reason),
        )

    def lift_block(self, issuer: str, token_id: str | None = None) -> None:
        kind = BlockKind.ISSUER if token_id is None else BlockKind.TOKEN
        if not self._blocks.lift(kind, issuer, token_id or "", actor=self._actor):
            raise Unknown("there is no such block")

    def blocks(self) -> list[BlockRow]:
        return self._blocks.page()

    def block_page(self, after: tuple[str, str] | None, most: int) -> list[BlockRow]:
        return self._blocks.page(after=after, most=most)

    def access_token(self, username: str) -> str:
        """A bearer for trying things out, as if the user had signed in. It is a way in, so it is recorded."""
        user = self._users.find(username)
        if user is None:
            raise _no_user(username)
        if user.blocked_at is not None:
            raise OpsError(f"the user {username!r} is blocked")
        self._users.record(username, "user.token", actor=self._actor)
        ring = KeyRing.of(self._settings.secret_keys, *self._settings.signing_keys)
        return issue_access_token(ring.signs, user.username, user.generation)

    def explain(self, subject: str, profile: str | None = None, issuer: str = OWN_ISSUER) -> DryRun:
        """What the next `POST /token` of somebody would be told, and which rule decides. Counts nothing.

        Of another issuer's people only what is known without a credential.
        """
        principal = self.principal(subject, issuer)
        principal = principal.with_overrides(SqlLimits(self._database).find(principal.key))
        preview = (self._previews or self._own_previews()).preview(principal, profile)
        try:
            verified = Verified(principal, datetime.now(UTC), generation=self._generation(principal))
            Admission(self._blocks).admit(verified)
        except Refusal as refusal:
            return replace(preview, refusal=refusal)
        return preview

    def _generation(self, principal: Principal) -> str | None:
        user = self._users.find(principal.subject) if principal.issuer == OWN_ISSUER else None
        return user.generation if user else None

    def _own_previews(self) -> DryRuns:
        config, redis_url = self._settings.config, self._settings.redis_url
        return DryRuns(
            policy=Policy(config.plans, config.project.sessions),
            rates=rates_without_app(self._database, redis_url.get_secret_value() if redis_url else None),
            catalog=Catalog(config.profiles.values()),
            ledger=SqlLedger(self._database),
            suspensions=SqlSuspensions(self._database),
        )

    def principal(self, subject: str, issuer: str = OWN_ISSUER) -> Principal:
        """Somebody whom a change names. Of another issuer's, only what is known without a credential."""
        if issuer == KEY_ISSUER:
            return self._key(subject).principal()
        if issuer != OWN_ISSUER:
            return Principal(self._issuer(issuer), _subject(subject), subject, "default")
        user = self._users.find(subject)
        if user is None:
            raise _no_user(subject)
        return user.principal()

    def _issuer(self, issuer: str) -> str:
        """A block for an issuer that nobody knows would be a typing error that passes for safety."""
        known = [
            OWN_ISSUER,
            KEY_ISSUER,
            GUEST_ISSUER,
            *(spec.issuer for spec in self._settings.config.issuers),
        ]
        if issuer.startswith(f"{KEY_ISSUER}:"):
            self._key_id(issuer.removeprefix(f"{KEY_ISSUER}:"))
        # One that was taken out of the settings may have let somebody in before.
        elif issuer not in known and not self._blocks.has_seen(issuer):
            raise OpsError(f"there is no issuer {issuer!r}; there are: {', '.join(known)}")
        return issuer

    def _named(self, issuer: str, subject: str) -> tuple[str, str]:
        """The principal that is meant. A name that nobody can have would pass for safety too."""
        if issuer == KEY_ISSUER:
            return issuer, self._key_id(subject)
        if issuer.startswith(f"{KEY_ISSUER}:"):
            try:
                check_subject(subject)
            except Refusal as refusal:
                raise OpsError(str(refusal.detail)) from None
        return self._issuer(issuer), _subject(subject)

    def _key_id(self, name_or_id: str) -> str:
        return self._key(name_or_id).id

    def _key(self, name_or_id: str) -> ServiceKey:
        for key in self._service_keys.page():
            if name_or_id in (key.name, key.id):
                return key
        raise Unknown(f"there is no service key {name_or_id!r}")


def _is_of_keys(issuer: str) -> bool:
    return issuer == KEY_ISSUER or issuer.startswith(f"{KEY_ISSUER}:")


def _check_password(password: str) -> None:
    if not passwords.MIN_LENGTH <= len(password) <= passwords.MAX_LENGTH:
        raise OpsError(
            f"a password has {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters", field="password"
        )
    if any(0xD800 <= ord(character) <= 0xDFFF for character in password):
        raise OpsError("a password has whole characters, no halves of them", field="password")


def _subject(text: str) -> str:
    if not 1 <= len(text) <= 255 or not text.isprintable():
        raise OpsError("a subject or token id has 1 to 255 printable characters")
    return text


def _reason(text: str) -> str:
    if len(text) > 255 or not (text.isprintable() or not text):
        raise OpsError("a reason has at most 255 printable characters", field="reason")
    return text


def _no_user(username: str) -> Unknown:
    return Unknown(f"there is no user {username!r}")


@contextmanager
def _known(username: str) -> Iterator[None]:
    try:
        yield
    except UserUnknown:
        raise _no_user(username) from None
