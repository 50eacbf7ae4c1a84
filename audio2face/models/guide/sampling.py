"""Codes drawn one after the other: nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751), temperature, a generator."""

from __future__ import annotations

import torch
from torch import Tensor

from audio2face.logs import each
from audio2face.models.guide.network import GuideNetwork
from audio2face.models.guide.options import Drawing
from audio2face.models.guide.transformer import Heard, Past


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Probabilities (…, C) of the likeliest codes alone whose sum reaches top_p, at least one of them; their sum is 1."""
    ordered, index = probabilities.sort(dim=-1, descending=True, stable=True)
    kept = ordered.cumsum(dim=-1) - ordered < top_p
    kept[..., 0] = True
    found = torch.zeros_like(probabilities).scatter(-1, index, torch.where(kept, ordered, 0.0))
    return found / found.sum(dim=-1, keepdim=True)


def draw(logits: Tensor, drawing: Drawing, generator: torch.Generator) -> Tensor:
    """Codes (B,) of logits (B, C); each takes one number of the generator, which is on the CPU."""
    chance = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64)
    if drawing.temperature == 0:
        return logits.argmax(dim=-1)
    likely = nucleus((logits.double().cpu() / drawing.temperature).softmax(dim=-1), drawing.top_p)
    codes = (likely.cumsum(dim=-1) <= chance).sum(dim=-1)
    last = likely.shape[-1] - 1 - (likely > 0).flip(-1).int().argmax(dim=-1)  # where sums fall short of 1 by rounding
    return torch.minimum(codes, last).to(logits.device)


@torch.inference_mode()
def sample(
    network: GuideNetwork,
    heard: Heard,
    frames: Tensor,
    drawing: Drawing,
    generator: torch.Generator,
) -> Tensor:
    """Codes (B, K, depth) of keyframes at frames (K,) of a sound; the work is proportional to K."""
    quantizer, rows = network.codec.quantizer, len(heard.valid)
    past: Past | None = None
    vector: Tensor | None = None
    keyframes = []
    for frame in each(frames.tolist(), len(frames), "keyframes", "keyframe"):
        near, at = heard.around(frame / network.fps), torch.full((rows,), frame, device=heard.valid.device)
        codes: list[Tensor] = []
        for place in range(network.depth):
            logits, past = network.next_logits(place, vector, at, near, past)
            codes.append(draw(logits, drawing, generator))
            vector = quantizer.decode(torch.stack(codes, dim=-1))
        keyframes.append(torch.stack(codes, dim=-1))
    return torch.stack(keyframes, dim=1)
