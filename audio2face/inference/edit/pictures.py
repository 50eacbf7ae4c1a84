"""Pictures of an edit beside its result: curves as a .png, and a film of the file and the result, with the sound."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.formats.sound import read_sound
from audio2face.inference.edit.charts import Chart
from audio2face.inference.edit.request import Edit
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

CHART = (1100, 170)
FACE = (400, 480)  # of each side of a film
MARGIN_S, FILM_MARGIN_S = 2.0, 1.0  # of kept frames that are shown on either side
MOST_FPS = 30.0  # of a film
SKIN = (0.84, 0.68, 0.59)  # sRGB
BEFORE, AFTER = (140, 148, 160), (46, 119, 208)
MOST_CHARTS = 12


def draw_charts(path: Path, charts: Sequence[Chart], edit: Edit, fps: float) -> Path | None:
    """Write curves of the file and the result as a .png, what is new shaded and keys marked. None, and a line in the log, where
    nothing changed or a package is missing."""
    from audio2face.render.pictures import Curve, Frames, draw_curves, write_png

    shown = _shown(edit, fps, MARGIN_S)
    if not charts or shown is None:
        return None
    marks = [at - shown.start for at in edit.keys if shown.start <= at < shown.stop]
    frames = Frames(edit.first_frame + shown.start, edit.free[shown], marks)
    try:
        drawn = []
        for chart in charts[:MOST_CHARTS]:
            rows = [Curve("input", chart.before[shown], BEFORE), Curve("result", chart.after[shown], AFTER)]
            drawn.append(draw_curves(rows, fps, chart.unit, CHART, chart.name, frames))
        write_png(path, np.concatenate(drawn))
    except UserError as error:
        logger.info("no picture of the curves: %s", error.lines[0])
        return None
    return path


def film_skin(
    path: Path, skins: tuple[np.ndarray, np.ndarray], triangles: np.ndarray, edit: Edit, fps: float, sound: Path
) -> Path | None:
    """Write a film of the file's skin (T, V, 3) and the result's, with the sound. None as `draw_charts`."""
    from audio2face.render import Mesh, auto_camera, fill_openings, render_animation

    def sides(shown: slice, every: int) -> list[Iterator[np.ndarray]]:
        before, after = (skin[shown][::every] for skin in skins)
        camera = auto_camera(before[0][np.unique(triangles)], FACE)
        filling = fill_openings(triangles, before)
        meshes = [Mesh(triangles, np.array(SKIN)), *filling.meshes]
        return [render_animation(meshes, [x, *filling.follow(x)], camera=camera) for x in (before, after)]

    return _film(path, sides, edit, fps, sound)


def film_curves(
    path: Path,
    values: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    groups: Mapping[str, CurveGroup],
    edit: Edit,
    fps: float,
    sound: Path,
) -> Path | None:
    """Write a film of the built-in head or a figure, as the file's curves {group: (T, D)} have it and as the result's have it.
    None as `draw_charts`, and where curves show nothing."""
    from audio2face.render.curves_film import curves_take, draw_takes

    takes = [curves_take(groups, channels) for channels in values]
    if not any(take.has_head or take.has_figure for take in takes):
        return None

    def sides(shown: slice, every: int) -> list[Iterator[np.ndarray]]:
        return [draw_takes([take.part(shown)], FACE, every) for take in takes]

    return _film(path, sides, edit, fps, sound)


def _film(path: Path, sides, edit: Edit, fps: float, sound: Path) -> Path | None:  # type: ignore[no-untyped-def]
    from audio2face.render.video import side_by_side, write_video

    shown, every = _shown(edit, fps, FILM_MARGIN_S), max(1, round(fps / MOST_FPS))
    if shown is None:
        return None
    samples, rate = read_sound(sound)
    heard = samples[round(shown.start / fps * rate) :]
    try:
        streams = _marked(side_by_side(*sides(shown, every), titles=["input", "result"]), edit.free[shown][::every])
        write_video(path, streams, fps / every, (heard, rate))
    except UserError as error:
        logger.info("no film of the edit: %s", error.lines[0])
        return None
    return path


def _marked(pictures: Iterator[np.ndarray], free: np.ndarray) -> Iterator[np.ndarray]:
    """Pictures with a bar below those of frames that are new."""
    for picture, new in zip(pictures, free, strict=True):
        bar = np.full((6, picture.shape[1], 3), AFTER if new else (246, 247, 249), np.uint8)
        yield np.concatenate([picture, bar])


def _shown(edit: Edit, fps: float, margin_s: float) -> slice | None:
    """The frames around what is new; None where nothing is."""
    new = np.flatnonzero(edit.free)
    if not len(new):
        return None
    margin = round(margin_s * fps)
    return slice(max(0, int(new[0]) - margin), min(len(edit.free), int(new[-1]) + 1 + margin))
