"""How the network's part of a training step is computed: in which precision, compiled or not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from audio2face.config import Section
from audio2face.types import UserError

COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True)
class Speed:
    """`bf16`: matrix products and convolutions in bfloat16, everything else and the losses in float32."""

    bf16: bool = False
    compile: bool = False

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """The block in which the network is called."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, compiled at its first call if wished."""
        return torch.compile(function) if self.compile else function


IN_FULL = Speed()


def build_speed(train: Section) -> Speed:
    """The choices of PRECISION and COMPILE. Raises UserError when nothing can be compiled here."""
    if train.COMPILE and not has_compiler():
        raise UserError(
            "config_train.py: COMPILE needs a C++ compiler, and there is none on PATH (nor in CXX): install one "
            "(Ubuntu: sudo apt-get install g++), or set COMPILE = False"
        )
    return Speed(train.PRECISION == "bf16", train.COMPILE)


def has_compiler() -> bool:
    """Whether torch.compile will find a C++ compiler."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), *COMPILERS) if name)
