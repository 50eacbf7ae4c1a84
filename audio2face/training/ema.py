"""The weights that training changes: copies of them, and their moving average."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass
class Ema:
    """Exponential moving average of trained weights, with a warm-up so that short runs are not held back."""

    decay: float
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    updates: int = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the averages towards the model's weights, in the first steps faster than `decay` says."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.named_parameters():
            if not value.requires_grad:
                continue
            if name in self.state:
                self.state[name].lerp_(value.detach(), 1 - decay)
            else:
                self.state[name] = value.detach().clone()

    def state_dict(self) -> dict[str, Any]:
        """The averages and the number of updates, for a checkpoint."""
        return {"state": self.state, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any], model: nn.Module) -> None:
        """Restore a state that `state_dict` gave, on the device of the model's weights."""
        weights = dict(model.named_parameters())
        self.state = {name: value.to(weights[name], copy=True) for name, value in state["state"].items()}
        self.updates = state["updates"]

    def load_into(self, model: nn.Module) -> None:
        """Put the average in place of the model's trained weights."""
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self.state and value.requires_grad:  # what no longer learns stays as others know it
                    value.copy_(self.state[name])


def trainable_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights that training changes."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def load_trainable(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Give the model the weights that `trainable_state` copied."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in state:
                parameter.copy_(state[name])
