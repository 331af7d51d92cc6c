"""An issuer on trial (`mode = "audit"`): every token is fully checked, but no token is accepted.

The caller gets the same answer as without the entry. The log records every result. The audit trail records
only tokens that the issuer signed, because anyone can send other tokens. In both, results that repeat within
a minute are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

import structlog

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.jws import UnverifiedToken
from broker.principal import is_readable
from broker.telemetry.repeats import RepeatedLines

WOULD_ADMIT = "would-admit"
_log = structlog.get_logger("broker.identity")


class AuditTrail(Protocol):
    """The audit trail. `store.audit.RefusalLog` implements it."""

    def record(self, *, actor: str, action: str, outcome: str, detail: Mapping[str, Any]) -> None: ...


class TrialIssuer:
    def __init__(self, verifier: ExternalIssuer, audit: AuditTrail) -> None:
        self._verifier = verifier
        self._audit = audit
        self._lines = RepeatedLines(lambda **fields: _log.info("issuer_audited", **fields))

    @property
    def issuer(self) -> str:
        return self._verifier.issuer

    def verify(self, unverified: UnverifiedToken) -> NoReturn:
        result: dict[str, Any] = {"verdict": WOULD_ADMIT, "reason": None}
        signed = False
        try:
            self._verifier.check_signature(unverified)
            signed = True
            principal = self._verifier.check_claims(unverified.claims).principal
            result |= {"plan": principal.plan, "roles": sorted(principal.roles)}
        except Refusal as refusal:
            result |= {"verdict": refusal.code, "reason": refusal.reason}
        same = {"entry": self._verifier.name, "signed": signed, "verdict": result["verdict"]}
        self._lines.log(self._verifier.name, same, **{k: v for k, v in result.items() if k != "verdict"})
        if signed:
            self._record(str(unverified.claims.get("sub"))[:255], result)
        raise jws.invalid("the issuer is on trial")

    def _record(self, subject: str, result: dict[str, Any]) -> None:
        subject = subject if is_readable(subject) else ascii(subject)[:255]
        try:
            self._audit.record(
                actor=f"{self.issuer} {subject}",
                action="issuer-audit",
                outcome=result["verdict"],
                detail={"entry": self._verifier.name, **{k: v for k, v in result.items() if k != "verdict"}},
            )
        except Refusal as refusal:
            # The row is not essential, and the answer must not reveal the trial to the caller.
            _log.warning("issuer_audit_not_recorded", entry=self._verifier.name, code=refusal.code)
