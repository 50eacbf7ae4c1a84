"""How a training step is made faster: precision, compilation, and what else would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from audio2face.config import Section
from audio2face.problems import UserError

COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True)
class Precision:
    """`bf16`: matrix products and convolutions in bfloat16, everything else and the losses in float32."""

    bf16: bool = False
    compile: bool = False

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """The block in which the network is called."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, compiled at its first call if `compile`."""
        return torch.compile(function) if self.compile else function


FLOAT32 = Precision()


def build_precision(train: Section) -> Precision:
    """The choices of PRECISION and COMPILE. Raises UserError when nothing can be compiled here."""
    if train.COMPILE and not has_compiler():
        raise UserError(
            "config_train.py: COMPILE needs a C++ compiler, and there is none on PATH (nor in CXX): install one "
            "(Ubuntu: sudo apt-get install g++), or set COMPILE = False"
        )
    return Precision(train.PRECISION == "bf16", train.COMPILE)


def build_advice(train: Section, device: torch.device, of_family: Sequence[str] = ()) -> list[str]:
    """What would make this training shorter: only what it does not do yet, `of_family` first."""
    advice = list(of_family)
    if train.PRECISION != "bf16":
        advice.append('PRECISION = "bf16" (on a GPU, or a processor with AVX-512 BF16 or AMX)')
    if device.type == "cpu":
        advice.append("a GPU")
    return [*advice, f"fewer NUM_EPOCHS than {train.NUM_EPOCHS}, or Ctrl-C, which saves and exports what there is"]


def has_compiler() -> bool:
    """Whether torch.compile will find a C++ compiler."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), *COMPILERS) if name)
