"""What a client asks for at the head of a stream, checked: sound, face, blendshapes and emotion."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio2face.serving.names import FACE_PARAMETERS, known_emotions

RATES = (8000, 192000)  # samples per second
BITS = 16
MOST_NAMES, LONGEST_NAME = 1000, 100  # of a map in a request
LONGEST_REASON = 500  # what gRPC carries beside a status code is short


class Refusal(Exception):
    """A request that cannot be served: the name of a gRPC status code, and the reason in a sentence."""

    def __init__(self, code: str, reason: str):
        self.code, self.reason = code, one_line(reason)
        super().__init__(f"{code}: {self.reason}")


@dataclass(frozen=True)
class EmotionSettings:
    """How the keys of a request become the emotion of the network: see `emotion.EmotionTrack`.

    `beginning` {name: weight}, None where the request has none; `unknown`: emotions in it that the model does not know.
    """

    strength: float = 0.6
    preferred_enabled: bool = True
    preferred_strength: float = 0.5
    transition_s: float = 0.5
    beginning: dict[str, float] | None = None
    unknown: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """What a key of weight 1 ends at."""
        return self.strength * self.preferred_strength if self.preferred_enabled else 0.0


@dataclass(frozen=True)
class StreamRequest:
    """A checked header. `multipliers` and `offsets` by name on the wire; `notes` say what was clamped or ignored."""

    sample_rate: int
    config: dict[str, float] = field(default_factory=dict)  # CONFIG keys
    blink_offset: float = 0.0
    input_strength: float | None = None
    multipliers: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    clamp: bool = False
    emotion: EmotionSettings = EmotionSettings()
    notes: tuple[str, ...] = ()

    def apply(self, weights: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Weights (T, P) of `names` as this client wants them: factors, offsets, and clamped to 0 … 1 if it says so."""
        factor = np.array([self.multipliers.get(name, 1.0) for name in names], np.float32)
        offset = np.array([self.offsets.get(name, 0.0) for name in names], np.float32)
        result = weights * factor + offset
        return np.clip(result, 0.0, 1.0) if self.clamp else result


def read_request(header: Any, emotions: Sequence[str], keep: Collection[str] = ()) -> StreamRequest:
    """Check an AudioStreamHeader. `emotions` are the model's; parameters of the face named in `keep` (or "all") are ignored.

    Raises Refusal naming the value that is wrong.
    """
    notes: list[str] = []
    rate = _sample_rate(header.audio_header)
    face = _face(header.face_params, keep, notes)
    shapes, post = header.blendshape_params, header.emotion_post_processing_params
    blink, gain = face.pop("blinkOffset", 0.0), face.pop("inputStrength", None)
    return StreamRequest(
        sample_rate=rate,
        config={str(FACE_PARAMETERS[name].key): value for name, value in face.items()},
        blink_offset=blink,
        input_strength=gain,
        multipliers=finite(shapes.bs_weight_multipliers, "bs_weight_multipliers"),
        offsets=finite(shapes.bs_weight_offsets, "bs_weight_offsets"),
        clamp=shapes.enable_clamping_bs_weight,
        emotion=_emotion(header.emotion_params, post, emotions, notes),
        notes=tuple(map(one_line, notes)),
    )


def one_line(text: str) -> str:
    """A text that quotes what a client sent, as one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def finite(values: Mapping[str, float], what: str) -> dict[str, float]:
    """The values of a map. Raises Refusal for one that is not a finite number, for too many, or for a name that is too long."""
    if len(values) > MOST_NAMES:
        raise Refusal("INVALID_ARGUMENT", f"{what}: {len(values)} values, expected at most {MOST_NAMES}")
    for name, value in values.items():
        if len(name) > LONGEST_NAME:
            raise Refusal(
                "INVALID_ARGUMENT", f"{what}: a name of {len(name)} characters, expected at most {LONGEST_NAME}"
            )
        if not math.isfinite(value):
            raise Refusal("INVALID_ARGUMENT", f"{what} {name!r}: {value} is not a finite number")
    return dict(values)


def _sample_rate(audio: Any) -> int:
    wrong = [
        f"{name} {value}: expected {expected}"
        for name, value, expected in (
            ("audio_format", audio.audio_format, 0),
            ("channel_count", audio.channel_count, 1),
            ("bits_per_sample", audio.bits_per_sample, BITS),
        )
        if value != expected
    ]
    if wrong:
        raise Refusal("INVALID_ARGUMENT", "; ".join(wrong))
    return check_rate(int(audio.samples_per_second))


def check_rate(rate: int) -> int:
    """The rate, where sound of it can be taken. Raises Refusal."""
    if not RATES[0] <= rate <= RATES[1]:
        raise Refusal("INVALID_ARGUMENT", f"samples_per_second {rate}: expected {RATES[0]} to {RATES[1]}")
    return rate


def _face(params: Any, keep: Collection[str], notes: list[str]) -> dict[str, float]:
    found = {}
    unknown = [*finite(params.integer_params, "face_params"), *dict.fromkeys(params.float_array_params)]
    for name, value in finite(params.float_params, "face_params").items():
        if name not in FACE_PARAMETERS:
            unknown.append(name)
        elif name not in keep and "all" not in keep:
            _, low, high = FACE_PARAMETERS[name]
            found[name] = min(max(value, low), high)
            if found[name] != value:
                notes.append(f"{name} {value:g} is outside {low:g} … {high:g}: {found[name]:g} is used")
    if unknown:
        notes.append(f"face parameters that are not known here are ignored: {', '.join(sorted(unknown))}")
    return found


def _emotion(params: Any, post: Any, names: Sequence[str], notes: list[str]) -> EmotionSettings:
    given: dict[str, Any] = {}
    for source, key, place, low, high in (
        (post, "emotion_strength", "strength", 0.0, 1.0),
        (post, "preferred_emotion_strength", "preferred_strength", 0.0, 1.0),
        (params, "live_transition_time", "transition_s", 0.0, 60.0),
    ):
        if source.HasField(key):
            value = finite({key: getattr(source, key)}, "emotion")[key]
            given[place] = min(max(value, low), high)
            if given[place] != value:
                notes.append(f"{key} {value:g} is outside {low:g} … {high:g}: {given[place]:g} is used")
    if post.HasField("enable_preferred_emotion"):
        given["preferred_enabled"] = post.enable_preferred_emotion
        if not post.enable_preferred_emotion:
            notes.append("enable_preferred_emotion is off and no emotion is detected here: emotions have no effect")
    if params.beginning_emotion:
        given["beginning"], unknown = known_emotions(finite(params.beginning_emotion, "beginning_emotion"), names)
        given["unknown"] = tuple(unknown)
    return EmotionSettings(**given)
