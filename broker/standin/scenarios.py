"""Scenarios: named misbehaviours and switches, their parameters, and which are on.

Holds the table and validates names. `docs/stand-in.md` explains each scenario. The module that misbehaves
carries it out (`mint.py`, `live.py`, `connection.py`, `messages.py`, `pacing.py`, …). Each scenario also
takes `times`: it switches itself off after that many uses.
"""

from __future__ import annotations

from typing import Any

# name -> (what it does, parameters with their defaults)
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    # the token endpoint
    "mint-status": (
        "refuses with this HTTP status and Google's body for it",
        {"status": 503, "message": "", "body": None},
    ),
    "mint-slow": ("answers correctly after so many real seconds", {"seconds": 1.0}),
    "mint-hang": ("accepts the request and does not answer", {"seconds": 600.0}),
    "mint-drip": ("answers one byte at a time", {"interval_seconds": 0.2}),
    "mint-big": ("answers with a body of this size", {"megabytes": 8}),
    "mint-redirect": ("answers with a redirect", {"location": "/_standin/redirected", "status": 302}),
    "mint-bad-json": ("answers 200 with a body that is not JSON", {"body": "<html>not json</html>"}),
    "mint-empty-name": ("answers 200 without a name", {"body": "{}"}),
    "mint-disconnect": ("drops the connection instead of answering", {}),
    "clock-skew": (
        "runs the clock of tokens and of the Date header ahead of the caller's",
        {"seconds": 60.0},
    ),
    "v1-tokens": ("supports tokens in v1 too", {}),
    "snake-masks": ("accepts a mask with paths in snake_case (unknown; usually 400, our guess)", {}),
    # models
    "models-without": ("leaves these models out, as if they were retired", {"models": []}),
    "models-many": (
        "lists this many other models before the Live models, so that they are on a later page",
        {"count": 60},
    ),
    "models-status": ("refuses the list of models with this HTTP status", {"status": 503}),
    # opening a socket
    "handshake-status": ("refuses the upgrade with this HTTP status", {"status": 503}),
    "handshake-hang": ("does not answer the upgrade", {"seconds": 600.0}),
    "refuse": (
        "closes at 'connect' or 'setup', by a name from close_reasons.CLOSES or by code and reason",
        {"close": "unavailable", "code": 0, "reason": "", "at": "setup"},
    ),
    "setup-slow": ("sends setupComplete after so many seconds", {"seconds": 2.0}),
    "setup-hang": ("never sends setupComplete", {}),
    "early-refused": (
        "closes if the client sends anything within so many real seconds before setupComplete (reported "
        "once; usually it waits in a queue)",
        {"seconds": 0.2},
    ),
    "unknown-name": (
        "closes otherwise if a handle, a token or the id of a function call is unknown (our guess, as is "
        "the usual close)",
        {"handle": "handle-invalid", "token": "token-not-found", "call": "entity-not-found"},
    ),
    "refused-setup-free": (
        "does not count a use of a token whose setup is refused (unknown; usually it counts, our guess)",
        {},
    ),
    "resume-counted": ("counts a resumption with the same token as a use of it", {}),
    "resume-ungated": ("does not apply newSessionExpireTime to resumptions", {}),
    "resume-refused": ("refuses every handle", {"close": "entity-not-found"}),
    "forgets": (
        "resumes without what was said (reported), and says the greeting if it is not empty (our guess)",
        {"greeting": ""},
    ),
    "resumption-updates": (
        "sends no resumption updates ('none'), only 'not-resumable' or 'empty' ones, or says `false` where "
        "the usual one is empty ('explicit')",
        {"mode": "none"},
    ),
    "handle-after-turn": (
        "sends a fresh handle after each turn (unknown; usually only in reaction to input, as reported)",
        {},
    ),
    "context-update-locked": ("does not let contextUpdate change a locked field", {}),
    "lock-ignored": (
        "lets the client's setup replace these locked fields, as if there were a hole",
        {"fields": []},
    ),
    "terms-ignored": (
        "accepts tokens that are 'spent', 'late' or 'expired', as if there were a hole",
        {"terms": []},
    ),
    # an open connection
    "idle": ("drops a silent client after so many seconds (usually 150)", {"seconds": 150.0}),
    "connection-length": (
        "ends the connection after so many seconds (usually 600), and announces it notice_seconds earlier",
        {"seconds": 600.0, "notice_seconds": 50.0},
    ),
    "go-away": (
        "sends goAway after so many seconds and, time_left later, this close; 'none' leaves it open",
        {"after_seconds": 1.0, "time_left_seconds": 50.0, "close": "stayed-past-go-away"},
    ),
    "drop": ("cuts the connection without a close frame after so many seconds", {"after_seconds": 1.0}),
    "random-close": (
        "ends each connection within these seconds; closes are names from close_reasons.CLOSES, or 'drop'",
        {"from_seconds": 5.0, "to_seconds": 60.0, "closes": ["drop", "aborted", "internal"], "seed": 1},
    ),
    "fall-silent": (
        "ignores all input and sends nothing after so many seconds, but keeps the connection open",
        {"after_seconds": 1.0},
    ),
    "close": (
        "closes in mid-session, by a name from close_reasons.CLOSES or by code and reason",
        {"after_seconds": 1.0, "close": "internal", "code": 0, "reason": ""},
    ),
    "lenient-activity": (
        "ignores an activityStart within an activity and an activityEnd outside (unknown; usually 1007, our "
        "guess)",
        {},
    ),
    "text-frames": ("sends text frames instead of binary ones", {}),
    "mute": ("never answers", {}),
    "model-silent": (
        "acknowledges the user and does not answer (reported); if told to go on, it does (our guess)",
        {},
    ),
    "empty-turn": (
        "ends a turn without an answer, with this turnCompleteReason if it is not empty (reported)",
        {"reason": ""},
    ),
    "answer-slow": ("starts to answer after so many seconds", {"seconds": 2.0}),
    "answer-tone": ("answers speech with a tone", {"hz": 440.0, "seconds": 2.0}),
    "tool-on-speech": ("answers speech with a function call", {"function": ""}),
    "no-turn-complete": ("never ends a turn", {}),
    "deaf": ("finishes an answer although the user or the client interrupts it", {}),
    "late-transcript": (
        "sends the transcript of speech so many seconds after the end of its turn (reported)",
        {"seconds": 0.3},
    ),
    "cancellation-first": (
        "cancels the calls of an interrupted turn before `interrupted` (unknown; usually after, our guess)",
        {},
    ),
    "late-words": ("sends words of an interrupted answer after `interrupted` and after its end", {}),
    "usage-cumulative": (
        "sends usageMetadata after so many seconds of audio too, each of the turn so far (our guess)",
        {"seconds": 0.5},
    ),
    "usage-per-message": (
        "sends usageMetadata after so many seconds of audio too, each of what it adds (our guess)",
        {"seconds": 0.5},
    ),
    # how audio is sent
    "pace": ("sends audio this many times faster than it plays (usually 8)", {"speed": 1.0}),
    "jitter": ("delays each audio frame by up to so many milliseconds", {"max_ms": 120, "seed": 1}),
    "burst": ("sends a whole answer at once", {}),
    "stall": ("pauses in mid-answer for so many seconds", {"after_seconds": 0.5, "seconds": 0.5}),
    "odd-bytes": ("adds one stray byte to the end of each audio frame", {}),
    "big-chunks": ("sends audio frames of this length", {"ms": 1000}),
}

# What holds where a scenario is off that gives another reading of the unknown.
USUAL: dict[tuple[str, str], str] = {
    ("unknown-name", "handle"): "entity-not-found",
    ("unknown-name", "token"): "token-unknown",
    ("unknown-name", "call"): "invalid-argument",
}


class Scenarios:
    """The scenarios that are on. Read and write them on the event loop only."""

    def __init__(self) -> None:
        self._on: dict[str, dict[str, Any]] = {}
        self._left: dict[str, int] = {}

    def switch_on(self, name: str, params: dict[str, Any]) -> None:
        if name not in SCENARIOS:
            raise ValueError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        given = dict(params)
        times = given.pop("times", None)
        defaults = SCENARIOS[name][1]
        unknown = given.keys() - defaults.keys()
        if unknown:
            raise ValueError(f"{name} does not take {', '.join(sorted(unknown))}")
        self._on[name] = {**defaults, **given}
        self._left.pop(name, None)
        if times is not None:
            self._left[name] = int(times)

    def switch_off(self, name: str) -> None:
        self._on.pop(name, None)
        self._left.pop(name, None)

    def clear(self) -> None:
        self._on.clear()
        self._left.clear()

    def peek(self, name: str) -> dict[str, Any] | None:
        """Returns the parameters if it is on, without counting a use."""
        return self._on.get(name)

    def use(self, name: str) -> dict[str, Any] | None:
        """Returns the parameters if it is on. Counts as one of its `times`."""
        params = self._on.get(name)
        if params is not None and name in self._left:
            self._left[name] -= 1
            if self._left[name] <= 0:
                self.switch_off(name)
        return params

    def number(self, name: str, param: str) -> float:
        """Returns the scenario's value, or its default if it is off."""
        return float((self._on.get(name) or SCENARIOS[name][1])[param])

    def text(self, name: str, param: str) -> str:
        """Returns the scenario's value, or the usual one if it is off."""
        params = self._on.get(name)
        return str(params[param]) if params else USUAL[name, param]

    def listing(self) -> dict[str, dict[str, Any]]:
        return {name: dict(params) for name, params in self._on.items()}
