"""Files of curves without a mesh, as tracks: weights and head angles on the built-in head, BVH and SMPL-X as a skeleton."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_kinds import choose_columns, guess_blocks, percent_columns
from audio2face.face import rotations, skeleton
from audio2face.face.body_skin import BoundBody
from audio2face.face.curves import CurveGroup
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import CurveTable, read_curve_table
from audio2face.formats.npy import read_npz
from audio2face.formats.smplx import SKELETON, read_smplx
from audio2face.inference.keys import KEYS
from audio2face.inference.raw import ENDING as RAW_ENDING
from audio2face.listing import natural_order
from audio2face.render.curves_film import posed_parts
from audio2face.render.head import head_turns
from audio2face.types import Skeleton
from audio2face.viewer.heads import curves_track
from audio2face.viewer.tracks import AnimationStream

SUFFIXES = (".csv", ".tsv", ".npz", ".bvh")
SMPLX_ARRAYS = {"poses", "global_orient", "root_orient"}


def find_curves(place: Path) -> dict[str, tuple[Path, ...]]:
    """Files of curves by name, a table and a body of the same name together, of a file or a folder."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in [place] if place.is_file() else natural_order(place.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.endswith((RAW_ENDING, KEYS)):
            found[path.stem] = (*found.get(path.stem, ()), path)
    return found


def bones_of(paths: Iterable[Path]) -> np.ndarray | None:
    """The bones (B, 2) of a body among the files, None without one. Raises ValueError for a file that is damaged."""
    body = next((p for p in paths if is_body(p)), None)
    return None if body is None else skeleton.bones(_read_body(body, 1.0)[0])


def curve_files_track(paths: Iterable[Path], fps: float, mesh: BodyMesh | None = None) -> AnimationStream:
    """One animation of tables and a body, cut to the shortest; `fps` of tables that tell no rate. Of what several tables have the
    first counts. A `mesh` is shown on the body whose joints have the names of its bones.

    Raises ValueError for files that are damaged, or hold neither weights nor the head's rotation nor a body.
    """
    parts: dict[str, tuple[np.ndarray, float]] = {}  # frames and their rate
    bound: BoundBody | None = None
    names: tuple[str, ...] = ()
    for path in paths:
        if is_body(path):
            body, turns, places, rate = _read_body(path, fps)
            figure = posed_parts(body, turns, places, mesh)
            bound = figure.get("body")
            with np.errstate(over="ignore"):
                parts |= {
                    name: (figure[name].astype(np.float32), rate) for name in ("joints", "turns") if name in figure
                }
            if not np.isfinite(parts["joints"][0]).all(axis=(1, 2)).any():
                raise ValueError(f"{path}: its joints lie too far away to be shown")
        else:
            table = read_curve_table(path)
            if not len(table.values):
                raise ValueError(f"{path}: it has no frames")
            rate = table.fps or fps
            found, own = _of_table(_even(table, rate))
            if not found:
                few = ", ".join(table.names[:5])
                raise ValueError(f"{path}: expected ARKit's weights, or yaw, pitch and roll of the head; found {few}")
            names = names if "weights" in parts else own
            parts = {key: (frames, rate) for key, frames in found.items()} | parts
    rate = max(rate for _, rate in parts.values())
    seconds = min(len(frames) / own for frames, own in parts.values())
    at_s = np.arange(max(1, round(seconds * rate))) / rate
    even = {
        key: frames[np.minimum((at_s * own + 1e-6).astype(int), len(frames) - 1)]
        for key, (frames, own) in parts.items()
    }
    return curves_track(
        rate,
        even.get("weights"),
        names,
        even.get("rotation"),
        joints=even.get("joints"),
        start_s=0.5 / rate,
        body=bound,
        turns=even.get("turns"),
    )


def is_body(path: Path) -> bool:
    """Whether a file is the motion of a skeleton."""
    return path.suffix.lower() == ".bvh" or (path.suffix.lower() == ".npz" and bool(SMPLX_ARRAYS & set(read_npz(path))))


def _read_body(path: Path, fps: float) -> tuple[Skeleton, np.ndarray, np.ndarray, float]:
    """A skeleton, its pose as `skeleton.positions` takes it, and the rate of the frames, `fps` where the file tells none."""
    if path.suffix.lower() == ".bvh":
        body, values, frame_time_s = read_bvh(path)
        return body, *skeleton.pose_from_values(body, values), 1 / frame_time_s
    motion = read_smplx(path)
    return SKELETON, rotations.from_axis_angle(motion.axis_angle), motion.translation, motion.fps or fps


def _of_table(table: CurveTable) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """{"weights": (T, P), "rotation": (T, 3, 3)} as far as a table has them, and the weights' names; gaps are filled."""
    found: dict[str, np.ndarray] = {}
    face = choose_columns(table, "arkit", shared=True)
    if face.names:
        scale = 0.01 if percent_columns(face) else 1.0
        group = CurveGroup("arkit", guess_blocks(face.names, kind={"kind": "weights"}))
        found["weights"] = scale * group.encode(face.values, face.valid)[0]
    head = choose_columns(table, "head", shared=True)
    blocks = guess_blocks(head.names, head.values, head.valid) if head.names else ()
    turn = next((block for block in blocks if block.kind == "rotation"), None)
    if turn is not None:
        columns = [head.names.index(name) for name in turn.names]
        six = CurveGroup("head", (turn,)).encode(head.values[:, columns], head.valid[:, columns])[0]
        found["rotation"] = head_turns(turn, turn.turned(rotations.from_six(six)))
    return found, face.names


def _even(table: CurveTable, fps: float) -> CurveTable:
    """A table with a row for every frame: where rows are lost, the nearest takes their place."""
    if table.times_s is None or len(table.times_s) < 2:
        return table
    times = table.times_s - table.times_s[0]
    frames = np.arange(round(float(times[-1]) * fps) + 1) / fps
    rows = np.rint(np.interp(frames, times, np.arange(len(times)))).astype(int)
    return replace(table, values=table.values[rows], valid=table.valid[rows], times_s=None)
