"""The training of a guide in two stages of one run: the codec of keyframes, then the transformer over its codes.

Which stage it is tells the batch: keyframes alone, or segments with sound. Between them the codec is frozen. What is measured
is called CODEC (the share of the keyframes' variance that is lost), CODEC_MOTION, COMMITMENT and CROSS_ENTROPY (nats a code).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.audio.windows import Streaming
from audio2face.distributed import WHOLE, Rng
from audio2face.models.diffusion.data import SegmentBatch
from audio2face.models.guide.data import GuideData, KeyframeBatch, Keys
from audio2face.models.guide.network import GuideNetwork
from audio2face.models.sequence.partner import hear_batch
from audio2face.training.metrics import Losses, Mean, masked_mean, reduce_means, weighted_total
from audio2face.training.precision import FLOAT32, Precision

WARM_UP = 0.2  # of the codec's epochs: vectors are not quantised yet
COMMITMENT, MOTION = 0.05, 0.5  # weights beside that of the error
DEPTH_DROPOUT = 0.5  # of windows: they get only the first of the codebooks
SMOOTHING = 0.1  # of the labels, in training
FREQUENCY = 0.5  # added to the count of every code before its share is taken
SMALLEST = 1e-12


class GuideMethod:
    """A `training.loop.Method`. `importance` (C,) is how much each value counts; its sum is 1."""

    def __init__(
        self,
        network: GuideNetwork,
        data: GuideData,
        importance: Tensor,
        rate: Callable[[int], float],
        codec_lr_mult: float,
        *,
        streaming: Streaming,
        precision: Precision = FLOAT32,
    ):
        self.network, self.data, self.importance, self.rate = network, data, importance, rate
        self.model: nn.Module = network
        self.codec_lr_mult, self.streaming, self.precision = codec_lr_mult, streaming, precision
        self.warm_steps = int(WARM_UP * data.codec_epochs) * data.steps_per_epoch()
        self.codec_steps, self.frozen = 0, False  # steps of the codec that were taken; whether it is done

    def param_groups(self) -> list[dict[str, Any]]:
        """The codec has its own learning rate."""
        codec = {id(p) for p in self.network.codec.parameters()}
        others = [p for p in self.network.parameters() if p.requires_grad and id(p) not in codec]
        return [{"params": others}, {"params": list(self.network.codec.parameters()), "lr_mult": self.codec_lr_mult}]

    def state_dict(self) -> dict[str, Any]:
        """How far the codec is, and its codebooks, which no gradient moves."""
        quantizer = self.network.codec.quantizer.state_dict()
        return {"codec_steps": self.codec_steps, "quantizer": {name: x.clone() for name, x in quantizer.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` gave."""
        self.codec_steps = state["codec_steps"]
        self.network.codec.quantizer.load_state_dict(state["quantizer"])
        self.frozen = bool(self.network.codec_done)
        self.network.codec.requires_grad_(not self.frozen)

    def loss(self, batch: KeyframeBatch | SegmentBatch, progress: float) -> Losses:
        """Losses of keyframes through the codec, or of their codes to sound."""
        if isinstance(batch, KeyframeBatch):
            return self._codec_loss(batch)
        if not self.frozen:
            self._finish_codec()
        return self._code_loss(batch)

    def _codec_loss(self, batch: KeyframeBatch) -> Losses:
        """Every process computes the whole batch, so that codebooks stay the same; the first one's gradients count."""
        codec = self.network.codec
        quantize = self.codec_steps >= self.warm_steps
        if self.network.training:
            if self.codec_steps == self.warm_steps:
                self.fit_codebooks()
            self.codec_steps += 1
        generator = torch.Generator().manual_seed(batch.seed)
        stages = self._stages(len(batch.valid), generator) if self.network.training else None
        coded = codec(batch.target, batch.known, quantize, stages)
        means = self.codec_terms(batch, coded.decoded)
        if coded.quantized is not None:
            means["COMMITMENT"] = masked_mean(coded.quantized.commitment, batch.counting.unsqueeze(2))
            if self.network.training:
                codec.quantizer.update(coded.latent.detach()[batch.counting], generator)
        terms = reduce_means(means, self.data.world, self.data.world.first)
        return Losses(weighted_total(terms, {"CODEC": 1.0, "CODEC_MOTION": MOTION, "COMMITMENT": COMMITMENT}), terms)

    def codec_terms(self, batch: KeyframeBatch, decoded: Tensor) -> dict[str, Mean]:
        """Squared errors over the keyframes' variance, of values and of their changes from keyframe to keyframe."""
        there = batch.known * batch.valid.unsqueeze(2) * self.importance
        error = decoded - self.network.codec.in_units(batch.target)
        both = torch.minimum(there[:, 1:], there[:, :-1])
        return {
            "CODEC": Mean((error**2 * there).sum(), there.sum()),
            "CODEC_MOTION": Mean((error.diff(dim=1) ** 2 * both).sum(), both.sum()),
        }

    def _stages(self, rows: int, generator: torch.Generator) -> Tensor:
        """How many codebooks each of the rows gets (B,)."""
        depth = self.network.depth
        some = torch.randint(1, depth + 1, (rows,), generator=generator)
        dropped = torch.rand(rows, generator=generator) < DEPTH_DROPOUT
        return torch.where(dropped, some, depth).to(self.data.device)

    @torch.no_grad()
    def fit_codebooks(self) -> None:
        """Codebooks of all keyframes, as the codec sees them now."""
        codec = self.network.codec
        vectors = [codec.encode(w.target, w.known)[w.counting] for w in self.data.all_windows()]
        codec.quantizer.fit(torch.cat(vectors), torch.Generator().manual_seed(self.data.seed))

    @torch.no_grad()
    def _finish_codec(self) -> None:
        """Freeze the codec, and learn how often each code occurs and how large its vectors are."""
        network, codec = self.network, self.network.codec
        if self.codec_steps <= self.warm_steps:  # without any epoch that quantises
            self.fit_codebooks()
        counts = torch.full_like(network.unigram, FREQUENCY)
        squares, number = 0.0, 0
        for window in self.data.all_windows():
            codes = codec.codes(window.target, window.known)[window.counting]
            counts += torch.stack(
                [torch.bincount(codes[:, d], minlength=counts.shape[1]) for d in range(network.depth)]
            )
            squares, number = squares + float(codec.quantizer.decode(codes).square().sum()), number + codes.shape[0]
        network.unigram.copy_((counts / counts.sum(dim=1, keepdim=True)).log())
        network.code_scale.fill_((number * codec.quantizer.dim / max(squares, SMALLEST)) ** 0.5)
        network.codec_done.fill_(True)
        codec.requires_grad_(False)
        self.frozen = True

    def _code_loss(self, batch: SegmentBatch) -> Losses:
        keys = self.data.keys(batch)
        logits, codes, counting = self.coded(batch, keys, Rng(batch.shard))
        smoothed = F.cross_entropy(logits.movedim(3, 1), codes, reduction="none", label_smoothing=SMOOTHING)
        plain = F.cross_entropy(logits.detach().movedim(3, 1), codes, reduction="none")
        means = {"SMOOTHED": _by_row(smoothed, counting), "CROSS_ENTROPY": _by_row(plain, counting)}
        terms = reduce_means(means, self.data.world, batch.shard.counts)
        return Losses(terms["SMOOTHED"], {"CROSS_ENTROPY": terms["CROSS_ENTROPY"]})

    def coded(self, batch: SegmentBatch, keys: Keys, rng: Rng = WHOLE) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, K, depth, codes), codes (B, K, depth), and which keyframes count (B, K): those with any known value."""
        with torch.no_grad():
            codes = self.network.codec.codes(keys.target, keys.known)
        with self.precision.autocast(keys.target.device):
            conditions = hear_batch(self.network, batch, self.streaming, rng).replaced(valid=batch.valid)
            logits = self.network(codes, keys.frames, self.network.hear(conditions, rng), rng)
        return logits.float(), codes, keys.valid * (keys.known.amax(dim=2) > 0)


def _by_row(x: Tensor, counting: Tensor) -> Mean:
    """Mean of x (B, K, depth) over the keyframes that count (B, K)."""
    return masked_mean(x, counting.unsqueeze(2))
