"""Tries to get past the lock of one profile: each field, whole setups, and tokens out of their terms.

A client cannot ask which setup is in force. So each attempt is compared with two others: the honest setup
with the same kind of token, and the same attempt with a token whose lock lacks this field. If the attempt
looks like the honest one, and the weaker token shows a difference, the lock has held. If the weaker token
shows none, the attempt says nothing: "untried", which is no pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from broker.cli.proof.attacks import FIELD_ATTACKS, Attack, FieldAttack, Sign, foreign_setup, whole_frames
from broker.cli.proof.connection import Ended, Unclear, opened, with_token
from broker.cli.proof.mints import Mints
from broker.cli.proof.signs import SIGNS, SILENT_SECONDS
from broker.errors import Refusal

Outcome = Literal["held", "broken", "untried", "open"]
First = Mapping[str, Any] | Attack
# By the service's clock, which may be some seconds behind ours.
MARGIN_SECONDS = 3.0


@dataclass(frozen=True)
class Finding:
    attempt: str
    outcome: Outcome
    evidence: str


class LockProof:
    def __init__(self, mints: Mints, *, short_seconds: float = 8.0) -> None:
        """`short_seconds`: the life of the tokens that are tried after their end."""
        self._mints = mints
        self._short_seconds = short_seconds
        self._honest: dict[Sign, str] = {}

    def findings(self) -> Iterator[Finding]:
        """Every attempt, each with tokens of its own."""
        after_its_time = self._tokens_out_of_time()
        locked = self._mints.compiled.locked_fields
        for attack in FIELD_ATTACKS:
            if attack.field in locked:
                yield self._conclude(attack.field, partial(self._field, attack))
            else:
                yield Finding(attack.field, "open", "the profile leaves this field to the client")
        yield from self._whole_setups()
        yield self._conclude("a second setup", self._second_setup)
        yield self._conclude("a spent token", self._spent)
        yield self._conclude("the token on the method for keys", self._plain_method)
        yield self._conclude("the token as an API key", self._as_key)
        for name, attempt in after_its_time:
            yield self._conclude(name, attempt)

    def _conclude(self, name: str, attempt: Callable[[], tuple[Outcome, str]]) -> Finding:
        try:
            return Finding(name, *attempt())
        except Unclear as unclear:
            return Finding(name, "untried", str(unclear))
        except Ended as ended:
            return Finding(name, "untried", f"closed with {ended}")
        except Refusal as refusal:
            return Finding(name, "untried", f"no token: {refusal.code}")

    def _look(self, token: str, first: First, sign: Sign = "setup") -> str:
        """What a client sees that connects with this token and sends this setup."""
        try:
            with opened(with_token(self._mints.socket, token)) as socket:
                socket.begin(first)
                # What the client sends later follows the token's setup, which is in force if the lock holds.
                return f"opens, {seen}" if (seen := SIGNS[sign](socket, self._mints.setup)) else "opens"
        except Ended as ended:
            return f"closed with {ended.code}"

    def _honest_look(self, sign: Sign) -> str:
        if sign not in self._honest:
            self._honest[sign] = self._look(self._mints.token(), self._mints.setup, sign)
        return self._honest[sign]

    def _field(self, attack: FieldAttack) -> tuple[Outcome, str]:
        setup, mints = self._mints.setup, self._mints
        if attack.sign in ("instruction", "spoken", "heard", "history") and mints.only_writes:
            return "untried", "the model does not speak, so nothing shows which value is in force"
        honest = self._honest_look(attack.sign)
        if not honest.startswith("opens"):
            return "untried", f"the honest setup: {honest}"
        seen = self._look(mints.token(), attack.frame(setup), attack.sign)
        weak = self._look(mints.without_lock_of(attack.field), attack.frame(setup), attack.sign)
        if weak == honest:
            if seen != honest:
                return "broken", f"{seen}; honest: {honest}"
            return "untried", f"this value shows no difference even without the lock: {weak}"
        if seen == honest:
            return "held", f"{seen}; without the lock: {weak}"
        if seen.startswith("closed"):
            return self._refused(attack.harmless_frame(setup), f"{seen}; honest: {honest}")
        return "broken", f"{seen}; honest: {honest}"

    def _refused(self, harmless: First, evidence: str) -> tuple[Outcome, str]:
        """The service closed. Does it refuse each other value, or was this one in force?"""
        seen = self._look(self._mints.token(), harmless)
        if seen.startswith("closed"):
            return "held", f"the service refuses this setup whatever it says: {seen}"
        return "broken", evidence

    def _whole_setups(self) -> Iterator[Finding]:
        setup = self._mints.setup
        evil, harmless = (foreign_setup(setup, harmless=harmless) for harmless in (False, True))
        for one, other in zip(whole_frames(setup, evil), whole_frames(setup, harmless), strict=True):
            yield self._conclude(one.name, partial(self._frame, one, other))

    def _frame(self, attack: Attack, harmless: Attack) -> tuple[Outcome, str]:
        seen = self._look(self._mints.token(), attack)
        if not seen.startswith("opens"):
            return self._refused(harmless, seen)
        weak = self._look(self._mints.without_lock(), attack)
        if weak == seen:
            return "untried", "opens without a lock, too"
        return "held", f"{seen}; without a lock: {weak}"

    def _second_setup(self) -> tuple[Outcome, str]:
        with opened(with_token(self._mints.socket, self._mints.token())) as socket:
            socket.begin(self._mints.setup)
            socket.send({"setup": foreign_setup(self._mints.setup, harmless=False)})
            try:
                while True:
                    socket.receive(SILENT_SECONDS)
            except Ended as ended:
                return "held", f"closed with {ended}"
            except TimeoutError:
                return "untried", "the session goes on, and nothing shows which setup is in force"

    def _spent(self) -> tuple[Outcome, str]:
        token = self._mints.token()
        if (first := self._look(token, self._mints.setup)) != "opens":
            return "untried", f"the first connection: {first}"
        return self._must_fail(token)

    def _must_fail(self, token: str) -> tuple[Outcome, str]:
        try:
            with opened(with_token(self._mints.socket, token)) as socket:
                socket.begin(self._mints.setup)
        except Ended as ended:
            return "held", f"closed with {ended}"
        return "broken", "opens"

    def _plain_method(self) -> tuple[Outcome, str]:
        url = self._mints.socket.removesuffix("Constrained")
        for name in ("access_token", "key"):
            try:
                with opened(with_token(url, self._mints.token(), name)) as socket:
                    socket.begin(self._mints.setup)
                return "broken", f"opens with the token as {name}"
            except Ended as ended:
                evidence = f"closed with {ended}"
        return "held", evidence

    def _as_key(self) -> tuple[Outcome, str]:
        status, _answer = self._mints.post("/v1alpha/auth_tokens", {"uses": 1}, key=self._mints.token())
        if status >= 500 or status == 429:
            return "untried", f"HTTP {status}"
        return ("broken", "mints a token") if status < 400 else ("held", f"HTTP {status}")

    def _tokens_out_of_time(self) -> list[tuple[str, Callable[[], tuple[Outcome, str]]]]:
        """They are minted first and tried last, so that most of the wait is no wait."""
        short, minted = self._short_seconds, []
        for name, times in (
            ("a late token", {"connect_within": short}),
            ("an expired token", {"lives": short}),
        ):
            try:
                minted.append((name, self._mints.token(**times)))
            except Refusal as refusal:
                minted.append((name, refusal.code))
        ready = time.monotonic() + short + MARGIN_SECONDS

        def attempt(token: str) -> tuple[Outcome, str]:
            if not token.startswith("auth_tokens/"):
                return "untried", f"no token: {token}"
            time.sleep(max(0.0, ready - time.monotonic()))
            return self._must_fail(token)

        return [(name, partial(attempt, token)) for name, token in minted]
