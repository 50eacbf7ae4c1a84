"""A clip as a film: truth, prediction, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audio2face.render.raster import Camera, Mesh, auto_camera, render, render_animation
from audio2face.render.video import side_by_side, write_video

SIZE = (320, 400)
SKIN = (0.78, 0.66, 0.60)
MOST_MM = 6.0  # shown as the hottest colour
HEAT = np.array([[0.80, 0.82, 0.85], [0.98, 0.85, 0.35], [0.93, 0.35, 0.15], [0.55, 0.0, 0.15]])  # none to MOST_MM


def heat_colours(distances_mm: np.ndarray) -> np.ndarray:
    """Colours (V, 3) sRGB of distances (V,), grey for none to dark red for MOST_MM and more."""
    place = np.clip(distances_mm / MOST_MM, 0, 1) * (len(HEAT) - 1)
    return np.stack([np.interp(place, np.arange(len(HEAT)), channel) for channel in HEAT.T], axis=1)


def write_clip_video(
    path: Path,
    truth: np.ndarray,
    prediction: np.ndarray,
    triangles: np.ndarray,
    mm: float,
    fps: float,
    sound: tuple[np.ndarray, int],
) -> None:
    """Film frames (T, V, 3) beside each other with the error in colours. Raises UserError without the extra `video`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    camera = auto_camera(truth[0][np.unique(triangles)], SIZE)
    plain = [Mesh(triangles, np.array(SKIN))]
    streams = [render_animation(plain, [frames], camera=camera) for frames in (truth, prediction)]
    titles = ["truth", "prediction", f"error, dark red: {MOST_MM:g} mm"]
    write_video(
        path, side_by_side(*streams, _heat(truth, prediction, triangles, mm, camera), titles=titles), fps, sound
    )


def _heat(
    truth: np.ndarray, prediction: np.ndarray, triangles: np.ndarray, mm: float, camera: Camera
) -> Iterator[np.ndarray]:
    for true, ours in zip(truth, prediction, strict=True):
        distances = np.linalg.norm(true - ours, axis=-1) * mm
        yield render([Mesh(triangles, heat_colours(distances))], [ours], camera)
