#!/usr/bin/env python3
"""Frames a second of the blendshape solver: 52 poses, 10,000 vertices, with cancel pairs, by method.

python tools/bench_blendshapes.py [--frames 100] [--json]
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np

from audio2face.postprocess import blendshapes

POSES, VERTICES = 52, 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    neutral = rng.normal(0, 8, (VERTICES, 3))
    weights = np.clip(np.cumsum(rng.normal(0, 0.1, (args.frames, POSES)), axis=0), -0.3, 1.2)
    centres = neutral[rng.integers(VERTICES, size=POSES)]
    poses = np.exp(-np.square(neutral - centres[:, None]).sum(-1) / 30)[..., None] * rng.normal(size=(POSES, 1, 3))
    params = {
        "numPoses": POSES,
        "bsSolveActivePoses": [1] * POSES,
        "bsSolveCancelPoses": [9, 9, 5, 5] + [-1] * (POSES - 4),
        "bsSolveSymmetryPoses": [-1] * POSES,
        "bsWeightMultipliers": [1.0] * POSES,
        "bsWeightOffsets": [0.0] * POSES,
        "strengthL1regularization": 0.5,
        "strengthL2regularization": 0.5,
        "strengthTemporalSmoothing": 0.3,
        "strengthSymmetry": 0.0,
        "templateBBSize": 53.0,
    }
    frames = (neutral + np.einsum("tp,pvc->tvc", weights, poses)).astype(np.float32)
    rates = {}
    for method in ("runtime", "optimal"):
        solver = blendshapes.build(params, neutral, poses, method=method)
        start = time.process_time()
        blendshapes.solve(solver, frames)
        rates[method] = args.frames / (time.process_time() - start)
        print(f"{method:8} {rates[method]:7.0f} frames per second of CPU time")
    if args.json:
        print(json.dumps({"ratio": rates["runtime"] / rates["optimal"], **rates}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
