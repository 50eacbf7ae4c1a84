"""Whether all shots show the skin in one unit, one place and along the same axes: the shots that differ from the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from audio2face.dataset.captured import CapturedActor
from audio2face.doctor.stats import ShotStats
from audio2face.problems import Problems

LEAST_SHOTS = 3  # of fewer it is open which one is wrong
OFF_SHARE, WRONG_SHARE = 0.03, 0.08  # of the mesh's size: median distance of a shot's mean face from the others'
LOOKED_AT = 500  # vertices
FACTORS = (0.001, 0.01, 0.1, 10.0, 100.0, 1000.0)
AXES = "xyz"


def check_consistency(report: Problems, data: CapturedActor, scans: Mapping[str, ShotStats]) -> set[str]:
    """Shots whose face lies elsewhere than the others'; returned, since they say nothing about the mesh."""
    if len(scans) < LEAST_SHOTS:
        return set()
    some = np.unique(np.linspace(0, data.num_vertices - 1, LOOKED_AT).astype(int))
    means = {shot: scan.mean[some] for shot, scan in scans.items()}
    usual = np.median(list(means.values()), axis=0)
    size = float(np.ptp(usual, axis=0).max())
    if not size > 0:
        return set()
    off = {shot: _distance(mean, usual) for shot, mean in means.items()}
    odd = {shot: distance for shot, distance in off.items() if distance > OFF_SHARE * size}
    if 2 * len(odd) >= len(scans):
        return set()
    for shot, distance in odd.items():
        cause = _cause(means[shot], usual, OFF_SHARE * size)
        add = report.error if cause or distance > WRONG_SHARE * size else report.warning
        what = f"The face is not where the other shots have it: half of the vertices are more than {distance:.3g} units off ({distance / size:.0%} of the mesh)."
        fix = f"{cause or 'Another head position, or another vertex order?'} Export it as the others."
        where = {"shot": shot, "file": data.skin[shot].path, "key": "SKIN_CACHE_ROOT"}
        add("geometry.shot", what, fix, **where)
    return set(odd)


def _distance(points: np.ndarray, others: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(points - others, axis=1)))


def _cause(mean: np.ndarray, usual: np.ndarray, enough: float) -> str:
    """What makes of the shot's face (n, 3) the usual one: another unit, or its axes exchanged; "" when neither does."""
    causes = {
        f"It is in another unit: {factor:g} times as large it would fit.": _distance(mean * factor, usual)
        for factor in FACTORS
    }
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            axes = ", ".join(("-" if sign < 0 else "") + AXES[i] for i, sign in zip(order, signs, strict=True))
            text = f"Its axes are exchanged: taken as {axes} they would fit."
            causes[text] = _distance(mean[:, order] * signs, usual)
    best = min(causes, key=lambda text: causes[text])
    return best if causes[best] < enough else ""
