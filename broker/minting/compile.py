"""Compiles each profile, once at start, to the exact setup and mask that its tokens carry.

The Google SDK does the conversion: its public `auth_tokens.create` runs against a transport that records the
body instead of sending it. So the bytes are the SDK's own and no private function is used. A mint also costs
half as much as it would if every mint converted the setup.
"""

from __future__ import annotations

import json
import re
import ssl
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from google import genai
from google.genai import types
from pydantic import ValidationError

from broker.minting.model_rules import broken_rules, camel, modality, values_at
from broker.minting.recorder import RecordingTransport
from broker.profiles.profile import Profile

API_VERSION = "v1alpha"
"""Both SDKs test tokens on this version. Their default version may not serve tokens."""

# Every field of a setup (BidiGenerateContentSetup, wire names).
SETUP_FIELDS = (
    "model", "generationConfig", "systemInstruction", "tools", "inputAudioTranscription",
    "outputAudioTranscription", "contextWindowCompression", "realtimeInputConfig", "sessionResumption",
    "proactivity", "historyConfig", "safetySettings", "avatarConfig", "labels",
)  # fmt: skip
# Locked even if the profile does not set them: a field that is in the mask but not in the setup stays unset.
ALWAYS_MASKED = SETUP_FIELDS[:8]
RESUMPTION = "sessionResumption"
MODEL_NAME = re.compile(r"(models/)?[a-z0-9][a-z0-9._-]{0,127}")
# Google closes a session with another name as soon as it connects, and tokens with it are still minted.
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")


class ProfileError(Exception):
    """Profiles that cannot be locked, with all their faults."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("; ".join(self.faults))


@dataclass(frozen=True)
class CompiledProfile:
    setups: Mapping[str, Mapping[str, Any]]
    """Model (`models/…`), in the order of the profile -> its `bidiGenerateContentSetup`."""
    mask: tuple[str, ...]
    """The `fieldMask`. If empty, the token has no mask and locks everything."""

    @cached_property
    def locked_fields(self) -> tuple[str, ...]:
        return self.mask or SETUP_FIELDS

    @cached_property
    def open_fields(self) -> tuple[str, ...]:
        """The fields that the client may set."""
        return tuple(name for name in SETUP_FIELDS if name not in self.locked_fields)


def profile_faults(profiles: Mapping[str, Profile]) -> list[str]:
    """Every reason why a profile cannot be locked. For `settings.load(checks=…)`."""
    faults = []
    for profile in profiles.values():
        try:
            compile_profile(profile)
        except ProfileError as error:
            faults += error.faults
    return faults


def compile_profile(profile: Profile) -> CompiledProfile:
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
    return CompiledProfile(MappingProxyType(setups), mask)


def convert(config: Mapping[str, Any]) -> dict[str, Any]:
    """The wire form of a `LiveConnectConfig`. Raises `ValueError`, whose args are the faults."""
    with warnings.catch_warnings(record=True) as unknown_values:
        # The SDK only warns about an unknown enum value, but Google would end the session.
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
            raise ValueError(": contains a date, or a number that is not finite") from None
        if parsed.http_options is not None:
            raise ValueError(".http_options: is not part of a setup")
        if parsed.generation_config is not None:
            raise ValueError(".generation_config: write its fields directly into config")
        body = _captured_body(parsed)
    if texts := [str(warning.message) for warning in unknown_values if warning.category is UserWarning]:
        raise ValueError(*(f": {text}" for text in texts))
    setup: dict[str, Any] = body.get("bidiGenerateContentSetup") or {}
    setup.pop("model", None)
    return setup


def _fault(place: tuple[int | str, ...], message: str) -> str:
    plain = "is not a known field" if message.startswith("Extra inputs") else message
    return f".{'.'.join(map(str, place))}: {plain}"


def _captured_body(config: types.LiveConnectConfig) -> dict[str, Any]:
    transport = RecordingTransport()
    # Nothing is ever connected, and without this context the SDK would load the CA bundle three times.
    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = types.HttpOptions(
        base_url="http://nowhere.invalid",
        api_version=API_VERSION,
        client_args={"transport": transport, "verify": no_certificates, "trust_env": False},
        async_client_args={"verify": no_certificates, "ssl": no_certificates, "trust_env": False},
    )
    client = genai.Client(vertexai=False, api_key="unused", http_options=options)
    constraints = types.LiveConnectConstraints(model="models/any", config=config)
    try:
        client.auth_tokens.create(config=types.CreateAuthTokenConfig(live_connect_constraints=constraints))
    except ValueError as error:  # a field that exists only on Vertex AI; the SDK's text holds no secret
        raise ValueError(f": {error}") from None
    except Exception as error:  # noqa: BLE001 - the converters raise various errors for some combinations
        raise ValueError(f": the SDK cannot convert it ({type(error).__name__})") from None
    finally:
        client.close()
    assert transport.request is not None
    body: dict[str, Any] = json.loads(transport.request.content)
    return body


def _name_faults(profile: Profile) -> Iterator[str]:
    if not profile.models:
        yield "models: at least one is required"
    for model in profile.models:
        if not MODEL_NAME.fullmatch(model):
            yield f"models: {model!r} is not a model id of the Gemini API"


def _mask_faults(profile: Profile) -> Iterator[str]:
    if profile.lock == "total" and profile.lock_also:
        yield "lock_also: the total lock already locks every field"
    for path in profile.lock_also:
        if path == RESUMPTION:
            yield f"lock_also: {RESUMPTION} would overwrite the client's handle; use the total lock instead"
        elif path not in SETUP_FIELDS:
            hint = f"; did you mean {camel(path)}?" if camel(path) in SETUP_FIELDS else ""
            yield f"lock_also: {path!r} is not a top-level field of the setup{hint}"


def _setup_faults(profile: Profile, setup: Mapping[str, Any]) -> Iterator[str]:
    if not setup:
        yield "config: is empty; a token without constraints allows any session at your cost"
        return
    resumption = setup.get(RESUMPTION)
    if resumption is not None and (resumption or profile.lock == "mask"):
        yield "config.session_resumption: must not be set; each connection sets its own"
    yield from _modality_faults(profile, setup)
    yield from _function_faults(setup)
    for name in setup:
        if name not in SETUP_FIELDS:
            yield f"config: {name} is not a setup field that can be locked"
    for model in profile.models:
        for rule in broken_rules(model, setup):
            yield f"config: {rule.path} does not work with {model}: {rule.why}"


def _modality_faults(profile: Profile, setup: Mapping[str, Any]) -> Iterator[str]:
    wanted = {modality(model) for model in profile.models}
    if len(wanted) > 1:
        yield "models: some answer with audio and some with text; write a profile for each kind"
    # If it is missing, Google assumes TEXT under the total lock.
    elif wanted and setup.get("generationConfig", {}).get("responseModalities") != [*wanted]:
        (only,) = wanted
        yield f'config.response_modalities: must be ["{only}"]; the models produce only {only.lower()}'


def _function_faults(setup: Mapping[str, Any]) -> Iterator[str]:
    functions = values_at(setup, ["tools", "functionDeclarations"])
    names = [str(function.get("name") or "") for function in functions]
    for name in dict.fromkeys(names):
        if not FUNCTION_NAME.fullmatch(name):
            yield (
                f"config.tools: Google refuses the function name {name!r}: it must begin with a letter or _, "
                "continue with letters, digits or _ . : -, and have at most 64 characters"
            )
        elif names.count(name) > 1:
            yield f"config.tools: the function {name!r} is declared {names.count(name)} times"
