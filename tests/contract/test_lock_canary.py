"""A client that sends another setup than its profile's gets its profile's, or none.

It tries each field of a setup, for every profile that the repository shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from broker.cli.proof.attacks import FIELD_ATTACKS, Attack
from broker.minting.compile import RESUMPTION, compile_profile
from broker.standin import protojson
from tests.contract.canary import SHIPPED, Attempt, Canary, locked
from tests.contract.setup_attacks import FIELDS, fields, leaves, merged, odd_frames
from tests.standin.client import SETUP, call, opened
from tests.support.sample_profiles import sample_profiles

# Everything that a setup may have, and a profile whose tokens soon expire.
OWN_SAMPLES = """
[profiles.full]
models = ["gemini-2.5-flash-native-audio-preview-12-2025"]
lock_also = ["avatarConfig"]
[profiles.full.config]
response_modalities = ["AUDIO"]
temperature = 0.5
seed = 1
system_instruction = "You answer in one sentence."
safety_settings = [{category = "HARM_CATEGORY_HARASSMENT", threshold = "BLOCK_LOW_AND_ABOVE"}]
proactivity = {proactive_audio = true}
history_config = {initial_history_in_client_content = false}
labels = {team = "voice"}
input_audio_transcription = {language_codes = ["de-DE"]}
speech_config = {language_code = "de-DE", voice_config = {prebuilt_voice_config = {voice_name = "Puck"}}}
realtime_input_config = {activity_handling = "NO_INTERRUPTION", turn_coverage = "TURN_INCLUDES_ONLY_ACTIVITY"}
tools = [{google_search = {}}]
[profiles.hasty]
models = ["gemini-2.5-flash-native-audio-preview-12-2025"]
connect_within_seconds = 5
slice_seconds = 60
[profiles.hasty.config]
response_modalities = ["AUDIO"]
seed = 2
"""


def test_no_field_of_setup_gets_past_the_lock(canary: Canary) -> None:
    """Each leaf at the default profile, each top-level field at all others."""
    canary.sweep(SHIPPED, leaves(canary.token()["setup"], both_spellings=False))
    for place in canary.profiles.keys() - {SHIPPED}:
        canary.sweep(place, fields(canary.token(place)["setup"]))


@pytest.mark.long
@pytest.mark.parametrize("one_in", [4, pytest.param(1, marks=pytest.mark.release)])
def test_no_leaf_in_any_spelling_gets_past_the_lock_of_any_profile(canary: Canary, one_in: int) -> None:
    """One attack in four, and other ones at the next profile, so that together they try all."""
    assert len(canary.profiles) >= one_in
    for number, place in enumerate(canary.profiles):
        honest = canary.token(place)["setup"]
        attacks = [*leaves(honest, both_spellings=True), *odd_frames(honest)]
        canary.sweep(place, attacks[number % one_in :: one_in])


def test_no_attack_of_the_command_gets_past_the_lock(canary: Canary) -> None:
    """`broker check --prove-lock` sends these; here the stand-in says which setup was in force."""
    for place, (_name, profile) in canary.profiles.items():
        (setup, *_others) = compile_profile(profile).setups.values()
        frames = {attack.field: attack.frame(setup) for attack in FIELD_ATTACKS}
        attacks = [Attack(field, json.dumps({"setup": frame})) for field, frame in frames.items()]
        canary.sweep(place, attacks)


def test_no_odd_frame_gets_past_the_lock(canary: Canary) -> None:
    canary.sweep(SHIPPED, odd_frames(canary.token()["setup"]))


def test_client_decides_only_what_the_documents_leave_to_it(canary: Canary) -> None:
    """Everything that the token does not set, sent at once."""
    for place, (_name, profile) in canary.profiles.items():
        token = canary.token(place)
        frame = token["setup"]
        for attack in fields(token["setup"]):
            frame = merged(frame, camel_case(json.loads(attack.first)["setup"]))
        frame["sessionResumption"] = {}
        only_writes = frame["generationConfig"]["responseModalities"] == ["TEXT"]
        if only_writes:  # transcription models refuse a setup with proactivity
            del frame["proactivity"]
        else:
            frame["proactivity"] = {"proactiveAudio": True}
        attack = Attack("everything", json.dumps({"setup": frame}))
        canary.judge(place, [canary.connect(Attempt("everything", token), attack)])
        shown = {name for at, name in canary.shown if at == place}
        of_token = protojson.read(
            "Setup",
            canary.standin.control.received()["mints"][-1]["body"]["bidiGenerateContentSetup"],
            "v1alpha",
        )
        open_fields = set(FIELDS) - locked(profile, of_token)
        assert shown == open_fields - ({"proactivity"} if only_writes else set()), place
        assert set(token["locked"]) == set(FIELDS) - open_fields, place
        assert strings(profile.config) <= strings(of_token), place
        assert of_token["model"].removeprefix("models/") in profile.models, place


def test_handle_of_a_session_does_not_change_its_lock(canary: Canary) -> None:
    """A client that resumes, also with a token that is spent, gets the locked setup again."""
    token = canary.token()
    honest = json.dumps({"setup": token["setup"]})
    with opened(canary.url(token["token"])) as talker:
        talker.send(honest)
        frames = talker.until(lambda frame: "sessionResumptionUpdate" in frame)
    handle = {"sessionResumption": {"handle": frames[-1]["sessionResumptionUpdate"]["newHandle"]}}
    for next_token in (token, canary.token(), canary.token()):
        attack = Attack("resumed", json.dumps({"setup": {**handle, "tools": [{"googleSearch": {}}]}}))
        attempt = canary.connect(Attempt("resumed", next_token), attack)
        assert attempt.ready
        canary.judge(SHIPPED, [attempt])


def test_second_setup_of_an_open_session_ends_it(canary: Canary) -> None:
    messages: tuple[dict[str, Any], ...] = (
        {"setup": {"tools": []}},
        {"setup": {}},
        {"setup": {}, "clientContent": {}},
    )
    for later in messages:
        token = canary.token()
        with opened(canary.url(token["token"])) as talker:
            talker.send({"setup": token["setup"]})
            assert talker.next() == {"setupComplete": {}}
            talker.send(later)
            canary.refused(f"later: {later}", talker.closing()[0] != 1007)
        canary.judge(SHIPPED, [Attempt("later", token, ready=True)])


def test_canary_notices_each_hole(canary: Canary) -> None:
    """Tokens that this test mints itself, with masks that each forget one field."""
    profile = canary.profiles[SHIPPED][1]
    for attack in fields(SETUP):
        mask = ",".join(name for name in FIELDS if name not in (attack.name, RESUMPTION))
        setup = {"bidiGenerateContentSetup": SETUP, "fieldMask": mask}
        _status, answer, _headers = call(f"{canary.standin.url}/v1alpha/auth_tokens", setup)
        canary.judge(SHIPPED, [canary.connect(Attempt("hole", {"token": answer["name"]}), attack)])
        noticed, canary.through = canary.through, []
        is_hole = attack.name in locked(profile, SETUP)
        assert [f"hole: {attack.name} is" in one for one in noticed] == [True] * is_hole, attack.name


def test_samples_are_found() -> None:
    found = sample_profiles()
    assert {place.partition(":")[0] for place in found} >= {
        "broker/settings/broker.toml",
        "broker/settings/broker.toml, lock_also",
        "broker/settings/broker.toml, total",
        "tests/contract/test_lock_canary.py",
    }


def camel_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            re.sub("_([a-z])", lambda m: m[1].upper(), key): camel_case(one) for key, one in value.items()
        }
    return [camel_case(one) for one in value] if isinstance(value, list) else value


def strings(value: Any) -> set[str]:
    """The texts in a setup, without the names of its fields."""
    if isinstance(value, Mapping):
        return set().union(*map(strings, value.values())) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*map(strings, value)) if value else set()
    return {value} if isinstance(value, str) else set()
