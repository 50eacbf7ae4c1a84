"""Previews of a training: a film, still pictures and the mouth's or the jaw's opening, into `<run>/previews` and TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio2face.config import Section
from audio2face.face.curves import CurveGroup
from audio2face.formats.body_mesh import BodyMesh
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
Curves = Callable[[], Mapping[str, np.ndarray]]
draw_preview = lazy("audio2face.render.preview", "draw_preview")
draw_curves_preview = lazy("audio2face.render.preview", "draw_curves_preview")
curves_take = lazy("audio2face.render.curves_film", "curves_take")


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

    def draw(self, stem: Path, coeffs: np.ndarray) -> dict[str, np.ndarray]:
        """Write `<stem>.mp4` and `<stem>.png` of what `predict` gave; returns the pictures by name."""
        faces = reconstruct(self.skin, self.truth), reconstruct(self.skin, coeffs)
        return draw_preview(stem, self.name, faces, self.fps, self.mm, self.triangles, self.lip_pairs, self.sound)


@dataclass(frozen=True)
class CurvesPreview:
    """What is shown without a mesh: `truth` and `predict()` are raw values {group: (T, D)} of `groups`, at `fps`."""

    name: str
    fps: float
    groups: Mapping[str, CurveGroup]
    truth: Mapping[str, np.ndarray]
    predict: Curves
    sound: tuple[np.ndarray, int]
    body: BodyMesh | None = None

    def draw(self, stem: Path, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As `Preview.draw`, on the built-in head, as a figure, or both."""
        takes = [curves_take(self.groups, side, body=self.body) for side in (self.truth, values)]
        return draw_curves_preview(stem, self.name, takes[0], takes[1], self.fps, self.sound)


@dataclass
class Previews:
    """Shows the model every `period` epochs and after the last."""

    preview: Preview | CurvesPreview
    folder: Path
    show: Show
    period: int
    began_s: float = field(default_factory=time.monotonic)
    spent_s: float = 0.0
    last_s: float = 0.0
    pictures: bool = True

    @classmethod
    def from_config(cls, train: Section, preview: Preview | CurvesPreview, folder: Path, show: Show) -> Previews:
        """The previews of a run; says what there will not be."""
        if isinstance(preview, Preview) and preview.triangles is None:
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
            found = self.preview.predict()
        self.folder.mkdir(exist_ok=True)
        try:
            pictures = self.preview.draw(self.folder / f"epoch_{fit.epoch:03}", found)  # type: ignore[arg-type]
        except UserError as error:  # an optional package is missing
            logger.warning("no previews: %s", error.lines[0])
            self.pictures = False
            return
        for what, picture in pictures.items():
            self.show(fit.step, f"preview/{what}", picture)
        self.last_s = time.monotonic() - now
        self.spent_s += self.last_s
        logger.info("preview of epoch %d: %s (%.1f s)", fit.epoch, external_path(self.folder), self.last_s)
