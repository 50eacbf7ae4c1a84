"""Groups of curves as channels: the middle and the spread of every value, and components of wide groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from audio2face.dataset.captured import CapturedGroup, ShotCurves
from audio2face.face.codec import Channel
from audio2face.face.curves import CurveGroup
from audio2face.problems import UserError
from audio2face.types import Pca

logger = logging.getLogger(__name__)

LEAST_SHARE = 0.25  # of the usual spread of values of a kind: one that hardly moves is not blown up
LEAST = {"weights": 0.01, "rotation": 0.005, "translation": 1e-4, "angle": 1e-3, "plain": 1e-6}

Values = dict[str, tuple[np.ndarray, np.ndarray]]  # {shot: (values (T, K) in data units, which are known (T, K))}


def build_channel(captured: CapturedGroup, components: int | None) -> tuple[Channel, Values]:
    """A group as a channel, and its values in every shot; with so many principal `components` in place of its values.

    Raises UserError when there are fewer frames or values than components.
    """
    group, basis = captured.group, None
    if components is not None:
        basis = fit_components(captured, components)
    values = {shot: in_basis(curves, basis) for shot, curves in captured.shots.items()}
    tables, flags = (np.concatenate([pair[side] for pair in values.values()]) for side in (0, 1))
    middle, spread = statistics(tables, flags, _kinds(group) if basis is None else ["plain"] * len(tables[0]))
    offset = np.where(spread > 0, -middle / np.where(spread > 0, spread, 1), 0).astype(np.float32)
    size = len(middle)
    return Channel(group.name, "curves", size, spread, offset, group=group, curve_basis=basis), values


def statistics(values: np.ndarray, known: np.ndarray, kinds: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale (C,) float32 of the known values (n, C): the standard deviation, but no less than a share of what is
    usual among values of the same kind. The scale of a value that is never known is 0."""
    counts = known.sum(axis=0)
    there = np.maximum(counts, 1)
    mean = np.where(known, values, 0).sum(axis=0, dtype=np.float64) / there
    deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0, dtype=np.float64) / there)
    scale = np.zeros(len(mean))
    of_kind = np.array(kinds)
    for kind in dict.fromkeys(kinds):
        same = (of_kind == kind) & (counts > 0)
        usual = float(np.sqrt(np.mean(deviation[same] ** 2))) if same.any() else 0.0
        least = max(LEAST_SHARE * usual, LEAST[kind])
        scale[same] = np.maximum(deviation[same], least)
    return mean.astype(np.float32), scale.astype(np.float32)


def fit_components(captured: CapturedGroup, count: int) -> Pca:
    """The main directions (count, E) of the frames of which every value is known, each value divided by its scale."""
    values = np.concatenate([curves.values for curves in captured.shots.values()])
    known = np.concatenate([curves.known for curves in captured.shots.values()])
    mean, scale = statistics(values, known, _kinds(captured.group))
    used, whole = scale > 0, known[:, scale > 0].all(axis=1)
    if count > min(int(whole.sum()), int(used.sum())):
        raise UserError(
            f"CURVES_COMPONENTS: group {captured.group.name!r} has {int(used.sum())} values and {int(whole.sum())} frames "
            f"in which all are known; {count} components need as many"
        )
    scaled = np.where(used, (values[whole] - mean) / np.where(used, scale, 1), 0).astype(np.float64)
    _, strengths, axes = np.linalg.svd(scaled, full_matrices=False)
    share = float((strengths[:count] ** 2).sum() / max((strengths**2).sum(), 1e-12))
    logger.info("curves %s: %d components, %.2f %% of the variance", captured.group.name, count, 100 * share)
    return Pca((axes[:count] * scale).astype(np.float32), mean)


def in_basis(curves: ShotCurves, basis: Pca | None) -> tuple[np.ndarray, np.ndarray]:
    """A shot's values, or their coefficients (T, K), and which are known: of coefficients those of whole frames."""
    if basis is None:
        return curves.values, curves.known
    moving = np.abs(basis.components).max(axis=0) > 0
    inverse = np.linalg.pinv(basis.components[:, moving].astype(np.float64))
    coeffs = ((curves.values - basis.mean)[:, moving] @ inverse).astype(np.float32)
    whole = curves.known[:, moving].all(axis=1, keepdims=True)
    return coeffs, np.repeat(whole, coeffs.shape[1], axis=1)


def curve_table(channels: Sequence[Channel], values: Mapping[str, Values]) -> str:
    """What preprocessing prints: every group, its columns, shots, and how much of it is missing; then the widest ranges."""
    lines = ["", f"{'curves':12} {'kind':12} columns values  shots   frames  missing  range"]
    for channel in channels:
        group, shots = channel.group, values[channel.name]
        assert group is not None
        tables, flags = (np.concatenate([pair[side] for pair in shots.values()]) for side in (0, 1))
        missing = 1 - flags.mean()
        raw = channel.decode(tables)[flags.any(axis=1)]
        low, high = (float(raw.min()), float(raw.max())) if raw.size else (0.0, 0.0)
        lines.append(
            f"{channel.name:12} {group.kind:12} {len(group.names):7} {channel.size:6} {len(shots):6} {len(tables):8} "
            f"{missing:8.1%}  {low:.3g} … {high:.3g}"
        )
    return "\n".join(lines)


def _kinds(group: CurveGroup) -> list[str]:
    return [block.kind for block in group.blocks for _ in range(block.size)]
