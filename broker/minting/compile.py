"""Locking: a profile becomes, once and at start, the exact setup and mask that its tokens carry.

The Google SDK does the conversion itself: its public `auth_tokens.create` runs against a transport that
records the body instead of sending it. So the bytes are the SDK's own, no private function of it is touched,
and a mint costs half of what it does when the setup is converted every time.
"""

from __future__ import annotations

import json
import re
import ssl
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx2
from google import genai
from google.genai import types
from pydantic import ValidationError

from broker.minting.model_rules import broken_rules, camel
from broker.profiles.profile import Profile

API_VERSION = "v1alpha"
"""The one version that both SDKs test tokens on; their own default does not serve tokens for sure."""

# Every field that a setup may have (BidiGenerateContentSetup, wire names).
SETUP_FIELDS = (
    "model", "generationConfig", "systemInstruction", "tools", "inputAudioTranscription",
    "outputAudioTranscription", "contextWindowCompression", "realtimeInputConfig", "sessionResumption",
    "proactivity", "historyConfig", "safetySettings", "avatarConfig", "labels",
)  # fmt: skip
# Locked even where the profile leaves them unset: a masked field that the token lacks is forced to be unset.
ALWAYS_MASKED = SETUP_FIELDS[:8]
RESUMPTION = "sessionResumption"
MODEL_NAME = re.compile(r"(models/)?[a-z0-9][a-z0-9._-]{0,127}")


class ProfileError(Exception):
    """Profiles that cannot be locked, with every fault of every profile."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("; ".join(self.faults))


@dataclass(frozen=True)
class Locked:
    """A compiled profile."""

    setups: Mapping[str, Mapping[str, Any]]
    """By model (`models/…`), in the profile's order: what `bidiGenerateContentSetup` will hold."""
    mask: tuple[str, ...]
    """The `fieldMask`; empty means no mask, which is the total lock."""

    @property
    def locked(self) -> tuple[str, ...]:
        return self.mask or SETUP_FIELDS

    @property
    def open_fields(self) -> tuple[str, ...]:
        """What the client decides."""
        return tuple(name for name in SETUP_FIELDS if name not in self.locked)


def profile_faults(profiles: Mapping[str, Profile]) -> list[str]:
    """Every reason why one of these cannot be locked; for `settings.load(checks=…)`."""
    faults = []
    for profile in profiles.values():
        try:
            compile_profile(profile)
        except ProfileError as error:
            faults += error.faults
    return faults


def compile_profile(profile: Profile) -> Locked:
    faults = [*_name_faults(profile), *_mask_faults(profile)]
    setup: dict[str, Any] = {}
    try:
        setup = convert(profile.config)
    except ValueError as error:
        faults += [f"config{fault}" for fault in error.args]
    else:
        faults += _setup_faults(profile, setup)
    if faults:
        raise ProfileError(f"broker.toml: profiles.{profile.name}.{fault}" for fault in faults)
    models = dict.fromkeys("models/" + model.removeprefix("models/") for model in profile.models)
    setups = {model: MappingProxyType({"model": model, **setup}) for model in models}
    mask: tuple[str, ...] = ()
    if profile.lock == "mask":
        mask = tuple(dict.fromkeys((*ALWAYS_MASKED, *setup, *profile.lock_also)))
    return Locked(MappingProxyType(setups), mask)


def convert(config: Mapping[str, Any]) -> dict[str, Any]:
    """The wire form of a `LiveConnectConfig`, or `ValueError` whose args are the faults."""
    with warnings.catch_warnings(record=True) as unknown_words:
        # The SDK only warns about an enum value that it does not know; Google would end the session.
        warnings.simplefilter("always")
        try:
            parsed = types.LiveConnectConfig.model_validate_json(
                json.dumps(config, allow_nan=False), strict=True
            )
        except ValidationError as error:
            raise ValueError(
                *dict.fromkeys(_fault(item["loc"], item["msg"]) for item in error.errors())
            ) from None
        except (TypeError, ValueError):
            raise ValueError(": holds a date, or a number that is none") from None
        if parsed.http_options is not None:
            raise ValueError(".http_options: is not part of a setup")
        if parsed.generation_config is not None:
            raise ValueError(".generation_config: write what it holds directly into config")
        body = _captured_body(parsed)
    if words := [str(warning.message) for warning in unknown_words if warning.category is UserWarning]:
        raise ValueError(*(f": {word}" for word in words))
    setup: dict[str, Any] = body.get("bidiGenerateContentSetup") or {}
    setup.pop("model", None)
    return setup


def _fault(place: tuple[int | str, ...], message: str) -> str:
    known = "is not a known field" if message.startswith("Extra inputs") else message
    return f".{'.'.join(map(str, place))}: {known}"


def _captured_body(config: types.LiveConnectConfig) -> dict[str, Any]:
    recorder = _Recorder()
    # A context without certificates: nothing is ever connected, and the SDK would load the CA bundle thrice.
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = types.HttpOptions(
        base_url="http://nowhere.invalid",
        api_version=API_VERSION,
        client_args={"transport": recorder, "verify": bare, "trust_env": False},
        async_client_args={"verify": bare, "ssl": bare, "trust_env": False},
    )
    client = genai.Client(vertexai=False, api_key="unused", http_options=options)
    constraints = types.LiveConnectConstraints(model="models/any", config=config)
    try:
        client.auth_tokens.create(config=types.CreateAuthTokenConfig(live_connect_constraints=constraints))
    except ValueError as error:  # a field that exists on Vertex AI only; the SDK's own words, of ours nothing
        raise ValueError(f": {error}") from None
    except Exception as error:  # noqa: BLE001 - the converters trip over some combinations in their own ways
        raise ValueError(f": cannot be converted by the SDK ({type(error).__name__})") from None
    finally:
        client.close()
    return recorder.body


class _Recorder(httpx2.BaseTransport):
    """Keeps the body and answers as Google would."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.body = json.loads(request.read())
        return httpx2.Response(200, json={"name": "auth_tokens/recorded"})


def _name_faults(profile: Profile) -> Iterator[str]:
    if not profile.models:
        yield "models: at least one is needed"
    for model in profile.models:
        if not MODEL_NAME.fullmatch(model):
            yield f"models: {model!r} is not the id of a Gemini API model"


def _mask_faults(profile: Profile) -> Iterator[str]:
    if profile.lock == "total" and profile.lock_also:
        yield "lock_also: the total lock leaves nothing to add"
    for path in profile.lock_also:
        if path == RESUMPTION:
            yield f"lock_also: {RESUMPTION} would overwrite the client's handle; use the total lock for that"
        elif path not in SETUP_FIELDS:
            hint = f"; {camel(path)} is" if camel(path) in SETUP_FIELDS else ""
            yield f"lock_also: {path!r} is not a top-level field of the setup{hint}"


def _setup_faults(profile: Profile, setup: Mapping[str, Any]) -> Iterator[str]:
    if not setup:
        yield "config: is empty; a token without constraints opens anything at your cost"
        return
    resumption = setup.get(RESUMPTION)
    if resumption is not None and (resumption or profile.lock == "mask"):
        yield "config.session_resumption: belongs to each connection and must not be set"
    if setup.get("generationConfig", {}).get("responseModalities") != ["AUDIO"]:
        # Left out, Google assumes TEXT under the total lock and refuses it.
        yield 'config.response_modalities: must be ["AUDIO"], which is all that Live models speak'
    for name in setup:
        if name not in SETUP_FIELDS:
            yield f"config: {name} is not a field of the setup that could be locked"
    for model in profile.models:
        for rule in broken_rules(model, setup):
            yield f"config: {rule.path} does not work with {model}: {rule.why}"
