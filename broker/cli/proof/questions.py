"""Questions about the Live API that its documents leave open, and that one client with one key can answer.

Each question costs a few connections at most. docs/proof.md lists those that a client cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from broker.cli.proof.attacks import CODEWORD, INSTRUCTION
from broker.cli.proof.connection import BYTES_PER_SECOND, Ended, Unclear, opened, with_token
from broker.cli.proof.mints import Mints
from broker.errors import Refusal

TURN_SECONDS = 45.0
NO_TOKEN = "auth_tokens/0000000000000000000000000000000000000000"  # noqa: S105 - a token that nobody issued
FOREIGN_ORIGIN = "https://origin.invalid"


@dataclass(frozen=True)
class Answered:
    question: str
    answer: str


def answers(mints: Mints) -> Iterator[Answered]:
    """Asks with the tokens of one profile whose model speaks."""
    for question, ask in QUESTIONS.items():
        try:
            answer = ask(mints)
        except (Ended, Unclear) as seen:
            answer = f"could not be tried: {seen}"
        except Refusal as refusal:
            answer = f"could not be tried: no token: {refusal.code}"
        yield Answered(question, answer)


def _opens(url: str, setup: Any, **headers: str) -> str:
    try:
        with opened(url, **headers) as socket:
            socket.begin(setup)
    except Ended as ended:
        return f"no, closed with {ended}"
    return "yes"


def _mint_on_v1(mints: Mints) -> str:
    status, _answer = mints.post("/v1/auth_tokens", {"uses": 1})
    return "yes" if status == 200 else f"no, HTTP {status}"


def _connect_on_v1(mints: Mints) -> str:
    url = mints.socket.replace(".v1alpha.", ".v1.")
    return _opens(with_token(url, mints.token()), mints.setup)


def _context_update(mints: Mints) -> str:
    update = {"contextUpdate": {"systemInstruction": {"parts": [{"text": INSTRUCTION}]}}}
    with opened(with_token(mints.socket, mints.token())) as socket:
        socket.begin(mints.setup)
        socket.send(update)
        try:
            answer = socket.ask("Please say: one, two, three.", TURN_SECONDS)
        except Ended as ended:
            return f"no, closed with {ended}"
    if not answer.spoken:
        return "accepted; without a transcript of the model its effect cannot be seen"
    if CODEWORD.lower() in answer.spoken.lower():
        return "yes, although the token locks the instruction"
    return "accepted, without an effect on the instruction"


def _unknown_token(mints: Mints) -> str:
    return _opens(with_token(mints.socket, NO_TOKEN), mints.setup)


def _header(mints: Mints) -> str:
    return _opens(mints.socket, mints.setup, Authorization=f"Token {mints.token()}")


def _origin(mints: Mints) -> str:
    return _opens(with_token(mints.socket, mints.token()), mints.setup, Origin=FOREIGN_ORIGIN)


def _compression(mints: Mints) -> str:
    with opened(with_token(mints.socket, mints.token())) as socket:
        return "yes" if socket.is_compressed else "no"


def _minted(mints: Mints, setup: dict[str, Any] | None, mask: list[str]) -> str:
    try:
        mints.weak(setup, mask)
    except Unclear as refused:
        return f"no: {refused}"
    return "yes"


def _unknown_model(mints: Mints) -> str:
    return _minted(mints, {**mints.setup, "model": "models/no-such-model"}, ["model"])


def _unknown_voice(mints: Mints) -> str:
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "NoSuchVoice"}}}
    config = {**mints.setup["generationConfig"], "speechConfig": voice}
    return _minted(mints, {**mints.setup, "generationConfig": config}, ["generationConfig"])


def _snake_mask(mints: Mints) -> str:
    return _minted(mints, mints.setup, ["generation_config"])


def _mask_alone(mints: Mints) -> str:
    return _minted(mints, None, ["model"])


def _resumes_spent(mints: Mints) -> str:
    if not mints.resumes:
        return "could not be tried: the profile's clients do not resume by themselves"
    token = mints.token()
    first = {**mints.setup, "sessionResumption": {}}
    with opened(with_token(mints.socket, token)) as socket:
        socket.begin(first)
        handle = ""
        socket.play(bytes(BYTES_PER_SECOND), mints.setup)
        while not handle:
            try:
                update = socket.receive(TURN_SECONDS).get("sessionResumptionUpdate", {})
            except TimeoutError:
                return "could not be tried: no handle came"
            handle = update.get("newHandle", "")
    return _opens(with_token(mints.socket, token), {**mints.setup, "sessionResumption": {"handle": handle}})


def _refused_setup_spends(mints: Mints) -> str:
    token = mints.without_lock()
    url = with_token(mints.socket, token)
    refused = _opens(url, {**mints.setup, "model": "models/no-such-model"})
    if refused == "yes":
        return "could not be tried: the setup was accepted"
    return "no" if _opens(url, mints.setup) == "yes" else "yes"


def _members(mints: Mints) -> str:
    with opened(with_token(mints.socket, mints.token())) as socket:
        socket.begin(mints.setup)
        answer = socket.ask("Please say: one, two, three.", TURN_SECONDS)
    return ", ".join(sorted(answer.members))


QUESTIONS: dict[str, Callable[[Mints], str]] = {
    "Does contextUpdate change the instruction of a locked token?": _context_update,
    "Does v1 mint tokens?": _mint_on_v1,
    "Does v1 accept tokens at the socket?": _connect_on_v1,
    "Does a token that nobody issued open a session?": _unknown_token,
    "Does a token in the header Authorization open a session?": _header,
    "Does a page of any origin open a session?": _origin,
    "Does the service compress messages?": _compression,
    "Is a token for an unknown model minted?": _unknown_model,
    "Is a token for an unknown voice minted?": _unknown_voice,
    "Is a mask with a path in snake_case accepted?": _snake_mask,
    "Is a mask without a setup accepted?": _mask_alone,
    "Does a spent token resume its session?": _resumes_spent,
    "Does a refused setup spend the token?": _refused_setup_spends,
    "Which members do the messages of a turn have?": _members,
}
