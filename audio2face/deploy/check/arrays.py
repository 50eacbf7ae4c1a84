"""Arrays of model_data.npz and implicit_emo_db.npz: presence, type, size, values."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.deploy.check.npz_walk import Member, walk
from audio2face.deploy.check.rules import brief
from audio2face.postprocess.jaw import key_point_problem
from audio2face.problems import Problems

_BYTES = re.compile(r"\|S[1-9]\d*")
_LONGEST_TEXT_LIST = 2**20


@dataclass(frozen=True)
class Npz:
    """An npz file of the model: readers report what is wrong with an array and return it, or None."""

    members: dict[str, Member]
    file: str
    report: Problems

    @classmethod
    def open(cls, path: Path, file: str, report: Problems) -> Npz:
        """Read the file's headers; what is wrong with it goes to `report`."""
        return cls(walk(path, file, report), file, report)

    def wrong(self, rule: str, message: str) -> None:
        """Report a problem of this file."""
        self.report.error(rule, message, file=self.file)

    def member(self, name: str) -> Member | None:
        """The array `name`, whatever its type; None when it is missing."""
        if name not in self.members:
            self.wrong("array-missing", f"there is no array {brief(name)} that the runtime could read")
        return self.members.get(name)

    def typed(self, name: str, dtype: str) -> Member | None:
        """The array `name` when it has exactly this type and C order."""
        member = self.member(name)
        if member is None:
            return None
        if member.dtype != dtype:
            self.wrong("dtype", f"{brief(name)} has dtype {member.dtype}, the runtime takes its bytes for {dtype}")
        if member.fortran:
            self.wrong("order", f"{brief(name)} is in Fortran order; write np.ascontiguousarray of it")
        return member if member.dtype == dtype and not member.fortran else None

    def floats(self, name: str, size: int | None = None, of: str = "") -> np.ndarray | None:
        """float32 values, flat, finite, `size` of them (as `of` says)."""
        member = self.typed(name, "<f4")
        if member is None:
            return None
        if size is not None and member.size != size:
            self.wrong("array-size", f"{brief(name)} has {member.size} values {brief(member.shape)}, {of} says {size}")
            return None
        if not member.all_finite():
            self.wrong("not-finite", f"{brief(name)} holds NaN or infinity")
            return None
        return member.values()

    def vector(self, name: str, dtype: str) -> np.ndarray | None:
        """Values of an array that must have one dimension."""
        member = self.typed(name, dtype)
        if member is None:
            return None
        if len(member.shape) != 1:
            self.wrong("array-shape", f"{brief(name)} has shape {brief(member.shape)}, it must have one dimension")
            return None
        return member.values()

    def names(self, name: str) -> list[bytes] | None:
        """A list of byte strings, each as the runtime reads it: up to its first NUL."""
        member = self.members.get(name)
        if member is not None and not _BYTES.fullmatch(member.dtype):
            self.wrong("dtype", f"{brief(name)} has dtype {member.dtype}; write np.array(names, dtype='S')")
            return None
        if member is not None and member.size > _LONGEST_TEXT_LIST:
            self.wrong("array-size", f"{brief(name)} has {member.size} names")
            return None
        values = self.vector(name, member.dtype if member else "|S1")
        return None if values is None else [bytes(item).split(b"\0")[0] for item in values.tolist()]


def check_model_data(data: Npz, sizes: dict[str, int], regression: bool) -> dict[str, np.ndarray]:
    """Rules of model_data.npz. `sizes`: the known sizes of skin, tongue, jaw and, for regression, the component counts.

    Returns the arrays that are sound, flat.
    """
    for name, member in data.members.items():  # the loader takes every array in the file for float32
        data.typed(name, "<f4")
        if member.dtype == "<f4" and not member.all_finite():
            data.wrong("not-finite", f"{brief(name)} holds NaN or infinity")
    found = {name: data.floats(name, size, "network_info.json") for name, size in _wanted(sizes, regression).items()}
    sound = {name: values for name, values in found.items() if values is not None}
    neutral = sound.get("shapes_mean_skin" if regression else "neutral_skin")
    if neutral is not None and neutral.size and neutral.size % 3 == 0 and np.ptp(neutral[1::3]) <= 0:
        data.wrong("neutral-height", "the neutral skin has no extent along Y")
    _check_jaw(data, sound.get("neutral_jaw"), sizes.get("jaw"))
    saccades = sound.get("saccade_rot_matrix")
    if saccades is not None:
        shape = data.members["saccade_rot_matrix"].shape
        if saccades.size == 0 or saccades.size % 2 or (len(shape) == 2 and shape[1] != 2):
            data.wrong("saccade-table", f"saccade_rot_matrix has shape {brief(shape)}, it must be (n, 2) with n >= 1")
        elif not saccades.any():
            data.report.info("note", "saccade_rot_matrix is all zeros: the eyes make no saccades", file=data.file)
    for name, key in (("eye_close_pose_delta", "eyelid_open_offset"), ("lip_open_pose_delta", "lip_open_offset")):
        if name in sound and neutral is not None and holds_positions(sound[name], neutral):
            data.wrong("pose-deltas", f"{name} holds positions, not offsets from the neutral skin")
        if name in sound and not sound[name].any():
            data.report.info("note", f"{name} is all zeros: {key} has no effect", file=data.file)
    return sound


def holds_positions(offsets: np.ndarray, neutral: np.ndarray) -> bool:
    """Whether `offsets` from `neutral` are really positions: of the same size, and far nearer to it than to zero."""
    if offsets.size != neutral.size or not offsets.size:
        return False
    pose, rest = offsets.astype(np.float64).ravel(), neutral.astype(np.float64).ravel()
    return bool(np.linalg.norm(pose - rest) < 0.5 * np.linalg.norm(pose))


def _wanted(sizes: dict[str, int], regression: bool) -> dict[str, int | None]:
    """Required arrays and their numbers of values, None where unknown or free."""
    skin, tongue = sizes.get("skin"), sizes.get("tongue")
    wanted: dict[str, int | None] = {"lip_open_pose_delta": skin, "eye_close_pose_delta": skin}
    if regression:
        for name, size in (("skin", skin), ("tongue", tongue)):
            count = sizes.get(f"{name}_components")
            wanted[f"shapes_mean_{name}"] = size
            wanted[f"shapes_matrix_{name}"] = None if size is None or count is None else size * count
    else:
        wanted |= {"neutral_skin": skin, "neutral_tongue": tongue}
    return wanted | {"neutral_jaw": None, "saccade_rot_matrix": None}


def _check_jaw(data: Npz, points: np.ndarray | None, jaw_size: int | None) -> None:
    if points is None:
        return
    if points.size == 0 or points.size % 3:
        data.wrong("jaw-points", f"neutral_jaw has {points.size} values, not 3 per key point")
        return
    if jaw_size is not None and points.size != jaw_size:
        data.wrong("jaw-points", f"neutral_jaw has {points.size} values, the network moves {jaw_size}")
    if weakness := key_point_problem(points.reshape(-1, 3)):
        data.wrong("jaw-points", f"neutral_jaw: {weakness}; the runtime would turn the lower teeth at random")


def check_emotion_db(
    db: Npz, width: int | None, source_shot: str | None, source_frame: int | None, config: str
) -> None:
    """Rules of implicit_emo_db.npz; `source_shot` and `source_frame` are those of the file `config`."""
    names = db.names("emo_spec_names")
    starts, sizes = db.vector("emo_spec_start", "<i4"), db.vector("emo_spec_size", "<i4")
    rows = _emotion_rows(db, width)
    lengths = {key: len(v) for key, v in (("names", names), ("start", starts), ("size", sizes)) if v is not None}
    if len(set(lengths.values())) > 1:
        db.wrong("array-shape", "emo_spec lengths differ: " + ", ".join(f"{k} {n}" for k, n in lengths.items()))
        return
    if names is not None:
        _check_shot_names(db, names)
    if starts is None or sizes is None:
        return
    ends = starts.astype(np.int64) + sizes
    outside = (starts < 0) | (sizes <= 0) | (False if rows is None else ends > rows)
    for i in np.flatnonzero(outside)[:5]:
        label = f"shot {i}" if names is None else f"shot {brief(names[i])}"
        db.wrong("emotion-rows", f"{label}: start {starts[i]}, size {sizes[i]}, emo_db has {rows} rows")
    if names is None or source_shot is None:
        return
    found = [i for i, name in enumerate(names) if name == source_shot.encode("utf-8", "replace")]
    if not found:
        db.report.error("source-shot", f"source_shot {brief(source_shot)} is not in {db.file}", file=config)
    elif source_frame is not None and source_frame >= sizes[found[-1]]:
        message = f"source_frame {source_frame} is beyond {brief(source_shot)}, which has {sizes[found[-1]]} frames"
        db.report.error("source-shot", message, file=config)


def _emotion_rows(db: Npz, width: int | None) -> int | None:
    """The number of rows of emo_db, None when it is unknown."""
    table = db.typed("emo_db", "<f4")
    if table is None:
        return None
    if len(table.shape) != 2:
        db.wrong("array-shape", f"emo_db has shape {brief(table.shape)}, it must be (rows, implicit_emotion_len)")
        return None
    if width is not None and table.shape[1] != width:
        db.wrong("array-size", f"emo_db has {table.shape[1]} columns, implicit_emotion_len is {width}")
    if not table.all_finite():
        db.wrong("not-finite", "emo_db holds NaN or infinity")
    return table.shape[0]


def _check_shot_names(db: Npz, names: list[bytes]) -> None:
    if not names:
        db.wrong("emotion-names", "emo_spec_names is empty")
    for name, times in Counter(names).items():
        if times > 1 or not name:
            what = f"occurs {times} times, the runtime takes the last" if name else "is an empty name"
            db.wrong("emotion-names", f"emo_spec_names: {brief(name)} {what}")
