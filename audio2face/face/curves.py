"""Groups of curves, named values per frame: what their columns are, and how a network sees them. NumPy only.

Raw values (T, D) are as the files have them; encoded ones (T, E) are what networks learn: weights, plain values and
translations as they are, angles unwrapped, rotations as the first two columns of their matrix (Zhou et al. 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from audio2face.face import rotations
from audio2face.face.skeleton import Skeleton, joint_channels

KINDS = ("weights", "plain", "angle", "rotation", "translation", "skeleton")
FORM_SIZES = {"axis_angle": 3, "quaternion": 4, "matrix": 9}  # columns; an Euler order has its letters
SIX = 6
TURN = {"degrees": 360.0, "radians": 2 * np.pi}
IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)  # a rotation by nothing, encoded


@dataclass(frozen=True)
class Block:
    """Columns of a group that belong together.

    `form` of a rotation is an Euler order such as "YXZ" (intrinsic, left to right), "axis_angle", "quaternion" (x, y, z, w)
    or "matrix" (row by row). `unit` of angles is "degrees" or "radians". Weights lie between `low` and `high`.
    """

    kind: str
    names: tuple[str, ...]
    form: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError when kind, form and number of columns do not go together."""
        if self.kind not in KINDS[:-1]:
            raise ValueError(f"kind {self.kind!r} is unknown; known: {', '.join(KINDS)}")
        if self.kind == "rotation":
            wanted = FORM_SIZES.get(self.form, len(self.form))
            if self.form not in FORM_SIZES and (not self.form or set(self.form) - set("XYZ") or wanted > 3):
                known = f"{', '.join(FORM_SIZES)}, or an Euler order such as YXZ"
                raise ValueError(f"rotation {', '.join(self.names)}: form {self.form!r} is unknown; known: {known}")
            if wanted != len(self.names):
                raise ValueError(
                    f"rotation {', '.join(self.names)}: {self.form} has {wanted} columns, not {len(self.names)}"
                )

    @property
    def size(self) -> int:
        """Encoded values."""
        return SIX if self.kind == "rotation" else len(self.names)

    @property
    def rest(self) -> np.ndarray:
        """(size,) float32, encoded: what stands where nothing is known."""
        return IDENTITY if self.kind == "rotation" else np.zeros(self.size, np.float32)

    def matrices(self, raw: np.ndarray) -> np.ndarray:
        """Rotations (T, d) as the files have them -> (T, 3, 3) float64."""
        raw = np.asarray(raw, np.float64)
        if self.form == "matrix":
            return rotations.orthonormal(raw.reshape(-1, 3, 3))
        if self.form == "quaternion":
            return rotations.from_quaternion(raw)
        if self.form == "axis_angle":
            return rotations.from_axis_angle(raw, degrees=self.unit == "degrees")
        return rotations.from_euler(raw, self.form, degrees=self.unit == "degrees")

    def turned(self, matrices: np.ndarray) -> np.ndarray:
        """Rotations (T, 3, 3) -> (T, d) as the files have them, without jumps from frame to frame."""
        if self.form == "matrix":
            return matrices.reshape(-1, 9)
        if self.form == "quaternion":
            return rotations.to_quaternion(matrices)
        if self.form == "axis_angle":
            return rotations.to_axis_angle(matrices, degrees=self.unit == "degrees", continuous=True)
        return rotations.to_euler(matrices, self.form, degrees=self.unit == "degrees", continuous=True)

    def encode(self, raw: np.ndarray) -> np.ndarray:
        """Raw values (T, d), all known -> (T, size) float32."""
        if self.kind == "rotation":
            return rotations.to_six(self.matrices(raw)).astype(np.float32)
        if self.kind == "angle":
            return np.unwrap(raw, axis=0, period=TURN.get(self.unit, TURN["radians"])).astype(np.float32)
        return np.asarray(raw, np.float32)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """(T, size) -> raw values (T, d) float32; weights are held within their bounds."""
        if self.kind == "rotation":
            return self.turned(rotations.from_six(encoded)).astype(np.float32)
        if self.kind == "weights":
            return np.clip(encoded, self.low, self.high)
        return encoded


@dataclass(frozen=True)
class CurveGroup:
    """What the columns of a group are, in the order of its raw values; `skeleton` of one that moves joints."""

    name: str
    blocks: tuple[Block, ...]
    skeleton: Skeleton | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All raw columns."""
        return tuple(name for block in self.blocks for name in block.names)

    @property
    def kind(self) -> str:
        """The kind of the whole group: of its blocks where they agree, else "plain"; "skeleton" of joints."""
        kinds = {block.kind for block in self.blocks}
        return "skeleton" if self.skeleton else kinds.pop() if len(kinds) == 1 else "plain"

    @property
    def size(self) -> int:
        """Encoded values."""
        return sum(block.size for block in self.blocks)

    @property
    def rest(self) -> np.ndarray:
        """(E,) float32, encoded."""
        return np.concatenate([block.rest for block in self.blocks])

    def places(self) -> list[tuple[Block, slice, slice]]:
        """Every block, where it lies in raw and where in encoded values."""
        found, column, value = [], 0, 0
        for block in self.blocks:
            raw, encoded = slice(column, column + len(block.names)), slice(value, value + block.size)
            found.append((block, raw, encoded))
            column, value = raw.stop, encoded.stop
        return found

    def encode(self, raw: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raw values and which are known, both (T, D) -> encoded values and which are known, both (T, E).

        Between known frames the others are filled linearly, so that what stands at unknown ones has no effect.
        """
        encoded = np.tile(self.rest, (len(raw), 1))
        known = np.zeros(encoded.shape, bool)
        for block, columns, values in self.places():
            if block.kind == "rotation":
                whole = np.asarray(valid[:, columns].all(axis=1))
                known[:, values] = whole[:, None]
                encoded[whole, values] = block.encode(raw[whole, columns])
                continue
            for column, value in zip(range(columns.start, columns.stop), range(values.start, values.stop), strict=True):
                there = valid[:, column]
                known[:, value] = there
                encoded[there, value] = block.encode(raw[there, column][:, None])[:, 0]
        return filled(encoded, known), known

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """(T, E) -> raw values (T, D) float32."""
        return np.concatenate([block.decode(encoded[:, values]) for block, _, values in self.places()], axis=1)

    def as_json(self) -> dict[str, Any]:
        """As `group_from_json` reads it."""
        blocks = [
            {key: value for key, value in vars(block).items() if value not in ("", None)} | {"names": list(block.names)}
            for block in self.blocks
        ]
        found: dict[str, Any] = {"name": self.name, "blocks": blocks}
        return found | ({"skeleton": self.skeleton.as_json()} if self.skeleton else {})


def group_from_json(content: Mapping[str, Any]) -> CurveGroup:
    """A group that `as_json` described. Raises ValueError, KeyError or TypeError when it is not one."""
    blocks = tuple(Block(**{**entry, "names": tuple(entry["names"])}) for entry in content["blocks"])
    skeleton = Skeleton.from_json(content["skeleton"]) if "skeleton" in content else None
    return CurveGroup(str(content["name"]), blocks, skeleton)


def skeleton_group(name: str, skeleton: Skeleton) -> CurveGroup:
    """The group of a skeleton's channels, in its own order, Euler angles in degrees."""
    blocks = []
    for joint, positions, order in joint_channels(skeleton):
        if positions:
            blocks.append(Block("translation", tuple(f"{joint.name}_{axis}position" for axis in positions)))
        if order:
            names = tuple(f"{joint.name}_{axis}rotation" for axis in order)
            blocks.append(Block("rotation", names, order, "degrees"))
    return CurveGroup(name, tuple(blocks), skeleton)


def filled(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(T, E) with unknown values linear between the known ones before and after, held at the ends; columns without any stay."""
    out = values.copy()
    rows = np.arange(len(values))
    for column in np.flatnonzero(~known.all(axis=0) & known.any(axis=0)):
        there = known[:, column]
        out[:, column] = np.interp(rows, rows[there], values[there, column])
    return out
