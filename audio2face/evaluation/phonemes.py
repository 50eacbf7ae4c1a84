"""When m, b and p are spoken in a clip: from the data set's phoneme times, else from a pretrained recogniser."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import load_track
from audio2face.config import Section
from audio2face.formats.phoneme_times import find_phoneme_times, is_bilabial, read_phoneme_times
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.types import Clip

logger = logging.getLogger(__name__)

FPS = 100.0  # at which the recogniser is asked
SURE = 0.5
AROUND_S = (
    -0.04,
    0.08,
)  # of the first moment it is sure; the middle of the sound is 0.02 s later (-0.00 to 0.06, measured)
Spans = list[tuple[float, float]]


@dataclass
class Bilabials:
    """Seconds (start, end) in a clip's sound at which m, b and p are spoken; None where unknown.

    `folders` are PHONEME_ROOT by actor. `listen(samples)` recognises (start, end) in (N,) samples at 16 kHz.
    """

    folders: dict[str, Path]
    listen: Callable[[np.ndarray], Spans] | None
    given: int = 0
    heard: int = 0

    @classmethod
    def from_config(cls, dataset: Section) -> Bilabials:
        """Folders from config_dataset and the recogniser of the extra `speech`. UserError for a missing folder."""
        folders = {actor: local_path(path) for actor, path in dataset.PHONEME_ROOT.items()}
        missing = [f"PHONEME_ROOT of {a}: no folder {external_path(p)}" for a, p in folders.items() if not p.is_dir()]
        if missing:
            raise UserError(missing)
        try:
            return cls(folders, _recogniser())
        except UserError as error:
            logger.warning("m, b and p are not recognised: %s", error.lines[0])
            return cls(folders, None)

    def of(self, clip: Clip) -> Spans | None:
        """The spans of a clip's sound, whole. Raises UserError for a malformed file."""
        assert clip.audio is not None and clip.track is not None
        folder = self.folders.get(clip.shot.actor)
        path = find_phoneme_times(folder, clip.shot.name) if folder else None
        if path is not None and clip.audio.stem == clip.shot.name:
            try:
                times = read_phoneme_times(path)
            except ValueError as error:
                raise UserError(f"PHONEME_ROOT: {error}") from error
            self.given += 1
            return [(t.start_s, t.end_s) for t in times if is_bilabial(t.symbol)]
        if self.listen is None:
            return None
        self.heard += 1
        return self.listen(load_track(clip.track, "w2v").samples)

    def source(self) -> str:
        """The sources of the phoneme times, for the report."""
        parts = [f"PHONEME_ROOT ({self.given})"] if self.given else []
        parts += [f"the recogniser hama ({self.heard})"] if self.heard else []
        return "m, b and p: times from " + " and ".join(parts) if parts else "m, b and p: times unknown"


def _recogniser() -> Callable[[np.ndarray], Spans]:
    """The recogniser of the hama package. Raises UserError when it is not installed."""
    import torch

    from audio2face.models.common.encoders.phoneme_ctc import PhonemeCtc
    from audio2face.models.common.phonemes import load_phoneme_model

    model = load_phoneme_model("hama", "", Path(), torch.device("cpu"))
    labels = PhonemeCtc.from_package().labels
    chosen = np.array([index for index, label in enumerate(labels) if is_bilabial(label)])

    def listen(samples: np.ndarray) -> Spans:
        spoken = model.probabilities(samples, FPS)[:, chosen].sum(axis=1) > SURE
        starts = np.flatnonzero(spoken & ~np.concatenate([[False], spoken[:-1]]))
        return [(max(start / FPS + AROUND_S[0], 0.0), start / FPS + AROUND_S[1]) for start in starts]

    return listen
