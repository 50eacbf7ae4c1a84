"""How long and how fast a network is trained, and how much memory its features may take: the keys that all methods have."""

from __future__ import annotations

from dataclasses import dataclass

from audio2face.config import Section
from audio2face.runtime import Runtime

SCALING = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}  # LEARNING_RATE_SCALING -> power of the batch's size


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast: `accumulate` batches make one optimiser step; an epoch's last step takes what is left.

    A checkpoint is due after every `checkpoint_epochs` epochs and after `checkpoint_minutes`, at a step's end, but not before
    the one before it is paid for, at `checkpoint_gb_per_hour`.
    """

    epochs: int
    learning_rate: float
    accumulate: int = 1
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema_decay: float | None = None
    log_period: int = 50
    checkpoint_epochs: int | None = None
    checkpoint_minutes: float | None = None
    checkpoint_gb_per_hour: float | None = None


def build_fit_settings(train: Section) -> FitSettings:
    """What the keys that both methods have say about the training loop."""
    return FitSettings(
        epochs=train.NUM_EPOCHS,
        learning_rate=build_learning_rate(train),
        weight_decay=train.WEIGHT_DECAY,
        ema_decay=train.EMA_DECAY,
        log_period=train.LOG_PERIOD,
        checkpoint_epochs=train.CHECKPOINT_PERIOD,
        checkpoint_minutes=train.CHECKPOINT_MINUTES,
        checkpoint_gb_per_hour=train.CHECKPOINT_GB_PER_HOUR,
    )


def build_learning_rate(train: Section) -> float:
    """LEARNING_RATE for the items that one step of the optimiser sees, as LEARNING_RATE_SCALING asks."""
    size = train.BATCH_SIZE * getattr(train, "GRADIENT_ACCUMULATION_STEPS", 1)
    return train.LEARNING_RATE * (size / train.LEARNING_RATE_BATCH_SIZE) ** SCALING[train.LEARNING_RATE_SCALING]


def build_cache_bytes(train: Section, runtime: Runtime) -> float:
    """How much the audio features of one process may take: processes on one machine's CPU share FEATURE_CACHE_GB."""
    return train.FEATURE_CACHE_GB * 1e9 / runtime.memory_sharers
