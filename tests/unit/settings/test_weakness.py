"""Long secrets that are easy to guess are rejected, with the reason. Random ones never are."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid

import pytest

from broker.settings.weakness import weakness


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("please-change-me-before-production-8f3a91c0", "placeholder"),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "published"),
        ("12345678" * 8, "pattern"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "pattern"),
        ("qwertyuiopasdfghjklzxcvbnm1234567890", "keyboard"),
        ("1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y7u8i", "keyboard"),
        ("zaq12wsxcde34rfvbgt56yhnmju78ik,.lo9", "keyboard"),
        ("QWERTYUIOPasdfghjklZXCVBNM!qazwsxedc", "keyboard"),
        (sha256("password"), "sha256 hash"),
        (sha256("test\n"), "sha256 hash"),
        (sha256("Hello").upper(), "sha256 hash"),
        (hashlib.md5(b"admin").hexdigest(), "md5 hash"),
        (hashlib.sha512(b"live-broker").hexdigest(), "sha512 hash"),
        (base64.b64encode(hashlib.sha256(b"foobar").digest()).decode(), "sha256 hash"),
        (base64.b64encode(b"the quick brown fox jumps over it").decode(), "encoding"),
        (base64.b64encode(b"the quick brown fox jumps over it").decode().rstrip("="), "encoding"),
        (b"the quick brown fox jumps".hex(), "encoding"),
        (base64.b64encode(b"qwertyuiopasdfghjklzxcvbnm1234567890").decode(), "encoding"),
    ],
)
def test_guessable_secret_is_named(text: str, reason: str) -> None:
    found = weakness(text)
    assert found is not None
    assert reason in found


def test_random_secret_is_accepted() -> None:
    for _ in range(40):
        for text in (
            secrets.token_hex(16),
            secrets.token_hex(32),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            base64.b64encode(secrets.token_bytes(32)).decode(),
            str(uuid.uuid4()),
            base64.b64encode(secrets.token_hex(32).encode()).decode(),
        ):
            assert weakness(text) is None, text
