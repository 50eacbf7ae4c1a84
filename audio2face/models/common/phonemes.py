"""Pretrained phoneme models: probabilities of phonemes by frame, the target of the regression network's phoneme head.

"charsiu" is a frame classifier on wav2vec 2.0 (Zhu, Zhang, Jurgens 2022, arXiv:2110.03876), "hama" the CTC recogniser of the
package of that name, which needs no download.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from audio2face.models.common.encoders.phoneme_ctc import HOP, LABELS, PhonemeCtc
from audio2face.models.common.encoders.pretrained import Use, load_speech_model
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.types import SAMPLE_RATE

logger = logging.getLogger(__name__)

CHUNK = 20 * SAMPLE_RATE  # longer sound is given piece by piece (attention grows with the square; hama stops at 30 s)
SHORTEST = SAMPLE_RATE // 5  # shorter sound is padded with silence
CONTEXT = SAMPLE_RATE  # around a piece, of its neighbours

CHARSIU_MODELS = {"en": "charsiu/en_w2v2_fc_10ms", "zh": "charsiu/zh_xlsr_fc_10ms"}
SILENCE_LABEL = "[SIL]"
WAYS_OUT = (
    "or set PHONEME_MODEL to a local folder with its config.json and weights, or to 'hama' (pip install hama==1.3.13,",
    "no download); or train without phonemes: LOSS_PHONEME_ALPHA and LOSS_PHONEME_MOTION_ALPHA None",
)

HAMA_DELAY_S = 0.02  # its spikes are late by this; measured, as the next, on speech with known phoneme times
HAMA_HOLD_S = 0.2  # a phoneme without a successor fades into silence with this time constant


@dataclass(frozen=True)
class PhonemeModel:
    """A pretrained phoneme model as a function of samples.

    `log_probabilities` maps (N,) samples to (K, num_classes), whose step k is centred on sample first + k · hop. `silence`
    is the class of silence, None when the model has none.
    """

    name: str
    num_classes: int
    silence: int | None
    first: int
    hop: int
    log_probabilities: Callable[[np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] = lambda probabilities: probabilities

    def probabilities(self, samples: np.ndarray, fps: float, temperature: float = 1.0) -> np.ndarray:
        """Frame probabilities: samples (N,) at 16 kHz, at most ±1 → (ceil(N / 16000 · fps), num_classes) float32.

        Row i is at (i + 0.5) / fps seconds; rows sum to 1. A higher `temperature` gives softer probabilities.
        """
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        num_frames = math.ceil(len(samples) / SAMPLE_RATE * fps - 1e-6)
        if num_frames == 0:
            return np.zeros((0, self.num_classes), np.float32)
        steps = self.finish(_softmax(self._log_probabilities(samples) / temperature))
        centres = (np.arange(num_frames) + 0.5) / fps * SAMPLE_RATE
        position = np.clip((centres - self.first) / self.hop, 0, len(steps) - 1)
        before = np.minimum(position.astype(np.int64), max(len(steps) - 2, 0))
        share = (position - before)[:, None]
        after = np.minimum(before + 1, len(steps) - 1)
        return (steps[before] * (1 - share) + steps[after] * share).astype(np.float32)

    def _log_probabilities(self, samples: np.ndarray) -> np.ndarray:
        """Log probabilities of sound of any length, (K, num_classes); every step is centred in its own piece."""
        samples = np.pad(samples, (0, max(0, SHORTEST - len(samples))))
        if len(samples) <= CHUNK + 2 * CONTEXT:
            return self.log_probabilities(samples)
        pieces = []
        for start in range(0, len(samples), CHUNK):
            left = min(start, CONTEXT) // self.hop
            piece = self.log_probabilities(samples[start - left * self.hop : start + CHUNK + CONTEXT])
            is_last = start + CHUNK >= len(samples)
            pieces.append(piece[left:] if is_last else piece[left : left + CHUNK // self.hop])
        return np.concatenate(pieces)


def load_phoneme_model(name: str, language: str, cache_root: Path, device: torch.device) -> PhonemeModel:
    """The model that PHONEME_MODEL names, for a language of CLIPS.

    Args:
        name: "charsiu", "hama", a hub name or a local folder of a frame classifier like charsiu's.
        cache_root: folder that keeps what is downloaded.

    Raises:
        UserError: no model for the language, or its weights are neither here nor to be had.
    """
    if name in PHONEME_MODELS:
        return PHONEME_MODELS[name](language, cache_root, device)
    return load_frame_classifier(name, cache_root, device)


def load_charsiu(language: str, cache_root: Path, device: torch.device) -> PhonemeModel:
    """The published charsiu model of a language. Raises UserError as `load_phoneme_model` does."""
    if language not in CHARSIU_MODELS:
        known = ", ".join(CHARSIU_MODELS)
        raise UserError(
            f"PHONEME_FORCING_LANGS: charsiu has no model for {language!r} (only {known}); leave the language out, or set "
            "PHONEME_MODEL to 'hama' or to a model of your own"
        )
    return load_frame_classifier(CHARSIU_MODELS[language], cache_root, device)


def load_frame_classifier(source: str, cache_root: Path, device: torch.device) -> PhonemeModel:
    """A wav2vec 2.0 or a relative with a linear layer over its frames, from a hub name or a folder. Raises UserError."""
    model = load_speech_model(source, {}, Use("PHONEME_MODEL", WAYS_OUT, "ForCTC"), cache_root).to(device).eval()
    config = model.config

    def log_probabilities(samples: np.ndarray) -> np.ndarray:
        level = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        with torch.inference_mode():
            audio = torch.from_numpy(level.astype(np.float32)).to(device)
            return model(audio[None]).logits[0].log_softmax(-1).double().cpu().numpy()

    hop, field = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    silence = _silence_class(local_path(source), config.vocab_size)
    logger.info("phonemes: %s, %d classes every %g ms", source, config.vocab_size, 1000 * hop / SAMPLE_RATE)
    return PhonemeModel(source, config.vocab_size, silence, field // 2, hop, log_probabilities)


def load_hama(language: str, cache_root: Path, device: torch.device) -> PhonemeModel:
    """The CTC recogniser of the hama package, whatever the language. Raises UserError when it is not installed."""
    model = PhonemeCtc.from_package().to(device)
    blank, boundary = LABELS - 1, LABELS - 2
    hop = 2 * HOP

    def log_probabilities(samples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            audio = torch.from_numpy(samples.astype(np.float32)).to(device)
            return model.posteriors(audio[None])[0].double().clamp(min=1e-12).log().cpu().numpy()

    def finish(probabilities: np.ndarray) -> np.ndarray:
        return hold_spikes(probabilities, blank, boundary, math.exp(-hop / SAMPLE_RATE / HAMA_HOLD_S))

    delay = round(HAMA_DELAY_S * SAMPLE_RATE)
    logger.info("phonemes: hama, %d classes every %g ms", LABELS, 1000 * hop / SAMPLE_RATE)
    return PhonemeModel("hama", LABELS, blank, -delay, hop, log_probabilities, finish)


PHONEME_MODELS: dict[str, Callable[[str, Path, torch.device], PhonemeModel]] = {
    "charsiu": load_charsiu,
    "hama": load_hama,
}


def hold_spikes(probabilities: np.ndarray, blank: int, boundary: int, decay: float) -> np.ndarray:
    """Turn a CTC recogniser's spikes into phonemes that last: (K, P) probabilities → (K, P), rows sum to 1.

    CTC names a phoneme in a step or two and says `blank` for the rest of it, and `boundary` between words. Here a phoneme is
    held through blanks until another takes its place, and fades by `decay` per step; what is left is `blank`, now silence.
    """
    spoken = probabilities.copy()
    spoken[:, [blank, boundary]] = 0
    gap = 1 - spoken.sum(axis=1)
    held = np.zeros_like(spoken)
    last = np.zeros(probabilities.shape[1])
    for k in range(len(spoken)):
        last = held[k] = spoken[k] + gap[k] * decay * last
    held[:, blank] = np.clip(1 - held.sum(axis=1), 0, 1)
    return held


def _silence_class(folder: Path, num_classes: int) -> int:
    """The class of silence by the folder's vocab.json; without one, charsiu's own order, where it comes first."""
    vocabulary = folder / "vocab.json"
    if not vocabulary.is_file():
        return 0
    found = json.loads(vocabulary.read_text(encoding="utf-8")).get(SILENCE_LABEL, 0)
    if not 0 <= found < num_classes:
        raise UserError(f"{vocabulary}: {SILENCE_LABEL} is class {found}, the model has {num_classes}")
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)
