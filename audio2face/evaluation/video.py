"""A clip as a video: truth, prediction, and of a face the error in colours."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np

from audio2face.evaluation.data import ActorSource
from audio2face.evaluation.report import Video
from audio2face.problems import UserError
from audio2face.render.curves_film import Take, curves_film, draw_takes
from audio2face.render.openings import fill_openings
from audio2face.render.raster import Mesh, auto_camera, render, render_animation
from audio2face.render.video import optional_module, side_by_side, write_video

logger = logging.getLogger(__name__)

DEFAULT_VIDEOS = 2
SIZE = (288, 400)
CURVES_SIZE = (400, 400)
SKIN = (0.78, 0.66, 0.60)
MOST_MM = 6.0  # shown as the hottest colour
HEAT = np.array([[0.80, 0.82, 0.85], [0.98, 0.85, 0.35], [0.93, 0.35, 0.15], [0.55, 0.0, 0.15]])  # none to MOST_MM
EMBEDDED_BYTES = 6_000_000  # larger videos stay beside the page


def number_of_videos(asked: int | None, sources: Mapping[str, ActorSource]) -> int:
    """How many clips to film. Raises UserError when videos are asked for and cannot be drawn."""
    if asked is not None and asked < 0:
        raise UserError(f"--videos {asked}: expected a number of clips, 0 or more")
    missing = []
    if all(source.has_skin and source.triangles is None for source in sources.values()):
        missing.append("SKIN_TRIANGLES_FPATH in config_dataset.py: the triangles to draw")
    if not all(find_spec(module) for module in ("av", "PIL")):
        missing.append("the extra `video`: pip install -e '.[video]'")
    if missing and asked:
        raise UserError(f"--videos needs {' and '.join(missing)}")
    if missing and asked is None:
        logger.warning("no videos: they need %s", " and ".join(missing))
    return 0 if missing else DEFAULT_VIDEOS if asked is None else asked


def heat_colours(distances_mm: np.ndarray) -> np.ndarray:
    """Colours (…, 3) sRGB of distances (…), grey for none to dark red for MOST_MM and more."""
    place = np.clip(distances_mm / MOST_MM, 0, 1) * (len(HEAT) - 1)
    return np.stack([np.interp(place, np.arange(len(HEAT)), channel) for channel in HEAT.T], axis=-1)


def write_clip_video(
    path: Path,
    truth: np.ndarray,
    prediction: np.ndarray,
    triangles: np.ndarray,
    mm: float,
    fps: float,
    sound: tuple[np.ndarray, int],
    lips: np.ndarray | None = None,
) -> Video:
    """Video of frames (T, V, 3) beside each other with the error in colours; returns what the report needs to show it.

    The poster is the worst moment, of the vertices `lips` (n,) where they are given. Raises UserError without the extra
    `video`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    camera = auto_camera(truth[0][np.unique(triangles)], SIZE)
    filling = fill_openings(triangles, truth)
    plain = [Mesh(triangles, np.array(SKIN)), *filling.meshes]
    streams = [render_animation(plain, [x, *filling.follow(x)], camera=camera) for x in (truth, prediction)]
    worst, chosen = (0.0, 0), slice(None) if lips is None else lips

    def heat(t: int) -> np.ndarray:
        nonlocal worst
        distances = np.linalg.norm(truth[t] - prediction[t], axis=-1) * mm
        worst = max(worst, (float(distances[chosen].max()), -t))
        meshes = [Mesh(triangles, heat_colours(distances)), *filling.meshes]
        return render(meshes, [prediction[t], *filling.at(prediction[t])], camera)

    def panes(*pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        titles = ["truth", "prediction", f"error, dark red: {MOST_MM:g} mm"]
        return side_by_side(*pictures, titles=titles)

    write_video(path, panes(*streams, map(heat, range(len(truth)))), fps, sound)
    t = -worst[1]
    still = next(panes(*([render(plain, [x[t], *filling.at(x[t])], camera)] for x in (truth, prediction)), [heat(t)]))
    return _as_video(path, still)


def write_curves_video(path: Path, truth: Take, prediction: Take, fps: float, sound: tuple[np.ndarray, int]) -> Video:
    """Video of two takes with their titles, on the built-in head, as figures, or both; the poster is their middle.

    Raises UserError without the extra `video`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    curves_film(path, [truth, prediction], fps, sound, CURVES_SIZE)
    middle = slice(len(truth) // 2, len(truth) // 2 + 1)
    return _as_video(path, next(draw_takes([truth.part(middle), prediction.part(middle)], CURVES_SIZE)))


def _as_video(path: Path, still: np.ndarray) -> Video:
    """The file, within the page unless it is large, and its poster (H, W, 3)."""
    content = path.read_bytes()
    source = _data(content, "video/mp4") if len(content) <= EMBEDDED_BYTES else f"videos/{quote(path.name)}"
    return Video(source, _data(_jpeg(still), "image/jpeg"))


def _jpeg(picture: np.ndarray) -> bytes:
    found = BytesIO()
    optional_module("PIL.Image", "pillow").fromarray(picture).save(found, format="JPEG", quality=85)
    return found.getvalue()


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
