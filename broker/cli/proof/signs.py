"""What a client sees of the setup that is in force, as a short text to compare.

Each text is the same for the same setup, whatever the model says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from broker.cli.proof.attacks import CODEWORD, Sign
from broker.cli.proof.connection import BYTES_PER_SECOND, Ended, Socket

TURN_SECONDS = 45.0
SILENT_SECONDS = 6.0
"""How long nothing must come before we say that nothing comes."""
_PROMPT = "Please say: one, two, three."
_MOST_AUDIO = 4 * BYTES_PER_SECOND

Setup = Mapping[str, Any]


def _nothing_more(_socket: Socket, _setup: Setup) -> str:
    return ""


def _activity(socket: Socket, _setup: Setup) -> str:
    """Marks of activity are refused while the service itself detects speech."""
    socket.send({"realtimeInput": {"activityStart": {}}})
    try:
        while True:
            socket.receive(SILENT_SECONDS)
    except TimeoutError:
        return "takes marks of activity"
    except Ended as ended:
        return f"closes with {ended.code} at a mark of activity"


def _instruction(socket: Socket, _setup: Setup) -> str:
    answer = socket.ask(_PROMPT, TURN_SECONDS)
    if not answer.spoken:
        return "has no transcript of what the model says"
    said = CODEWORD.lower() in answer.spoken.lower()
    return "says the codeword" if said else "does not say the codeword"


def _spoken(socket: Socket, _setup: Setup) -> str:
    answer = socket.ask(_PROMPT, TURN_SECONDS)
    return "transcribes the model" if answer.spoken else "does not transcribe the model"


def _heard(socket: Socket, setup: Setup) -> str:
    """The model's own voice is the speech that it hears."""
    voice = socket.ask(_PROMPT, TURN_SECONDS).audio
    socket.play(bytes(voice[:_MOST_AUDIO]), setup)
    answer = socket.collect(TURN_SECONDS)
    return "transcribes the user" if answer.heard else "does not transcribe the user"


def _history(socket: Socket, _setup: Setup) -> str:
    """While a session takes an earlier conversation, it does not answer."""
    turn = {"role": "user", "parts": [{"text": _PROMPT}]}
    socket.send({"clientContent": {"turns": [turn], "turnComplete": True}})
    try:
        while "modelTurn" not in socket.receive(SILENT_SECONDS).get("serverContent", {}):
            pass
    except TimeoutError:
        return "takes the turn as history"
    return "answers the turn"


SIGNS: dict[Sign, Callable[[Socket, Setup], str]] = {
    "setup": _nothing_more,
    "activity": _activity,
    "instruction": _instruction,
    "spoken": _spoken,
    "heard": _heard,
    "history": _history,
}
