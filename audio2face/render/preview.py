"""A preview of a face or of curves under training: truth and prediction as a film and still pictures, and as curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.formats.arkit_names import arkit_name
from audio2face.geometry.regions import mean_opening
from audio2face.render.curves_film import Take, draw_takes
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


def draw_curves_preview(
    stem: Path, title: str, truth: Take, prediction: Take, fps: float, sound: tuple[np.ndarray, int]
) -> dict[str, np.ndarray]:
    """As `draw_preview`, of curves: the built-in head, a figure, or both, from weights, turns of the head and joints.

    Returns "face" (what the film shows) and "jaw_opening" where there is such a weight. Raises ValueError for takes of
    different lengths, UserError when an optional package is missing.
    """
    every = max(1, round(fps / MOST_FPS))
    titles = [f"truth, {title}", stem.name.replace("_", " ")]
    size = SIZE if truth.has_head and not truth.has_figure else (SIZE[1], SIZE[1])
    takes = [replace(take, title=None) for take in (truth, prediction)]
    streams = [draw_takes([take], size, every) for take in takes]
    pictures = {"face": _write_streams(stem.with_name(f"{stem.name}.mp4"), titles, streams, fps / every, sound)}
    openings = [_jaw_opening(take) for take in takes]
    if openings[0] is not None and openings[1] is not None:
        rows = [Curve("truth", openings[0], TRUTH), Curve("prediction", openings[1], PREDICTION)]
        wide = pictures["face"].shape[1]
        pictures["jaw_opening"] = draw_curves(rows, fps, "", (wide, 200), "opening of the jaw")
    write_png(stem.with_name(f"{stem.name}.png"), np.concatenate(list(pictures.values())))
    return pictures


def _jaw_opening(take: Take) -> np.ndarray | None:
    """The weight jawOpen (T,), None where there is none."""
    column = next((k for k, name in enumerate(take.names) if arkit_name(name) == "jawOpen"), None)
    return None if take.weights is None or column is None else take.weights[:, column]


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
    streams = [render_animation(meshes, [x, *filling.follow(x)], camera=camera) for x in shown]
    return _write_streams(path, titles, streams, fps / every, sound)


def _write_streams(
    path: Path, titles: list[str], streams: Sequence[Iterable[np.ndarray]], fps: float, sound: tuple[np.ndarray, int]
) -> np.ndarray:
    """Write streams of pictures side by side; returns STILLS of each at half size, one stream above the other."""
    drawn = [list(stream) for stream in streams]
    chosen = np.linspace(0, len(drawn[0]) - 1, STILLS + 2).round().astype(int)[1:-1]
    write_video(path, side_by_side(*drawn, titles=titles), fps, sound)
    return np.concatenate([np.concatenate([_halved(s[i]) for i in chosen], axis=1) for s in drawn])


def _halved(picture: np.ndarray) -> np.ndarray:
    """Half as wide and high."""
    h, w = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
