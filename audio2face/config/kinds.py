"""The kinds of values that config keys have: numbers in a range, names, files by actor, clips, emotions.

The base modules annotate their keys with them. Words that mean the same to the check (File, Folder) differ for readers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, Strict, WrapValidator

from audio2face.paths import NAME_RULE, is_name

BY_ACTOR = "by actor"  # marks the dicts whose keys are actors


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"must be {NAME_RULE}")
    return text


def unique(items: list[str]) -> list[str]:
    """Refuse a list that has an item twice."""
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise ValueError(f"names {', '.join(map(repr, twice))} twice")
    return items


Text = Annotated[str, Strict()]
Word = Annotated[str, Field(strict=True, min_length=1)]
File = Word
Folder = Word
Name = Annotated[str, Strict(), AfterValidator(_name)]
Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
CountOrZero = Annotated[int, Field(strict=True, ge=0)]
Index = CountOrZero
Seed = CountOrZero
Count = Annotated[int, Field(strict=True, ge=1)]
TwoOrMore = Annotated[int, Field(strict=True, ge=2)]
ThreeOrMore = Annotated[int, Field(strict=True, ge=3)]
Opset = Annotated[int, Field(strict=True, ge=14, le=20)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Weight = NotNegative | None
FrameRate = Annotated[float, Field(strict=True, gt=0, le=1000)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
Decay = Annotated[float, Field(strict=True, gt=0, lt=1)]
Probability = Annotated[float, Field(strict=True, ge=0, le=1)]
Smoothing = Annotated[float, Field(strict=True, ge=0, le=0.1)]
Strength = Annotated[float, Field(strict=True, ge=0, le=2)]
Shift = Annotated[float, Field(strict=True, ge=-3, le=3)]
Degrees = Annotated[float, Field(strict=True, ge=-10, le=10)]

Words = Annotated[list[Word], AfterValidator(unique)]
Names = Annotated[list[Name], AfterValidator(unique)]
EmotionNames = Annotated[list[Word], Field(min_length=1), AfterValidator(unique)]
Files = Annotated[dict[Name, File], BY_ACTOR]
Folders = Annotated[dict[Name, Folder], BY_ACTOR]
NameByActor = Annotated[dict[Name, Word], BY_ACTOR]
RunByActor = Annotated[dict[Name, Name], BY_ACTOR]
RateByActor = Annotated[dict[Name, Positive], BY_ACTOR]
CountByActor = Annotated[dict[Name, Count], BY_ACTOR]
ShotsByActor = Annotated[dict[Name, list[Word]], BY_ACTOR]
OffsetsByShot = Annotated[dict[Name, dict[Word, Whole]], BY_ACTOR]
GroupFolders = Annotated[dict[Name, dict[Name, Folder]], BY_ACTOR]
GroupNames = Annotated[dict[Name, dict[Name, Words]], BY_ACTOR]
GroupRates = Annotated[dict[Name, dict[Name, Positive]], BY_ACTOR]
GroupCounts = Annotated[dict[Name, dict[Name, Count]], BY_ACTOR]
GroupWeights = dict[Name, NotNegative]
EmotionWeights = dict[Word, NotNegative] | None
ShotEmotion = tuple[Word, Word, Word]
Clip = tuple[Word, Word, tuple[Index, Index], Text, Word, Word, Whole]
MutedShot = tuple[Word, tuple[Word, Index], Count, Word]
HyperParams = dict[str, Any]  # each network's own schema is in `nested`

# Channels of a face, by method; any other name is a group of curves (CURVES_ROOT).
FACE_CHANNELS = {
    "regression": ("skin_coeffs", "tongue_coeffs", "jaw", "eye"),
    "diffusion": ("skin_pose", "tongue_pose", "jaw", "eye"),
    "guide": (),
}
TrainableParts = Annotated[list[Literal["actor", "output"]], Field(min_length=1), AfterValidator(unique)]
RegressionMetric = Literal[
    "lip_vertex_error_mm",
    "mouth_opening_correlation",
    "mouth_opening_error_mm",
    "mouth_opening_relative_error",
    "MSE",
    "CURVES",
    "jaw_open_correlation",
]
DiffusionMetric = Literal["total", "MSE", "CURVES", "CURVES_MOTION", "LIP_DIST", "VELOCITY", "EXP_SMOOTH"]
RegressionMode = Literal["offline", "offline_onnx"]
DiffusionMode = Literal[
    "offline",
    "streaming",
    "streaming_stateless",
    "streaming_stateless_output_delta",
    "streaming_stateless_onnx",
    "streaming_stateless_trt",
    "streaming_stateless_output_delta_onnx",
    "streaming_stateless_output_delta_trt",
]
OutputFormat = Literal["maya", "npy", "pc2", "arkit_csv", "json", "npz", "bvh", "usd", "gltf", "mp4"]
OutputFormats = Annotated[list[OutputFormat], AfterValidator(unique)]

# How the entries of lists of tuples are written, for messages.
TUPLE_FORMS = {
    "CLIPS": "(actor, shot, (first, last), speaker, language, audio file, audio offset)",
    "VALIDATION_CLIPS": "(actor, shot, (first, last), speaker, language, audio file, audio offset)",
    "AUG_MUTED_SHOTS": "(actor, (source shot, source frame), length, emotion)",
    "SHOT_EMOTION_MAP": "(actor, shot, emotion)",
}


def _all_text(items: Any) -> bool:
    return all(isinstance(item, str) and item for item in items)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _language_map(value: Any) -> Any:
    if isinstance(value, dict):
        nested = [isinstance(entry, dict) for entry in value.values()]
        if all(nested) and all(_all_text(entry.values()) for entry in value.values()):
            return value
        if not any(nested) and _all_text(value.values()):
            return value
    raise ValueError("must be {actor: {shot: language}} or {shot: language}")


def _audio_path(value: Any) -> Any:
    if value is None or isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and _all_text(value):
        return list(value)
    raise ValueError("must be a file, a list of files, a folder, or None")


def _emotion(value: Any) -> Any:
    if value is None or isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and all(map(_is_number, value)):
        return [float(number) for number in value]
    if isinstance(value, dict) and value and _all_text(value) and all(map(_is_number, value.values())):
        return dict(value)
    raise ValueError(
        "must be the name of an emotion, {name: weight}, a list of numbers (one per emotion of the model), or None"
    )


def _is_emotion_key(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and _is_number(entry[0])
        and isinstance(entry[1], dict)
        and all(map(_is_number, entry[1].values()))
    )


def _emotion_or_timeline(value: Any) -> Any:
    if not (isinstance(value, list | tuple) and value and all(map(_is_emotion_key, value))):
        try:
            return _emotion(value)
        except ValueError as error:
            raise ValueError(f"{error}; or a timeline [(seconds, {{emotion: weight}}), …]") from None
    times = [entry[0] for entry in value]
    if any(later <= earlier for earlier, later in zip(times, times[1:], strict=False)):
        raise ValueError("the seconds of a timeline must increase")
    return [(float(time), dict(weights)) for time, weights in value]


def _saccade_row(value: Any) -> Any:
    if _is_number(value) and 0 <= value <= 4999:
        return value
    raise ValueError("must be a number, 0 … 4999")


def _layers(value: Any) -> Any:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    if numbers and all(isinstance(number, int) and not isinstance(number, bool) and number >= 1 for number in numbers):
        return numbers if isinstance(value, list | tuple) else value
    raise ValueError("must be a whole number >= 1, or a list of such")


def _clip_or_pattern(value: Any, check: Callable[[Any], Any]) -> Any:
    return value if isinstance(value, str) and value else check(value)


def _validation_clips(value: Any, check: Callable[[Any], Any]) -> Any:
    if isinstance(value, str) and value:
        return value
    if value is None or (_is_number(value) and value == 0):
        return []
    if _is_number(value) and 0 < value < 1:
        return float(value)
    if isinstance(value, list | tuple):
        return check(list(value))
    raise ValueError(
        "must be a list of clips or shot names, a share of the shots like 0.1, a pattern like '*_07_*', or None for none"
    )


LanguageMap = Annotated[Any, PlainValidator(_language_map)]
AudioPath = Annotated[Any, PlainValidator(_audio_path)]
EmotionOrTimeline = Annotated[Any, PlainValidator(_emotion_or_timeline)]
SaccadeRow = Annotated[Any, PlainValidator(_saccade_row)]  # whole numbers stay whole
Layers = Annotated[Any, PlainValidator(_layers)]
AS_IT_IS = PlainSerializer(lambda value: value)
ValidationClip = Annotated[Clip, WrapValidator(_clip_or_pattern), AS_IT_IS]
ValidationClips = Annotated[list[ValidationClip], WrapValidator(_validation_clips), AS_IT_IS]
