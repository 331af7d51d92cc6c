"""A program at a real terminal: a pseudo-terminal that a test types into."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence

_SECONDS = 60


def at_terminal(
    words: Sequence[str], environ: Mapping[str, str], answers: Mapping[str, list[str]]
) -> tuple[int, str]:
    """Runs `python WORDS` and types the next answer each time that the output ends with its question.

    Returns the exit status and everything that the terminal showed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *words],
        env=dict(environ),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    left = {question: list(texts) for question, texts in answers.items()}
    shown = since = ""
    while select.select([ours], [], [], _SECONDS)[0]:
        try:
            text = os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the program has ended
            break
        shown, since = shown + text, since + text
        for question, texts in left.items():
            if texts and since.endswith(question):
                since = ""
                os.write(ours, f"{texts.pop(0)}\n".encode())
    os.close(ours)
    return process.wait(_SECONDS), shown.replace("\r\n", "\n")
