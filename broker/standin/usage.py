"""Token counts as the Live API reports them: every turn bills the whole context again. Pure.

Defines the rates and the shape of usageMetadata. The numbers approximate the published rates.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

AUDIO_TOKENS_PER_SECOND = 25
IMAGE_TOKENS = {"MEDIA_RESOLUTION_LOW": 64}
IMAGE_TOKENS_OTHERWISE = 256
CHARACTERS_PER_TOKEN = 4


def text_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def audio_tokens(seconds: float) -> int:
    return round(seconds * AUDIO_TOKENS_PER_SECOND)


def image_tokens(setup: dict[str, Any]) -> int:
    resolution = setup.get("generationConfig", {}).get("mediaResolution", "")
    return IMAGE_TOKENS.get(resolution, IMAGE_TOKENS_OTHERWISE)


def metadata(context: Counter[str], response: Counter[str], thoughts: int = 0) -> dict[str, Any]:
    """`context` is the tokens by modality up to this turn. `response` is what the turn said.

    As in proto JSON, a message without a context or thoughts has no counts for them.
    """
    prompt, answer = context.total(), response.total()
    counts: dict[str, Any] = {
        "responseTokenCount": answer,
        "totalTokenCount": prompt + answer + thoughts,
        "responseTokensDetails": _details(response),
    }
    if prompt:
        counts |= {"promptTokenCount": prompt, "promptTokensDetails": _details(context)}
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    return counts


def _details(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in sorted(counts.items()) if count]
