"""Parses the secrets among the settings: API key, signing secrets and keys, client secrets.

Each function returns the value or raises `ValueError` with a sentence that completes "NAME …". No sentence
quotes the text, because the text is a secret.
"""

from __future__ import annotations

import re

from broker.settings.weakness import is_placeholder, weakness

SECRET_LENGTH = 32
_PEM_ADVICE = "make one with: openssl genpkey -algorithm ed25519"


def api_key(text: str) -> str:
    """A key for the Gemini API. Google can change its form, so prefix and length are not checked."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be printable ASCII without spaces")
    if text.startswith("auth_tokens/"):
        raise ValueError("is an ephemeral token; minting tokens requires an API key")
    if is_placeholder(text):
        raise ValueError("still contains a placeholder")
    return text


def secret_key(text: str) -> str:
    """Signs the broker's own bearer tokens, so it must be impossible to guess."""
    advice = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
    if len(text.encode()) < SECRET_LENGTH:
        raise ValueError(f"is shorter than {SECRET_LENGTH} bytes; {advice}")
    if fault := weakness(text):
        raise ValueError(f"is {fault}, not a random secret; {advice}")
    return text


def signing_key(text: str) -> str:
    """A private key in PEM, also on one line with `\\n` for the line ends."""
    return _pem(text, private=True)


def verification_key(text: str) -> str:
    """A private or public key in PEM."""
    return _pem(text, private="PRIVATE KEY" in text)


def _pem(text: str, *, private: bool) -> str:
    # Only now: most set-ups have no such key, and the library takes long to load.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    pem = text.replace("\\n", "\n")
    try:
        key: object = (
            load_pem_private_key(pem.encode(), None).public_key()
            if private
            else load_pem_public_key(pem.encode())
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        kind = "private" if private else "public"
        raise ValueError(f"is not a {kind} key in PEM without a passphrase; {_PEM_ADVICE}") from None
    p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if not p256 and not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"must be an Ed25519 or a P-256 key; {_PEM_ADVICE}")
    return pem


def client_secret(text: str) -> str:
    """The client secret for an issuer's token endpoint. The issuer chose it, so its form is not checked."""
    if not re.fullmatch(r"[ -~]+", text):
        raise ValueError("must be printable ASCII")
    return text
