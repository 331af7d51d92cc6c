"""UserAdmin: adds users, changes passwords, signs people out and explains what their next request gets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from broker.errors import Refusal
from broker.identity import passwords
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission
from broker.identity.signing import KeyRing, issue_access_token
from broker.identity.users import USERNAME_RULE, User, canonical_username
from broker.issuing.dry_run import DryRun, DryRuns
from broker.limits.budget import Calendar
from broker.limits.limiter import create_rates
from broker.limits.policy import Policy
from broker.operators.errors import LastOperator, OperatorError
from broker.operators.principals import (
    Principals,
    is_service_key_issuer,
    may_be_without_operators,
    no_user,
)
from broker.operators.teams import checked_name
from broker.principal import OPERATOR, OWN_ISSUER, Principal
from broker.profiles.catalog import Catalog
from broker.settings import PriceList, Settings
from broker.store.accounts import users
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.overrides import SqlOverrides
from broker.store.accounts.removal import remove_user
from broker.store.accounts.standing import SqlStanding
from broker.store.accounts.users import SqlUsers, UserExists, UserUnknown
from broker.store.database.engine import Database
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.rates import rate_storage
from broker.store.ledger.spending import Spending
from broker.store.ledger.suspension import SqlSuspensions


class UserAdmin:
    def __init__(
        self, settings: Settings, database: Database, *, actor: str, previews: DryRuns | None = None
    ) -> None:
        """`previews` are the server's; a command leaves them out, and `explain` builds its own."""
        self._previews = previews
        self._settings = settings
        self._database = database
        self._principals = Principals(settings, database)
        self._users = SqlUsers(database)
        self._blocks = SqlBlocks(database)
        self._actor = actor

    def add(
        self, username: str, password: str, *, plan: str = "default", roles: Collection[str] = ()
    ) -> User:
        self.check_new(username, plan=plan, roles=roles)
        _check_password(password)
        user = User(username, passwords.hash_password(password), plan, frozenset(roles))
        try:
            self._users.add(user, actor=self._actor)
        except UserExists:
            raise _exists(username) from None
        return user

    def check_new(self, username: str, *, plan: str = "default", roles: Collection[str] = ()) -> None:
        """Everything about a new user but the password. Raises OperatorError."""
        if canonical_username(username) != username:
            raise OperatorError(f"{username!r} is not a valid user name: {USERNAME_RULE}", field="username")
        plans = self._settings.config.plans
        if plan not in plans:
            choices = ", ".join(sorted(plans))
            raise OperatorError(f"there is no plan {plan!r}; choose one of: {choices}", field="plan")
        _check_roles(roles)
        if self._users.find(username) is not None:
            raise _exists(username)

    def check_known(self, username: str) -> None:
        """Raises NotFound."""
        if self._users.find(username) is None:
            raise no_user(username)

    def remove(self, username: str) -> datetime | None:
        """Remove a user for good (decision 0040). Existing sign-ins and bearers become invalid.

        Returns when the user's last token expires at Google; None if no token is still valid. Raises
        LastOperator.
        """
        keep_one_operator = not may_be_without_operators(self._settings, self._actor)
        try:
            return remove_user(
                self._database, username, actor=self._actor, keep_one_operator=keep_one_operator
            )
        except UserUnknown:
            raise no_user(username) from None
        except users.LastOperator:
            raise LastOperator(username) from None

    def set_roles(self, username: str, roles: Collection[str], issuer: str = OWN_ISSUER) -> None:
        """Replace the roles of a user, from the next request on. Raises LastOperator."""
        if issuer != OWN_ISSUER:
            raise OperatorError("only the broker's own users have a role here; others have their issuer's")
        _check_roles(roles)
        keep_one_operator = not may_be_without_operators(self._settings, self._actor)
        try:
            self._users.set_roles(
                username, frozenset(roles), actor=self._actor, keep_one_operator=keep_one_operator
            )
        except UserUnknown:
            raise no_user(username) from None
        except users.LastOperator:
            raise LastOperator(username) from None

    def set_team(self, username: str, team: str | None, issuer: str = OWN_ISSUER) -> None:
        """From the next session on; None: in no team. Open sessions stay with the team that they have."""
        if issuer != OWN_ISSUER:
            raise OperatorError("only the broker's own users get a team here")
        try:
            self._users.set_team(
                username, None if team is None else checked_name(team, field="team"), actor=self._actor
            )
        except UserUnknown:
            raise no_user(username) from None

    def set_password(self, username: str, password: str, issuer: str = OWN_ISSUER) -> None:
        """Change a password. All existing sign-ins and bearer tokens of the user become invalid."""
        if issuer != OWN_ISSUER:
            raise OperatorError("only the broker's own users have a password here")
        _check_password(password)
        try:
            self._users.set_password(username, passwords.hash_password(password), actor=self._actor)
        except UserUnknown:
            raise no_user(username) from None

    def sign_out(self, subject: str, issuer: str = OWN_ISSUER) -> None:
        """Make all existing sign-ins and bearer tokens of a principal invalid."""
        if issuer == OWN_ISSUER:
            try:
                self._users.sign_out(subject, actor=self._actor)
            except UserUnknown:
                raise no_user(subject) from None
            return
        if is_service_key_issuer(issuer):
            raise OperatorError(
                "service keys and their users do not sign in: revoke the key, or block the key or the user"
            )
        self._blocks.revoke_before_now(*self._principals.named(issuer, subject), actor=self._actor)

    def access_token(self, username: str) -> str:
        """A bearer token for trying the API, as after a sign-in. Audited, because it gives access."""
        user = self._users.find(username)
        if user is None:
            raise no_user(username)
        if user.blocked_at is not None:
            raise OperatorError(f"the user {username!r} is blocked")
        self._users.record(username, "user.token", actor=self._actor)
        ring = KeyRing.of(self._settings.secret_keys, *self._settings.signing_keys)
        return issue_access_token(ring.signs, user.username, user.generation)

    def explain(self, subject: str, profile: str | None = None, issuer: str = OWN_ISSUER) -> DryRun:
        """The answer to the principal's next `POST /token`, and the rule that decides. Counts nothing.

        For other issuers' principals, it uses only what is known without a credential.
        """
        overrides = SqlOverrides(self._database)
        principal = overrides.applied(self._principals.find(subject, issuer))
        if key := principal.actor:
            principal = replace(principal, actor=overrides.applied(key))
        preview = (self._previews or self._own_previews()).preview(principal, profile)
        try:
            verified = Verified(principal, datetime.now(UTC), generation=self._generation(principal))
            Admission(SqlStanding(self._database)).admit(verified)
        except Refusal as refusal:
            return replace(preview, refusal=refusal)
        return preview

    def _generation(self, principal: Principal) -> str | None:
        user = self._users.find(principal.subject) if principal.issuer == OWN_ISSUER else None
        return user.generation if user else None

    def _own_previews(self) -> DryRuns:
        config, redis_url = self._settings.config, self._settings.redis_url
        return DryRuns(
            policy=Policy(config.plans, config.project, config.teams),
            rates=create_rates(
                rate_storage(self._database, redis_url.get_secret_value() if redis_url else None)
            ),
            catalog=Catalog(config.profiles.values()),
            ledger=SqlLedger(
                self._database, Spending(PriceList(config.prices), Calendar(config.project.time_zone))
            ),
            suspensions=SqlSuspensions(self._database),
        )


def _exists(username: str) -> OperatorError:
    return OperatorError(f"the user {username!r} already exists", field="username")


def _check_roles(roles: Collection[str]) -> None:
    if unknown := sorted({*roles} - {OPERATOR}):
        raise OperatorError(f"there is no role {unknown[0]!r}; the only role is {OPERATOR}", field="roles")


def _check_password(password: str) -> None:
    shortest, longest = passwords.MIN_LENGTH, passwords.MAX_LENGTH
    if not shortest <= len(password) <= longest:
        raise OperatorError(f"a password must have {shortest} to {longest} characters", field="password")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in password):
        raise OperatorError(
            "a password must not contain half a character (a lone surrogate)", field="password"
        )
