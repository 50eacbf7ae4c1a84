"""A data set in the standard layout: which shots there are, and every file of one actor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.curve_table import curve_table, write_curve_table
from audio2face.formats.json_file import write_json
from audio2face.formats.sound import write_sound
from audio2face.paths import atomic
from tools.demo import head
from tools.demo.animate import BLINK, FPS, Motion, animate
from tools.demo.face import JAW_POINTS, Face, pose_jaw, pose_skin, pose_tongue, vertex_lists
from tools.demo.shapes import ARKIT
from tools.demo.speech import PAUSE, Phone, Speech, cached_speech, read_sentences
from tools.demo.surface import IDENTITIES
from tools.demo.tongue import TONGUE_POSES

EMOTION_CYCLE = ("neutral", "joy", "neutral", "anger")
PITCHES = (1.0, 1.15)  # the two voices
SHORTEST_S, LONGEST_S = 3.0, 7.8
BETWEEN_S, AFTER_S = 0.25, 0.35
HELD_OUT = "heldout"
SPEECH_CACHE = ".speech"


@dataclass(frozen=True)
class ShotPlan:
    """What a shot says: sentences {"text", "ipa"} in order, in the voice of that pitch, with an emotion."""

    name: str
    sentences: tuple[dict[str, str], ...]
    pitch: float
    emotion: str


def plan_shots(actor: str, count: int) -> list[ShotPlan]:
    """`count` shots named <actor>_<number>_<emotion>: each sentence alone, then joined to another; voices alternate."""
    sentences, _ = read_sentences()
    plans = []
    for i in range(count):
        first = sentences[i % len(sentences)]
        second = sentences[(i + len(sentences) // 2 + 1) % len(sentences)]
        emotion = EMOTION_CYCLE[i % len(EMOTION_CYCLE)]
        chosen = (first, second) if i % 3 == 2 else (first,)
        plans.append(ShotPlan(f"{actor}_{i:02d}_{emotion}", chosen, PITCHES[(i + i // 4) % 2], emotion))
    return plans


def held_out_plan() -> ShotPlan:
    """The sentence that is never trained on, in the first voice."""
    return ShotPlan(HELD_OUT, (read_sentences()[1],), PITCHES[0], "neutral")


def speak(plan: ShotPlan, voice: str, cache: Path) -> Speech:
    """The sound of a shot, between SHORTEST_S and LONGEST_S seconds long where its sentences allow."""
    parts = [cached_speech(sentence["ipa"], plan.pitch, voice, cache) for sentence in plan.sentences]
    while len(parts) > 1 and sum(p.duration_s + BETWEEN_S for p in parts) + AFTER_S > LONGEST_S:
        parts.pop()
    rate = parts[0].sample_rate
    phones: list[Phone] = []
    samples: list[np.ndarray] = []
    now = 0.0
    for i, part in enumerate(parts):
        after = BETWEEN_S if i + 1 < len(parts) else max(AFTER_S, SHORTEST_S - now - part.duration_s)
        silence = np.zeros(round(after * rate), np.float32)
        samples += [part.samples, silence]
        phones += [Phone(p.symbol, now + p.start_s, now + p.end_s, p.stress) for p in part.phones]
        end = now + part.duration_s + len(silence) / rate
        phones.append(Phone(PAUSE, now + part.duration_s, end))
        now = end
    return Speech(np.concatenate(samples), rate, tuple(phones))


def write_dataset(root: Path, actor: str, face: Face, plans: list[ShotPlan], voice: str, seed: int) -> Iterator[str]:
    """Write the data set of one actor under root/actor, yielding each shot's name when it is done.

    The same arguments always give the same files. Speech is kept in root/.speech for the next time.
    """
    home = root / actor
    cache = root / SPEECH_CACHE
    jaw, eyes, about = {}, {}, []
    for i, plan in enumerate([*plans, held_out_plan()]):
        speech = speak(plan, voice, cache)
        source = [seed, i if plan.name != HELD_OUT else 10_000]
        motion = animate(speech, plan.emotion, np.random.default_rng(source))
        folder = home / HELD_OUT if plan.name == HELD_OUT else home
        jaw_motion = _write_shot(folder, plan, speech, motion, face)
        write_curves(
            folder / "curves", plan.name, motion.skin, head.turn_head(speech, np.random.default_rng([*source, 1]))
        )
        about.append(_about(plan, speech, len(motion.skin)))
        if plan.name == HELD_OUT:
            _save(folder / "xform" / "jaw_keypoints.npy", jaw_motion)
            _save(folder / "xform" / "eye_rotations.npy", motion.eyes)
        else:
            jaw[plan.name], eyes[plan.name] = jaw_motion, motion.eyes
        yield plan.name
    _savez(home / "xform" / "jaw_keypoints_cache_all.npz", jaw)
    _savez(home / "xform" / "eye_rotations_all.npz", eyes)
    _save(home / "xform" / "jaw_keypoints_neutral.npy", JAW_POINTS)
    _save(home / "xform" / "eye_blink_keys.npy", BLINK)
    _save(home / "xform" / "eye_saccade_rotations.npy", _saccades(seed))
    _write_geometry(home, face)
    _write_blendshapes(home / "bs_data", face)
    write_json(
        home / "demo.json", {"identity": IDENTITIES.index(face.who), "voice": voice, "seed": seed, "shots": about}
    )


def _write_shot(home: Path, plan: ShotPlan, speech: Speech, motion: Motion, face: Face) -> np.ndarray:
    """Sound, phones, skin and tongue of a shot; returns the jaw's motion (T, 5, 3)."""
    for folder in ("audio", "phones", f"cache/skin/{plan.name}", f"cache/tongue/{plan.name}", "xform"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    write_sound(home / "audio" / f"{plan.name}.wav", speech.samples, speech.sample_rate)
    phones = [[p.symbol, round(p.start_s, 4), round(p.end_s, 4)] for p in speech.phones]
    write_json(home / "phones" / f"{plan.name}.json", phones)
    _save(home / "cache" / "skin" / plan.name / f"{plan.name}.npy", pose_skin(face, motion.skin))
    tongue = pose_tongue(face, motion.tongue, motion.skin[:, ARKIT.index("jawOpen")])
    _save(home / "cache" / "tongue" / plan.name / f"{plan.name}.npy", tongue)
    return pose_jaw(motion.skin)


def write_curves(home: Path, shot: str, weights: np.ndarray, angles: np.ndarray) -> None:
    """The groups "arkit", weights (T, 52), and "head", angles (T, 3) in radians."""
    for group, names, values in (("arkit", ARKIT, weights), ("head", head.NAMES, angles)):
        (home / group).mkdir(parents=True, exist_ok=True)
        write_curve_table(home / group / f"{shot}.npz", curve_table(names, values, float(FPS)))


def _about(plan: ShotPlan, speech: Speech, frames: int) -> dict[str, object]:
    text = " ".join(sentence["text"] for sentence in plan.sentences)
    return {"name": plan.name, "emotion": plan.emotion, "pitch": plan.pitch, "frames": frames, "text": text}


def _saccades(seed: int) -> np.ndarray:
    """Small eye movements (5000, 2) degrees at 30 fps: fixations of a quarter to one second."""
    rng = np.random.default_rng([seed, 20_000])
    stays = rng.integers(8, 30, 700)
    return np.repeat(rng.normal(0.0, 1.2, (700, 2)), stays, axis=0)[:5000]


def _write_geometry(home: Path, face: Face) -> None:
    skin, tongue = home / "geom" / "skin", home / "geom" / "tongue"

    def shape(*names: str) -> np.ndarray:
        return face.shapes[[ARKIT.index(name) for name in names]].sum(axis=0)

    _save(skin / "neutral_pose.npy", face.neutral)
    _save(skin / "eye_close_pose_delta.npy", shape("eyeBlinkLeft", "eyeBlinkRight"))
    lips = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
    _save(skin / "lip_open_pose_delta.npy", shape(*lips))
    _save(skin / "triangles.npy", face.mesh.triangles, np.int32)
    for name, content in vertex_lists(face).items():
        write_json(skin / f"{name}.json", content)
    _save(tongue / "neutral_pose.npy", face.tongue.neutral)
    _save(tongue / "triangles.npy", face.tongue.triangles, np.int32)
    write_json(tongue / "rigid_vertex_list.json", [int(v) for v in face.tongue.rigid])


def _write_blendshapes(folder: Path, face: Face) -> None:
    front = np.flatnonzero(face.neutral[:, 2] > 1.5).astype(np.int32)
    inactive = {"tongueOut"}  # moves the tongue only
    skin = dict(zip(ARKIT, face.shapes, strict=True))
    tongue = dict(zip(TONGUE_POSES, face.tongue_shapes, strict=True))
    for kind, neutral, poses in (("skin", face.neutral, skin), ("tongue", face.tongue.neutral, tongue)):
        arrays = {"poseNames": np.array(["neutral", *poses], "S"), "neutral": neutral.astype(np.float32)}
        arrays |= {name: np.ascontiguousarray(delta, np.float32) for name, delta in poses.items()}
        if kind == "skin":
            arrays["frontalMask"] = front
        arrays["rig_version"] = np.array(["demo-1"], "S")
        _savez(folder / f"bs_{kind}.npz", arrays, dtype=None)
        active = [int(name not in inactive) for name in poses]
        write_json(folder / f"bs_{kind}_config.json", {"blendshape_params": _solver(list(poses), active, neutral)})


def _solver(poses: list[str], active: list[int], neutral: np.ndarray) -> dict[str, object]:
    """Solver settings: left and right are drawn together; nothing excludes anything."""
    count = len(poses)
    pairs = [-1] * count
    for i, name in enumerate(poses):
        if "Left" in name and name.replace("Left", "Right") in poses:
            pairs[i] = pairs[poses.index(name.replace("Left", "Right"))] = i
    return {
        "strengthL1regularization": 0.01,
        "strengthL2regularization": 0.02,
        "strengthTemporalSmoothing": 0.002,
        "strengthSymmetry": 0.02,
        "templateBBSize": round(float(np.linalg.norm(np.ptp(neutral, axis=0))), 4),
        "numPoses": count,
        "bsSolveActivePoses": active,
        "bsSolveCancelPoses": [-1] * count,
        "bsSolveSymmetryPoses": pairs,
        "bsWeightMultipliers": [1.0] * count,
        "bsWeightOffsets": [0.0] * count,
    }


def _save(path: Path, array: np.ndarray, dtype: type = np.float32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial, open(partial, "wb") as file:
        np.save(file, np.ascontiguousarray(array, dtype))


def _savez(path: Path, arrays: dict[str, np.ndarray], dtype: type | None = np.float32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez(file, **{k: np.ascontiguousarray(v, dtype) for k, v in arrays.items()})
