"""A guide on clips that it never saw: what the codec loses of keyframes, how many codes are in use, what its codes cost."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.models.guide.data import GuideData
from audio2face.models.guide.method import GuideMethod
from audio2face.training.metrics import Mean, masked_mean, reduce_means

PHASES = (0.0, 0.5)  # of the first keyframe, in times between two


def guide_validation(method: GuideMethod, held: GuideData) -> Callable[[], dict[str, float]]:
    """Measures the guide on held-out clips, which `held` gives whole.

    - CODEC, CODEC_MOTION: the share of the variance of keyframes, and of their changes, that the codec loses
    - USAGE: the share of its codes that keyframes of the training use, of the codebook where it is smallest
    - CROSS_ENTROPY, in the second stage: nats a code, where UNIGRAM is what their frequencies in training alone give
    """

    @torch.no_grad()
    def measure() -> dict[str, float]:
        found = _codec(method, held)
        if method.codec_steps > method.warm_steps or method.frozen:
            found["USAGE"] = float(code_usage(method).min())
        if method.frozen:
            found = {**_codes(method, held), **found}
        return found

    return measure


def code_usage(method: GuideMethod) -> Tensor:
    """The share of each codebook's codes (depth,) that the keyframes of the training use."""
    codec, data = method.network.codec, method.data
    used = torch.zeros(codec.quantizer.depth, codec.quantizer.size)
    for window in data.all_windows():
        codes = codec.codes(window.target, window.known)[0].cpu()
        for stage, row in enumerate(used):
            row[codes[:, stage]] = 1.0
    return used.mean(dim=1)


def _codec(method: GuideMethod, held: GuideData) -> dict[str, float]:
    """Every process computes all of it."""
    quantize = method.codec_steps > method.warm_steps or method.frozen
    sums: dict[str, Mean] = {}
    for window in held.all_windows():
        coded = method.network.codec(window.target, window.known, quantize)
        _add(sums, method.codec_terms(window, coded.decoded))
    return {name: float(term.value) for name, term in sums.items()}


def _codes(method: GuideMethod, held: GuideData) -> dict[str, float]:
    """The processes share the clips."""
    sums: dict[str, Mean] = {}
    for batch in held.segments.batches(0):
        for phase in PHASES:
            keys = held.keys(batch, [phase] * len(batch.lengths))
            logits, codes, counting = method.coded(batch, keys)
            if not batch.shard.counts:
                counting = counting * 0.0
            costs = F.cross_entropy(logits.movedim(3, 1), codes, reduction="none")
            unigram = method.network.unigram.expand_as(logits)
            plain = -unigram.gather(3, codes.unsqueeze(3)).squeeze(3)
            terms = {f"CROSS_ENTROPY_{d + 1}": costs[..., d : d + 1] for d in range(costs.shape[2])}
            terms = {"CROSS_ENTROPY": costs, "UNIGRAM": plain, **terms}
            _add(sums, {name: masked_mean(x, counting.unsqueeze(2)) for name, x in terms.items()})
    return {name: float(value) for name, value in reduce_means(sums, held.world).items()}


def _add(sums: dict[str, Mean], terms: dict[str, Mean]) -> None:
    for name, term in terms.items():
        before = sums.get(name)
        sums[name] = term if before is None else Mean(before.total + term.total, before.weight + term.weight)
