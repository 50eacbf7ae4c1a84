"""Phoneme-CTC encoder: the pretrained 50 fps phoneme recogniser of the `hama` package as a torch module.

The package (pip install hama==1.3.13, Apache-2.0) carries its acoustic model as an ONNX file for onnxruntime. The same
network is written out here and its weights are read from the initialisers of that file, so that the hidden layer can be
used, exported and run on any device. The original is a half-precision graph whose blocks amplify small differences a
thousandfold: its two roundings that matter (the log-mel, and √2 in GELU) are kept, and then the labels agree.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio2face.dataset.audio_tracks import build_tracks, standardized
from audio2face.problems import UserError

if TYPE_CHECKING:
    from audio2face.models.common.inputs import Inputs

HOP, WINDOW, BINS, MELS = 160, 400, 201, 80
STEP = 2 * HOP
WIDTH, HEADS, LABELS = 256, 4, 191
KERNEL, SQUEEZE = 9, 8  # of a separable block
DILATIONS = (1, 1, 2, 2, 4, 1, 1, 2, 2, 4, 1)
HALF_SQRT_2 = 1.4140625
MEASURED = ("gates", "centre", "deviation")  # what `measure` finds
MEASURED_FILES, MEASURED_SAMPLES = 64, 160000  # at most, and of each file at most, for `build_speech_measure`
MODEL_FILE, VOCABULARY_FILE = "asr_waveform_fp16.onnx", "g2p_vocab.json"


class PhonemeCtc(nn.Module):
    """Log-mel → convolution stride 2 → 11 separable blocks with channel attention → 2 transformer layers → 191 labels.

    Feature step t is centred on sample 320 t; there are ceil((N // 160 + 1) / 2) of them. The channel attention pools
    over the whole input: half a second of speech turns its channels up and down very unlike the sentences that the model
    was trained on, and the features with them. `measure` therefore fixes it for `steps` at its mean over long speech,
    before which `steps` gives the last hidden layer of the window alone, as runs trained without measuring have it.
    """

    stft: Tensor
    mel: Tensor
    gates: Tensor | None  # (blocks, 256, 1) of the channel attention
    centre: Tensor | None  # (256,) mean of the features
    deviation: Tensor | None  # (256,)

    def __init__(self) -> None:
        super().__init__()
        for name in MEASURED:
            self.register_buffer(name, None)
        self.register_buffer("stft", torch.zeros(2 * BINS, 1, WINDOW))
        self.register_buffer("mel", torch.zeros(BINS, MELS))
        self.stem = nn.Conv1d(MELS, WIDTH, 3, 2, 1)
        self.blocks = nn.ModuleList(SeparableBlock(WIDTH, dilation) for dilation in DILATIONS)
        self.attention = nn.ModuleList(AttentionLayer(WIDTH, HEADS) for _ in range(2))
        self.labels_layer = nn.Linear(WIDTH, LABELS)

    @classmethod
    def from_package(cls) -> PhonemeCtc:
        """The pretrained model, in evaluation mode and without gradients.

        Raises:
            UserError: the `hama` package is missing or of another version.
        """
        model = cls()
        model.load_state_dict(read_package_weights(package_folder() / MODEL_FILE))
        model._recentre()
        return model.eval().requires_grad_(False)

    @property
    def labels(self) -> list[str]:
        """The 191 symbols, in output order; the last two are the word boundary and the CTC blank."""
        decoder = json.loads((package_folder() / VOCABULARY_FILE).read_text(encoding="utf-8"))["decoder"]
        return [*decoder, "<wb>", "<blank>"]

    @torch.no_grad()
    def _recentre(self) -> None:
        """Move the typical output of every depthwise convolution from its bias to the bias of the next one.

        The function stays the same to 1e-6, but float32 loses a sixth as much: some channels are always near 7 and the
        pointwise weights cancel them to a percent, which no longer happens in a sum of rounded numbers.
        """
        exact = copy.deepcopy(self).double()
        audio = torch.rand(4, 16000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
        x = gelu(exact.stem(exact.log_mel(audio)))
        for block, ours in zip(_blocks(exact), _blocks(self), strict=True):
            y = block.depthwise(x)
            edge = y.shape[2] // 4
            ours.depthwise.bias.copy_(block.depthwise.bias - y[:, :, edge:-edge].mean((0, 2)))
            moved = block.depthwise.bias - ours.depthwise.bias.double()
            ours.pointwise.bias.copy_(block.pointwise.bias + block.pointwise.weight[:, :, 0] @ moved)
            x = block(x)

    def log_mel(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, 80, N // 160 + 1)."""
        x = F.pad(audio.unsqueeze(1), (WINDOW // 2, WINDOW // 2), mode="reflect")
        real, imaginary = F.conv1d(x, self.stft, stride=HOP).chunk(2, 1)
        power = (real.square() + imaginary.square()).transpose(1, 2) @ self.mel
        return power.clamp(min=1e-10).log().transpose(1, 2)

    def hidden(self, audio: Tensor, rounded: bool = False) -> Tensor:
        """audio: (B, N) at 16 kHz in [-1, 1], N > 200 → (B, T, 256).

        `rounded` rounds the log-mel to half precision where the original goes over to it: needed for its very labels,
        but a step function, in which the last bit of one machine can become a visible difference on another.
        """
        mel = self.log_mel(audio)
        x = gelu(self.stem(mel.half().float() if rounded else mel))
        for block in self.blocks:
            x = block(x)
        x = x.transpose(1, 2)
        for layer in self.attention:
            x = layer(x)
        return x

    def steps(self, audio: Tensor) -> Tensor:
        """Features for a face, audio: (B, N) → (B, N // 320 - 1, 256); step k is centred on sample 320 (k + 1).

        The steps on the very edges of the window are left out. Measured, each channel has mean 0 and deviation 1 on speech.
        """
        if self.gates is None or self.centre is None or self.deviation is None:
            x = self.hidden(audio)
        else:
            x = (self._tapped(audio, self.gates) - self.centre) / self.deviation
        return x[:, 1 : audio.shape[1] // STEP]

    def _tapped(self, audio: Tensor, gates: Tensor) -> Tensor:
        """Output of the last block, before the attention (B, T, 256), with fixed gates."""
        x = gelu(self.stem(self.log_mel(audio)))
        for i, block in enumerate(_blocks(self)):
            x = block(x, gates[i])
        return x.transpose(1, 2)

    @torch.no_grad()
    def measure(self, sounds: Sequence[Tensor]) -> None:
        """Find the gates and the features' mean and deviation on stretches of speech (N,) of a few seconds each."""
        gates = torch.zeros(len(DILATIONS), WIDTH, 1, device=self.mel.device)
        length = sum(len(sound) for sound in sounds)
        for sound in sounds:
            x = gelu(self.stem(self.log_mel(sound[None])))
            for i, block in enumerate(_blocks(self)):
                y = block.convolve(x)
                gate = block.gate(y)
                gates[i] += gate[0] * (len(sound) / length)
                x = x + y * gate
        features = torch.cat([self._tapped(sound[None], gates)[0, 1 : len(sound) // STEP] for sound in sounds])
        self.gates, self.centre = gates, features.mean(0)
        self.deviation = features.std(0, correction=0).clamp(min=1e-3)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *arguments: Any) -> None:
        """Measured values come with the weights; without them a model that was never measured stays so."""
        for name in MEASURED:
            value = state.get(prefix + name)
            if value is None and getattr(self, name) is not None:
                raise UserError(
                    "these weights are of a training whose phoneme_ctc features were not yet measured on its speech, which "
                    "can be deployed and run but not trained further: train again"
                )
            if value is not None:
                setattr(self, name, torch.empty_like(value, device=self.mel.device))
        super()._load_from_state_dict(state, prefix, *arguments)

    def posteriors(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, T, 191) probabilities."""
        return self.labels_layer(self.hidden(audio, rounded=True)).softmax(-1)


def _blocks(model: PhonemeCtc) -> list[Any]:
    """The separable blocks, with the type of their parts."""
    return list(model.blocks)


class SeparableBlock(nn.Module):
    """Depthwise and pointwise convolution, SiLU, squeeze and excitation, residual: (B, C, T) → (B, C, T)."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.depthwise = nn.Conv1d(
            width, width, KERNEL, padding=dilation * (KERNEL // 2), dilation=dilation, groups=width
        )
        self.pointwise = nn.Conv1d(width, width, 1)
        self.fc1 = nn.Conv1d(width, width // SQUEEZE, 1)
        self.fc2 = nn.Conv1d(width // SQUEEZE, width, 1)

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """`gate` (C, 1) stands in for what x itself would give."""
        y = self.convolve(x)
        return x + y * (self.gate(y) if gate is None else gate)

    def convolve(self, x: Tensor) -> Tensor:
        return F.silu(self.pointwise(self.depthwise(x)))

    def gate(self, y: Tensor) -> Tensor:
        """Squeeze and excitation: (B, C, T) → (B, C, 1)."""
        return torch.sigmoid(self.fc2(F.silu(self.fc1(y.mean(2, keepdim=True)))))


class AttentionLayer(nn.Module):
    """Pre-norm transformer layer without position codes: (B, T, C) → (B, T, C)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, WIDTH) → the same shape."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, 2)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        x = x + self.out((scores.softmax(3) @ value).transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.norm2(x))))


def gelu(x: Tensor) -> Tensor:
    """GELU with √2 rounded to half precision, as in the original file."""
    return 0.5 * x * (1.0 + torch.erf(x / HALF_SQRT_2))


def package_folder() -> Path:
    """The `assets` folder of the installed hama package.

    Raises:
        UserError: not installed, or a version without the file that is read here.
    """
    spec = util.find_spec("hama")
    folder = Path(spec.origin).parent / "assets" if spec is not None and spec.origin else None
    if folder is not None and (folder / MODEL_FILE).is_file():
        return folder
    found = "is not installed" if folder is None else f"in {folder.parent} is a version without {MODEL_FILE}"
    raise UserError(
        f"the phoneme-CTC audio features need the package hama, which {found}. Install it with "
        "'pip install hama==1.3.13', or choose other features in NETWORK_HYPER_PARAMS "
        "(use_melspec_features, use_autocorr_features)"
    )


def read_package_weights(path: Path) -> dict[str, Tensor]:
    """State dict of `PhonemeCtc` from the initialisers of hama's ONNX file, as float32.

    Weights that the exporter folded or transposed have lost their names; they are found through the nodes that use
    them.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    values = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()).float() for i in graph.initializer}
    convs = [n for n in graph.node if n.op_type == "Conv" and n.input[1].startswith("onnx::")]
    products = [n.input[1] for n in graph.node if n.op_type == "MatMul" and n.input[1].startswith("onnx::")]
    if len(convs) != 1 + len(DILATIONS) or len(products) != 8:
        raise UserError(f"{path}: not the model of hama 1.3.13; install it with 'pip install hama==1.3.13'")

    state = {"stft": torch.cat([values["stft_real_kernel"], values["stft_imag_kernel"]]), "mel": values["mel_fb"]}
    state |= {"stem.weight": values[convs[0].input[1]], "stem.bias": values[convs[0].input[2]]}
    prefix = "acoustic_model.model."
    for i, conv in enumerate(convs[1:]):
        state |= {f"blocks.{i}.pointwise.weight": values[conv.input[1]]}
        state |= {f"blocks.{i}.pointwise.bias": values[conv.input[2]]}
        for ours, theirs in [("depthwise", "depthwise"), ("fc1", "se.fc1"), ("fc2", "se.fc2")]:
            for kind in ("weight", "bias"):
                state[f"blocks.{i}.{ours}.{kind}"] = values[f"{prefix}backbone.{i}.{theirs}.{kind}"]
    for i in range(2):
        theirs_i = f"{prefix}attn_layers.{i}."
        biases = ["attn.in_proj_bias", "attn.out_proj.bias", "ff.0.bias", "ff.3.bias"]
        for k, (ours, bias) in enumerate(zip(["qkv", "out", "up", "down"], biases, strict=True)):
            state[f"attention.{i}.{ours}.weight"] = values[products[4 * i + k]].T.contiguous()
            state[f"attention.{i}.{ours}.bias"] = values[theirs_i + bias]
        for norm in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                state[f"attention.{i}.{norm}.{kind}"] = values[f"{theirs_i}{norm}.{kind}"]
    projection = values[f"{prefix}proj.weight"].squeeze(2)
    return state | {"labels_layer.weight": projection, "labels_layer.bias": values[f"{prefix}proj.bias"]}


def build_speech_measure(network: nn.Module, inputs: Inputs, standardize: bool = False) -> None:
    """Let a phoneme recogniser in the network measure the clips' speech, as `PhonemeCtc.measure` says.

    It hears the middle of files spread evenly over all. Nothing happens without a recogniser or without a file of half a
    second.
    """
    models = [module for module in network.modules() if isinstance(module, PhonemeCtc)]
    voices = list(dict.fromkeys(clip.track for clip in inputs.clips if clip.track is not None))
    if not models or not voices:
        return
    tracks, sounds = build_tracks(inputs.train), []
    for voice in voices[:: -(-len(voices) // MEASURED_FILES)]:
        samples = np.asarray(tracks.load(voice)[0])
        if len(samples) >= tracks.sample_rate // 2:
            samples = standardized(samples) if standardize else samples
            first = max(0, len(samples) - MEASURED_SAMPLES) // 2
            sounds.append(torch.from_numpy(samples[first : first + MEASURED_SAMPLES]))
    if sounds:
        for model in models:
            model.measure([sound.to(model.mel.device) for sound in sounds])
