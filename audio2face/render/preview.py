"""A preview of a face under training: truth over prediction as a film and still pictures, the mouth's opening as curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio2face.geometry.regions import mean_opening
from audio2face.render.openings import fill_openings
from audio2face.render.pictures import Curve, draw_curves, write_png
from audio2face.render.raster import Mesh, auto_camera, render_animation
from audio2face.render.video import side_by_side, write_video
from audio2face.types import Pairs

SIZE = (224, 352)
SKIN = (0.78, 0.66, 0.60)
STILLS = 7
MOST_FPS = 30.0  # of the film: every other frame of a faster model is enough to judge it
TRUTH, PREDICTION = (60, 66, 76), (46, 119, 208)


def draw_preview(
    stem: Path,
    title: str,
    faces: tuple[np.ndarray, np.ndarray],
    fps: float,
    mm: float,
    triangles: np.ndarray | None,
    lip_pairs: Pairs | None,
    sound: tuple[np.ndarray, int],
) -> dict[str, np.ndarray]:
    """Write `<stem>.mp4` and `<stem>.png` of two animations (T, V, 3), truth and prediction; `mm` in a unit of theirs.

    Returns the pictures by name: "face" where there are triangles, "mouth_opening" where there are lip pairs. Raises
    UserError when an optional package is missing.
    """
    pictures: dict[str, np.ndarray] = {}
    if triangles is not None:
        titles = [f"truth, {title}", stem.name.replace("_", " ")]
        pictures["face"] = _write_film(stem.with_name(f"{stem.name}.mp4"), titles, faces, fps, triangles, sound)
    if lip_pairs is not None:
        openings = [mean_opening(face, *lip_pairs) * mm for face in faces]
        rows = [Curve("truth", openings[0], TRUTH), Curve("prediction", openings[1], PREDICTION)]
        width = pictures["face"].shape[1] if pictures else STILLS * 150
        pictures["mouth_opening"] = draw_curves(rows, fps, "mm", (width, 200), "opening of the mouth")
    if pictures:
        write_png(stem.with_name(f"{stem.name}.png"), np.concatenate(list(pictures.values())))
    return pictures


def _write_film(
    path: Path,
    titles: list[str],
    faces: tuple[np.ndarray, np.ndarray],
    fps: float,
    triangles: np.ndarray,
    sound: tuple[np.ndarray, int],
) -> np.ndarray:
    """Write the film; returns still pictures of it, truth over prediction."""
    every, truth = max(1, round(fps / MOST_FPS)), faces[0]
    camera = auto_camera(truth[0][np.unique(triangles)], SIZE)
    filling = fill_openings(triangles, truth)
    meshes = [Mesh(triangles, np.array(SKIN)), *filling.meshes]
    shown = [face[::every] for face in faces]
    streams = [list(render_animation(meshes, [x, *filling.follow(x)], camera=camera)) for x in shown]
    chosen = np.linspace(0, len(streams[0]) - 1, STILLS + 2).round().astype(int)[1:-1]
    stills = np.concatenate([np.concatenate([_halved(s[i]) for i in chosen], axis=1) for s in streams])
    write_video(path, side_by_side(*streams, titles=titles), fps / every, sound)
    return stills


def _halved(picture: np.ndarray) -> np.ndarray:
    """Half as wide and high."""
    h, w = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
