"""What a model that only writes sends: guesses while the user speaks, then the words, and no turn.

The documents say that `interimInputTranscription` repeats the segment in progress from its start, and that
`inputTranscription` is one finished segment for each pause. When guesses come is our guess.
"""

from __future__ import annotations

from typing import Any

GUESS_SECONDS = 0.5
# A speaker's label and the times of words come if the setup asks for them. Google's pages say that this model
# has neither; the SDK has fields for both.
SPEAKERS = 2


class Dictation:
    """Of one connection. The words count the seconds, because the stand-in does not understand speech."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._asked: dict[str, Any] = setup.get("inputAudioTranscription", {})
        self._heard = 0.0  # seconds of the utterance
        self._guessed = 0  # words
        self._segments = 0

    def guess(self, seconds: float) -> dict[str, Any] | None:
        """The frame that is due after so many more seconds of an utterance, if any."""
        self._heard += seconds
        if self._heard < (self._guessed + 1) * GUESS_SECONDS:
            return None
        self._guessed = int(self._heard / GUESS_SECONDS)
        return _frame("interimInputTranscription", " ".join(_words(self._guessed)))

    def segment(self, seconds: float, end_seconds: float) -> dict[str, Any]:
        """The finished words of an utterance that ended at this second of the audio."""
        self._heard, self._guessed = 0.0, 0
        words = _words(max(1, int(seconds / GUESS_SECONDS)))
        start = max(0.0, end_seconds - seconds)
        more: dict[str, Any] = {"startOffset": _offset(start), "endOffset": _offset(end_seconds)}
        if self._asked.get("diarization"):
            more["speakerLabel"] = f"spk_{self._segments % SPEAKERS + 1}"
        if self._asked.get("wordTimestamp"):
            each = seconds / len(words)
            more["words"] = [
                {
                    "word": word,
                    "startOffset": _offset(start + at * each),
                    "endOffset": _offset(start + (at + 1) * each),
                }
                for at, word in enumerate(words)
            ]
        self._segments += 1
        return _frame("inputTranscription", " ".join(words), **more)


def _words(count: int) -> list[str]:
    return ["word", *(str(number) for number in range(2, count + 1))]


def _offset(seconds: float) -> str:
    return f"{seconds:.3f}s"


def _frame(kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"serverContent": {kind: {"text": text, **more}}}
