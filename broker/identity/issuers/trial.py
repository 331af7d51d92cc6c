"""An issuer on trial (`mode = "audit"`): every token is judged in full, and none opens anything.

The caller gets what it would get if the issuer were not in the settings at all. The log has every verdict;
the audit trail has those on tokens that the issuer did sign, once a minute per subject and verdict in each
worker, since anybody can send us any number of the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import structlog

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.jws import UnverifiedToken

WOULD_ADMIT = "would-admit"
_REPEAT_SECONDS = 60
_REMEMBERED = 1000
_log = structlog.get_logger("broker.identity")


class Trail(Protocol):
    """The audit trail. `store.audit.AuditLog` implements it."""

    def record(self, *, actor: str, action: str, outcome: str, detail: Mapping[str, Any]) -> None: ...


class TrialIssuer:
    def __init__(
        self, judge: ExternalIssuer, trail: Trail, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._judge = judge
        self._trail = trail
        self._clock = clock
        self._lock = threading.Lock()
        self._recorded: dict[tuple[str, str], float] = {}

    @property
    def issuer(self) -> str:
        return self._judge.issuer

    def verify(self, unverified: UnverifiedToken) -> NoReturn:
        verdict: dict[str, Any] = {"verdict": WOULD_ADMIT, "reason": None}
        signed = False
        try:
            self._judge.check_signature(unverified)
            signed = True
            principal = self._judge.judge(unverified.claims).principal
            verdict |= {"plan": principal.plan, "roles": sorted(principal.roles)}
        except Refusal as refusal:
            verdict |= {"verdict": refusal.code, "reason": refusal.reason}
        _log.info("issuer_audited", entry=self._judge.name, signed=signed, **verdict)
        if signed:
            self._record(str(unverified.claims.get("sub"))[:255], verdict)
        raise jws.invalid("the issuer is on trial")

    def _record(self, subject: str, verdict: dict[str, Any]) -> None:
        subject = subject if subject.isprintable() else ascii(subject)[:255]
        if self._is_repeated(subject, verdict["verdict"]):
            return
        try:
            self._trail.record(
                actor=f"{self.issuer} {subject}",
                action="issuer-audit",
                outcome=verdict["verdict"],
                detail={"entry": self._judge.name, **{k: v for k, v in verdict.items() if k != "verdict"}},
            )
        except Refusal as refusal:
            # Nothing hangs on this row, and the caller must not see from the answer that there is a trial.
            _log.warning("issuer_audit_not_recorded", entry=self._judge.name, code=refusal.code)

    def _is_repeated(self, subject: str, verdict: str) -> bool:
        now = self._clock()
        with self._lock:
            last = self._recorded.pop((subject, verdict), None)
            repeated = last is not None and now - last < _REPEAT_SECONDS
            self._recorded[subject, verdict] = last if repeated and last is not None else now
            while len(self._recorded) > _REMEMBERED:
                self._recorded.pop(next(iter(self._recorded)))
        return repeated
