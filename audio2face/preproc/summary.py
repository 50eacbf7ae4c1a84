"""The table that ends preprocessing: what was kept of every shot, and how well the bases reproduce it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.preproc.basis import MeshBasis
from audio2face.types import Shot


def summary(shots: Sequence[Shot], skin: MeshBasis, tongue: MeshBasis | None, mm_per_unit: float) -> str:
    """The final table: for every shot its frames, those that are left when similar ones are dropped, those chosen among
    them, and the reconstruction errors in millimetres.
    """
    meshes = {mesh: basis for mesh, basis in (("skin", skin), ("tongue", tongue)) if basis and basis.errors}
    width = max(len(shot.name) for shot in shots)
    head = f"{'shot':{width}}  {'emotion':12} frames  without similar  chosen"
    lines = ["", head + "".join(f"  {mesh} error mean / max mm" for mesh in meshes)]
    stages = skin.stages or {"similar_pruned": {}, "distinct": {}}
    for shot in shots:
        counts = [
            str(len(stages[stage][shot.name])) if shot.name in stages[stage] else "-"
            for stage in ("similar_pruned", "distinct")
        ]
        row = f"{shot.name:{width}}  {shot.emotion:12} {shot.num_frames:6}  {counts[0]:>15}  {counts[1]:>6}"
        for mesh, basis in meshes.items():
            error = basis.errors.get(shot.name)
            text = f"{error.mean * mm_per_unit:.3f} / {error.largest * mm_per_unit:.2f}" if error else "-"
            row += f"  {text:>{len(mesh) + 20}}"
        lines.append(row)
    for mesh, basis in meshes.items():
        lines.append(f"{mesh}: {_quality(basis, mm_per_unit)}")
    return "\n".join(lines)


def _quality(basis: MeshBasis, mm_per_unit: float) -> str:
    errors = list(basis.errors.values())
    frames = np.array([len(basis.coeffs[shot]) for shot in basis.errors])
    residual, variance = sum(e.residual for e in errors), sum(e.variance for e in errors)
    mean = float(np.average([e.mean for e in errors], weights=frames)) * mm_per_unit
    worst = max(errors, key=lambda e: e.largest).largest * mm_per_unit
    share = 1 - residual / variance if variance else 1.0
    kept = f"K = {basis.fit.pca.num_components}, {basis.fit.share:.4%} of the variance of the chosen poses"
    return f"{kept}, {share:.4%} of all {int(frames.sum())} frames; error mean {mean:.3f} mm, max {worst:.2f} mm"
