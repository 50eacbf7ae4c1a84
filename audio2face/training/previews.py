"""Previews of a training: a film, still pictures and the mouth's opening, into `<run>/previews` and TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio2face.config import Section
from audio2face.geometry.pca import reconstruct
from audio2face.geometry.regions import mean_opening
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.render.openings import fill_openings
from audio2face.render.pictures import Curve, draw_curves, write_png
from audio2face.render.raster import Mesh, auto_camera, render_animation
from audio2face.render.video import side_by_side, write_video
from audio2face.training.loop import Fit
from audio2face.types import Pca

logger = logging.getLogger(__name__)

FOLDER = "previews"
SIZE = (224, 352)
SKIN = (0.78, 0.66, 0.60)
STILLS = 7
MOST_FPS = 30.0  # of the film: every other frame of a faster model is enough to judge it
MOST_SHARE = 0.05  # of the training's time: what would take more is left out, except after the last epoch
TRUTH, PREDICTION = (60, 66, 76), (46, 119, 208)
Show = Callable[[int, str, np.ndarray], None]
Coeffs = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Preview:
    """What is shown: `truth` and `predict()` are skin coefficients (T, K) in data units, at `fps`.

    `triangles` (F, 3) and `lip_pairs` (upper, lower) are None where the data set has none; `sound` is (samples, rate).
    """

    name: str
    fps: float
    skin: Pca
    truth: np.ndarray
    predict: Coeffs
    sound: tuple[np.ndarray, int]
    mm: float
    triangles: np.ndarray | None
    lip_pairs: tuple[np.ndarray, np.ndarray] | None


@dataclass
class Previews:
    """Shows the model every `period` epochs and after the last."""

    preview: Preview
    folder: Path
    show: Show
    period: int
    began_s: float = field(default_factory=time.monotonic)
    spent_s: float = 0.0
    last_s: float = 0.0
    pictures: bool = True

    @classmethod
    def from_config(cls, train: Section, preview: Preview, folder: Path, show: Show) -> Previews:
        """The previews of a run; says what there will not be."""
        if preview.triangles is None:
            logger.warning("previews are curves only: no SKIN_TRIANGLES_FPATH in config_dataset.py")
        return cls(preview, folder / FOLDER, show, train.PREVIEW_PERIOD)

    def __call__(self, fit: Fit) -> None:
        """After an epoch: show the model when it is time and there is time."""
        last = fit.epoch >= fit.settings.epochs
        now = time.monotonic()
        if not self.pictures or (fit.epoch % self.period and not last):
            return
        if not last and self.spent_s + self.last_s > MOST_SHARE * (now - self.began_s):
            return
        with fit.as_it_would_end():
            coeffs = self.preview.predict()
        self.folder.mkdir(exist_ok=True)
        try:
            self._write(f"epoch_{fit.epoch:03}", fit.step, coeffs)
        except UserError as error:  # an optional package is missing
            logger.warning("no previews: %s", error.lines[0])
            self.pictures = False
            return
        self.last_s = time.monotonic() - now
        self.spent_s += self.last_s
        logger.info("preview of epoch %d: %s (%.1f s)", fit.epoch, external_path(self.folder), self.last_s)

    def _write(self, name: str, step: int, coeffs: np.ndarray) -> None:
        parts = []
        truth, ours = (reconstruct(self.preview.skin, x) for x in (self.preview.truth, coeffs))
        if self.preview.triangles is not None:
            parts.append(self._film(name, truth, ours, self.preview.triangles))
            self.show(step, "preview/face", parts[0])
        if self.preview.lip_pairs is not None:
            openings = [mean_opening(x, *self.preview.lip_pairs) * self.preview.mm for x in (truth, ours)]
            rows = [Curve("truth", openings[0], TRUTH), Curve("prediction", openings[1], PREDICTION)]
            width = parts[0].shape[1] if parts else STILLS * 150
            parts.append(draw_curves(rows, self.preview.fps, "mm", (width, 200), "opening of the mouth"))
            self.show(step, "preview/mouth_opening", parts[-1])
        if parts:
            write_png(self.folder / f"{name}.png", np.concatenate(parts))

    def _film(self, name: str, truth: np.ndarray, ours: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Write the film; returns still pictures of it, truth over prediction."""
        p = self.preview
        every = max(1, round(p.fps / MOST_FPS))
        camera = auto_camera(truth[0][np.unique(triangles)], SIZE)
        filling = fill_openings(triangles, truth)
        meshes = [Mesh(triangles, np.array(SKIN)), *filling.meshes]
        shown = [x[::every] for x in (truth, ours)]
        streams = [list(render_animation(meshes, [x, *filling.follow(x)], camera=camera)) for x in shown]
        chosen = np.linspace(0, len(streams[0]) - 1, STILLS + 2).round().astype(int)[1:-1]
        stills = np.concatenate([np.concatenate([_halved(s[i]) for i in chosen], axis=1) for s in streams])
        path = self.folder / f"{name}.mp4"
        titles = [f"truth, {p.name}", name.replace("_", " ")]
        write_video(path, side_by_side(*streams, titles=titles), p.fps / every, p.sound)
        return stills


def _halved(picture: np.ndarray) -> np.ndarray:
    """Half as wide and high."""
    h, w = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
