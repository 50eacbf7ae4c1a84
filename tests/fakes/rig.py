"""A tiny blendshape rig with ARKit's shapes, and recordings of its curves with speech-like noise."""

import numpy as np

from audio2face.formats.scene import MorphMesh
from audio2face.formats.sound import write_sound
from fakes.actor import RATE, Face, syllables


class FakeRig:
    """Skin and tongue in centimetres; `shapes` {name: (V, 3)} of the skin."""

    def __init__(self):
        face = Face()
        still, one = np.zeros(1), np.ones(1)
        self.rest = face.pose(still, still, 0.0)[0].astype(np.float32)
        left = (self.rest[:, :1] > 0).astype(np.float32)
        smile = face.pose(still, still, 1.0)[0] - self.rest
        blink = face.pose(still, one, 0.0)[0] - self.rest
        brow = 0.3 * np.exp(-0.5 * ((self.rest[:, 1:2] - 7) / 1.5) ** 2) * [0, 1, 0.1]
        shapes = {
            "jawOpen": face.pose(one, still, 0.0)[0] - self.rest,
            "eyeBlink_L": blink * left,
            "eyeBlink_R": blink * (1 - left),
            "mouthSmile_L": smile * left,
            "mouthSmile_R": smile * (1 - left),
            "browInnerUp_L": brow * left,
            "browInnerUp_R": brow * (1 - left),
            "wrinkle": 0.1 * brow,
        }
        self.shapes = {name: np.asarray(delta, np.float32) for name, delta in shapes.items()}
        x, y = FACES
        corner = np.array([i * x + j for i in range(y - 1) for j in range(x - 1)])
        self.triangles = np.concatenate(
            [np.stack([corner, corner + 1, corner + x], 1), np.stack([corner + 1, corner + x + 1, corner + x], 1)]
        )
        self.tongue = face.tongue.astype(np.float32)
        self.tongue_open = np.tile(np.array([0, -0.8, 0], np.float32), (len(self.tongue), 1))

    def meshes(self):
        none = np.zeros((0, len(self.shapes)), np.float32)
        skin = MorphMesh(
            "head", self.rest, self.triangles, np.stack(list(self.shapes.values())), tuple(self.shapes), none
        )
        flat = np.array([[0, 1, 2]])
        tongue = MorphMesh("tongue", self.tongue, flat, self.tongue_open[None], ("jawOpen",), none[:, :1])
        return [skin, tongue]


FACES = (20, 22)
CURVES = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")


def curves(seed, num_frames, fps):
    """Weights {ARKit name: (T,)} in 0 … 1, eyes (T, 6) degrees, and samples whose loudness opens the jaw."""
    rng = np.random.default_rng(seed)
    loudness = syllables(rng, num_frames / fps)
    noise = rng.normal(size=len(loudness)) * 0.12
    kernel = np.hanning(RATE // 8) / np.hanning(RATE // 8).sum()
    smooth = np.convolve(loudness, kernel, "same")
    at = np.minimum(((np.arange(num_frames) + 0.5) / fps * RATE).astype(int), len(smooth) - 1)
    blink = np.zeros(num_frames)
    blink[20:26] = [0.3, 0.8, 1, 0.8, 0.4, 0.1]
    brow = 0.3 + 0.2 * np.sin(np.arange(num_frames) / 7)
    smile = np.full(num_frames, 0.2)
    values = dict(zip(CURVES, (np.clip(smooth[at], 0, 1), blink, blink, smile, smile, brow), strict=True))
    eyes = np.zeros((num_frames, 6))
    eyes[:, [0, 1, 3, 4]] = np.repeat(rng.normal(0, 3, (num_frames // 10 + 1, 2)), 10, axis=0)[
        :num_frames, [0, 1, 0, 1]
    ]
    return values, eyes, np.clip(noise * loudness, -0.9, 0.9).astype(np.float32)


def write_take(folder, name, seed, num_frames=90, fps=30, write=None):
    """A recording and its sound; returns the curves written."""
    from audio2face.formats.arkit_csv import write_arkit_csv

    folder.mkdir(parents=True, exist_ok=True)
    values, eyes, samples = curves(seed, num_frames, fps)
    write_arkit_csv(folder / f"{name}.csv", values, fps, eyes)
    write_sound(folder / f"{name}.wav", samples, RATE)
    return values
