"""Speaks one line with each profile through a token of the broker, and measures the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from broker.cli.proof.connection import BYTES_PER_SECOND, Ended, Unclear, opened, with_token
from broker.cli.proof.mints import Mints
from broker.errors import Refusal

TURN_SECONDS = 60.0
STEPS = ("mint", "connect", "setup", "first audio")


@dataclass(frozen=True)
class Speech:
    """What one line took and cost. `reason` says why nothing was spoken."""

    outcome: Literal["spoken", "failed", "untried"]
    reason: str = ""
    milliseconds: dict[str, int] = field(default_factory=dict)
    """Step -> since the step before. The first audio: since the line was sent."""
    audio_seconds: float = 0.0
    transcript: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()


def speak(mints: Mints, line: str) -> Speech:
    """Never raises: `reason` says why nothing was spoken."""
    try:
        return _speak(mints, line)
    except Refusal as refusal:
        return Speech("failed", f"no token: {refusal.code}")
    except Ended as ended:
        return Speech("failed", f"closed with {ended}")
    except Unclear as unclear:
        return Speech("failed", str(unclear))


def _speak(mints: Mints, line: str) -> Speech:
    times = [time.perf_counter()]
    token = mints.token()
    times.append(time.perf_counter())
    with opened(with_token(mints.socket, token)) as socket:
        times.append(time.perf_counter())
        socket.begin(mints.plan.setup)
        times.append(time.perf_counter())
        if mints.only_writes:
            return Speech("untried", "the model only writes down what it hears", _steps(times))
        answer = socket.ask(line, TURN_SECONDS)
    if answer.first_audio is None:
        return Speech("failed", "an answer without audio", _steps(times))
    return Speech(
        "spoken",
        "",
        _steps([*times, answer.first_audio]),
        audio_seconds=round(len(answer.audio) / BYTES_PER_SECOND, 2),
        transcript=answer.spoken,
        usage=answer.usage,
        members=tuple(sorted(answer.members)),
    )


def _steps(times: list[float]) -> dict[str, int]:
    passed = (round(1000 * (later - earlier)) for earlier, later in pairwise(times))
    return dict(zip(STEPS, passed, strict=False))
