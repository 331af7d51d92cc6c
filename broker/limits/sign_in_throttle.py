"""How often a password may be guessed: per address, per account and address, and per account.

Only failures count. They count against the name as it was typed: an unknown name is treated like any other.
docs/decisions/0012-throttling-sign-ins.md says why there are three limits and what each of them costs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from broker.errors import Refusal
from broker.limits.limiter import Rates, rate_refusal

# Against an attacker who tries many names. An office behind one address shares it, so it is not small.
PER_ADDRESS = "20/minute; 100/hour"
# Against an attacker who tries one name. A stranger elsewhere cannot use it up for the account's owner.
PER_ACCOUNT_AND_ADDRESS = "5/minute; 30/hour"
# Against many addresses that try one name. It is short, and it does not apply to addresses from which the
# account has been used: an attacker who uses it up cannot lock the owner out there.
PER_ACCOUNT = "60/10 minute"
_KNOWN = "1/30 day"


@dataclass(frozen=True)
class Attempt:
    """One try. `account` is the typed name in its canonical form; it need not exist."""

    account: str
    address: str

    @property
    def account_key(self) -> str:
        return _key(self.account)

    @property
    def pair_key(self) -> str:
        return _key(self.account, self.address)


class SignInThrottle:
    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def check(self, attempt: Attempt) -> None:
        """Refuses `login-throttled` if earlier failures have used up a limit.

        Called twice: before the password is checked, and before a right one takes effect. So guesses that are
        still in progress when the limit is reached learn nothing either.
        """
        for rate, scope, key in self._limits(attempt):
            if spent := self._rates.exhausted(rate, scope, key):
                raise rate_refusal("login-throttled", spent)

    def failed(self, attempt: Attempt) -> None:
        """Count a failure. One too many is refused, so that no answer beyond the limit says `wrong`."""
        for rate, scope, key in self._limits(attempt):
            try:
                self._rates.spend(rate, scope, key)
            except Refusal as refusal:
                if refusal.code != "rate-limited":
                    raise
                self.check(attempt)
                raise

    def succeeded(self, attempt: Attempt) -> None:
        """Remember that the account is used from this address."""
        self._once(_KNOWN, "login-known", attempt.pair_key)

    def _once(self, rate: str, scope: str, key: str) -> bool:
        """Whether this was the first of its window. Reads before it writes, since it usually is not."""
        if self._rates.exhausted(rate, scope, key):
            return False
        try:
            self._rates.spend(rate, scope, key)
        except Refusal as refusal:
            if refusal.code != "rate-limited":
                raise
            return False
        return True

    def _limits(self, attempt: Attempt) -> list[tuple[str, str, str]]:
        limits = [
            (PER_ADDRESS, "login-address", attempt.address),
            (PER_ACCOUNT_AND_ADDRESS, "login-pair", attempt.pair_key),
        ]
        if not self._is_known(attempt):
            limits.append((PER_ACCOUNT, "login-account", attempt.account_key))
        return limits

    def _is_known(self, attempt: Attempt) -> bool:
        return self._rates.exhausted(_KNOWN, "login-known", attempt.pair_key) is not None


def _key(*parts: str) -> str:
    """A hash of fixed length instead of the name: users may type their password into the wrong field."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
