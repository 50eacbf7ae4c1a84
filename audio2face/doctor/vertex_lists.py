"""Vertex lists: whether their vertices lie where they should and move as they should."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio2face.dataset.captured import CapturedActor
from audio2face.dataset.motion_checks import on_a_line
from audio2face.doctor.stats import MeshStats, ShotStats
from audio2face.geometry.regions import UP
from audio2face.geometry.rigid import fit_rigid
from audio2face.problems import Problems

GAP_SHARE = 0.15  # of the mesh's size: no lip or lid is further from its counterpart at rest
STEEP = 2.0  # a pair that lies this many times more sideways than its neighbours is not a pair
PARTED_SHARE = 0.004  # of the mesh's size: lips that never part by more are not lips
RIGID_SHARE = 0.01  # of the tongue's size: how far rigid vertices may move against each other
BELOW_SHARE = 0.004  # of the mesh's size: an upper vertex may lie this much below its lower one
KEYS = {name: f"SKIN_{name.upper()}_VERTEX_LIST_FPATH" for name in ("lip_dist", "lip_size", "eye_dist")}


def check_vertex_lists(
    report: Problems, data: CapturedActor, stats: MeshStats, vertices: np.ndarray, poses: np.ndarray
) -> None:
    """Lists of lips and lids against rest and the captured `poses` (N, n, 3) of `vertices` (n,)."""
    rest = data.skin_neutral if data.skin_neutral is not None else stats.mean
    size = float(np.ptp(rest, axis=0).max())
    place = {int(v): i for i, v in enumerate(vertices)}
    for name, (upper, lower) in data.pairs.items():
        where = {"file": getattr(data.files, KEYS[name].lower()) or "", "key": KEYS[name]}
        _membership(report, name, upper, lower, where)
        heights = _heights(poses, place, upper, lower)  # (N, pairs)
        _order(report, name, rest, upper, lower, heights, size, where)
        if name == "lip_dist":
            _parting(report, heights, size, where)
        if name == "eye_dist" and len(upper) == 2:
            _both_eyes(report, rest, upper, size, where)
    _regions(report, data, rest, size)


def check_rigid_vertices(report: Problems, data: CapturedActor, scans: Mapping[str, ShotStats]) -> None:
    """Whether the rigid vertices of the tongue move like one piece; `scans` picked exactly these vertices."""
    vertices, rest = data.rigid_vertices, data.tongue_neutral
    key = "TONGUE_RIGID_VERTEX_LIST_FPATH"
    if vertices is None or rest is None:
        return
    points = rest[vertices]
    if on_a_line(points):
        what = "The rigid vertices of the tongue lie on one line: its rotation cannot be found from them."
        report.error("tongue.line", what, "Take vertices to the left, to the right and below.", key=key)
        return
    size = float(np.ptp(rest, axis=0).max())
    errors = []
    for scan in scans.values():
        rotation, shift = fit_rigid(scan.picked, points)
        moved = np.einsum("tij,tpj->tpi", rotation, scan.picked) + shift[:, None]
        errors.append(np.linalg.norm(moved - points, axis=2))
    if not errors:
        return
    worst = np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0))  # (n,)
    if worst.max() > RIGID_SHARE * size:
        loose = vertices[worst > RIGID_SHARE * size]
        what = (
            f"{len(loose)} of {len(vertices)} rigid vertices move relative to the others, by up to {worst.max():.3g} units "
            f"(the tongue measures {size:.3g}): {', '.join(map(str, loose[:8]))}."
        )
        fix = "Take vertices at the root of the tongue that only the jaw moves."
        report.warning("tongue.not_rigid", what, fix, file=data.files.tongue_rigid_vertex_list_fpath or "", key=key)


def mouth_opening(data: CapturedActor, vertices: np.ndarray, poses: np.ndarray, guess: np.ndarray | None) -> np.ndarray:
    """How open the mouth is in poses (T, n, 3) of `vertices`: (T,), from the lip list, or from `guess` (n,) bool.

    Those are the vertices that speech moves most, which sink when the mouth opens.
    """
    if guess is None:
        place = {int(v): i for i, v in enumerate(vertices)}
        return _heights(poses, place, *data.pairs["lip_dist"]).mean(axis=1)
    return -poses[:, guess, UP].mean(axis=1)


def moving_vertices(vertices: np.ndarray, stats: MeshStats, share: float = 0.05) -> np.ndarray:
    """Which of `vertices` (n,) move most up and down: (n,) bool."""
    height = stats.deviation[vertices, UP]
    return height >= np.quantile(height, 1 - share)


def _heights(poses: np.ndarray, place: dict[int, int], upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    up, low = ([place[int(v)] for v in side] for side in (upper, lower))
    return poses[:, up, UP] - poses[:, low, UP]


def _membership(report: Problems, name: str, upper: np.ndarray, lower: np.ndarray, where: dict) -> None:
    both = np.intersect1d(upper, lower)
    if len(both):
        what = f"Vertices {both.tolist()} are in the upper and in the lower list."
        report.error("lists.shared", what, "Every vertex belongs to one side.", **where)
    repeated = [side for side in (upper, lower) if len(np.unique(side)) < len(side)]
    if repeated and name != "lip_size":
        report.warning("lists.repeated", "A vertex is listed twice on one side.", "Remove it there.", **where)
    if name == "eye_dist" and len(upper) != 2:
        what = f"Expected one vertex for each eye, left then right, and found {len(upper)}."
        report.warning("lists.eyes", what, "Keep the vertex in the middle of each lid.", **where)


def _order(
    report: Problems, name: str, rest: np.ndarray, upper: np.ndarray, lower: np.ndarray, heights: np.ndarray,
    size: float, where: dict,
) -> None:  # fmt: skip
    gap = rest[upper] - rest[lower]
    far = np.linalg.norm(gap, axis=1) > GAP_SHARE * size
    if far.any():
        pairs = [f"{u}-{v}" for u, v in zip(upper[far], lower[far], strict=True)]
        what = f"Pairs {', '.join(pairs[:6])} are too far apart to be lips or lids ({np.linalg.norm(gap, axis=1).max():.3g} units)."
        fix = "The list belongs to another mesh, or its vertices are not in the same order on both sides (rows of a .npy)."
        report.error("lists.far", what, fix, **where)
        return
    middle = np.median(heights, axis=0)
    below = (gap[:, UP] < -BELOW_SHARE * size) & (middle < -BELOW_SHARE * size)
    if below.all() or (middle < 0).mean() > 0.5 and below.any():
        what = "The upper vertices lie below the lower ones: the two lists are swapped."
        report.error("lists.exchanged", what, "Swap the lists.", **where)
    elif below.any():
        pairs = [f"{u}-{v}" for u, v in zip(upper[below], lower[below], strict=True)]
        what = f"In pairs {', '.join(pairs[:6])} the upper vertex lies below the lower one."
        report.warning("lists.below", what, "Check these pairs.", **where)
    if len(upper) > 1:
        sideways = np.abs(gap[:, 0])
        width = float(np.ptp(rest[upper, 0]))
        if width > 0 and sideways.max() > 0.5 * width and sideways.max() > STEEP * 0.02 * size:
            what = f"Upper and lower vertices are not above each other: up to {sideways.max():.3g} units to the side."
            fix = "List both sides in the same order, the n-th above the n-th."
            report.warning("lists.pairing", what, fix, **where)


def _parting(report: Problems, heights: np.ndarray, size: float, where: dict) -> None:
    low, high = np.quantile(heights, 0.02, axis=0), np.quantile(heights, 0.98, axis=0)
    parting = high - low
    if -low.mean() > max(PARTED_SHARE * size, 2 * abs(high.mean())):
        what = f"The upper lip sinks below the lower one by {-low.mean():.3g} units when the mouth opens: the two lists are swapped."
        report.error("lists.exchanged", what, "Swap the lists.", **where)
    if parting.max() < PARTED_SHARE * size:
        what = (
            f"The lips never part by more than {parting.max():.3g} units in the whole data set: these are not the lips."
        )
        fix = "Take vertices of the inner lip line of this mesh."
        report.error("lists.lips_still", what, fix, **where)


def _both_eyes(report: Problems, rest: np.ndarray, upper: np.ndarray, size: float, where: dict) -> None:
    left, right = rest[upper]
    if (
        abs(left[0] - right[0]) < 0.05 * size
        or (left[0] - np.median(rest[:, 0])) * (right[0] - np.median(rest[:, 0])) > 0
    ):
        what = "The two lids belong to the same eye."
        report.error("lists.one_eye", what, "List one vertex of each eye, left then right.", **where)


def _regions(report: Problems, data: CapturedActor, rest: np.ndarray, size: float) -> None:
    heights = {name: float(rest[np.concatenate(pairs), UP].mean()) for name, pairs in data.pairs.items()}
    if {"lip_dist", "eye_dist"} <= heights.keys() and heights["eye_dist"] - heights["lip_dist"] < 0.05 * size:
        what = "The lid vertices do not lie above the lip vertices."
        report.error("lists.regions", what, "Exchange the two files, or make them again.", key=KEYS["eye_dist"])
    if {"lip_dist", "lip_size"} <= heights.keys() and abs(heights["lip_dist"] - heights["lip_size"]) > 0.15 * size:
        what = "The lip vertices of both lists lie in different places."
        report.error("lists.regions", what, "Make the list again.", key=KEYS["lip_size"])
