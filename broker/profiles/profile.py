"""Profile: what a token may do, parsed strictly from one `[profiles.NAME]` of `broker.toml`.

Owns the shape and the bounds. Needs nothing. `config` is kept as it is written; `minting.locking`
compiles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Google refuses a token that would live 20 hours. Nobody can take a token back, so ours end within the hour.
SLICE_SECONDS = (10, 3600)
# Every connection gets a fresh token, so it need not be connectable for long.
CONNECT_SECONDS = (5, 900)

# A config may be written with either spelling.
_TO_THE_VOICE = (
    ("speech_config", "speechConfig"),
    ("voice_config", "voiceConfig"),
    ("prebuilt_voice_config", "prebuiltVoiceConfig"),
    ("voice_name", "voiceName"),
)

Text = Annotated[str, Field(min_length=1, max_length=255)]


# TOML has arrays only, hence `strict=False` on the collections; what is inside them stays strict.
class ProfileSpec(BaseModel):
    """What may be written under `[profiles.NAME]`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    description: str = ""
    models: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """By preference: the first one that Google offers is used."""
    plans: Annotated[frozenset[Text], Field(strict=False, min_length=1)] = frozenset({"*"})
    lock: Literal["mask", "total"] = "mask"
    slice_seconds: Annotated[int, Field(ge=SLICE_SECONDS[0], le=SLICE_SECONDS[1])] = 900
    connect_within_seconds: Annotated[int, Field(ge=CONNECT_SECONDS[0], le=CONNECT_SECONDS[1])] = 120
    lock_also: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Further setup fields, by their wire names, that the client must not bring."""
    attestation: Literal["off", "monitor", "enforce"] = "off"
    """Whether the app must prove itself too, with a token of an issuer of kind attestation."""
    config: Mapping[str, Any] = Field(default_factory=dict)
    """A google-genai `LiveConnectConfig`."""


class Profile(ProfileSpec):
    name: str

    def allows(self, plan: str) -> bool:
        return "*" in self.plans or plan in self.plans

    @property
    def voice(self) -> str | None:
        """The prebuilt voice that the config names; None: the model's own, or one that has no name."""
        place: Any = self.config
        for snake, wire in _TO_THE_VOICE:
            place = place.get(snake, place.get(wire)) if isinstance(place, Mapping) else None
        return place if isinstance(place, str) else None
