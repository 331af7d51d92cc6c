"""The proof of a lock, against a stand-in that keeps the lock, and against one with holes."""

from __future__ import annotations

import pytest

from broker.cli.proof.attacks import FIELD_ATTACKS
from broker.cli.proof.lock import Finding, LockProof
from broker.minting.compile import SETUP_FIELDS
from broker.standin import StandIn
from tests.proof.conftest import MakeMints

# The stand-in does not look into these, so nothing shows whether they are in force.
NO_SIGN = {"contextWindowCompression", "safetySettings", "avatarConfig", "labels"}
SHORT_SECONDS = 2.0
FRAMES = {
    "a whole setup",
    "a binary frame",
    "escaped names",
    "the setup twice in one frame",
    "a field twice",
    "both spellings",
    "both spellings, the other way round",
}
TERMS = {"a spent token", "a late token", "an expired token"}
OTHER = {"a second setup", "the token on the method for keys", "the token as an API key"}


def outcomes(findings: list[Finding]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in findings:
        found.setdefault(finding.outcome, set()).add(finding.attempt)
    return found


def prove(make_mints: MakeMints, profile: str) -> dict[str, set[str]]:
    findings = list(LockProof(make_mints(profile), short_seconds=SHORT_SECONDS).findings())
    assert all(finding.evidence and "auth_tokens/" not in finding.evidence for finding in findings)
    return outcomes(findings)


def test_lock_that_holds_is_proved_where_a_client_can_see_it(make_mints: MakeMints) -> None:
    mints = make_mints("default")
    found = prove(make_mints, "default")
    locked = set(mints.compiled.locked_fields)
    assert found == {
        "held": (locked - NO_SIGN) | FRAMES | TERMS | OTHER,
        "untried": locked & NO_SIGN,
        "open": set(SETUP_FIELDS) - locked,
    }


def test_each_hole_is_noticed(fast: StandIn, make_mints: MakeMints) -> None:
    fast.control.scenario("lock-ignored", fields=list(SETUP_FIELDS))
    fast.control.scenario("terms-ignored", terms=["spent", "late", "expired"])
    found = prove(make_mints, "default")
    locked = set(make_mints("default").compiled.locked_fields)
    refused_anyway = {name for name in FRAMES if name.startswith("both spellings")}
    assert found["broken"] == (locked - NO_SIGN) | (FRAMES - refused_anyway) | TERMS
    assert found["untried"] == locked & NO_SIGN


def test_model_that_only_writes_is_proved_where_it_can_be(make_mints: MakeMints) -> None:
    found = prove(make_mints, "dictation")
    assert "broken" not in found
    assert found["held"] >= FRAMES | TERMS | OTHER | {"model", "generationConfig", "tools"}
    assert {"systemInstruction", "inputAudioTranscription"} <= found["untried"]


@pytest.mark.parametrize(
    "profile",
    [pytest.param("total", marks=pytest.mark.long), pytest.param("marked", marks=pytest.mark.release)],
)
def test_other_kinds_of_locks_are_proved(make_mints: MakeMints, profile: str) -> None:
    found = prove(make_mints, profile)
    assert "broken" not in found
    assert found["held"] > FRAMES | TERMS | OTHER | {
        "model",
        "generationConfig",
        "tools",
        "realtimeInputConfig",
    }
    assert {"historyConfig", "proactivity"} <= found["held"]
    assert ("sessionResumption" in found["held"]) == (profile == "total")


def test_a_failing_service_proves_nothing(fast: StandIn, make_mints: MakeMints) -> None:
    mints = make_mints("default")
    fast.control.scenario("refuse", close="unavailable")
    findings = list(LockProof(mints, short_seconds=SHORT_SECONDS).findings())
    on_the_socket = [one for one in findings if one.attempt != "the token as an API key"]
    assert {one.outcome for one in on_the_socket} == {"untried", "open", "held"}
    held = {one.attempt for one in on_the_socket if one.outcome == "held"}
    # These are refused by the token or the form alone, before the service looks at the setup.
    by_form = {name for name in FRAMES if name.startswith("both spellings")}
    assert held == by_form | {"a late token", "an expired token", "the token on the method for keys"}


def test_a_mint_that_fails_proves_nothing(fast: StandIn, make_mints: MakeMints) -> None:
    mints = make_mints("default")
    fast.control.scenario("mint-status", status=429)
    findings = LockProof(mints, short_seconds=SHORT_SECONDS).findings()
    assert {one.outcome for one in findings} == {"untried", "open"}


def test_every_field_of_a_setup_has_an_attack() -> None:
    assert tuple(attack.field for attack in FIELD_ATTACKS) == SETUP_FIELDS
