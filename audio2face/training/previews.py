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
from audio2face.lazy import lazy
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.training.loop import Fit
from audio2face.types import Pairs, Pca

logger = logging.getLogger(__name__)

FOLDER = "previews"
MOST_SHARE = 0.05  # of the training's time: what would take more is left out, except after the last epoch
Show = Callable[[int, str, np.ndarray], None]
Coeffs = Callable[[], np.ndarray]
draw_preview = lazy("audio2face.render.preview", "draw_preview")


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
    lip_pairs: Pairs | None


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
        p = self.preview
        faces = reconstruct(p.skin, p.truth), reconstruct(p.skin, coeffs)
        pictures = draw_preview(self.folder / name, p.name, faces, p.fps, p.mm, p.triangles, p.lip_pairs, p.sound)
        for what, picture in pictures.items():
            self.show(step, f"preview/{what}", picture)
