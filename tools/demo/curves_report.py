"""How well curves of the demo's held-out sentence were met: figures, a film of captured and predicted heads, and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import find_peaks

from audio2face.face.rotations import geodesic_degrees
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.json_file import read_json
from audio2face.problems import UserError
from audio2face.render import contact_sheet
from audio2face.render.curves_film import Take, curves_film, draw_takes
from audio2face.render.head import head_turns
from tools.demo.head import NAMES, TURN

NOD_DEG = 2.0  # a dip of the head's pitch of at least this is a nod
NEAR_S = 0.1  # nods nearer than this are the same
SIZE = (416, 464)


@dataclass(frozen=True)
class Curves:
    """The sentence: weights (T, P) of `names`, and the head's angles (T, 3) in radians as tools.demo.head.NAMES."""

    weights: np.ndarray
    names: tuple[str, ...]
    head: np.ndarray

    def cut(self, frames: int) -> Curves:
        return Curves(self.weights[:frames], self.names, self.head[:frames])

    def weight(self, name: str) -> np.ndarray:
        """One weight (T,)."""
        return self.weights[:, self.names.index(name)]

    def take(self, title: str) -> Take:
        return Take(title, self.weights, self.names, head_turns(TURN, self.head))


def read_truth(home: Path, stem: str) -> Curves:
    """The held-out truth below `home`. Raises UserError when the sentence is not the demo's."""
    paths = [home / "curves" / group / f"{stem}.npz" for group in ("arkit", "head")]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UserError([f"no truth to compare with: {path} is missing" for path in missing])
    arkit, head = (read_curve_table(path) for path in paths)
    return Curves(arkit.values, arkit.names, head.values)


def read_prediction(folder: Path, stem: str) -> Curves:
    """The animation of `stem` that run_inference.py wrote to a run folder. Raises UserError when it is not there."""
    found = sorted(folder.glob(f"{stem}_*_names.json"))
    if not found:
        raise UserError(f'{folder} has no animation of {stem}: put "npy" into OUTPUT_FORMATS and run run_inference.py')
    names, base = read_json(found[-1]), str(found[-1]).removesuffix("_names.json")
    head = np.load(f"{base}_head.npy")[:, [names["head"].index(name) for name in NAMES]]
    return Curves(np.load(f"{base}_arkit.npy"), tuple(names["arkit"]), head)


def compare(truth: Curves, prediction: Curves, fps: float) -> dict[str, float]:
    """Figures of two animations of one length: the jaw, the head's angle, and whether it nods when it should.

    "still" is the error of a head that keeps its mean turn. Nods are dips of the pitch by NOD_DEG or more.
    """
    jaws = truth.weight("jawOpen"), prediction.weight("jawOpen")
    true, ours = (TURN.matrices(curves.head) for curves in (truth, prediction))
    still = TURN.matrices(np.repeat(truth.head.mean(axis=0, keepdims=True), len(truth.head), axis=0))
    wanted, given = (nods(curves.head, fps) for curves in (truth, prediction))
    met = sum(bool(np.any(np.abs(given - at) <= NEAR_S * fps)) for at in wanted)
    extra = sum(not np.any(np.abs(wanted - at) <= NEAR_S * fps) for at in given)
    pitch = truth.head[:, 1], prediction.head[:, 1]
    return {
        "jaw_open_correlation": round(float(np.corrcoef(*jaws)[0, 1]), 4),
        "head_error_degrees": round(float(geodesic_degrees(true, ours).mean()), 3),
        "still_head_error_degrees": round(float(geodesic_degrees(true, still).mean()), 3),
        "head_pitch_correlation": round(float(np.corrcoef(*pitch)[0, 1]), 4),
        "nods": len(wanted),
        "nods_met": met,
        "nods_not_in_the_truth": extra,
        "frames": len(truth.weights),
    }


def nods(head: np.ndarray, fps: float) -> np.ndarray:
    """Frames (n,) in which the head, angles (T, 3) in radians, is at the bottom of a nod."""
    return find_peaks(-np.degrees(head[:, 1]), prominence=NOD_DEG, distance=max(1, round(NEAR_S * fps)))[0]


def tell(figures: dict[str, float]) -> list[str]:
    """The figures in words."""
    return [
        f"  correlation of jawOpen with the truth      {figures['jaw_open_correlation']:.3f}",
        f"  mean error of the head's turn              {figures['head_error_degrees']:.2f}° "
        f"(a head that holds still: {figures['still_head_error_degrees']:.2f}°)",
        f"  correlation of its nodding (pitch)         {figures['head_pitch_correlation']:.3f}",
        f"  nods with stressed syllables               {figures['nods_met']} of {figures['nods']} within "
        f"{NEAR_S:g} s, and {figures['nods_not_in_the_truth']} where there are none",
    ]


def draw(
    out: Path, name: str, takes: dict[str, Curves], moments: dict[int, str], fps: float, sound: tuple[np.ndarray, int]
) -> list[Path]:
    """Write the film and the contact sheet of the takes, side by side and one above the other; returns their paths."""
    film, sheet = out / f"{name}.mp4", out / f"{name}.png"
    curves_film(film, [curves.take(title) for title, curves in takes.items()], fps, sound, SIZE)
    chosen = np.array(list(moments))
    rows = []
    for curves in takes.values():
        still = Curves(curves.weights[chosen], curves.names, curves.head[chosen])
        rows.append(list(draw_takes([still.take("")], (220, 260))))
    contact_sheet(sheet, [np.concatenate(column) for column in zip(*rows, strict=True)], 6, list(moments.values()))
    return [film, sheet]
