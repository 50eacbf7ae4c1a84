"""A small clean data set: a face of a few hundred vertices that speaks modulated noise, everything an actor can have."""

import json
from dataclasses import dataclass, field

import numpy as np
import soundfile

from audio2face.config import section_from_values

ACTOR = "tiny"
FPS, RATE = 30, 16000
SHOTS = ("a1_neutral", "a2_neutral", "a3_joy", "a4_neutral", "a5_joy", "a6_neutral")
NUM_FRAMES = 150
FACE_SIZE = (20, 22)  # grid of vertices; the lists' vertices come after it
LIPS_X = np.array([-1.2, 0.0, 1.2])


@dataclass
class FakeData:
    """The folder, and the config values that a test may change before `sections`."""

    home: object
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


def make_dataset(home):
    """Write the data set below `home` and return it."""
    face = Face()
    for folder in ("audio", "geom/skin", "geom/tongue", "xform"):
        (home / folder).mkdir(parents=True)
    jaw, eye = {}, {}
    for index, shot in enumerate(SHOTS):
        rng = np.random.default_rng(100 + index)
        seconds = NUM_FRAMES / FPS
        loudness = syllables(rng, seconds)
        noise = rng.normal(size=len(loudness)).astype(np.float32) * 0.12
        soundfile.write(home / f"audio/{shot}.wav", np.clip(noise * loudness, -0.9, 0.9), RATE, subtype="PCM_16")
        kernel = np.hanning(RATE // 8) / np.hanning(RATE // 8).sum()
        opening = np.convolve(loudness, kernel, "same")[((np.arange(NUM_FRAMES) + 0.5) / FPS * RATE).astype(int)]
        blink = np.zeros(NUM_FRAMES)
        blink[40:46] = [0.3, 0.8, 1, 0.8, 0.4, 0.1]
        smile = 0.2 if "joy" in shot else 0.0
        save(home / f"cache/skin/{shot}/{shot}.npy", face.pose(opening, blink, smile))
        save(home / f"cache/tongue/{shot}/{shot}.npy", face.tongue_pose(opening, rng))
        jaw[shot] = (opening[:, None, None] * face.jaw_way).astype(np.float32)
        eye[shot] = np.repeat(rng.normal(0, 3, (NUM_FRAMES // 10, 2, 2)), 10, axis=0).astype(np.float32)
    still = np.zeros(1)
    rest = face.pose(still, still, 0.0)[0]
    save(home / "geom/skin/neutral_pose.npy", rest)
    save(home / "geom/skin/lip_open_pose_delta.npy", face.pose(still + 0.4, still, 0.0)[0] - rest)
    save(home / "geom/skin/eye_close_pose_delta.npy", face.pose(still, still + 1, 0.0)[0] - rest)
    save(home / "geom/tongue/neutral_pose.npy", face.tongue)
    for name, content in face.lists().items():
        (home / "geom" / name).write_text(json.dumps(content))
    save(home / "xform/jaw_keypoints_neutral.npy", face.jaw)
    np.savez(home / "xform/jaw_keypoints_cache_all.npz", **jaw)
    np.savez(home / "xform/eye_rotations_all.npz", **eye)
    save(home / "xform/eye_blink_keys.npy", np.array([0, 0.5, 1, 1, 0.5, 0], np.float32))
    save(home / "xform/eye_saccade_rotations.npy", np.random.default_rng(1).normal(0, 1, (50, 2)).astype(np.float32))
    return FakeData(home, dataset_values(home), {"SKIN_PRUNE_SIM_DIST": 0.5}, train_values())


def dataset_values(home):
    paths = {
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
    values = {key: {ACTOR: str(home / place)} for key, place in paths.items()}
    return values | {"ACTOR_NAMES": [ACTOR], "CACHE_FPS": {ACTOR: float(FPS)}, "SHOT_EMOTION_NAMES": ["neutral", "joy"]}


def train_values():
    return {
        "CLIPS": [(ACTOR, shot, (0, NUM_FRAMES - 1), ACTOR, "en", f"{shot}.wav", 0) for shot in SHOTS],
        "VALIDATION_CLIPS": None,
        "AUG_MUTED_SHOTS": [],
        "PHONEME_FORCING_LANGS": ["en"],
    }


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
