"""Made-up actors: a small face that speaks modulated noise, or a blob that opens where its sound is loud.

`actor(folder)` writes all that is captured of one; `project` in fakes/project.py writes configs for several.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import soundfile

from audio2face.config import section_from_values

ACTOR = "tiny"
FPS, RATE = 30, 16000
SHOTS = ("a1_neutral", "a2_neutral", "a3_joy", "a4_neutral", "a5_joy", "a6_neutral")
NUM_FRAMES = 150
BLOB_SHOTS, BLOB_FRAMES = ("one_neutral", "two_joy"), 60
FACE_SIZE = (20, 22)  # grid of vertices; the lists' vertices come after it
LIPS_X = np.array([-1.2, 0.0, 1.2])
KEYS = {
    "AUDIO_ROOT": "audio",
    "SKIN_CACHE_ROOT": "cache/skin",
    "SKIN_NEUTRAL_FPATH": "geom/skin/neutral_pose.npy",
    "SKIN_LIP_OPEN_POSE_DELTA_FPATH": "geom/skin/lip_open_pose_delta.npy",
    "SKIN_EYE_CLOSE_POSE_DELTA_FPATH": "geom/skin/eye_close_pose_delta.npy",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH": "geom/skin/lip_dist_vertex_list.json",
    "SKIN_LIP_SIZE_VERTEX_LIST_FPATH": "geom/skin/lip_size_vertex_list.json",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH": "geom/skin/eye_dist_vertex_list.json",
    "TONGUE_CACHE_ROOT": "cache/tongue",
    "TONGUE_NEUTRAL_FPATH": "geom/tongue/neutral_pose.npy",
    "TONGUE_RIGID_VERTEX_LIST_FPATH": "geom/tongue/rigid_vertex_list.json",
    "JAW_KEYPOINTS_NEUTRAL_FPATH": "xform/jaw_keypoints_neutral.npy",
    "JAW_ANIM_DATA_FPATH": "xform/jaw_keypoints_cache_all.npz",
    "EYE_ANIM_DATA_FPATH": "xform/eye_rotations_all.npz",
    "EYE_BLINK_KEYS_FPATH": "xform/eye_blink_keys.npy",
    "EYE_SACCADE_ROTATIONS_FPATH": "xform/eye_saccade_rotations.npy",
}


@dataclass
class FakeActor:
    """The folder, and the config values that a test may change before `sections`."""

    home: Path
    dataset: dict = field(default_factory=dict)
    preproc: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)

    def sections(self):
        given = {"dataset": self.dataset, "preproc": self.preproc, "train": self.train}
        return {kind: section_from_values(kind, values) for kind, values in given.items()}

    def skin(self, shot=SHOTS[0]):
        return self.home / f"cache/skin/{shot}/{shot}.npy"

    def tongue(self, shot=SHOTS[0]):
        return self.home / f"cache/tongue/{shot}/{shot}.npy"

    def sound(self, shot=SHOTS[0]):
        return self.home / f"audio/{shot}.wav"

    def edit(self, path, change):
        """Replace the array of a .npy by change(array)."""
        np.save(path, change(np.load(path)))

    def edit_all(self, change, pattern="cache/skin/*/*.npy"):
        for path in sorted(self.home.glob(pattern)):
            self.edit(path, change)

    def edit_sound(self, change, shot=SHOTS[0], rate=RATE):
        """Replace a sound's samples (N, C) by change(samples)."""
        samples, _ = soundfile.read(self.sound(shot), always_2d=True, dtype="float32")
        soundfile.write(self.sound(shot), change(samples), rate, subtype="PCM_16")

    def edit_npz(self, name, change):
        """Replace the dict of arrays of xform/<name> by change(dict)."""
        with np.load(self.home / "xform" / name) as stored:
            arrays = dict(stored)
        np.savez(self.home / "xform" / name, **change(arrays))

    def edit_json(self, name, change):
        path = self.home / "geom" / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))


@dataclass(frozen=True)
class Take:
    """What was captured of a shot: sound (N,) and, per frame, skin, tongue, jaw key points and eye rotations."""

    sound: np.ndarray
    skin: np.ndarray
    tongue: np.ndarray
    jaw: np.ndarray
    eye: np.ndarray


def actor(
    home: Path,
    shots: Sequence[str] | None = None,
    who: Face | Blob | None = None,
    *,
    tongue: bool = True,
    jaw: bool | None = None,
) -> FakeActor:
    """Write an actor's files into the folder `home`. `jaw`: with jaw and eyes, which a face has and a blob has not."""
    who = who or Face()
    shots = shots or who.shots
    for folder in ("audio", "geom/skin", "geom/tongue", "xform"):
        (home / folder).mkdir(parents=True)
    takes = {shot: who.take(index, shot) for index, shot in enumerate(shots)}
    for shot, take in takes.items():
        soundfile.write(home / f"audio/{shot}.wav", take.sound, RATE, subtype="PCM_16")
        save(home / f"cache/skin/{shot}/{shot}.npy", take.skin)
        if tongue:
            save(home / f"cache/tongue/{shot}/{shot}.npy", take.tongue)
    for place, content in who.geometry().items():
        if tongue or not place.startswith("geom/tongue"):
            write = save if place.endswith(".npy") else write_list
            write(home / place, content)
    if isinstance(who, Face) if jaw is None else jaw:
        np.savez(home / KEYS["JAW_ANIM_DATA_FPATH"], **{shot: np.float32(take.jaw) for shot, take in takes.items()})
        np.savez(home / KEYS["EYE_ANIM_DATA_FPATH"], **{shot: np.float32(take.eye) for shot, take in takes.items()})
    return FakeActor(home, dataset_values([home]), {"SKIN_PRUNE_SIM_DIST": 0.5}, train_values(home.name, shots))


def dataset_values(homes: Sequence[Path], shown: PurePath | None = None) -> dict:
    """config_dataset of the actors in these folders, for the files that are there; `shown`: what configs call the parent."""
    values: dict = {}
    for key, place in KEYS.items():
        found = [home for home in homes if (home / place).exists()]
        values[key] = {home.name: str((shown or home.parent) / home.name / place) for home in found}
    names = [home.name for home in homes]
    rates = dict.fromkeys(names, float(FPS))
    return values | {"ACTOR_NAMES": names, "CACHE_FPS": rates, "SHOT_EMOTION_NAMES": ["neutral", "joy"]}


def train_values(name: str, shots: Sequence[str]) -> dict:
    """config_train of a face that speaks English, all of whose shots are clips."""
    return {
        "CLIPS": [(name, shot, (0, NUM_FRAMES - 1), name, "en", f"{shot}.wav", 0) for shot in shots],
        "VALIDATION_CLIPS": None,
        "AUG_MUTED_SHOTS": [],
        "PHONEME_FORCING_LANGS": ["en"],
    }


def write_list(path: Path, content) -> None:
    path.write_text(json.dumps(content))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(array, np.float32))


def syllables(rng, seconds):
    """Loudness over samples: bumps of a quarter of a second at irregular distances, with pauses."""
    time = np.arange(int(seconds * RATE)) / RATE
    loudness, at = np.full(len(time), 0.01), 0.25
    while at < seconds - 0.2:
        width = rng.uniform(0.06, 0.1)
        loudness += rng.uniform(0.5, 1.0) * np.exp(-0.5 * ((time - at) / width) ** 2)
        at += rng.uniform(0.22, 0.6)
    return loudness.astype(np.float32)


class Face:
    """Half an egg of 20 x 22 vertices in centimetres, y up, z forward; lips, rims and lids as single vertices after it."""

    shots = SHOTS

    def __init__(self):
        x, y = np.meshgrid(np.linspace(-7, 7, FACE_SIZE[0]), np.linspace(-11, 11, FACE_SIZE[1]))
        grid = np.stack([x, y, 9 * np.sqrt(np.maximum(0, 1.02 - (x / 8) ** 2 - (y / 12) ** 2))], axis=-1).reshape(-1, 3)
        parts = {"upper": -3.98, "lower": -4.02, "rim_top": -3.2, "rim_bottom": -4.8}
        lips = {name: np.stack([LIPS_X, np.full(3, height), np.full(3, 9.0)], axis=1) for name, height in parts.items()}
        lids = {
            name: np.array([[3.0, height, 7.5], [-3.0, height, 7.5]]) for name, height in (("up", 4.4), ("low", 3.6))
        }
        self.points = np.concatenate([grid, *lips.values(), *lids.values()])
        start = len(grid)
        self.place = {name: list(range(start + 3 * i, start + 3 * i + 3)) for i, name in enumerate(lips)}
        start += 12
        self.place |= {"lid_up": [start, start + 1], "lid_low": [start + 2, start + 3]}
        below = np.clip((-4.5 - grid[:, 1]) / 3, 0, 1) * (grid[:, 2] > 3)
        self.drop = np.concatenate([below, np.zeros(3), np.ones(3), np.zeros(3), np.ones(3), np.zeros(4)])
        self.smile = np.exp(-0.5 * ((self.points[:, 1] + 3) / 2) ** 2) * np.sign(self.points[:, 0])
        rng = np.random.default_rng(5)
        self.tongue = rng.uniform([-1.5, -5.5, 1], [1.5, -4, 7], (30, 3))
        self.root = np.argsort(self.tongue[:, 2])[:8]
        self.jaw = np.array([[-3, -5, 4], [3, -5, 4], [0, -5, 8], [-2, -6, 5], [2, -6, 5.5]])
        self.jaw_way = np.array([[0, -0.3, 0], [0, -0.3, 0], [0, -1.5, -0.3], [0, -0.5, -0.1], [0, -0.6, -0.1]])

    def take(self, index: int, shot: str) -> Take:
        """A shot; it smiles when it is named after joy."""
        rng, frames = np.random.default_rng(100 + index), NUM_FRAMES
        loudness = syllables(rng, frames / FPS)
        noise = rng.normal(size=len(loudness)).astype(np.float32) * 0.12
        kernel = np.hanning(RATE // 8) / np.hanning(RATE // 8).sum()
        opening = np.convolve(loudness, kernel, "same")[((np.arange(frames) + 0.5) / FPS * RATE).astype(int)]
        blink = np.zeros(frames)
        blink[40:46] = [0.3, 0.8, 1, 0.8, 0.4, 0.1]
        tongue = self.tongue_pose(opening, rng)
        eye = np.repeat(rng.normal(0, 3, (frames // 10, 2, 2)), 10, axis=0)
        skin = self.pose(opening, blink, 0.2 if "joy" in shot else 0.0)
        return Take(np.clip(noise * loudness, -0.9, 0.9), skin, tongue, opening[:, None, None] * self.jaw_way, eye)

    def geometry(self) -> dict:
        """{file below the actor's folder: array or list of vertices} of the actor at rest."""
        still = np.zeros(1)
        rest = self.pose(still, still, 0.0)[0]
        return {
            "geom/skin/neutral_pose.npy": rest,
            "geom/skin/lip_open_pose_delta.npy": self.pose(still + 0.4, still, 0.0)[0] - rest,
            "geom/skin/eye_close_pose_delta.npy": self.pose(still, still + 1, 0.0)[0] - rest,
            "geom/tongue/neutral_pose.npy": self.tongue,
            "xform/jaw_keypoints_neutral.npy": self.jaw,
            "xform/eye_blink_keys.npy": np.array([0, 0.5, 1, 1, 0.5, 0]),
            "xform/eye_saccade_rotations.npy": np.random.default_rng(1).normal(0, 1, (50, 2)),
            **{f"geom/{name}": vertices for name, vertices in self.lists().items()},
        }

    def pose(self, opening, blink, smile):
        """Mouth opening (T,) in 0 ... 1, blink (T,), smile: (T, V, 3)."""
        frames = np.repeat(self.points[None], len(opening), axis=0)
        frames[:, :, 1] -= 1.6 * opening[:, None] * self.drop
        frames[:, :, 2] -= 0.4 * opening[:, None] * self.drop
        frames[:, :, 0] += smile * self.smile
        frames[:, self.place["lid_up"], 1] -= 0.75 * blink[:, None]
        return frames

    def tongue_pose(self, opening, rng):
        """The tongue follows the jaw; its tip curls."""
        frames = np.repeat(self.tongue[None], len(opening), axis=0)
        frames[:, :, 1] -= 0.8 * opening[:, None]
        curl = np.convolve(rng.normal(size=len(opening)), np.ones(9) / 9, "same")
        free = np.clip((self.tongue[:, 2] - np.sort(self.tongue[:, 2])[8]) / 3, 0, 1)
        frames[:, :, 1] += curl[:, None] * free
        frames[:, :, 0] *= 1 + 0.5 * curl[:, None] * free
        return frames

    def triangles(self):
        """Faces (F, 3) of the grid that look outward."""
        a = np.arange(len(self.points[: FACE_SIZE[0] * FACE_SIZE[1]])).reshape(FACE_SIZE[::-1])[:-1, :-1].ravel()
        b, c, d = a + 1, a + FACE_SIZE[0], a + FACE_SIZE[0] + 1
        return np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])

    def lists(self):
        place = self.place
        return {
            "skin/lip_dist_vertex_list.json": {"upper": place["upper"], "lower": place["lower"]},
            "skin/lip_size_vertex_list.json": {
                "upper_lip": {"top": place["rim_top"], "bottom": place["upper"]},
                "lower_lip": {"top": place["lower"], "bottom": place["rim_bottom"]},
            },
            "skin/eye_dist_vertex_list.json": {"upper": place["lid_up"], "lower": place["lid_low"]},
            "tongue/rigid_vertex_list.json": [int(v) for v in self.root],
        }


class Blob:
    """40 points of skin and 12 of tongue with `motions` independent motions, the first of which follows the loudness.

    It looks like no face, so projects of it skip the checks of the data.
    """

    shots = BLOB_SHOTS

    def __init__(self, seed: int, motions: int):
        self.rng = rng = np.random.default_rng(seed)
        self.seed = seed
        self.rest = rng.normal(size=(40, 3)).astype(np.float32) * 5
        self.motions = rng.normal(size=(motions, 40, 3)).astype(np.float32)
        self.tongue, self.curl = (rng.normal(size=(12, 3)).astype(np.float32) for _ in range(2))

    def take(self, index: int, shot: str) -> Take:
        """A shot of a tone; skin and tongue follow it, jaw and eyes move at random."""
        rng, frames = self.rng, BLOB_FRAMES
        time = np.arange(frames)
        loud = np.abs(np.sin(time / 5 + rng.uniform(0, 3)))
        envelope = np.interp(np.arange(RATE * frames // FPS) / RATE * FPS - 0.5, time, loud)
        tone = np.sin(2 * np.pi * 220 * np.arange(len(envelope)) / RATE)
        weights = rng.normal(size=(frames, len(self.motions))).cumsum(axis=0) * 0.05
        weights[:, 0] = loud
        skin = self.rest + np.einsum("ts,svc->tvc", weights, self.motions)
        tongue = self.tongue + loud[:, None, None] * 0.2 * self.curl
        other = np.random.default_rng([self.seed, index])
        jaw, eye = other.normal(size=(frames, 5, 3)), other.normal(size=(frames, 2, 2))
        return Take(0.5 * envelope * tone, skin, tongue, jaw, eye)

    def geometry(self) -> dict:
        """{file below the actor's folder: array or list of vertices} of the actor at rest."""
        return {
            "geom/skin/neutral_pose.npy": self.rest,
            "geom/skin/lip_dist_vertex_list.json": {"upper": [0, 1], "lower": [2, 3]},
            "geom/skin/eye_dist_vertex_list.json": {"upper": [4, 5], "lower": [6, 7]},
            "geom/tongue/neutral_pose.npy": self.tongue,
            "geom/tongue/rigid_vertex_list.json": [0, 1, 2, 3],
        }
