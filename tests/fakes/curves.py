"""Made-up curves: a phone's recording that follows the loudness of a sound, a head that nods, a body of two joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from audio2face.face.curves import CurveGroup
from audio2face.face.skeleton import Joint, Skeleton
from audio2face.formats.bvh import write_bvh
from audio2face.formats.curve_table import curve_table, write_curve_table
from audio2face.inference.clip import Clip, FaceFiles
from audio2face.inference.outputs import EXPORTERS
from audio2face.types import FaceAnimation

FPS, RATE = 30, 16000
SHOTS = ("one_neutral", "two_neutral", "three_joy")
SECONDS = 2.0
WEIGHTS = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")
HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
BODY = Skeleton(
    (
        Joint(
            "Hips", -1, (0.0, 90.0, 0.0), ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")
        ),
        Joint("Spine", 0, (0.0, 20.0, 0.0), ("Zrotation", "Xrotation", "Yrotation"), (0.0, 40.0, 0.0)),
    )
)


def speech(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """Noise in syllables (N,)."""
    rng, times = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    return (np.abs(np.sin(2 * np.pi * 2.3 * times + seed)) * rng.normal(size=len(times)) * 0.2).astype(np.float32)


def loudness(samples: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Of each frame, 0 to about 1 (T,)."""
    count = int(len(samples) / RATE * fps)
    return np.array([np.abs(part).mean() * 5 for part in np.array_split(samples, count)])


def write_curves(home: Path, groups: Sequence[str] = ("arkit", "head", "body"), seed: int = 0) -> dict:
    """Sounds and groups of an actor; returns values of config_dataset, without the actor's name."""
    for number, shot in enumerate(SHOTS):
        samples = speech(seed + number)
        (home / "audio").mkdir(parents=True, exist_ok=True)
        soundfile.write(home / "audio" / f"{shot}.wav", samples, RATE)
        loud = loudness(samples)
        tables = {
            "arkit": np.stack([0.8 * loud, 0.2 + 0.1 * loud, 0.2 + 0.1 * loud, np.zeros_like(loud)], axis=1),
            "head": np.stack([0.1 * np.sin(np.arange(len(loud)) / 7), 0.2 * loud, 0 * loud], axis=1),
        }
        for group, names in (("arkit", WEIGHTS), ("head", HEAD)):
            if group in groups:
                (home / group).mkdir(exist_ok=True)
                write_curve_table(home / group / f"{shot}.npz", curve_table(names, tables[group], float(FPS)))
        if "body" in groups:
            (home / "body").mkdir(exist_ok=True)
            turns = np.zeros((len(loud), 9))
            turns[:, 1], turns[:, 3:] = 90.0, np.stack([20 * loud, 10 * loud, -5 * loud] * 2, axis=1)
            write_bvh(home / "body" / f"{shot}.bvh", BODY, turns, FPS)
    return {"AUDIO_ROOT": str(home / "audio"), "CURVES_ROOT": {group: str(home / group) for group in groups}}


def write_curves_json(path: Path, fps: float, groups: Mapping[CurveGroup, np.ndarray]) -> None:
    """An animation's .json of groups' raw values (T, D), without a mesh."""
    face = FaceFiles(curves={group.name: group for group in groups}, has_mesh=False)
    shown = FaceAnimation(fps, {group.name: values for group, values in groups.items()})
    EXPORTERS["json"].write(path.with_suffix(""), Clip(shown, face))


def curves_dataset(homes: Sequence[Path], groups: Sequence[Sequence[str]] = ((),)) -> dict:
    """config_dataset of actors named after their folders, each with its groups (all, where none are given)."""
    written = {
        home.name: write_curves(home, own or ("arkit", "head", "body"), 10 * number)
        for number, (home, own) in enumerate(zip(homes, [*groups, *[()] * len(homes)], strict=False))
    }
    return {
        "ACTOR_NAMES": [*written],
        "CACHE_FPS": dict.fromkeys(written, float(FPS)),
        "SHOT_EMOTION_NAMES": ["neutral", "joy"],
        **{key: {name: values[key] for name, values in written.items()} for key in ("AUDIO_ROOT", "CURVES_ROOT")},
    }
