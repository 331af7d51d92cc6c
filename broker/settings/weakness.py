"""weakness: why a secret is easy to guess, although it is long.

No such test is complete. It catches what people do in a hurry: templates, typed patterns, keys from
documents, and hashes or encodings of ordinary words.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

# Words from templates, long enough that a random key almost never contains one.
PLACEHOLDERS = (
    "change", "default", "example", "insecure", "password", "placeholder", "replace", "secret",
    "your-", "your_", "yourapikey", "xxxxxx", "todo-", "fixme", "<", ">",
)  # fmt: skip
# A random text of 32 hexadecimal digits has about 14 different characters and 25 different steps from one
# character to the next. A typed pattern has few of one or the other.
_VARIETY = 8
_MOST_LETTERS = 0.9
# The keys of each row and the place of its first key. The rows of a keyboard are shifted.
_ROWS = ((0.0, "`1234567890-="), (1.5, "qwertyuiop[]"), (1.75, "asdfghjkl;'"), (2.25, "zxcvbnm,./"))
# In a random text, about one step in six leads to a neighbouring key.
_MOST_NEIGHBOURS = 0.6
_WORD_LIST = """
    0 1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 000000 111111 a abc abc123
    abcd abcdef access admin admin123 administrator api apikey app application auth backend baseball
    batman broker bearer changeit changeme cookie dev develop development demo docker dragon example
    flask football foo foobar bar baz gemini google guest hello hello-world helloworld hunter2
    iloveyou jwt key letmein live live-broker livebroker local localhost login master monkey
    my-secret my-secret-key mypassword mysecret mysecretkey none null pass passw0rd password
    password1 password123 postgres princess private prod production public python qwerty qwerty123
    random redis root salt sample secret secret-key secret123 secret_key secretkey server service
    session shadow sign signing staging string sunshine superman supersecret super-secret system
    temp test test123 test1234 testing tester toor token trustno1 user username voice welcome x xxx
"""
_WORDS = ("", *_WORD_LIST.split())
# From the documents of FastAPI and Flask, from RFC 7515 and from RFC 7520.
_PUBLISHED = (
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "AyM1SysPpbyDfZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
)
_HASHES = (
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha3_256",
    "sha3_512",
    "blake2b",
    "blake2s",
)


def is_placeholder(text: str) -> bool:
    return any(word in text.lower() for word in PLACEHOLDERS)


def weakness(text: str) -> str | None:
    """Completes "NAME is …". None for a text that may be random."""
    if is_placeholder(text):
        return "a placeholder from a template"
    if text in _PUBLISHED:
        return "published in a well-known document"
    if _is_pattern(text):
        return "a pattern"
    if _is_keyboard_walk(text):
        return "a walk over the keyboard"
    if name := _hash_of_a_word(text):
        return f"the {name} hash of a common word"
    if any(_is_sentence(decoded) or weakness(decoded) for decoded in _decodings(text)):
        return "the encoding of an ordinary text"
    return None


def _is_pattern(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return text in (text + text)[1:-1] or len(set(text)) < _VARIETY or len(steps) < _VARIETY


def _is_keyboard_walk(text: str) -> bool:
    steps = list(pairwise(text.lower()))
    return sum(_are_neighbours(*step) for step in steps) > _MOST_NEIGHBOURS * len(steps)


@cache
def _places() -> dict[str, tuple[float, int]]:
    return {
        key: (start + column, row)
        for row, (start, keys) in enumerate(_ROWS)
        for column, key in enumerate(keys)
    }


def _are_neighbours(one: str, other: str) -> bool:
    places = _places()
    if one == other or one not in places or other not in places:
        return one == other
    (x, row), (other_x, other_row) = places[one], places[other]
    return abs(x - other_x) <= 1 and abs(row - other_row) <= 1


def _hash_of_a_word(text: str) -> str | None:
    """The name of the function, for a hash in hexadecimal or base64, also of a word with a line end."""
    for name in _HASHES:
        size = hashlib.new(name, usedforsecurity=False).digest_size
        if len(text) in (2 * size, len(base64.b64encode(bytes(size)))):
            hashes = _hashes_of_words(name)
            if text.lower() in hashes or text in hashes:
                return name
    return None


@cache
def _hashes_of_words(name: str) -> frozenset[str]:
    hashes = set()
    for word in _WORDS:
        for form in (word, word.capitalize(), word.upper(), f"{word}\n", f"{word}!"):
            digest = hashlib.new(name, form.encode(), usedforsecurity=False).digest()
            hashes |= {digest.hex(), base64.b64encode(digest).decode()}
    return frozenset(hashes)


def _decodings(text: str) -> Iterator[str]:
    """Each text that `text` may be an encoding of. A random text almost never is one of printable ASCII."""
    padded = text + "=" * (-len(text) % 4)
    for decode, encoded in ((bytes.fromhex, text), (base64.urlsafe_b64decode, padded)):
        try:
            decoded = decode(encoded.replace("+", "-").replace("/", "_")).decode("ascii")
        except (ValueError, binascii.Error):
            continue
        if decoded.strip().isprintable() and len(decoded) >= _VARIETY:
            yield decoded.strip()


def _is_sentence(text: str) -> bool:
    return sum(one.isalpha() or one.isspace() for one in text) > _MOST_LETTERS * len(text)
