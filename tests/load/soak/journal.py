"""Journal: what the clients of a soak saw. The audit compares it with the ledger afterwards.

All methods may be called from any thread. Times are `time.time()`, on the machine that the stores run on.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from broker.principal import principal_key
from tests.load.soak.needles import Needles

# After one of these, the caller does not know whether its token was confirmed.
UNSURE = {"store-unavailable", "audit-unavailable", "upstream-timeout", "busy", "draining"}


@dataclass(frozen=True)
class Answer:
    """`status` 0: no answer came. `reached`: the request was sent, so it may have had an effect."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    began: float
    ended: float
    reached: bool = True

    @property
    def code(self) -> str:
        if not self.status:
            return "lost" if self.reached else "unreachable"
        return "ok" if self.status < 300 else str(self.body.get("code", f"status {self.status}"))


@dataclass
class Intent:
    """One wish for a session, with every request that repeats it. `began`: the first of them."""

    principal: str
    began: float
    keyed: bool
    attempts: int = 0
    unanswered: int = 0
    unsure: int = 0
    sessions: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Limits:
    """What a principal may have. `rate`: (requests, seconds)."""

    sessions: int
    rate: tuple[int, int]
    minutes_per_day: int


@dataclass(frozen=True)
class Edit:
    """A change of limits by an operator. `sure`: it was answered, so the previous limits ended by then."""

    limits: Limits
    began: float
    ended: float
    sure: bool


class Journal:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.needles = Needles()
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.violations: list[str] = []
        self.events: list[str] = []
        """Faults and violations with their times, to find the matching lines of the logs."""
        self.intents: dict[str, Intent] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        """SHA-256 of each delivered token: (session, principal)."""
        self.deliveries: Counter[str] = Counter()
        self.wanted_at: dict[str, float] = {}
        """When the first request began that could have got this token."""
        self.suspensions: list[tuple[float, float]] = []
        """From the answer of `broker suspend` until the beginning of `broker resume`."""
        self.lost_renewals: Counter[str] = Counter()
        self.limits: dict[str, list[Edit]] = {}
        self.mints: list[tuple[float, float, bool]] = []
        """(end, seconds, whether no fault was near) of each answer with a token."""
        self.probes: list[tuple[float, float, bool]] = []
        """The same of each answer to a probe: how fast this machine is at the moment."""
        self.lost_counters: list[tuple[float, float]] = []
        """When Redis lost its counters."""
        self.last_grant = 0.0
        self._near_fault_until = 0.0

    def violation(self, text: str) -> None:
        with self.lock:
            self._violation(text)

    def _violation(self, text: str) -> None:
        self.violations.append(text)
        self._note(f"VIOLATION {text}")

    def _note(self, text: str) -> None:
        self.events.append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")

    def principal(self, issuer: str, subject: str, limits: Limits) -> str:
        """Registers a principal with its limits; returns its key."""
        key = principal_key(issuer, subject)
        with self.lock:
            self.limits.setdefault(key, [Edit(limits, 0.0, 0.0, True)])
        return key

    def most_minutes(self, principal: str) -> int:
        """The most minutes a day that it had at any time; 0 for a stranger."""
        return max((edit.limits.minutes_per_day for edit in self.limits.get(principal, [])), default=0)

    def fewest_minutes(self, principal: str) -> int:
        return min((edit.limits.minutes_per_day for edit in self.limits.get(principal, [])), default=0)

    def edited(self, principal: str, limits: Limits, began: float, *, sure: bool) -> None:
        with self.lock:
            self.limits[principal].append(Edit(limits, began, time.time(), sure))

    def answered(self, kind: str, answer: Answer, expected: set[str]) -> None:
        with self.lock:
            self.answers[kind][answer.code] += 1
            if answer.code not in expected:
                self._violation(
                    f"{kind}: unexpected {answer.status} {answer.code} ({answer.body.get('detail')})"
                )
            if answer.ended - answer.began > 35:
                self._violation(f"{kind}: took {answer.ended - answer.began:.0f} s ({answer.code})")

    def probed(self, answer: Answer) -> None:
        with self.lock:
            if answer.code == "ok":
                self.probes.append((answer.ended, answer.ended - answer.began, self._was_calm(answer)))

    def _was_calm(self, answer: Answer) -> bool:
        return min(answer.began, answer.ended) > self._near_fault_until

    def attempted(self, name: str, principal: str, answer: Answer, *, keyed: bool) -> None:
        """One POST /token of the intent `name`."""
        with self.lock:
            intent = self.intents.setdefault(name, Intent(principal, answer.began, keyed))
            intent.attempts += answer.reached
            if answer.code == "ok":
                intent.sessions.add(str(answer.body["session"]["id"]))
            intent.unanswered += answer.code == "lost"
            intent.unsure += answer.code in UNSURE
        self._granted(principal, answer, intent.began)

    def renewed(self, session: str, principal: str, answer: Answer) -> None:
        with self.lock:
            self.lost_renewals[session] += answer.code == "lost" or answer.code in UNSURE
        self._granted(principal, answer, answer.began)

    def _granted(self, principal: str, answer: Answer, wanted_at: float) -> None:
        if answer.code != "ok":
            return
        token = str(answer.body["token"])
        sha = hashlib.sha256(token.encode()).hexdigest()
        with self.lock:
            self.needles.add(token)
            session = str(answer.body["session"]["id"])
            known = self.tokens.setdefault(sha, (session, principal))
            if known != (session, principal):
                self._violation(f"one token for two: {known} and {(session, principal)}")
            self.deliveries[sha] += 1
            self.wanted_at.setdefault(sha, wanted_at)
            self.mints.append((answer.ended, answer.ended - answer.began, self._was_calm(answer)))
            self.last_grant = max(self.last_grant, answer.ended)

    def suspended(self, began: float) -> None:
        with self.lock:
            self.suspensions.append((began, time.time()))

    def fault_began(self, name: str) -> None:
        with self.lock:
            self.faults[name] += 1
            self._note(f"begins: {name}")
            self._near_fault_until = float("inf")

    def fault_undone(self, name: str) -> None:
        with self.lock:
            self._note(f"is undone: {name}")

    def fault_ended(self, name: str, recovery_seconds: float) -> None:
        with self.lock:
            self._note(f"has healed: {name}")
            self.recoveries[name].append(recovery_seconds)
            self._near_fault_until = time.time() + 1

    def counters_lost(self, began: float) -> None:
        with self.lock:
            self.lost_counters.append((began, time.time()))

    def secret(self, text: str) -> str:
        with self.lock:
            self.needles.add(text)
        return text
