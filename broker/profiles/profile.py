"""Profile: what a token may do, parsed strictly from one `[profiles.NAME]` of `broker.toml`.

Owns the keys and their limits. Needs nothing. `config` is kept as it is written; `minting.compile` compiles
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Google rejects a lifetime of 20 hours. A token cannot be revoked, so ours expire within one hour.
SLICE_SECONDS = (10, 3600)
# Every connection gets a new token, so the time to connect can be short.
CONNECT_SECONDS = (5, 900)
MOST_WARM = 100
# How long a token that was minted ahead may wait. It lives longer by this, and its caller is charged for it.
WARM_WAIT_SECONDS = 20

# The path to the voice. A config may use either spelling.
_VOICE_PATH = (
    ("speech_config", "speechConfig"),
    ("voice_config", "voiceConfig"),
    ("prebuilt_voice_config", "prebuiltVoiceConfig"),
    ("voice_name", "voiceName"),
)

Text = Annotated[str, Field(min_length=1, max_length=255)]


# TOML has only arrays, so collections need `strict=False`. Their items stay strict.
class ProfileSpec(BaseModel):
    """The keys under `[profiles.NAME]`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    description: str = ""
    models: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """In order of preference. The first model that Google offers is used."""
    plans: Annotated[frozenset[Text], Field(strict=False, min_length=1)] = frozenset({"*"})
    lock: Literal["mask", "total"] = "mask"
    slice_seconds: Annotated[int, Field(ge=SLICE_SECONDS[0], le=SLICE_SECONDS[1])] = 900
    connect_within_seconds: Annotated[int, Field(ge=CONNECT_SECONDS[0], le=CONNECT_SECONDS[1])] = 120
    warm: Annotated[int, Field(ge=0, le=MOST_WARM)] = 0
    """How many tokens each worker may keep minted ahead. They must be the same for every caller."""
    lock_also: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Wire names of more setup fields that the client must not set."""
    attestation: Literal["off", "monitor", "enforce"] = "off"
    """Whether the app must also send a token from an issuer of kind attestation."""
    show_cost: bool = False
    """Whether callers see what is left of their budgets in money."""
    config: Mapping[str, Any] = Field(default_factory=dict)
    """A google-genai `LiveConnectConfig`."""


class Profile(ProfileSpec):
    name: str

    def allows(self, plan: str) -> bool:
        return "*" in self.plans or plan in self.plans

    @property
    def voice(self) -> str | None:
        """The prebuilt voice in the config. None: the model's default, or a voice without a name."""
        value: Any = self.config
        for snake, wire in _VOICE_PATH:
            value = value.get(snake, value.get(wire)) if isinstance(value, Mapping) else None
        return value if isinstance(value, str) else None
