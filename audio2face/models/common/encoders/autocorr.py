"""Autocorrelation encoder: short-time autocorrelation of the waveform, then convolutions along the lags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.layers import ConvBlock
from audio2face.problems import UserError

GAIN = 8.912028  # brings peak-normalised speech to the level that the branch is built for
CHANNELS = (1, 72, 108, 162, 243, 256)
WINDOWS: dict[str, Callable[[int], Tensor]] = {
    "hanning": lambda n: torch.hann_window(n, periodic=False, dtype=torch.float64),
    "none": lambda n: torch.ones(n),
}


class Autocorrelation(nn.Module):
    """(B, N) audio → (B, windows, 256)."""

    dim, receptive_field, frozen = CHANNELS[-1], "local", False
    window: Tensor

    def __init__(
        self,
        buffer_len: int = 8320,
        num_autocorr: int = 32,
        num_windows: int = 25,
        win_len: int = 640,
        win_stride: int = 320,
        preemph: float = 0.0,
        remove_dc: bool = True,
        win_func: str | None = "hanning",
    ):
        """Arguments are the keys of `autocorr_params`.

        Raises:
            UserError: unknown window, window not a multiple of the lags, or a count that does not fit the buffer.
        """
        super().__init__()
        win_func = win_func or "none"
        fits = (buffer_len - win_len) // win_stride + 1
        problems = []
        if num_windows != fits:
            problems.append(
                f"autocorr_params: num_windows is {num_windows}, but a buffer of {buffer_len} samples holds {fits} "
                f"windows of {win_len} every {win_stride}; set num_windows to {fits} or change AUDIO_PARAMS"
            )
        if win_func not in WINDOWS:
            problems.append(f"autocorr_params: win_func {win_func!r} is unknown, choose from {sorted(WINDOWS)}")
        if num_autocorr != 32:
            problems.append(f"autocorr_params: num_autocorr must be 32 for this network, not {num_autocorr}")
        elif win_len % num_autocorr:
            problems.append(f"autocorr_params: win_len {win_len} must be a multiple of num_autocorr {num_autocorr}")
        if problems:
            raise UserError(problems)
        self.centre = win_len // 2
        self.num_lags, self.win_len, self.win_stride = num_autocorr, win_len, win_stride
        self.preemph, self.remove_dc = preemph, remove_dc
        self.register_buffer("window", WINDOWS[win_func](win_len).float(), persistent=False)
        kernels = [(3, 2, 1)] * 4 + [(2, 2, 0)]  # kernel, stride, padding: 32 → 16 → 8 → 4 → 2 → 1 lags
        self.convs = nn.Sequential(
            *(ConvBlock(CHANNELS[i], CHANNELS[i + 1], *kernel) for i, kernel in enumerate(kernels))
        )

    @torch.no_grad()
    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, windows, 32) autocorrelation at lags 0 … 31 samples."""
        audio = audio * GAIN
        if self.preemph:
            audio = audio - self.preemph * F.pad(audio[:, :-1], (1, 0))
        x = audio.unfold(1, self.win_len, self.win_stride)  # (B, windows, win_len)
        if self.remove_dc:
            x = x - x.mean(-1, keepdim=True)
        return autocorrelation(x * self.window, self.num_lags)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: (B, windows, 32) → (B, windows, 256)."""
        windows = features.shape[1]
        x = features.reshape(-1, 1, self.num_lags)  # windows are rows: the convolutions run along the lags only
        for block in self.convs:
            x = block(x, shared_rows=windows, rng=rng)
        return x.reshape(-1, windows, self.dim)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {}


def autocorrelation(x: Tensor, num_lags: int) -> Tensor:
    """x: (..., L), L a multiple of num_lags → (..., num_lags): r[k] = Σ_n x[n] x[n + k] / L.

    The sum is taken in blocks of `num_lags` samples: one small matrix product gives every pair (m, c) of a block and
    its right neighbourhood, and r[k] is the sum over the k-th diagonal c = m + k, read as a column after a reshape to
    rows that are one longer.
    """
    length = x.shape[-1]
    blocks = x.unflatten(-1, (length // num_lags, num_lags))  # (..., J, K)
    following = F.pad(x[..., num_lags:], (0, num_lags)).unflatten(-1, (length // num_lags, num_lags))
    pairs = blocks.transpose(-1, -2) @ torch.cat([blocks, following], -1)  # (..., K, 2K)
    skewed = F.pad(pairs.flatten(-2), (0, num_lags)).unflatten(-1, (num_lags, 2 * num_lags + 1))
    return skewed[..., :num_lags].sum(-2) / length
