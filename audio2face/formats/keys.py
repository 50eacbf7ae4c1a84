"""Keys of an animation: values at moments, how they are between them, and the same with other values at some frames.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

NEAR = 0.02  # frames: so near to a frame is a key of this frame


@dataclass(frozen=True)
class Keys:
    """Values (n, D), as stored, at rising moments (n,) in seconds; between them they go straight, `turns` (quaternions x, y, z,
    w side by side) the shortest way; `steps` stay until the next."""

    moments: np.ndarray
    values: np.ndarray
    turns: bool = False
    steps: bool = False

    def at(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """Values (m, D) at frames (m,): those of a key exactly, as stored, where one is there."""
        places = self.moments * fps
        right = np.clip(np.searchsorted(places, frames), 1, max(len(places) - 1, 1))
        left, right = right - 1, np.minimum(right, len(places) - 1)
        nearest = np.where(np.abs(places[right] - frames) < np.abs(places[left] - frames), right, left)
        found = self.values[nearest]
        between = (np.abs(places[nearest] - frames) > NEAR) & (frames > places[0]) & (frames < places[-1])
        a, b = left[between], right[between]
        shares = np.zeros(len(a)) if self.steps else (frames[between] - places[a]) / (places[b] - places[a])
        found[between] = self._mixed(self.values[a], self.values[b], shares[:, None])
        return found

    def renewed(self, frames: np.ndarray, values: np.ndarray, fps: float) -> Keys:
        """The same with values (m, D) at frames (m,), which rise, and as it was at all others."""
        places, changed = self.moments * fps, np.asarray(frames, np.float64)
        beside = np.setdiff1d(np.concatenate([changed - 1, changed + 1]), changed)
        beside = beside[(beside > places[0]) & (beside < places[-1])]
        beside = beside[
            np.abs(places[None] - beside[:, None]).min(axis=1) > NEAR
        ]  # between keys, whose line would bend
        after = np.clip(np.searchsorted(changed, places), 0, len(changed) - 1)
        before = np.maximum(after - 1, 0)
        near = np.where(np.abs(changed[before] - places) < np.abs(changed[after] - places), before, after)
        apart = np.abs(changed[near] - places)
        stay, on = apart >= 1 - NEAR, apart <= NEAR
        moments = changed / fps
        moments[near[on]] = self.moments[on]
        parts = [
            (self.moments[stay], self.values[stay]),
            (moments, np.asarray(values, self.values.dtype)),
            (beside / fps, self.at(beside, fps)),
        ]
        order = np.argsort(np.concatenate([m for m, _ in parts]), kind="stable")
        return replace(
            self,
            moments=np.concatenate([m for m, _ in parts])[order],
            values=np.concatenate([v for _, v in parts])[order],
        )

    def _mixed(self, a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Values (m, D) that are `share` (m, 1) of the way from a (m, D) to b (m, D)."""
        if not self.turns:
            return (1 - share) * a + share * b
        p, q = (side.reshape(len(side), side.shape[1] // 4, 4).astype(np.float64) for side in (a, b))
        share = share[:, None]
        q = np.where((p * q).sum(axis=-1, keepdims=True) < 0, -q, q)
        angle = np.arccos(np.clip((p * q).sum(axis=-1, keepdims=True), -1, 1))
        small = angle < 1e-6
        scale = np.where(small, 1.0, np.sin(angle))
        left = np.where(small, 1 - share, np.sin((1 - share) * angle) / scale)
        right = np.where(small, share, np.sin(share * angle) / scale)
        return (left * p + right * q).reshape(a.shape)


@dataclass(frozen=True)
class Joint:
    """What turns in a scene: `track` and `columns` of its quaternion, and of its place if that moves.

    At rest it is turned by `rest` (3, 3) in what holds it, and that by `above` (3, 3) in the scene.
    """

    name: str
    track: str
    columns: slice
    rest: np.ndarray
    above: np.ndarray
    place: tuple[str, slice] | None = None


@dataclass(frozen=True)
class KeyedMesh:
    """A mesh in a scene, at rest (V, 3) in metres with y up, and what moves it: targets (K, V, 3) by the weights of a track, or
    a `track` of its vertices, which `matrix` (4, 4) takes there."""

    name: str
    rest: np.ndarray
    track: str
    targets: np.ndarray | None = None
    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))
    node: int | None = None


@dataclass(frozen=True)
class KeyedScene:
    """A scene with keys: its `tracks`, where the weights of shapes are {name: [(track, column)]}, joints and meshes.

    `write(path without suffix, {track: keys}, {node: further targets (K, V, 3) of its mesh, in its own space})` writes it with
    other keys, the last columns of which are the weights of such targets; it returns the file.
    """

    path: Path
    tracks: Mapping[str, Keys]
    weights: Mapping[str, list[tuple[str, int]]]
    joints: tuple[Joint, ...]
    meshes: tuple[KeyedMesh, ...]
    write: Callable[[Path, Mapping[str, Keys], Mapping[int, np.ndarray]], Path]
