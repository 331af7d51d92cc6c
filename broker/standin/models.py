"""The Live models: one table of what each accepts in a setup.

A rule without a source is not in the table, so the stand-in accepts the setup. `model_list.py` lists them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from broker.standin.close_reasons import CLOSES, Close, Refused, model_not_found, voice_not_found
from broker.standin.tools import declared

VOICES = frozenset(
    """
    Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel Algieba
    Despina Erinome Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux Pulcherrima Achird
    Zubenelgenubi Vindemiatrix Sadachbia Sadaltager Sulafat
    """.split()  # noqa: SIM905  (thirty names read better in rows)
)
MODEL_NAME = re.compile(r"models/[^/\s]+")
CATALOGUE_VOICE = re.compile(r"[a-z]{2}-[a-z]{2}-[a-z]+")
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
REFUSED_TOOLS = ("codeExecution", "urlContext", "googleMaps")


@dataclass(frozen=True)
class Model:
    id: str
    title: str
    output_tokens: int = 65536
    thinking: str = "level"  # budget | level | no-minimal | built-in (any thinkingConfig is refused)
    proactivity: str = "refused"  # opt-in | refused | always (switching it off is refused)
    affective: Close | None = None  # how enableAffectiveDialog fails; None: accepted
    behaviors: tuple[str, ...] = ("BLOCKING", "NON_BLOCKING")  # the first is the default
    scheduling: bool = True
    catalogue_voices: bool = False
    combines: bool = True  # several things in one serverContent
    tells_status: bool = False  # interactionStatus beside turnComplete
    tells_activity: bool = False  # voiceActivity frames
    content_interrupts: bool = True  # without turnComplete too; otherwise such content waits
    writes: bool = False  # answers nothing and writes down what it hears

    @property
    def name(self) -> str:
        return f"models/{self.id}"


_25: dict[str, Any] = {
    "output_tokens": 8192,
    "thinking": "budget",
    "proactivity": "opt-in",
    "combines": False,
}
_38: dict[str, Any] = {
    "proactivity": "always",
    "affective": CLOSES["invalid-argument"],
    "catalogue_voices": True,
    "tells_status": True,
    "tells_activity": True,
    "content_interrupts": False,
}

MODELS: tuple[Model, ...] = (
    Model("gemini-3.5-transcribe-live", "Gemini 3.5 Transcribe Live", tells_activity=True, writes=True),
    Model(
        "gemini-2.5-flash-native-audio-preview-09-2025",
        "Gemini 2.5 Flash Native Audio Preview 09-2025",
        **_25,
    ),
    Model(
        "gemini-2.5-flash-native-audio-preview-12-2025",
        "Gemini 2.5 Flash Native Audio Preview 12-2025",
        **_25,
    ),
    Model("gemini-2.5-flash-native-audio-latest", "Gemini 2.5 Flash Native Audio Latest", **_25),
    Model(
        "gemini-3.1-flash-live-preview",
        "Gemini 3.1 Flash Live Preview",
        affective=CLOSES["internal"],
        behaviors=("BLOCKING",),
        scheduling=False,
    ),
    Model(
        "gemini-3.8-live",
        "Gemini 3.8 Live",
        thinking="built-in",
        behaviors=("NON_BLOCKING", "BLOCKING"),
        **_38,
    ),
    Model(
        "gemini-3.8-live-extended-thinking",
        "Gemini 3.8 Live Extended Thinking",
        thinking="no-minimal",
        behaviors=("NON_BLOCKING",),
        scheduling=False,
        **_38,
    ),
)


def find(name: str, version: str, removed: list[str]) -> Model:
    """Returns the model of a setup. Raises the close for an unknown one."""
    if not name:
        raise Refused(CLOSES["no-model"])
    if not MODEL_NAME.fullmatch(name):
        raise Refused(CLOSES["model-format"])
    for model in available(removed):
        if model.name == name:
            return model
    raise Refused(Close(1008, model_not_found(name, version)))


def available(removed: list[str]) -> list[Model]:
    gone = {name.removeprefix("models/") for name in removed}
    return [model for model in MODELS if model.id not in gone]


def check(model: Model, setup: dict[str, Any]) -> None:
    """Refuses a setup that this model does not accept."""
    config = setup.get("generationConfig", {})
    # The default modality is TEXT, which only a model that writes supports.
    modalities = config.get("responseModalities") or ["TEXT"]
    if modalities != (["TEXT"] if model.writes else ["AUDIO"]):
        raise Refused(CLOSES["text-modality" if modalities == ["TEXT"] else "invalid-argument"])
    if config.get("enableAffectiveDialog") and model.affective:
        raise Refused(model.affective)
    _check_voice(model, config.get("speechConfig", {}))
    proactivity = setup.get("proactivity")
    if (
        _thinking_refused(model, config.get("thinkingConfig"))
        or (model.proactivity == "refused" and proactivity is not None)
        or (model.proactivity == "always" and (proactivity or {}).get("proactiveAudio") is False)
    ):
        raise Refused(CLOSES["invalid-argument"])
    for tool in setup.get("tools", []):
        behaviors = {f.get("behavior", "UNSPECIFIED") for f in tool.get("functionDeclarations", [])}
        refused = any(name in tool for name in REFUSED_TOOLS)
        if refused or not behaviors <= {"UNSPECIFIED", *model.behaviors}:
            raise Refused(CLOSES["invalid-argument"])
    names = [str(function.get("name", "")) for function in declared(setup)]
    if len(set(names)) < len(names) or not all(map(FUNCTION_NAME.fullmatch, names)):
        raise Refused(CLOSES["invalid-argument"])


def _thinking_refused(model: Model, thinking: dict[str, Any] | None) -> bool:
    if thinking is None:
        return False
    if model.thinking == "budget":
        return "thinkingLevel" in thinking
    return model.thinking == "built-in" or (
        model.thinking == "no-minimal" and thinking.get("thinkingLevel") == "MINIMAL"
    )


def _check_voice(model: Model, speech: dict[str, Any]) -> None:
    name = speech.get("voiceConfig", {}).get("prebuiltVoiceConfig", {}).get("voiceName")
    if name is None or name in VOICES or (model.catalogue_voices and CATALOGUE_VOICE.fullmatch(name)):
        return
    raise Refused(Close(1007, voice_not_found(name, model.name)))
