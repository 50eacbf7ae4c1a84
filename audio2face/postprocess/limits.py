"""The ranges that the runtime allows for the CONFIG values of a deployed model."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Limit(NamedTuple):
    """The allowed range (both ends included), the unit, and the runtime's own default."""

    range: tuple[float, float]
    unit: str
    default: float


_ANY = (-float("inf"), float("inf"))
_FACTOR = (0.0, 2.0)

CONFIG_LIMITS: dict[str, Limit] = {
    "input_strength": Limit(_ANY, "gain on the audio samples", 1.0),
    "upper_face_smoothing": Limit((0.0, 0.1), "seconds, half-life of one smoothing stage", 0.001),
    "lower_face_smoothing": Limit((0.0, 0.1), "seconds, half-life of one smoothing stage", 0.0023),
    "upper_face_strength": Limit(_FACTOR, "factor", 1.0),
    "lower_face_strength": Limit(_FACTOR, "factor", 1.3),
    "face_mask_level": Limit((0.0, 1.0), "fraction of the neutral face's height", 0.6),
    "face_mask_softness": Limit((0.001, 0.5), "fraction of the neutral face's height", 0.0085),
    "skin_strength": Limit(_FACTOR, "factor", 1.0),
    "blink_strength": Limit(_FACTOR, "factor on the host's blink offset", 1.0),
    "eyelid_open_offset": Limit((-1.0, 1.0), "multiples of eye_close_pose_delta", 0.06),
    "lip_open_offset": Limit((-0.2, 0.2), "multiples of lip_open_pose_delta", -0.03),
    "tongue_strength": Limit((0.0, 3.0), "factor", 1.5),
    "tongue_height_offset": Limit((-3.0, 3.0), "mesh units along Y", 0.2),
    "tongue_depth_offset": Limit((-3.0, 3.0), "mesh units along Z", 0.13),
    "lower_teeth_strength": Limit(_FACTOR, "factor", 1.0),
    "lower_teeth_height_offset": Limit((-3.0, 3.0), "mesh units along Y", 0.0),
    "lower_teeth_depth_offset": Limit((-3.0, 3.0), "mesh units along Z", 0.0),
    "eyeballs_strength": Limit(_FACTOR, "factor", 1.0),
    "saccade_strength": Limit(_FACTOR, "factor", 1.0),
    "right_eye_rot_x_offset": Limit((-10.0, 10.0), "degrees", 0.0),
    "right_eye_rot_y_offset": Limit((-10.0, 10.0), "degrees", 0.0),
    "left_eye_rot_x_offset": Limit((-10.0, 10.0), "degrees", 0.0),
    "left_eye_rot_y_offset": Limit((-10.0, 10.0), "degrees", 0.0),
    "eye_saccade_seed": Limit((0.0, 4999.0), "row of the saccade table, may be fractional", 0.0),
}


def key_problem(config: Mapping[str, object], name: str) -> str | None:
    """Why the runtime would refuse CONFIG key `name`, or None. It compares in float32, both ends included."""
    if name not in config:
        return f"{name} is missing"
    value = config[name]
    if not isinstance(value, int | float | np.number):
        return f"{name} is {value!r}, not a number"
    single = as_float32(value)
    if not np.isfinite(single):
        return f"{name} is {value}, not a finite number"
    low, high = CONFIG_LIMITS[name].range
    if np.float32(low) <= single <= np.float32(high):
        return None
    return f"{name} is {value}, outside {low:g} .. {high:g} ({CONFIG_LIMITS[name].unit})"


def config_problems(config: Mapping[str, object]) -> list[str]:
    """One line for each of the 24 CONFIG keys that is missing, not a number, or out of range; other keys pass."""
    return [problem for name in CONFIG_LIMITS if (problem := key_problem(config, name))]


def numbers(config: Mapping[str, object], *names: str) -> list[np.float32]:
    """The values of CONFIG keys as the runtime holds them; ValueError lists all that are missing or out of range."""
    if problems := [problem for name in names if (problem := key_problem(config, name))]:
        raise ValueError("post-processing CONFIG: " + "; ".join(problems))
    return [as_float32(config[name]) for name in names]


def as_float32(value: object) -> np.float32:
    """A number rounded to float32; beyond its range infinity, as the runtime's conversion gives."""
    try:
        with np.errstate(over="ignore"):
            return np.float32(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer that even float64 cannot hold
        return np.float32(np.inf)
