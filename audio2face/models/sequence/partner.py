"""The partner's sound beside the actor's: what of it is added, and what stands for it where nobody is there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.audio.windows import Streaming
from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.conditions import ConditionDropout, Conditions
from audio2face.models.diffusion.audio_context import batch_features
from audio2face.models.diffusion.data import SegmentBatch
from audio2face.models.diffusion.network import SpeechFrames

DROP_PARTNER = 0.25  # that go without the partner: the same network animates monologues


class PartnerLayer(nn.Module):
    """Speech features of the partner -> what is added to those of the actor.

    Both come from one encoder and one layer; an embedding of the role and a layer of its own tell them apart, which a sum of
    the two could not. It starts at zeros: as a network that hears the actor alone.
    """

    def __init__(self, width: int):
        super().__init__()
        self.role = nn.Parameter(0.02 * torch.randn(width))
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, speech: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        return self.out(F.gelu(speech + self.role, approximate="tanh"))


class HearsPartner(SpeechFrames):
    """Networks that may hear a partner: with `partner` the actor talks to somebody, whom the condition of that name is what is
    heard of."""

    partner: PartnerLayer | None
    dropout: ConditionDropout

    def heard(self, conditions: Conditions) -> Tensor:
        """The actor's and the partner's speech together, at every frame (B, T, width)."""
        speech, partner = conditions["speech"], conditions.tensors.get("partner")
        if self.partner is None:
            return speech
        return speech + (self.dropout.nothing("partner", speech) if partner is None else partner)


def hear_batch(network: HearsPartner, batch: SegmentBatch, streaming: Streaming, rng: Rng = WHOLE) -> Conditions:
    """The conditions of a batch with the sounds that a network hears."""
    speech = batch_features(network, batch, batch.audio, batch.features, streaming, rng)
    found = batch.conditions.replaced(speech=speech)
    if network.partner is None:
        return found
    if batch.partner_there is None:  # nobody here has a partner, as in clips that are only measured
        return found.replaced(partner=network.dropout.nothing("partner", speech))
    heard = batch_features(network, batch, batch.partner, batch.partner_features, streaming, rng)
    return found.replaced(partner=network.dropout.where_there("partner", network.partner(heard), batch.partner_there))
