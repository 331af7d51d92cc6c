"""Runs the proof for some profiles, one connection at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from broker.cli.proof import questions
from broker.cli.proof.lock import LockProof
from broker.cli.proof.mints import Mints
from broker.cli.proof.report import ProfileReport, Report
from broker.cli.proof.speak import speak
from broker.errors import Refusal
from broker.minting.gemini import GeminiMinter
from broker.settings import Settings
from broker.telemetry.log import redact

LINE = "Please say: one, two, three."


def prove(
    settings: Settings,
    minter: GeminiMinter,
    names: list[str],
    *,
    speech: bool,
    lock: bool,
    say: Callable[[str], None],
    short_seconds: float = 8.0,
) -> Report:
    """`say` gets a line for each result as it comes. `short_seconds` is the one of `LockProof`."""
    upstream = f"{settings.live_url}{' (a stand-in, not Google)' if settings.standin else ''}"
    report = Report(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", version("live-broker"), upstream)
    asker: Mints | None = None
    for name in names:
        profile = ProfileReport(name)
        report.profiles.append(profile)
        try:
            mints = Mints(settings, minter, name)
        except Refusal as refusal:
            profile.fault = f"no model: {refusal.code}"
            say(f"{name}: {profile.fault}")
            continue
        profile.model, profile.lock = mints.plan.model, mints.profile.lock
        if speech:
            profile.speech = speak(mints, LINE)
            say(f"{name}: {profile.speech.outcome} {profile.speech.reason}".rstrip())
        if lock:
            for finding in LockProof(mints, short_seconds=short_seconds).findings():
                shown = replace(finding, evidence=redact(finding.evidence))
                profile.findings.append(shown)
                say(f"{name}: {shown.attempt}: {shown.outcome}: {shown.evidence}")
        profile.mints = mints.count
        asker = asker or (None if mints.only_writes else mints)
    if lock and asker is not None:
        for answered in questions.answers(asker):
            report.questions.append(replace(answered, answer=redact(answered.answer)))
            say(f"{answered.question} {report.questions[-1].answer}")
        next(one for one in report.profiles if one.name == asker.name).mints = asker.count
    return report
