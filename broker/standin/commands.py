"""Typed lines. A line that starts with a slash is a command. Any other line gets an answer.

Holds the table of commands, which `/help` lists, and the scripts of function calls. A command gets the
connection and the rest of the line. It either acts at once or returns a script for a turn.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from broker.standin import tools, voice
from broker.standin.close_reasons import CLOSES, Close, Ending
from broker.standin.turns import Script, Turn, TurnConnection


class CommandConnection(TurnConnection, Protocol):
    """The parts of a connection that commands use."""

    def end(self, ending: Ending) -> None: ...
    async def go_away(self, seconds: float, close: Close | None) -> None: ...


Command = Callable[[CommandConnection, str], Script | None]
FIRST_WORD = re.compile(r"Begin every answer with the word (\w+)\.")
COUNTING = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def answer(connection: CommandConnection, text: str) -> Script | None:
    """Returns the script that answers a typed line, or None if the command acted at once."""
    word, _, rest = text.strip().partition(" ")
    if not word.startswith("/"):
        return saying(voice.chimes(f"{_instructed_word(connection)}You wrote: {text.strip()}"))
    command = COMMANDS.get(word)
    if command is None:
        return saying(voice.chimes(f"There is no command {word}. Type /help to see what there is."))
    try:
        return command[1](connection, rest.strip())
    except ValueError as fault:
        return saying(voice.chimes(f"{word} {command[0]}: {fault}"))


def _instructed_word(connection: CommandConnection) -> str:
    """The only instruction that it follows, so that a client can hear which one is in force."""
    found = FIRST_WORD.search(json.dumps(connection.setup.get("systemInstruction", {}), ensure_ascii=False))
    return f"{found[1]}. " if found else ""


def saying(reply: voice.Answer, speed: float = 0.0) -> Script:
    async def script(turn: Turn) -> None:
        await turn.say(reply, speed)

    return script


def ending(reason: str) -> Script:
    """Says nothing and ends the turn with this reason."""

    async def script(turn: Turn) -> None:
        turn.reason = reason

    return script


def _number(text: str, default: float) -> float:
    return float(text) if text else default


def _help(_: CommandConnection, __: str) -> Script:
    lines = [f"• {name} {about}" for name, (about, _run) in COMMANDS.items()]
    return saying(voice.briefly("\n".join(["I know these commands:", *lines])))


def _tone(_: CommandConnection, rest: str) -> Script:
    hz, _sep, seconds = rest.partition(" ")
    return saying(voice.tone(_number(hz, 440), _number(seconds, 2)))


def _long(_: CommandConnection, rest: str) -> Script:
    seconds = _number(rest, 20)
    words: list[str] = []
    while voice.chimes(" ".join(words) + ".").seconds < min(seconds, 100):
        words.extend(COUNTING)
    return saying(voice.chimes(" ".join(words) + "."))


def _burst(_: CommandConnection, rest: str) -> Script:
    return saying(voice.tone(330, _number(rest, 10), "All of it at once."), float("inf"))


def _silence(_: CommandConnection, rest: str) -> Script:
    return saying(voice.silence(_number(rest, 3)))


def _thought(_: CommandConnection, rest: str) -> Script:
    return saying(voice.chimes(rest or "I thought about it.", thought="Let me think about that."))


def _search(_: CommandConnection, rest: str) -> Script:
    words = rest or "the weather"
    sources = [("The first page", "https://example.org/1"), ("A page in clear", "http://example.org/2")]
    found = {
        "groundingChunks": [{"web": {"title": title, "uri": uri}} for title, uri in sources],
        "webSearchQueries": [words],
    }
    return saying(replace(voice.chimes(f"I looked for {words}."), grounding=found))


def _unsure(connection: CommandConnection, _: str) -> None:
    connection.spawn(connection.send({"serverContent": {"waitingForInput": True}}))


def _history(connection: CommandConnection, _: str) -> Script:
    turns = connection.conversation.history[:-1]  # without this question
    said = "; ".join(f"{role}: {text}" for role, text in turns)
    return saying(voice.briefly(f"I remember {len(turns)} turns. {said}".strip()))


def _pictures(connection: CommandConnection, _: str) -> Script:
    return saying(voice.chimes(f"I have been shown {connection.conversation.pictures} pictures."))


def _go_away(connection: CommandConnection, rest: str) -> None:
    connection.spawn(connection.go_away(_number(rest, 50), CLOSES["stayed-past-go-away"]))


def _close(connection: CommandConnection, rest: str) -> None:
    code, _, reason = rest.partition(" ")
    connection.end(Close(int(code or 1011), reason or ("" if code else CLOSES["internal"].reason)))


def _drop(connection: CommandConnection, _: str) -> None:
    connection.end("drop")


def _tool(connection: CommandConnection, rest: str) -> Script:
    name, _, arguments = rest.partition(" ")
    given = json.loads(arguments) if arguments else None
    if given is not None and not isinstance(given, dict):
        raise ValueError("the arguments must be a JSON object")
    return calling(connection, [name] if name else [], given)


def _tools(connection: CommandConnection, _: str) -> Script:
    names = [f["name"] for f in tools.declared(connection.setup)]
    return calling(connection, names if len(names) > 1 else names * 2, None)


def calling(connection: CommandConnection, names: list[str], arguments: dict[str, Any] | None) -> Script:
    """Calls these functions in one frame and says what they return. Without names it calls the first one."""
    known = {f["name"]: f for f in tools.declared(connection.setup)}
    if not known:
        return saying(voice.chimes("No function is declared in this session."))
    wanted = names or [next(iter(known))]
    missing = [name for name in wanted if name not in known]
    if missing:
        return saying(voice.chimes(f"No function {missing[0]} is declared in this session."))

    async def script(turn: Turn) -> None:
        chosen = [known[name] for name in wanted]
        default = connection.model.behaviors[0]
        calls = [
            connection.tools.open(f["name"], _behavior(f, default, connection.model.behaviors) == "BLOCKING")
            for f in chosen
        ]
        turn.calls = [call.id for call in calls if call.answer]
        frames = [
            {
                "id": call.id,
                "name": call.name,
                "args": tools.example_arguments(f) if arguments is None else arguments,
            }
            for call, f in zip(calls, chosen, strict=True)
        ]
        frame: dict[str, Any] = {"toolCall": {"functionCalls": frames}}
        if connection.model.tells_status:
            frame["interactionStatus"] = "IN_PROGRESS"
        await connection.send(frame)
        waiting = [call.answer for call in calls if call.answer]
        if len(waiting) < len(calls):
            await turn.say(voice.chimes(f"One moment, I am asking {' and '.join(wanted)}."))
        if waiting:
            await turn.say(voice.chimes(result_text(await asyncio.gather(*waiting))))
        turn.calls = []

    return script


def _behavior(function: dict[str, Any], default: str, possible: tuple[str, ...]) -> str:
    wanted = function.get("behavior", default)
    return wanted if wanted in possible else default


def result_text(answers: list[dict[str, Any]]) -> str:
    return " ".join(
        f"The function {a.get('name', '')} answered {json.dumps(a.get('response', {}), ensure_ascii=False)}."
        for a in answers
    )


COMMANDS: dict[str, tuple[str, Command]] = {
    "/help": ("lists these commands", _help),
    "/tool": ("[NAME [JSON]] calls a declared function", _tool),
    "/tools": ("calls several functions at once", _tools),
    "/long": ("[SECONDS] answers at length", _long),
    "/tone": ("[HZ [SECONDS]] answers with a tone", _tone),
    "/burst": ("[SECONDS] sends an answer without pauses", _burst),
    "/silence": ("[SECONDS] answers with silence", _silence),
    "/thought": ("[TEXT] thinks aloud first", _thought),
    "/search": ("[WORDS] names the sources of its answer", _search),
    "/unsure": ("waits for more input", _unsure),
    "/history": ("repeats the conversation so far", _history),
    "/pictures": ("reports how many pictures it received", _pictures),
    "/goaway": ("[SECONDS] announces the end of the connection", _go_away),
    "/close": ("[CODE [REASON]] closes the connection", _close),
    "/drop": ("cuts the connection", _drop),
}
