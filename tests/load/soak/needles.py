"""Needles: secrets to look for in texts, many thousands of them at once."""

from __future__ import annotations

import re

_LENGTH = 16
_WORD = re.compile(r"[A-Za-z0-9_\-./+=~]{16,}")
# What a secret may begin or end with, without being secret.
_PUBLIC_END = re.compile(r"~[0-9a-f]{8}$")


class Needles:
    """Finds a secret by its middle or by its end. Its beginning is often the same for all of a kind."""

    def __init__(self) -> None:
        self._pieces: set[str] = set()
        self._phrases: set[str] = set()

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, secret: str) -> None:
        secret = _PUBLIC_END.sub("", secret)
        if len(secret) < _LENGTH:
            raise ValueError("too short to be recognized")
        middle = (len(secret) - _LENGTH) // 2
        self._pieces |= {secret[-_LENGTH:], secret[middle : middle + _LENGTH]}

    def add_phrase(self, secret: str) -> None:
        """One that is looked for as it is, such as a password with blanks. Only a few of them."""
        self._phrases.add(secret)

    def found_in(self, text: str) -> list[str]:
        """The words of `text` that hold a piece of a secret, and the phrases in it."""
        pieces = self._pieces
        words = [
            word
            for word in _WORD.findall(text)
            if any(word[at : at + _LENGTH] in pieces for at in range(len(word) - _LENGTH + 1))
        ]
        return words + [phrase for phrase in self._phrases if phrase in text]
