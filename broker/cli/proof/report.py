"""The report of a proof: as JSON, and as a page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from broker.cli.proof.lock import Finding
from broker.cli.proof.questions import Answered
from broker.cli.proof.speak import Speech

WORDS = {
    "held": "the attempt had no effect",
    "broken": "THE ATTEMPT SUCCEEDED",
    "untried": "nothing can be concluded: this is not a pass",
    "open": "the profile leaves it to the client",
}


@dataclass
class ProfileReport:
    name: str
    model: str = ""
    lock: str = ""
    fault: str = ""
    """Why nothing could be tried."""
    mints: int = 0
    speech: Speech | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Report:
    made_at: str
    version: str
    upstream: str
    profiles: list[ProfileReport] = field(default_factory=list)
    questions: list[Answered] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        found: Counter[str] = Counter(finding.outcome for one in self.profiles for finding in one.findings)
        return {word: found[word] for word in WORDS}

    @property
    def status(self) -> int:
        """The exit status: 1 if something failed, 3 if something could not be tried, otherwise 0."""
        speeches = [one.speech.outcome for one in self.profiles if one.speech]
        if self.counts["broken"] or "failed" in speeches or any(one.fault for one in self.profiles):
            return 1
        return 3 if self.counts["untried"] or "untried" in speeches else 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": self.counts, "status": self.status}

    def to_markdown(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from ("# Proof of the Live API", "")
        yield f"{self.made_at}, Live Broker {self.version}, {self.upstream}"
        if any(self.counts.values()):
            yield from ("", ", ".join(f"{count} {word}" for word, count in self.counts.items()))
        for profile in self.profiles:
            yield from ("", f"## Profile {profile.name}", "")
            yield profile.fault or f"{profile.model}, lock: {profile.lock}, {profile.mints} tokens minted"
            if profile.speech:
                yield from ("", *_speech(profile.speech))
            if profile.findings:
                yield from ("", "| attempt | outcome | what was seen |", "|---|---|---|")
                yield from (f"| {one.attempt} | {one.outcome} | {one.evidence} |" for one in profile.findings)
        if self.questions:
            yield from ("", "## Questions that the documents leave open", "", "| question | answer |")
            yield "|---|---|"
            yield from (f"| {one.question} | {one.answer} |" for one in self.questions)
        if any(self.counts.values()):
            yield ""
            yield from (f"- {word}: {meaning}" for word, meaning in WORDS.items())


def _speech(speech: Speech) -> Iterator[str]:
    if speech.outcome != "spoken":
        yield f"Speech {speech.outcome}: {speech.reason}"
        return
    steps = speech.milliseconds
    yield f"| {' | '.join(steps)} | audio | tokens used |"
    yield f"{'|---' * (len(steps) + 2)}|"
    tokens = speech.usage.get("totalTokenCount", "not reported")
    yield f"| {' | '.join(f'{time} ms' for time in steps.values())} | {speech.audio_seconds} s | {tokens} |"
