"""Regression training on a made-up actor: the method of this framework, and a plain one to compare it with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.augment import shift_grid
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.long_arrays import Keep, in_memory
from audio2face.dataset.targets import sample_linear
from audio2face.models.common import onednn_conv as products
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.vertex_distances import pair_distances
from audio2face.models.regression.data import WindowData, WindowParams
from audio2face.models.regression.method import LossSettings, Regression, RegressionMethod
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.training.precision import FLOAT32, Precision
from tools.bench.made_up import EMOTIONS, FPS, SAMPLE_RATE, MadeUp

BUFFER, OFFSET, SEQ_LEN, IMPLICIT = 8320, 4160, 2, 16
WEIGHTS = {"MSE": 1.0, "MOTION": 10.0, "EMO_REG": 1.0, "LIP_DIST": 100.0, "VOL_STAB_REG": 100.0}
ENCODERS = {  # the features of a network -> its arguments
    "w2v": {"use_w2v_features": True, "use_autocorr_features": True},
    "melspec": {"use_w2v_features": False, "use_autocorr_features": True, "use_melspec_features": True},
}


def make_network(actor: MadeUp, encoder: str, implicit: int = IMPLICIT) -> ConvW2vAutocorr:
    """The network with random weights; wav2vec 2.0 is of base size, one layer, frozen."""
    torch.manual_seed(0)
    return ConvW2vAutocorr(
        actor.layout.sizes,
        EMOTIONS,
        implicit_emotion_len=implicit,
        buffer_len=BUFFER,
        pretrained=False,
        **ENCODERS[encoder],
    )


def make_method(
    actor: MadeUp,
    folder: Path,
    encoder: str,
    batch_size: int,
    shifts: int,
    precision: Precision = FLOAT32,
    keep: Keep = in_memory,
    implicit: int = IMPLICIT,
) -> RegressionMethod:
    """The method as a config with defaults builds it, without phonemes."""
    clips = actor.clips(folder)
    starts = np.cumsum([0, *(clip.num_frames for clip in clips)])
    explicit = np.eye(EMOTIONS, dtype=np.float32)
    conditions = [ClipConditions(explicit[i % EMOTIONS], 0, i % EMOTIONS, int(starts[i])) for i in range(len(clips))]
    params = WindowParams(FPS, SAMPLE_RATE, BUFFER, OFFSET, SEQ_LEN, 1, shift_grid(1.0, shifts))
    device, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    tracks = AudioTracks("w2v", SAMPLE_RATE, keep)
    data = WindowData(
        clips,
        conditions,
        actor.targets,
        actor.layout,
        tracks,
        MutedNoise(),
        params,
        num_actors=1,
        batch_size=batch_size,
        seed=0,
        device=device,
        on_disk=keep is not in_memory,
    )
    model = Regression(make_network(actor, encoder, implicit), int(starts[-1]), implicit, 0.01, generator)
    upper, lower = actor.lips()
    components = actor.skin.reshape(len(actor.skin), -1, 3)
    lips = pair_distances([components], [actor.mean], [upper], [lower], len(components), device)
    settings = LossSettings(dict(WEIGHTS))
    return RegressionMethod(
        model, data, actor.layout, settings, lambda epoch: 0.994**epoch, lip_dist=lips, precision=precision
    )


@dataclass
class PlainItem:
    """SEQ_LEN windows of sound as they were cut, and what goes with them."""

    audio: np.ndarray  # (L, N)
    autocorrelation: np.ndarray  # (L, 25, 32)
    target: np.ndarray  # (L, C)
    rows: np.ndarray  # (L,)
    emotion: np.ndarray  # (L, E)


class PlainRegression:
    """The same network trained the plain way.

    Every item is cut from the sound when its turn comes, at a shift of its own; its autocorrelation is summed window by
    window in NumPy; the frozen encoder runs on every window again; vertices are made from the coefficients of
    prediction and target to measure a few lip distances; running averages are read back as Python numbers.
    """

    def __init__(self, method: RegressionMethod, actor: MadeUp, folder: Path):
        self.model, self.batch_size = method.model, method.data.batch_size
        self.clips, self.layout = actor.clips(folder), actor.layout
        self.starts = np.cumsum([0, *(clip.num_frames for clip in self.clips)])
        tracks = AudioTracks("w2v", SAMPLE_RATE)
        self.sound = [np.pad(tracks.load(clip.track)[0], (BUFFER, 2 * BUFFER)) for clip in self.clips if clip.track]
        self.targets = [actor.targets(clip).values for clip in self.clips]
        self.basis = torch.from_numpy(actor.skin)
        self.mean = torch.from_numpy(actor.mean)
        self.upper, self.lower = (torch.from_numpy(v) for v in actor.lips())
        self.running: dict[str, float] = {}
        self.index = [
            (c, f) for c, clip in enumerate(self.clips) for f in range(clip.num_frames - SEQ_LEN + 1)
        ]  # items

    def item(self, number: int, rng: np.random.Generator) -> PlainItem:
        """Cut one item."""
        clip, first = self.index[number]
        shift = rng.random() - 0.5
        times = (first + np.arange(SEQ_LEN) + 0.5 + shift) / FPS
        begin = np.round(times * SAMPLE_RATE).astype(int) - OFFSET + BUFFER
        audio = np.stack([self.sound[clip][start : start + BUFFER] for start in begin])
        return PlainItem(
            audio,
            np.stack([plain_autocorrelation(window) for window in audio]),
            sample_linear(self.targets[clip], FPS, times),
            self.starts[clip] + first + np.arange(SEQ_LEN),
            np.repeat(np.eye(EMOTIONS, dtype=np.float32)[[clip % EMOTIONS]], SEQ_LEN, axis=0),
        )

    def batch(self, numbers: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Items one after the other, stacked: rows are frames."""
        items = [self.item(int(number), rng) for number in numbers]
        names = ("audio", "autocorrelation", "target", "rows", "emotion")
        return {name: torch.from_numpy(np.concatenate([getattr(item, name) for item in items])) for name in names}

    def encode(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features of a batch."""
        found = {}
        with torch.no_grad():
            for name, encoder in self.model.network.encoders.items():
                found[name] = batch["autocorrelation"] if name == "autocorr" else encoder.features(batch["audio"])
        return found

    def loss(self, batch: dict[str, Tensor], features: dict[str, Tensor], progress: float) -> Tensor:
        """The same terms as `RegressionMethod.loss`."""
        implicit = self.model.implicit[batch["rows"]]
        prediction, _ = self.model.network.decode(
            features, Conditions({"implicit": implicit, "emotion": batch["emotion"]})
        )
        target, pairs = batch["target"], (-1, SEQ_LEN)
        difference, steps = prediction - target, prediction.unflatten(0, pairs).diff(dim=1)
        terms = {
            "MSE": (difference**2).mean(),
            "MOTION": (difference.unflatten(0, pairs).diff(dim=1) ** 2).mean(),
            "EMO_REG": (implicit.unflatten(0, pairs).diff(dim=1) ** 2).mean() / (implicit**2).mean(),
        }
        scaled = {}
        for name, value in terms.items():
            self.running[name] = 0.99 * self.running.get(name, value.item() ** 2) + 0.01 * value.item() ** 2
            scaled[name] = (value / self.running[name] ** 0.5) ** (1 - progress)
        ours, true = self.lips(prediction), self.lips(target)
        near = torch.exp(-true.clamp(min=0))
        scaled["LIP_DIST"] = (((ours - true) * near) ** 2).mean()
        quiet = torch.exp(-5000 * batch["audio"].abs().mean(dim=1)).unflatten(0, pairs).mean(dim=1)
        scaled["VOL_STAB_REG"] = (quiet[:, None, None] * steps**2).mean()
        return torch.stack([WEIGHTS[name] * value for name, value in scaled.items()]).sum()

    def lips(self, frames: Tensor) -> Tensor:
        """Lip distances (n, pairs) read from whole meshes (n, V, 3)."""
        coeffs = frames[:, self.layout.slices["skin_coeffs"]]
        vertices = (coeffs @ self.basis).unflatten(1, (-1, 3)) + self.mean
        return vertices[:, self.upper, 1] - vertices[:, self.lower, 1]


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Within the block, convolutions of the network are PyTorch's own."""
    product, products.PRODUCT = products.PRODUCT, None
    try:
        yield
    finally:
        products.PRODUCT = product


def plain_autocorrelation(window: np.ndarray, num_lags: int = 32, size: int = 640, stride: int = 320) -> np.ndarray:
    """Autocorrelation (25, 32) of a window of sound (8320,): a sum for every part and lag."""
    found = np.zeros(((len(window) - size) // stride + 1, num_lags), np.float32)
    hann = np.hanning(size)
    for row, start in zip(found, range(0, len(window) - size + 1, stride), strict=True):
        part = window[start : start + size] * 8.912028
        part = (part - part.mean()) * hann
        for lag in range(num_lags):
            row[lag] = np.dot(part[: size - lag], part[lag:]) / size
    return found
