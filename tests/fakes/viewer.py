"""What the viewer's tests show: a sound, an animation of 3 s, and a small deployed model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from fakes import model as fake_model

V, T, RATE = fake_model.V, 90, 16000
FACES = np.array([[0, 1, 2], [2, 1, 3], [3, 4, 5]])


def write(folder: Path) -> Path:
    """Write a_skin.npy, a_eye.npy, a.npy, a.wav, faces.npy and model/; returns the folder."""
    rng = np.random.default_rng(0)
    np.save(folder / "a_skin.npy", rng.normal(size=(T, V, 3)).cumsum(axis=0).astype(np.float32))
    np.save(folder / "a_eye.npy", rng.normal(size=(T, 4)).astype(np.float32))
    np.save(folder / "a.npy", rng.normal(size=(T, 9)).astype(np.float32))  # a network's rows: no mesh
    soundfile.write(folder / "a.wav", rng.uniform(-0.5, 0.5, T * RATE // 30), RATE)
    np.save(folder / "faces.npy", FACES)
    fake_model.regression_model(folder / "model")
    return folder
