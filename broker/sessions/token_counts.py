"""The tokens that a client reports of its session: which report counts, and whether it can be true.

A report has the sums since the session's start. Nothing but the client vouches for them, so a report is only
checked for what no session could use: see `problems`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

Counts = Mapping[str, int]
"""The names of `POST /sessions/{id}/report` -> tokens. A name that is missing counts as 0."""
Problem = Literal["more-than-the-context", "more-audio-than-time"]

# Each token belongs to exactly one of these. The parts are those of the first two; pictures are video.
_SUMS = ("input_tokens", "output_tokens", "thought_tokens", "tool_prompt_tokens")
_PARTS = (
    "input_text_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
    "output_text_tokens",
    "output_audio_tokens",
    "cached_tokens",
)
NAMES = (*_SUMS, *_PARTS)

# Of every model of the Live API. Each turn bills its whole context again, and a turn takes a second at least.
CONTEXT_WINDOW = 131_072
# A second of audio has 25 tokens. It is made faster than it plays, and an interruption discards the rest.
AUDIO_OUT_PER_SECOND = 25 * 10


def counts_in(report: Mapping[str, int]) -> Counts:
    """The token counts of a report. Empty if its client has counted none."""
    return {name: report[name] for name in NAMES if report.get(name)}


def problems(counts: Counts, elapsed_seconds: int) -> Sequence[Problem]:
    """Why no session of this age can have used so many tokens. Empty: it can."""
    seconds = max(1, elapsed_seconds)
    found: list[Problem] = []
    if used(counts) > CONTEXT_WINDOW * seconds:
        found.append("more-than-the-context")
    # Tokens without a modality cost as much as audio, so they are checked like audio.
    unnamed = counts.get("output_tokens", 0) - counts.get("output_text_tokens", 0)
    if max(counts.get("output_audio_tokens", 0), unnamed) > AUDIO_OUT_PER_SECOND * seconds:
        found.append("more-audio-than-time")
    return found


def used(counts: Counts) -> int:
    """All tokens. The service's sums and its counts by modality differ: the greater one is meant."""
    get = counts.get
    inputs = sum(get(name, 0) for name in _PARTS[:4])
    outputs = sum(get(name, 0) for name in _PARTS[4:6])
    return (
        max(get("input_tokens", 0), inputs)
        + max(get("output_tokens", 0), outputs)
        + get("thought_tokens", 0)
        + get("tool_prompt_tokens", 0)
    )


def greater(one: Counts, other: Counts) -> Counts:
    """The report with more tokens: of several, in any order and repeated, always the same one.

    Reports are not mixed, because two of them may have read the service's counts differently.
    """
    return max(one, other, key=_rank)


def _rank(counts: Counts) -> tuple[int, ...]:
    return used(counts), *(counts.get(name, 0) for name in NAMES)
